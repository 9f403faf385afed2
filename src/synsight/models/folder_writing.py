"""A model folder, written.

MODEL/      config.json, model.safetensors, vocabulary.parquet (if it has words), README.md (model card),
            trained_on.parquet (hashes of the images it was trained on, where they are known)
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from synsight import files
from synsight.errors import ModelError
from synsight.models.card import model_card
from synsight.models.config import Beside, write_config
from synsight.models.weights import digest_of, save_weights

if TYPE_CHECKING:
    from synsight.models.saved import Model

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
VOCABULARY = "vocabulary.parquet"
TRAINED_ON = "trained_on.parquet"
TEXT = "text."
"""What the names of the text half's tensors begin with."""


def write_folder(model: "Model", folder: Path, *, with_text: bool) -> Path:
    """Write a model folder, whole or not at all; an older model there is replaced.

    Raises:
        ModelError: The folder holds something that is no model, or the text half cannot be read.
        StorageError: The disk refused.
    """
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / CONFIG).exists():
        raise ModelError(
            f"{folder}: expected a model folder or a new one, found other files; choose another folder."
        )
    state, digest, text_digest = model.image_state(), model.digest, ""
    config = replace(model.config, text={})
    if with_text and model.reads_text:
        config = replace(config, text=model.text.settings)
        text = {f"{TEXT}{name}": value for name, value in model.text.state_dict().items()}
        state, text_digest = state | text, digest_of(text, settings=dict(config.text))
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        save_weights(temporary / WEIGHTS, state)
        write_config(
            temporary / CONFIG,
            config,
            Beside(digest=digest, text_digest=text_digest, label_names=model.label_names),
        )
        files.write_text(temporary / "README.md", model_card(config, name=folder.name, digest=digest))
        if model.vocabulary is not None:
            model.vocabulary.save(temporary / VOCABULARY)
        if (trained_rows := model.trained_rows) is not None and model.knows_trained_rows:
            trained_rows.save(temporary / TRAINED_ON)
    return folder
