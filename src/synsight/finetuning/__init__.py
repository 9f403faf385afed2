"""What trains for a label on top of a model, and what training on it is compared with."""

from synsight.finetuning.finetune import choose_recipe, finetune
from synsight.finetuning.supervised import run_name, supervised_baseline
from synsight.models.transfer_init import TransferInit, transfer_init

__all__ = ["TransferInit", "choose_recipe", "finetune", "run_name", "supervised_baseline", "transfer_init"]
