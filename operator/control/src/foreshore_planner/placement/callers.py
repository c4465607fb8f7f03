"""What the agents that call a replica say of it.

Who calls can tell: where agents have called a replica lately, the others neither praise nor blame
it. Of one that nobody calls, such as a standby, those can tell that call the policy's other
replicas: it is they who would turn to it. Where nobody calls any, it is looked after by every agent
that has it, and blamed where all of them do. A call that is late is as bad as one that fails. Of
several callers, one whose calls are good is enough to keep a replica where it is.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from foreshore_api.reasons import inference
from foreshore_api.wire import assignment, report
from foreshore_planner import latency

BAD_AFTER = 10.0
"""Seconds of bad calls after which a replica is replaced."""

DEMOTED_AFTER = 1.0
"""Seconds of bad calls after which a replica that serves as well takes the role over."""

ENOUGH = 5
"""Bad calls of the last minute below which their share says nothing."""

SLOW = frozenset({inference.LATE, inference.OVERTAKEN, inference.DEADLINE})
"""Reasons of agents for calls that were not answered in time."""

Where = tuple[str, str]
"""(slot, node). The node counts: agents may still tell of the endpoint a slot has just left."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What every caller of a replica holds against it, or every agent where none calls it."""

    seconds: float
    """For how long, at least."""
    reason: str
    is_slow: bool
    """Whether it answers, only too late."""


def complaints(
    endpoints: Iterable[tuple[str, report.EndpointReport]],
) -> Mapping[Where, Complaint]:
    """Return the replicas that all hold bad who call them, or would, or else have them.

    `endpoints` is what every agent of the site reports of one policy, each behind the agent's node.

    In pods: what an agent runs itself is nobody else's to call (see `in_agents`).
    """
    says: dict[Where, dict[str, report.EndpointReport]] = {}
    calling: set[str] = set()
    for agent, endpoint in endpoints:
        if not assignment.is_in_agent(endpoint.url):
            says.setdefault((endpoint.slot, endpoint.node), {})[agent] = endpoint
            calling |= {agent} if latency.has_called(endpoint) else set()
    blames: dict[Where, Complaint] = {}
    for where, by_agent in sorted(says.items()):
        lines = _who_can_tell(by_agent, calling)
        ages = [age for age in map(bad_for, lines) if age is not None]
        if len(ages) == len(lines):
            reason = min(line.reason or "calls fail" for line in lines)
            blames[where] = Complaint(min(ages), reason, all(_is_slow(line) for line in lines))
    return blames


def _who_can_tell(
    by_agent: Mapping[str, report.EndpointReport], calling: Collection[str]
) -> list[report.EndpointReport]:
    """Return what those say of a replica who call it, else who call its siblings, else everybody.

    Not everybody where somebody calls the siblings: the agent beside a standby reaches it over a
    link that is cut or slow for all others.
    """
    every = list(by_agent.values())
    callers = [line for line in every if latency.has_called(line)]
    return callers or [line for agent, line in by_agent.items() if agent in calling] or every


def providers(endpoints: Iterable[report.EndpointReport]) -> Mapping[str, str]:
    """Return the execution providers that agents heard of from a policy's replicas, by endpoint.

    By the address, not the slot: a successor in the same slot may compute otherwise.
    """
    return {
        endpoint.url.removeprefix("http://"): endpoint.provider
        for endpoint in endpoints
        if endpoint.provider is not None
    }


def bad_for(line: report.EndpointReport) -> float | None:
    """Return for how long calls have been bad; None where most of the last minute's were good.

    While good ones come in between, the agent's own count begins anew with each: then their share
    of the minute counts.
    """
    since, bad = line.bad_for_seconds, line.late + line.failed
    if bad >= ENOUGH and bad > line.good and (line.good > 0 or since is None):
        return max(BAD_AFTER, since or 0.0)
    return since


def _is_slow(line: report.EndpointReport) -> bool:
    return line.late > line.failed or line.reason in SLOW
