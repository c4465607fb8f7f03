"""Saying why: rejected candidates folded into counts.

The nearest one that missed only the budget, and what would make it fit.
"""

from collections import Counter
from collections.abc import Sequence

from foreshore_api import v1alpha1
from foreshore_planner import latency
from foreshore_planner.placement import candidates

MAXIMUM_REASONS = 16


def fold(
    rejections: Sequence[candidates.Rejection],
) -> tuple[v1alpha1.inferenceplacement.Rejection, ...]:
    """Count rejections by reason, most frequent first; the example is the first node by name."""
    counts = Counter(one.reason for one in rejections)
    first: dict[str, candidates.Rejection] = {}
    for one in sorted(rejections, key=lambda one: one.node):
        first.setdefault(one.reason, one)
    ordered = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return tuple(
        v1alpha1.inferenceplacement.Rejection(
            reason=reason,
            count=counts[reason],
            example=f"{first[reason].node}: {first[reason].message}"[:256],
        )
        for reason in ordered[:MAXIMUM_REASONS]
    )


def nearest(
    views: Sequence[candidates.View], rejections: Sequence[candidates.Rejection]
) -> str | None:
    """Describe the candidate that lacks nothing but time, and by which stages it misses.

    None where there is none.
    """
    missed = {one.node for one in rejections if one.reason == "LatencyBudget"}
    late = [view for view in views if view.node.name in missed]
    if not late:
        return None
    best = min(late, key=lambda view: (view.prediction.total or 0.0, view.node.name))
    total = best.prediction.total or 0.0
    stages = ", ".join(
        f"{stage} {candidates.milliseconds(seconds)}"
        for stage, seconds in latency.split(best.prediction)
    )
    needed = candidates.milliseconds(total)
    return f"nearest is {best.node.name}: it would need a budget of {needed} ({stages})"


def summarise(total: int, rejections: Sequence[candidates.Rejection]) -> str:
    """Fold every rejection into one sentence: `0/4 nodes: 2 NodeSelector, 1 LatencyBudget, …`."""
    counts = Counter(one.reason for one in rejections)
    parts = ", ".join(
        f"{counts[reason]} {reason}" for reason in sorted(counts, key=lambda r: (-counts[r], r))
    )
    return f"{total - len(rejections)}/{total} nodes can serve" + (f": {parts}" if parts else "")
