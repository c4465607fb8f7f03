"""Which nodes fall silent again and again, and what may still go there.

A node that fell silent twice within the hour is quarantined, whatever the cause was called: it gets
no new replica and no new grant until fewer count. What is there stays: nothing moves because of it.

    fell silent     what may go there
    never, or once  anything; what left a node that is quarantined only where nobody fell silent
    twice or more   nothing; a first replica or grant where nobody else could have it

The second half of the first line bounds what two nodes in turn can cost: the work goes to each of
them once, then it stays where it is, and waits there for its node. A site that went dark as a whole
counts for none of its nodes (`foreshore_operator.flaps`). Called by placement and succession.
"""

from datetime import datetime, timedelta
from typing import Final

from foreshore_planner import snapshot

WINDOW: Final = 3600.0
"""Seconds for which it counts that a node fell silent."""

LIMIT: Final = 2
"""Times within the window after which a node is quarantined."""


def count(node: snapshot.Node | None) -> int:
    """Return how often a node fell silent within the window; one that is gone is not counted."""
    return sum(age < WINDOW for age in node.flaps) if node is not None else 0


def is_quarantined(node: snapshot.Node | None) -> bool:
    """Whether a node fell silent so often that nothing new goes there."""
    return count(node) >= LIMIT


def ends_in(node: snapshot.Node) -> float | None:
    """Return in how many seconds its quarantine ends if it stays heard; None where it has none."""
    return WINDOW - node.flaps[LIMIT - 1] if is_quarantined(node) else None


def may_take_over(candidate: int, lost: int) -> bool:
    """Whether a node may take what a lost one had, by how often each fell silent."""
    return candidate < (1 if lost >= LIMIT else LIMIT)


def words(node: snapshot.Node, now: datetime) -> str | None:
    """Say of a node in quarantine how often it fell silent, and until when nothing new goes there.

    None where it is in none. By the minute: a text that changes is a write.
    """
    wait = ends_in(node)
    if wait is None:
        return None
    end = now + timedelta(seconds=wait + 60)
    return f"it fell silent {times(count(node))} within the hour: nothing new before {end:%H:%M}Z"


def times(number: int) -> str:
    """Say how often, in words where they are shorter."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
