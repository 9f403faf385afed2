"""The tasks that read boxes and masks in place of a label, by their names."""

from collections.abc import Mapping

from synsight.evaluation.judged import LabelFreeTask
from synsight.finetuning.dense_task import FROZEN
from synsight.finetuning.detection import DETECTION
from synsight.finetuning.segmentation import SEGMENTATION

DENSE_TASKS: Mapping[str, LabelFreeTask] = {
    kind.name + FROZEN * frozen: kind.task(frozen=frozen)
    for kind in (DETECTION, SEGMENTATION)
    for frozen in (False, True)
}
"""Name -> what answers it; with `_frozen` behind the encoder stays as it is."""
