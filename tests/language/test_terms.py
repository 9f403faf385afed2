"""Company words: the file is checked line by line, and its terms are found wherever captions write them."""

import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captions import make_catalog
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.data.catalog import Catalog
from synsight.errors import DataError, UsageError
from synsight.language import find_words, load_vocabulary
from synsight.language.label_space import label_space
from synsight.language.synsets import SynsetMatcher
from synsight.language.term_matching import TermMatcher
from synsight.language.terms import FIRST_TERM, fold, load_terms
from synsight.language.wordnet import NounTable

DOG, VALVE = 2084071, 4519153
FILE = """\
term,synonyms,concept,parent
gate valve,sluice valve|GV-7,,wn30:n04519153
pressure relief valve,PRV|AC/DC relief,,gate valve
puppy dog,doggo|ワンちゃん,wn30:n02084071,
スパッタ,sputter|溶接スパッタ,weld spatter,
"304",SUS304,stainless 304,
jack,,,
Straße,,,
crème brûlée,,,
"""


@pytest.fixture(scope="module")
def terms(tmp_path_factory):
    path = tmp_path_factory.mktemp("terms") / "terms.csv"
    path.write_text(FILE, encoding="utf-8")
    return load_terms(path)


@pytest.fixture(scope="module")
def matcher(terms):
    return TermMatcher(terms)


@pytest.fixture
def names(terms, matcher):
    def of(caption: str) -> list[str]:
        concepts = {number: one.name for number, one in terms.by_number.items()}
        return [concepts.get(n) or NounTable.load().name(n) for n in matcher.match([caption])[0]]

    return of


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("two Gate-Valves", ["gate valve"]),
        ("a sluice valve, closed", ["gate valve"]),
        ("GV-7s in a box", ["box", "gate valve"]),
        ("ＧＶ－７", ["gate valve"]),
        ("the pressure relief valves", ["pressure relief valve"]),
        ("an AC/DC relief", ["pressure relief valve"]),
        ("PRVs", ["pressure relief valve"]),
        ("a doggo", ["dog"]),
        ("304", ["stainless 304"]),
        ("1304 and 304L", []),
        ("STRASSE", ["Straße"]),
        ("Creme Brulee", ["crème brûlée"]),
        ("溶接スパッタあり", ["weld spatter"]),
        ("an orange jack", ["jack"]),
    ],
)
def test_a_term_is_found_in_capitals_plurals_full_width_and_any_script(names, caption, found):
    assert names(caption) == found


def test_the_longest_goes_first_among_terms_and_phrases_of_wordnet(names):
    assert names("a gate valve") == ["gate valve"]  # not the valve
    assert "traffic light" in names("a jack at the traffic light")


def test_a_term_takes_a_spelling_from_wordnet_and_leaves_the_others(matcher, terms):
    jack = next(one.number for one in terms.concepts if one.name == "jack")
    assert matcher.match(["jacks"])[0] == [jack]
    plain = "two golden retrievers, an orange cat and a man drinking coffee"
    assert matcher.match([plain])[0] == SynsetMatcher.load().match([plain])[0]


def test_a_phrase_of_wordnet_is_longer_than_a_term_within_it(names):
    box = NounTable.load().name(NounTable.load().nouns["jack-in-the-box"].senses[0])
    assert names("a jack-in-the-box") == names("a jack in the box") == [box]
    assert names("a jack in the street") == ["street", "jack"]


@pytest.mark.parametrize("term", ["mouse", "library", "numpy", "string", "window"])
def test_a_term_is_found_beside_words_of_any_trade(tmp_path, term):
    (tmp_path / "terms.csv").write_text(f"term\n{term}\n")
    matcher = TermMatcher(load_terms(tmp_path / "terms.csv"))
    assert FIRST_TERM in matcher.match([f"a {term} for javascript, xml and the database"])[0]


def test_katakana_of_a_longer_word_is_no_term(matcher):
    assert matcher.spans("スパッタリング") == []
    assert [text for text, _ in matcher.spans("溶接スパッタ")] == ["溶接スパッタ"]
    assert [text for text, _ in matcher.spans("このスパッタ")] == ["スパッタ"]


