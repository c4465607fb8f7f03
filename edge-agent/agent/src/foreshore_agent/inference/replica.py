"""One replica of a model: its kept-alive connections, how calls went, whether it is being rested.

    Ready ──a call fails or is late──► Resting ──a try in the background succeeds──► Ready
                                          └──it fails──► Resting, twice as long

A resting replica is asked only when no other is left. It is tried again with the last real request:
inference is a pure function, so that the try costs nothing but time and measures what matters.
"""

import asyncio
import itertools
import re
from dataclasses import dataclass
from typing import Final

import aiohttp
import yarl
from multidict import CIMultiDict

from foreshore_agent import windows
from foreshore_agent.inference import answer
from foreshore_api.wire import assignment, oip, report

LATELY_SECONDS: Final = 60.0
FIRST_REST_SECONDS: Final = 0.25
LONGEST_REST_SECONDS: Final = 8.0
IDLE_PROBE_SECONDS: Final = 2.0
"""A replica that nobody asked for so long is asked whether it is ready: standbys stay known."""

_OUR_FAULT: Final = (400, 413)
_KEEP_ALIVE_SECONDS: Final = 60.0
_HEADERS: Final = CIMultiDict({"Content-Type": "application/json"})
_SKIPPED_HEADERS: Final = ("User-Agent", "Accept", "Accept-Encoding")


class LateError(Exception):
    """The replica did not answer in time."""


class FailedError(Exception):
    """The replica could not be reached or failed; `reason` is a code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class RejectedError(FailedError):
    """The request itself is wrong: every replica would say so, and none is to blame."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The body of an answer and where its time went; `server` is None if the server did not say."""

    body: bytes
    round_trip: float
    server: float | None


class Replica:
    """One endpoint of one policy's model. Not shared between policies: evidence is per policy."""

    def __init__(self, endpoint: assignment.Endpoint, model: str, session: "Session") -> None:
        self.endpoint: Final = endpoint
        self.model: Final = model
        self.session: Final = session
        self.last_body: bytes | None = None
        self.asked_at = float("-inf")
        self.resting_until: float | None = None
        self._infer: Final = session.base / "v2" / "models" / model / "infer"
        self._ready: Final = session.base / "v2" / "models" / model / "ready"
        self._rest = FIRST_REST_SECONDS
        self._counts = {name: windows.Counts(LATELY_SECONDS) for name in ("good", "late", "failed")}
        self._bad_since: float | None = None
        self._reason: str | None = None

    async def infer(self, body: bytes, seconds: float) -> Reply:
        """Ask once, for at most `seconds`; a connection that died while idle is replaced.

        Raises:
            LateError: no answer in time.
            FailedError: refused, unreachable, or answered with anything but 200.
        """
        self.last_body = body
        return await self._exchange("POST", self._infer, body, seconds)

    async def is_ready(self, seconds: float) -> None:
        """Ask whether the model is ready. Raises as `infer`."""
        await self._exchange("GET", self._ready, None, seconds)

    async def _exchange(
        self, method: str, url: yarl.URL, body: bytes | None, seconds: float
    ) -> Reply:
        loop = asyncio.get_running_loop()
        started = self.asked_at = loop.time()
        try:
            try:
                return await self.session.exchange(method, url, body, seconds, started)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                left = seconds - (loop.time() - started)
                return await self.session.exchange(method, url, body, max(left, 0.001), started)
        except TimeoutError as error:
            raise LateError from error
        except aiohttp.ClientConnectorError as error:
            raise FailedError("Unreachable") from error
        except (aiohttp.ClientError, OSError) as error:
            raise FailedError("ConnectionLost") from error

    def is_rested(self) -> bool:
        """Whether it may be asked first."""
        return self.resting_until is None

    def count_good(self, at: float) -> None:
        """Note an answer: it is in service again."""
        self._counts["good"].add(at)
        self.recover()

    def recover(self) -> None:
        """Put it back into service."""
        self.resting_until = self._bad_since = self._reason = None
        self._rest = FIRST_REST_SECONDS

    def count_bad(self, kind: str, reason: str, at: float) -> None:
        """Note a late or failed call and rest it, each time in a row twice as long."""
        self._counts[kind].add(at)
        self.rest(reason, at)

    def rest(self, reason: str, at: float) -> None:
        """Take it out of service for a while."""
        self._bad_since = at if self._bad_since is None else self._bad_since
        self._reason = reason
        self.resting_until = at + self._rest
        self._rest = min(self._rest * 2, LONGEST_REST_SECONDS)

    def report(self, namespace: str, policy: str, at: float) -> report.EndpointReport:
        """Return how its calls went lately."""
        return report.EndpointReport(
            namespace=namespace,
            policy=policy,
            slot=self.endpoint.slot,
            node=self.endpoint.node,
            url=self.endpoint.url,
            good=self._counts["good"].window(at),
            late=self._counts["late"].window(at),
            failed=self._counts["failed"].window(at),
            bad_for_seconds=None if self._bad_since is None else max(0.0, at - self._bad_since),
            reason=self._reason,
        )


class Session:
    """Kept-alive connections to one URL, `http://host:port` or `unix:<path>`."""

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self.users = 0
        connector: aiohttp.BaseConnector
        if url.startswith("unix:"):
            connector = aiohttp.UnixConnector(
                path=url.removeprefix("unix:"), keepalive_timeout=_KEEP_ALIVE_SECONDS
            )
            self.base = yarl.URL("http://replica")
        else:
            connector = aiohttp.TCPConnector(
                keepalive_timeout=_KEEP_ALIVE_SECONDS, happy_eyeballs_delay=None
            )
            self.base = yarl.URL(url)
        self._client = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED_HEADERS,
            auto_decompress=False,
            trust_env=False,
        )

    async def exchange(
        self, method: str, url: yarl.URL, body: bytes | None, seconds: float, started: float
    ) -> Reply:
        """Make one call. Raises TimeoutError, aiohttp's errors, or FailedError for a refusal."""
        loop = asyncio.get_running_loop()
        async with self._client.request(
            method,
            url,
            data=body,
            headers=_HEADERS,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=seconds),
        ) as response:
            if response.status != 200:
                raise await _refusal(response)
            if (response.content_length or 0) > answer.MAXIMUM_BYTES:
                raise FailedError("AnswerTooLarge")
            data = await _read(response.content)
            ended = loop.time()
            server = answer.server_seconds(response.headers.get(oip.SERVER_TIMING))
        return Reply(data, ended - started, server)

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.close()


async def _refusal(response: aiohttp.ClientResponse) -> FailedError:
    """Return what an answer other than 200 means; a reason code in its `error` is passed on."""
    body = await response.content.read(4096)
    found = re.match(rb'\s*{\s*"error"\s*:\s*"([A-Z][A-Za-z]{2,40})\b', body)
    reason = found[1].decode() if found else f"Status{response.status}"
    return RejectedError(reason) if response.status in _OUR_FAULT else FailedError(reason)


async def _read(stream: aiohttp.StreamReader) -> bytes:
    """Read to the end, but no more than an answer may hold."""
    chunks: list[bytes] = []
    size = 0
    for _ in itertools.count():
        chunk = await stream.readany()
        if not chunk:
            break
        size += len(chunk)
        if size > answer.MAXIMUM_BYTES:
            raise FailedError("AnswerTooLarge")
        chunks.append(chunk)
    return b"".join(chunks)
