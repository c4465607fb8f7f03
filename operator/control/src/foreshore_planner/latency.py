"""Predicting the end-to-end latency of a policy on a candidate node, and splitting the budget.

From measured histograms.

Stages: Uplink → Decide → Network → Inference → Actuate. For any dependence between stages, P(ΣXᵢ >
Σaᵢ) ≤ Σ P(Xᵢ > aᵢ): k stages each taken at the quantile 1 − (1 − 0.99)/k bound the p99 of their sum
(two p99.5 bound a p99). That is the prediction; the split shows each stage's own p99. What was
never measured is unknown, not zero: Network falls back to the agents' probes of that node's agent,
Inference to the ModelVersion's `expectedInference`; the others, which no choice of node changes,
are left out until they are measured.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from foreshore_api.wire import histogram, report

ENOUGH = 20
"""Samples below which a measured quantile is not believed (design/placement.md)."""

SAME_NODE = 0.001
"""Seconds of Network within one node: the only agent of a site has no peer that would probe it."""

PROBE_STALE = 60.0
"""Seconds without an echo after which what was measured before says nothing any more."""

TARGET = 0.99

STAGES = (
    histogram.Stage.UPLINK,
    histogram.Stage.DECIDE,
    histogram.Stage.NETWORK,
    histogram.Stage.INFERENCE,
    histogram.Stage.ACTUATE,
)


class Source(StrEnum):
    """What a stage's figure rests on."""

    MEASURED = "Measured"
    PROBED = "Probed"
    EXPECTED = "Expected"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class StageLatency:
    """One stage on one candidate; `tail` is the quantile that the sum uses."""

    stage: histogram.Stage
    source: Source
    p99: float | None = None
    tail: float | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a policy's latency would be with its model on one node, in seconds."""

    stages: tuple[StageLatency, ...]

    @property
    def total(self) -> float | None:
        """The bound on the p99 of the whole, or None where Network or Inference is unknown."""
        for stage in self.stages:
            if stage.stage in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE) and (
                stage.tail is None
            ):
                return None
        return sum(stage.tail for stage in self.stages if stage.tail is not None)

    @property
    def is_measured(self) -> bool:
        """Whether the stages that depend on the node were measured with this model there."""
        return all(
            stage.source is Source.MEASURED
            for stage in self.stages
            if stage.stage in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE)
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Merged histograms of one policy at one site."""

    stages: Mapping[tuple[histogram.Stage, str | None], histogram.Histogram]
    """By (stage, node); node is None for what does not depend on the replica."""
    probes: Mapping[str, histogram.Histogram]
    """Echo times of the site's agents to each node's agent."""
    callers: frozenset[str] = frozenset()
    """Nodes of the agents that call."""

    def measured(self) -> float | None:
        """Return the measured end-to-end p99, or None below `ENOUGH` samples."""
        whole = self.stages.get((histogram.Stage.END_TO_END, None))
        if whole is None or whole.count < ENOUGH:
            return None
        return histogram.quantile(whole, TARGET)


def gather(namespace: str, policy: str, agents: Iterable[report.AgentEvidence]) -> Evidence:
    """Merge what the agents of one site report about one policy."""
    stages: dict[tuple[histogram.Stage, str | None], list[histogram.Histogram]] = {}
    probes: dict[str, list[histogram.Histogram]] = {}
    callers: set[str] = set()
    for agent in agents:
        callers.add(agent.node)
        for line in agent.report.stages:
            if (line.namespace, line.policy) == (namespace, policy):
                stages.setdefault((line.stage, line.node), []).append(line.histogram)
        for probe in agent.report.probes:
            if probe.age_seconds is not None and probe.age_seconds <= PROBE_STALE:
                probes.setdefault(probe.node, []).append(probe.histogram)
    return Evidence(
        stages={key: histogram.merge(parts) for key, parts in stages.items()},
        probes={node: histogram.merge(parts) for node, parts in probes.items()},
        callers=frozenset(callers),
    )


def predict(evidence: Evidence, node: str, expected_inference: float) -> Prediction:
    """Predict the latency with the model on `node`.

    `expected_inference` is the declared p99 in seconds.
    """
    expected = dict.fromkeys(STAGES, expected_inference) | {histogram.Stage.NETWORK: SAME_NODE}
    found = [_stage(evidence, stage, node) for stage in STAGES]
    known = sum(1 for _, source, _ in found if source is not Source.UNKNOWN)
    share = (1 - TARGET) / known
    return Prediction(
        tuple(
            StageLatency(
                stage,
                source,
                p99=_quantile(seen, TARGET, expected[stage], source),
                tail=_quantile(seen, 1 - share, expected[stage], source),
            )
            for (stage, source, seen) in found
        )
    )


def split(prediction: Prediction) -> Sequence[tuple[histogram.Stage, float]]:
    """Return each known stage's own p99 in seconds, in the order of the path."""
    return [(stage.stage, stage.p99) for stage in prediction.stages if stage.p99 is not None]


def _stage(
    evidence: Evidence, stage: histogram.Stage, node: str
) -> tuple[histogram.Stage, Source, histogram.Histogram | None]:
    depends = stage in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE)
    seen = evidence.stages.get((stage, node if depends else None))
    if seen is not None and seen.count >= ENOUGH:
        return stage, Source.MEASURED, seen
    if stage is histogram.Stage.INFERENCE:
        return stage, Source.EXPECTED, None
    probe = evidence.probes.get(node)
    if stage is histogram.Stage.NETWORK and probe is not None and probe.count > 0:
        return stage, Source.PROBED, probe
    if stage is histogram.Stage.NETWORK and evidence.callers == {node}:
        return stage, Source.EXPECTED, None
    return stage, Source.UNKNOWN, None


def _quantile(
    seen: histogram.Histogram | None, q: float, expected: float, source: Source
) -> float | None:
    match source:
        case Source.MEASURED | Source.PROBED:
            return histogram.quantile(seen, q) if seen is not None else None
        case Source.EXPECTED:
            return expected
        case Source.UNKNOWN:
            return None
