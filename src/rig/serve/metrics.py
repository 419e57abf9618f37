"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one server, which share nothing with others in the process.

    Args:
        gauges: name -> (what it is, a function that returns it).
    """

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._registry = CollectorRegistry()
        for name, (told, value) in gauges.items():
            Gauge(f"rig_serve_{name}", told, registry=self._registry).set_function(value)
        self.decisions = Counter(
            "rig_serve_decisions", "Decisions that were made.", ["transport"], registry=self._registry
        )
        self.dreams = Counter(
            "rig_serve_dreams",
            "Frames that were dreamed where that was asked.",
            ["transport"],
            registry=self._registry,
        )
        self.refusals = Counter("rig_serve_refusals", "What was refused.", ["code"], registry=self._registry)
        self.seconds = Histogram(
            "rig_serve_decision_seconds",
            "From the asking to the decision, the waiting included.",
            buckets=_SECONDS,
            registry=self._registry,
        )

    def page(self) -> bytes:
        """Return what is scraped."""
        return generate_latest(self._registry)
