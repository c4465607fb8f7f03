"""How a placement is shown: replicas, the budget and its split, names of pods.

Figures rounded so that status is rarely written.

A figure replaces the one shown before only when it differs by more than `NOISE`: histogram buckets
are 15.5 % wide, and a value that wavers between two of them is no news.
"""

import functools
import hashlib
import math
from collections.abc import Sequence

from foreshore_api import addresses, conditions, scalars
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import latency, priors, residuals, snapshot
from foreshore_planner.placement import serving, troubles
from foreshore_planner.placement.case import Case, Sight

PORT = 8080
"""Where serving listens in a pod."""

NOISE = 0.2

_seconds = functools.lru_cache(maxsize=4096)(scalars.seconds)
"""Figures that are shown are read again at each look."""

STEADY = 10
"""Percent by which an error may waver before it is written anew."""

_PHASES = {
    snapshot.PodPhase.PENDING: inferenceplacement.ReplicaPhase.PENDING,
    snapshot.PodPhase.READY: inferenceplacement.ReplicaPhase.READY,
    snapshot.PodPhase.UNREADY: inferenceplacement.ReplicaPhase.STARTING,
    snapshot.PodPhase.FAILED: inferenceplacement.ReplicaPhase.FAILED,
    snapshot.PodPhase.TERMINATING: inferenceplacement.ReplicaPhase.PENDING,
}


def pod_name(policy: str, slot: str, placement: str, node: str, template: str) -> str:
    """Return `<policy>-<slot>-<hash>`.

    The same for the same choice, so that creating it twice is harmless.

    The hash covers the node, because the pod of a dead node stays Terminating and keeps its name.
    """
    digest = hashlib.sha256(f"{placement}\n{node}\n{template}".encode()).hexdigest()
    return f"{policy[:45]}-{slot}-{digest[:8]}"


def replica(
    case: Case,
    occupant: serving.Occupant,
    is_active: bool,  # noqa: FBT001
) -> inferenceplacement.ReplicaStatus:
    """Show one slot: the pod that answers in it, and the one that is to take its place.

    An endpoint stays listed while its pod exists on a node that is not lost, even when the API
    server has lost sight of it: agents judge an endpoint by calling it, and a site that is cut off
    goes on using its own.
    """
    pod, slot = occupant.answering, occupant.intent.slot
    shown = phase(case, slot, occupant.node, pod)
    what = serving.served(case, pod)
    place = endpoint(case, slot, pod, shown)
    return inferenceplacement.ReplicaStatus(
        slot=slot,
        role=inferenceplacement.Role.ACTIVE if is_active else inferenceplacement.Role.STANDBY,
        cluster="local",
        node=occupant.node,
        endpoint=place,
        phase=shown,
        provider=_provider(case, slot, place),
        version=what.version,
        digest=what.digest,
        policy_generation=what.generation,
        successor=_successor(occupant) if occupant.old is not None else None,
    )


def _provider(case: Case, slot: str, place: str | None) -> str | None:
    """Return what computes at an endpoint: as agents say, or as it was shown if none says."""
    if place is None:
        return None
    before = serving.listed(case, slot)
    kept = before.provider if before is not None and before.endpoint == place else None
    return troubles.written(case.providers.get(place)) or kept


def phase(
    case: Sight, slot: str, node: str, pod: snapshot.Replica | None
) -> inferenceplacement.ReplicaPhase:
    """Return how far the pod of a slot is, which is lost with its node."""
    if case.verdicts.of(node).is_lost:
        return inferenceplacement.ReplicaPhase.LOST
    if pod is None:
        return inferenceplacement.ReplicaPhase.PENDING
    if pod.phase is snapshot.PodPhase.UNREADY and case.is_out_of_sight(pod):
        return _shown(case, slot, node) or _PHASES[pod.phase]
    return _PHASES[pod.phase]


def _successor(occupant: serving.Occupant) -> inferenceplacement.SuccessorPod:
    pod = occupant.pod
    reason, seen = troubles.code(pod), pod.message if pod is not None else None
    if occupant.refusal is not None:
        reason, seen = conditions.Reason.POD_REFUSED.value, occupant.refusal
    return inferenceplacement.SuccessorPod(
        node=occupant.intent.node,
        version=occupant.intent.version,
        phase=_PHASES[pod.phase if pod is not None else snapshot.PodPhase.PENDING],
        reason=reason,
        message=(seen or "")[:256],
    )


