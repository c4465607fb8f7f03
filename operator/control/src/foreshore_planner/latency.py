"""Predicting the end-to-end latency of a policy on a candidate node, and splitting the budget.

From measured histograms.

Stages: Uplink → Decide → Network → Inference → Actuate, which ends with the device's answer: its
acknowledgement, its reply, or the report that echoes what it was told. For any dependence between
stages, P(ΣXᵢ > Σaᵢ) ≤ Σ P(Xᵢ > aᵢ): k stages each taken at the quantile 1 − (1 − 0.99)/k bound the
p99 of their sum (two p99.5 bound a p99). That is the prediction. Tails rarely meet, so that the
bound may miss a budget that holds: where it does, the stages' distributions are convolved, which
gives the p99 of the sum of independent stages. That admits a node, and is shown; nodes are compared
by the bound alone, because two kinds of figure have no order, and one that is measured over its
budget has shown that its stages are not independent. The split shows each stage's own p99.

An Inference that was measured on the node holds what others do there; one that was measured
elsewhere, or is only declared, takes longer where others are at work (`placement.load`).

What was never measured is unknown, not zero: Network falls back to the probes of that node's agent
by the agents that call (what others measure is another way, such as the slow link of a node that is
to be left), then to what the site's agents measured to nodes of that class; Inference to what the
version took on nodes of that class, then to its `expectedInference`; the others, which no choice of
node changes, are left out until they are measured.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from foreshore_api import node_class
from foreshore_api.wire import assignment, histogram, report
from foreshore_planner import contention, distributions, priors, snapshot

Key = tuple[str, str]
"""(namespace, policy)."""

ENOUGH = priors.ENOUGH
"""Samples below which a measured quantile is not believed."""

SAME_NODE = 0.001
"""Seconds of Network within one node: the only agent of a site has no peer that would probe it."""

PROBE_STALE = 60.0
"""Seconds without an echo after which what was measured before says nothing any more."""

SHORTEST = 15.0
"""Seconds that an agent counts as heard for at least, so that its first calls are no storm."""

TARGET = 0.99

UPPER_QUARTILE = 0.75

STAGES = (
    histogram.Stage.UPLINK,
    histogram.Stage.DECIDE,
    histogram.Stage.NETWORK,
    histogram.Stage.INFERENCE,
    histogram.Stage.ACTUATE,
)
"""The path of a decision that asks a replica elsewhere."""

WITHOUT_NETWORK = tuple(stage for stage in STAGES if stage is not histogram.Stage.NETWORK)
"""The path of one whose agent runs the model itself."""


class FigureBasis(StrEnum):
    """What a stage's figure rests on."""

    MEASURED = "Measured"
    PROBED = "Probed"
    POOLED = "Pooled"
    """Measured where it is alike: with this version on nodes of this class, or on the way there."""
    EXPECTED = "Expected"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class StageLatency:
    """One stage on one candidate; `tail` is the quantile that the sum uses."""

    stage: histogram.Stage
    source: FigureBasis
    p99: float | None = None
    tail: float | None = None
    quartile: float | None = None
    """What three of four stay within."""
    seen: histogram.Histogram | None = field(default=None, compare=False, repr=False)
    """What was measured, where the figures rest on that."""
    beside: contention.Contention = contention.NONE
    """What makes it longer on the node."""
    expected: float | None = field(default=None, compare=False, repr=False)
    """What it takes alone, where nothing was measured."""

    @property
    def spread(self) -> distributions.Distribution | None:
        """How long it takes, where anything is known of it; made when somebody adds up stages."""
        if self.seen is not None:
            return distributions.of(self.seen, self.beside)
        if self.expected is None:
            return None
        return distributions.constant(self.expected, self.beside)


