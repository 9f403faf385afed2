"""Misspelt words put right: in which texts, which words of them, and the whole way through a catalog."""

import json
import pickle

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.curation.repair import spelling as module
from synsight.curation.repair.cleaning import clean
from synsight.curation.repair.repairing import repair
from synsight.curation.repair.spelling import Spelling, SpellingStage, spelling_of
from synsight.data.catalog import Catalog, Commit
from synsight.errors import UsageError
from synsight.process_pool import ProcessRunner
from synsight.stages import ThreadRunner
from tiny_captioners import square

RIGHT = Spelling({"scrach": "scratch", "suface": "surface", "haert": "heart", "maria": "marina"}, True)


@pytest.mark.parametrize(
    ("found", "right"),
    [
        ("scrach on suface", "scratch on surface"),
        (
            "Scrach along the Suface.",
            "Scratch along the Suface.",
        ),  # a capital within a sentence: may be a name
        ("Scrach On The Suface", "Scratch On The Surface"),
        ("a dent. Suface dull", "a dent. Surface dull"),
        ("red haert, scrach-free", "red heart, scratch-free"),
        ("(scrach)", "(scratch)"),
        ("scrach", "scratch"),
    ],
)
def test_words_are_put_right_and_keep_their_capital(found, right):
    assert RIGHT.put_right(found) == right


@pytest.mark.parametrize(
    "text",
    [
        "SCRACH",
        "scrachOn",
        "scrach_01",
        "scrach2",
        "scrach-2",
        "2-scrach",
        "#scrach",
        "@scrach",
        "scrach@firm.org",
        "scrach.png",
        "www.scrach.org",
        "C:\\scrach\\suface",
        "/usr/scrach/suface",
        "scrach's",
        "scrach(1)",
        "&scrach;",
        "key=scrach",
        "Maria",
        "der scrach auf der Oberfläche ist nicht tief",
        "表面の scrach です",
        "",
    ],
)
def test_codes_names_files_addresses_and_other_languages_stay(text):
    assert RIGHT.put_right(text) == text


def test_where_no_language_can_be_told_the_catalogs_counts():
    assert Spelling({"scrach": "scratch"}, is_english=False).put_right("scrach") == "scrach"
    assert Spelling({"scrach": "scratch"}, is_english=False).put_right("the scrach is on it") != "scrach"


def test_a_misspelt_word_does_not_make_a_caption_foreign():
    """The rest of the caption tells its language: "doutone" alone looks Swedish."""
    assert Spelling({"doutone": "duotone"}, True).put_right("the heart is doutone") == "the heart is duotone"


def test_the_stage_gives_each_word_of_a_row_once_and_its_language():
    stage = SpellingStage(("title", "caption"))
    rows = {"title": ["Red Red heart", None], "caption": ["a red Heart on the table", "赤い心臓です"]}
    out = stage(pa.record_batch({name: pa.array(some, pa.string()) for name, some in rows.items()}))
    assert out.column("words").to_pylist() == [["heart", "table"], []]
    assert out.column("language").to_pylist() == ["en", "ja"]
    assert spelling_of([out]).is_english is False  # one of two
    assert pickle.loads(pickle.dumps(stage)) == stage


def test_only_what_results_depend_on_is_in_the_digest():
    same = Spelling(dict(reversed(RIGHT.words.items())), True)
    assert same.digest == RIGHT.digest
    assert len({RIGHT.digest, Spelling(RIGHT.words, False).digest, Spelling({}, True).digest}) == 3


PIECES = [
    "scrach",
    "suface",
    "Haert",
    "the",
    "on",
    "_",
    "-",
    ".",
    "2",
    ".png",
    "der",
    "犬",
    "%41",
    "<b>",
    "'s",
]


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join),
        st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    )
)
def test_putting_right_twice_is_putting_right_once(text):
    once = clean(text, spelling=RIGHT).text
    assert once is None or clean(once, spelling=RIGHT).text == once
    assert RIGHT.put_right(RIGHT.put_right(text)) == RIGHT.put_right(text)


