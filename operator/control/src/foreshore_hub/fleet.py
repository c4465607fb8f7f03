"""What the hub knows of its agents, in memory: their last reports and the last renewals sent.

Agents write it through the door, the operator reads it by long-poll: whole, or (`deltas`) what
changed since it asked last. A restart forgets the reports (agents report every few seconds) but not
whom it renewed; when it did counts as its start.
"""

import asyncio
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from foreshore_api.wire import evidence as wire
from foreshore_api.wire import report
from foreshore_hub import changes, renewals
from foreshore_planner import news

SILENT_SECONDS: Final = 15.0
"""An agent that has not reported for so long counts as silent in metrics."""
FORGOTTEN_SECONDS: Final = 7 * 86400.0
"""An agent that has not reported for so long is no longer evidence of anything, and whom the hub
renewed for a device that is gone so long nobody's matter."""
MAXIMUM_AGENTS: Final = report.AGENTS
FIGURES_SECONDS: Final = 30.0
"""About how often latencies and probes are passed on: agents keep them over five minutes."""
SPREAD: Final = 0.25
"""By which share that differs from agent to agent: all report at once after a restart."""


@dataclass(slots=True)
class ReportingAgent:
    """One agent: its newest report, and the one whose facts and figures readers have."""

    newest: report.Report
    at: float
    passed_on: report.Report
    figures_due: float
    is_passed_on: bool = False
    """Whether anything of it was passed on yet."""
    encoded: bytes = b""
    """`passed_on` as bytes, written once."""

    def is_due(self, now: float) -> bool:
        """Whether figures are to be passed on: it is their turn, or other things are measured."""
        before, after = self.passed_on, self.newest
        has_other_lines = len(before.stages) != len(after.stages) or len(before.probes) != len(
            after.probes
        )
        return has_other_lines or now >= self.figures_due

    def body(self) -> bytes:
        """Return what is passed on as bytes."""
        self.encoded = self.encoded or self.passed_on.encode()
        return self.encoded