@dataclass(frozen=True)
class Prediction:
    """What a policy's latency would be with its model on one node, in seconds."""

    stages: tuple[StageLatency, ...]
    budget: float = 0.0
    """What the whole may take."""
    margin: float = 1.0
    """By what it is multiplied, because what was predicted for such nodes was too little."""
    is_refined: bool = True
    """Whether stages are added up where the bound misses the budget: that takes a while."""

    @functools.cached_property
    def convolved(self) -> float | None:
        """The p99 of the whole for independent stages, where that alone holds the budget."""
        if not self.is_refined or self.bound is None or self.bound <= self.budget:
            return None
        if any(stage.p99 is not None and stage.p99 > self.budget for stage in self.stages):
            return None
        whole = self._sum(self.budget / self.margin)
        return None if whole is None else whole * self.margin

    @functools.cached_property
    def expected(self) -> float | None:
        """The p99 of the whole for independent stages, without a margin.

        What is measured compares with it.
        """
        if self.bound is None or not math.isfinite(self.bound):
            return None
        return self._sum(self.bound / self.margin)

    def _sum(self, limit: float) -> float | None:
        spreads = [stage.spread for stage in self.stages if stage.spread is not None]
        return distributions.convolved(spreads, limit, TARGET)

    @property
    def total(self) -> float | None:
        """The p99 of the whole, or None where Network or Inference is unknown.

        Says whether a node is admitted; of two nodes only the bounds compare.
        """
        return self.bound if self.convolved is None else self.convolved

    @functools.cached_property
    def bound(self) -> float | None:
        """The p99 of the whole, however the stages depend on each other."""
        for stage in self.stages:
            if stage.stage in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE) and (
                stage.tail is None
            ):
                return None
        return self.margin * sum(stage.tail for stage in self.stages if stage.tail is not None)

    def answer(self, *, is_declared: bool) -> float | None:
        """Return what most answers take, Network and Inference, or None where one is unknown.

        At most half are later, however the two depend: each is within its upper quartile three
        times of four. Callers blame a replica of which most answers are late, so that a node where
        most are in time is better; by the tail, one slow probe would rule it out for minutes. An
        Inference that was not measured and that nobody declared is only assumed: no evidence
        against a node, so that it counts as nothing.
        """
        whole = 0.0
        for stage in self.stages:
            if stage.stage not in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE):
                continue
            is_expected = stage.source is FigureBasis.EXPECTED
            if stage.stage is histogram.Stage.INFERENCE and is_expected and not is_declared:
                continue
            if stage.quartile is None:
                return None
            whole += stage.quartile
        return whole

    @property
    def is_known(self) -> bool:
        """Whether Network and Inference were measured there or where it is alike.

        The way to the only caller's own node is none that anybody would measure.
        """
        is_tried = self._basis(histogram.Stage.INFERENCE) in (
            FigureBasis.MEASURED,
            FigureBasis.POOLED,
        )
        return is_tried and self._basis(histogram.Stage.NETWORK) is not FigureBasis.UNKNOWN

    @property
    def is_measured(self) -> bool:
        """Whether they were measured there."""
        is_tried = self._basis(histogram.Stage.INFERENCE) is FigureBasis.MEASURED
        return is_tried and self._basis(histogram.Stage.NETWORK) not in (
            FigureBasis.UNKNOWN,
            FigureBasis.POOLED,
        )

    @property
    def is_called(self) -> bool:
        """Whether calls of the node itself were measured, by those who call now.

        The only caller's own node needs no Network. A probe is no call: while nobody calls, it may
        be of an agent that never will, over a link of its own.
        """
        is_asked = self._basis(histogram.Stage.INFERENCE) is FigureBasis.MEASURED
        return is_asked and self._basis(histogram.Stage.NETWORK) in (
            FigureBasis.MEASURED,
            FigureBasis.EXPECTED,
        )

    def _basis(self, kind: histogram.Stage) -> FigureBasis | None:
        return next((stage.source for stage in self.stages if stage.stage is kind), None)


