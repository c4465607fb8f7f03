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

from foreshore_agent import series as labelling
from foreshore_agent import windows
from foreshore_agent.engine import effects, events
from foreshore_api.wire import histogram, metrics, report

EXPOSED: Final = 240
"""Histograms that one agent exposes of a kind, each of 114 samples: what a Prometheus must keep of
a thousand agents has to have an end."""

_COUNTERS: Final = (
    metrics.DECISIONS,
    metrics.TELEMETRY,
    metrics.COMMANDS,
)
_BY_POLICY: Final = frozenset(metric.name for metric in _COUNTERS if metric.labels[0] == "policy")
Gauges = Callable[[], Iterable[tuple[metrics.Metric, tuple[str, ...], float]]]
"""Reads the present value of every gauge, and of counters that somebody else keeps durably."""
_BOUNDS: Final = (*(repr(round(bound, 9)) for bound in histogram.BOUNDS), "+Inf")
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
        self._labels = labelling.SeriesLabels()
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
        series.observe(effect.seconds, at, effect.queued)

    def observe_probe(self, peer: str, seconds: float, at: float) -> None:
        """Note one echo of a peer agent."""
        self._probes.setdefault(peer, windows.Series()).observe(seconds, at)

    def assign(self, labels: labelling.SeriesLabels) -> None:
        """Label what follows as assigned, and drop latencies and counters of what is not any more.

        Where a node serves another version now, its times so far are not that one's.
        """
        before, self._labels = self._labels, labels
        self._forget_counters({str(policy) for policy in labels.versions})
        self._stages = {
            (policy, stage, node): seen
            for (policy, stage, node), seen in self._stages.items()
            if policy in labels.versions
            and (
                stage != histogram.Stage.INFERENCE
                or before.version(policy, node) == labels.version(policy, node)
            )
        }
        self._probes = {
            peer: echoes for peer, echoes in self._probes.items() if peer in labels.peers
        }

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
        left_out = 0
        for metric, folded in (
            (metrics.STAGE_SECONDS, self._folded_stages()),
            (metrics.PROBE_SECONDS, self._folded_probes()),
        ):
            family = core.HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, (counts, total) in itertools.islice(sorted(folded.items()), EXPOSED):
                family.add_metric(labels, _cumulative(counts), total)
            left_out += max(0, len(folded) - EXPOSED)
            yield family
        families: dict[str, core.GaugeMetricFamily | core.CounterMetricFamily] = {}
        for gauge, labels, value in (*self._gauges(), (metrics.SERIES_LEFT_OUT, (), left_out)):
            if gauge.name not in families:
                kind = _FAMILIES[gauge.kind]
                families[gauge.name] = kind(gauge.name, gauge.help, labels=gauge.labels)
            families[gauge.name].add_metric(labels, value)
        yield from families.values()

    def _folded_stages(self) -> "Folded":
        return _folded(
            (self._labels.of_stage(policy, stage, node), series)
            for (policy, stage, node), series in self._stages.items()
        )

    def _folded_probes(self) -> "Folded":
        return _folded((self._labels.of_probe(peer), echo) for peer, echo in self._probes.items())


Folded = dict[tuple[str, ...], tuple[list[int], float]]
"""Counts by bucket and the sum in seconds, by the values of labels."""


def _folded(series: Iterable[tuple[tuple[str, ...], windows.Series]]) -> Folded:
    """Add up what has the same labels."""
    folded: Folded = {}
    for labels, part in series:
        counts, total = folded.get(labels, ([0] * len(part.counts), 0.0))
        counts = [ours + theirs for ours, theirs in zip(counts, part.counts, strict=True)]
        folded[labels] = (counts, total + part.total_seconds)
    return folded


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    """Return cumulative counts by upper bound, the last one infinite: the hub's own buckets."""
    running = [float(count) for count in itertools.accumulate(counts)]
    return [*zip(_BOUNDS, running, strict=True)]


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
