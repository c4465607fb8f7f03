"""What the hub says, kept between passes: who is heard, and what is other than it was.

A report that says the same as the one before is no change, nor is one that is a little older: only
what crosses a limit of age is. Called by `seen`.
"""

from collections.abc import Iterable, Mapping

from foreshore_api.wire import report
from foreshore_planner import health, named, snapshot
from foreshore_planner.world import deadlines, facts
from foreshore_planner.world.changes import Changes

SLACK = 0.5
"""Seconds by which a renewal may seem to have become older than time passed: it was rounded."""


class Hearing:
    """The newest evidence of the hub, and when it was received by the observer's clock."""

    def __init__(self, queue: deadlines.Deadlines) -> None:
        self.fleet: report.Fleet | None = None
        self.index = snapshot.fleet_index(None, ())
        self._at = 0.0
        self._queue = queue
        self._agents: dict[str, report.AgentEvidence] = {}
        self._facts: dict[str, facts.ReportFacts] = {}
        self._levels: dict[str, int] = {}
        self._renewed: dict[named.Key, tuple[tuple[int, str, float], ...]] = {}
        self._was_young = False

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
        before = self.fleet
        self.fleet, self._at = fleet, now - age
        changes.hub |= (before is None) != (fleet is None)
        agents = {agent.node: agent for agent in fleet.agents} if fleet is not None else {}
        for node in self._agents.keys() - agents.keys():
            self._forget(node, changes)
        for node, agent in agents.items():
            self._compare(node, agent, changes)
        self._agents = agents
        self._note_problems(before, changes)
        self._note_rights(changes)
        for node in agents:
            self.look(node, now, changes)
        self.look_at_hub(now, changes)

    def look(self, node: str, now: float, changes: Changes) -> None:
        """Note whether an agent is fresh, stands or is silent by now, and when that changes."""
        agent = self._agents.get(node)
        if agent is None or self.fleet is None:
            return
        age = agent.age_seconds + self.age(now)
        level = (age <= health.BEAT_FRESH) + (age <= health.AGENT_SILENT)
        last = self._levels.get(node, 0)
        self._levels[node] = level
        if level != last:
            changes.agents.add(node)
        if (level > 0) != (last > 0):
            changes.words.add(node)
        wait = deadlines.crossing(age, deadlines.AGENT)
        self._queue.put(("agent", node), now + wait if wait is not None else None)

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
        """Look up evidence and pods anew."""
        self.index = snapshot.fleet_index(self.fleet, parts.values())

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
        now, before = facts.of(agent), self._facts.get(node)
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

    def _note_rights(self, changes: Changes) -> None:
        """Note devices whose renewals stopped, started, or are of another epoch."""
        lines: dict[named.Key, list[tuple[int, str, float]]] = {}
        fleet = self.fleet
        for renewal in fleet.renewals if fleet is not None else ():
            stamp = (renewal.epoch, renewal.holder, self._at - renewal.age_seconds)
            lines.setdefault((renewal.namespace, renewal.device), []).append(stamp)
        for given in fleet.given_back if fleet is not None else ():
            stamp = (given.epoch, f"{given.holder} gave it back", self._at - given.age_seconds)
            lines.setdefault((given.namespace, given.device), []).append(stamp)
        renewed = {key: tuple(sorted(stamps)) for key, stamps in lines.items()}
        for key in renewed.keys() | self._renewed.keys():
            if not _goes_on(self._renewed.get(key, ()), renewed.get(key, ())):
                changes.rights.add(key)
        self._renewed = renewed


def _goes_on(
    before: tuple[tuple[int, str, float], ...], after: tuple[tuple[int, str, float], ...]
) -> bool:
    """Whether a device is renewed as it was: the same epochs and holders, none of them earlier."""
    return len(before) == len(after) and all(
        old[:2] == new[:2] and new[2] >= old[2] - SLACK
        for old, new in zip(before, after, strict=True)
    )


def _figures(agent: report.AgentEvidence) -> object:
    own = agent.report
    return own.stages, own.probes
