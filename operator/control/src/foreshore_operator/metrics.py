"""Prometheus metrics and the probes' endpoints of the operator.

`/healthz` fails when no pass has ended for minutes although the mirrors are there, or when Kopf's
thread does not answer: a loop hangs.
`/readyz` means that the mirrors are filled, not that this replica leads: both replicas are ready.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import prometheus_client
from aiohttp import web

from foreshore_api.wire import metrics as names

HANGING = 180.0
"""Seconds without a pass after which the loop counts as hung; a full pass is due every 30."""


class Metrics:
    """The operator's own registry, so that tests run several operators in one process."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.passes = self._counter(names.OPERATOR_PASSES)
        self.writes = self._counter(names.OPERATOR_WRITES)
        self.moves = self._counter(names.OPERATOR_MOVES)
        self.defects = self._counter(names.OPERATOR_DEFECTS)
        self.cut_short = self._counter(names.OPERATOR_CUT_SHORT)
        self.forgotten = self._counter(names.OPERATOR_FORGOTTEN)
        self.differences = self._counter(names.OPERATOR_DIFFERENCES)
        self.history = self._counter(names.OPERATOR_HISTORY)
        self.healed = self._counter(names.OPERATOR_HEALED)
        self.kopf_starts = self._counter(names.OPERATOR_KOPF_STARTS)
        self.pass_seconds = prometheus_client.Histogram(
            names.OPERATOR_PASS_SECONDS.name,
            names.OPERATOR_PASS_SECONDS.help,
            registry=self.registry,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        )
        self.loop_stall = self._lateness(names.OPERATOR_LOOP_STALL)
        self.loop_work = self._lateness(names.OPERATOR_LOOP_WORK)
        self.leader = self._gauge(names.OPERATOR_LEADER)
        self.status_retries = self._counter(names.OPERATOR_STATUS_RETRIES)
        self._queue_length = self._gauge(names.OPERATOR_STATUS_QUEUE)
        self._queue_oldest = self._gauge(names.OPERATOR_STATUS_AGE)

    def status_queue(self, length: Callable[[], int], oldest: Callable[[], float]) -> None:
        """Whom to ask how many statuses wait, and since when the first of them does."""
        self._queue_length.set_function(length)
        self._queue_oldest.set_function(oldest)

    def _lateness(self, metric: names.Metric) -> prometheus_client.Histogram:
        return prometheus_client.Histogram(
            metric.name,
            metric.help,
            registry=self.registry,
            buckets=(0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
        )

    def _gauge(self, metric: names.Metric) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(
            metric.name, metric.help, metric.labels, registry=self.registry
        )

    def _counter(self, metric: names.Metric) -> prometheus_client.Counter:
        return prometheus_client.Counter(
            metric.name, metric.help, metric.labels, registry=self.registry
        )


class ProbeState:
    """What the probes are told."""

    def __init__(
        self,
        is_synced: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        does_kopf_answer: Callable[[], bool] = lambda: True,
    ) -> None:
        self._is_synced = is_synced
        self._does_kopf_answer = does_kopf_answer
        self._clock = clock
        self._last_pass = clock()

    def passed(self) -> None:
        """A pass has ended."""
        self._last_pass = self._clock()

    @property
    def is_ready(self) -> bool:
        """Whether the mirrors are filled."""
        return self._is_synced()

    @property
    def is_alive(self) -> bool:
        """Whether passes end; an API server that is away is no reason to restart."""
        if not self._is_synced():
            self._last_pass = self._clock()  # the first pass is waited for from then on
        do_passes_end = self._clock() - self._last_pass < HANGING
        return do_passes_end and self._does_kopf_answer()


def application(metrics: Metrics, health: ProbeState) -> web.Application:
    """The endpoints `/metrics`, `/healthz`, `/readyz`."""

    async def expose(_: web.Request) -> web.Response:
        return web.Response(
            body=prometheus_client.generate_latest(metrics.registry),
            headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
        )

    async def healthz(_: web.Request) -> web.Response:
        return _answer(is_well=health.is_alive)

    async def readyz(_: web.Request) -> web.Response:
        return _answer(is_well=health.is_ready)

    served = web.Application(client_max_size=1024)
    served.router.add_get("/metrics", expose)
    served.router.add_get("/healthz", healthz)
    served.router.add_get("/readyz", readyz)
    return served


def _answer(*, is_well: bool) -> web.Response:
    return web.Response(text="ok\n") if is_well else web.Response(status=503, text="not ok\n")
