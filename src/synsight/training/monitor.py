"""The monitor: held-out rows, looked at while training goes on, that say how good the features are."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight.data.catalog import Catalog
from synsight.data.views import normalise
from synsight.distributed import World
from synsight.methods import Method, Supervised
from synsight.metrics.arrays import check_finite
from synsight.models import ModelConfig
from synsight.training.config import RunConfig
from synsight.training.held_out import HeldOut, Pixels, choose_rows, share_of, whole_of
from synsight.training.readings import Embedded, Reading, chances, from_numbers, read, to_numbers

EMBED_BATCH = 256
EMBED_COST = 1 / 3
"""Work of embedding an image, in images trained on: the forward pass without the backward one, which costs
twice as much. (By the clock 0.23 to 0.31 of a step of ResNet-18 and ViT-S at 64 px.)"""


class Monitor:
    """Held-out rows, their possible neighbours and their views, decoded once and kept as uint8.

    Args:
        held_out: What is looked at.
        config: The run's settings.
        world: The processes that look together; each embeds its share of the rows, the first reads.
        reason: Why there are no labels or no neighbours; "": there are.
    """

    def __init__(self, held_out: HeldOut, config: RunConfig, *, world: World, reason: str = "") -> None:
        self.config = config.monitor
        self.metric = config.monitor.metric
        self._run, self._held_out, self._world, self._reason = config, held_out, world, reason

    @property
    def rows(self) -> tuple[int, int]:
        """Neighbours, and rows that are asked about."""
        train = self._held_out.train
        return (0 if train is None else train.total, self._held_out.val.total)

    @property
    def chances(self) -> dict[str, float]:
        """What each accuracy would be without features; see `readings.chances`."""
        return chances(self._held_out, self._run)

    @property
    def images(self) -> int:
        """Images that one look embeds, over all processes."""
        views = self._held_out.views
        return sum(self.rows) + (0 if views is None else views.total * views.share.shape[1])

    def every_steps(
        self,
        *,
        batch_size: int,
        num_views: int,
        total_steps: int,
        reads_text: bool = False,
        work_per_image: float = 1.0,
    ) -> int:
        """Steps between two looks, so that all looks cost no more than the configured share of the work.

        One look, at the last step, is taken even where it costs more. The spacing depends on counts alone,
        not on a clock, so that a resumed run looks where the uninterrupted one did.

        Args:
            batch_size: Images a step, over all processes.
            num_views: Views of each.
            total_steps: Of the run.
            reads_text: The class names are embedded too; each sentence counts as an image.
            work_per_image: Of training, where one whole image at full size is 1: less when pictures are
                smaller or tokens are dropped, in the mean over the run.
        """
        if self.config.every_steps is not None:
            return self.config.every_steps
        texts = len(self._held_out.class_names) * len(self.config.zero_shot_templates) * reads_text
        look = (self.images + texts) * EMBED_COST
        work = total_steps * batch_size * num_views * work_per_image
        return math.ceil(total_steps / max(1, math.floor(self.config.share * work / look)))

    def missing(self, method: Method | nn.Module) -> str:
        """Why the reading that counts cannot be taken of this method; "": it can."""
        if self.metric == "none":
            return "monitor.metric is none"
        if self.metric == "lidar" and self._held_out.views is None:
            return "no views of two held-out rows or more are kept (monitor.views_rows)"
        if self.metric in ("rankme", "lidar"):
            return ""
        labels, train = self._held_out.val_labels, self._held_out.train
        if labels is None or (self.metric == "knn_acc1" and train is None):
            return self._reason
        if self.metric == "fewshot_acc1" and (np.bincount(labels) > self.config.shots).sum() < 2:
            return f"no two classes have more than {self.config.shots} held-out rows"
        if self.metric == "zeroshot_acc1" and not reads_text(method):
            return "the method reads no text"
        if self.metric == "head_acc1" and not isinstance(method, Supervised):
            return "the method has no head over labels"
        return ""

    def look(
        self,
        method: Method | nn.Module,
        *,
        device: torch.device,
        autocast: AbstractContextManager[object],
    ) -> Reading:
        """Embed the rows and take every reading; all processes call, and all get the first one's reading.

        Args:
            method: A method, or an encoder alone; it comes back in the mode it was in.
            device: Where it is.
            autocast: The precision of its forward pass.

        Raises:
            DataError: A feature is NaN or infinite.
        """
        with _at_rest(method), autocast:
            embedded = self._embedded(method, device)
        for features in (embedded.val, embedded.train, embedded.views):
            if features is not None:  # in every process, so that none waits for one that has failed
                check_finite(features.reshape(-1, features.shape[-1]))
        reading = read(embedded, self._held_out, self._run) if self._world.is_main else Reading()
        return self._agreed(reading, device)

    def _embedded(self, method: Method | nn.Module, device: torch.device) -> Embedded:
        encoder = method.encoder if isinstance(method, Method) else method
        rows, z = self._held_out, None
        val = self._features(encoder, rows.val, device)[:, 0]
        classes = self._class_embeddings(method, rows.class_names) if rows.class_names else None
        if classes is not None and isinstance(method, Method):
            z = _array(method.image_embeddings(val))
        return Embedded(
            val=_array(val),
            train=None if rows.train is None else _array(self._features(encoder, rows.train, device)[:, 0]),
            views=None if rows.views is None else _array(self._features(encoder, rows.views, device)),
            val_z=z,
            class_z=None if classes is None else _array(classes),
            val_answers=self._answers(method, val),
        )

    def _answers(self, method: Method | nn.Module, features: Tensor) -> list[str] | None:
        """The label that a head gives each row; asked for where it chooses the weights alone."""
        if self.metric != "head_acc1" or not isinstance(method, Supervised):
            return None
        return [method.label_names[number] for number in method.head(features).argmax(dim=1).tolist()]

    def _features(self, encoder: nn.Module, pixels: Pixels, device: torch.device) -> Tensor:
        """Features of all rows' views, [N, Q, D]."""
        images, parts = pixels.share.flatten(0, 1), []
        for start in range(0, len(images), EMBED_BATCH):
            part = images[start : start + EMBED_BATCH].to(device)
            views = normalise(part, mean=pixels.mean, std=pixels.std)
            parts.append(encoder(views.contiguous(memory_format=torch.channels_last)).float())
        shares = self._world.collect(torch.cat(parts).reshape(*pixels.share.shape[:2], -1))
        return whole_of(shares, pixels.total, self._world)

    def _class_embeddings(self, method: Method | nn.Module, names: Sequence[str]) -> Tensor | None:
        """One embedding a class, [C, P]: the mean of its sentences' unit embeddings."""
        if not isinstance(method, Method):
            return None
        templates = self.config.zero_shot_templates
        texts = [one.replace("{}", name.replace("_", " ")) for name in names for one in templates]
        mine = [texts[row] for row in share_of(len(texts), self._world)]
        parts = [
            method.text_embeddings(mine[start : start + EMBED_BATCH])
            for start in range(0, len(mine), EMBED_BATCH)
        ]
        found = [part for part in parts if part is not None]
        if not found:
            return None
        shares = self._world.collect(F.normalize(torch.cat(found).float(), dim=1))
        sentences = whole_of(shares, len(texts), self._world)
        return sentences.reshape(len(names), len(templates), -1).mean(dim=1)

    def _agreed(self, reading: Reading, device: torch.device) -> Reading:
        """The first process's reading in all of them, to the last bit, so that they decide alike."""
        if self._world.size == 1:
            return reading
        numbers = to_numbers(reading, rows=self._held_out.val.total)
        if not self._world.is_main:
            numbers = np.zeros_like(numbers)  # so that the sum is the first process's
        sent = torch.from_numpy(numbers).to(device)
        return from_numbers(self._world.sum(sent).cpu().numpy(), metric=self.metric)


