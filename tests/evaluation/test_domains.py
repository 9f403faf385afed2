"""Domain shift, on features whose answers are known."""

import numpy as np
import pyarrow as pa
import pytest
from made import make_catalog

from synsight.errors import UsageError
from synsight.evaluation.domains import HELD_OUT, WITHIN, domains, held_out
from synsight.evaluation.judged import Judged
from synsight.evaluation.options import Columns, Options
from synsight.evaluation.questions import Features
from synsight.evaluation.rows import read_splits
from synsight.evaluation.scoring import mean_over_draws

CAMERAS = ("a", "b", "c")


def judged(folder, *, flipped: bool = False, camera=lambda row: CAMERAS[row // 12 % 3], **options):
    """Features that tell three colours apart; `flipped`: in camera c each colour looks like the next."""
    catalog = make_catalog(
        folder / "cat",
        rows=360,
        change=lambda columns: {
            **columns,
            "kind": [("green", "red", "blue")[row % 3] for row in range(360)],
            "camera": pa.array([camera(row) for row in range(360)], pa.string()),
        },
    )
    splits = read_splits(catalog, "kind")
    cameras = catalog.table(["camera"])["camera"].to_pylist()

    def features(rows):
        shown = np.array(
            [
                (label + (flipped and cameras[position] == "c")) % 3
                for label, position in zip(rows.labels, rows.positions, strict=True)
            ]
        )
        noise = np.random.default_rng(0).normal(0, 0.05, (len(rows), 3))
        return (np.eye(3)[shown] + noise).astype(np.float32)

    return Judged(
        name="mine",
        model=None,
        catalog=catalog,
        version=catalog.version,
        options=Options(columns=Columns(domain="camera"), labels_per_class=(4,), draws=2, **options),
        out=folder / "ev",
        splits=splits,
        compute=lambda: Features(*(features(rows) for rows in (splits.train, splits.val, splits.test))),
    )


def values(scored, metric="acc1"):
    return {(one.task, one.n_labels, one.seed): one for one in scored.results if one.metric == metric}


def test_where_domains_agree_nothing_is_lost(tmp_path):
    found = values(domains(judged(tmp_path)))
    assert {one.value for one in found.values()} == {1.0}
    assert {task for task, *_ in found} == {
        *(f"{HELD_OUT}{end}" for end in ("", ":a", ":b", ":c")),
        *(f"{WITHIN}{end}" for end in ("", ":a", ":b", ":c")),
    }
    assert {(n_labels, seed) for _, n_labels, seed in found} == {(None, 0), (4, 0), (4, 1)}


def test_a_camera_that_shows_each_class_as_the_next_is_all_wrong_when_held_out_and_all_right_within(tmp_path):
    scored = domains(judged(tmp_path, flipped=True))
    for question in [(None, 0), (4, 0)]:
        found = values(scored)
        assert found[f"{HELD_OUT}:c", *question].value == 0.0
        assert found[f"{WITHIN}:c", *question].value == 1.0
        assert found[WITHIN, *question].value == 1.0
        assert found[f"{WITHIN}:c", *question].details["domain"] == "c"
        assert found[f"{HELD_OUT}:c", *question].details["domain_held_out"] == "c"
    whole = values(scored)[HELD_OUT, None, 0]
    parts = [values(scored)[f"{HELD_OUT}:{name}", None, 0] for name in CAMERAS]
    single = {name: one.value for name, one in zip(CAMERAS, parts, strict=True)}
    assert whole.details["acc1_of_domains"] == pytest.approx(single, abs=1e-6)
    sizes = [one.n_test for one in parts]
    assert whole.value == pytest.approx(np.average([*single.values()], weights=sizes))
    assert whole.details["acc1_mean_over_domains"] == pytest.approx(np.mean([*single.values()]), abs=1e-6)


def test_every_test_row_is_answered_once_and_draws_sum_up_from_the_predictions(tmp_path):
    one = judged(tmp_path)
    scored = domains(one)
    rows = scored.predictions.to_pylist()
    for task in (HELD_OUT, WITHIN):
        asked = [row["id"] for row in rows if row["task"] == task and row["n_labels"] is None]
        assert sorted(asked) == sorted(one.splits.test.ids)
    means = mean_over_draws(scored.results, scored.predictions)
    assert len(means) == 2 * 4 * 2 * 2  # tasks, all and each of three, with all and few labels, two metrics


def test_no_row_of_the_held_out_domain_and_none_without_a_domain_is_learnt_from(tmp_path):
    one = judged(tmp_path, camera=lambda row: None if row % 7 == 0 else CAMERAS[row // 12 % 3])
    names = {
        part: np.array(
            one.catalog.take(getattr(one.splits, part).positions, ["camera"])["camera"]
            .fill_null("")
            .to_pylist(),
            object,
        )
        for part in ("train", "val", "test")
    }
    away = held_out(one, "b", names, within=False)
    home = held_out(one, "b", names, within=True)
    cameras = dict(zip(one.splits.train.ids, names["train"], strict=True))
    assert {cameras[row] for row in away.splits.train.ids} == {"a", "c"}
    assert {cameras[row] for row in home.splits.train.ids} == {"b"}
    assert list(away.splits.test.ids) == list(home.splits.test.ids)
    assert "" in names["train"]


def test_a_group_that_was_split_teaches_nothing_about_itself_and_is_counted(tmp_path):
    one = judged(tmp_path, camera=lambda row: "ab"[row % 2])
    # As a wrong split column would: the groups of all test rows have a training row, too.
    moved = len(np.unique(one.splits.test.group_codes))
    one.splits.train.group_codes[:moved] = np.unique(one.splits.test.group_codes)
    names = {
        part: one.catalog.take(getattr(one.splits, part).positions, ["camera"])["camera"]
        .to_numpy(zero_copy_only=False)
        .astype(object)
        for part in ("train", "val", "test")
    }
    for within in (False, True):
        domain = held_out(one, "a", names, within=within)
        assert not np.isin(domain.splits.train.group_codes, domain.splits.test.group_codes).any()
        assert domain.left_out > 0
    found = values(domains(one))[f"{HELD_OUT}:a", None, 0]
    assert found.details["train_rows_left_out_for_their_group"] > 0


def test_a_domain_of_test_rows_alone_is_judged_from_the_others_and_named_as_left_out_within(tmp_path):
    base = make_catalog(tmp_path / "splits", rows=360).table(["split"])["split"].to_pylist()
    one = judged(tmp_path, camera=lambda row: "new" if base[row] == "test" and row % 2 else "ab"[row % 2])
    found = values(domains(one))
    assert found[f"{HELD_OUT}:new", None, 0].value == 1.0
    assert found[WITHIN, None, 0].details["domains_left_out"] == ["new"]
    assert f"{WITHIN}:new" not in {task for task, *_ in found}


def test_too_few_domains_and_wrong_columns_are_said(tmp_path):
    one = judged(tmp_path, camera=lambda _: "a")
    with pytest.raises(UsageError, match="two domains or more in 'camera', found 'a'; choose another"):
        domains(one)
    for column, sentence in [
        ("cameras", "no column 'cameras' that says where an image is from; did you mean 'camera'"),
        ("size", "domains must be strings or integers; column 'size' holds double"),
    ]:
        one.options = Options(columns=Columns(domain=column))
        with pytest.raises(UsageError, match=sentence):
            domains(one)
