"""What does the service cost beside the bare ONNX Runtime session, and how does it bear too much?

    python benchmarks/serving.py [--encoder resnet18] [--image-size 224] [--seconds 10] [--requests 20000]

A model without training, JPEGs of 500 x 375 in, features out (/embed), client and service on one machine,
each in processes of its own; rounds of all rows alternate, and the medians are printed. The rows:

    session            prepared pixels through ONNX Runtime as anyone opens it, batches of 8
    decode + session   the same with one thread that decodes and prepares: what a loop in one process has
    N clients          the service; images/s, p50 and p99 of answers that are no 503, share of 503
    slow-loris         200 connections that dribble a header, beside the 8 clients
    p99 against        of accepted requests, in multiples of what 8 clients meet in the same round
    too large          from the first byte beyond 10 MB to the 413, announced and in chunks
    killed             the service is killed in the middle of load and started again
    memory             of the service after the rounds, the first tenth of the requests, and the last;
                       threads and open files

A 503 without Retry-After counts as another status. Left out: networks, other machines, GPUs. On a busy
machine only the ratios mean something, so the load average is printed, too.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

BATCH = 8


def jpegs(count: int = 16) -> list[bytes]:
    """Pictures of some texture, the same on every run."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        out = io.BytesIO()
        small.resize((500, 375), Image.Resampling.BICUBIC).save(out, "jpeg", quality=90)
        found.append(out.getvalue())
    return found


def bare(folder: Path, model_folder: Path, threads: int) -> dict[str, Callable[[], object]]:
    """A batch through the session; and through decoding, preparing and the session, the next one decoded
    meanwhile.
    """
    from synsight.data.images import decode_image
    from synsight.deployment.serving.engine import OnnxEngine, onnx_file
    from synsight.deployment.without_reports import import_onnxruntime
    from synsight.models import load

    model = load(model_folder)
    file = onnx_file(model, folder)
    engine, files = OnnxEngine(model, file, threads=threads), jpegs(BATCH)
    onnxruntime = import_onnxruntime(purpose="the bare session")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def prepared() -> np.ndarray:
        return engine.preparation.pixels([decode_image(one) for one in files])

    pixels, ahead = prepared(), ThreadPoolExecutor(1)
    waiting = ahead.submit(prepared)

    def pipelined() -> None:
        nonlocal waiting
        ready, waiting = waiting.result(), ahead.submit(prepared)
        session.run(None, {name: ready})

    return {"session": lambda: session.run(None, {name: pixels}), "decode + session": pipelined}


def rate(call: Callable[[], object], seconds: float) -> float:
    """Images a second."""
    call()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        call()
        done += BATCH
    return done / (time.perf_counter() - started)


