"""`synsight monitor` on the shipped emoji, as a user or cron types it."""

import fcntl
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

import synsight
from models.small_models import small_model
from synsight.cli import main
from synsight.data.catalog import Catalog, Commit
from synsight.data.written_reports import written_reports
from synsight.models import Model
from synsight.models.text import TextTower, TextTowerConfig
from synsight.models.text_side import TextSide

SAMPLE = Path(synsight.__file__).parent / "data/sample_files/emoji.parquet"
CLASSES = ("animals-nature", "flags", "food-drink")


def dimmed(data: bytes) -> bytes:
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) * 0.6
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def table() -> pa.Table:
    """Sixty rows of each of three classes of one vendor."""
    found = pq.read_table(SAMPLE)
    found = found.filter(pc.field("domain") == "google")
    parts = [found.filter(pc.field("category") == name).slice(0, 60) for name in CLASSES]
    return pa.concat_tables(parts).select(["id", "image", "caption", "category", "group"])


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Catalogs: half the rows, the other half, and this with less light; a model that knows three words."""
    folder = tmp_path_factory.mktemp("monitor")
    rows = table()
    order = np.random.default_rng(1).permutation(len(rows))
    for name, some in (("before", order[:90]), ("now", order[90:])):
        part = rows.take(pa.array(np.sort(some)))
        months = [f"2026-0{1 + 3 * (name == 'now') + one % 3}-15" for one in range(len(part))]
        part = part.append_column("captured_at", pa.array(months))
        pq.write_table(part, folder / f"{name}.parquet")
        synsight.ingest(folder / f"{name}.parquet", out=folder / name, group_column="group")
    images = [dimmed(one) for one in part["image"].to_pylist()]
    dark = part.set_column(part.column_names.index("image"), "image", pa.array(images, pa.binary()))
    pq.write_table(dark, folder / "dark.parquet")
    synsight.ingest(folder / "dark.parquet", out=folder / "dark", group_column="group")
    small_model("words", encoder="test_resnet", stem="standard").save_pretrained(folder / "model")
    small_model(None, encoder="test_resnet", stem="standard").save_pretrained(folder / "plain")
    return folder


def reading_model() -> Model:
    """As a CLIP run leaves it: an encoder, a projection and a text half, and no head of words."""
    plain = small_model(None, encoder="test_resnet", stem="standard")
    torch.manual_seed(1)
    tower = TextTower(TextTowerConfig(width=16, layers=1, heads=2, context_length=16))
    side = TextSide(tower, projection=nn.Linear(16, 6, bias=False), logit_scale=20.0)
    dimensions = plain.config.embedding_dim
    config = replace(plain.config, projection_dim=6)
    return Model(
        plain.encoder, config, projection=nn.Linear(dimensions, 6, bias=False), text=side, name="clip"
    )


def arguments(place: Path, current: str, out: Path, *more: object, model: str = "model") -> list[str]:
    told = ["--reference", place / "before", "--current", place / current, "--out", out, "--exchanges", 199]
    return [str(one) for one in ("monitor", place / model, *told, *more)]


@pytest.fixture
def run(capsys):
    def call(words: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_less_light_is_drift_and_the_exit_code_says_so(run, place, tmp_path):
    parser = pytest.importorskip("prometheus_client.parser")
    out, metrics = tmp_path / "out", tmp_path / "drift.prom"
    code, text, err = run(
        arguments(place, "dark", out, "--label", "category", "--prometheus", metrics, "--json")
    )
    assert code == 3, err
    value = json.loads(text)
    assert list(value)[:3] == ["verdict", "p_value", "words"]
    assert value["verdict"] == "drift"
    assert value["p_value"] <= 0.05
    assert value["words"][0]["name"] in {"dog", "cat", "car"}
    assert value["words"][0]["low"] * value["words"][0]["high"] > 0
    moved = {one["name"]: one["difference"] for one in value["measures"]}
    assert moved["darkness"] > 0.1
    assert moved["lightness"] < -0.1
    assert value["advice"][0]["kind"] == "check_camera"
    assert "darkness" in value["advice"][0]["values"]["names"]
    assert value["labels"]["predicted_by"] == "probe"
    assert value["accuracy"]["doubts"][0] in ("drift", "outside")
    assert "thumbnail" not in value["novel_images"][0]
    assert [one["name"] for one in value["periods"]] == [f"2026-0{one}-15" for one in range(1, 7)]
    families = {one.name: one for one in parser.text_string_to_metric_families(metrics.read_text())}
    assert families["synsight_drift_verdict"].samples[0].value == 2
    collected = pq.read_table(out / "collect.parquet").to_pylist()
    assert len(collected) == value["collected"] > 0
    assert [one["distance"] for one in collected] == sorted(
        (one["distance"] for one in collected), reverse=True
    )
    assert {one["id"] for one in collected} <= set(table()["id"].to_pylist())


def test_other_images_of_the_same_kind_are_none(run, place, tmp_path):
    code, text, err = run(arguments(place, "now", tmp_path / "out", "--quiet"))
    assert code == 0, err
    assert text == ""
    told = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert told["verdict"] != "drift"
    assert told["auc"] == pytest.approx(0.5, abs=0.15)
    assert told["p_value"] > 0.05


def test_quiet_still_speaks_of_drift_and_the_table_names_words_and_what_to_do(run, place, tmp_path):
    code, text, _ = run(arguments(place, "dark", tmp_path / "out", "--quiet"))
    assert code == 3
    for part in ("Drift: The current images are not like the reference.", "In words: ", "Look at the camera"):
        assert part in " ".join(text.split())


def test_every_call_is_kept_and_the_page_lists_the_earlier_ones(run, place, tmp_path):
    out = tmp_path / "out"
    for current in ("now", "dark", "dark"):
        run(arguments(place, current, out))
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [one["verdict"] == "drift" for one in lines] == [False, True, True]
    told = json.loads((out / "drift.json").read_text())
    assert [one["p_value"] for one in told["earlier"]] == [one["p_value"] for one in lines[:2]]
    assert lines[1]["p_value"] == lines[2]["p_value"]  # the same call finds the same
    assert "Earlier runs" in (out / "report.html").read_text()


def test_a_second_call_in_the_folder_is_refused_while_one_works(run, place, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = run(arguments(place, "now", out))
    assert code == 1
    assert "another monitor is at work here" in err
    assert [one.name for one in out.iterdir()] == [".lock"]


def test_catalogs_are_left_as_they_are_but_a_purge_finds_the_page(run, place, tmp_path):
    before = [
        (Catalog.open(place / one).version, Catalog.open(place / one).columns) for one in ("before", "dark")
    ]
    run(arguments(place, "dark", tmp_path / "out"))
    after = [
        (Catalog.open(place / one).version, Catalog.open(place / one).columns) for one in ("before", "dark")
    ]
    assert after == before
    assert tmp_path / "out" / "report.html" in written_reports(Catalog.open(place / "dark"))


def test_kept_features_give_the_same_answer(run, place, tmp_path):
    catalog = tmp_path / "cat"
    pq.write_table(pq.read_table(place / "dark.parquet"), tmp_path / "dark.parquet")
    synsight.ingest(tmp_path / "dark.parquet", out=catalog, group_column="group")
    values = []
    for number in range(2):
        words = arguments(place, "dark", tmp_path / f"out{number}", "--json")
        words[words.index(str(place / "dark"))] = str(catalog)
        values.append(json.loads(run(words)[1]))
        synsight.embed(place / "model", catalog)
    assert values[0]["tests"] == values[1]["tests"]


def test_a_model_with_labels_answers_itself(run, place, tmp_path):
    model = small_model("labels", encoder="test_resnet", stem="standard")
    adapted = model.adapted(model.head, list(CLASSES), method="test")
    adapted.save_pretrained(tmp_path / "model")
    words = arguments(place, "now", tmp_path / "out", "--label", "category", "--json")
    words[1] = str(tmp_path / "model")
    value = json.loads(run(words)[1])
    assert value["labels"]["predicted_by"] == "model"
    catalog = Catalog.open(place / "before").table(["image", "category"])
    answers = adapted.predict(catalog["image"].to_pylist()).argmax(axis=1)
    right = np.mean(
        [CLASSES[one] == label for one, label in zip(answers, catalog["category"].to_pylist(), strict=True)]
    )
    assert value["accuracy"]["reference"] == pytest.approx(right)
    words[words.index("category")] = "caption"
    code, _, err = run(words)
    assert code == 1
    assert "none of the values of column 'caption' is a label of the model" in err


def test_labels_that_stand_by_themselves_have_shares_and_the_page_says_why_no_accuracy(run, place, tmp_path):
    model = small_model("labels", encoder="test_resnet", stem="standard")
    several = model.adapted(model.head, ["rust", "crack", "dent"], method="test", label_scores="sigmoid")
    several.save_pretrained(tmp_path / "model")
    words = arguments(place, "dark", tmp_path / "out", "--label", "category", "--json")
    words[1] = str(tmp_path / "model")
    code, text, err = run(words)
    assert code == 3, err
    value = json.loads(text)
    assert value["accuracy"] is None
    assert (value["labels"]["one_of"], value["labels"]["method"]) == (False, "")
    images = [Catalog.open(place / one).table(["image"])["image"].to_pylist() for one in ("before", "dark")]
    shares = [(several.predict(one) > 0.5).mean(axis=0) for one in images]
    for one in value["labels"]["classes"]:
        number = ("rust", "crack", "dent").index(one["name"])
        assert one["predicted_reference"] == pytest.approx(shares[0][number])
        assert one["predicted_current"] == pytest.approx(shares[1][number])
    assert "Each label stands by itself" in (tmp_path / "out" / "report.html").read_text()


def test_words_that_are_asked_for_are_found_by_zero_shot(run, place, tmp_path):
    reading_model().save_pretrained(tmp_path / "model")
    words = arguments(place, "dark", tmp_path / "out", "--words", "night,noon,night", "--json")
    words[1] = str(tmp_path / "model")
    code, text, err = run(words)
    assert code == 3, err
    value = json.loads(text)
    assert (value["words_from"], value["words_tested"]) == ("zero-shot", 2)
    model = synsight.load(tmp_path / "model")
    for side, name in (("reference", "before"), ("current", "dark")):
        images = Catalog.open(place / name).table(["image"])["image"].to_pylist()
        means = dict(
            zip(("night", "noon"), model.zero_shot(images, ["night", "noon"]).mean(axis=0), strict=True)
        )
        for one in value["words"]:
            assert one[side] == pytest.approx(means[one["name"]], abs=2e-3)  # features are kept as float16
    assert {one["name"] for one in value["words"]} == {"night", "noon"}
    assert "zero-shot" in (tmp_path / "out" / "report.html").read_text()


def test_words_that_nobody_can_look_for_are_refused(run, place, tmp_path):
    code, _, err = run(arguments(place, "now", tmp_path / "out", "--words", "night,noon"))
    assert (code, "reads no text" in err) == (2, True)
    reading_model().save_pretrained(tmp_path / "model")
    words = arguments(place, "now", tmp_path / "out", "--words", "night")
    words[1] = str(tmp_path / "model")
    code, _, err = run(words)
    assert (code, "'night' alone" in err) == (2, True)


def test_truth_values_are_labels_as_the_model_calls_them(run, place, tmp_path):
    source = pq.read_table(place / "before.parquet")
    flags = pa.array([one == "flags" for one in source["category"].to_pylist()])
    before = Catalog.open(place / "before")
    shutil.copytree(before.path, tmp_path / "before")
    catalog = Catalog.open(tmp_path / "before")
    added = pa.record_batch({"broken": flags})
    catalog.add_columns(added.schema, [added], commit=Commit(verb="test"))
    model = small_model("labels", encoder="test_resnet", stem="standard")
    model.adapted(model.head, ["True", "False", "maybe"], method="test").save_pretrained(tmp_path / "model")
    words = arguments(place, "now", tmp_path / "out", "--label", "broken", "--json")
    words[1] = str(tmp_path / "model")
    words[words.index(str(place / "before"))] = str(tmp_path / "before")
    code, text, err = run(words)
    assert code in (0, 3), err
    assert json.loads(text)["accuracy"]["labelled_rows"] == len(flags)


def test_captions_words_stand_in_where_the_model_has_none(run, place, tmp_path):
    for name in ("before", "now"):
        source = pq.read_table(place / f"{name}.parquet")
        if name == "now":  # someone began to write "fruit" under everything
            captions = [f"{one} fruit" for one in source["caption"].to_pylist()]
            source = source.set_column(source.column_names.index("caption"), "caption", pa.array(captions))
        pq.write_table(source, tmp_path / f"{name}.parquet")
        synsight.ingest(tmp_path / f"{name}.parquet", out=tmp_path / name, group_column="group")
        synsight.words(tmp_path / name, min_count=1)
    words = arguments(place, "now", tmp_path / "out", "--json", model="plain")
    told = [words.index(str(place / one)) for one in ("before", "now")]
    for at, name in zip(told, ("before", "now"), strict=True):
        words[at] = str(tmp_path / name)
    code, text, err = run(words)
    assert code == 3, err
    value = json.loads(text)
    assert value["words_from"] == "captions"
    assert value["words"][0]["name"].startswith("fruit")
    assert value["words"][0]["current"] == 1.0


def test_without_any_words_the_rest_is_compared(run, place, tmp_path):
    code, text, _ = run(arguments(place, "dark", tmp_path / "out", "--json", model="plain"))
    assert code == 3
    assert json.loads(text)["words_from"] == ""
    assert "There are no words" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (("--label", "categori"), 2, "did you mean 'category'"),
        (("--where", "split = 'nowhere'"), 1, "no row matches"),
        (("--current-where", "nonsense ="), 1, "nonsense"),
        (("--alpha", "0.0001"), 1, "exchanges must be at least 10000"),
        (("--alpha", "7"), 1, "alpha must be between 0 and 1; got 7"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence(run, place, tmp_path, more, code, sentence):
    found, _, err = run(arguments(place, "now", tmp_path / "out", *more))
    assert (found, sentence in err) == (code, True)
    assert "Traceback" not in err
