"""When a run is stopped: the chosen reading has fallen below its peak for good, and not by noise.

Two things must not be taken for a fall. A look is asked of a sample of rows, and the network itself moves
back and forth between two looks; and the peak is the luckiest of all looks so far, so that each later one
lies below it on average even when nothing changes. A look therefore counts only when it lies below the peak
by more than

    max(z s_rows, t s_looks),

where s_rows is the standard error of the difference of the two looks, on the same rows where each row was
right or wrong; s_looks is that of two looks of a network that goes nowhere, from the second differences of
the readings (which a steady rise or fall leaves alone); and z and t are the quantiles at which a peak of so
many looks lies above an equal look with a probability of (1 - confidence) / 2 (Bonferroni; t for the few
differences that s_looks comes from). A look within that noise takes one counted look back, so that a run has
to lie below its peak most of the time.
"""

import base64
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from synsight.training.monitor_config import StoppingConfig
from synsight.training.readings import Reading

LEAST_DIFFERENCES = 6
"""Second differences without which the noise between looks is unknown."""
STANDING_STILL = 0.005
"""Relative change of the loss below which it stands still."""
IN_PROSE = {
    "knn_acc1": "k-NN accuracy",
    "fewshot_acc1": "few-shot accuracy",
    "zeroshot_acc1": "zero-shot accuracy",
    "head_acc1": "accuracy",
    "rankme": "RankMe",
    "lidar": "LiDAR",
}


@dataclass(frozen=True)
class Look:
    """One reading, small enough for a checkpoint."""

    step: int
    value: float
    loss: float | None = None
    """Of training, then."""
    standard_error: float | None = None
    hits: str = ""
    """Which held-out rows were right: bits in base64, padded with zeros; empty: not known by row."""
    rows: int = 0
    """How many `hits` there are."""


@dataclass(frozen=True)
class StoppingState:
    """What has to be remembered from look to look; `settings.to_plain` and `from_plain` keep it in JSON."""

    peak: Look | None = None
    last: Look | None = None
    values: tuple[float, ...] = ()
    """Of all looks."""
    below: int = 0
    """Looks that count against the run."""


@dataclass(frozen=True)
class Decision:
    """What a look means for the run."""

    better: bool
    """These weights are the ones to keep so far."""
    stop: bool
    """End the run; the peak's weights are kept."""
    state: StoppingState


def consider(
    state: StoppingState,
    reading: Reading,
    *,
    step: int,
    total_steps: int,
    loss: float | None,
    config: StoppingConfig,
) -> Decision:
    """Weigh one look against those before it.

    Args:
        state: After the look before; `StoppingState()` at first.
        reading: What the look found; without a chosen value it says nothing, and nothing is kept of it.
        step: Steps taken.
        total_steps: Of the run, were it not stopped.
        loss: Of training, as the log has it at this step; None: unknown.
        config: The rule. When it is not enabled, the peak is followed all the same, and nothing stops.
    """
    if reading.chosen is None:
        return Decision(better=False, stop=False, state=state)
    look = Look(
        step=step,
        value=reading.chosen,
        loss=loss,
        standard_error=reading.standard_error,
        hits=_packed(reading.hits),
        rows=0 if reading.hits is None else len(reading.hits),
    )
    values = (*state.values, look.value)
    if state.peak is None or look.value >= state.peak.value:  # a tie goes to the later one
        risen = state.peak is None or look.value - state.peak.value > config.min_improvement
        below = 0 if risen else state.below
        return Decision(better=True, stop=False, state=StoppingState(look, look, values, below))
    below = state.below
    if step >= config.begin * total_steps:
        noise = noise_between(state.peak, look, values=values, confidence=config.confidence)
        fallen = noise is not None and state.peak.value - look.value > noise
        below = below + 1 if fallen else max(0, below - 1)
    stop = config.enabled and below >= config.patience
    return Decision(better=False, stop=stop, state=replace(state, last=look, values=values, below=below))


def noise_between(peak: Look, look: Look, *, values: tuple[float, ...], confidence: float) -> float | None:
    """How far a look may lie below the peak without having fallen; None: nothing says so yet.

    Args:
        peak: The best look.
        look: A later one.
        values: The readings of all looks, in their order.
        confidence: Of the two-sided interval around the difference, for all looks together.
    """
    tail = (1 - confidence) / 2 / len(values)
    sides = []
    over_rows = _error_of_difference(peak, look)
    if over_rows is not None:
        sides.append(norm.isf(tail) * over_rows)
    differences = np.abs(np.diff(values, n=2))
    if len(differences) >= LEAST_DIFFERENCES:
        # Equal looks with deviation s have second differences of variance 6 s^2; the median does not see the
        # bends of the curve. Neighbouring second differences share looks, so half of them count.
        deviation = float(np.median(differences)) / (norm.ppf(0.75) * math.sqrt(6))
        sides.append(student.isf(tail, len(differences) / 2) * math.sqrt(2) * deviation)
    return float(max(sides)) if sides else None


def sentence(
    state: StoppingState, *, metric: str, total_steps: int, stopped: bool, config: StoppingConfig
) -> str:
    """Where the peak was, what later training lost, and what the loss did meanwhile, in one sentence.

    Args:
        state: After the last look.
        metric: Name of the chosen reading.
        total_steps: Of the run, were it not stopped.
        stopped: The run was ended early.
        config: Whose confidence the interval has.
    """
    peak, last, name = state.peak, state.last, IN_PROSE.get(metric, metric)
    if peak is None or last is None:
        return f"no look could read {name}, so the last weights are kept"
    if peak.step == last.step:
        return f"{name} was highest at the last look, {_number(peak.value)} at step {peak.step:,}"
    lost = peak.value - last.value
    noise = noise_between(peak, last, values=state.values, confidence=config.confidence)
    interval, verdict = "", ""
    if noise is not None:
        interval = f" [{_number(lost - noise)}, {_number(lost + noise)}]"
        verdict = "" if lost > noise else ", no more than noise"
    end = " until the run was stopped" if stopped else ""
    return (
        f"{name} peaked at {_number(peak.value)} at step {peak.step:,} of {total_steps:,}; the "
        f"{last.step - peak.step:,} steps after it{end} lost {_number(lost)}{interval}{verdict}"
        f"{_what_the_loss_did(peak.loss, last.loss)}"
    )


def _error_of_difference(peak: Look, look: Look) -> float | None:
    """Standard error of peak minus look: over the rows' own differences where both know them."""
    if peak.rows and peak.rows == look.rows:
        differences = _unpacked(peak).astype(np.int8) - _unpacked(look).astype(np.int8)
        return float(differences.std() / math.sqrt(len(differences)))
    if peak.standard_error is None or look.standard_error is None:
        return None
    return math.hypot(peak.standard_error, look.standard_error)


def _what_the_loss_did(then: float | None, now: float | None) -> str:
    if then is None or now is None:
        return ""
    change = now - then
    if abs(change) <= STANDING_STILL * abs(then):
        did = "stood still"
    else:
        did = "was still falling" if change < 0 else "was rising"
    return f", while the training loss {did} ({then:.2f} to {now:.2f})"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _packed(hits: NDArray[np.bool_] | None) -> str:
    return "" if hits is None else base64.b64encode(np.packbits(hits).tobytes()).decode()


def _unpacked(look: Look) -> NDArray[np.bool_]:
    bits = np.frombuffer(base64.b64decode(look.hits), dtype=np.uint8)
    return np.unpackbits(bits, count=look.rows).astype(bool)
