"""What a page says of test images that the training pool nearly has."""

from collections.abc import Sequence
from dataclasses import dataclass

from synsight.records import Example


@dataclass(frozen=True, kw_only=True)
class CopyFacts:
    """How many there are, some of them, and what is right without them."""

    test_rows: int
    pool_rows: int
    """Images that were trained on, or could have been."""
    copies: int
    """Test images with a near copy among them."""
    pairs: Sequence[tuple[Example, Example]] = ()
    """A test image and the training image that is most like it; the most alike first."""
    accuracies: Sequence[tuple[str, float, float]] = ()
    """What was asked of whom, the accuracy with these test images, and without."""

    @property
    def share(self) -> float:
        """Of the test images."""
        return self.copies / self.test_rows if self.test_rows else 0.0

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.copies:
            return f"None of the {self.test_rows:,} test images has a near copy in the training pool."
        return (
            f"{self.copies:,} of {self.test_rows:,} test images ({self.share:.1%}) have a near copy in the "
            "training pool."
        )
