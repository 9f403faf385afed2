"""Captions that do not belong to their image: the flag `mismatch`, and the share of such pairs.

Three judges, all asked the same question: does an image go better with its own caption than with captions of
others? There is no absolute threshold.

    a model that reads images and texts     cosines of the two towers, as CLIPScore
    a model that reads images               its features, and what this catalog says of them, cross-fitted
    none                                    edges and colours in place of features, the same way

The last two learn from the catalog itself, in five folds: each row is judged by regressions that did not see
it, nor its group. A model that was trained on these very captions judges too mildly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synsight.curation.agreement import LEAST_ROWS, RowSides, Sides, pair_scores
from synsight.curation.audit.image_checks import FINDINGS, finding_table
from synsight.curation.audit.mismatch_share import MismatchShare, mismatch_share
from synsight.curation.caption_vectors import caption_vectors
from synsight.curation.cross_fitting import cross_fitted_sides, fold_of_rows
from synsight.curation.descriptors import balance, catalog_descriptors
from synsight.data.catalog import POSITION, Catalog
from synsight.errors import ModelError
from synsight.language.texts import check_text_columns, sentences
from synsight.models import Model, catalog_features, load
from synsight.stages import Runner

FLAG, GROUP = "mismatch", "group"
LEAST_OTHERS = 400
"""Pairs with another's caption that a share is told by; there are fewer where almost all have one caption."""
LIKELY = 0.5
"""Rows are flagged that are likelier mismatched than matched."""

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MismatchResult:
    """What was found in the N rows of a catalog."""

    table: pa.Table
    """Findings, see `image_checks.FINDINGS`: rows that are likelier mismatched than not; none where the judge
    cannot tell pairs apart. Their score is `probability`."""
    score: Floats
    """[N], 0 to 1, larger is worse: the chance that a pair is mismatched if half of all were. NaN: not scored
    (no text, unreadable image, outside `where`)."""
    probability: Floats
    """[N]: the same with the estimated share in place of a half."""
    share: float
    share_low: float
    share_high: float
    """Pairs that agree no better than shuffled ones, with a 95% interval; NaN: too few rows."""
    agreement: float
    """Chance that an image goes better with its own caption than with another's; near 0.5 no relation was
    found: the interval then begins at 0 and nothing is flagged. NaN: too few rows."""
    method: str
    """Who judged, in a phrase."""

    @property
    def matching(self) -> Floats:
        """[N]: chance that the caption belongs to the image; NaN: not scored."""
        return np.asarray(1 - self.probability, np.float32)


def check_mismatch(
    catalog: str | Path | Catalog,
    *,
    text_columns: Sequence[str] = ("caption",),
    model: str | None = None,
    seed: int = 0,
    where: str | None = None,
    runner: Runner | None = None,
) -> MismatchResult:
    """Judge whether captions belong to their images. The catalog is not changed.

    Rows of one `group` are judged by what the others teach. Takes some 2.5 KB of memory a row; time is linear
    in the rows, as regressions learn from 50,000 at most.

    Args:
        catalog: Its folder, or an open catalog.
        text_columns: String or list-of-string columns, read as one text a row.
        model: A name that `synsight.load` knows, as `open-clip:NAME/WEIGHTS` or the folder of a clip or
            siglip run; None: the catalog judges itself.
        seed: Of folds, random features, drawn captions and the bootstrap.
        where: SQL condition on the rows; None: all.
        runner: Where images are described; None: threads of this process.

    Raises:
        DataError: A text column is missing or holds no text; with a model, an image that cannot be decoded.
        ModelError: There is no such model.
        CatalogError: There is no catalog, or the condition is not understood.
    """
    opened = catalog if isinstance(catalog, Catalog) else Catalog.open(catalog)
    check_text_columns(opened, text_columns)
    judge = None if model is None else load(model)
    rows = _read(opened, text_columns, where)
    if sum(map(bool, rows.texts)) < LEAST_ROWS:
        return _unjudged(opened.count_rows())
    if judge is None:
        images, is_read = catalog_descriptors(opened, where=where, runner=runner)
    else:
        images = catalog_features(judge, opened, where=where)[1]
        is_read = np.ones(len(images), np.bool_)
    is_judged = is_read & np.array([bool(text) for text in rows.texts], np.bool_)
    if is_judged.sum() < LEAST_ROWS:
        return _unjudged(opened.count_rows())
    if not is_judged.all():
        rows, images = rows.only(is_judged), images[is_judged]
    found_sides = _sides(judge, images, rows, seed)
    if found_sides is None:
        return _unjudged(opened.count_rows(), "too few groups for each to be judged by what the others teach")
    sides, folds, method = found_sides
    same = np.unique(np.asarray(rows.texts, dtype=object), return_inverse=True)[1]
    scores = pair_scores(sides, folds, same=same, seed=seed)
    if np.isfinite(scores.others).sum() < LEAST_OTHERS:
        return _unjudged(opened.count_rows(), "almost all captions are the same")
    found = mismatch_share(scores, np.unique(rows.groups, return_inverse=True)[1], seed=seed)
    return _result(opened.count_rows(), rows.positions, scores.own, found, method)


