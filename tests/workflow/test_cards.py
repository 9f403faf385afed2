"""A model card and a data sheet say what records say, and leave the rest to people whose words they keep."""

import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from PIL import Image

from synsight.cli import main
from synsight.data.catalog import Catalog, Commit
from synsight.errors import DataError, UsageError
from synsight.evaluation import write_evaluation
from synsight.evaluation.scoring import PREDICTIONS
from synsight.models import Model, ModelConfig, build_backbone, embedding_dim, linear_head, load
from synsight.records import Result
from synsight.workflow.card_form import keys_of, read_form
from synsight.workflow.cards import card

ENCODER = "test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    backbone = build_backbone(ENCODER, image_size=16, stem="standard")
    dim = embedding_dim(backbone)
    config = ModelConfig(
        encoder=ENCODER,
        image_size=16,
        embedding_dim=dim,
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        head="labels",
        classes=2,
        method="supervised",
        trained_on={
            "catalog": "parts",
            "version": 7,
            "ids": "abcd1234",
            "seed": 5,
            "processes": 2,
            "norms": ["BatchNorm2d"],
            "code": {"synsight": "1.0", "commit": "0f0f0f"},
        },
    )
    made = Model(backbone, config, head=linear_head(dim, 2), label_names=["ok", "crack"], name="net")
    return made.save_pretrained(tmp_path_factory.mktemp("models") / "net")


@pytest.fixture
def catalog(tmp_path):
    return made_catalog(tmp_path / "parts")


def made_catalog(path, *, evil=""):
    import io

    out = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(out, "png")
    batch = pa.record_batch(
        {
            "id": [f"id{n}" for n in range(12)],
            "image": pa.array([out.getvalue()] * 12, pa.binary()),
            "label": ["ok", "crack", "crack"] * 4,
            "caption": [f"a crack{evil}", None, "a weld"] * 4,
            "split": ["train", "train", "test"] * 4,
            "group": [f"g{n // 2}" for n in range(12)],
            "licence": [f"CC-BY-4.0{evil}"] * 9 + [None] * 3,
        }
    )
    made = Catalog.create(
        path, batch.schema, commit=Commit(verb="ingest", config={"source": f"folder{evil}"})
    )
    made.append(made.write_fragment(batch), commit=Commit(verb="ingest", config={"source": f"folder{evil}"}))
    return Catalog.open(path)


@pytest.fixture
def evaluation(tmp_path):
    result = Result(
        model="net", dataset="parts", task="linear", metric="acc1", value=0.8125, ci_low=0.7, ci_high=0.9,
        n_test=120, baseline=0.5, catalog_version=7, details={"interval": "Wilson, 100 effective rows"},
    )  # fmt: skip
    settings = {
        "trained_on": [{"model": "net", "seen_test_rows": 3, "test_rows": 120}],
        "near_copies": {"near_copies": 4, "test_rows": 120},
    }
    write_evaluation(
        tmp_path / "ev", [result], pa.Table.from_pylist([], schema=PREDICTIONS), settings=settings
    )
    return tmp_path / "ev"


@pytest.fixture
def slices(tmp_path):
    one = {"parts": [{"kind": "column", "column": "camera", "value": "B"}], "rows": 40, "accuracy": 0.4}
    one |= {"ci_low": 0.3, "ci_high": 0.5, "others": 0.9, "found": True}
    odds = {"ratio": 6.0, "low": 3.0, "high": 12.0}
    word = {"word": "tape", "label": "crack", "place": "camera", "training": odds, "elsewhere": odds}
    told = {"slices": [one], "pairs": [], "slices_tested": 30, "pairs_tested": 2, "model": "net"}
    (tmp_path / "sl").mkdir()
    (tmp_path / "sl" / "slices.json").write_text(
        json.dumps(told | {"spurious_words": [word | {"spurious": True}]})
    )
    return tmp_path / "sl"


