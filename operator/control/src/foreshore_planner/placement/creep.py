"""Latency that creeps up to the budget: a replica moves before the budget breaks, and rarely.

A placement is near its budget from `NEAR` of it on; a node is worth a move only within `COMFORT` of
it (`slots`), so that between the two nothing moves to and fro. No other move is made on such
grounds within the hour, and none to a node of which nobody measured anything: what still works is
not given up for an expectation. Called by `slots`.
"""

from datetime import timedelta
from typing import Final

from foreshore_api.reasons import placement as reasons
from foreshore_api.v1alpha1 import placing
from foreshore_planner.placement import candidates, incumbents
from foreshore_planner.placement.case import Case

NEAR: Final = 0.9
"""The share of its budget from which on a placement is near it."""

HOUR: Final = 3600.0
"""Seconds within which one placement moves once on these grounds."""


def is_near(case: Case) -> bool:
    """Whether what is measured end to end is close to the budget, or over it."""
    measured = case.evidence.measured()
    return measured is not None and measured >= NEAR * case.demand.budget


def is_due(case: Case, held: incumbents.Incumbent) -> bool:
    """Whether the replica of a slot should look for another node."""
    is_automatic = case.demand.placement.failover is placing.Failover.AUTOMATIC
    if not (is_automatic and held.was_active and is_near(case)):
        return False
    since = case.seen.now - timedelta(seconds=HOUR)
    past = case.before.status.moves if case.before is not None else ()
    return all(move.cause != reasons.CREEPING for move in incumbents.departures(past, since))


def is_proven(candidate: candidates.Candidate | candidates.NodeView) -> bool:
    """Whether what is predicted of a node rests on measurements."""
    return candidate.prediction.is_known