def budget(case: Case, predictions: Sequence[latency.Prediction]) -> inferenceplacement.Budget:
    """Show the budget: predicted on the slowest of the nodes in use, measured end to end.

    And the split there.
    """
    complete = [prediction for prediction in predictions if prediction.total is not None]
    slowest = max(complete, key=lambda prediction: prediction.total or 0.0) if complete else None
    shown = case.before.status.budget if case.before is not None else None
    before = {} if shown is None else {share.stage: share.p99 for share in shown.split}
    return inferenceplacement.Budget(
        limit=duration(case.demand.budget),
        from_=inferenceplacement.CountedFrom.RECEIPT,
        predicted=settled(
            slowest.total if slowest is not None else None, shown.predicted if shown else None
        ),
        measured=settled(case.evidence.measured(), shown.measured if shown else None),
        split=tuple(
            inferenceplacement.StageShare(
                stage=inferenceplacement.BudgetStage(stage.stage.value),
                p99=settled(
                    stage.p99, before.get(inferenceplacement.BudgetStage(stage.stage.value))
                )
                or "0ms",
                basis=_basis(stage, case.evidence.prior.origin),
            )
            for stage in (slowest.stages if slowest is not None else ())
            if stage.p99 is not None and stage.source is not latency.FigureBasis.UNKNOWN
        ),
        margin=_percent(slowest.margin) if slowest is not None and slowest.margin > 1 else None,
        model_error=_model_error(case, predictions, shown),
    )


def _basis(
    stage: latency.StageLatency, origin: priors.PriorOrigin
) -> inferenceplacement.StageBasis | None:
    """Return what a stage's figure rests on; of a pooled one who has it depends on who answers."""
    match stage.source:
        case latency.FigureBasis.UNKNOWN:
            return None
        case latency.FigureBasis.POOLED:
            return inferenceplacement.StageBasis(origin.value)
        case other:
            return inferenceplacement.StageBasis(other.value)


def _model_error(
    case: Case,
    predictions: Sequence[latency.Prediction],
    shown: inferenceplacement.Budget | None,
) -> inferenceplacement.ModelError | None:
    """Show how far predictions are off, and since when they are."""
    ratio = residuals.ratio(case.evidence, predictions)
    if ratio is None or not residuals.is_off(ratio):
        return None
    before = shown.model_error if shown is not None else None
    since = before.since if before is not None else scalars.timestamp(case.seen.now)
    percent = min(_percent(ratio), inferenceplacement.LARGEST_ERROR)
    if before is not None and abs(percent - before.percent) <= STEADY:
        percent = before.percent
    return inferenceplacement.ModelError(percent=percent, since=since)


def is_too_low(case: Case, budget: inferenceplacement.Budget) -> bool | None:
    """Whether predictions have been too low for so long that it is said, or too high; else None."""
    error = budget.model_error
    if error is None:
        return None
    age = (case.seen.now - scalars.instant(error.since)).total_seconds()
    return error.percent > 0 if age >= residuals.PERSISTS else None


def _percent(ratio: float) -> int:
    return round((ratio - 1.0) * 100)


def duration(seconds: float) -> str:
    """Write seconds as a duration of two significant digits: `4.2ms`, `31ms`, `1.2s`."""
    if seconds <= 0 or not math.isfinite(seconds):
        return "0ms" if seconds <= 0 else "8760h"
    unit, factor = ("ms", 1000.0) if seconds < 1 else ("s", 1.0)
    value = seconds * factor
    digits = 1 - math.floor(math.log10(value))
    rounded = round(value, digits)
    text = f"{rounded:.{max(0, digits)}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + unit


def settled(seconds: float | None, shown: str | None) -> str | None:
    """Return a duration as it is to be shown: as before, where it differs by no more than noise."""
    if seconds is None:
        return None
    if shown is not None:
        old = _seconds(shown)
        if old > 0 and abs(seconds - old) / old <= NOISE:
            return shown
    return duration(seconds)


def _shown(case: Sight, slot: str, node: str) -> inferenceplacement.ReplicaPhase | None:
    """Return how the replica was shown before, unless as lost."""
    shown = serving.listed(case, slot)
    if shown is None or shown.node != node or shown.phase is inferenceplacement.ReplicaPhase.LOST:
        return None
    return shown.phase


def endpoint(
    case: Sight, slot: str, pod: snapshot.Replica | None, shown_as: inferenceplacement.ReplicaPhase
) -> str | None:
    """Return the address of a pod that serves, or that served when it was last in sight."""
    if pod is None or pod.address is None or shown_as is inferenceplacement.ReplicaPhase.LOST:
        return None
    address = addresses.joined(pod.address, PORT)
    if shown_as is inferenceplacement.ReplicaPhase.READY:
        return address
    shown = serving.listed(case, slot)
    was = shown is not None and shown.endpoint == address
    return address if was and shown_as is inferenceplacement.ReplicaPhase.STARTING else None