NOTHING = Prediction(
    (
        StageLatency(histogram.Stage.NETWORK, FigureBasis.UNKNOWN),
        StageLatency(histogram.Stage.INFERENCE, FigureBasis.UNKNOWN),
    )
)
"""What is predicted of a node without looking at any evidence."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Merged histograms of one policy at one site."""

    stages: Mapping[tuple[histogram.Stage, str | None], histogram.Histogram]
    """By (stage, node); node is None for what does not depend on the replica."""
    probes: Mapping[str, histogram.Histogram]
    """Echo times of the agents that call to each node's agent."""
    callers: frozenset[str] = frozenset()
    """Nodes of the agents that call; of all agents of the site where none does yet."""
    prior: priors.LatencyPriors = priors.NOTHING
    """What was measured elsewhere and before."""
    read: dict[tuple[object, ...], StageLatency] = field(
        default_factory=dict, compare=False, repr=False
    )
    """Figures that were read before: what does not depend on the node, candidates share."""
    predicted: dict[tuple[object, ...], Prediction] = field(
        default_factory=dict, compare=False, repr=False
    )
    """What was predicted before: of fifty cloud nodes that nobody has tried it is the same."""

    def figure(
        self,
        stage: histogram.Stage,
        source: FigureBasis,
        seen: histogram.Histogram | None,
        q: float,
        expected: float,
        beside: contention.Contention = contention.NONE,
    ) -> StageLatency:
        """Return the figures of one stage; `seen` is one of these histograms."""
        asked = (stage, source, id(seen), q, expected, beside)
        if asked not in self.read:
            shares = (TARGET, q, UPPER_QUARTILE)
            p99, tail, quartile = _quantiles(seen, shares, expected, source, beside)
            alone = expected if source is FigureBasis.EXPECTED else None
            self.read[asked] = StageLatency(stage, source, p99, tail, quartile, seen, beside, alone)
        return self.read[asked]

    def measured(self) -> float | None:
        """Return the measured end-to-end p99 in seconds, or None below `ENOUGH` samples.

        As near as the buckets tell, by a straight line within one: its upper bound would call a
        budget broken from 87 % of it on.
        """
        whole = self.stages.get((histogram.Stage.END_TO_END, None))
        if whole is None or whole.count < ENOUGH:
            return None
        return distributions.of(whole).estimate(TARGET)


class SiteReports:
    """What the agents of one site report, divided by policy once for all that is placed there.

    What several policies share, the probes, is merged once.
    """

    def __init__(self, agents: Iterable[report.AgentEvidence]) -> None:
        self.agents: Final = tuple(agents)
        self._endpoints: dict[Key, list[tuple[str, report.EndpointReport]]] = {}
        self._stages: dict[Key, list[tuple[str, report.StageReport]]] = {}
        self._probes: dict[frozenset[str], Mapping[str, histogram.Histogram]] = {}
        self._busy: dict[Key, dict[str, float]] = {}
        self._calls: dict[Key, dict[str, tuple[float, int]]] = {}
        for agent in self.agents:
            for endpoint in agent.report.endpoints:
                of_policy = self._endpoints.setdefault((endpoint.namespace, endpoint.policy), [])
                of_policy.append((agent.node, endpoint))
            for stage in agent.report.stages:
                of_stage = self._stages.setdefault((stage.namespace, stage.policy), [])
                of_stage.append((agent.node, stage))
                if stage.stage is histogram.Stage.INFERENCE and stage.node is not None:
                    at_work = self._busy.setdefault((stage.namespace, stage.policy), {})
                    share = stage.histogram.total_seconds / _heard_for(agent.report)
                    at_work[stage.node] = at_work.get(stage.node, 0.0) + share
                    calls = self._calls.setdefault((stage.namespace, stage.policy), {})
                    seconds, count = calls.get(stage.node, (0.0, 0))
                    seen = stage.histogram
                    calls[stage.node] = (seconds + seen.total_seconds, count + seen.count)

    def endpoints(self, policy: Key) -> Sequence[tuple[str, report.EndpointReport]]:
        """Return what agents say of a policy's replicas, each behind the agent's node."""
        return self._endpoints.get(policy, ())

    def stages(self, policy: Key) -> Sequence[tuple[str, report.StageReport]]:
        """Return what agents measured of a policy, each behind the agent's node."""
        return self._stages.get(policy, ())

    def busy(self, policy: Key) -> Mapping[str, float] | None:
        """Return how many of a policy's calls are at work on average, by the node that answers.

        None where no call was measured: nothing is known then, which is not the same as none.
        """
        return self._busy.get(policy)

    def lasting(self, policy: Key, node: str) -> float | None:
        """Return how many seconds a policy's calls take on a node on average, if any was made."""
        seconds, count = self._calls.get(policy, {}).get(node, (0.0, 0))
        return seconds / count if count else None

    def probes(self, callers: frozenset[str]) -> Mapping[str, histogram.Histogram]:
        """Return the fresh echo times of these agents, by the node that answers."""
        if callers not in self._probes:
            times: dict[str, list[histogram.Histogram]] = {}
            for agent in self.agents:
                for probe in agent.report.probes if agent.node in callers else ():
                    if probe.age_seconds is not None and probe.age_seconds <= PROBE_STALE:
                        times.setdefault(probe.node, []).append(probe.histogram)
            self._probes[callers] = {node: histogram.merge(parts) for node, parts in times.items()}
        return self._probes[callers]


