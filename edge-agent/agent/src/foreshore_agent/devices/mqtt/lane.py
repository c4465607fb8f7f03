"""One purpose's connection, kept up: opened anew with full jitter, subscribed to what is wanted.

    wanted ──► open ──► subscribed (up) ──► broken (down) ──► wait, full jitter ──► open …
                            └─ other topics: subscribe, unsubscribe     other broker: close, open

`broker` keeps two of them.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from foreshore_agent import backoff
from foreshore_agent.devices.mqtt import channel, connection, denials
from foreshore_api.reasons import command as reasons
from foreshore_decision.instant import Instant

AGAIN_SECONDS: Final = 30.0
"""After so long a subscription that was refused is tried again: the broker's list may be mended."""
STEADY_SECONDS: Final = 60.0
"""A session that lasted for so long makes up for any number that did not."""
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who takes what comes, and how (see `connection`)."""

    received: connection.Received
    is_aside: bool = False
    now: Callable[[], Instant] | None = None
    carries_commands: bool = False
    oversized: Callable[[int], None] | None = None
    """Told the bytes of a packet that ended a connection because it was too large."""


class Lane:
    """One connection after another for one purpose; `keep` runs until cancelled."""

    def __init__(self, name: str, traffic: Traffic, changed: Callable[[bool], None]) -> None:
        self.name: Final = name
        self._traffic: Final = traffic
        self._changed: Final = changed
        self._news: Final = asyncio.Event()
        self._address: connection.Address | None = None
        self._filters: tuple[str, ...] = ()
        self._renewed: frozenset[str] = frozenset()
        """Filters to subscribe although they are subscribed."""
        self._session: connection.BrokerConnection | None = None
        self._complaint = ""
        self._reason: str | None = None
        self._is_flooded = False
        """Whether the last session ended by a packet that was too large: while that goes on, the
        pauses between sessions grow."""

    @property
    def is_up(self) -> bool:
        """Whether it is connected and hears everything it should."""
        return self._session is not None and self._session.is_open

    @property
    def problem(self) -> str | None:
        """Why it is not up; None while it is, or while nothing has been tried."""
        return None if self.is_up else self._complaint or None

    @property
    def reason(self) -> str | None:
        """The broker's own reason for refusing us, as a code; None while it gives none."""
        return None if self.is_up else self._reason

    @property
    def denied(self) -> tuple[str, ...]:
        """What the broker does not let us say or hear, as sentences for people."""
        return () if self._session is None else self._session.denials.sentences()

    def is_refused(self, topic: str) -> bool:
        """Whether the broker refused to let us listen on a topic."""
        refused = (
            () if self._session is None else self._session.denials.denied(denials.TopicUse.LISTEN)
        )
        return topic in refused

    @property
    def has_room(self) -> bool:
        """Whether a message would be taken now."""
        return self._session is not None and self._session.has_room

    def want(self, address: connection.Address | None, filters: tuple[str, ...]) -> None:
        """Set what is wanted; it is made so by `keep`."""
        if (address, filters) != (self._address, self._filters):
            self._address, self._filters = address, filters
            self._news.set()

    def renew(self, filters: frozenset[str]) -> None:
        """Ask the broker anew for what it has kept on these filters."""
        if filters:
            self._renewed |= filters
            self._news.set()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        expiry: int | None = None,
        within: float | None = None,
        refused: channel.Refused | None = None,
    ) -> None:
        """Send now, or raise `connection.NotSentError`."""
        if self._session is None:
            raise connection.NotSentError(reasons.NOT_CONNECTED)
        self._session.publish(
            topic, payload, qos=qos, expiry=expiry, within=within, refused=refused
        )

    async def keep(self, node: str) -> None:
        """Keep the connection up."""
        waits = backoff.Backoff()
        while True:
            address = self._address
            if address is None:
                self._news.clear()
                await self._news.wait()
                continue
            try:
                await self._hold(address, f"{node}-{self.name}", waits)
            except connection.ConnectionFailedError as error:
                self._complain(str(error), error.reason)
            except Exception as error:  # noqa: BLE001 - logged; the next session may be better
                _LOG.exception("%s lost its session", self.name)
                self._complain(f"an unforeseen {type(error).__name__}: {error}")
            await asyncio.sleep(waits.next())

    async def _hold(self, address: connection.Address, name: str, waits: backoff.Backoff) -> None:
        session = await connection.BrokerConnection.open(
            address,
            name=name,
            received=self._traffic.received,
            is_aside=self._traffic.is_aside,
            now=self._traffic.now,
            carries_commands=self._traffic.carries_commands,
        )
        listened: tuple[str, ...] = ()
        opened = asyncio.get_running_loop().time()
        try:
            while self._address == address and not session.closed.done():
                self._news.clear()
                listened = await self._listen(session, listened)
                self._rise(session)
                if not self._is_flooded:
                    waits.reset()
                again = AGAIN_SECONDS if session.denials.denied(denials.TopicUse.LISTEN) else None
                await _first(self._news.wait(), session.closed, again)
        finally:
            self._fall()
            await session.close()
            self._note_flood(session.oversized)
            if asyncio.get_running_loop().time() - opened > STEADY_SECONDS:
                waits.reset()
        self._complain(session.closed.result(), session.refusal)

    def _note_flood(self, size: int | None) -> None:
        self._is_flooded = size is not None
        if size is not None and self._traffic.oversized is not None:
            self._traffic.oversized(size)

    async def _listen(
        self, session: connection.BrokerConnection, listened: tuple[str, ...]
    ) -> tuple[str, ...]:
        wanted, renewed, self._renewed = self._filters, self._renewed, frozenset()
        before, after = frozenset(listened), frozenset(wanted)
        fresh = [topic for topic in wanted if topic not in before or topic in renewed]
        stale = [topic for topic in listened if topic not in after]
        refused = set(await session.subscribe(fresh))
        if not before.isdisjoint(refused):
            # whether it still delivers what it delivered until now, no broker says
            raise connection.ConnectionFailedError("the broker withdrew a subscription")
        session.unsubscribe(stale)
        if stale:
            session.denials.forget(
                denials.TopicUse.PUBLISH
            )  # the next one says whether it still is
        for topic in set(session.denials.denied(denials.TopicUse.LISTEN)) - after:
            session.denials.allow(denials.TopicUse.LISTEN, topic)
        return tuple(topic for topic in wanted if topic not in refused)

    def _rise(self, session: connection.BrokerConnection) -> None:
        if self._session is None and session.is_open:
            self._session = session
            self._complaint, self._reason = "", None
            _LOG.info("%s connected to the broker", self.name)
            self._changed(True)  # noqa: FBT003 - a callback

    def _fall(self) -> None:
        """Tell of the end; of what is measured also where the session was never up.

        It may have brought messages before a subscription failed, and after it comes a gap.
        """
        was_up, self._session = self._session is not None, None
        if was_up or self._traffic.is_aside:
            self._changed(False)  # noqa: FBT003 - a callback

    def _complain(self, complaint: str, reason: str | None = None) -> None:
        self._reason = reason
        if complaint != self._complaint:
            self._complaint = complaint
            _LOG.warning("%s has no broker: %s", self.name, complaint)


async def _first(
    waiting: Coroutine[Any, Any, object], ended: asyncio.Future[str], within: float | None
) -> None:
    """Wait for one of the two, or for so many seconds; the future is left alone."""
    task = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait((task, ended), timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
