"""What methods share that look at one view of each image: RangeAugment, where it is wanted."""

from torch import Tensor

from synsight.data.batches import Batch
from synsight.methods.base import Method, Rows
from synsight.methods.range_augment import RangeAugment


class OneView(Method):
    """Features of one view a row.

    Attributes:
        range_augment: None where views stay as they are.
    """

    range_augment: RangeAugment | None

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Features [B, D]; with RangeAugment, in training, also the errors [B, 1] it made."""
        view = batch.views[0]
        if self.range_augment is None or not self.training:
            return {"features": self.encoder(view)}
        view, errors = self.range_augment(view)
        return {"features": self.encoder(view), "range_errors": errors}

    def with_penalty(self, loss: Tensor, rows: Rows, logs: dict[str, Tensor]) -> Tensor:
        """The loss and RangeAugment's penalty, the mean over all rows; its error goes into the logs."""
        if self.range_augment is None or "range_errors" not in rows:
            return loss
        errors = rows["range_errors"].float()
        logs["range_error"] = errors.detach().mean()
        return loss + self.range_augment.penalty(errors)

    def begin(self, total_steps: int) -> None:
        """The target of RangeAugment's errors grows until the last step."""
        if self.range_augment is not None:
            self.range_augment.total_steps = total_steps

    def after_step(self) -> None:
        """Keep RangeAugment's ranges in their bounds."""
        if self.range_augment is not None:
            self.range_augment.clamp()
