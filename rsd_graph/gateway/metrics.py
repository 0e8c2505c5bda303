"""What Prometheus reads at `/metrics`."""

import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from rsd_graph.state import Author, Stop, Usage

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which several gateway processes count together; prometheus_client reads it."""

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
"""Bounds of the histograms' buckets."""

NODE_OF_EVENT = {"proposed": "draft", "scored": "score", "replaced": "target", "kept": "check"}
"""The node that has run when an event arrives."""


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter("rsd_requests", "Requests, by HTTP status.", ["status"], registry=own)
        self.active = Gauge("rsd_active_runs", "Runs in progress.", registry=own, multiprocess_mode="livesum")
        self.seconds = Histogram("rsd_request_seconds", "Seconds per request.", registry=own, buckets=SECONDS)
        self._nodes = Histogram(
            "rsd_node_seconds", "Seconds per call of a node.", ["node"], registry=own, buckets=SECONDS
        )
        self._proposals = Counter(
            "rsd_proposals", "The draft's steps, by whether they were accepted.", ["accepted"], registry=own
        )
        self._steps = Counter("rsd_steps", "Kept steps, by author.", ["author"], registry=own)
        self._tokens = Counter(
            "rsd_tokens",
            "Tokens, by role and kind: prompt (all that were sent), cached (of these), completion.",
            ["role", "kind"],
            registry=own,
        )
        self._discarded = Counter("rsd_discarded_tokens", "Tokens written and then discarded.", registry=own)
        self._runs = Counter("rsd_runs", "Runs, by why they ended.", ["stop"], registry=own)

    def scored(self, *, accepted: bool) -> None:
        """The draft's step was accepted, or not."""
        self._proposals.labels("true" if accepted else "false").inc()

    def kept(self, author: Author) -> None:
        """A step is part of a response."""
        self._steps.labels(author).inc()

    def node(self, name: str, seconds: float) -> None:
        """A node has run."""
        self._nodes.labels(name).observe(seconds)

    def ended(self, stop: Stop | None, usage: Usage, *, stop_text: bool) -> None:
        """A run has ended, in whichever way."""
        self._runs.labels(stop or ("stop_text" if stop_text else "broken_off")).inc()
        for role in ("draft", "target", "reward"):
            for kind in ("prompt", "cached", "completion"):
                self._tokens.labels(role, kind).inc(getattr(getattr(usage, role), kind))
        self._discarded.inc(usage.discarded)

    def page(self) -> bytes:
        """All of it, in Prometheus's text format; with several processes, of all of them."""
        folder = os.environ.get(SHARED)
        if folder is None:
            return generate_latest(self.registry)
        _forget_dead_processes(Path(folder))
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


class NodeClock:
    """Tells the seconds of each node by when its event arrives.

    Args:
        metrics: Told the seconds.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._last = time.monotonic()

    def saw(self, event: str) -> None:
        """An event has arrived."""
        now = time.monotonic()
        if event in NODE_OF_EVENT:
            self._metrics.node(NODE_OF_EVENT[event], now - self._last)
        self._last = now


def _forget_dead_processes(folder: Path) -> None:
    """Runs of a process that was killed are no longer in progress."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]
