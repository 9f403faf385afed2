"""The verb `repair`: each change keeps the original and says where it comes from; nothing is done twice."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

import synsight
from synsight.curation.repair import steps
from synsight.curation.repair.cleaning import CleanStage
from synsight.curation.repair.repairing import repair
from synsight.data.catalog import Catalog, Commit
from synsight.errors import DataError, Interrupted, ModelError, UsageError
from synsight.models.prompting import Answer
from synsight.records import RepairSummary, as_json
from tiny_captioners import COLOURS, square

TEMPLATE = "Part of the Big Icon Collection"
COLUMNS = ["caption", "caption_clean", "caption_repaired", "caption_origin"]


def make(path: Path, rows: list[dict[str, object]]) -> Catalog:
    """Rows with an image, a caption, keywords, flags; what is not given is null."""
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("image", pa.binary()),
            ("caption", pa.string()),
            ("keywords", pa.list_(pa.string())),
            ("caption_flags", pa.list_(pa.string())),
            ("image_hash", pa.uint64()),
        ]
    )
    full = [
        dict.fromkeys(schema.names) | {"id": f"id{n}", "image": square("red", seed=n)} | row
        for n, row in enumerate(rows)
    ]
    catalog = Catalog.create(path, schema, commit=Commit(verb="ingest"))
    for batch in pa.Table.from_pylist(full, schema=schema).to_batches(max(1, len(rows) // 3)):
        catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    return catalog


def repaired(path: Path) -> list[tuple[object, ...]]:
    table = Catalog.open(path).table(COLUMNS)
    return list(zip(*(table[name].to_pylist() for name in COLUMNS), strict=True))


def many(rows: int) -> list[dict[str, object]]:
    """Every third row without a caption."""
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}le" for n in range(rows)]
    return [{"caption": None if n % 3 == 0 else f"an {word}"} for n, word in enumerate(words)]


class Speaker:
    """A captioner that says what it is told to, in the order of the images' bytes."""

    def __init__(self, *said: str | None, name: str = "speaker") -> None:
        self.name = self.identity = name
        self.said, self.asked, self.contexts = said, 0, []

    def __call__(self, images: Sequence[bytes], contexts: Sequence[str | None]) -> list[Answer]:
        self.contexts += contexts
        answers = []
        for _ in images:
            text = self.said[self.asked % len(self.said)]
            self.asked += 1
            answers.append(Answer(text) if text else Answer(None, "empty"))
        return answers


