"""What trains for a label on top of a model, and what training on it is compared with."""

from synsight.finetuning.supervised import run_name, supervised_baseline
from synsight.finetuning.transfer_init import TransferInit, transfer_init

__all__ = ["TransferInit", "run_name", "supervised_baseline", "transfer_init"]
