"""The hub's door over HTTP: one method a route, wire documents in and out, errors by what is next.

`link.hub` calls this. The token and the CA are files that rotate, so both are read again when they
change. Every answer is bounded. The hub's address is dialled as given: never through cluster DNS.
"""

import asyncio
import email.utils
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import pydantic

from foreshore_api.reasons import link as reasons
from foreshore_api.wire import assignment, beat, record, report

MAXIMUM_ASSIGNMENT_BYTES: Final = 64 << 20
MAXIMUM_ANSWER_BYTES: Final = 4 << 20
WAIT_SECONDS: Final = 30
_GOOD: Final = frozenset({200, 202, 204, 304})
_OF_CONTENT: Final = frozenset({400, 409, 413, 415, 422})
"""The hub knows us, and will not take what we said."""
_FOR_NOW: Final = frozenset({401, 403, 408, 429})
"""Another token or another moment may change the answer."""
_MARGIN_SECONDS: Final = 10.0
_CALL_SECONDS: Final = 10.0
_MAXIMUM_TOKEN_BYTES: Final = 64 << 10
_Document = TypeVar("_Document", record.BatchAnswer, beat.Renewal)


class DoorError(Exception):
    """The hub could not be asked; `reason` is a code. Trying again later may help."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(f"{reason}: {message}" if message else reason)
        self.reason: Final = reason


class HubRefusedError(DoorError):
    """The hub understood and said no; the same request will be refused again."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An assignment and the ETag it came with."""

    assignment: assignment.Assignment
    etag: str


class Door:
    """One agent's conversation with the hub."""

    def __init__(self, url: str, node: str, token_file: Path, ca_file: Path | None) -> None:
        self._base = url.rstrip("/")
        self._agent = f"{self._base}/v1/agents/{node}"
        self._token_file = token_file
        self._ca_file = ca_file
        self._ca_seen: tuple[int, int] | None = None
        self._client: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False
        self.answered_at: float | None = None
        """When the hub last answered us, on the boot-time clock: with what was asked for or with a
        refusal of its content. One that does not know us, or has no time, has not answered.
        """

        self.unix: float | None = None
        """The hub's own time in its newest answer, in Unix seconds: a board without a clock of its
        own knows by it what cannot be true yet.
        """

    async def assignment(self, etag: str | None) -> Fetched | None:
        """Wait for an assignment other than `etag`; None when there was none within the wait.

        Raises:
            DoorError: the hub is out of reach or refused.
        """
        headers = {} if etag is None else {"If-None-Match": etag}
        url = f"{self._agent}/assignment?wait={WAIT_SECONDS}s"
        answer = await self._call("GET", url, None, headers, WAIT_SECONDS + _MARGIN_SECONDS)
        if answer.status == 304:
            return None
        try:
            return Fetched(assignment.Assignment.decode(answer.body), answer.etag)
        except pydantic.ValidationError as error:
            raise HubRefusedError(reasons.MALFORMED_ASSIGNMENT, _first(error)) from error

    async def records(self, batch: record.Batch) -> record.BatchAnswer:
        """Hand over records; what is acknowledged may be forgotten. Raises DoorError."""
        answer = await self._call("POST", f"{self._agent}/records", batch.encode())
        return _decode(record.BatchAnswer, answer.body)

    async def report(self, facts: report.Report) -> None:
        """Say how this agent is. Raises DoorError."""
        await self._call("POST", f"{self._agent}/report", facts.encode())

    async def renew(self, request: beat.RenewalRequest) -> beat.Renewal:
        """Ask whether a holder may go on: this agent or a peer it relays for. Raises DoorError."""
        answer = await self._call("POST", f"{self._base}/v1/renewals", request.encode())
        return _decode(beat.Renewal, answer.body)

    async def close(self) -> None:
        """Drop the connections for good, also one that is being opened: who asks later gets none.

        A renewal may be asked for, by us or a peer, while the link ends.
        """
        async with self._opening:
            self._is_closed = True
            await self._drop()

    async def _drop(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _call(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: dict[str, str] | None = None,
        seconds: float = _CALL_SECONDS,
    ) -> "_Answer":
        try:
            client = await self._session()
            sent = {"Authorization": f"Bearer {self._token()}", **(headers or {})}
            if body is not None:
                sent["Content-Type"] = "application/json"
            limit = aiohttp.ClientTimeout(total=seconds, sock_connect=_CALL_SECONDS)
            answer = await _exchange(client, method, url, data=body, headers=sent, timeout=limit)
        except TimeoutError as error:
            raise DoorError(reasons.TIMEOUT) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DoorError(reasons.UNREACHABLE, type(error).__name__) from error
        self.unix = answer.unix if answer.unix is not None else self.unix
        return self._judge(answer)

    def _judge(self, answer: "_Answer") -> "_Answer":
        status = answer.status
        if status in _GOOD or status in _OF_CONTENT:
            self.answered_at = time.clock_gettime(time.CLOCK_BOOTTIME)
        if status in _GOOD:
            return answer
        text = answer.body[:300].decode(errors="replace")
        if status in _FOR_NOW or status >= 500:
            raise DoorError(f"Status{status}", text)
        raise HubRefusedError(f"Status{status}", text)

    def _token(self) -> str:
        with self._token_file.open("rb") as file:
            return file.read(_MAXIMUM_TOKEN_BYTES).decode("ascii").strip()

    async def _session(self) -> aiohttp.ClientSession:
        """Return the client, made anew when the CA file changed; several tasks ask at once."""
        async with self._opening:
            if self._is_closed:
                raise DoorError(reasons.CLOSED)
            seen = None
            if self._ca_file is not None:
                status = self._ca_file.stat()
                seen = (status.st_mtime_ns, status.st_ino)
            if self._client is None or seen != self._ca_seen:
                await self._drop()
                self._client = await self._opened()
                self._ca_seen = seen
            return self._client

    async def _opened(self) -> aiohttp.ClientSession:
        context: ssl.SSLContext | bool = True
        if self._ca_file is not None:
            context = await asyncio.to_thread(ssl.create_default_context, cafile=str(self._ca_file))
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, keepalive_timeout=60.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    etag: str
    unix: float | None = None


async def _exchange(
    client: aiohttp.ClientSession, method: str, url: str, **options: Any
) -> _Answer:
    try:
        async with client.request(method, url, allow_redirects=False, **options) as response:
            return await _read(response)
    except RuntimeError as error:
        # the session was made anew for another CA, or closed for good, since it was given out
        if not client.closed:
            raise
        raise DoorError(reasons.CLOSED) from error


async def _read(response: aiohttp.ClientResponse) -> _Answer:
    bound = MAXIMUM_ASSIGNMENT_BYTES if response.method == "GET" else MAXIMUM_ANSWER_BYTES
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.content.readany():
        size += len(chunk)
        if size > bound:
            message = f"an answer of more than {bound} bytes"
            raise ValueError(message)
        chunks.append(chunk)
    unix = _unix(response.headers.get("Date", ""))
    return _Answer(response.status, b"".join(chunks), response.headers.get("ETag", ""), unix)


def _unix(date: str) -> float | None:
    """Read a header `Date`; one that cannot be read says nothing."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _decode(kind: type[_Document], body: bytes) -> _Document:
    try:
        return kind.decode(body)
    except pydantic.ValidationError as error:
        raise DoorError(reasons.MALFORMED_ANSWER, _first(error)) from error


def _first(error: pydantic.ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300]
