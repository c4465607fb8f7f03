"""Saying why: rejected candidates folded into counts.

The nearest one that missed only the budget, and what would make it fit.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from foreshore_api import v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import latency, phrases
from foreshore_planner.placement import candidates

MAXIMUM_REASONS = 16


def fold(
    rejections: Sequence[candidates.Rejection],
    counted: Sequence[candidates.CountedNodes] = (),
) -> tuple[v1alpha1.inferenceplacement.RejectedNodes, ...]:
    """Count rejections by reason, most frequent first; the example is the first node by name."""
    counts = _counts(rejections, counted)
    first: dict[str, candidates.Rejection] = {}
    every = [*rejections, *(nodes.first for nodes in counted)]
    for rejection in sorted(every, key=lambda rejection: rejection.node):
        first.setdefault(rejection.reason, rejection)
    ordered = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return tuple(
        v1alpha1.inferenceplacement.RejectedNodes(
            reason=reason,
            count=counts[reason],
            example=f"{first[reason].node}: {first[reason].message}"[:256],
        )
        for reason in ordered[:MAXIMUM_REASONS]
    )


def _counts(
    rejections: Sequence[candidates.Rejection], counted: Sequence[candidates.CountedNodes]
) -> Counter[str]:
    counts = Counter(rejection.reason for rejection in rejections)
    for nodes in counted:
        counts[nodes.first.reason] += nodes.count
    return counts


def nearest(offered: Sequence[candidates.Candidate], budget: float) -> str | None:
    """Describe the candidate that misses the budget by least, and by which stages.

    None where one is predicted within it, or nothing is known of any.
    """
    predicted = [candidate for candidate in offered if candidate.prediction.total is not None]
    best = min(
        predicted,
        key=lambda candidate: (candidate.prediction.total or 0.0, candidate.node.name),
        default=None,
    )
    if best is None or not best.is_over(budget):
        return None
    stages = ", ".join(
        f"{stage} {candidates.milliseconds(seconds)}"
        for stage, seconds in latency.split(best.prediction)
    )
    needed = candidates.milliseconds(best.prediction.total or 0.0)
    return f"nearest is {best.node.name}: it would need a budget of {needed} ({stages})"


def alternatives(
    history: tuple[inferenceplacement.Move, ...],
    offers: candidates.Offers,
    chosen: Mapping[str, candidates.Candidate],
) -> tuple[inferenceplacement.Move, ...]:
    """Return a history whose moves of this pass, the first, say which nodes were possible too."""
    if not chosen:
        return history
    taken = {candidate.node.name for candidate in chosen.values()}
    others = [
        f"{near.node.name} ({_predicted(near)})"
        for near in sorted(offers.fitting, key=_bound)
        if near.node.name not in taken
    ]
    text = phrases.listed(others) if others else "no other node"
    fresh = [move.model_copy(update={"others": text[:256]}) for move in history]
    return (*fresh[: len(chosen)], *history[len(chosen) :])


def _bound(candidate: candidates.Candidate) -> float:
    """Return what orders candidates by latency: what nobody knows comes last."""
    bound = candidate.prediction.bound
    return math.inf if bound is None else bound


def _predicted(candidate: candidates.Candidate) -> str:
    total = candidate.prediction.total
    return "unknown" if total is None else candidates.milliseconds(total)


def shortfall(replicas: Sequence[v1alpha1.inferenceplacement.ReplicaStatus], wanted: str) -> str:
    """Say which replicas another execution provider computes than the one that is wanted first.

    Empty where none does, or nobody has said.
    """
    others = [
        f"{replica.slot} on {replica.node} is computed by {replica.provider}"
        for replica in replicas
        if replica.provider not in (None, wanted)
    ]
    if not others:
        return ""
    remedy = f"an image whose ONNX Runtime has {wanted}, and its device and driver on the node"
    listed = phrases.listed(others, separator="; ")
    return f"{listed}, though {wanted} is wanted first: that takes {remedy}"


def summarise(offers: candidates.Offers) -> str:
    """Fold every rejection into one sentence: `0/4 nodes: 2 NodeSelector, 1 LatencyBudget, …`.

    What is missing for an accelerator is said with its name and its remedy.
    """
    counts = _counts(offers.rejected, offers.counted)
    parts = ", ".join(
        f"{counts[reason]} {reason}" for reason in sorted(counts, key=lambda r: (-counts[r], r))
    )
    able = f"{len(offers.fitting)}/{offers.total} nodes can serve"
    summary = f"{able}: {parts}" if parts else able
    every = (*offers.rejected, *(nodes.first for nodes in offers.counted))
    lacking = [rejection for rejection in every if rejection.reason == reasons.NO_ACCELERATOR]
    if not lacking or offers.fitting:
        return summary
    message, remedy = lacking[0].message, reasons.NO_ACCELERATOR.remedy
    return f"{summary}; {counts[reasons.NO_ACCELERATOR]} have {message}: it takes {remedy}"
