"""What the agents of a site do for each other: beats, and renewals passed on.

A holder asks the hub itself and, when the hub does not answer, any agent of the site over the
broker. An agent that has the hub passes a peer's request on and the answer back, both unchanged.
Whoever holds more devices than one message may name sends several. `life` makes one of these.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

from foreshore_agent.engine import effects
from foreshore_agent.site import exchange
from foreshore_api.wire import beat, report

MAXIMUM_PEERS: Final = 1000
MAXIMUM_NAMED: Final = 300
"""Devices of one message: with the longest names and their answers below what peers read."""
MAXIMUM_RELAYS: Final = 16
"""Renewals under way for peers; one more is not passed on, the holder asks again."""


class RenewingHub(Protocol):
    """The part of the hub's client that renews."""

    @property
    def is_connected(self) -> bool:
        """Whether the hub answers."""
        ...

    async def renew(self, request: beat.RenewalRequest) -> beat.Renewal | None:
        """Ask once."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """This agent as one of its site, and how its engine gets an answer."""

    node: str
    boot_id: str
    renewed: Callable[[beat.Renewal], None]
    """Takes the answer of our own hub."""
    own_beat: Callable[[int], beat.Beat]
    """Returns this agent's beat with a sequence number; it names no device yet."""
    held: Callable[[], tuple[beat.Held, ...]]
    """Returns what this agent holds."""


class Peers:
    """One agent among those of its site."""

    def __init__(
        self,
        member: Member,
        site: exchange.Exchange,
        hub: RenewingHub | None,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._member: Final = member
        self._site: Final = site
        self._hub: Final = hub
        self._tasks: Final = tasks
        self._relays = 0
        self._asking: Final[set[asyncio.Task[None]]] = set()
        self._beats: Final[dict[str, effects.RememberPeer]] = {}

    async def keep_beating(self) -> None:
        """Let the site know each second that this agent lives, until cancelled."""
        sequence = 0
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for part in parts(self._member.held()):
                own = self._member.own_beat(sequence)
                self._site.announce(own.model_copy(update={"held": part}))
                sequence += 1
            due = max(due + beat.BEAT_PERIOD, loop.time())
            await asyncio.sleep(due - loop.time())

    def close(self) -> None:
        """Ask for nothing any more."""
        for task in self._asking:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._tasks.create_task(work, name=name)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def remember(self, effect: effects.RememberPeer) -> None:
        """Note a beat for reports; who was silent longest is forgotten if there is no room."""
        node = effect.beat.node
        if len(self._beats) >= MAXIMUM_PEERS and node not in self._beats:
            del self._beats[min(self._beats, key=lambda node: self._beats[node].at)]
        self._beats[node] = effect

    def reports(self, at: float) -> tuple[report.ReportedPeer, ...]:
        """Return every peer that was heard, and how long ago; also those long silent."""
        return tuple(
            report.ReportedPeer(
                node=node,
                age_seconds=max(0.0, at - newest.at),
                has_hub=newest.beat.has_hub,
                held=newest.beat.held,
            )
            for node, newest in sorted(self._beats.items())
        )

    def renew(self, effect: effects.RequestRenewal) -> None:
        """Ask for our own renewal; without a hub that answers, peers are asked at the same time."""
        member = self._member
        request = beat.RenewalRequest(
            node=member.node, boot_id=member.boot_id, number=effect.number, held=effect.held
        )
        if self._hub is None or not self._hub.is_connected:
            self._ask(request)
        if self._hub is not None:
            self._start(self._renew(self._hub, request), "renewal")

    async def _renew(self, hub: RenewingHub, request: beat.RenewalRequest) -> None:
        was_connected = hub.is_connected
        renewal = await hub.renew(request)
        if renewal is not None:
            self._member.renewed(renewal)
        elif was_connected:
            self._ask(request)

    def _ask(self, request: beat.RenewalRequest) -> None:
        """Ask the site, in parts of one number: each answer is about the devices that it names."""
        for part in parts(request.held):
            self._site.ask(request.model_copy(update={"held": part}))

    def relay(self, request: beat.RenewalRequest) -> None:
        """Pass a peer's request on, if the hub answers us."""
        if self._hub is None or not self._hub.is_connected or self._relays >= MAXIMUM_RELAYS:
            return
        self._relays += 1
        self._start(self._relay(self._hub, request), "relay")

    async def _relay(self, hub: RenewingHub, request: beat.RenewalRequest) -> None:
        try:
            renewal = await hub.renew(request)
            if renewal is not None:
                self._site.answer(renewal)
        finally:
            self._relays -= 1


def parts(held: tuple[beat.Held, ...]) -> tuple[tuple[beat.Held, ...], ...]:
    """Cut what is held into the parts of single messages; at least one, if empty."""
    starts = range(0, max(1, len(held)), MAXIMUM_NAMED)
    return tuple(held[start : start + MAXIMUM_NAMED] for start in starts)
