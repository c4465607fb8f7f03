"""The hub's own figures for Prometheus; names and meanings are in `foreshore_api.wire.metrics`."""

from typing import Final

import prometheus_client

from foreshore_api.wire import metrics


class Measures:
    """Counters and gauges of one hub, in a registry of its own."""

    def __init__(self) -> None:
        self.registry: Final = prometheus_client.CollectorRegistry()
        self._agents = prometheus_client.Gauge(
            metrics.HUB_AGENTS.name,
            metrics.HUB_AGENTS.help,
            metrics.HUB_AGENTS.labels,
            registry=self.registry,
        )
        self._records = prometheus_client.Counter(
            metrics.HUB_RECORDS.name, metrics.HUB_RECORDS.help, registry=self.registry
        )
        self._refused = prometheus_client.Counter(
            metrics.HUB_REFUSED.name,
            metrics.HUB_REFUSED.help,
            metrics.HUB_REFUSED.labels,
            registry=self.registry,
        )

    def committed(self, count: int) -> None:
        """Count records that were committed."""
        self._records.inc(count)

    def refused(self, reason: str) -> None:
        """Count a request that was refused."""
        self._refused.labels(reason).inc()

    def agents(self, reporting: int, silent: int) -> None:
        """Say how many agents report."""
        self._agents.labels("Reporting").set(reporting)
        self._agents.labels("Silent").set(silent)

    def render(self) -> bytes:
        """Return the exposition."""
        return prometheus_client.generate_latest(self.registry)
