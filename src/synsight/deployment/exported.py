"""An exported folder, read back and run by ONNX Runtime: nothing here needs torch.

EXPORTED/   model.onnx, preparation.json (how an image becomes the input), names.json (what the scores are
            called), manifest.json, README.md, example.py (the same without synsight)

Letters: N images, S side in pixels, D dimensions of the features, C classes, V words.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synsight.deployment.without_reports import import_onnxruntime
from synsight.errors import ModelError, ShapeError
from synsight.manifest import Key, check_manifest

GRAPH = "model.onnx"
PREPARATION, NAMES = "preparation.json", "names.json"
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
WAYS = ("shortest", "squash")

Images = Sequence[Image.Image] | Sequence[bytes] | NDArray[np.uint8]
"""PIL images, encoded images as bytes, or uint8 [N, H, W, 3]."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How an image becomes what the encoder is shown: bit for bit as `Model.pixels` does it."""

    image_size: int
    """S."""
    crop_fraction: float = 1.0
    """Share of the resized image's side that the centre crop keeps."""
    interpolation: str = "bicubic"
    resize: str = "shortest"
    """`shortest`: proportions are kept and the ends cut off; `squash`: made square whole."""

    def __post_init__(self) -> None:
        if (
            self.interpolation not in FILTERS
            or self.resize not in WAYS
            or isinstance(self.image_size, bool)
            or not isinstance(self.image_size, int)
            or not isinstance(self.crop_fraction, int | float)
            or not (1 <= self.image_size <= 4096 and 0.1 <= self.crop_fraction <= 1)
        ):
            raise ModelError(
                f"expected image_size in 1..4096, crop_fraction in [0.1, 1], interpolation of "
                f"{', '.join(FILTERS)} and resize of {', '.join(WAYS)}; got {asdict(self)}."
            )

    def pixels(self, images: Images) -> NDArray[np.uint8]:
        """Images as uint8 [N, 3, S, S].

        Raises:
            ImageError: Bytes that are no image.
            ShapeError: An array that is not uint8 [N, H, W, 3].
        """
        if isinstance(images, np.ndarray) and (
            images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8
        ):
            raise ShapeError(
                f"expected images as uint8 [N, H, W, 3]; got {images.dtype} {list(images.shape)}."
            )
        found = np.empty((len(images), 3, self.image_size, self.image_size), np.uint8)
        for row, image in enumerate(images):
            found[row] = np.asarray(self.view(_opened(image))).transpose(2, 0, 1)
        return found

    def view(self, image: Image.Image) -> Image.Image:
        """The centre of the resized image, S x S, RGB."""
        image = image if image.mode == "RGB" else image.convert("RGB")
        side = round(self.image_size / self.crop_fraction)
        size = (side, side) if self.resize == "squash" else _shorter_side(image.size, side)
        if size != image.size:
            image = image.resize(size, FILTERS[self.interpolation])
        left, top = (round((length - self.image_size) / 2) for length in image.size)
        return image.crop((left, top, left + self.image_size, top + self.image_size))


@dataclass(frozen=True, kw_only=True)
class Names:
    """What the outputs are called."""

    labels: Sequence[str] = ()
    """C names of `probabilities`."""
    label_scores: str = "softmax"
    """`softmax`: one label is right; `sigmoid`: several may be, or they are words."""
    words: Sequence[str] = ()
    """V names of `word_probabilities`."""


