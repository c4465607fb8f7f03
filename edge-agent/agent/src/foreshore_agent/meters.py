"""What the agent counts and times, once, for two readers: the hub's report and Prometheus.

The runtime hands every `Count` and `Observe` effect here, the probes their echoes. Histograms are
exposed by a collector of our own: `prometheus_client` walks all buckets on every observation, which
the path of a decision has no time for, and cannot tell what happened in the last five minutes.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import prometheus_client
from prometheus_client import core

from foreshore_agent import windows
from foreshore_agent.engine import effects, events
from foreshore_api.wire import histogram, metrics, report

EXPOSED_EVERY: Final = 2
"""Prometheus gets every second bound: eight buckets a decade, within 33 %."""

_COUNTERS: Final = (
    metrics.DECISIONS,
    metrics.TELEMETRY,
    metrics.COMMANDS,
)
_BY_POLICY: Final = frozenset(metric.name for metric in _COUNTERS if metric.labels[0] == "policy")
Gauges = Callable[[], Iterable[tuple[metrics.Metric, tuple[str, ...], float]]]
"""Reads the present value of every gauge, and of counters that somebody else keeps durably."""
_FAMILIES: Final = {"gauge": core.GaugeMetricFamily, "counter": core.CounterMetricFamily}


class Meters:
    """Counters and latencies of one agent."""

    def __init__(self) -> None:
        self.registry: Final = prometheus_client.CollectorRegistry()
        self.decisions: dict[str, int] = {}
        self._counters = {
            metric.name: prometheus_client.Counter(
                metric.name, metric.help, metric.labels, registry=self.registry
            )
            for metric in _COUNTERS
        }
        self._children: dict[tuple[str, tuple[str, ...]], prometheus_client.Counter] = {}
        self._decided: dict[tuple[events.Key, str, str], prometheus_client.Counter] = {}
        """Of the decisions' counters those of `_children`, without spelling out their labels."""
        self._telemetry: dict[str, prometheus_client.Counter] = {}
        self._stages: dict[tuple[events.Key, str, str | None], windows.Series] = {}
        self._probes: dict[str, windows.Series] = {}
        self._gauges: Gauges = tuple
        self.registry.register(_Collector(self))

    def read_gauges(self, gauges: Gauges) -> None:
        """Ask this for the gauges whenever somebody looks."""
        self._gauges = gauges

    def count(self, effect: effects.Count) -> None:
        """Add to a counter."""
        self._child(effect.metric, effect.labels).inc(effect.amount)

    def _child(self, metric: str, labels: tuple[str, ...]) -> prometheus_client.Counter:
        child = self._children.get((metric, labels))
        if child is None:
            child = self._children[metric, labels] = self._counters[metric].labels(*labels)
        return child

    def count_decision(self, decided: effects.Decided) -> None:
        """Add one decision by its verdict and reason."""
        key = (decided.policy, decided.verdict, decided.reason)
        child = self._decided.get(key)
        if child is None:
            labels = (str(decided.policy), decided.verdict.value, decided.reason)
            child = self._decided[key] = self._child(metrics.DECISIONS.name, labels)
        child.inc()
        verdict = str(decided.verdict)
        self.decisions[verdict] = self.decisions.get(verdict, 0) + 1

    def count_telemetry(self, result: str) -> None:
        """Add one message by what became of it; on every sample's path, so without an effect."""
        child = self._telemetry.get(result)
        if child is None:
            child = self._counters[metrics.TELEMETRY.name].labels(result)
            self._telemetry[result] = child
        child.inc()

    def observe(self, effect: effects.Observe, at: float) -> None:
        """Note one latency of one stage at a monotonic moment."""
        key = (effect.policy, effect.stage, effect.node)
        series = self._stages.get(key)
        if series is None:
            series = self._stages[key] = windows.Series()
        series.observe(effect.seconds, at)

    def observe_probe(self, peer: str, seconds: float, at: float) -> None:
        """Note one echo of a peer agent."""
        self._probes.setdefault(peer, windows.Series()).observe(seconds, at)

    def forget_others(self, policies: Iterable[events.Key], peers: Iterable[str]) -> None:
        """Drop the latencies and counters of policies and peers that are no longer assigned."""
        kept, near = set(policies), set(peers)
        self._forget_counters({str(policy) for policy in kept})
        self._stages = {key: seen for key, seen in self._stages.items() if key[0] in kept}
        self._probes = {peer: echoes for peer, echoes in self._probes.items() if peer in near}

    def _forget_counters(self, kept: set[str]) -> None:
        """Drop the counters of other policies; one that comes back is counted from zero."""
        gone = [
            (name, labels)
            for name, labels in self._children
            if name in _BY_POLICY and labels[0] not in kept
        ]
        for name, labels in gone:
            del self._children[name, labels]
            self._counters[name].remove(*labels)
        self._decided.clear()

    def stages(self, at: float) -> tuple[report.StageReport, ...]:
        """Return the last five minutes of every stage that saw anything."""
        reports = (
            report.StageReport(
                namespace=policy.namespace,
                policy=policy.name,
                stage=histogram.Stage(stage),
                node=node,
                histogram=series.window(at),
            )
            for (policy, stage, node), series in self._stages.items()
        )
        return tuple(
            itertools.islice((stage for stage in reports if stage.histogram.buckets), 5000)
        )

    def probes(self, peers: Iterable[str], at: float) -> tuple[report.ProbeReport, ...]:
        """Return the last five minutes of echoes of these peers, silent ones included."""
        empty = windows.Series()
        echoes = ((peer, self._probes.get(peer, empty)) for peer in peers)
        return tuple(
            report.ProbeReport(
                node=peer,
                histogram=series.window(at),
                age_seconds=None if series.newest is None else max(0.0, at - series.newest),
            )
            for peer, series in echoes
        )

    def exposition(self) -> Iterator[core.Metric]:
        """Yield gauges and histograms in Prometheus' own form."""
        for metric in (metrics.STAGE_SECONDS, metrics.PROBE_SECONDS):
            family = core.HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, counts, total in self._series(metric):
                family.add_metric(labels, _cumulative(counts), total)
            yield family
        families: dict[str, core.GaugeMetricFamily | core.CounterMetricFamily] = {}
        for gauge, labels, value in self._gauges():
            if gauge.name not in families:
                kind = _FAMILIES[gauge.kind]
                families[gauge.name] = kind(gauge.name, gauge.help, labels=gauge.labels)
            families[gauge.name].add_metric(labels, value)
        yield from families.values()

    def _series(self, metric: metrics.Metric) -> Iterator[tuple[tuple[str, ...], list[int], float]]:
        if metric is metrics.PROBE_SECONDS:
            for peer, series in self._probes.items():
                yield (peer,), series.counts, series.total_seconds
            return
        merged: dict[tuple[str, str], tuple[list[int], float]] = {}
        for (policy, stage, _), series in self._stages.items():
            key = (str(policy), stage)
            counts, total = merged.get(key, ([0] * len(series.counts), 0.0))
            added = [ours + theirs for ours, theirs in zip(counts, series.counts, strict=True)]
            merged[key] = (added, total + series.total_seconds)
        for key, (counts, total) in merged.items():
            yield key, counts, total


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    """Return cumulative counts by upper bound, thinned, the last one infinite."""
    running = list(itertools.accumulate(counts))
    bounds = range(0, histogram.OVERFLOW, EXPOSED_EVERY)
    exposed = [(repr(round(histogram.BOUNDS[i], 9)), float(running[i])) for i in bounds]
    return [*exposed, ("+Inf", float(running[-1]))]


class _Collector:
    """The registry's way to the meters."""

    def __init__(self, meters: Meters) -> None:
        self._meters: Final = meters

    def collect(self) -> Iterator[core.Metric]:
        """Yield what is not a plain counter."""
        yield from self._meters.exposition()

    def describe(self) -> Iterator[core.Metric]:
        """Say nothing at registration: names are fixed elsewhere."""
        yield from ()
