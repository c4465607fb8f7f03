"""What of an agent's report is a fact, and whether one says any that the one before did not.

The hub asks it of every report: what is no news is not sent on. The operator asks it of what it is
sent: what is urgent makes a pass at once, and figures alone make none. The planner's kept world
asks whether two reports decide the same (`decided_by`).

Clocks and counters move in every report. Those of them by which something is decided (how long a
peer or a replica has been silent, how long an agent has been up, and has listened) are news each
time they have grown by a share, so that a threshold is seen soon after it is passed, and never
before. What has arrived is compared exactly: the report that brought it may have had other news.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from foreshore_api.wire import report

BEATING_SECONDS: Final = 3.0
"""A peer that was heard within so many seconds is heard: agents beat once a second."""
GROWTH: Final = 1.05
"""By how much a silence grows until it is news again."""
UPTIME_GROWTH: Final = 1.25
"""By how much an uptime does: too short a one only delays what the agent bears witness to."""
SETTLED_SECONDS: Final = 660.0
"""Beyond, how long something lasts decides nothing more: no lease is longer than ten minutes."""


class ReportNews(IntEnum):
    """What is new, in order of haste."""

    NOTHING = 0
    FIGURES = 1
    """Latencies and probes: a pass may take them as they come."""
    FACTS = 2
    """Something that conditions, placement or authority follow from."""
    URGENT = 3
    """Something that others wait for."""


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """The facts of one report: two reports with the same ones decide the same."""

    words: Hashable
    """What policies show: problems, and why modes are lowered."""
    others: Hashable


def decided_by(facts: report.Report) -> ReportFacts:
    """Return what a report decides: all that is news but figures, and its silences exactly."""
    return ReportFacts(
        words=(facts.problems, facts.capped_by),
        others=(_urgent(facts), _facts(facts), _silences(facts)),
    )


def compare(before: report.Report | None, after: report.Report) -> ReportNews:
    """Return what `after` says that `before`, the last that was passed on, did not."""
    what = compare_facts(before, after)
    if what is ReportNews.NOTHING and before is not None and has_other_figures(before, after):
        return ReportNews.FIGURES
    return what


def compare_facts(before: report.Report | None, after: report.Report) -> ReportNews:
    """Return the same but for figures, which take the longest to compare."""
    if before is None or _urgent(before) != _urgent(after):
        return ReportNews.URGENT
    if _facts(before) != _facts(after) or _has_grown(before, after):
        return ReportNews.FACTS
    return ReportNews.NOTHING


def has_other_figures(before: report.Report, after: report.Report) -> bool:
    """Whether latencies or probes were measured since."""
    return before.stages != after.stages or before.probes != after.probes


def _urgent(facts: report.Report) -> Hashable:
    """Return what somebody waits for: a right given back, a path lost or regained."""
    return (
        facts.boot_id,
        facts.stopping,
        facts.broker_connected,
        tuple(
            (held.namespace, held.device, held.epoch) for held in facts.devices if held.gave_back
        ),
        tuple(
            (line.namespace, line.policy, line.slot, line.node, line.url)
            for line in facts.endpoints
            if line.bad_for_seconds is not None
        ),
    )


def _facts(facts: report.Report) -> Hashable:
    """Return what is decided by, without what moves in every report."""
    journal = facts.journal
    return (
        facts.agent_version,
        facts.assignment,
        facts.problems,
        facts.broker_problem,
        facts.broker_reason,
        facts.devices,
        facts.capped_by,
        tuple(_endpoint(line) for line in facts.endpoints),
        tuple((peer.node, peer.has_hub, peer.held, _is_heard(peer)) for peer in facts.peers),
        (journal.journal, journal.full, journal.broken_at, journal.broken_reason)
        if journal is not None
        else None,
    )


def _silences(facts: report.Report) -> Hashable:
    """Return what grows with time alone; only as far as anything is decided by it."""
    return (
        min(facts.uptime_seconds, SETTLED_SECONDS),
        None if facts.listening_seconds is None else min(facts.listening_seconds, SETTLED_SECONDS),
        tuple(None if _is_heard(peer) else peer.age_seconds for peer in facts.peers),
        tuple(line.bad_for_seconds for line in facts.endpoints),
    )


def _endpoint(line: report.EndpointReport) -> Hashable:
    """Return what is decided by of one replica's calls; counts only where most of them are bad."""
    bad = line.late + line.failed
    is_mostly_bad = bad > line.good
    return (
        (line.namespace, line.policy, line.slot, line.node, line.url),
        (line.reason, line.provider),
        (bad + line.good > 0, line.good > 0, line.late > line.failed, is_mostly_bad),
        bad if is_mostly_bad else None,
    )


def _is_heard(peer: report.ReportedPeer) -> bool:
    return peer.age_seconds <= BEATING_SECONDS


def _has_grown(before: report.Report, after: report.Report) -> bool:
    """Whether what grows with time is longer by enough; both reports name the same peers."""
    return (
        _is_longer(before.uptime_seconds, after.uptime_seconds, UPTIME_GROWTH)
        or after.uptime_seconds < before.uptime_seconds
        or _has_other_listening(before.listening_seconds, after.listening_seconds)
        or any(
            _is_silence_longer(earlier.age_seconds, later.age_seconds)
            for earlier, later in zip(before.peers, after.peers, strict=True)
            if not _is_heard(later)
        )
        or any(
            _is_silence_longer(earlier.bad_for_seconds or 0.0, later.bad_for_seconds)
            for earlier, later in zip(before.endpoints, after.endpoints, strict=True)
            if later.bad_for_seconds is not None
        )
    )


def _has_other_listening(before: float | None, after: float | None) -> bool:
    """Whether an agent has listened for longer by enough, or began anew in between."""
    if before is None or after is None:
        return before is not after
    return after < before or _is_longer(before, after, UPTIME_GROWTH)


def _is_silence_longer(before: float, after: float) -> bool:
    """Whether a silence is longer by enough, or another one: it began anew in between."""
    return after < before or _is_longer(before, after, GROWTH)


def _is_longer(before: float, after: float, growth: float) -> bool:
    return before < SETTLED_SECONDS and after > before * growth
