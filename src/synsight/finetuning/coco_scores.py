"""COCO's average precision of detections, by faster-coco-eval, with an interval over groups of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synsight.data.instances import Instances
from synsight.errors import MissingDependency
from synsight.finetuning.coco_files import write_coco
from synsight.finetuning.image_intervals import image_interval
from synsight.metrics import Interval
from synsight.metrics.arrays import Integers

RESAMPLES = 200
"""Of an interval; each counts all detections again."""
KINDS: Mapping[str, str] = {"box": "bbox", "mask": "segm"}
"""What is compared -> COCO's word."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, in pixels of the image; M detections."""

    boxes: NDArray[np.float32]
    """[M, 4] left, top, right, bottom."""
    labels: NDArray[np.int64]
    """[M] places in the list of classes."""
    scores: NDArray[np.float32]
    """[M] 0 to 1."""
    masks: NDArray[np.bool_] | None = None
    """[M, H, W]."""


@dataclass(eq=False)
class CocoScores:
    """Images with what is there and what was found, added one by one; masks as compressed run lengths.

    Args:
        num_classes: C.

    Raises:
        MissingDependency: faster-coco-eval is not installed.
    """

    num_classes: int
    _images: list[dict[str, Any]] = field(default_factory=list)
    _truth: list[dict[str, Any]] = field(default_factory=list)
    _found: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        import_coco_eval()

    def add(self, truth: Instances, found: Detections, *, size: tuple[int, int]) -> None:
        """Add the next image.

        Args:
            truth: Its objects; ignored regions are COCO's crowds: what is found in them counts neither for
                nor against.
            found: The detections.
            size: Height and width, pixels.
        """
        number = len(self._images) + 1  # COCO's tools take an id of 0 for none
        self._images.append({"id": number, "height": size[0], "width": size[1]})
        for row in range(len(truth)):
            mask = None if truth.masks is None else truth.masks[row]
            about = _annotation(number, truth.boxes[row], truth.labels[row], mask)
            about |= {"id": len(self._truth) + 1, "iscrowd": int(truth.ignored[row])}
            self._truth.append(about)
        for row in range(len(found.labels)):
            mask = None if found.masks is None else found.masks[row]
            about = _annotation(number, found.boxes[row], found.labels[row], mask)
            self._found.append({**about, "score": float(found.scores[row])})

    def write(self, folder: Path, *, classes: Sequence[str], names: Sequence[str]) -> None:
        """Write what was added as COCO's two files; scored by COCO's tools they give the same precision.

        Args:
            folder: Theirs alone.
            classes: [C] names.
            names: Of the images, in the order they were added: their `file_name`.

        Raises:
            StorageError: The disk refused.
        """
        named = [{**one, "file_name": name} for one, name in zip(self._images, names, strict=True)]
        found = [{key: value for key, value in one.items() if key != "area"} for one in self._found]
        write_coco(folder, images=named, annotations=self._truth, detections=found, classes=classes)

    def average_precision(
        self,
        kind: Literal["box", "mask"],
        groups: Integers | Sequence[int],
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> dict[str, Interval]:
        """`AP`, the mean over IoU from 0.5 to 0.95 in steps of 0.05, and `AP50`, each with its 95% interval.

        In each resample whole groups of images are drawn again, and the stored matches of the drawn images
        are counted anew by the same library; an image drawn twice counts as two. Resamples of few images
        score too high, so the ends are corrected for bias (`metrics.bca`), though not for skew: that would
        count as often as there are groups.

        Args:
            kind: What is compared.
            groups: [N] one integer an image.
            resamples: How often.
            seed: Of the drawing.
        """
        matches = _Matches(self._evaluated(kind), len(self._images))

        def measure(counts: NDArray[np.int64]) -> NDArray[np.float64]:
            every = np.arange(counts.shape[1])
            return np.array([matches.counted(np.repeat(every, one)) for one in counts])

        codes = np.asarray(groups, dtype=np.int64)
        found = image_interval(measure, codes, resamples=resamples, seed=seed, skew=False)
        return dict(zip(("AP", "AP50"), found, strict=True))

    def _evaluated(self, kind: Literal["box", "mask"]) -> Any:
        library = import_coco_eval()
        # The library writes into what it is given.
        truth = library.COCO(
            {
                "images": [dict(one) for one in self._images],
                "annotations": [dict(one) for one in self._truth],
                "categories": [{"id": one + 1, "name": str(one)} for one in range(self.num_classes)],
            }
        )
        found = truth.loadRes([dict(one) for one in self._found])
        evaluator = library.COCOeval_faster(
            truth, found, KINDS[kind], separate_eval=True, print_function=lambda *_: None
        )
        # Small, medium and large are not told apart here, and take three quarters of the time.
        evaluator.params.areaRng, evaluator.params.areaRngLbl = evaluator.params.areaRng[:1], ["all"]
        evaluator.evaluate()
        return evaluator


class _Matches:
    """The library's matches of each class and image, to be counted for any list of images."""

    def __init__(self, evaluator: Any, images: int) -> None:
        self._evaluator = evaluator
        whole = np.array(evaluator._evalImgs_cpp, dtype=object)
        self._table = whole.reshape(-1, images)  # [C, N]; there is one range of areas

    def counted(self, images: NDArray[np.int64]) -> NDArray[np.float64]:
        """AP and AP50 of these images; NaN where there is no object to be found."""
        self._evaluator._evalImgs_cpp = self._table[:, images].ravel().tolist()
        self._evaluator._paramsEval.imgIds = list(range(len(images)))
        self._evaluator.accumulate()
        precision = self._evaluator.eval["precision"][:, :, :, 0, -1]  # [IoU, recall, C]; -1: no object
        known = np.where(precision > -1, precision, np.nan)
        if np.isnan(known).all():
            return np.full(2, np.nan)
        return np.array([np.nanmean(known), np.nanmean(known[0])])


def import_coco_eval() -> Any:
    """The module faster_coco_eval.

    Raises:
        MissingDependency: It is not installed.
    """
    try:
        import faster_coco_eval
    except ImportError:
        raise MissingDependency("faster_coco_eval", extra="detection", purpose="COCO's mAP") from None
    return faster_coco_eval


def _annotation(
    image: int, box: NDArray[np.float32], label: np.int64, mask: NDArray[np.bool_] | None
) -> dict[str, Any]:
    left, top, right, bottom = (float(side) for side in box)
    sides = [left, top, right - left, bottom - top]
    about = {"image_id": image, "category_id": int(label) + 1, "bbox": sides, "area": sides[2] * sides[3]}
    if mask is not None:
        from faster_coco_eval.core import mask as mask_library

        runs = mask_library.encode(np.asfortranarray(mask.astype(np.uint8)))
        about["segmentation"] = {"size": list(mask.shape), "counts": runs["counts"].decode("ascii")}
        about["area"] = float(mask.sum())
    return about