def test_the_card_holds_what_the_records_hold(model, catalog, evaluation, slices, tmp_path):
    card(model, out=tmp_path / "out", data=catalog, evaluation=evaluation, slices=slices)
    text = (tmp_path / "out" / "model_card.md").read_text()
    for heading in (
        *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
        *("Quantitative analyses", "Ethical considerations", "Caveats and recommendations"),
    ):
        assert f"\n## {heading}\n" in text
    assert "| linear | acc1 | – | 0.812 | 0.700 – 0.900 | 0.500 | 120 | 0 |" in text
    assert "worse than elsewhere on 1 of 32 slices" in text
    assert "the worst is “camera = B” with an accuracy of 40.0%" in text
    assert "trained on 3 of 120 test images" in text
    assert "4 of 120 test images have a near copy" in text
    assert "1 words go with a label in training and not elsewhere, such as “tape” with “crack”" in text
    for fact in ("abcd1234", "BatchNorm2d", "1.0 0f0f0f", "ok, crack"):
        assert fact in text
    assert "No evaluation was given" not in text


def test_without_records_the_card_says_what_is_not_known_and_makes_nothing_up(model, tmp_path):
    summary = card(model, out=tmp_path / "out")
    text = (tmp_path / "out" / "model_card.md").read_text()
    for gap in ("No evaluation was given", "No slices were given", "No watch was given"):
        assert gap in text
    assert text.count("Not stated; to be filled by you in card.yaml.") == len(keys_of("model"))
    assert summary.stated == 0
    assert not (tmp_path / "out" / "data_sheet.md").exists()


def test_the_data_sheet_holds_what_the_catalog_holds(model, catalog, tmp_path):
    card(model, out=tmp_path / "out", data=catalog)
    text = (tmp_path / "out" / "data_sheet.md").read_text()
    for heading in ("Motivation", "Composition", "Collection process", "Uses", "Distribution", "Maintenance"):
        assert f"\n## {heading}\n" in text
    assert "| Images | 12 |" in text
    assert "| Splits | train 8, test 4 |" in text
    assert "| Groups | 6 |" in text
    assert "| Images with a caption | 8 |" in text
    assert "| crack | 8 |" in text
    assert "| CC-BY-4.0 | 9 |" in text
    assert "3 of 12 images have no licence stated" in text
    assert "states no source of its images" in text
    assert "was not audited" in text
    assert "| ingest |" in text  # the lineage


def test_what_people_write_is_shown_and_kept_when_the_cards_are_made_again(model, catalog, tmp_path):
    out = tmp_path / "out"
    card(model, out=out, data=catalog)
    form = (out / "card.yaml").read_text()
    form = form.replace("      owner: ", "      owner: The welding team: A & B").replace(
        "    owner: ", "    owner: 'The welding team: A & B'"
    )
    form = form.replace(
        "    consent: ", "    consent: |\n      Yes, in writing.\n\n      They may revoke it."
    )
    (out / "card.yaml").write_text(form)
    for locale in ("en", "ja", "en"):
        summary = card(model, out=out, data=catalog, locale=locale)
    assert summary.stated == 2
    assert "model.details.owner" not in summary.open_fields
    assert "A &amp; B" in (out / "model_card.html").read_text()
    assert "The welding team: A &#38; B" in (out / "model_card.md").read_text()
    assert "Yes, in writing.\n\nThey may revoke it." in (out / "data_sheet.md").read_text()
    found = yaml.safe_load((out / "card.yaml").read_text())
    assert found["model"]["details"]["owner"] == "The welding team: A & B"
    assert found["data"]["collection"]["consent"].startswith("Yes, in writing.")


def test_an_answer_to_a_question_that_is_no_longer_asked_is_kept(model, tmp_path):
    (tmp_path / "card.yaml").write_text("model: {details: {owner: Us, motto: Weld on}}\n")
    for _ in range(2):
        card(model, out=tmp_path)
        assert read_form(tmp_path / "card.yaml") == {
            "model.details.owner": "Us",
            "model.details.motto": "Weld on",
        }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [1, 2", "no YAML"),
        ("model: [1, 2]", "found list at 'model'"),
        ("just text", "found str at 'its top'"),
        ("!!python/object/apply:os.system ['touch hacked']", "no YAML"),
    ],
)
def test_a_form_that_is_none_is_refused_and_left_as_it_is(model, tmp_path, text, message):
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        card(model, out=tmp_path)
    assert (tmp_path / "card.yaml").read_text() == text
    assert not (tmp_path / "hacked").exists()