class Judge:
    """A scorer that likes some words."""

    name = identity = "judge"

    def __init__(self, **scores: float) -> None:
        self.scores = scores

    def __call__(self, images: Sequence[bytes], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        return [
            [
                max((value for word, value in self.scores.items() if word in text), default=0.5)
                for text in some
            ]
            for some in texts
        ]


def test_each_caption_is_cleaned_borrowed_or_left_and_says_so(tmp_path):
    rows = [
        {"caption": "a dog"},
        {"caption": "red_heart.png"},
        {"caption": "IMG_0001.jpg", "keywords": ["cat", "Cat", "tree"]},
        {"caption": "https://example.com/x"},
        {"caption": None},
        {"caption": "gramastar", "keywords": ["star"], "caption_flags": ["no-known-noun"]},
        {"caption": "gramastar", "caption_flags": ["no-known-noun"]},
        {"caption": "a cow", "keywords": ["horse"], "caption_flags": ["too-short"]},
        {"caption": "a pig.", "keywords": ["fox"], "caption_flags": ["mismatch"]},
    ]
    make(tmp_path / "cat", rows)
    summary = synsight.repair(tmp_path / "cat", out=tmp_path / "out")
    assert repaired(tmp_path / "cat") == [
        ("a dog", "a dog", "a dog", "original"),
        ("red_heart.png", "red heart", "red heart", "cleaned"),
        ("IMG_0001.jpg", None, "cat, tree", "keywords"),
        ("https://example.com/x", None, "https://example.com/x", "original"),
        (None, None, None, None),
        ("gramastar", "gramastar", "gramastar, star", "keywords"),
        ("gramastar", "gramastar", "gramastar", "original"),
        ("a cow", "a cow", "a cow", "original"),
        ("a pig.", "a pig.", "fox", "keywords"),
    ]
    assert (summary.rows, summary.changed, summary.kept_useless, summary.without_caption) == (9, 4, 1, 1)
    assert summary.origins == {"original": 4, "keywords": 3, "cleaned": 1}
    assert summary.removed == {"file-name": 2, "url": 1}
    assert [(one.before, one.after) for one in summary.examples] == [
        ("red_heart.png", "red heart"),
        ("IMG_0001.jpg", "cat, tree"),
        ("gramastar", "gramastar, star"),
        ("a pig.", "fox"),
    ]
    lines = (tmp_path / "out" / "changes.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["id1", "id2", "id5", "id8"]
    written = json.loads((tmp_path / "out" / "repair.json").read_text())
    assert written == as_json(summary)
    assert list(written)[:3] == ["rows", "changed", "origins"]


def test_captions_go_only_as_asked_and_where_nothing_is_better(tmp_path):
    rows = [
        {"caption": "https://example.com/x"},
        {"caption": "a dog", "caption_flags": ["mismatch"]},
        {"caption": "a cow", "caption_flags": ["mismatch"], "keywords": ["horse"]},
        {"caption": "gramastar", "caption_flags": ["no-known-noun"]},
        {"caption": None},
    ]
    make(tmp_path / "cat", rows)
    link, horse = rows[0]["caption"], ("horse", "keywords")
    kept, gone, same = (link, "original"), (None, "dropped"), ("a dog", "original")
    for drop, link_now, dog_now, useless in (
        (("mismatch",), kept, gone, 1),
        (("empty", "mismatch"), gone, gone, 0),
        (("empty",), gone, same, 0),
        ((), kept, same, 1),
    ):
        summary = repair(tmp_path / "cat", drop=drop)
        star, none = ("gramastar", "original"), (None, None)
        assert [row[2:] for row in repaired(tmp_path / "cat")] == [link_now, dog_now, horse, star, none]
        assert (summary.kept_useless, summary.without_caption) == (useless, 1)
        assert summary.origins.get("dropped", 0) == [link_now, dog_now].count(gone)
    with pytest.raises(UsageError, match="no captions 'mismach' to drop; did you mean 'mismatch'"):
        repair(tmp_path / "cat", drop=("mismach",))


def test_a_captioner_is_asked_before_a_caption_is_dropped(tmp_path):
    rows = [{"caption": "IMG_0001.jpg"}, {"caption": "DSC00001.JPG"}]
    make(tmp_path / "cat", rows)
    repair(tmp_path / "cat", captioner=Speaker("a red square", None), drop=("empty",))
    assert [row[2:] for row in repaired(tmp_path / "cat")] == [
        ("a red square", "captioner:speaker"),
        (None, "dropped"),
    ]


def test_boilerplate_goes_by_the_audits_rule_and_the_original_is_the_last_resort(tmp_path):
    rows = [{"caption": f"{TEMPLATE} (No {n})"} for n in range(20)]
    rows += [{"caption": f"tool {n}{chr(97 + n)} xyz. {TEMPLATE}"} for n in range(20)]
    rows += [{"caption": f"something else {chr(97 + n)} entirely"} for n in range(20)]
    make(tmp_path / "cat", rows)
    summary = repair(tmp_path / "cat")
    found = repaired(tmp_path / "cat")
    assert all(row[3] == "original" and row[2] == row[0] for row in found[:20])
    assert [row[2] for row in found[20:22]] == ["tool 0a xyz", "tool 1b xyz"]
    assert summary.removed["template"] >= 40
    assert summary.origins == {"original": 40, "cleaned": 20}
    repair(tmp_path / "cat", drop=("empty",), out=tmp_path / "out")
    assert [row[2:] for row in repaired(tmp_path / "cat")] == [(None, "dropped")] * 20 + [
        row[2:] for row in found[20:]
    ]
    lines = (tmp_path / "out" / "changes.jsonl").read_text().splitlines()
    assert [json.loads(line)["after"] for line in lines].count(None) == 20


def test_the_caption_of_the_same_picture_is_borrowed_where_there_are_no_keywords(tmp_path):
    image = square("red", seed=5)
    rows = [
        {"caption": None, "image": image, "image_hash": 7},
        {"caption": "a red door", "image": image, "image_hash": 7},
        {"caption": None, "image": square("blue"), "image_hash": 7},
    ]
    make(tmp_path / "cat", rows)
    repair(tmp_path / "cat")
    assert [row[2:] for row in repaired(tmp_path / "cat")] == [
        ("a red door", "near-image"),
        ("a red door", "original"),
        (None, None),
    ]


def test_borrowing_can_be_turned_off(tmp_path):
    image = square("red", seed=5)
    rows = [
        {"keywords": ["cat"], "image": image, "image_hash": 7},
        {"caption": "a door", "image": image, "image_hash": 7},
    ]
    make(tmp_path / "cat", rows)
    repair(tmp_path / "cat", borrow=())
    assert repaired(tmp_path / "cat")[0] == (None,) * 4
    repair(tmp_path / "cat", borrow=("near-image",))
    assert repaired(tmp_path / "cat")[0][3] == "near-image"
    repair(tmp_path / "cat")
    assert repaired(tmp_path / "cat")[0][3] == "keywords"


def test_a_captioner_speaks_where_there_is_nothing_else(tmp_path):
    rows = [{"caption": "a dog"}, {"caption": None}, {"keywords": ["cat"]}, {"caption": "DSC00001.JPG"}, {}]
    make(tmp_path / "cat", rows)
    speaker = Speaker("a red square", "another thing", None)
    summary = repair(tmp_path / "cat", captioner=speaker)
    assert [row[2:] for row in repaired(tmp_path / "cat")] == [
        ("a dog", "original"),
        ("a red square", "captioner:speaker"),
        ("cat", "keywords"),
        ("another thing", "captioner:speaker"),
        (None, None),
    ]
    assert (summary.recaptioned, summary.unusable_answers) == (3, {"empty": 1})
    assert speaker.contexts == [None] * 3


def test_the_better_of_two_is_kept_by_the_score_and_the_original_on_ties(tmp_path):
    rows = [
        {"caption": "a dog"},
        {"caption": "a cow"},
        {"caption": "a pig"},
        {"keywords": ["fox"]},
        {"caption": "an owl", "keywords": ["hen"], "caption_flags": ["mismatch"]},
    ]
    make(tmp_path / "cat", rows)
    speaker = Speaker("new dog", "new cow", "new pig", "new fox", "new owl")
    judge = Judge(
        **{"new dog": 0.9, "a dog": 0.8, "new cow": 0.3, "fox": 0.7, "new fox": 0.6, "owl": 0.9, "hen": 0.4}
    )
    summary = repair(tmp_path / "cat", captioner=speaker, recaption="all", score_model=judge)
    assert [row[2:] for row in repaired(tmp_path / "cat")] == [
        ("new dog", "captioner:speaker"),
        ("a cow", "original"),
        ("a pig", "original"),
        ("fox", "keywords"),
        ("an owl", "original"),  # flagged, but nothing fits better
    ]
    table = Catalog.open(tmp_path / "cat").table(["caption_repaired_score", "caption_clean_score"])
    assert table["caption_repaired_score"].to_pylist() == pytest.approx([0.9, 0.5, 0.5, 0.7, 0.9])
    assert table["caption_clean_score"].to_pylist()[:3] == pytest.approx([0.8, 0.5, 0.5])
    assert table["caption_clean_score"].to_pylist()[3] is None
    assert (summary.scored, summary.recaptioned) == (5, 5)
    assert summary.examples[0].score_before == pytest.approx(0.8)


def test_without_a_score_no_good_caption_is_replaced_and_a_flagged_one_is(tmp_path):
    rows = [{"caption": "a dog"}, {"caption": "a cow", "caption_flags": ["mismatch"]}]
    make(tmp_path / "cat", rows)
    repair(tmp_path / "cat", captioner=Speaker("a door"))
    assert [row[2] for row in repaired(tmp_path / "cat")] == ["a dog", "a door"]


def test_the_caption_is_shown_to_the_captioner_only_when_asked_for(tmp_path):
    make(tmp_path / "cat", [{"caption": "IMG_1.jpg"}, {"caption": None}])
    speaker = Speaker("a door", "a window")
    repair(tmp_path / "cat", captioner=speaker, with_context=True)
    assert speaker.contexts == ["IMG_1.jpg", None]


def test_a_captioner_that_says_the_same_of_everything_is_refused_after_a_trial(tmp_path):
    make(tmp_path / "cat", many(600))
    version = Catalog.open(tmp_path / "cat").version
    speaker = Speaker("a photo of a thing")
    with pytest.raises(DataError, match="says 'a photo of a thing' of 48 out of 48 different images"):
        repair(tmp_path / "cat", captioner=speaker)
    assert speaker.asked == 48
    catalog = Catalog.open(tmp_path / "cat")
    assert "caption_repaired" not in catalog.columns
    assert catalog.version == version + 1  # the clean captions
    repair(tmp_path / "cat", captioner=Speaker("a photo of a thing", "a door", "a tree", name="other"))


def test_a_captioner_that_says_nothing_is_refused(tmp_path):
    make(tmp_path / "cat", many(6))
    with pytest.raises(DataError, match="gave no usable caption for any of 2 images"):
        repair(tmp_path / "cat", captioner=Speaker(None))


def test_a_finished_call_does_nothing_and_answers_the_same(tmp_path, monkeypatch):
    make(tmp_path / "cat", many(30))
    first = repair(tmp_path / "cat", captioner=Speaker("a", "b door", "c tree"), score_model=Judge())
    version = Catalog.open(tmp_path / "cat").version
    monkeypatch.setattr(CleanStage, "__call__", None)
    again = repair(tmp_path / "cat", captioner=Speaker(None), score_model=Judge())
    assert isinstance(again, RepairSummary)
    assert as_json(again) == as_json(first)
    assert Catalog.open(tmp_path / "cat").version == version


def test_what_no_setting_can_mean_is_said_before_anything_is_done(tmp_path):
    version = make(tmp_path / "cat", many(6)).version
    path = tmp_path / "cat"
    for arguments, sentence in [
        ({"captioner": "local-dir:x", "endpoint": "http://localhost/v1"}, "expected one captioner"),
        ({"borrow": ("keyword",)}, "did you mean 'keywords'"),
        ({"recaption": "all"}, "a captioner is needed"),
        ({"recaption": "all", "captioner": Speaker("x")}, "a score model is needed"),
        ({"recaption": "some"}, "known: all, useless"),
    ]:
        with pytest.raises(UsageError, match=sentence):
            repair(path, **arguments)
    with pytest.raises(ModelError, match="expected the folder of a captioner"):
        repair(path, captioner="local-dir:nowhere")
    with pytest.raises(DataError, match="did you mean 'caption'"):
        repair(path, text_columns=("captoin",))
    assert Catalog.open(path).version == version


def test_an_error_while_columns_are_added_loses_no_answer(tmp_path, monkeypatch):
    make(tmp_path / "cat", many(30))
    repair(tmp_path / "cat")

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "add_columns", full_disk)
        with pytest.raises(OSError, match="full"):
            repair(tmp_path / "cat", captioner=Speaker("a dog", "a cat", "a cow"))
    silent = Speaker(None)
    summary = repair(tmp_path / "cat", captioner=silent)
    assert silent.asked == 0
    assert summary.origins["captioner:speaker"] == 10


def test_ctrl_c_saves_the_answers_and_the_same_call_goes_on(tmp_path, monkeypatch):
    for name in ("stopped", "straight"):
        make(tmp_path / name, many(240))
    monkeypatch.setattr(steps, "ROWS_A_BATCH", 4)
    numbers = [f"a thing of the kind {chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(80)]

    class Numbered:
        name = identity = "numbered"

        def __init__(self, stop_after: int) -> None:
            self.stop_after, self.asked = stop_after, 0

        def __call__(self, images: Sequence[bytes], contexts: Sequence[str | None]) -> list[Answer]:
            if self.asked >= self.stop_after:
                raise KeyboardInterrupt
            self.asked += len(images)
            return [Answer(numbers[sum(image) % 80]) for image in images]

    with pytest.raises(Interrupted, match=r"\d+ rows are saved: run the same command again to go on"):
        repair(tmp_path / "stopped", captioner=Numbered(20))
    assert "caption_repaired" not in Catalog.open(tmp_path / "stopped").columns
    rest, whole = Numbered(1000), Numbered(1000)
    one = repair(tmp_path / "stopped", captioner=rest)
    other = repair(tmp_path / "straight", captioner=whole)
    assert rest.asked == whole.asked - 20
    assert as_json(one) == as_json(other)
    assert repaired(tmp_path / "stopped") == repaired(tmp_path / "straight")
    assert one.recaptioned == 80


@pytest.mark.slow
def test_repair_killed_at_random_moments_is_finished_by_the_same_call(tmp_path, monkeypatch):
    for name in ("killed", "straight"):
        make(tmp_path / name, many(240))
    draw = random.Random(0)
    program = Path(__file__).with_name("killed_repair.py")
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, str(program), str(tmp_path / "killed")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0, 1.0))
        process.kill()
        process.communicate()
        assert Catalog.open(tmp_path / "killed").count_rows() == 240
    from killed_repair import Slow

    monkeypatch.setattr(steps, "ROWS_A_BATCH", 4)
    one, other = (repair(tmp_path / name, captioner=Slow()) for name in ("killed", "straight"))
    assert as_json(one) == as_json(other)
    assert repaired(tmp_path / "killed") == repaired(tmp_path / "straight")


def test_colours_are_told_by_a_captioner_that_learnt_them(tmp_path):
    from tiny_captioners import save_blip

    colours = list(COLOURS) * 3
    rows = [{"caption": None, "image": square(one, seed=n)} for n, one in enumerate(colours)]
    make(tmp_path / "cat", rows)
    summary = repair(tmp_path / "cat", captioner=f"local-dir:{save_blip(tmp_path / 'blip')}")
    assert [row[2:] for row in repaired(tmp_path / "cat")] == [
        (f"a {one} square", "captioner:blip") for one in colours
    ]
    assert summary.diversity["captioner"]["effective"] == pytest.approx(4)
