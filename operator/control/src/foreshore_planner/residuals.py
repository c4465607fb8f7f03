"""How far predictions are off: what is measured end to end beside what its stages add up to.

A ratio, measured p99 by predicted p99 of independent stages, of placements with one node in use
whose stages were measured. Above one where stages are slow together, or where something takes time
that no stage counts; it widens what is predicted for all nodes of the class at the site. Below one
it narrows nothing: that a budget is held by more than was thought is no reason to trust less time.

`pooling` observes it, `priors` remembers it with a half-life, `placement.figures` shows it.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Final

from foreshore_api import node_class
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import latency, priors, snapshot

TOLERANCE: Final = 0.15
"""How far off a prediction may be before that is said."""

PERSISTS: Final = 600.0
"""Seconds for which it is off before that is said: two windows of what agents report."""

WIDEST: Final = 3.0
"""By how much a prediction is widened at most: what is further off is no matter of a margin."""

STEP: Final = 0.05
"""Margins are rounded up to steps, so that a ratio that creeps changes little."""

LOOKED_AT: Final = 4
"""Placements of a site and class that one look takes into account."""

LOOK: Final = 1000
"""Placements that one look takes into account altogether."""


def ratio(evidence: latency.Evidence, predictions: Sequence[latency.Prediction]) -> float | None:
    """Return the measured p99 by the predicted one; None where either is unknown.

    `predictions` are those of the nodes in use: what several answer together is that of none.
    """
    measured = evidence.measured()
    if measured is None or not math.isfinite(measured) or len(predictions) != 1:
        return None
    (prediction,) = predictions
    if not prediction.is_measured or not prediction.expected:
        return None
    return measured / prediction.expected


def is_off(of: float) -> bool:
    """Whether a ratio is outside the tolerance."""
    return abs(of - 1.0) > TOLERANCE


def margin(before: priors.LatencyPriors, site: str, node: snapshot.Node) -> float:
    """Return by what predictions for a node are multiplied."""
    seen = before.residuals.get((site, node_class.of(node.labels)), 1.0)
    return min(WIDEST, max(1.0, math.ceil(seen / STEP - 1e-9) * STEP)) if seen > 1 + STEP else 1.0


def observed(
    seen: snapshot.Snapshot, reports: Mapping[str, latency.SiteReports]
) -> Mapping[tuple[str, str], float]:
    """Return the median ratio by (site, class of node), of some placements of each."""
    ratios: dict[tuple[str, str], list[float]] = {}
    looks = 0
    for _, placement in sorted(seen.index.placements.items()):
        site, nodes = placement.spec.site, _in_use(placement.status.replicas)
        node = seen.index.nodes.get(nodes[0]) if len(nodes) == 1 else None
        if node is None or site not in reports or looks >= LOOK:
            continue
        of_class = ratios.setdefault((site, node_class.of(node.labels)), [])
        if len(of_class) >= LOOKED_AT:
            continue
        looks += 1
        key = (placement.metadata.namespace or "", placement.spec.policy_ref.name)
        evidence = latency.gather(*key, reports[site])
        prediction = latency.predict(evidence, node.name, latency.SAME_NODE, 0.0)
        if (of := ratio(evidence, [prediction])) is not None:
            of_class.append(of)
    return {key: statistics.median(of_class) for key, of_class in ratios.items() if of_class}


def _in_use(replicas: Sequence[inferenceplacement.ReplicaStatus]) -> list[str]:
    """Return the nodes of active replicas that serve."""
    role, phase = inferenceplacement.Role.ACTIVE, inferenceplacement.ReplicaPhase.READY
    active = (replica for replica in replicas if replica.role is role and replica.phase is phase)
    return sorted({replica.node for replica in active})
