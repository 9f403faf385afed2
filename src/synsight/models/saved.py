"""The model as it is kept and used: an encoder, perhaps a head, and all that is needed to feed and to read
them.

MODEL/      config.json, model.safetensors, vocabulary.parquet (if it has words), README.md (model card),
            trained_on.parquet (hashes of the images it was trained on, where they are known)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from synsight import files
from synsight.data.images import decode_image
from synsight.data.trained_rows import NOTHING, TrainedRows
from synsight.data.views import Pixels, normalise, plain_view
from synsight.errors import ModelError, ShapeError
from synsight.language.vocabulary import Vocabulary
from synsight.models.card import model_card
from synsight.models.config import Beside, ModelConfig, write_config
from synsight.models.text_side import TEMPLATES, TextSide
from synsight.models.weights import digest_of, save_weights

TRAINED_ON = "trained_on.parquet"

Images = Sequence[Image.Image] | Sequence[bytes] | NDArray[np.uint8]
"""PIL images, encoded images as bytes, or uint8 [N, H, W, 3]."""


class Model:
    """An image encoder with its preprocessing, and what its scores are called.

    Attributes:
        encoder: A plain module of timm's or open_clip's, [B, 3, S, S] -> [B, D].
        config: How to build, feed and read it.
        head: Linear from features to scores; None: the model only embeds.
        projection: Linear without bias from features to the space shared with texts, [B, D] -> [B, P];
            None: the features are in that space, or there is none.
        vocabulary: Names of the scores when `config.head` is "words".
        label_names: Names of the scores when `config.head` is "labels".
        name: What the user calls it.

    Args:
        text: The text half, or what reads it when it is first needed; None: the model reads no text.
        trained_rows: The images it was trained on, or what reads them; None: nobody knows.
    """

    def __init__(
        self,
        encoder: nn.Module,
        config: ModelConfig,
        *,
        head: nn.Linear | None = None,
        projection: nn.Linear | None = None,
        vocabulary: Vocabulary | None = None,
        label_names: list[str] | None = None,
        text: TextSide | Callable[[], TextSide] | None = None,
        trained_rows: TrainedRows | Callable[[], TrainedRows] | None = None,
        name: str = "",
    ) -> None:
        self.encoder, self.config, self.head, self.projection = encoder, config, head, projection
        self.vocabulary, self.label_names = vocabulary, label_names
        self._text, self._trained_rows = text, trained_rows
        if isinstance(text, TextSide):
            self.config = config = replace(config, text=text.settings)
        if isinstance(trained_rows, TrainedRows):
            told = {**config.trained_on, "images": trained_rows.digest}
            self.config = config = replace(config, trained_on=told)
        self.name = name or config.encoder
        _check_head(config, head, vocabulary, label_names)
        if config.text and text is None:
            raise ModelError(
                f"{self.name}: the config speaks of a text tower, found none; give both or none."
            )
        if (0 if projection is None else projection.out_features) != config.projection_dim:
            raise ModelError(
                f"{self.name}: the config speaks of a projection to {config.projection_dim} numbers, found "
                f"{projection or 'none'}; the two must agree."
            )

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

    def embed_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> NDArray[np.float32]:
        """Texts in the space of `project`, unit rows, float32 [N, P].

        Raises:
            ModelError: The model reads no text, or its text tower is not on this machine.
            MissingDependency: The text tower needs a package that is not installed.
        """
        rows: NDArray[np.float32] = self.text.embed(texts, batch_size=batch_size).cpu().numpy()
        return rows

    def zero_shot(
        self,
        images: Images,
        names: Sequence[str],
        *,
        templates: Sequence[str] = TEMPLATES,
        batch_size: int = 256,
    ) -> NDArray[np.float32]:
        """Probabilities of classes that are known by name alone, float32 [N, C], rows of sum 1.

        Args:
            images: N images.
            names: C class names.
            templates: Sentences around a name, "{}" standing for it; their embeddings are averaged.
            batch_size: Images computed at a time.

        Raises:
            ModelError, MissingDependency: As `embed_texts`.
            ConfigError: A template without "{}".
        """
        classes = self.text.classes(names, templates=templates)

        def probabilities(pixels: Tensor) -> Tensor:
            with torch.inference_mode():
                cosines = F.normalize(self.project(self.features(pixels)), dim=1) @ classes.T
                return (self.text.logit_scale * cosines).softmax(dim=1)

        return self._map(images, probabilities, len(names), batch_size)

    @property
    def reads_text(self) -> bool:
        """Whether there is a text half."""
        return self._text is not None

    @property
    def text(self) -> TextSide:
        """The text half; read when it is first asked for.

        Raises:
            ModelError: The model reads no text, or its text tower is not on this machine.
        """
        if self._text is None:
            raise ModelError(
                f"{self.name}: reads no text, so it knows no class by name alone; use a model trained with "
                "clip or siglip, or 'open-clip:NAME/WEIGHTS'."
            )
        if not isinstance(self._text, TextSide):
            self._text = self._text()
        return self._text.to(self.device)

    @property
    def trained_rows(self) -> TrainedRows | None:
        """The images it was trained on; None: nobody knows. Read when first asked for.

        Raises:
            DataError: The model folder's list cannot be read.
        """
        if self._trained_rows is None and self.config.method == "untrained":
            return NOTHING
        if callable(self._trained_rows):
            self._trained_rows = self._trained_rows()
        return self._trained_rows

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
        each time. A text tower does not count: it changes nothing about images.
        """
        return digest_of(self._image_state(), settings=self._beside_the_weights())

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return next(self.encoder.parameters()).device

    def to(self, device: torch.device | str) -> "Model":
        """Move all parts; returns the same model."""
        for part in self._parts().values():
            part.to(device)
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

    def project(self, features: Tensor) -> Tensor:
        """Features [B, D] in the space shared with texts, [B, P], not normalised; the features themselves
        where the model has no projection.
        """
        if self.projection is None:
            return features
        projections: Tensor = self.projection(features)
        return projections

    def save_pretrained(self, folder: str | Path, *, with_text: bool = True) -> Path:
        """Write the model folder, whole or not at all; an older model there is replaced.

        Args:
            folder: New, empty, or a model folder.
            with_text: Keep the text half, if the model has one.

        Raises:
            ModelError: The folder holds something that is no model, or the text half cannot be read.
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
        state, digest, text_digest = self._image_state(), self.digest, ""
        config = replace(self.config, text={})
        if with_text and self._text is not None:
            config = replace(config, text=self.text.settings)
            text = {f"text.{name}": value for name, value in self.text.state_dict().items()}
            state, text_digest = state | text, digest_of(text, settings=dict(config.text))
        with files.replacing(folder) as temporary:
            temporary.mkdir()
            save_weights(temporary / "model.safetensors", state)
            write_config(
                temporary / "config.json",
                config,
                Beside(digest=digest, text_digest=text_digest, label_names=self.label_names),
            )
            files.write_text(temporary / "README.md", model_card(config, name=folder.name, digest=digest))
            if self.vocabulary is not None:
                self.vocabulary.save(temporary / "vocabulary.parquet")
            if self._trained_rows is not None and self.trained_rows is not None:
                self.trained_rows.save(temporary / TRAINED_ON)
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
            interpolation=self.config.interpolation,
            squash=self.config.resize == "squash",
        )

    def _image_state(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": tensor
            for name, part in self._parts().items()
            for key, tensor in part.state_dict().items()
        }

    def _parts(self) -> dict[str, nn.Module]:
        """What has weights, by the names under which they are saved."""
        parts = {"encoder": self.encoder, "head": self.head, "projection": self.projection}
        return {name: part for name, part in parts.items() if part is not None}

    def _beside_the_weights(self) -> list[object]:
        """What features depend on besides the weights; a stem's stride and a crop leave no trace in their
        shapes.
        """
        config = self.config
        settings: list[object] = [
            config.encoder,
            config.stem,
            config.image_size,
            list(config.mean),
            list(config.std),
            config.crop_fraction,
        ]
        # What came later counts only where it is used, so that older models keep their digest.
        later = {
            "arguments": dict(config.arguments),
            "interpolation": config.interpolation,
            "resize": config.resize,
        }
        plain = {"arguments": {}, "interpolation": "bicubic", "resize": "shortest"}
        return settings if later == plain else [*settings, later]

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
