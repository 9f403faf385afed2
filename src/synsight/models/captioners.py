"""Image-to-text models of the Hugging Face kind: an image in, a caption out.

    hf-hub:OWNER/NAME[@REVISION]    from the hub, unless cached
    local-dir:PATH                  a folder in transformers' layout

Whatever transformers knows as image-text-to-text is read: BLIP, BLIP-2, GIT and vision-encoder-decoder, which
need no words to begin, and chat models (LLaVA, Qwen-VL, SmolVLM, ...), which are asked in words. Weights come
from safetensors; code that came with a model is not run.
"""

import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image

from synsight import files
from synsight.data.images import decode_image
from synsight.errors import DataError, ImageError, ModelError
from synsight.models.hub import CONVERT, HF_HUB, NOT_READ, cached_only
from synsight.models.prompting import Answer, checked_answer, request_for
from synsight.models.text.libraries import optional_module, reason_of
from synsight.models.text.loading import FETCHED, LOCAL_DIR, NOT_FETCHED

MOST_NEW_TOKENS = 48
"""Longest caption in sub-words; COCO's are about 12, those of chat models about 30."""
LONGEST_SIDE = 1024
"""Pixels of what a processor is given; captioners look no closer, and a photo can have 50 megapixels."""
FETCHED_TOO = ["*.jinja"]
_EDGES = 65_536
"""Bytes at the beginning and the end of a weight file that count for a model's identity."""


class Captioner(Protocol):
    """Says in words what images show."""

    @property
    def name(self) -> str:
        """What `caption_origin` calls it."""

    @property
    def identity(self) -> str:
        """Changes with whatever its answers depend on."""

    def __call__(self, images: Sequence[bytes], contexts: Sequence[str | None], /) -> list[Answer]:
        """An answer for each encoded image; a context is a caption it has, shown only where not None."""


class HubCaptioner:
    """A captioner in transformers' layout; loaded when it is first called.

    Args:
        name: As above.
        device: Where it computes; None: a GPU if there is one.
        batch_size: Images computed at a time.

    Raises:
        ModelError: There is no such model, its files are not safe to read, or the network is not there.
        MissingDependency: transformers is not installed.
    """

    def __init__(self, name: str, *, device: str | None = None, batch_size: int = 8) -> None:
        self._folder = captioner_folder(name)
        self._device, self._batch_size = device, batch_size
        self.name = _shown(name)
        self.identity = folder_identity(self._folder)
        self._loaded: _Network | None = None

    def __call__(self, images: Sequence[bytes], contexts: Sequence[str | None], /) -> list[Answer]:
        """See `Captioner`."""
        if self._loaded is None:
            self._loaded = _Network(self._folder, self._device)
        answers: list[Answer | None] = [None] * len(images)
        readable: list[tuple[int, Image.Image]] = []
        for place, data in enumerate(images):
            try:
                readable.append((place, small_image(data)))
            except ImageError as error:
                answers[place] = Answer(None, error.reason)
        for start in range(0, len(readable), self._batch_size):
            part = readable[start : start + self._batch_size]
            texts = self._loaded.captions([image for _, image in part], [contexts[one] for one, _ in part])
            for (place, _), text in zip(part, texts, strict=True):
                answers[place] = checked_answer(text)
        return [one or Answer(None, "empty") for one in answers]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}  # another process loads it again


def small_image(data: bytes) -> Image.Image:
    """An encoded image as RGB without metadata, its longer side at most 1,024 px.

    Raises:
        ImageError: As `decode_image`.
    """
    image = decode_image(data, shrink_to=LONGEST_SIDE)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return Image.frombytes("RGB", image.size, image.tobytes())


def captioner_folder(name: str) -> Path:
    """The files of a captioner, fetched where the name asks for it.

    Raises:
        ModelError, MissingDependency: As `HubCaptioner`.
    """
    if name.startswith(LOCAL_DIR):
        folder = Path(name.removeprefix(LOCAL_DIR)).expanduser()
        if not folder.is_dir():
            raise ModelError(f"{name}: expected the folder of a captioner, found none; check the path.")
    elif name.startswith(HF_HUB):
        folder = _from_hub(name)
    else:
        raise ModelError(
            f"{name}: expected a captioner as {HF_HUB}OWNER/NAME or {LOCAL_DIR}PATH; write one of them."
        )
    _refuse_code_and_pickles(folder)
    return folder


