"""What the agents measured, from the hub: `GET /v1/fleet` by long-poll.

    ask since R ──► head and lines ──► merged ──► evidence (observe, deciding), news (a pass)
        ▲                └── not what we asked for ──► ask for everything
        └── not complete: at once

Answers are merged in a thread, one after the other: a whole fleet takes longer than the loop may.
`observe` puts the newest evidence into the snapshot. A hub that does not answer leaves no evidence
rather than old evidence: Unknown is not healthy and not dead. A hub of the release before answers
with the whole fleet as one document, which is read as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
import pydantic
import pydantic_core

from foreshore_api.wire import evidence, report
from foreshore_kube import backoff
from foreshore_operator import merged

log = logging.getLogger(__name__)

WAIT = 2.0
"""Seconds the hub may hold a question; short, because a hub that hangs must be noticed, and because
an agent that reports in time is said to be 3 s old: with the age of the answer it must not look
older than a fresh one (`health.BEAT_FRESH`)."""
UNREACHABLE_AFTER = 12.0
"""Seconds without an answer after which there is no evidence."""
FIRST_SECONDS = 30.0
"""For which the first pass waits for an answer that is whole, at most."""
MAXIMUM_BODY = 256 << 20
"""Bytes of a whole fleet."""
MAXIMUM_LINES = 4 * evidence.MAXIMUM_LINE
"""Bytes of an answer in lines: it ends with the first that makes it longer than it need be."""


@dataclass(frozen=True, slots=True)
class MergedAnswer:
    """One answer in lines, merged."""

    target: merged.MergedFleet
    """What it was added to."""
    changed: merged.FleetChanges
    unread: frozenset[str]
    fleet: report.Fleet | None
    """Everything as of this answer; None where the rest of it has not come."""


class HubEvidence:
    """The evidence of one hub. Use it as an async context manager; `run` keeps it fresh."""

    def __init__(
        self,
        url: str,
        *,
        ca: Path | None,
        token_file: Path | None,
        on_news: Callable[[bool], None] = lambda _urgent: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        self._ca = ca
        self._token_file = token_file
        self._on_news = on_news
        self._clock = clock
        self._fleet: report.Fleet | None = None
        """The newest evidence that was complete."""
        self._whole: report.Fleet | None = None
        """The same, of a hub that knows no lines."""
        self._merging = futures.ThreadPoolExecutor(1, "merging")
        self._merged: merged.MergedFleet | None = None
        """What the newest evidence was made of."""
        self._next = merged.MergedFleet()
        """What the next answer adds to: the same, or while everything is asked for anew another.
        Only the thread looks into it."""
        self._since = ("", 0)
        """Boot and revision of that."""
        self._untold = merged.FleetChanges()
        """Since the last answer that was complete."""
        self._received_at = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._unread: frozenset[str] = frozenset()
        self._is_complete = True
        """Whether the newest answer brought all there was."""
        self._answered_at = clock()
        """When the hub answered last, or we began to ask."""
        self._is_known = asyncio.Event()
        """Set once the hub has said everything, or is out of reach."""

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        self._merging.shutdown(wait=False)

    async def _connect(self) -> None:
        """Begin a session with the authority as its file says now: certificates rotate."""
        cafile = str(self._ca) if self._ca else None
        tls = await asyncio.to_thread(ssl.create_default_context, cafile=cafile)
        before = self._session
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=4))
        if before is not None:  # closed last: a pass may ask meanwhile
            await before.close()

    def evidence(self) -> tuple[report.Fleet | None, float]:
        """The newest answer and its age in seconds; None while the hub is out of reach."""
        age = self._clock() - self._received_at
        if self._fleet is None or age > UNREACHABLE_AFTER:
            return None, 0.0
        return self._fleet, age

    async def run(self) -> None:
        """Ask again and again until cancelled."""
        waits = backoff.delays(0.5, 5.0)
        is_reached = False
        is_complete = True
        while True:
            try:
                is_complete = await self._ask(WAIT if is_complete else 0)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                if is_reached:
                    log.warning("the hub does not answer: %s", str(error) or type(error).__name__)
                is_reached, is_complete = False, True
                if self._clock() - self._answered_at >= UNREACHABLE_AFTER:
                    self._is_known.set()
                await asyncio.sleep(next(waits))
                await self._reconnect()
                self._on_news(False)  # noqa: FBT003 (whether it is urgent)
                continue
            if not is_reached:
                log.info("the hub answers")
                self._on_news(False)  # noqa: FBT003 (its facts may be those of before it went)
                waits = backoff.delays(0.5, 5.0)
            is_reached = True

    async def known(self) -> None:
        """Wait until the hub has said everything once, or is known to be out of reach.

        One answer that fails, or a part of the first, is neither: what is decided without evidence
        is said of every placement, and taken back a moment later.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._is_known.wait()
        if self._fleet is None:
            why = "does not answer" if self._is_known.is_set() else "has not said all that it knows"
            log.warning("the first pass goes without the hub's evidence: the hub %s. See that it"
                        " runs and has room, and that its address, authority and token here are"
                        " right", why)  # fmt: skip

    async def _reconnect(self) -> None:
        try:
            await self._connect()
        except (OSError, ssl.SSLError) as error:
            log.warning("the hub's authority cannot be read: %s", error)

    async def refresh(self) -> bool:
        """Ask once, now; whether there is fresh evidence.

        A right is moved on evidence of this moment only: what the hub has renewed since an older
        answer is not in it.
        """
        try:
            while not await self._ask(0):
                pass
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("no fresh evidence from the hub: %s", str(error) or type(error).__name__)
            return False
        return True

    async def _ask(self, wait: float) -> bool:
        """Ask once and take the answer in; whether it brought all there is."""
        if self._session is None:
            raise RuntimeError("Hub is used outside its context")
        async with self._session.get(
            f"{self._url}/v1/fleet",
            params=self._parameters(wait),
            headers=await asyncio.to_thread(self._headers),
            timeout=aiohttp.ClientTimeout(total=wait + 4),
            allow_redirects=False,
        ) as answer:
            answer.raise_for_status()
            if answer.status != 200:
                raise aiohttp.ClientPayloadError(f"the hub answered {answer.status}")
            is_in_lines = answer.content_type == evidence.CONTENT_TYPE
            body = await _body(answer, MAXIMUM_LINES if is_in_lines else MAXIMUM_BODY)
            self._answered_at = self._clock()
            if is_in_lines:
                return await self._take_lines(body)
            self._take_whole(*await asyncio.to_thread(read, body))
            return True

    def _parameters(self, wait: float) -> dict[str, str]:
        """The question; a hub of the release before reads no more of it than `revision`."""
        boot_id, revision = self._since
        parameters = {"wait": f"{wait:g}s", "since": str(revision), "boot": boot_id}
        if wait and self._whole is not None:
            parameters["revision"] = str(self._whole.revision)
        return parameters

    def _take_whole(self, fleet: report.Fleet, unread: frozenset[str]) -> None:
        before, self._whole = self._whole, fleet
        self._fleet, self._merged = fleet, None
        self._forget()
        self._arrived(unread, self._clock())
        if before is None or before.revision != fleet.revision:
            self._on_news(gave_back(fleet) != (gave_back(before) if before else frozenset()))

    async def _take_lines(self, body: bytes) -> bool:
        """Add an answer in lines to what we have; whether it brought all there is.

        Raises:
            aiohttp.ClientPayloadError: it is none, or adds to something else; then everything is
                asked for anew.
        """
        merge, at = self._merge, self._clock()
        try:
            answer = await asyncio.get_running_loop().run_in_executor(
                self._merging, merge, body, at
            )
        except (ValueError, TypeError, KeyError) as error:
            self._forget()
            raise aiohttp.ClientPayloadError(f"no evidence of a fleet: {error}"[:1000]) from error
        if answer is None:
            return self._is_complete
        self._since = (answer.target.boot_id, answer.target.revision)
        self._is_complete = answer.fleet is not None
        self._untold.add(answer.changed)
        if answer.fleet is not None:
            self._untold.is_whole |= answer.target is not self._merged
            self._fleet, self._whole, self._merged = answer.fleet, None, answer.target
            self._arrived(answer.unread, at)
            self._tell()
        return self._is_complete

    def _merge(self, body: bytes, at: float) -> MergedAnswer | None:
        """Merge an answer that came at an instant, in the thread; None where a later one came.

        Raises:
            ValueError, TypeError, KeyError: it is none, or adds to something else.
        """
        head, lines = split(body)
        if self._next.is_overtaken(head):
            return None
        target = self._next if head.base else merged.MergedFleet()
        target.begin(head, at)
        for line in lines:
            target.take(line)
        changed = target.finish()
        self._next = target
        fleet = target.fleet() if head.is_complete else None
        return MergedAnswer(target, changed, frozenset(target.unread), fleet)

    def _forget(self) -> None:
        """Ask for everything next."""
        self._next, self._since, self._is_complete = merged.MergedFleet(), ("", 0), True

    def _tell(self) -> None:
        """Let those know who look at what changed."""
        changed, self._untold = self._untold, merged.FleetChanges()
        if changed.is_news:
            self._on_news(changed.is_urgent)

    def _arrived(self, unread: frozenset[str], at: float) -> None:
        self._received_at = at
        self._is_known.set()
        for node in sorted(unread - self._unread):
            log.warning("what the agent of node %s reports is not understood: it counts as silent."
                        " Bring agent, hub and operator to one release", node)  # fmt: skip
        self._unread = unread

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}


