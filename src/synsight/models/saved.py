"""The model as it is kept and used: an encoder, perhaps a head, and all that is needed to feed and to read
them.

MODEL/      config.json, model.safetensors, vocabulary.parquet (if it has words), README.md (model card)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from synsight import files
from synsight.data.images import decode_image
from synsight.data.views import Pixels, normalise, plain_view
from synsight.errors import ModelError, ShapeError
from synsight.language.vocabulary import Vocabulary
from synsight.models.card import model_card
from synsight.models.config import ModelConfig, write_config
from synsight.models.weights import digest_of, save_weights

Images = Sequence[Image.Image] | Sequence[bytes] | NDArray[np.uint8]
"""PIL images, encoded images as bytes, or uint8 [N, H, W, 3]."""


class Model:
    """An image encoder with its preprocessing, and what its scores are called.

    Attributes:
        encoder: A plain timm module, [B, 3, S, S] -> [B, D].
        config: How to build, feed and read it.
        head: Linear from features to scores; None: the model only embeds.
        vocabulary: Names of the scores when `config.head` is "words".
        label_names: Names of the scores when `config.head` is "labels".
        name: What the user calls it.
    """

    def __init__(
        self,
        encoder: nn.Module,
        config: ModelConfig,
        *,
        head: nn.Linear | None = None,
        vocabulary: Vocabulary | None = None,
        label_names: list[str] | None = None,
        name: str = "",
    ) -> None:
        self.encoder, self.config, self.head = encoder, config, head
        self.vocabulary, self.label_names = vocabulary, label_names
        self.name = name or config.encoder
        _check_head(config, head, vocabulary, label_names)

    def embed(self, images: Images, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Features of images, float32 [N, D].

        Raises:
            ImageError: Bytes that are no image.
            ShapeError: An array that is not uint8 [N, H, W, 3].
        """
        return self._map(images, self.features, self.config.embedding_dim, batch_size)

    def predict(self, images: Images, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Probabilities, float32 [N, C]: of each word by itself (sigmoid), or of the labels against each
        other (softmax).

        Raises:
            ModelError: The model has no head.
        """
        self._need_head()
        return self._map(images, self._probabilities, self.config.classes, batch_size)

    def words(self, images: Images, *, top: int = 5) -> list[list[tuple[str, float]]]:
        """What the model sees in each image: its likeliest words (or labels) with their probabilities,
        likeliest first.
        """
        names = self.class_names
        answers = []
        for row in self.predict(images):
            best = np.argsort(-row, kind="stable")[:top]
            answers.append([(names[number], float(row[number])) for number in best])
        return answers

    @property
    def class_names(self) -> list[str]:
        """Readable names of the C scores, unique.

        Raises:
            ModelError: The model has no head.
        """
        self._need_head()
        if self.vocabulary is not None:
            return self.vocabulary.names
        return list(self.label_names or ())

    @property
    def digest(self) -> str:
        """12 hex digits that stand for these weights with this architecture and preprocessing; taken anew
        each time.
        """
        return digest_of(self._state(), settings=self._beside_the_weights())

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return next(self.encoder.parameters()).device

    def to(self, device: torch.device | str) -> "Model":
        """Move encoder and head; returns the same model."""
        self.encoder.to(device)
        if self.head is not None:
            self.head.to(device)
        return self

    def pixels(self, images: Images) -> Tensor:
        """Decoded, resized and cropped as in evaluation: uint8 [N, 3, S, S] in channels-last order."""
        if isinstance(images, np.ndarray) and (
            images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8
        ):
            raise ShapeError(
                f"expected images as uint8 [N, H, W, 3]; got {images.dtype} {list(images.shape)}."
            )
        if not len(images):
            return torch.empty(0, 3, self.config.image_size, self.config.image_size, dtype=torch.uint8)
        return torch.from_numpy(np.stack([self._pixels_of(image) for image in images])).permute(0, 3, 1, 2)

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [B, 3, S, S] -> float32 [B, D], without gradient, in evaluation mode."""
        with self._evaluating(), torch.inference_mode():
            views = normalise(pixels.to(self.device), mean=self.config.mean, std=self.config.std)
            features: Tensor = self.encoder(views)
            return features.float()

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model folder, whole or not at all; an older model there is replaced.

        Raises:
            ModelError: The folder holds something that is no model.
            StorageError: The disk refused.
        """
        folder = Path(folder)
        if (
            folder.exists()
            and not (folder / "config.json").exists()
            and (not folder.is_dir() or any(folder.iterdir()))
        ):
            raise ModelError(
                f"{folder}: expected a model folder or a new one, found other files; choose another folder."
            )
        state, digest = self._state(), self.digest
        with files.replacing(folder) as temporary:
            temporary.mkdir()
            save_weights(temporary / "model.safetensors", state)
            write_config(temporary / "config.json", self.config, digest=digest, label_names=self.label_names)
            files.write_text(
                temporary / "README.md", model_card(self.config, name=folder.name, digest=digest)
            )
            if self.vocabulary is not None:
                self.vocabulary.save(temporary / "vocabulary.parquet")
        return folder

    def _probabilities(self, pixels: Tensor) -> Tensor:
        assert self.head is not None
        with torch.inference_mode():
            scores: Tensor = self.head(self.features(pixels))
            return scores.sigmoid() if self.config.head == "words" else scores.softmax(dim=1)

    def _map(
        self, images: Images, compute: Callable[[Tensor], Tensor], width: int, batch_size: int
    ) -> NDArray[np.float32]:
        rows = np.empty((len(images), width), np.float32)
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            rows[part] = compute(self.pixels(images[part])).cpu().numpy()
        return rows

    def _pixels_of(self, image: Image.Image | bytes | Pixels) -> Pixels:
        if isinstance(image, bytes):
            image = decode_image(image)
        elif isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        return plain_view(
            image if image.mode == "RGB" else image.convert("RGB"),
            image_size=self.config.image_size,
            crop_fraction=self.config.crop_fraction,
        )

    def _state(self) -> dict[str, Tensor]:
        state = {f"encoder.{name}": tensor for name, tensor in self.encoder.state_dict().items()}
        if self.head is not None:
            state |= {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()}
        return state

    def _beside_the_weights(self) -> list[object]:
        """What features depend on besides the weights; a stem's stride and a crop leave no trace in their
        shapes.
        """
        config = self.config
        return [
            config.encoder,
            config.stem,
            config.image_size,
            list(config.mean),
            list(config.std),
            config.crop_fraction,
        ]

    def _need_head(self) -> None:
        if self.head is None:
            raise ModelError(
                f"{self.name}: has no head, so it embeds but names nothing; use embed(), or a "
                "model trained on words or labels."
            )

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = self.encoder.training
        self.encoder.eval()
        try:
            yield
        finally:
            self.encoder.train(training)


def _check_head(
    config: ModelConfig, head: nn.Linear | None, vocabulary: Vocabulary | None, label_names: list[str] | None
) -> None:
    scores = 0 if head is None else head.out_features
    names = {"words": len(vocabulary or ()), "labels": len(label_names or ()), None: 0}[config.head]
    if not scores == names == config.classes:
        raise ModelError(
            f"{config.encoder}: the config speaks of {config.classes} classes "
            f"({config.head or 'no head'}), the head has "
            f"{scores} and there are {names} names; the three must agree."
        )
