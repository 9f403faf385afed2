"""The own rule: which words of a caption are nouns, and which synsets they name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synsight.language.synsets import SynsetMatcher
from synsight.language.wordnet import NounTable

TABLE = NounTable.load()
MATCHER = SynsetMatcher.load()


def names(caption: str, keywords: tuple[str, ...] = ()) -> set[str]:
    return {TABLE.name(offset) for offset in MATCHER(caption, keywords)}


def synset(lemma: str) -> int:
    return TABLE.nouns[lemma].senses[0]


@pytest.mark.parametrize(
    "lemma", ["photo", "bike", "automobile", "phone", "plane", "tv", "kid", "boy", "sneaker"]
)
def test_every_lemma_finds_its_synset_not_only_the_one_that_names_it(lemma):
    assert MATCHER(f"the {lemma}") == [synset(lemma)]


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("two dogs", {"dog"}),
        ("children and mice", {"child", "mouse"}),
        ("wolves, foxes, berries, churches", {"wolf", "fox", "berry", "church"}),
        ("three men", {"man"}),
        ("the dog's bone", {"dog", "bone"}),
    ],
)
def test_plurals_and_possessives_find_their_noun(caption, found):
    assert names(caption) == found


@pytest.mark.parametrize(
    "caption",
    ["traffic light", "traffic lights", "Traffic-Light", "traffic_light", "the traffic light is on"],
)
def test_a_phrase_goes_before_its_words_with_blanks_hyphens_and_plurals(caption):
    assert MATCHER(caption) == [synset("traffic_light")]


def test_the_longest_phrase_wins_and_no_phrase_crosses_punctuation():
    assert MATCHER("golden retriever") == [synset("golden_retriever")]
    assert synset("t-shirt") in MATCHER("a T shirt") and synset("t-shirt") in MATCHER("a t-shirt")
    assert synset("traffic_light") not in MATCHER("traffic. light")
    assert synset("traffic_light") not in MATCHER("traffic", ["light"])
    assert synset("lily_of_the_valley") in MATCHER("a lily of the valley in bloom")


def test_a_phrase_of_a_verb_and_its_particle_is_no_hyphenated_noun():
    assert synset("sit-up") not in MATCHER("sit up straight")
    assert MATCHER("a sit-up") == []


@pytest.mark.parametrize(
    "caption",
    [
        "white",
        "the white dog",
        "white man",
        "black cat",
        "a black woman",
        "black and red car",
        "people in white",
        "whites",
        "an African girl",
        "Asian food",
        "a Mexican restaurant",
        "Chinese woman",
        "African-American man",
        "Latino",
        "white running shoes",
        "elderly black man with a white beard",
        "the Caucasian child",
        "a Jewish wedding",
    ],
)
def test_no_label_of_people_or_race_comes_from_an_adjective(caption):
    allowed = {"man", "woman", "girl", "child"}
    people = {TABLE.name(o) for o in MATCHER(caption) if TABLE.is_person(o)}
    assert people <= allowed
    assert not names(caption) & {"white", "black", "Black", "White", "red"}


ADJECTIVES = """
    white black free native blind deaf mute disabled gay lesbian straight foreign young old elderly poor rich
    homeless dead wounded brown yellow red colored aboriginal indigenous alien ethnic brave royal noble
    pregnant fat sick mad crazy silly pagan heathen Muslim Jewish Hindu Catholic Asian African European Latino
    Hispanic Arab Chinese Japanese Indian Mexican Spanish French German Italian Greek Roman American British
    transgender bisexual left open light
    """


@pytest.mark.parametrize("adjective", ADJECTIVES.split())
def test_an_adjective_before_a_noun_or_alone_in_a_list_of_colours_names_nobody(adjective):
    for caption in (f"a {adjective} house", f"{adjective} flag", f"the {adjective} old car"):
        people = [TABLE.name(offset) for offset in MATCHER(caption) if TABLE.is_person(offset)]
        assert not people, caption


@pytest.mark.parametrize(
    "word", ["white", "black", "free", "native", "blind", "white, blue", "black and white"]
)
def test_a_word_that_is_mostly_an_adjective_names_nobody_even_alone(word):
    assert not [offset for offset in MATCHER(word) if TABLE.is_person(offset)]


@pytest.mark.parametrize(
    ("caption", "lemma"),
    [
        ("a sun flower", "sunflower"),
        ("grass hopper", "grasshopper"),
        ("Paint Brush", "paintbrush"),
        ("two sun flowers", "sunflower"),
        ("meatgrinder", "meat_grinder"),
        ("clipart", "clip_art"),
    ],
)
def test_words_parted_or_run_together_name_what_they_name_when_written_right(caption, lemma):
    assert MATCHER(caption) == [synset(lemma)]


def test_words_of_two_nouns_that_mean_something_else_are_not_joined():
    assert synset("carpet") not in MATCHER("car pet")
    assert MATCHER("sun, flower") == sorted((synset("sun"), synset("flower")))


def test_no_single_noun_that_may_be_an_adjective_names_people_by_origin_before_a_noun():
    for lemma, noun in TABLE.nouns.items():
        if noun.adjective >= 0 and lemma.isalpha():
            found = [o for o in MATCHER(f"a {lemma} house") if TABLE.is_person(o)]
            assert not found, lemma


@pytest.mark.parametrize(
    "word", ["free", "of", "in", "at", "it", "he", "can", "a", "I", "be", "as", "no", "or", "us", "7"]
)
def test_function_words_and_adjectives_name_nothing(word):
    assert MATCHER(word) == []


@pytest.mark.parametrize(
    ("caption", "is_noun"),
    [
        ("design a logo", False),
        ("the design", True),
        ("we design", False),
        ("to drink", False),
        ("a cold drink", True),
        ("man drinks coffee", False),
        ("orange cat", False),
        ("an orange", True),
        ("running man", False),
    ],
)
def test_neighbours_decide_between_noun_verb_and_adjective(caption, is_noun):
    word = next(w for w in ("design", "drinks", "drink", "orange", "running") if w in caption.split())
    lemma = word.removesuffix("s")
    assert (synset(lemma) in MATCHER(caption)) == is_noun


def test_a_surname_names_no_person():
    for caption in ("Abraham Lincoln", "Bush", "by George Gershwin", "crane"):
        assert not any(TABLE.is_person(o) and TABLE.is_instance(o) for o in MATCHER(caption))


def test_file_names_are_cut_into_words_and_addresses_are_none():
    assert names("redHeartButton3") == names("heart button")
    assert MATCHER("button1") == [synset("button")]
    assert MATCHER("rose.flower@example.com http://tree.house/cat www.dog.com") == []


def test_accents_do_not_hide_a_word():
    assert MATCHER("le café") == [synset("cafe")]


def test_other_scripts_are_unmatched_and_break_nothing():
    matches = MATCHER.match(["犬と猫", "a dog 犬", ""])
    assert [matches[row] for row in range(3)] == [[], [synset("dog")], []]
    assert matches.unmatched[1] == ["犬"]


def test_unmatched_words_are_those_wordnet_does_not_know():
    assert MATCHER.match(["gramastar quickly painted the big xyzzy of dogs"]).unmatched == [
        ["gramastar", "xyzzy"]
    ]


CAPTIONS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            [
                "a",
                "the",
                "white",
                "Dog",
                "dogs",
                "traffic",
                "light",
                "lights",
                "golden",
                "retriever",
                "design",
                "run",
                "in",
                ",",
                ".",
                "\x00",
                "\n",
                "%20",
                "+",
                "&amp;",
                "<b>",
                "@",
                "//",
                "www.",
                "'",
                "'s",
                "é",
                "犬",
                "�",
                "-",
                "_",
            ]
        ),
        max_size=12,
    ).map(" ".join),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(CAPTIONS, max_size=8))
def test_captions_read_together_have_the_synsets_they_have_alone(captions):
    together = MATCHER.match(captions)
    assert len(together) == len(captions) == len(together.unmatched)
    for row, caption in enumerate(captions):
        assert together[row] == MATCHER(caption) == sorted(set(together[row]))


def test_memory_of_spellings_is_bounded(monkeypatch):
    monkeypatch.setattr("synsight.language.synsets.MAX_SPELLINGS", 100)
    matcher = SynsetMatcher()
    captions = [f"xq{n}z dog" for n in range(2000)]
    assert all(matcher.match(captions)[row] == [synset("dog")] for row in (0, 1999))
    assert len(matcher._spellings) == 100


def test_at_least_879_synsets_of_imagenet_can_be_found():
    timm_data = pytest.importorskip("timm.data")
    wnids = timm_data.ImageNetInfo("imagenet-1k").label_names()
    assert len(wnids) == 1000
    lemmas_of: dict[int, list[str]] = {}
    for lemma, noun in TABLE.nouns.items():
        for offset in noun.senses:
            lemmas_of.setdefault(offset, []).append(lemma)
    offsets = [int(wnid[1:]) for wnid in wnids]
    pairs = [(offset, "the " + lemma.replace("_", " ")) for offset in offsets for lemma in lemmas_of[offset]]
    matches = MATCHER.match([caption for _, caption in pairs])
    reached = {offset for row, (offset, _) in enumerate(pairs) if offset in matches[row]}
    assert len(reached) >= 879
