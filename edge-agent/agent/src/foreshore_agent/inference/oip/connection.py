"""One kept-alive HTTP/1.1 connection to a replica, for calls in the path of a decision.

Parsing is httptools'. A general client (aiohttp, measured here) adds 0.25 ms of CPU to a call that
takes 0.12 ms, because every call is a request object, a stream and several tasks; this is a write
and a future. `replica` keeps the idle ones; nobody else speaks to a connection.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, cast

import httptools

from foreshore_api.reasons import inference as reasons

MAXIMUM_BYTES: Final = 1 << 20
_MAXIMUM_HEADERS: Final = 64
_TIMING: Final = b"server-timing"


class LostError(Exception):
    """The connection ended, or what came over it was no answer; `reason` is a code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


@dataclass(frozen=True, slots=True)
class Response:
    """One answer as it came."""

    status: int
    timing: str
    body: bytes
    ended: float
    """When its last byte was read, on the monotonic clock (the loop's counts milliseconds)."""


class HttpConnection(asyncio.Protocol):
    """A connection that carries one call at a time."""

    def __init__(self) -> None:
        self.calls = 0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._begin()

    @property
    def is_usable(self) -> bool:
        """Whether another call may go over it."""
        return self._transport is not None and not self._transport.is_closing()

    def call(self, request: bytes) -> "asyncio.Future[Response]":
        """Send a whole request; the future gives the answer or raises LostError.

        Cancelling the future closes the connection: an answer that nobody waits for must not be
        taken for the next one's.
        """
        answer = self._answer = self._loop.create_future()
        self.calls += 1
        if self._transport is None or self._transport.is_closing():
            answer.set_exception(LostError(reasons.CONNECTION_LOST))
            return answer
        answer.add_done_callback(self._forget)
        self._transport.write(request)
        return answer

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came (asyncio calls this)."""
        if self._answer is None:
            self._fail(reasons.UNEXPECTED_DATA)
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(reasons.MALFORMED_ANSWER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the call under way (asyncio calls this)."""
        self._transport = None
        self._fail(reasons.CONNECTION_LOST)

    # What httptools calls while it parses.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the one header that matters; too many are no answer."""
        self._headers += 1
        if self._headers > _MAXIMUM_HEADERS:
            raise LostError(reasons.MALFORMED_ANSWER)
        if name.lower() == _TIMING and len(value) <= 512:
            self._timing = value.decode("ascii", errors="replace")

    def on_body(self, body: bytes) -> None:
        """Collect a part of the body, as long as it is bounded."""
        self._size += len(body)
        if self._size > MAXIMUM_BYTES:
            raise LostError(reasons.ANSWER_TOO_LARGE)
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Hand over the answer."""
        answer, self._answer = self._answer, None
        parser = self._parser
        if answer is not None and not answer.done():
            answer.set_result(
                Response(
                    parser.get_status_code(),
                    self._timing,
                    b"".join(self._body),
                    time.monotonic(),
                )
            )
        if not parser.should_keep_alive():
            self.close()
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers = self._size = 0
        self._body: list[bytes] = []
        self._timing = ""

    def _fail(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(LostError(reason))
        self.close()

    def _forget(self, answer: "asyncio.Future[Response]") -> None:
        if answer.cancelled():
            self._answer = None
            self.close()