def build_monitor(
    config: RunConfig,
    catalog: Catalog,
    *,
    rows: NDArray[np.int64] | None,
    world: World,
    model: ModelConfig | None = None,
) -> tuple[Monitor | None, str]:
    """The monitor of a run; None when there is no row to look at. And why there are no labels, or "".

    Args:
        config: The run's settings.
        catalog: Where the rows are, unless `config.monitor.data` names another place.
        rows: Positions trained on, when they are not those of `config.where`; only these serve as neighbours.
        world: The processes that look together.
        model: As for `choose_rows`.

    Raises:
        DataError: The label column that was named does not exist.
        CatalogError: The monitor's own catalog cannot be opened.
    """
    held_out, reason = choose_rows(config, catalog, rows=rows, world=world, model=model)
    if held_out is None:
        return None, reason
    return Monitor(held_out, config, world=world, reason=reason), reason


def reads_text(method: Method | nn.Module) -> bool:
    """Whether a method can tell how near an image is to a sentence."""
    if not isinstance(method, Method):
        return False
    with _at_rest(method):
        return method.text_embeddings(["a"]) is not None


@contextmanager
def _at_rest(network: nn.Module) -> Iterator[None]:
    """In evaluation mode and without gradients, and afterwards in the mode it was in."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(training)


def _array(features: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = features.float().cpu().numpy()
    return array
