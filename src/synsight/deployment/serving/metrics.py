"""What Prometheus reads at /metrics."""

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from synsight.deployment.metric_names import metric_name

SEVERAL_WORKERS = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder through which worker processes add up their numbers."""

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Metrics:
    """Counters of one service; names of routes and heads are ours, never a client's."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            metric_name("serve", "requests", total=True),
            "Answered requests.",
            ["route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            metric_name("serve", "request_duration", "seconds"),
            "From a request's header to its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            metric_name("serve", "requests_in_flight"),
            "Requests at work.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.batches = Histogram(
            metric_name("serve", "batch_images"),
            "Images that went through the encoder together.",
            buckets=BATCHES,
            registry=registry,
        )
        self.confidence = Histogram(
            metric_name("serve", "top_probability", "ratio"),
            "Probability of the likeliest name.",
            ["head"],
            buckets=SHARES,
            registry=registry,
        )
        self.swaps = Counter(
            metric_name("serve", "head_swaps", total=True),
            "Heads put in place while serving.",
            registry=registry,
        )
        self.feedback = Counter(
            metric_name("serve", "feedback", total=True), "Verdicts stored.", ["verdict"], registry=registry
        )

    def follow(self, in_flight: Callable[[], float]) -> None:
        """Read the requests at work when asked; several workers count for themselves."""
        if SEVERAL_WORKERS not in os.environ:
            self.in_flight.set_function(in_flight)

    def text(self) -> bytes:
        """Prometheus' text format; of all workers, where there are several."""
        if SEVERAL_WORKERS not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
