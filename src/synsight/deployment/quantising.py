"""Eight bits in place of 32: static quantisation of an ONNX encoder, calibrated on images it will see.

Weights become int8, one scale a channel; activations uint8, their ranges taken from calibration images (QDQ
form, ONNX Runtime's quantiser). Convolutions and matrix products of the encoder are computed in eight bits;
the heads stay in float32: they cost little, decide everything, and those of few-label methods compare
cosines.
"""

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synsight.deployment.onnx_graphs import FEATURES, PIXELS
from synsight.deployment.without_reports import import_onnxruntime
from synsight.errors import MissingDependency, ModelError

CALIBRATION_IMAGES = 128
CHOICE_IMAGES = 128
"""Training images that say which attempt is taken; none of them is among those of the calibration."""
BATCH = 16
KINDS = ("Conv", "Gemm", "MatMul")
"""Operations that are computed in eight bits."""


@dataclass(frozen=True)
class Attempt:
    """A way to quantise."""

    ranges: Literal["percentile", "minmax", "entropy"]
    """How the range of an activation follows from the calibration images: 99.999% of its values, all of them,
    or by the least Kullback-Leibler divergence."""
    keep_fragile: bool = False
    """Leave in float32 what breaks first: the first convolution, and those that see one channel each
    (depthwise), whose ranges differ most from channel to channel."""

    def __str__(self) -> str:
        return self.ranges + (", first and depthwise convolutions in float32" if self.keep_fragile else "")


ATTEMPTS = (Attempt("percentile"), Attempt("minmax"), Attempt("percentile", True), Attempt("entropy", True))
"""In this order, until one answers as the model does."""


def quantise(
    source: Path,
    target: Path,
    *,
    calibration: NDArray[np.uint8],
    agreement: Callable[[Path], float],
    enough: float,
) -> Attempt:
    """Write the quantised form of an ONNX file: the first attempt that agrees enough with the model, else the
    one that agrees best.

    Args:
        source: From `pixels` to `features`, and perhaps on from there.
        target: Where the quantised file goes.
        calibration: Pixels [N, 3, S, S].
        agreement: Judges a file: the share of its answers that are the model's.
        enough: Share from which on no other attempt is made.

    Raises:
        ModelError: ONNX Runtime cannot quantise it.
        MissingDependency: onnx or onnxruntime is not installed.
    """
    prepared = target.with_name("prepared.onnx")
    tried: dict[Attempt, float] = {}
    fragile = _prepare(source, prepared)
    try:
        for attempt in ATTEMPTS:
            if attempt.keep_fragile and not fragile.first:
                continue
            _attempt(prepared, target, attempt, fragile, calibration)
            tried[attempt] = agreement(target)
            if tried[attempt] >= enough:
                return attempt
        best = max(tried, key=lambda one: tried[one])
        _attempt(prepared, target, best, fragile, calibration)
        return best
    finally:
        prepared.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Nodes:
    """Names of operations that stay in float32."""

    head: list[str]
    first: list[str]
    """The first and the depthwise convolutions."""


def _prepare(source: Path, prepared: Path) -> _Nodes:
    """Write the graph with constants folded, each operation named."""
    import_onnxruntime(purpose="quantising")
    try:
        import onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise MissingDependency(
            str(error.name or "onnx").partition(".")[0], extra="export", purpose="quantising"
        ) from None
    with _quiet(source):
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(str(prepared))
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    onnx.save(model, str(prepared))
    return _nodes(model.graph)


def _nodes(graph: Any) -> _Nodes:
    makers = {output: node for node in graph.node for output in node.output}
    waiting, encoder = [FEATURES], set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in encoder:
            encoder.add(node.name)
            waiting += node.input
    shapes = {one.name: list(one.dims) for one in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv" and node.name in encoder]
    # The weight of a depthwise convolution has one input channel: [channels, 1, height, width].
    single = [node.name for node in convolutions if shapes.get(node.input[1], [0, 0])[1] == 1]
    first = [node.name for node in convolutions[:1]]
    return _Nodes([node.name for node in graph.node if node.name not in encoder], first + single)


def _attempt(
    prepared: Path, target: Path, attempt: Attempt, nodes: _Nodes, calibration: NDArray[np.uint8]
) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    methods = {
        "percentile": CalibrationMethod.Percentile,
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
    }
    with _quiet(prepared):
        quantize_static(
            str(prepared),
            str(target),
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=methods[attempt.ranges],
            op_types_to_quantize=list(KINDS),
            nodes_to_exclude=nodes.head + (nodes.first if attempt.keep_fragile else []),
            # In strides of a batch: else the activations of all images are in memory at once.
            extra_options={"CalibStridedMinMax": 1},
        )


class _Reader:
    """Batches of pixels, as ONNX Runtime's calibrators ask for them."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self._waiting = range(len(self))

    def __len__(self) -> int:
        return -(-len(self._pixels) // BATCH)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._waiting = range(start_index, end_index)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        if not self._waiting:
            return None
        number, self._waiting = self._waiting[0], self._waiting[1:]
        return {PIXELS: self._pixels[number * BATCH : (number + 1) * BATCH]}


@contextlib.contextmanager
def _quiet(path: Path) -> Iterator[None]:
    """The quantiser prints and logs; what it raises becomes one sentence."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except Exception as error:  # the quantiser raises a dozen unrelated kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"ONNX Runtime could not quantise {path.name} ({reason}); export it without --quantise."
        ) from error
    finally:
        logging.disable(disabled)