def test_hostile_values_of_the_catalog_stay_text(model, tmp_path):
    evil = "</td><script>alert(1)</script> | [x](javascript:alert(1)) **b**"
    catalog = made_catalog(tmp_path / "parts", evil=evil)
    card(model, out=tmp_path / "out", data=catalog, label="caption")
    page = (tmp_path / "out" / "data_sheet.html").read_text()
    text = (tmp_path / "out" / "data_sheet.md").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in text
    assert "[x](" not in text
    rows = [line for line in text.split("\n") if "CC-BY" in line]
    assert rows and all(line.count("|") == 3 for line in rows)  # no cell more than there are columns


def test_the_command_writes_both_in_japanese_too(model, catalog, tmp_path, capsys):
    words = ["card", model, "--out", tmp_path / "out", "--data", catalog.path, "--locale", "ja", "--json"]
    assert main([str(one) for one in words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [name.rpartition("/")[2] for name in told["files"]] == [
        *("model_card.md", "model_card.html", "data_sheet.md", "data_sheet.html")
    ]
    assert "# モデルカード：net" in (tmp_path / "out" / "model_card.md").read_text()
    assert 'lang="ja"' in (tmp_path / "out" / "data_sheet.html").read_text()
    assert main([str(one) for one in words[:-1]]) == 0
    assert "0 of 37 questions for people are answered" in capsys.readouterr().out


def test_folders_without_records_and_unknown_languages_are_refused(model, tmp_path):
    with pytest.raises(DataError, match=r"slices\.json: expected a JSON file, found nothing"):
        card(model, out=tmp_path / "out", slices=tmp_path)
    with pytest.raises(UsageError, match="no locale 'fr'"):
        card(model, out=tmp_path / "out", locale="fr")
    assert not (tmp_path / "out").exists()


def test_records_of_another_model_are_refused(model, evaluation, slices, tmp_path):
    for folder, name in ((evaluation, "results.json"), (slices, "slices.json")):
        path = folder / name
        path.write_text(path.read_text().replace('"net"', '"other"'))
    with pytest.raises(DataError, match=r"expected records of the model 'net' .*found those of 'other'"):
        card(model, out=tmp_path / "out", evaluation=evaluation)
    with pytest.raises(DataError, match=r"found those of 'other'"):
        card(model, out=tmp_path / "out", slices=slices)


def test_an_evaluation_that_knows_the_weights_by_another_name_counts(model, evaluation, tmp_path):
    results, told = evaluation / "results.json", evaluation / "evaluation.json"
    results.write_text(results.read_text().replace('"net"', '"run"'))
    settings = json.loads(told.read_text())
    settings["models"] = [{"name": "run", "digest": load(model).digest}, {"name": "net", "digest": "0" * 12}]
    told.write_text(json.dumps(settings))
    card(model, out=tmp_path / "out", evaluation=evaluation)
    assert "| linear | acc1 |" in (tmp_path / "out" / "model_card.md").read_text()


def test_no_fact_is_lost_between_the_languages(model, catalog, evaluation, slices, tmp_path):
    """Numbers of both cards are the same: only the words between them differ."""
    numbers = {}
    for locale in ("en", "ja"):
        card(model, out=tmp_path / locale, data=catalog, evaluation=evaluation, slices=slices, locale=locale)
        text = (tmp_path / locale / "model_card.md").read_text()
        numbers[locale] = [line for line in text.split("\n") if line.startswith("| linear")]
    assert numbers["en"] == numbers["ja"] != []
    assert asdict(card(model, out=tmp_path / "en"))["stated"] == 0