async def _body(answer: aiohttp.ClientResponse, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > most:
            raise aiohttp.ClientPayloadError("the hub's answer is too large")
        chunks.append(chunk)
    return b"".join(chunks)


def split(body: bytes) -> tuple[evidence.FleetDelta, list[bytes]]:
    """Divide an answer into its head and its lines.

    Raises:
        ValueError: it is none, or a part of it is missing.
    """
    first, *lines, rest = body.split(b"\n")
    head = evidence.FleetDelta.decode(first)
    if rest or len(lines) != head.lines:
        raise ValueError(f"{len(lines)} lines where there should be {head.lines}")
    return head, lines


def read(body: bytes) -> tuple[report.Fleet, frozenset[str]]:
    """Read the fleet; agents whose report cannot be read are left out, and their nodes returned.

    A hub of another release may pass on what this one refuses, and one agent's report must not hide
    all others. Of the renewals none is left out: they say how long nobody else may be granted.

    Raises:
        aiohttp.ClientPayloadError: it is no fleet, even without these agents.
    """
    try:
        return report.Fleet.decode(body), frozenset()
    except pydantic.ValidationError as error:
        try:
            return _read_apart(body)
        except (pydantic.ValidationError, ValueError, TypeError, KeyError, AttributeError):
            raise aiohttp.ClientPayloadError(f"not a Fleet: {error}"[:1000]) from error


def _read_apart(body: bytes) -> tuple[report.Fleet, frozenset[str]]:
    document = pydantic_core.from_json(body)
    agents: list[report.AgentEvidence] = []
    unread: list[str] = []
    for agent in document.pop("agents"):
        try:
            agents.append(report.AgentEvidence.model_validate(agent))
        except pydantic.ValidationError:
            unread.append(str(agent["node"])[:253])
    fleet = report.Fleet.model_validate(document)
    return fleet.model_copy(update={"agents": tuple(agents)}), frozenset(unread)


def gave_back(fleet: report.Fleet) -> frozenset[tuple[str, str]]:
    """Devices whose holder stood down by its own choice: most move at once."""
    return frozenset(
        (held.namespace, held.device)
        for agent in fleet.agents
        for held in agent.report.devices
        if held.gave_back
    )
