"""Files from the Hugging Face hub, for names that ask for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from synsight.errors import ModelError

HF_HUB = "hf-hub:"
"""Prefix of a model name that means a repository of the hub, in timm's layout."""
NOT_READ = (".bin", ".ckpt", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pt2", ".pth", ".skops")
"""Endings of weights that may be pickles."""
CONVERT = "weights in other formats are not read, since they can run code: convert them to safetensors"


def hub_file(name: str, repository: str, files: Sequence[str], *, revision: str | None = None) -> Path:
    """The first of these files that a repository has, from the cache or over the network.

    Args:
        name: What the user called the model.
        repository: "owner/name".
        files: Names inside it, the best first.
        revision: Branch, tag or commit.

    Raises:
        ModelError: There is no such repository, it has none of the files, or there is no network.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for file in files:
        try:
            return Path(hf_hub_download(repository, file, revision=revision))
        except LocalEntryNotFoundError as error:  # not in the cache, and the hub does not answer
            raise _cannot_be_had(name, file, error) from error
        except EntryNotFoundError:
            continue
        except Exception as error:  # the hub and its transport raise a dozen unrelated kinds
            raise _cannot_be_had(name, file, error) from error
    why = CONVERT if files[0].endswith(".safetensors") else "it is not in timm's layout"
    raise ModelError(f"{name}: has no {' or '.join(files)}; {why}, or use another model.")


@contextmanager
def cached_only() -> Iterator[None]:
    """Whatever asks the hub while the block runs is answered from the cache, or fails."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _cannot_be_had(name: str, file: str, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f"{name}: its {file} could not be had ({reason.rstrip('.')}); check the name and the network, or "
        "download it and use local-dir:PATH."
    )
