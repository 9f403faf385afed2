"""The network of a run, built from its settings and from what the catalog holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from synsight.data.catalog import Catalog
from synsight.data.training_data import Tokenise, TrainingData
from synsight.errors import DataError
from synsight.language.embedding import caption_embeddings
from synsight.language.vocabulary import Vocabulary, load_vocabulary
from synsight.methods import Method, method_class
from synsight.methods.image_text import ImageText
from synsight.models import StartingEncoder, build_start, embedding_dim
from synsight.models.text import build_text_tower
from synsight.seeding import derive_seed, seed_everything
from synsight.training.config import RunConfig
from synsight.training.levers import apply_levers
from synsight.training.start_head import read_head


@dataclass(frozen=True)
class Language:
    """What a run takes from language."""

    vocabulary: Vocabulary | None = None
    text_encoder: nn.Module | None = None
    """Trained along with the encoder."""
    tokenise: Tokenise | None = None
    caption_embeddings: bool = False
    caption_encoder: str | None = None
    """Name of the frozen encoder that embedded the captions."""
    neighbours: int = 0


def build_language(config: RunConfig, catalog: Catalog) -> Language:
    """What the method needs of language.

    Raises:
        DataError: The catalog has no such vocabulary.
        ModelError: The text encoder is unknown.
    """
    needs = method_class(config.method.name).needs(config.method)
    text_encoder: Any = None
    made_from = caption_embeddings(catalog) if "caption_embedding" in needs else None
    if "tokens" in needs:
        seed_everything(derive_seed(config.seed, "text"))
        method: Any = config.method
        text_encoder = build_text_tower(method.text)
        if config.levers.activation_checkpointing:
            text_encoder.set_grad_checkpointing(True)
    return Language(
        vocabulary=load_vocabulary(catalog, config.words) if "words" in needs else None,
        text_encoder=text_encoder,
        tokenise=None if text_encoder is None else text_encoder.tokenise,
        caption_embeddings="caption_embedding" in needs,
        caption_encoder=None if made_from is None else made_from.encoder,
        neighbours=getattr(config.method, "num_neighbours", 0) if "neighbours" in needs else 0,
    )


def build_encoder(config: RunConfig) -> StartingEncoder:
    """The encoder that the run begins with; an untrained one's weights depend on the seed alone.

    The heads that `build_method` adds are drawn next from the same random state.

    Raises:
        ModelError: The encoder is unknown.
        ConfigError: A lever that the encoder does not have.
    """
    seed_everything(config.seed)
    start = build_start(config.encoder, image_size=config.image_size)
    apply_levers(start.module, config.levers, sizes=sizes_of(config), name=config.encoder)
    return start


def build_method(config: RunConfig, start: StartingEncoder, data: TrainingData, language: Language) -> Method:
    """The method around an encoder.

    Raises:
        DataError: There are too few classes to learn.
        ModelError: The head's first rows are for other labels or features.
    """
    kind: Callable[..., Method] = method_class(config.method.name)  # each class takes what it needs
    needs = method_class(config.method.name).needs(config.method)
    parts: dict[str, Any] = {}
    if needs & {"words", "label"}:
        parts["num_classes"] = _num_classes(config, data, language)
    if config.method.name == "distill":
        parts |= {"mean": start.mean, "std": start.std}
    if "label" in needs:
        parts |= _label_parts(config, start, data)
    if "tokens" in needs:
        parts["text_encoder"] = language.text_encoder
    if "caption_embedding" in needs and issubclass(method_class(config.method.name), ImageText):
        parts |= {"caption_dim": data.caption_dim, "caption_encoder": language.caption_encoder}
    encoder = start.module.train()
    method = kind(encoder, embedding_dim=embedding_dim(encoder), config=config.method, **parts)
    method.starts_pretrained = start.pretrained
    return method


def sizes_of(config: RunConfig) -> frozenset[int]:
    """Sides of all pictures that the encoder will see."""
    small = config.levers.small_size
    whole = {config.image_size, *config.image_sizes, *((small,) if small else ())}
    local = {config.views.local_side(size) for size in whole} if config.views.local_count else set()
    return frozenset(whole | local)


def _label_parts(config: RunConfig, start: StartingEncoder, data: TrainingData) -> dict[str, Any]:
    """What supervised training is told of its labels and begins with."""
    method: Any = config.method
    names = list(data.label_names or ())
    parts: dict[str, Any] = {"label_names": names, "mean": start.mean, "std": start.std}
    if method.class_weights != "none":
        parts["label_counts"] = data.label_counts()
    if method.initial_weights is not None:
        width = embedding_dim(start.module)
        parts["head"] = read_head(Path(method.initial_weights), embedding_dim=width, names=names)
    return parts


def _num_classes(config: RunConfig, data: TrainingData, language: Language) -> int:
    words = language.vocabulary is not None
    found = len(language.vocabulary) if language.vocabulary is not None else len(data.label_names or ())
    least = 1 if words else 2
    if found < least:
        raise DataError(
            f"{data.catalog.path}: {config.method.name} needs {least} classes or more, found {found} in "
            f"{'the vocabulary' if words else f'the column {config.label!r}'}; check the training rows."
        )
    return found
