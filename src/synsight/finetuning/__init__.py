"""What trains a network for a label: for now the supervised baseline that pretraining is compared with."""

from synsight.finetuning.supervised import run_name, supervised_baseline

__all__ = ["run_name", "supervised_baseline"]
