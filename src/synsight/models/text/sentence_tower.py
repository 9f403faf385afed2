"""Text towers of sentence-transformers models, read from a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synsight import files
from synsight.errors import DataError, ModelError
from synsight.models.text.libraries import optional_module, reason_of
from synsight.models.text.module import TextModule
from synsight.models.text.tokens import padded

PURPOSE = "a sentence-transformers model"
FEATURES = {"input_ids", "attention_mask", "token_type_ids", "modality"}
"""What a text transformer is fed by sentence-transformers."""


class SentenceTower(TextModule):
    """A sentence-transformers model as a tower: transformer, pooling and what else the model has.

    Gives what its `encode` gives, with the model's default prompt, if it has one, before each caption.

    Departure: the pooler of BERT and its kin, which no sentence embedding passes through, is left out; as a
    parameter without gradient it would stop data-parallel training.

    Args:
        folder: The model's files; weights as safetensors, no code of its own.
        settings: Name from which to load it again.
        context_length: Tokens of a caption that are read; None: as many as the model says.

    Raises:
        ModelError: The folder is no such model.
        MissingDependency: sentence-transformers is not installed.
    """

    pad_id = -1  # no id of any vocabulary: some models' padding is also the mark they end a text with
    pretrained = True

    def __init__(
        self, folder: Path, *, settings: Mapping[str, Any], context_length: int | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.model = _load(folder)
        self._prompt = (self.model.prompts or {}).get(self.model.default_prompt_name) or ""
        self._check(folder)
        longest = self.model.max_seq_length or 512
        self.context_length = self.model.max_seq_length = min(context_length or longest, longest)
        first = self.model[0]
        is_pooled_later = getattr(first, "module_output_name", "token_embeddings") == "token_embeddings"
        if is_pooled_later and getattr(first.auto_model, "pooler", None) is not None:
            first.auto_model.pooler = None
        self._filler = self.model.tokenizer.pad_token_id or 0
        with torch.no_grad():
            self.embedding_dim = self(self.tokenise(["a"])).shape[1]

    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """As `TextModule`; rows are filled up with -1."""
        ids = self._features(texts)["input_ids"] if texts else []
        width = max(map(len, ids), default=1)
        return torch.from_numpy(padded(ids, width=max(width, 1), fill=self.pad_id)).long()

    def lengths(self, tokens: Tensor) -> Tensor:
        """As `TextModule`."""
        return (tokens != self.pad_id).sum(dim=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """As `TextModule`; of unit length where the model ends in a normalisation."""
        tokens = self.trimmed(tokens)
        is_text = tokens != self.pad_id
        features: dict[str, Any] = {
            "input_ids": tokens.masked_fill(~is_text, self._filler),
            "attention_mask": is_text.long(),
            "modality": "text",
        }
        embeddings: Tensor = self.model(features)["sentence_embedding"]
        return embeddings

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As `TextModule`."""
        transformer = self.model[0].auto_model
        # transformers 5 calls `activation` what was `gradient` before.
        kind = "activation" if hasattr(transformer, "activation_checkpointing_enable") else "gradient"
        if enable:
            getattr(transformer, f"{kind}_checkpointing_enable")({"use_reentrant": False})
        else:
            getattr(transformer, f"{kind}_checkpointing_disable")()

    def tune_for_processor(self) -> None:
        """As `TextModule`: torch's fused attention is slower than its parts for a few dozen tokens."""
        self.model[0].auto_model.set_attn_implementation("eager")

    def _features(self, texts: Sequence[str]) -> dict[str, Any]:
        # Lists: to pad and to make tensors takes transformers ten times as long as to tokenise.
        as_lists = {"text": {"padding": False}, "common": {"return_tensors": None}}
        prompted = [self._prompt + text for text in texts]
        features: dict[str, Any] = self.model.preprocess(prompted, processing_kwargs=as_lists)
        return features

    def _check(self, folder: Path) -> None:
        kind = type(self.model[0]).__name__
        try:
            features = self._features(["a", "a longer one"]) if kind == "Transformer" else {}
        except Exception as error:  # whatever a tokenizer of whatever kind raises
            raise ModelError(
                f"{folder}: its tokenizer does not work ({reason_of(error)}); copy the folder again."
            ) from error
        is_text = FEATURES.issuperset(features) and features.get("modality") == "text"
        if not is_text or not {"input_ids", "attention_mask"} <= features.keys():
            raise ModelError(
                f"{folder}: expected a text transformer, found a {kind} fed with "
                f"{', '.join(features) or 'something else'}; use another sentence-transformers model."
            )
        if self._prompt and not all(getattr(one, "include_prompt", True) for one in self.model):
            raise ModelError(
                f"{folder}: pools around its own prompt, which is not supported; use another model, or take "
                "the default prompt out of its config_sentence_transformers.json."
            )


def _load(folder: Path) -> Any:
    _refuse_code_and_pickles(folder)
    library = optional_module("sentence_transformers", purpose=PURPOSE)
    bars = optional_module("transformers.utils.logging", purpose=PURPOSE)
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        return library.SentenceTransformer(
            str(folder),
            device="cpu",
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # sentence-transformers and transformers raise a dozen unrelated kinds
        raise ModelError(
            f"{folder}: sentence-transformers could not load it ({reason_of(error)}); check that the folder "
            "is whole."
        ) from error
    finally:
        if shown:
            bars.enable_progress_bar()


def _refuse_code_and_pickles(folder: Path) -> None:
    """Raise a ModelError if the folder's files would run code that came with them."""
    parts = [folder]
    if (folder / "modules.json").exists():
        try:
            modules = files.read_json(folder / "modules.json")
            kinds = [str(one["type"]) for one in modules]
            parts += [folder / str(one["path"]) for one in modules]
        except (DataError, TypeError, KeyError) as error:
            raise ModelError(f"{folder / 'modules.json'}: expected a list of modules ({error!r}).") from None
        # Older versions of sentence-transformers import such a class from the folder without being asked to.
        if foreign := [kind for kind in kinds if not kind.startswith("sentence_transformers.")]:
            raise ModelError(
                f"{folder}: its module {foreign[0]!r} is code that came with the model and is not run; use a "
                "model made of sentence-transformers' own modules."
            )
    for part in dict.fromkeys(parts):
        pickles = [*part.glob("*.bin"), *part.glob("*.pt"), *part.glob("*.pkl")]
        if pickles and not any(part.glob("*.safetensors")):
            raise ModelError(
                f"{pickles[0]}: expected weights as safetensors, found a pickle, which is not read because "
                "it can run code; convert it with sentence-transformers' save_pretrained where you trust it."
            )
