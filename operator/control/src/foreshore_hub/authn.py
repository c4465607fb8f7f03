"""Who is asking: service-account tokens, reviewed by the API server and remembered.

A token's first use needs the API server. After that its answer is kept until the token expires:
while the API server answers, it is asked again every minute, so that a deleted pod or account is
noticed; while it does not, what it said last holds, so that an absent API server stops nobody.

The node that an agent's token is bound to is the API server's word
(`authentication.kubernetes.io/node-name` in the review), not the token's.
"""

import asyncio
import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from foreshore_kube import api, kinds

AUDIENCE: Final = "foreshore-hub"
NODE_NAME: Final = "authentication.kubernetes.io/node-name"
MAXIMUM_TOKEN: Final = 16384
REVIEW_AGAIN_SECONDS: Final = 60.0
REFUSED_SECONDS: Final = 10.0
MAXIMUM_KEPT: Final = 20_000
MAXIMUM_REVIEWS: Final = 8
REVIEW_SECONDS: Final = 5.0


class UnknownError(Exception):
    """The API server cannot be asked, and this token was never seen before."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token belongs to; `node` is None for a token that is bound to no node."""

    username: str
    node: str | None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One remembered answer; `identity` is None for a refused token."""

    identity: Identity | None
    reviewed_at: float
    expires: float
    """Unix seconds, from the token itself."""


class Reviews(Protocol):
    """The API server, as far as tokens are concerned."""

    async def review(self, token: str) -> dict[str, Any]:
        """Return the status of a TokenReview; raises api.ApiError."""
        ...


class KubeReviews:
    """TokenReviews at a real API server."""

    def __init__(self, kube: api.KubeApi) -> None:
        self._kube = kube

    async def review(self, token: str) -> dict[str, Any]:
        """Return the status of a TokenReview; raises api.ApiError."""
        document = {"spec": {"token": token, "audiences": [AUDIENCE]}}
        async with asyncio.timeout(REVIEW_SECONDS):
            answer = await self._kube.create(kinds.TOKEN_REVIEWS, document)
        status = answer.get("status")
        return status if isinstance(status, dict) else {}


class Authenticator:
    """Turns tokens into identities."""

    def __init__(
        self,
        reviews: Reviews,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._reviews: Final = reviews
        self._clock: Final = clock
        self._wall_clock: Final = wall_clock
        self._kept: OrderedDict[bytes, Reviewed] = OrderedDict()
        self._asking: dict[bytes, asyncio.Lock] = {}
        self._slots: Final = asyncio.Semaphore(MAXIMUM_REVIEWS)

    async def identify(self, token: str) -> Identity | None:
        """Return whose token it is, or None when it is refused.

        Raises:
            UnknownError: the API server does not answer and never spoke about this token.
        """
        if not token or len(token) > MAXIMUM_TOKEN:
            return None
        key = hashlib.sha256(token.encode()).digest()
        if (known := self._usable(key)) is not None:
            return known.identity
        async with self._asking.setdefault(key, asyncio.Lock()):
            try:
                return await self._ask(key, token)
            finally:
                self._asking.pop(key, None)

    async def _ask(self, key: bytes, token: str) -> Identity | None:
        if (known := self._usable(key)) is not None:
            return known.identity
        try:
            async with self._slots:
                status = await self._reviews.review(token)
        except (api.ApiError, TimeoutError) as error:
            return self._remembered(key, error)
        reviewed = Reviewed(identity_of(status), self._clock(), expiry(token))
        self._keep(key, reviewed)
        return reviewed.identity

    def _usable(self, key: bytes) -> Reviewed | None:
        """Return an answer that needs no asking again yet."""
        known = self._kept.get(key)
        if known is None or self._is_expired(known):
            return None
        patience = REVIEW_AGAIN_SECONDS if known.identity is not None else REFUSED_SECONDS
        return known if self._clock() - known.reviewed_at < patience else None

    def _remembered(self, key: bytes, error: Exception) -> Identity | None:
        known = self._kept.get(key)
        if known is None or known.identity is None:
            raise UnknownError("the API server does not answer") from error
        return None if self._is_expired(known) else known.identity

    def _is_expired(self, known: Reviewed) -> bool:
        return known.identity is not None and self._wall_clock() >= known.expires

    def _keep(self, key: bytes, reviewed: Reviewed) -> None:
        self._kept[key] = reviewed
        self._kept.move_to_end(key)
        while len(self._kept) > MAXIMUM_KEPT:
            self._kept.popitem(last=False)


def identity_of(status: dict[str, Any]) -> Identity | None:
    """Return the identity in a TokenReview's status, or None when it vouches for nobody here."""
    if status.get("authenticated") is not True or AUDIENCE not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    nodes = (user.get("extra") or {}).get(NODE_NAME) or [None]
    return Identity(username=str(user.get("username", "")), node=nodes[0])


def expiry(token: str) -> float:
    """Return the Unix time at which a token ends by its own word; 0 for one that does not say."""
    try:
        payload = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0
