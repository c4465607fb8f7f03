"""What the hub says, kept between passes: who is heard, and what is other than it was.

A report that says the same as the one before is no change, nor is one that is a little older: only
what crosses a limit of age is. An agent that reports in time crosses one when the hub falls silent,
and not before: each answer of it puts that off for all of them. Called by `seen`.
"""

from collections.abc import Iterable, Mapping

from foreshore_api.wire import evidence, report
from foreshore_planner import health, named, news, snapshot
from foreshore_planner.world import deadlines
from foreshore_planner.world.changes import Changes

SLACK = 0.5
"""Seconds by which a renewal may seem to have become older than time passed: it was rounded."""

Stamp = tuple[int, str, float]
"""Of a right: its epoch, its holder, and how long before the evidence came it was renewed, as a
number below zero."""


class Hearing:
    """The newest evidence of the hub, and when it was received by the observer's clock."""

    def __init__(self, queue: deadlines.Deadlines) -> None:
        self.fleet: report.Fleet | None = None
        self.index = snapshot.fleet_index(None, ())
        self.fresh_until: float | None = None
        """When the first agent that reports in time crosses a limit, unless the hub says that it
        still does; None where none ever will."""
        self._at = 0.0
        self._queue = queue
        self._agents: dict[str, report.AgentEvidence] = {}
        self._facts: dict[str, news.ReportFacts] = {}
        self._levels: dict[str, int] = {}
        self._renewed: dict[named.Key, tuple[Stamp, ...]] = {}
        self._was_young = False
        self._indexed: tuple[report.LastRenewal, ...] = ()
        """Renewals that `index` was made of."""

    def age(self, now: float) -> float:
        """Return the seconds since the evidence was received."""
        return now - self._at if self.fleet is not None else 0.0

    def is_heard(self, node: str) -> bool:
        """Whether an agent reports, as the reference counts it."""
        return self._levels.get(node, 0) > 0

    def nodes(self) -> Iterable[str]:
        """Return the nodes of all agents that the hub knows."""
        return self._agents.keys()

    def agent(self, node: str) -> report.AgentEvidence:
        """Return an agent that is heard."""
        return self._agents[node]

    def receive(self, fleet: report.Fleet | None, age: float, now: float, changes: Changes) -> None:
        """Take new evidence, and note what it changes."""
        before, before_at = self.fleet, self._at
        self.fleet, self._at = fleet, now - age
        changes.hub |= (before is None) != (fleet is None)
        agents = {agent.node: agent for agent in fleet.agents} if fleet is not None else {}
        for node in self._agents.keys() - agents.keys():
            self._forget(node, changes)
        for node, agent in agents.items():
            self._compare(node, agent, changes)
        self._agents = agents
        self._note_problems(before, changes)
        self._note_rights(before, before_at, changes)
        self.look_at_all(now, changes)
        self.look_at_hub(now, changes)

    def look_at_all(self, now: float, changes: Changes) -> None:
        """Look at every agent; those that report in time share one moment."""
        in_time: list[float] = []
        for node, agent in self._agents.items():
            at = self._judge(node, agent, now, changes)
            if agent.age_seconds > evidence.LATE_SECONDS:
                self._queue.put(("agent", node), at)
            elif at is not None:
                in_time.append(at)
        self.fresh_until = min(in_time, default=None)

    def look(self, node: str, now: float, changes: Changes) -> None:
        """Look at an agent that is late, now that time alone has changed something of it."""
        agent = self._agents.get(node)
        if agent is not None and agent.age_seconds > evidence.LATE_SECONDS:
            self._queue.put(("agent", node), self._judge(node, agent, now, changes))

    def _judge(
        self, node: str, agent: report.AgentEvidence, now: float, changes: Changes
    ) -> float | None:
        """Note whether an agent is fresh, stands or is silent by now; when that changes."""
        age = agent.age_seconds + self.age(now)
        level = (age <= health.BEAT_FRESH) + (age <= health.AGENT_SILENT)
        last = self._levels.get(node, 0)
        self._levels[node] = level
        if (level > 0) != (last > 0):
            changes.agents.add(node)
            changes.words.add(node)
        elif level != last:
            changes.freshness.add(node)
        wait = deadlines.crossing(age, deadlines.AGENT)
        return now + wait if wait is not None else None

    def look_at_hub(self, now: float, changes: Changes) -> None:
        """Note whether the hub has been up for long enough to know who is silent."""
        is_young, wait = False, None
        if self.fleet is not None:
            up = self.fleet.uptime_seconds + self.age(now)
            is_young = up <= health.AGENT_SILENT
            wait = deadlines.crossing(up, deadlines.AGENT[1:])
        changes.hub |= is_young != self._was_young
        self._was_young = is_young
        self._queue.put(("hub",), now + wait if wait is not None else None)

    def reindex(self, parts: Mapping[named.Key, snapshot.ProductPod]) -> None:
        """Look up evidence and pods anew; renewals that only go on are where they were."""
        renewals = self.fleet.renewals if self.fleet is not None else ()
        as_before = self.index.renewals if renewals is self._indexed else None
        self.index = snapshot.fleet_index(self.fleet, parts.values(), as_before)
        self._indexed = renewals

    def _forget(self, node: str, changes: Changes) -> None:
        self._facts.pop(node, None)
        self._queue.put(("agent", node), None)
        changes.agents.add(node)  # also one that was silent: the hub knows nothing of it any more
        if self._levels.pop(node, 0) > 0:
            changes.words.add(node)

    def _compare(self, node: str, agent: report.AgentEvidence, changes: Changes) -> None:
        last = self._agents.get(node)
        if last is not None and last.report is agent.report:
            return
        now, before = news.decided_by(agent.report), self._facts.get(node)
        self._facts[node] = now
        if before != now:
            changes.agents.add(node)
            if before is None or before.words != now.words:
                changes.words.add(node)
        elif last is not None and _figures(last) != _figures(agent):
            changes.figures.add(node)

    def _note_problems(self, before: report.Fleet | None, changes: Changes) -> None:
        old = before.problems if before is not None else ()
        new = self.fleet.problems if self.fleet is not None else ()
        if old != new:
            changes.problems |= {problem.name for problem in (*old, *new)}

    def _note_rights(self, before: report.Fleet | None, before_at: float, changes: Changes) -> None:
        """Note devices whose renewals stopped, started, or are of another epoch."""
        fleet = self.fleet
        if (
            before is not None
            and fleet is not None
            and fleet.renewals is before.renewals
            and not (fleet.given_back or before.given_back)
            and self._at >= before_at - SLACK
        ):
            return  # all of them go on, however many there are
        lines: dict[named.Key, list[Stamp]] = {}
        for renewal in fleet.renewals if fleet is not None else ():
            stamp = (renewal.epoch, renewal.holder, -renewal.age_seconds)
            lines.setdefault((renewal.namespace, renewal.device), []).append(stamp)
        for given in fleet.given_back if fleet is not None else ():
            stamp = (given.epoch, f"{given.holder} gave it back", -given.age_seconds)
            lines.setdefault((given.namespace, given.device), []).append(stamp)
        renewed = {key: tuple(sorted(stamps)) for key, stamps in lines.items()}
        later = self._at - before_at
        for key in renewed.keys() | self._renewed.keys():
            if not _goes_on(self._renewed.get(key, ()), renewed.get(key, ()), later):
                changes.rights.add(key)
        self._renewed = renewed


def _goes_on(before: tuple[Stamp, ...], after: tuple[Stamp, ...], later: float) -> bool:
    """Whether a device is renewed as it was: the same epochs and holders, none of them earlier.

    `later` is by how many seconds the second evidence came later than the first.
    """
    return len(before) == len(after) and all(
        old[:2] == new[:2] and new[2] + later >= old[2] - SLACK
        for old, new in zip(before, after, strict=True)
    )


def _figures(agent: report.AgentEvidence) -> object:
    own = agent.report
    return own.stages, own.probes
