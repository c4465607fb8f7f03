"""What flaps of nodes mean for the slots of a placement: where each may go, and why it waits.

A first replica takes a node in quarantine rather than none. What is lost with a node that falls
silent again and again goes only to one that never did, else it waits for its own. Called by
`turns` and `slots`; the rule is `quarantine`'s.
"""

from collections.abc import Mapping, Sequence

from foreshore_api import conditions
from foreshore_planner import quarantine
from foreshore_planner.placement import candidates, case, incumbents


def offered(
    inputs: case.Case,
    lost: incumbents.Incumbent | None,
    able: Sequence[candidates.Candidate],
) -> list[candidates.Candidate]:
    """Return those that may take what is lost with a node; all of them where nothing is."""
    if lost is None:
        return list(able)
    nodes = inputs.seen.index.nodes
    falls = quarantine.count(nodes.get(lost.node))
    return [
        candidate
        for candidate in able
        if quarantine.may_take_over(quarantine.count(candidate.node), falls)
    ]


def waiting(
    inputs: case.Case,
    lost: Mapping[str, incumbents.Incumbent],
    able: Sequence[candidates.Candidate],
) -> tuple[str, str] | None:
    """Return (reason, message) of the first lost slot that waits for its node, if any does."""
    for slot, held in sorted(lost.items()):
        others = [candidate for candidate in able if candidate.node.name != held.node]
        if others and not offered(inputs, held, others):
            falls = quarantine.count(inputs.seen.index.nodes.get(held.node))
            message = (
                f"{slot} is lost with {held.node}, which fell silent {quarantine.times(falls)}"
                f" within the hour, and so did every node that could take over: it waits for its"
                f" own; {conditions.Reason.QUARANTINED.remedy}"
            )
            return conditions.Reason.QUARANTINED, message
    return None


def last_resort(inputs: case.Case, chosen: candidates.Candidate) -> str:
    """Say why a first replica goes to a node in quarantine; empty for any other node."""
    words = quarantine.words(chosen.node, inputs.seen.now)
    return f"; {chosen.node.name} is the only one that can serve, though {words}" if words else ""