def folder_identity(folder: Path) -> str:
    """16 hex digits for a model's files: the small ones whole, of weights the size, beginning and end."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".json", ".txt", ".model", ".jinja", ".safetensors"):
            with path.open("rb") as file:
                size = path.stat().st_size
                digest.update(f"{path.name}\0{size}\0".encode())
                is_weights = path.suffix == ".safetensors" and size > 2 * _EDGES
                digest.update(file.read(_EDGES) if is_weights else file.read())
                if is_weights:
                    file.seek(-_EDGES, 2)
                    digest.update(file.read())
    return digest.hexdigest()


class _Network:
    """A model with its processor."""

    def __init__(self, folder: Path, device: str | None) -> None:
        library = optional_module("transformers", purpose="a captioner")
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        kind = getattr(library, "AutoModelForImageTextToText", None) or library.AutoModelForVision2Seq
        bars = optional_module("transformers.utils.logging", purpose="a captioner")
        shown = bars.is_progress_bar_enabled()
        bars.disable_progress_bar()
        try:
            with cached_only(), torch.random.fork_rng(devices=[]):
                self._model = kind.from_pretrained(str(folder), use_safetensors=True, **_LOCAL)
                self._processor = _processor(library, folder)
        except Exception as error:  # transformers raises a dozen unrelated kinds
            raise ModelError(
                f"{folder}: transformers could not load it as a captioner ({reason_of(error)}); check that "
                "it is an image-to-text model and that the folder is whole."
            ) from error
        finally:
            if shown:
                bars.enable_progress_bar()
        half = self._device.type == "cuda"
        self._model = self._model.to(self._device, torch.bfloat16 if half else torch.float32).eval()
        tokenizer = getattr(self._processor, "tokenizer", None)
        if tokenizer is not None:
            tokenizer.padding_side = "left"  # generation goes on at the right
        self._padding = _padding(self._processor)
        self._is_asked = bool(getattr(self._processor, "chat_template", None))
        self._folder = folder

    def captions(self, images: Sequence[Image.Image], contexts: Sequence[str | None]) -> list[str]:
        """What the model says of each image; the likeliest word each time, so that it says it again."""
        try:
            inputs = self._asked(images, contexts) if self._is_asked else self._shown(images)
            inputs = inputs.to(self._device, dtype=self._model.dtype)
            with torch.inference_mode():
                made = self._model.generate(
                    **inputs, max_new_tokens=MOST_NEW_TOKENS, do_sample=False, num_beams=1
                )
            texts: list[str] = self._decoder.batch_decode(
                _answer_tokens(made, inputs), skip_special_tokens=True
            )
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{self._folder}: the captioner needs more memory than {self._device} has; use a smaller one."
            ) from error
        except Exception as error:  # a processor and a model that do not fit fail in any way
            raise ModelError(
                f"{self._folder}: its model and processor do not make captions ({reason_of(error)}); use "
                "another captioner."
            ) from error
        return texts

    @property
    def _decoder(self) -> Any:
        return self._processor if hasattr(self._processor, "batch_decode") else self._processor.tokenizer

    def _shown(self, images: Sequence[Image.Image]) -> Any:
        """Inputs of a model that needs no words."""
        return self._processor(images=list(images), return_tensors="pt")

    def _asked(self, images: Sequence[Image.Image], contexts: Sequence[str | None]) -> Any:
        """Inputs of a chat model."""
        chats = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": image},
                        {"type": "text", "text": request_for(context)},
                    ],
                }
            ]
            for image, context in zip(images, contexts, strict=True)
        ]
        return self._processor.apply_chat_template(
            chats,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            **self._padding,
        )


_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


class _ImagesAndTokens:
    """An image processor and a tokenizer as one, for vision-encoder-decoder models that come without one."""

    def __init__(self, images: Any, tokenizer: Any) -> None:
        self._images, self.tokenizer = images, tokenizer

    def __call__(self, *, images: list[Image.Image], return_tensors: str) -> Any:
        return self._images(images=images, return_tensors=return_tensors)


def _processor(library: Any, folder: Path) -> Any:
    """What the folder has to prepare images and to read tokens."""
    try:
        found = library.AutoProcessor.from_pretrained(str(folder), **_LOCAL)
    except (OSError, ValueError):
        found = None
    if hasattr(found, "image_processor") and hasattr(found, "tokenizer"):
        return found
    return _ImagesAndTokens(
        library.AutoImageProcessor.from_pretrained(str(folder), **_LOCAL),
        library.AutoTokenizer.from_pretrained(str(folder), **_LOCAL),
    )


def _padding(processor: Any) -> dict[str, Any]:
    """How this transformers is told to pad: before 5 by name, since then inside `processor_kwargs`."""
    found = getattr(processor, "apply_chat_template", None)
    if found is not None and "processor_kwargs" in inspect.signature(found).parameters:
        return {"processor_kwargs": {"padding": True}}
    return {"padding": True}


def _answer_tokens(made: torch.Tensor, inputs: Any) -> torch.Tensor:
    """What was said without the question, which some models repeat in front."""
    asked = inputs.get("input_ids")
    if (
        asked is not None
        and made.shape[1] >= asked.shape[1]
        and torch.equal(made[:, : asked.shape[1]], asked)
    ):
        return made[:, asked.shape[1] :]
    return made


def _from_hub(name: str) -> Path:
    hub = optional_module("huggingface_hub", purpose=f"the captioner {name!r}")
    model, _, revision = name.removeprefix(HF_HUB).partition("@")
    try:
        folder = hub.snapshot_download(
            model,
            revision=revision or None,
            allow_patterns=[*FETCHED, *FETCHED_TOO],
            ignore_patterns=NOT_FETCHED,
        )
    except Exception as error:  # the hub and its transport raise a dozen unrelated kinds
        raise ModelError(
            f"{name}: could not be had from the Hugging Face hub ({reason_of(error)}); check the name and "
            f"the network, or download it and use {LOCAL_DIR}PATH."
        ) from error
    return Path(folder)


def _refuse_code_and_pickles(folder: Path) -> None:
    """Raise a ModelError if the folder's files would run code that came with them."""
    if not any(folder.glob("*.safetensors")):
        others = sorted(one.name for one in folder.glob("*") if one.suffix in NOT_READ)
        found = f"{others[0]}; {CONVERT}" if others else "no weights; check the path"
        raise ModelError(f"{folder}: expected a captioner's weights as safetensors, found {found}.")
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith("config.json"):
            try:
                config = files.read_json(path)
            except DataError as error:
                raise ModelError(str(error)) from None
            if isinstance(config, dict) and config.get("auto_map"):
                raise ModelError(
                    f"{path}: asks for code that came with the model, which is not run; use a captioner that "
                    "transformers knows by itself."
                )


def _shown(name: str) -> str:
    """A name for columns and pages, without the folders of this machine."""
    if name.startswith(LOCAL_DIR):
        return Path(name.removeprefix(LOCAL_DIR)).expanduser().resolve().name
    return name.removeprefix(HF_HUB)
