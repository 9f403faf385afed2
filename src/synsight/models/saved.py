"""The model as it is kept and used: an encoder, perhaps a head, and all that is needed to feed and to read
them.

MODEL/      config.json, model.safetensors, vocabulary.parquet (if it has words), README.md (model card),
            trained_on.parquet (hashes of the images it was trained on, where they are known)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synsight.data.trained_rows import NOTHING, TrainedRows
from synsight.data.views import normalise
from synsight.errors import ModelError
from synsight.language.vocabulary import Vocabulary
from synsight.models.config import ModelConfig
from synsight.models.feature_head import FeatureHead
from synsight.models.folder_writing import write_folder
from synsight.models.naming import Naming, likeliest
from synsight.models.parts import check_parts
from synsight.models.preparing import Images, prepared
from synsight.models.text_reading import TextReading
from synsight.models.text_side import TEMPLATES, TextSide


class Model(Naming, TextReading):
    """An image encoder with its preprocessing, and what its scores are called.

    Attributes:
        encoder: A plain module of timm's or open_clip's, [B, 3, S, S] -> [B, D].
        config: How to build, feed and read it.
        head: From features to scores; None: the model only embeds.
        word_head: Linear from features to scores of words: the head itself, or one kept beside a head of
            labels, so that a label's evidence has names; None: the model knows no words.
        projection: Linear without bias from features to the space shared with texts, [B, D] -> [B, P];
            None: the features are in that space, or there is none.
        vocabulary: Names of the scores of `word_head`.
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
        head: nn.Linear | FeatureHead | None = None,
        word_head: nn.Linear | None = None,
        projection: nn.Linear | None = None,
        vocabulary: Vocabulary | None = None,
        label_names: list[str] | None = None,
        text: TextSide | Callable[[], TextSide] | None = None,
        trained_rows: TrainedRows | Callable[[], TrainedRows] | None = None,
        name: str = "",
    ) -> None:
        self.encoder, self.config, self.head, self.projection = encoder, config, head, projection
        self.word_head = head if config.head == "words" and isinstance(head, nn.Linear) else word_head
        self.vocabulary, self.label_names = vocabulary, label_names
        self._text, self._trained_rows = text, trained_rows
        if isinstance(text, TextSide):
            self.config = config = replace(config, text=text.settings)
        if isinstance(trained_rows, TrainedRows):
            told = {**config.trained_on, "images": trained_rows.digest}
            self.config = config = replace(config, trained_on=told)
        self.name = name or config.encoder
        check_parts(self)
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
        """Probabilities, float32 [N, C]: of each word by itself (sigmoid), of the labels against each other
        (softmax), or of each of several labels by itself, as `config.label_scores` says.

        Raises:
            ModelError: The model has no head.
        """
        self._need_head()

        def compute(pixels: Tensor) -> Tensor:
            return self.probabilities(self.features(pixels))

        return self._map(images, compute, self.config.classes, batch_size)

    def word_probabilities(self, images: Images, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Probability of each word by itself, float32 [N, V], in the order of `vocabulary`.

        Raises:
            ModelError: The model knows no words.
        """

        def compute(pixels: Tensor) -> Tensor:
            return self.word_logits(self.features(pixels)).sigmoid()

        words = 0 if self.word_head is None else self.word_head.out_features
        return self._map(images, compute, words, batch_size)

    def words(self, images: Images, *, top: int = 5) -> list[list[tuple[str, float]]]:
        """What the model sees in each image: its likeliest words with their probabilities, likeliest first;
        the labels where it knows no words.

        Raises:
            ModelError: The model has no head.
        """
        if self.word_head is not None and self.vocabulary is not None:
            names, rows = self.vocabulary.names, self.word_probabilities(images)
        else:
            names, rows = self.class_names, self.predict(images)
        return likeliest(rows, names, top=top)

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

        def compute(pixels: Tensor) -> Tensor:
            return self.likeness(self.features(pixels), classes)

        return self._map(images, compute, len(names), batch_size)

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
    def knows_trained_rows(self) -> bool:
        """Whether the list of the images it was trained on is kept with it."""
        return self._trained_rows is not None

    def pixels(self, images: Images) -> Tensor:
        """Decoded, resized and cropped as in evaluation: uint8 [N, 3, S, S] in channels-last order.

        Raises:
            ImageError, ShapeError: As `embed`.
        """
        return prepared(images, self.config)

    def features(self, pixels: Tensor) -> Tensor:
        """uint8 [B, 3, S, S] -> float32 [B, D], without gradient, in evaluation mode."""
        with self._evaluating(), torch.inference_mode():
            views = normalise(pixels.to(self.device), mean=self.config.mean, std=self.config.std)
            features: Tensor = self.encoder(views)
            return features.float()

    def adapted(
        self,
        head: nn.Linear | FeatureHead,
        label_names: Sequence[str],
        *,
        method: str,
        label_scores: Literal["softmax", "sigmoid"] = "softmax",
        trained_on: Mapping[str, object] | None = None,
        trained_rows: TrainedRows = NOTHING,
        name: str = "",
    ) -> "Model":
        """The same encoder with a head of labels; what it knew of words, texts and their space stays.

        Args:
            head: From features [B, D] to a score for each label.
            label_names: C names, unique.
            method: How the head was made, as `adapt:logistic`; the encoder's own stands before it.
            label_scores: Whether one label is right (softmax) or several may be (sigmoid).
            trained_on: What the head learnt from, kept beside what the encoder learnt from; JSON values.
            trained_rows: The images the head learnt from; they join those of the encoder.
            name: What the user calls it; "": as this one.

        Raises:
            ModelError: Head, names and features do not fit together.
        """
        layers = tuple(head.spec) if isinstance(head, FeatureHead) else ()
        learnt = dict(self.config.trained_on) | ({} if trained_on is None else {"head": dict(trained_on)})
        config = replace(
            self.config,
            method=f"{self.config.method} + {method}",
            head="labels",
            classes=len(label_names),
            label_scores=label_scores,
            head_layers=layers,
            words=0 if self.word_head is None else self.word_head.out_features,
            trained_on=learnt,
        )
        return Model(
            self.encoder,
            config,
            head=head,
            word_head=self.word_head,
            projection=self.projection,
            vocabulary=self.vocabulary,
            label_names=list(label_names),
            text=self._text,
            trained_rows=trained_rows.with_earlier(self.trained_rows),
            name=name or self.name,
        )

    def save_pretrained(self, folder: str | Path, *, with_text: bool = True) -> Path:
        """Write the model folder, whole or not at all; an older model there is replaced.

        Args:
            folder: New, empty, or a model folder.
            with_text: Keep the text half, if the model has one.

        Raises:
            ModelError: The folder holds something that is no model, or the text half cannot be read.
            StorageError: The disk refused.
        """
        return write_folder(self, Path(folder), with_text=with_text)

    def _map(
        self, images: Images, compute: Callable[[Tensor], Tensor], width: int, batch_size: int
    ) -> NDArray[np.float32]:
        rows = np.empty((len(images), width), np.float32)
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            rows[part] = compute(self.pixels(images[part])).cpu().numpy()
        return rows

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = self.encoder.training
        self.encoder.eval()
        try:
            yield
        finally:
            self.encoder.train(training)
