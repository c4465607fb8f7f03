"""The fleet's evidence as the hub's answers add up to it; `measure` feeds it line by line.

    head ──► begin ──► take (line) … ──► finish ──► fleet, whether that is news

Ages are kept as instants of our own clock, so that what the hub does not mention costs nothing: an
agent that reports in time is the same object from answer to answer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

import pydantic
import pydantic_core

from foreshore_api.wire import document, evidence, report
from foreshore_planner import health, news, snapshot

T = TypeVar("T", report.LastRenewal, report.GivenBack)

Device = tuple[str, str]
"""Namespace and name."""

PLAIN_STEPS: Final = 60.0
"""Seconds of silence during which each answer counts as a change; later each further twentieth."""


UPTIMES: Final = (snapshot.UNSEEN_AFTER, health.HOLD_ENDS)
"""How long a hub is up when what it does not say begins to mean something."""


class UnknownBaseError(ValueError):
    """Lines that add to what we do not have: everything has to be asked for anew."""


@dataclass(slots=True)
class FleetChanges:
    """What changed between two looks; `is_whole` where everything may have."""

    is_whole: bool = False
    facts: set[str] = field(default_factory=set)
    """Nodes whose agents say something else, are new, or are gone."""
    ages: set[str] = field(default_factory=set)
    """Nodes whose agents grew silent, are silent for longer, or report again."""
    devices: set[Device] = field(default_factory=set)
    """Devices whose right was renewed to another, given back, or is not renewed in time."""
    has_others: bool = False
    """Whether what the hub could not do changed, or what its silence of somebody means."""
    is_urgent: bool = False

    @property
    def is_news(self) -> bool:
        """Whether a pass has anything to look at: of figures that came alone none is made."""
        sets = (self.facts, self.ages, self.devices)
        return self.is_whole or self.has_others or any(sets)

    def add(self, other: FleetChanges) -> None:
        """Take in what changed after this."""
        self.is_whole |= other.is_whole
        self.facts |= other.facts
        self.ages |= other.ages
        self.devices |= other.devices
        self.has_others |= other.has_others
        self.is_urgent |= other.is_urgent


@dataclass(slots=True)
class HeardAgent:
    """One agent, and when it last reported if that is too long ago."""

    evidence: report.AgentEvidence
    late_since: float | None = None
    """By our clock, when it last reported; None while it reports in time."""


@dataclass(slots=True)
class HeardDevice:
    """What the hub says of one device's right, and when by our clock."""

    renewal: report.LastRenewal | None
    given_back: tuple[report.GivenBack, ...]
    at: float


@dataclass(slots=True)
class MergedOrder:
    """What a fleet is made of in order of name; None where it has to be put in order anew."""

    agents: tuple[report.AgentEvidence, ...] | None = None
    devices: tuple[HeardDevice, ...] | None = None
    renewals: tuple[report.LastRenewal, ...] | None = None