def test_where_another_rule_reads_on_terms_are_taken_out(matcher, terms):
    spatter = next(one.number for one in terms.concepts if one.name == "weld spatter")
    text, numbers = matcher.without_terms("溶接スパッタが見える")
    assert numbers == [spatter]
    assert "スパッタ" not in text and "見える" in text


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_no_caption_breaks_the_matcher(matcher, text):
    assert len(matcher.match([text, "a gate valve"])) == 2
    assert matcher.match([text, "a gate valve"])[1] == matcher.match(["a gate valve"])[0]


def test_folding_is_idempotent_and_forgets_case_width_and_blanks():
    assert fold(" ＡＢｃ　ﾊﾞﾙﾌﾞ ") == "abc バルブ" == fold(fold(" ＡＢｃ　ﾊﾞﾙﾌﾞ "))


def test_parents_lead_up_to_the_roots_of_wordnet(terms):
    gate, relief = (one for one in terms.concepts if one.name in ("gate valve", "pressure relief valve"))
    steps = terms.steps_up(relief.number)
    assert (steps[relief.number], steps[gate.number], steps[VALVE]) == (0, 1, 2)
    assert min(steps[one] for one in NounTable.load().hypernyms(VALVE)) == 3
    assert gate.number >= FIRST_TERM > max(NounTable.load().offsets)


def test_a_parquet_file_and_a_semicolon_file_say_the_same(tmp_path, terms):
    lines = [line.split(",") for line in FILE.replace('"', "").splitlines()]
    (tmp_path / "t.csv").write_text("\ufeff" + "\r\n".join(map(";".join, lines)), encoding="utf-8")
    columns = {name: list(cells) for name, *cells in zip(*lines, strict=True)}
    columns["synonyms"] = [cell.split("|") if cell else None for cell in columns["synonyms"]]
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert load_terms(tmp_path / "t.csv").digest == terms.digest
    assert load_terms(tmp_path / "t.parquet").digest == terms.digest


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a header with a column 'term'"),
        ("word,concept\nx,y\n", "found word, concept"),
        ("term\n\n", "expected a line for each term, found none"),
        ("term,synonym\na,b\n", "there is no column 'synonym' for terms; did you mean 'synonyms'?"),
        ("term,term\na,b\n", "column 'term' stands twice"),
        ("term\nvalve\n-\n", "line 3: expected a term, found '-'"),
        ("term\na|b\n", "line 2: term 'a|b' holds '|'; write further spellings under synonyms"),
        ("term,synonyms\na,b,c\n", "line 2: expected 2 cells as in the header, found 3"),
        ('term\n"a\n', "line 2: expected CSV, found"),
        ("term,synonyms\nvalve,!|tap\n", "line 2: expected a synonym, found '!'"),
        ("term,concept\ndoggo,wn31:n02084071\n", None),
        ("term,concept\ndoggo,wn30:n0208407\n", "line 2: concept 'wn30:n0208407': expected a synset key"),
        ("term,concept\ndoggo,wn30:n00000001\n", "line 2: concept 'wn30:n00000001': expected the offset"),
        ("term,parent\ngate,valve\n", "wn30:n04519153 (control)"),
        ("term,parent\ngate valv,\nx,gate valve\n", "line 3: parent 'gate valve' is no term or concept"),
        ("term,parent\na1,b1\nb1,a1\n", "is, through its parents, a kind of itself"),
        ("term,concept,parent\ndoggo,wn30:n02084071,x\n", "is a synset and has its parents in WordNet"),
        ("term,concept,parent\na1,c1,b1\nb1,,\nd1,c1,d1\n", "has parent 'b1' in line 2, 'd1' here"),
        ("term,concept\nGate Valve,a\nfoo,b\ngate  valve,b\n", "line 4: 'gate valve' means term:b here and"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_the_line(tmp_path, text, sentence):
    path = tmp_path / "terms.csv"
    path.write_text(text, encoding="utf-8")
    if sentence is None:
        assert load_terms(path).concepts[0].key == "term:wn31:n02084071"  # a name like any other
        return
    with pytest.raises(DataError) as raised:
        load_terms(path)
    assert sentence in str(raised.value)
    assert "terms.csv" in str(raised.value)


def test_a_missing_file_and_bytes_of_another_encoding_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match="found nothing; check the path"):
        load_terms(tmp_path / "none.csv")
    (tmp_path / "sjis.csv").write_bytes("term\nvalve\nバルブ\n".encode("shift-jis"))
    with pytest.raises(DataError, match="line 3: expected text in UTF-8"):
        load_terms(tmp_path / "sjis.csv")