def test_hostile_captions_take_no_time():
    for text in ("scrach" * 200_000, "scrach " * 200_000, "a" * 1_000_000, "Scrach. " * 100_000):
        once = clean(text, spelling=RIGHT).text or ""
        assert len(once) <= 4_000
        assert clean(once, spelling=RIGHT).text == once
        out = SpellingStage(("caption",))(pa.record_batch({"caption": pa.array([text])}))
        assert out.column("words").to_pylist()[0] in ([], ["scrach"])


# -- through a catalog ---------------------------------------------------------------------------------

LOOKS = ["red", "dull", "deep", "long", "thin", "wide", "dark", "faint"]
STUFFS = ["metal", "glass", "steel", "wooden", "rubber", "copper", "paper", "stone"]
BAD = {7: "red scrach on metal suface", 21: "dull surfcae of steel", 33: "der Kratzer ist scrach"}


def make(path, **more) -> Catalog:
    good = [f"{LOOKS[n % 8]} scratch on {STUFFS[n // 8]} surface" for n in range(60)]
    captions = [BAD.get(n, good[n]) for n in range(60)]
    table = pa.table(
        {
            "id": [f"id{n}" for n in range(60)],
            "image": pa.array([square("red", seed=n) for n in range(60)], pa.binary()),
            "caption": captions,
            **more,
        }
    )
    catalog = Catalog.create(path, table.schema, commit=Commit(verb="ingest"))
    for batch in table.to_batches(30):
        catalog.append(catalog.write_fragment(batch), commit=Commit(verb="ingest"))
    return catalog


def test_repair_puts_words_right_says_so_and_does_it_once(tmp_path):
    make(tmp_path / "cat")
    summary = repair(tmp_path / "cat", out=tmp_path / "out")
    assert (summary.changed, summary.removed, summary.origins["cleaned"]) == (2, {"spelling": 2}, 2)
    changes = [json.loads(line) for line in (tmp_path / "out" / "changes.jsonl").read_text().splitlines()]
    assert [(one["after"], one["removed"]) for one in changes] == [
        ("red scratch on metal surface", ["spelling"]),
        ("dull surface of steel", ["spelling"]),
    ]
    version = Catalog.open(tmp_path / "cat").version
    assert repair(tmp_path / "cat", out=tmp_path / "out") == summary
    assert Catalog.open(tmp_path / "cat").version == version


def test_without_spelling_words_stay_and_turning_it_on_changes_them(tmp_path):
    make(tmp_path / "cat")
    assert repair(tmp_path / "cat", spelling=False).changed == 0
    assert repair(tmp_path / "cat").changed == 2
    assert repair(tmp_path / "cat", spelling=False).changed == 0


def test_the_companys_words_stay(tmp_path):
    make(tmp_path / "cat")
    (tmp_path / "terms.csv").write_text("term,synonyms\nSurfcae,\n")
    summary = repair(tmp_path / "cat", vocabulary=f"terms:{tmp_path / 'terms.csv'}")
    assert [one.after for one in summary.examples] == ["red scratch on metal surface"]
    with pytest.raises(UsageError, match="terms:FILE"):
        repair(tmp_path / "cat", vocabulary="terms")


def test_a_caption_whose_noun_was_put_right_says_something(tmp_path):
    """The audit found no noun in it; so it would give way to the row's keywords."""
    flags = [["no-known-noun"] if n == 7 else [] for n in range(60)]
    keywords = [["metal"]] * 60
    make(
        tmp_path / "cat",
        caption_flags=pa.array(flags, pa.list_(pa.string())),
        keywords=pa.array(keywords, pa.list_(pa.string())),
    )
    origins = {one.id: one.origin for one in repair(tmp_path / "cat").examples}
    assert origins["id7"] == "cleaned"


def test_every_runner_puts_the_same_words_right(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_PER_CHUNK", 16)
    found = []
    for number, runner in enumerate((ThreadRunner(workers=1), ProcessRunner(workers=2))):
        catalog = make(tmp_path / f"cat{number}")
        found.append(module.find_spelling(catalog, ["caption"], runner=runner))
    assert found[0] == found[1]
    assert found[0].words == {"scrach": "scratch", "suface": "surface", "surfcae": "surface"}