class MergedFleet:
    """Everything one hub has said since we began to listen to it; times are of the caller's."""

    def __init__(self) -> None:
        self.boot_id = ""
        self.revision = 0
        self.unread: set[str] = set()
        """Nodes whose agents report what cannot be understood: they count as silent."""
        self._head: evidence.FleetDelta | None = None
        self._problems: tuple[report.Problem, ...] = ()
        self._agents: dict[str, HeardAgent] = {}
        self._devices: dict[Device, HeardDevice] = {}
        self._late: set[str] = set()
        self._ageing: set[Device] = set()
        """Devices with anything that grows older."""
        self._at = self._before = 0.0
        """When the newest answer came, and the one before it."""
        self._changes = FleetChanges()
        self._fleet: report.Fleet | None = None
        self._order = MergedOrder()

    def is_overtaken(self, head: evidence.FleetDelta) -> bool:
        """Whether an answer says less than a later one that came before it."""
        return head.boot_id == self.boot_id and head.base > 0 and head.revision < self.revision

    def begin(self, head: evidence.FleetDelta, at: float) -> None:
        """Begin an answer that came at an instant; it may repeat what we have.

        Raises:
            UnknownBaseError: it adds to something else than this.
        """
        is_ours = self.revision == 0 or head.boot_id == self.boot_id
        if not (is_ours and head.base <= self.revision <= head.revision):
            raise UnknownBaseError(
                f"the hub's answer leads from {head.base} to {head.revision} of {head.boot_id},"
                f" and ours is revision {self.revision} of {self.boot_id}"
            )
        if not head.is_complete:
            self.fleet()  # stays what it is until the rest has come
        self._note_uptime(head.uptime_seconds)
        self.boot_id = head.boot_id
        self._head, self._before, self._at = head, self._at, at
        if head.problems is not None:
            self._changes.has_others |= head.problems != self._problems
            self._problems = head.problems

    def take(self, line: bytes) -> None:
        """Take in one line; of an agent whose report cannot be read only that is kept.

        Raises:
            ValueError: the line is none of ours.
        """
        try:
            part = evidence.FleetPart.decode(line)
        except pydantic.ValidationError as error:
            self._drop(unread_node(line, error), is_unread=True)
            return
        for agent in part.agents:
            self._order.agents = None
            self._take_agent(agent)
        for device in part.devices:
            self._take_device(device)

    def finish(self) -> FleetChanges:
        """End an answer: what the reader knows now, and what changed by it."""
        if self._head is None:
            raise UnknownBaseError("no answer was begun")
        self.revision = self._head.revision
        self._changes.ages |= {
            node for node in self._late if self._is_step(self._agents[node].late_since)
        }
        self._changes.devices |= {
            device for device in self._ageing if self._is_step(self._heard_at(device))
        }
        changed, self._changes = self._changes, FleetChanges()
        if self._head.is_complete:
            self._fleet = None
        return changed

    def fleet(self) -> report.Fleet | None:
        """Return the whole evidence as of the newest answer; None before the first.

        An agent that reports in time is said to be as old as it may be, at most; a renewal that
        may just have been sent as young as it may be.
        """
        if self._fleet is None and self._head is not None:
            self._fleet = self._built(self._head)
        return self._fleet

    def _built(self, head: evidence.FleetDelta) -> report.Fleet:
        order = self._order
        for node in self._late:
            agent = self._agents[node]
            agent.evidence = _aged(agent.evidence, self._at - (agent.late_since or 0.0))
        if order.agents is None or self._late:
            order.agents = tuple(agent.evidence for _, agent in sorted(self._agents.items()))
        if order.devices is None:
            order.devices = tuple(heard for _, heard in sorted(self._devices.items()))
        if order.renewals is None or self._ageing:
            order.renewals = tuple(self._renewals(order.devices))
        return report.Fleet.model_construct(
            lineage=head.lineage,
            revision=self.revision,
            uptime_seconds=head.uptime_seconds,
            agents=order.agents,
            renewals=order.renewals,
            given_back=tuple(self._given_back(order.devices)),
            problems=self._problems,
        )

    def _renewals(self, devices: Iterable[HeardDevice]) -> Iterator[report.LastRenewal]:
        for heard in devices:
            renewal = heard.renewal
            if renewal is not None:
                yield renewal if renewal.age_seconds == 0 else _older(renewal, self._at - heard.at)

    def _given_back(self, devices: Iterable[HeardDevice]) -> Iterator[report.GivenBack]:
        for heard in devices:
            for entry in heard.given_back:
                yield _older(entry, self._at - heard.at)

    def _note_uptime(self, uptime: float) -> None:
        """Note that the hub is up for long enough to be believed something that it was not."""
        before = self._head.uptime_seconds if self._head is not None else uptime
        if any(before <= threshold < uptime for threshold in UPTIMES):
            self._changes.has_others = True

    def _take_agent(self, update: evidence.AgentUpdate) -> None:
        if update.is_dropped:
            self._drop(update.node)
            return
        before = self._agents.get(update.node)
        facts = update.facts
        if facts is None:
            if before is not None:
                self._take_age(update.node, before, update.age_seconds)
            return
        if facts.node != update.node:
            raise ValueError(f"the agent of {update.node} is said to report of {facts.node}")
        self.unread.discard(update.node)
        earlier = before.evidence.report if before is not None else None
        if not update.has_figures and earlier is not None:
            kept = {"stages": earlier.stages, "probes": earlier.probes}
            facts = facts.model_copy(update=kept)
        self._note_news(update.node, news.compare(earlier, facts))
        heard = HeardAgent(
            report.AgentEvidence.model_construct(
                node=update.node, age_seconds=evidence.LATE_SECONDS, report=facts
            ),
            before.late_since if before is not None else None,
        )
        self._agents[update.node] = heard
        self._take_age(update.node, heard, update.age_seconds)

    def _take_age(self, node: str, agent: HeardAgent, age: float) -> None:
        was_late, is_late = agent.late_since is not None, age > evidence.LATE_SECONDS
        agent.late_since = self._at - age if is_late else None
        if is_late:
            self._late.add(node)
        elif was_late:
            self._late.discard(node)
            agent.evidence = _aged(agent.evidence, evidence.LATE_SECONDS)
        if was_late != is_late:
            self._changes.ages.add(node)

    def _take_device(self, update: evidence.DeviceUpdate) -> None:
        device = (update.namespace, update.device)
        before = self._devices.get(device)
        self._changes.devices.add(device)
        self._order.devices = self._order.renewals = None
        self._ageing.discard(device)
        if update.renewal is None and not update.given_back:
            self._devices.pop(device, None)
            return
        self._devices[device] = HeardDevice(update.renewal, update.given_back, self._at)
        if update.renewal is not None and update.renewal.age_seconds > 0:
            self._ageing.add(device)
        if update.given_back and (before is None or not before.given_back):
            self._changes.is_urgent = True

    def _drop(self, node: str, *, is_unread: bool = False) -> None:
        """Count an agent as silent: the hub knows nothing of it, or we do not understand it."""
        if is_unread:
            self.unread.add(node)
        else:
            self.unread.discard(node)
        self._late.discard(node)
        self._order.agents = None
        if self._agents.pop(node, None) is not None:
            self._changes.facts.add(node)

    def _note_news(self, node: str, what: news.ReportNews) -> None:
        if what >= news.ReportNews.FACTS:
            self._changes.facts.add(node)
        self._changes.is_urgent |= what is news.ReportNews.URGENT

    def _heard_at(self, device: Device) -> float | None:
        heard = self._devices[device]
        renewal = heard.renewal
        return heard.at - renewal.age_seconds if renewal is not None else None

    def _is_step(self, since: float | None) -> bool:
        """Whether silence since then has grown by a step with the newest answer.

        What is decided by it, and when, differs from device to device.
        """
        if since is None:
            return False
        return _steps(self._at - since) != _steps(self._before - since)