@dataclass(frozen=True, eq=False)
class _Rows:
    positions: Numbers
    texts: list[str]
    groups: list[str]
    """The row's group, else its id."""

    def only(self, wanted: NDArray[np.bool_]) -> "_Rows":
        places = np.flatnonzero(wanted).tolist()
        return _Rows(
            self.positions[wanted], [self.texts[one] for one in places], [self.groups[one] for one in places]
        )


def _read(catalog: Catalog, text_columns: Sequence[str], where: str | None) -> _Rows:
    names = dict.fromkeys(["id", *text_columns, *([GROUP] if GROUP in catalog.columns else [])])
    positions, texts, groups = [np.empty(0, np.int64)], [], []
    for batch in catalog.scan(list(names), where=where, batch_size=8192, with_positions=True):
        positions.append(batch.column(POSITION).to_numpy())
        texts += sentences(batch, text_columns)
        ids = batch.column("id").to_pylist()
        given = batch.column(GROUP).to_pylist() if GROUP in names else [None] * len(ids)
        # A letter before each keeps a group apart from an id of the same name.
        groups += [f"i{one}" if group is None else f"g{group}" for one, group in zip(ids, given, strict=True)]
    return _Rows(np.concatenate(positions), texts, groups)


def _sides(
    judge: Model | None, images: Floats, rows: _Rows, seed: int
) -> tuple[RowSides, Numbers, str] | None:
    """What pairs are judged by, the fold of each row within which to compare, and the judge's name.

    None: all rows are in one fold, so that no other is left to learn from.
    """
    if judge is not None and _reads_text(judge):
        distinct, places = np.unique(np.asarray(rows.texts, dtype=object), return_inverse=True)
        captions = judge.embed_texts([str(one) for one in distinct])[places]
        sides = Sides(_unit(_projected(judge, images)), captions)
        return sides, np.zeros(len(images), np.int64), f"cosines of {judge.name}"
    folds = fold_of_rows(rows.groups, seed=seed)
    if (folds == folds[0]).all():
        return None
    captions, said = caption_vectors(rows.texts, seed=seed)
    seen = "edges and colours"
    if judge is not None:
        balance(images)
        seen = f"features of {judge.name}"
    return (
        cross_fitted_sides(images, captions, folds, seed=seed),
        folds,
        f"cross-fitted regressions between {seen} and {said}",
    )


def _reads_text(model: Model) -> bool:
    try:
        return model.text is not None
    except ModelError as error:
        # A model that ought to read text and cannot is an error; one that never did is a judge by features.
        if model.config.text:
            raise error
        return False


def _projected(model: Model, features: Floats) -> Floats:
    import torch

    with torch.inference_mode():
        parts = [
            model.project(torch.from_numpy(features[start : start + 4096]).to(model.device)).cpu().numpy()
            for start in range(0, len(features), 4096)
        ]
    return np.concatenate(parts)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def _result(
    num_rows: int, positions: Numbers, own: NDArray[np.float64], found: MismatchShare, method: str
) -> MismatchResult:
    score, probability = (np.full(num_rows, np.nan, np.float32) for _ in range(2))
    score[positions] = 1 / (1 + np.exp(-np.clip(found.log_odds, -500, 500)))
    probability[positions] = found.probability
    flagged = np.flatnonzero(found.probability >= LIKELY) if found.can_tell else np.empty(0, np.int64)
    reasons = [
        f"{better:.0%} of other captions fit the image better; mismatched with a chance of {chance:.0%}"
        for better, chance in zip(found.better[flagged], found.probability[flagged], strict=True)
    ]
    return MismatchResult(
        table=finding_table(positions[flagged], FLAG, probability[positions[flagged]], reasons),
        score=score,
        probability=probability,
        share=found.share,
        share_low=found.low,
        share_high=found.high,
        agreement=found.agreement,
        method=method,
    )


def _unjudged(num_rows: int, reason: str = f"fewer than {LEAST_ROWS} rows with text") -> MismatchResult:
    unknown = np.full(num_rows, np.nan, np.float32)
    nan = float("nan")
    return MismatchResult(
        FINDINGS.empty_table(), unknown, unknown.copy(), nan, nan, nan, nan, f"not judged: {reason}"
    )
