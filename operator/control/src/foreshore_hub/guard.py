"""What every request to the door passes before any of our routes sees it.

    who is it? ──► not too often? ──► body small, in time, not deep? ──► the route

Whoever is unknown cannot make the hub hold a body. Refusals are counted by reason and answered
with `{"reason", "message"}`.
"""

import asyncio
import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette import types

from foreshore_hub import authn, measures

MAXIMUM_DEPTH: Final = 32
BODY_SECONDS: Final = 10.0
MAXIMUM_NODES: Final = 20_000
ONE_AT_A_TIME: Final = 1 << 20
"""Bytes above which a caller may send one body of a kind at a time: what the hub holds for one
caller stays near the largest body, however many it begins."""
_PLAIN: Final = bytes(set(range(256)) - set(b'"[]{}'))
"""Bytes that neither nest nor begin or end a text."""
_STEPS: Final = tuple((byte in b"[{") - (byte in b"]}") for byte in range(256))
"""By byte: by how much it leads deeper."""


class RefusedError(Exception):
    """A request is refused; `reason` is a code of the contract."""

    def __init__(
        self, status: int, reason: str, message: str, retry_after: int | None = None
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket's shape."""

    per_second: float
    burst: float


class Limiter:
    """A token bucket a caller; the longest unused is forgotten first."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate: Final = rate
        self._clock: Final = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> bool:
        """Whether the caller may go on now."""
        now = self._clock()
        left, at = self._buckets.get(caller, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - at) * self._rate.per_second)
        is_allowed = left >= 1
        self._buckets[caller] = (left - 1 if is_allowed else left, now)
        self._buckets.move_to_end(caller)
        self._forget(now)
        return is_allowed

    def _forget(self, now: float) -> None:
        """Drop the longest unused that are full again, and what there is no room for."""
        refilled = self._rate.burst / self._rate.per_second
        while self._buckets:
            longest = next(iter(self._buckets.values()))
            if len(self._buckets) <= MAXIMUM_NODES and now - longest[1] < refilled:
                return
            self._buckets.popitem(last=False)


class Guard:
    """An ASGI application around the door's own."""

    def __init__(
        self,
        app: types.ASGIApp,
        *,
        authenticator: authn.Authenticator,
        limiter: Limiter,
        open_paths: frozenset[str],
        maximum_bodies: Mapping[str, int],
        measured: measures.Measures,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._app: Final = app
        self._authenticator: Final = authenticator
        self._limiter: Final = limiter
        self._open_paths: Final = open_paths
        self._maximum_bodies: Final = maximum_bodies
        self._measured: Final = measured
        self._body_seconds: Final = body_seconds
        self._arriving: Final[set[tuple[str, str]]] = set()
        """Caller and kind of the large bodies that arrive now."""

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        try:
            receive = await self._admit(scope, receive)
        except RefusedError as refused:
            self._measured.refused(refused.reason)
            await refuse(send, refused)
            return
        await self._app(scope, receive, send)

    async def _admit(self, scope: types.Scope, receive: types.Receive) -> types.Receive:
        identity = await self._identify(scope)
        scope.setdefault("state", {})["identity"] = identity
        if not self._limiter.take(identity.node or identity.username):
            raise RefusedError(429, "TooManyRequests", "slow down", retry_after=1)
        if scope["method"] in ("GET", "HEAD"):
            return receive
        body = await self._body(scope, receive, identity.node or identity.username)
        return replayed(body, receive)

    async def _identify(self, scope: types.Scope) -> authn.Caller:
        token = bearer(scope)
        if not token:
            raise RefusedError(401, "Unauthorized", "a bearer token is needed")
        try:
            identity = await self._authenticator.identify(token)
        except authn.UnknownError as error:
            raise RefusedError(503, "ReviewUnavailable", str(error), retry_after=2) from error
        if identity is None:
            raise RefusedError(401, "Unauthorized", "the token is not valid here")
        return identity

    async def _body(self, scope: types.Scope, receive: types.Receive, caller: str) -> bytes:
        kind = scope["path"].rsplit("/", 1)[-1]
        limit = self._maximum_bodies.get(kind, 0)
        try:
            with self._turn(caller, kind, limit):
                async with asyncio.timeout(self._body_seconds):
                    body = await read(receive, limit)
        except TimeoutError as error:
            raise RefusedError(408, "BodyTooSlow", "the body did not arrive in time") from error
        if depth(body) > MAXIMUM_DEPTH:
            raise RefusedError(400, "BodyTooDeep", f"nested deeper than {MAXIMUM_DEPTH}")
        return body

    @contextlib.contextmanager
    def _turn(self, caller: str, kind: str, limit: int) -> Iterator[None]:
        """Admit one large body of a kind at a time. Raises RefusedError."""
        if limit <= ONE_AT_A_TIME:
            yield
            return
        if (caller, kind) in self._arriving:
            raise RefusedError(429, "TooManyRequests", f"one {kind} at a time", retry_after=1)
        self._arriving.add((caller, kind))
        try:
            yield
        finally:
            self._arriving.discard((caller, kind))


def bearer(scope: types.Scope) -> str:
    """Return the bearer token of a request, or nothing."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return ""


async def read(receive: types.Receive, limit: int) -> bytes:
    """Return a whole body of at most `limit` bytes. Raises RefusedError."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "Disconnected", "the caller went away")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise RefusedError(413, "BodyTooLarge", f"more than {limit} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def depth(body: bytes) -> int:
    """Return how deep the brackets of a JSON text nest, without decoding it.

    Few steps over the whole body, not one a bracket: half of a report's cost was here.
    """
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    marks = body.translate(None, _PLAIN).replace(b'""', b"")  # texts without brackets are gone
    brackets = b"".join(marks.split(b'"')[::2]) if b'"' in marks else marks
    return max(itertools.accumulate(map(_STEPS.__getitem__, brackets), initial=0))


async def refuse(send: types.Send, refused: RefusedError) -> None:
    """Answer with the reason, and close: what else the caller sends is not read."""
    body = orjson.dumps({"reason": refused.reason, "message": refused.message})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if refused.retry_after is not None:
        headers.append((b"retry-after", str(refused.retry_after).encode()))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def replayed(body: bytes, receive: types.Receive) -> types.Receive:
    """Return a channel on which a body arrives that was read already."""
    pending: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> types.Message:
        return pending.pop() if pending else await receive()

    return again