ROWS = [
    {"caption": "a gate valve and a dog"},
    {"caption": "PRV, rusty"},
    {"caption": "doggo"},
    {"caption": None},
    {"caption": "バルブの溶接スパッタ", "split": "val"},
]


def test_a_catalog_has_the_terms_among_its_classes(tmp_path):
    (tmp_path / "terms.csv").write_text(FILE, encoding="utf-8")
    make_catalog(tmp_path / "cat", ROWS)
    summary = find_words(tmp_path / "cat", vocabulary=f"terms:{tmp_path / 'terms.csv'}", min_count=1)
    catalog = Catalog.open(tmp_path / "cat")
    vocabulary = load_vocabulary(catalog, "terms")
    assert summary.vocabulary == "terms"
    assert vocabulary.keys == ["wn30:n02084071", "term:gate valve", "term:pressure relief valve"]
    assert catalog.table(["words_terms"])["words_terms"].to_pylist() == [[0, 1], [2], [0], [], []]
    version = catalog.version
    find_words(tmp_path / "cat", vocabulary=f"terms:{tmp_path / 'terms.csv'}", min_count=1)
    assert Catalog.open(tmp_path / "cat").version == version
    (tmp_path / "terms.csv").write_text(FILE + "rusty,,,\n", encoding="utf-8")
    find_words(tmp_path / "cat", vocabulary=f"terms:{tmp_path / 'terms.csv'}", min_count=1)
    assert "term:rusty" in load_vocabulary(Catalog.open(tmp_path / "cat"), "terms").keys


def test_hypernyms_of_terms_are_classes_too(tmp_path):
    (tmp_path / "terms.csv").write_text(FILE, encoding="utf-8")
    make_catalog(tmp_path / "cat", [*ROWS, {"caption": "a dog"}, {"caption": "a cat"}, {"caption": "rose"}])
    find_words(tmp_path / "cat", vocabulary=f"terms:{tmp_path / 'terms.csv'}", min_count=1, hypernyms=True)
    catalog = Catalog.open(tmp_path / "cat")
    keys = load_vocabulary(catalog, "terms").keys
    row = catalog.table(["words_terms", "word_weights_terms"]).to_pylist()[1]
    weights = dict(zip([keys[one] for one in row["words_terms"]], row["word_weights_terms"], strict=True))
    assert weights["term:pressure relief valve"] == 1
    assert weights["term:gate valve"] == 0.5
    assert weights["wn30:n04519153"] == pytest.approx(1 / 3)


def test_a_kind_of_words_with_terms_may_go_to_another_process(tmp_path):
    (tmp_path / "terms.csv").write_text(FILE, encoding="utf-8")
    space = label_space(f"terms:{tmp_path / 'terms.csv'}", language="en")
    (tmp_path / "terms.csv").unlink()
    there = pickle.loads(pickle.dumps(space))
    assert (
        there.matcher().read([["a gate valve"]]).matches[0]
        == space.matcher().read([["gate valves"]]).matches[0]
    )


def test_terms_without_a_file_or_with_the_released_rule_are_refused(tmp_path):
    make_catalog(tmp_path / "cat", ROWS)
    with pytest.raises(UsageError, match="needs a file, as terms:our_words"):
        find_words(tmp_path / "cat", vocabulary="terms")
    (tmp_path / "terms.csv").write_text(FILE, encoding="utf-8")
    with pytest.raises(UsageError, match="a rule for English with synsets alone"):
        find_words(tmp_path / "cat", vocabulary=f"terms:{tmp_path / 'terms.csv'}", compat="corenet")