def _heard_for(agent: report.Report) -> float:
    """Return the seconds of which an agent reports stages."""
    return min(report.WINDOW_SECONDS, max(SHORTEST, agent.uptime_seconds))


def gather(
    namespace: str,
    policy: str,
    reports: SiteReports,
    before: priors.LatencyPriors = priors.NOTHING,
) -> Evidence:
    """Merge what the agents of one site report about one policy; of Network, those that call.

    `before` is what was measured elsewhere and before.
    """
    stages: dict[tuple[histogram.Stage, str | None], list[histogram.Histogram]] = {}
    calling = _calling((namespace, policy), reports)
    for node, line in reports.stages((namespace, policy)):
        if line.stage is not histogram.Stage.NETWORK or node in calling:
            stages.setdefault((line.stage, line.node), []).append(line.histogram)
    return Evidence(
        stages={key: histogram.merge(parts) for key, parts in stages.items()},
        probes=reports.probes(calling),
        callers=calling,
        prior=before,
    )


def _calling(policy: Key, reports: SiteReports) -> frozenset[str]:
    """Return the nodes of the agents that call: within the last minute, else the last five.

    All where none does, for any of them may be the one that will. To ask a model in its own process
    is no call of a node.
    """
    now = {
        node
        for node, line in reports.endpoints(policy)
        if has_called(line) and not assignment.is_in_agent(line.url)
    }
    lately = {
        node for node, line in reports.stages(policy) if line.stage is histogram.Stage.NETWORK
    }
    return frozenset(now or lately or {agent.node for agent in reports.agents})


def has_called(line: report.EndpointReport) -> bool:
    """Whether an agent called a replica lately: that it looks after an idle one is no call."""
    return line.good + line.late + line.failed > 0


Alike = Mapping[histogram.Stage, histogram.Histogram]
"""Pooled figures of Inference and Network, where there are any."""

NOTHING_ALIKE: Final[Alike] = {}


def alike(
    measured: priors.LatencyPriors, version: priors.Version, site: str, node: snapshot.Node
) -> Alike:
    """Return what was measured elsewhere and says what to expect of a node."""
    of_class = node_class.of(node.labels)
    pooled = {
        histogram.Stage.INFERENCE: measured.inference.get((version, of_class)),
        histogram.Stage.NETWORK: measured.network.get((site, node.site or "", of_class)),
    }
    return {stage: seen for stage, seen in pooled.items() if seen is not None}


