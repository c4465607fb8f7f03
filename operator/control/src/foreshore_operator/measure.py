"""What the agents measured, from the hub: `GET /v1/fleet` by long-poll.

`observe` puts the newest answer into the snapshot. A hub that does not answer leaves no evidence
rather than old evidence: Unknown is not healthy and not dead.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import aiohttp
import pydantic
import pydantic_core

from foreshore_api.wire import report
from foreshore_kube import backoff

log = logging.getLogger(__name__)

WAIT = 5.0
"""Seconds the hub may hold a question; short, because a hub that hangs must be noticed."""
UNREACHABLE_AFTER = 12.0
"""Seconds without an answer after which there is no evidence."""
MAXIMUM_BODY = 256 << 20


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
        self._received_at = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._unread: frozenset[str] = frozenset()
        self.asked = asyncio.Event()
        """Set once the hub has answered, or has failed to, for the first time."""

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def _connect(self) -> None:
        """Begin a session with the authority as its file says now: certificates rotate."""
        cafile = str(self._ca) if self._ca else None
        tls = await asyncio.to_thread(ssl.create_default_context, cafile=cafile)
        if self._session is not None:
            await self._session.close()
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=4))

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
        while True:
            try:
                self._take(await self._ask(WAIT))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                if is_reached:
                    log.warning("the hub does not answer: %s", str(error) or type(error).__name__)
                is_reached = False
                self.asked.set()
                await asyncio.sleep(next(waits))
                await self._reconnect()
                self._on_news(False)  # noqa: FBT003 (whether it is urgent)
                continue
            if not is_reached:
                log.info("the hub answers")
                self._on_news(False)  # noqa: FBT003 (its facts may be those of before it went)
                waits = backoff.delays(0.5, 5.0)
            is_reached = True

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
            self._take(await self._ask(0))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("no fresh evidence from the hub: %s", str(error) or type(error).__name__)
            return False
        return True

    def _take(self, fleet: report.Fleet) -> None:
        before, self._fleet = self._fleet, fleet
        self._received_at = self._clock()
        self.asked.set()
        if before is None or before.revision != fleet.revision:
            self._on_news(gave_back(fleet) != (gave_back(before) if before else frozenset()))

    async def _ask(self, wait: float) -> report.Fleet:
        if self._session is None:
            raise RuntimeError("Hub is used outside its context")
        parameters = {"wait": f"{wait:g}s"}
        if wait and self._fleet is not None:
            parameters["revision"] = str(self._fleet.revision)
        async with self._session.get(
            f"{self._url}/v1/fleet",
            params=parameters,
            headers=await asyncio.to_thread(self._headers),
            timeout=aiohttp.ClientTimeout(total=wait + 4),
            allow_redirects=False,
        ) as answer:
            answer.raise_for_status()
            if answer.status != 200:
                raise aiohttp.ClientPayloadError(f"the hub answered {answer.status}")
            fleet, unread = read(await _body(answer))
        for node in unread - self._unread:
            log.warning("what the agent of node %s reports is not understood: it counts as silent."
                        " Bring agent, hub and operator to one release", node)  # fmt: skip
        self._unread = unread
        return fleet

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > MAXIMUM_BODY:
            raise aiohttp.ClientPayloadError("the hub's answer is too large")
        chunks.append(chunk)
    return b"".join(chunks)


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
