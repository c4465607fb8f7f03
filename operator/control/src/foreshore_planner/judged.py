"""How verdicts on nodes stand in the status of their Site, or of the Cluster for nodes of none.

Only what is not as it should be: nodes that are not Healthy, and nodes in quarantine. Nothing in it
ticks, so that a status is written when a verdict changes and not before. Called by `status`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from foreshore_api import scalars
from foreshore_api.v1alpha1 import judging
from foreshore_planner import connection, health, quarantine, snapshot

Verdict = health.NodeVerdict

WORST_FIRST: Final = (
    Verdict.NODE_DEAD,
    Verdict.UNKNOWN,
    Verdict.SITE_CUT,
    Verdict.LINK_CUT,
    Verdict.SUSPECT,
    Verdict.HEALTHY,
)

SAME: Final = 60.0
"""Seconds by which the end of a quarantine may seem to move: clocks are read one after another."""


def listed(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    nodes: Iterable[snapshot.Node],
    before: Sequence[judging.JudgedNode],
) -> tuple[tuple[judging.JudgedNode, ...], int | None]:
    """Return the nodes that a status lists, and how many more there are; `before` is written."""
    is_heard = not connection.is_unheard(None, seen, {})
    written = {node.node: node for node in before}
    troubled = [
        (WORST_FIRST.index(assessment.verdict), node.name, node, assessment)
        for node in nodes
        for assessment in (verdicts.of(node.name),)
        if _is_listed(node, assessment, is_heard=is_heard)
    ]
    troubled.sort(key=lambda row: row[:2])
    rest = len(troubled) - judging.LISTED
    return (
        tuple(
            _node(seen, node, assessment, written.get(name))
            for _, name, node, assessment in troubled[: judging.LISTED]
        ),
        rest if rest > 0 else None,
    )


def _is_listed(node: snapshot.Node, assessment: health.Assessment, *, is_heard: bool) -> bool:
    """Whether something is to be said of a node; without the hub no agent is silent for all know.

    That the hub is away is one condition of the Site.
    """
    match assessment.verdict:
        case Verdict.HEALTHY:
            return quarantine.is_quarantined(node)
        case Verdict.SUSPECT:
            return is_heard or quarantine.is_quarantined(node)
        case _:
            return True


def _node(
    seen: snapshot.Snapshot,
    node: snapshot.Node,
    assessment: health.Assessment,
    before: judging.JudgedNode | None,
) -> judging.JudgedNode:
    is_same = before is not None and before.verdict == assessment.verdict
    return judging.JudgedNode(
        node=node.name,
        verdict=assessment.verdict.value,
        evidence=assessment.evidence[: judging.EVIDENCE],
        since=before.since if before is not None and is_same else scalars.timestamp(seen.now),
        flaps=quarantine.count(node) or None,
        quarantined_until=_until(seen, node, before),
    )


def _until(
    seen: snapshot.Snapshot, node: snapshot.Node, before: judging.JudgedNode | None
) -> str | None:
    wait = quarantine.ends_in(node)
    if wait is None:
        return None
    end = seen.now + timedelta(seconds=wait)
    written = before.quarantined_until if before is not None else None
    is_same = written is not None and _is_near(written, end)
    return written if is_same else scalars.timestamp(end)


def _is_near(written: str, end: datetime) -> bool:
    """Whether a moment that was written is the same; one that cannot be read is not."""
    try:
        return abs((scalars.instant(written) - end).total_seconds()) <= SAME
    except ValueError:
        return False