def unread_node(line: bytes, error: ValueError) -> str:
    """Return whose report a line holds that cannot be read.

    Raises:
        ValueError, TypeError, KeyError: it is no line of one agent, and cannot be left out.
    """
    part = pydantic_core.from_json(line)
    agents = part.get("agents") if isinstance(part, dict) else None
    if not isinstance(agents, list) or len(agents) != 1 or "devices" in part:
        raise ValueError(f"not a FleetPart: {error}"[:1000]) from error
    return str(agents[0]["node"])[:253]


def _steps(silence: float) -> int:
    """Return how many steps a silence has grown by: seconds at first, then twentieths of itself."""
    if silence <= PLAIN_STEPS:
        return int(silence)
    return int(PLAIN_STEPS + math.log(silence / PLAIN_STEPS) / math.log(news.GROWTH))


def _aged(agent: report.AgentEvidence, age: float) -> report.AgentEvidence:
    return report.AgentEvidence.model_construct(
        node=agent.node, age_seconds=age, report=agent.report
    )


def _older(entry: T, seconds: float) -> T:
    """Return the same, older; an age ends at the largest there is, and what raises costs all."""
    age = entry.age_seconds + max(0.0, seconds)
    return dataclasses.replace(entry, age_seconds=min(age, float(document.LARGEST)))
