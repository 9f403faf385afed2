"""Words that mislead: a planted one is told from a genuine one; what repair adds to one group is found."""

import numpy as np
import pytest
from sliced import answers, catalog_of, evaluation_of, planted_columns, with_word

from synsight.data.catalog import Catalog
from synsight.deployment.caption_bias import caption_changes
from synsight.deployment.slice_rows import judged_by_evaluation
from synsight.deployment.spurious_words import spurious_words


@pytest.fixture(scope="module")
def columns():
    return planted_columns(3000, seed=3)


@pytest.fixture(scope="module")
def catalog(columns, tmp_path_factory) -> Catalog:
    return catalog_of(tmp_path_factory.mktemp("catalog") / "parts", columns)


def found_by(found, word, label, place):
    return next(one for one in found if (one.word, one.label, one.place) == (word, label, place))


def test_a_word_that_a_camera_and_its_defects_share_is_spurious_within_cameras_and_in_other_splits(
    catalog, columns
):
    found, looked = spurious_words(catalog, label="kind", column="words_synset")
    assert looked == len(found)
    tape = found_by(found, "tape", "defect", "camera")
    assert tape.spurious
    assert tape.training.ratio > 3
    assert tape.elsewhere.low < 1 < tape.elsewhere.high  # within a camera it says nothing
    there = found_by(found, "tape", "defect", "split")
    assert there.spurious
    assert there.elsewhere.low < 1 < there.elsewhere.high
    train = np.array(columns["split"]) == "train"
    defect, has = np.array(columns["kind"])[train] == "defect", with_word(columns, "tape")[train]
    ratio = (defect & has).sum() * (~defect & ~has).sum() / ((~defect & has).sum() * (defect & ~has).sum())
    assert tape.training.ratio == pytest.approx(ratio, rel=0.03)
    assert tape.rows == has.sum()


def test_a_word_that_goes_with_the_label_everywhere_is_not(catalog):
    found, _ = spurious_words(catalog, label="kind", column="words_synset")
    for place in ("camera", "split"):
        rust = found_by(found, "rust", "defect", place)
        assert not rust.spurious
        assert rust.training.ratio > 2
        assert rust.elsewhere.low > 1
    # A caption without any of the words says "part": it goes with the absence of tape.
    assert {one.word for one in found if one.spurious} == {"tape", "part"}


def test_where_no_training_row_has_a_label_nothing_is_looked_at_and_nothing_breaks(tmp_path):
    columns = planted_columns(80)
    columns["kind"] = [
        None if split == "train" else one
        for split, one in zip(columns["split"], columns["kind"], strict=True)
    ]
    catalog = catalog_of(tmp_path / "cat", columns)
    assert spurious_words(catalog, label="kind", column="words_synset") == ([], 0)


def test_whether_the_model_follows_the_word_is_told_by_its_answers(catalog, columns, tmp_path):
    tape, defect = with_word(columns, "tape"), np.array(columns["kind"]) == "defect"
    # With tape it says defect: wrong where there is none.
    leans = evaluation_of(tmp_path / "leans", answers(columns, np.where(tape & ~defect, 0.8, 0.1)))
    fair = evaluation_of(tmp_path / "fair", answers(columns, np.full(len(tape), 0.15)))
    followed = {}
    for folder in (leans, fair):
        judged = judged_by_evaluation(folder, catalog, label="kind")
        found, _ = spurious_words(catalog, label="kind", column="words_synset", judged=judged)
        followed[folder.name] = found_by(found, "tape", "defect", "camera").followed
    assert followed["leans"].low > 3
    assert followed["fair"].low < 1 < followed["fair"].high


def test_with_words_that_hold_everywhere_hardly_any_is_called_spurious(tmp_path):
    flagged = looked = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        columns = planted_columns(800, seed=seed)
        defect = np.array(columns["kind"]) == "defect"
        names = ("rust", "snow", "bridge")
        has = {name: rng.random(800) < np.where(defect, 0.5, 0.2) for name in names}
        columns["caption"] = [
            " and ".join(f"a {name}" for name in names if has[name][row]) or "a part" for row in range(800)
        ]
        columns["camera"] = rng.choice(["A", "B", "C"], 800).tolist()
        found, count = spurious_words(
            catalog_of(tmp_path / str(seed), columns), label="kind", column="words_synset"
        )
        flagged, looked = flagged + sum(one.spurious for one in found), looked + count
    assert looked > 60
    assert flagged <= 0.05 * looked


def test_a_column_that_is_another_name_of_the_label_is_no_place(tmp_path):
    columns = planted_columns(600, seed=4)
    columns["source"] = [f"{kind} bin" for kind in columns["kind"]]
    catalog = catalog_of(tmp_path / "cat", columns)
    found, _ = spurious_words(catalog, label="kind", column="words_synset", places=["source"])
    assert {one.place for one in found} <= {"split"}


def repaired(columns, *, bias: float):
    """Repair adds "tree" to 10% of all captions, to more of camera B's, and takes "snow" from all."""
    rng = np.random.default_rng(5)
    is_b = np.array(columns["camera"]) == "B"
    adds = rng.random(len(is_b)) < np.where(is_b, 0.1 + bias, 0.1)
    plain = ["a rust and a snow"] * len(is_b)
    after = [("a rust and a tree" if add else "a rust") for add in adds]
    return {**columns, "caption": plain, "caption_clean": plain, "caption_repaired": after}, adds, is_b


def test_a_word_that_repair_adds_to_one_camera_is_found_with_its_rates(tmp_path):
    columns, adds, is_b = repaired(planted_columns(900, seed=6), bias=0.3)
    catalog = catalog_of(tmp_path / "cat", columns, words=False)
    found, tested = caption_changes(catalog, columns=["camera", "lot"])
    clear = [one for one in found if one.found]
    assert [(one.word, one.change, one.column, one.value) for one in clear] == [
        ("tree", "added", "camera", "B")
    ]
    assert clear[0].rate == pytest.approx(adds[is_b].mean())
    assert clear[0].other_rate == pytest.approx(adds[~is_b].mean())
    assert clear[0].ci_low < adds[is_b].mean() < clear[0].ci_high
    assert tested == 2 * (3 + 8)  # tree added and snow lost, by camera and by lot
    overall = {(one.word, one.change): one for one in found if not one.column}
    assert overall["tree", "added"].rate == pytest.approx(adds.mean())
    assert overall["snow", "lost"].rate == 1


def test_without_a_bias_none_is_found_and_without_repair_nothing_is_looked_at(tmp_path):
    columns, _, _ = repaired(planted_columns(900, seed=7), bias=0.0)
    found, tested = caption_changes(
        catalog_of(tmp_path / "cat", columns, words=False), columns=["camera", "lot"]
    )
    assert tested == 22
    assert not any(one.found for one in found)
    plain = catalog_of(tmp_path / "plain", planted_columns(60), words=False)
    assert caption_changes(plain, columns=["camera"]) == ([], 0)