class Running:
    """The command in a process of its own."""

    def __init__(self, model: Path, *words: str) -> None:
        command = [sys.executable, "-m", "synsight", "serve", str(model), "--port", "0", "--json", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.port = int(json.loads(self.process.stdout.readline())["url"].rsplit(":", 1)[1])

    def memory(self) -> float:
        """Megabytes resident."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def held(self) -> str:
        """Threads and open files."""
        process = psutil.Process(self.process.pid)
        return f"{process.num_threads()} threads, {process.num_fds()} open files"

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


async def ask(reader, writer, body: bytes) -> int:
    """One request on an open connection; the answer's status."""
    head = f"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    header = await reader.readuntil(b"\r\n\r\n")
    length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    status = int(header.split(b" ", 2)[1])
    return -status if status == 503 and b"retry-after: " not in header.lower() else status


async def client(
    port: int, bodies: list[bytes], end: float, left: list[int], taken: list[tuple[int, float]]
) -> None:
    """Asks until the time or the requests are over; one refused waits as it is told."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end and left[0] > 0:
        left[0] -= 1
        started = time.perf_counter()
        try:
            status = await ask(reader, writer, bodies[left[0] % len(bodies)])
        except (OSError, asyncio.IncompleteReadError):
            taken.append((0, time.perf_counter() - started))
            return
        taken.append((status, time.perf_counter() - started))
        if status == 503:
            await asyncio.sleep(1)
    writer.close()


def load_by(clients: int, port: int, *, seconds: float = 1e9, requests: int = 10**9) -> dict[str, float]:
    """What so many clients met; in a process of its own, lest it take the service's time."""
    code = f"import runpy; runpy.run_path({__file__!r})['_load']({clients}, {port}, {seconds}, {requests})"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def _load(clients: int, port: int, seconds: float, requests: int) -> None:
    taken: list[tuple[int, float]] = []
    bodies = jpegs(4)

    async def all_of_them() -> float:
        started = time.perf_counter()
        left = [requests]
        await asyncio.gather(*(client(port, bodies, started + seconds, left, taken) for _ in range(clients)))
        return time.perf_counter() - started

    spent = asyncio.run(all_of_them())
    good = sorted(took for status, took in taken if status == 200)
    bad = {status for status, _ in taken} - {200, 503}
    print(
        json.dumps(
            {
                "rate": len(good) / spent,
                "p50": 1000 * statistics.median(good) if good else float("nan"),
                "p99": 1000 * good[int(0.99 * (len(good) - 1))] if good else float("nan"),
                "refused": sum(status == 503 for status, _ in taken) / max(len(taken), 1),
                "other": sorted(bad),
            }
        )
    )


def dribble(port: int, count: int, stop: threading.Event) -> None:
    """Connections that send one byte of a header a second, and come again when they are closed."""
    held: list[socket.socket] = []
    while not stop.is_set():
        while len(held) < count:
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setblocking(False)
            held.append(connection)
        for connection in list(held):
            try:
                connection.send(b"P")
            except OSError:
                held.remove(connection)
                connection.close()
        stop.wait(1)
    for connection in held:
        connection.close()


def show(name: str, met: list[dict[str, float]], whole: list[float]) -> None:
    """The medians of some rounds; the share is that of the session in the same round."""
    middle = {key: statistics.median(one[key] for one in met) for key in ("rate", "p50", "p99", "refused")}
    share = statistics.median(one["rate"] / of for one, of in zip(met, whole, strict=True))
    other = sorted({status for one in met for status in one["other"]})
    print(
        f"{name:18} {middle['rate']:8.1f} {share:7.0%} {middle['p50']:9.1f} {middle['p99']:9.1f} "
        f"{middle['refused']:>7.0%} {other or ''}",
        flush=True,
    )


def rounds(service: Running, calls: dict[str, Callable[[], object]], seconds: float, count: int) -> None:
    """All rows in turn, some times."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    met: dict[str, list[dict[str, float]]] = {}
    for _ in range(count):
        for name, call in calls.items():
            taken[name].append(rate(call, seconds))
        for clients in (1, 8, 200):
            one = load_by(clients, service.port, seconds=seconds)
            met.setdefault(f"{clients} client{'s'[: clients - 1]}", []).append(one)
        stop = threading.Event()
        slow = threading.Thread(target=dribble, args=(service.port, 200, stop))
        slow.start()
        met.setdefault("8 + slow-loris", []).append(load_by(8, service.port, seconds=seconds))
        stop.set()
        slow.join()
    print(f"load average {os.getloadavg()[0]:.1f}")
    whole = taken["session"]
    print(f"{'':18} {'images/s':>8} {'share':>7} {'p50 ms':>9} {'p99 ms':>9} {'503':>7}")
    for name, numbers in taken.items():
        share = statistics.median(one / of for one, of in zip(numbers, whole, strict=True))
        print(f"{name:18} {statistics.median(numbers):8.1f} {share:7.0%}")
    for name, several in met.items():
        show(name, several, whole)
    for name in ("200 clients", "8 + slow-loris"):
        ratios = [one["p99"] / of["p99"] for one, of in zip(met[name], met["8 clients"], strict=True)]
        print(f"{name:18} p99 against that of 8 clients: {', '.join(f'{one:.2f}' for one in ratios)}")


def too_large(port: int, chunked: bool) -> float:
    """Milliseconds from the first byte beyond the limit to the answer, which must be a 413."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        if not chunked:
            started = time.perf_counter()
            connection.sendall(b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000001\r\n\r\n")
        else:
            connection.sendall(
                b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for _ in range(10):
                connection.sendall(b"f4240\r\n" + bytes(1_000_000) + b"\r\n")
            started = time.perf_counter()
            connection.sendall(b"1\r\nx\r\n")
        answer = connection.recv(100)
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    return 1000 * (time.perf_counter() - started)


def refuse(service: Running) -> None:
    """Bodies beyond the limit, announced or not."""
    for name, chunked in (("announced", False), ("in chunks", True)):
        taken = [too_large(service.port, chunked) for _ in range(9)]
        print(f"too large, {name}: 413 after {statistics.median(taken):.1f} ms (largest {max(taken):.1f})")


def soak(service: Running, requests: int) -> None:
    """Memory after a tenth of the requests and after all."""
    rounds_over = service.memory()
    first = load_by(8, service.port, requests=requests // 10)
    before, held = service.memory(), service.held()
    rest = load_by(8, service.port, requests=requests - requests // 10)
    after = service.memory()
    print(
        f"memory: {rounds_over:.0f} MB after the rounds, {before:.0f} MB after {requests // 10:,} requests, "
        f"{after:.0f} MB after {requests:,} ({(after - before) / before:+.1%}); "
        f"{held} before, {service.held()} after; other statuses "
        f"{[*first['other'], *rest['other']] or 'none'}",
        flush=True,
    )


def kill(service: Running, model: Path) -> None:
    """Killed while 8 clients ask, and started again."""
    threading.Timer(2, service.process.kill).start()
    load_by(8, service.port, seconds=4)
    service.process.wait()
    service = Running(model)
    again = load_by(8, service.port, requests=20)
    print(f"killed and started again: other statuses {again['other'] or 'none'}; ", end="")
    print(f"ended by SIGTERM with exit code {service.stop()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_000)
    options = parser.parse_args()
    packages = ("torch", "onnxruntime", "fastapi", "uvicorn", "pillow")
    print(platform.platform(), os.cpu_count(), "cores,", *(f"{name} {version(name)}" for name in packages))
    from synsight.models import load

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = load(f"random:{options.encoder}", image_size=options.image_size).save_pretrained(folder / "m")
        calls = bare(folder, model, os.cpu_count() or 1)
        service = Running(model)
        load_by(8, service.port, requests=16)
        print(f"memory: {service.memory():.0f} MB before the rounds")
        rounds(service, calls, options.seconds, options.rounds)
        refuse(service)
        soak(service, options.requests)
        kill(service, model)


if __name__ == "__main__":
    main()