class FleetEvidence:
    """Evidence by node; all times are the caller's monotonic seconds."""

    def __init__(
        self,
        lineage: str,
        started_at: float,
        renewed: Mapping[renewals.Device, renewals.RenewedHolder],
    ) -> None:
        self.lineage: Final = lineage
        self.boot_id: Final = uuid.uuid4().hex
        self.started_at: Final = started_at
        self.log: Final = changes.ChangeLog(self.is_live)
        self.changed = asyncio.Event()
        self.urgent_revision = 0
        """Of the newest change that a reader who waits is to hear of at once."""
        self.urgent = asyncio.Event()
        self.problems: tuple[report.Problem, ...] = ()
        self.problems_revision = 0
        self._agents: dict[str, ReportingAgent] = {}
        self._reporting: Final[changes.InTime[str]] = changes.InTime()
        self._renewed: dict[renewals.Device, renewals.RenewedHolder] = {}
        self._renewing: Final[changes.InTime[renewals.Device]] = changes.InTime()
        self._given_back: dict[renewals.Device, Mapping[tuple[str, int], float]] = {}
        """Node and epoch, and since when that is known, by device."""
        self.note_renewals(renewed)

    @property
    def revision(self) -> int:
        """The number of the newest change, news or not."""
        return self.log.revision

    def note_report(self, facts: report.Report, now: float) -> None:
        """Take a report in."""
        agent = self._agents.get(facts.node)
        if agent is None and len(self._agents) >= MAXIMUM_AGENTS:
            self._drop(min(self._agents, key=lambda node: self._agents[node].at))
        self._note_given_back(facts, agent.newest if agent else None, now)
        if agent is None:
            agent = self._agents[facts.node] = ReportingAgent(facts, now, facts, now)
            self._pass_on(agent, news.ReportNews.URGENT, now)
        else:
            agent.newest, agent.at = facts, now
            self._pass_on(agent, news.compare_facts(agent.passed_on, facts), now)
        if self._reporting.hear(facts.node, now, wire.LATE_SECONDS):
            self.log.note(facts.node)
        self._touch()

    def note_renewals(self, changed: Mapping[renewals.Device, renewals.RenewedHolder]) -> None:
        """Take in what was just renewed, or was before this process began."""
        for device, last in changed.items():
            before = self._renewed.get(device)
            self._renewed[device] = last
            at = self.started_at if last.at is None else last.at
            was_late = self._renewing.hear(device, at, last.lease_seconds * wire.LATE_SHARE)
            is_other = before is None or (before.epoch, before.holder) != (last.epoch, last.holder)
            if was_late or is_other:
                self.log.note(device)

    def note_problems(self, problems: tuple[report.Problem, ...]) -> None:
        """Take in what the hub cannot do for single nodes."""
        if problems != self.problems:
            self.problems = problems
            self.problems_revision = self.log.advance()

    def note_silence(self, now: float) -> None:
        """Note whose report or renewal has become late by now."""
        for node in self._reporting.overdue(now):
            self.log.note(node)
        for device in self._renewing.overdue(now):
            self.log.note(device)

    def last_renewal(self, device: renewals.Device) -> renewals.RenewedHolder | None:
        """Return whom the hub renewed last for a device."""
        return self._renewed.get(device)

    def given_back(self, device: renewals.Device) -> frozenset[tuple[str, int]]:
        """Return which holders gave the device back, and under which epoch."""
        return frozenset(self._given_back.get(device, ()))

    def agent(self, node: str) -> ReportingAgent | None:
        """Return what is known of a node's agent."""
        return self._agents.get(node)

    def evidence(self, now: float) -> report.Fleet:
        """Return everything, with ages as of now."""
        return report.Fleet(
            lineage=self.lineage,
            revision=self.revision,
            uptime_seconds=max(0.0, now - self.started_at),
            agents=tuple(
                report.AgentEvidence(
                    node=node, age_seconds=max(0.0, now - agent.at), report=agent.newest
                )
                for node, agent in sorted(self._agents.items())
            ),
            renewals=tuple(
                self._renewal(device, renewals.age(last, self.started_at, now))
                for device, last in sorted(self._renewed.items())
            ),
            given_back=tuple(
                entry
                for device in sorted(self._given_back)
                for entry in self._entries_given_back(device, now)
            ),
            problems=self.problems,
        )

    def device(self, device: renewals.Device, now: float) -> wire.DeviceUpdate:
        """Return what is known of a device's right; its renewal has no age while it is in time."""
        last, renewal = self._renewed.get(device), None
        if last is not None:
            is_in_time = device in self._renewing
            age = 0.0 if is_in_time else renewals.age(last, self.started_at, now)
            renewal = self._renewal(device, age)
        return wire.DeviceUpdate(
            namespace=device[0],
            device=device[1],
            renewal=renewal,
            given_back=self._entries_given_back(device, now)[:1000],
        )

    def is_live(self, key: changes.Key) -> bool:
        """Whether anything is known of a node's agent, or of a device."""
        if isinstance(key, str):
            return key in self._agents
        return key in self._renewed or key in self._given_back

    def count(self, now: float) -> tuple[int, int]:
        """Return how many agents report and how many are silent."""
        silent = sum(now - agent.at > SILENT_SECONDS for agent in self._agents.values())
        return len(self._agents) - silent, silent

    def wake_all(self) -> None:
        """Let everybody who waits go: the hub is about to stop."""
        self._touch()
        self._hurry(self.log.revision)

    def forget(
        self, now: float, is_known: Callable[[renewals.Device], bool]
    ) -> frozenset[renewals.Device]:
        """Drop what is long gone; returns the devices whose last renewal the store may drop too."""
        for node, agent in [*self._agents.items()]:
            if now - agent.at >= FORGOTTEN_SECONDS:
                self._drop(node)
        gone = frozenset(
            device
            for device, last in self._renewed.items()
            if not is_known(device)
            and renewals.age(last, self.started_at, now) >= FORGOTTEN_SECONDS
        )
        for device in gone:
            del self._renewed[device]
            self._renewing.drop(device)
            self.log.note(device)
        return gone

    def _pass_on(self, agent: ReportingAgent, what: news.ReportNews, now: float) -> None:
        """Note what readers have not heard; figures that are not due wait for their turn."""
        facts = agent.newest
        has_figures = not agent.is_passed_on or (
            agent.is_due(now) and news.has_other_figures(agent.passed_on, facts)
        )
        if what is news.ReportNews.NOTHING and not has_figures:
            return
        revision = self.log.note(facts.node)
        agent.is_passed_on = True
        if has_figures:
            agent.figures_due = now + FIGURES_SECONDS * _spread(facts.node)
        else:
            kept = {"stages": agent.passed_on.stages, "probes": agent.passed_on.probes}
            facts = facts.model_copy(update=kept)
        agent.passed_on = facts
        agent.encoded = b""
        if what is news.ReportNews.URGENT:
            self._hurry(revision)

    def _note_given_back(
        self, facts: report.Report, before: report.Report | None, now: float
    ) -> None:
        """Replace what this node gave back earlier by what it says now.

        What it says again is known since it said so first.
        """
        earlier, present = _given_back(before), _given_back(facts)
        if earlier == present:
            return
        since_when = {
            (device, epoch): since
            for device in earlier
            for (node, epoch), since in self._given_back.get(device, {}).items()
            if node == facts.node
        }
        for device in earlier:
            self._take_back(device, facts.node)
        for device, epoch in present.items():
            entry = {(facts.node, epoch): since_when.get((device, epoch), now)}
            self._given_back[device] = {**self._given_back.get(device, {}), **entry}
        for device in sorted({*earlier, *present}):
            self.log.note(device)

    def _drop(self, node: str) -> None:
        agent = self._agents.pop(node)
        self._reporting.drop(node)
        self.log.note(node)
        for device in _given_back(agent.newest):
            self._take_back(device, node)
            self.log.note(device)

    def _take_back(self, device: renewals.Device, node: str) -> None:
        """Forget that a node gave a device back."""
        entries = self._given_back.get(device, {})
        left = {entry: since for entry, since in entries.items() if entry[0] != node}
        if left:
            self._given_back[device] = left
        else:
            self._given_back.pop(device, None)

    def _renewal(self, device: renewals.Device, age: float) -> report.LastRenewal:
        last = self._renewed[device]
        return report.LastRenewal(
            namespace=device[0],
            device=device[1],
            epoch=last.epoch,
            holder=last.holder,
            age_seconds=age,
        )

    def _entries_given_back(
        self, device: renewals.Device, now: float
    ) -> tuple[report.GivenBack, ...]:
        return tuple(
            report.GivenBack(
                namespace=device[0],
                device=device[1],
                epoch=epoch,
                holder=node,
                age_seconds=max(0.0, now - since),
            )
            for (node, epoch), since in sorted(self._given_back.get(device, {}).items())
        )

    def _hurry(self, revision: int) -> None:
        self.urgent_revision = revision
        self.urgent.set()
        self.urgent = asyncio.Event()

    def _touch(self) -> None:
        self.log.advance()
        self.changed.set()
        self.changed = asyncio.Event()


def _spread(node: str) -> float:
    """Return a factor near 1, the same for the same node."""
    return 1 - SPREAD + 2 * SPREAD * zlib.crc32(node.encode()) / 0xFFFFFFFF


def _given_back(facts: report.Report | None) -> dict[renewals.Device, int]:
    """Return what a report says was given back, with the epoch."""
    return {
        (reported.namespace, reported.device): reported.epoch
        for reported in (facts.devices if facts is not None else ())
        if reported.gave_back and reported.epoch is not None
    }
