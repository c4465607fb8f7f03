"""What an agent's report says apart from figures: two reports with the same facts decide the same.

Histograms, counts and sequence numbers change with every report and decide nothing at once. Called
by `seen` for every report that is new.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from foreshore_api.wire import report
from foreshore_planner import latency
from foreshore_planner.placement import callers

SETTLED_UPTIME = 600.0
"""Seconds after which it does not matter how long an agent has been up: no lease is longer."""

HEARD_LATELY = 3.0
"""Seconds below which the age of a beat decides nothing: every limit is longer."""


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """The facts of one report, comparable."""

    words: Hashable
    """What policies show: problems, and why modes are lowered."""
    others: Hashable


def of(agent: report.AgentEvidence) -> ReportFacts:
    """Return the facts of what an agent reports."""
    own = agent.report
    words = (tuple(_problem(problem) for problem in own.problems), own.capped_by)
    others = (
        min(own.uptime_seconds, SETTLED_UPTIME),
        (own.broker_connected, own.broker_problem, own.broker_reason, own.stopping),
        tuple(_device(line) for line in own.devices),
        tuple(_endpoint(line) for line in own.endpoints),
        tuple(_peer(peer) for peer in own.peers),
        _journal(own.journal),
    )
    return ReportFacts(words, others)


def _problem(problem: report.Problem) -> Hashable:
    about = (problem.kind, problem.namespace, problem.name, problem.generation)
    return (*about, problem.reason, problem.message)


def _device(line: report.HeldDevice) -> Hashable:
    identity = (line.namespace, line.device, line.connected, line.offline)
    return (*identity, line.epoch, line.standing, line.gave_back, line.highest_epoch_seen)


def _endpoint(line: report.EndpointReport) -> Hashable:
    """Return how calls go, not how many there were."""
    identity = (line.namespace, line.policy, line.slot, line.node, line.url, line.provider)
    is_late = line.late > line.failed
    has_called = latency.has_called(line)
    return (*identity, line.reason, has_called, is_late, callers.bad_for(line))


def _peer(peer: report.ReportedPeer) -> Hashable:
    return (peer.node, 0.0 if peer.age_seconds < HEARD_LATELY else peer.age_seconds)


def _journal(journal: report.JournalReport | None) -> Hashable:
    return None if journal is None else (journal.full, journal.broken_at, journal.broken_reason)
