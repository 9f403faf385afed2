"""Stages on a Ray cluster: chunks are rows of a Ray Data set, and the stage is mapped over them.

What must be right stays with the process that was called: it lists the chunks, takes the results in their
order, writes, acknowledges and commits, as the embedded runner does (`stages.job`). The cluster reads
and computes. Ray Data bounds what waits in its object store, and does again what was on a worker that died;
a chunk's work is a pure function, so that once and twice are alike.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from synsight.between_processes import packed, unpacked
from synsight.errors import ConfigError, DataError, SynsightError
from synsight.ray_cluster import connect, import_ray
from synsight.stages import Chunk, Stage
from synsight.stages.job import JobRunner, Results
from synsight.stages.work import Result, bare_error, work

CHUNKS_AT_ONCE = 2_048
"""Most chunks of one data set: some seconds of a large cluster, and little memory to list them."""
BYTES_AT_ONCE = 64 << 20
"""Most bytes of their descriptions."""
CHUNKS_A_TASK = 16
"""Most chunks of one task, which Ray takes some 20 ms to place; results leave it one by one."""
TASKS_A_WORKER = 8
"""Fewest tasks for each worker, where there are so many chunks, so that all end at about one time."""
TRIES = 5
"""How often a task is done again after its worker died; a chunk may kill every worker it comes to."""

_RESULT = pa.schema(
    [
        pa.field("number", pa.int64()),
        pa.field("kept", pa.large_binary()),
        pa.field("rejected", pa.large_binary()),
        pa.field("about", pa.large_binary()),
    ]
)
"""A chunk's result on its way back; `about` is pickled by our own worker: (rows_in, reasons), or an error."""

_stages: dict[str, Stage] = {}
"""In a worker: the stage it worked on last, which may hold a model."""


@dataclass(frozen=True, kw_only=True)
class RayRunner(JobRunner):
    """Runs a stage on a Ray cluster; same rows in the same order with the same bytes as the embedded runner.

    Every machine needs the same synsight and sees the source, and a catalog that is read, under the same path
    or URL. What is written is written here.
    """

    address: str | None = None
    """Of the cluster; None: that of RAY_ADDRESS, else a new one on this machine."""
    workers: int | None = None
    """Most chunks worked on at once; None: one a processor core of the cluster."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be >= 1; got {self.workers!r}.")
        import_ray("ray.data", purpose="work on a cluster")

    def results(self, stage: Stage, chunks: Iterator[Chunk]) -> Results:
        """See `JobRunner.results`."""
        first = next(chunks, None)
        if first is None:
            return  # a finished job needs no cluster
        ray, data = import_ray("ray.data", purpose="work on a cluster")
        connect(ray, self.address)
        kept_stage = ray.put(pickled(stage))
        chunks = chain([first], chunks)
        while window := list(_window(chunks)):
            yield from self._window_results(ray, data, kept_stage, window)

    def _window_results(self, ray: Any, data: Any, stage: Any, window: list[tuple[Chunk, bytes]]) -> Results:
        descriptions = ray.put(pa.array([description for _, description in window], pa.large_binary()))
        with data.DataContext.current(_context(data)):
            results = _mapped(data, stage, descriptions, len(window), workers=self.workers or _cores(ray))
        waiting = iter(window)
        try:
            for block in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
                for row in range(block.num_rows):
                    yield next(waiting)[0], _opened(block, row)
        except ray.exceptions.RayError as error:
            raise DataError(
                f"the cluster lost workers more than {TRIES} times on one chunk, or itself ({_line(error)}); "
                "what was finished is kept: mend it and run the same command again."
            ) from error
        if (left := next(waiting, None)) is not None:
            raise DataError(
                f"the cluster gave no result for chunk {left[0].name or left[0].key}; run the command again."
            )


def pickled(value: object) -> bytes:
    """A stage or a chunk for a process that may lack the module it was made in, such as `__main__`.

    Raises:
        ConfigError: It holds something that cannot leave this process.
    """
    (ray_pickle,) = import_ray("ray.cloudpickle", purpose="work on a cluster")[1:]
    try:
        return bytes(ray_pickle.dumps(value))
    except Exception as error:  # whatever an object's own pickling raises
        raise ConfigError(
            f"{type(value).__name__} cannot be sent to a cluster ({_line(error)}); use --runner local."
        ) from error


def _window(chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, bytes]]:
    size = 0
    for chunk in islice(chunks, CHUNKS_AT_ONCE):
        description = pickled(chunk)
        size += len(description)
        yield chunk, description
        if size >= BYTES_AT_ONCE:
            return


def _cores(ray: Any) -> int:
    return max(int(ray.cluster_resources().get("CPU", 1)), 1)


def _context(data: Any) -> Any:
    """Ray Data's settings with results in order, and without its own bars."""
    context = deepcopy(data.DataContext.get_current())
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return context


def _mapped(data: Any, stage: Any, descriptions: Any, chunks: int, *, workers: int) -> Any:
    """A data set of the results of chunks 0 to `chunks - 1`, in this order; nothing is begun yet."""

    def results(numbers: pa.Table) -> Iterator[pa.Table]:
        (ray,) = import_ray(purpose="work on a cluster")
        described = ray.get(descriptions)
        for number in numbers.column("id").to_pylist():
            row = _closed(partial(_stage, ray, stage), number, described[number].as_buffer())
            yield pa.Table.from_pylist([row], schema=_RESULT)

    a_task = min(max(chunks // (TASKS_A_WORKER * workers), 1), CHUNKS_A_TASK)
    tasks = -(-chunks // a_task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_retries has no other way in yet
        return data.range(chunks, override_num_blocks=tasks).map_batches(
            results,
            batch_size=None,
            batch_format="pyarrow",
            compute=data.TaskPoolStrategy(size=min(workers, tasks)),
            max_retries=TRIES,
        )


def _stage(ray: Any, reference: Any) -> Stage:
    key = reference.hex()
    if key not in _stages:
        _stages.clear()
        _stages[key] = _unpickled(ray.get(reference))
    return _stages[key]


def _closed(stage: Callable[[], Stage], number: int, description: pa.Buffer) -> Mapping[str, object]:
    """Do one chunk; an error is a result too, so that it is raised in the chunk's turn."""
    try:
        result = work(stage(), _unpickled(description))
    except SynsightError as error:
        return {"number": number, "kept": b"", "rejected": b"", "about": packed(bare_error(error))}
    return {
        "number": number,
        "kept": _ipc(result.kept),
        "rejected": _ipc(result.rejected),
        "about": packed((result.rows_in, dict(result.reasons))),
    }


def _unpickled(data: Any) -> Any:
    try:
        return unpacked(data)
    except Exception as error:  # whatever a module does that is another one here
        raise ConfigError(
            f"a machine of the cluster cannot take part ({type(error).__name__}: {error}); "
            "install the same version of synsight, and of what you added to it, on all of them."
        ) from error


def _opened(block: pa.Table, row: int) -> Result:
    about = unpacked(block.column("about")[row].as_py())
    if isinstance(about, SynsightError):
        raise about
    rows_in, reasons = about
    return Result(rows_in, _batch(block.column("kept")[row]), _batch(block.column("rejected")[row]), reasons)


def _ipc(batch: pa.RecordBatch) -> bytes:
    file = pa.BufferOutputStream()
    with pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(file.getvalue())


def _batch(cell: pa.Scalar) -> pa.RecordBatch:
    with pa.ipc.open_stream(cell.as_buffer()) as reader:
        return reader.read_next_batch()


def _line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