class ExportedModel:
    """A model that `export --format onnx` wrote.

    Attributes:
        preparation: How images become its input.
        names: What its outputs are called.
        outputs: Which of `features`, `scores`, `probabilities`, `word_probabilities` it gives.

    Args:
        session: ONNX Runtime's session, from `pixels` to `outputs`.
    """

    def __init__(self, session: Any, preparation: Preparation, names: Names) -> None:
        self._session, self.preparation, self.names = session, preparation, names
        self.outputs: tuple[str, ...] = tuple(one.name for one in session.get_outputs())

    @classmethod
    def open(
        cls, folder: str | Path, *, threads: int | None = None, key: Key | None = None
    ) -> "ExportedModel":
        """Read the folder, which must be what was exported: every file, every bit, the manifest's own too.

        Args:
            folder: What `export` wrote.
            threads: Processor threads of one call; None: as many as there are cores.
            key: Then the manifest must be signed with it.

        Raises:
            ModelError: A file is missing, was changed or put there, or is none that `export` writes.
            MissingDependency: onnxruntime is not installed.
        """
        folder = Path(folder)
        check_manifest(folder, key)
        preparation = _read(folder / PREPARATION, Preparation)
        names = _read(folder / NAMES, Names)
        return cls(open_session(folder / GRAPH, threads=threads), preparation, names)

    def embed(self, images: Images, *, batch_size: int = 32) -> NDArray[np.float32]:
        """Features, float32 [N, D].

        Raises:
            ImageError, ShapeError: As `Preparation.pixels`.
        """
        return self._map("features", images, batch_size)

    def predict(self, images: Images, *, batch_size: int = 32) -> NDArray[np.float32]:
        """Probabilities, float32 [N, C], in the order of `class_names`.

        Raises:
            ModelError: The model has no head.
            ImageError, ShapeError: As `Preparation.pixels`.
        """
        return self._map("probabilities", images, batch_size)

    def word_probabilities(self, images: Images, *, batch_size: int = 32) -> NDArray[np.float32]:
        """Probability of each word, float32 [N, V], in the order of `names.words`.

        Raises:
            ModelError: The model knows no words.
            ImageError, ShapeError: As `Preparation.pixels`.
        """
        return self._map("word_probabilities", images, batch_size)

    def words(self, images: Images, *, top: int = 5) -> list[list[tuple[str, float]]]:
        """The likeliest words of each image with their probabilities, likeliest first; labels where the model
        knows no words.

        Raises:
            ModelError: It has no head.
        """
        known = "word_probabilities" in self.outputs
        rows = self.word_probabilities(images) if known else self.predict(images)
        names = self.names.words if known else self.class_names
        return [[(names[n], float(row[n])) for n in np.argsort(-row, kind="stable")[:top]] for row in rows]

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the C probabilities."""
        return self.names.labels or self.names.words

    def run(self, pixels: NDArray[np.uint8], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Prepared pixels [N, 3, S, S] -> outputs by name; None: all of them."""
        wanted = list(self.outputs if outputs is None else outputs)
        return dict(zip(wanted, self._session.run(wanted, {"pixels": pixels}), strict=True))

    def _map(self, output: str, images: Images, batch_size: int) -> NDArray[np.float32]:
        if output not in self.outputs:
            raise ModelError(
                f"expected an exported model with {output}, found one with {', '.join(self.outputs)}; export "
                "a model that has what gives them."
            )
        parts = [
            self.run(self.preparation.pixels(images[start : start + batch_size]), [output])[output]
            for start in range(0, max(len(images), 1), batch_size)
        ]
        found: NDArray[np.float32] = np.concatenate(parts)
        return found


def open_session(path: Path, *, threads: int | None = None) -> Any:
    """ONNX Runtime's session of a file, on the processor.

    Raises:
        ModelError: The file is missing or no ONNX.
        MissingDependency: onnxruntime is not installed.
    """
    onnxruntime = import_onnxruntime(purpose="running an exported model")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # its warnings speak of graph optimisations
    # Threads that wait by spinning take the processor from those that decode (benchmarks/serving.py).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has a dozen kinds without a common one
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: expected an ONNX file ({reason}); copy the folder again.") from None


def _read(path: Path, kind: Any) -> Any:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = {key: found[key] for key in kind.__dataclass_fields__ if key in found}
        return kind(**known)
    except (OSError, ValueError, TypeError, RecursionError, ModelError) as error:
        raise ModelError(f"{path}: {error}; copy the exported folder again.") from None


def _opened(image: Any) -> Image.Image:
    if isinstance(image, bytes):
        from synsight.data.images import decode_image

        return decode_image(image)
    return Image.fromarray(image) if isinstance(image, np.ndarray) else image


def _shorter_side(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height with the shorter one made `side`, the longer one rounded down."""
    width, height = size
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side