def predict(
    evidence: Evidence,
    node: str,
    expected_inference: float,
    budget: float,
    path: Sequence[histogram.Stage] = STAGES,
    pooled: Alike = NOTHING_ALIKE,
    beside: contention.Contention = contention.NONE,
    margin: float = 1.0,
) -> Prediction:
    """Predict the latency with the model on `node`, by the stages of `path`.

    `expected_inference` is the declared p99, `budget` what the whole may take, in seconds; `pooled`
    is what was measured where it is alike, `beside` what slows calls on that node, `margin`
    what has to be added because such predictions were too low.
    """
    stages = [_stage(evidence, stage, node, pooled.get(stage)) for stage in path]
    based_on = tuple((stage, source, id(seen)) for stage, source, seen in stages)
    key = (based_on, expected_inference, budget, beside, margin)
    if key not in evidence.predicted:
        expected = dict.fromkeys(STAGES, expected_inference) | {histogram.Stage.NETWORK: SAME_NODE}
        count = sum(1 for _, source, _ in stages if source is not FigureBasis.UNKNOWN)
        asked = 1 - (1 - TARGET) / count
        figures = (
            evidence.figure(
                stage, source, seen, asked, expected[stage], _beside(stage, source, beside)
            )
            for (stage, source, seen) in stages
        )
        evidence.predicted[key] = Prediction(tuple(figures), budget, margin)
    return evidence.predicted[key]


def _beside(
    stage: histogram.Stage, source: FigureBasis, beside: contention.Contention
) -> contention.Contention:
    """Return what others on the node add to a figure that does not hold them already."""
    is_alone = stage is not histogram.Stage.INFERENCE or source is FigureBasis.MEASURED
    return contention.NONE if is_alone else beside


def split(prediction: Prediction) -> Sequence[tuple[histogram.Stage, float]]:
    """Return each known stage's own p99 in seconds, in the order of the path."""
    return [(stage.stage, stage.p99) for stage in prediction.stages if stage.p99 is not None]


def _stage(
    evidence: Evidence, stage: histogram.Stage, node: str, pooled: histogram.Histogram | None
) -> tuple[histogram.Stage, FigureBasis, histogram.Histogram | None]:
    depends = stage in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE)
    seen = evidence.stages.get((stage, node if depends else None))
    if seen is not None and seen.count >= ENOUGH:
        return stage, FigureBasis.MEASURED, seen
    if stage is histogram.Stage.INFERENCE and pooled is not None:
        return stage, FigureBasis.POOLED, pooled
    if stage is histogram.Stage.INFERENCE:
        return stage, FigureBasis.EXPECTED, None
    probe = evidence.probes.get(node)
    if stage is histogram.Stage.NETWORK and probe is not None and probe.count > 0:
        return stage, FigureBasis.PROBED, probe
    if stage is histogram.Stage.NETWORK and evidence.callers == {node}:
        return stage, FigureBasis.EXPECTED, None
    is_known = stage is histogram.Stage.NETWORK and pooled is not None
    return (stage, FigureBasis.POOLED, pooled) if is_known else (stage, FigureBasis.UNKNOWN, None)


def _quantiles(
    seen: histogram.Histogram | None,
    shares: Sequence[float],
    expected: float,
    source: FigureBasis,
    beside: contention.Contention,
) -> Sequence[float | None]:
    match source:
        case FigureBasis.MEASURED | FigureBasis.PROBED | FigureBasis.POOLED:
            if seen is None or beside.stretch == contention.ALONE:
                return [histogram.quantile(seen, q) if seen is not None else None for q in shares]
            wait = contention.waits(seen, beside)
            return distributions.quantiles(histogram.durations(seen), beside, shares, wait)
        case FigureBasis.EXPECTED:
            return distributions.quantiles({expected: 1}, beside, shares)
        case FigureBasis.UNKNOWN:
            return [None for _ in shares]
