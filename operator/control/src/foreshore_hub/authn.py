"""Who is asking: service-account tokens, reviewed by the API server and remembered.

A token's first use needs the API server. After that its answer is kept until the token expires:
while the API server answers, it is asked again every minute, so that a deleted pod or account is
noticed; while it does not, what it said last holds, so that an absent API server stops nobody. Who
is known does not wait for that: a thousand agents whose minute is over at once would hold up each
other, and the operator, for as long as a busy API server takes for all of them.

    younger than a minute ─► holds    than two ─► holds, asked beside    older ─► asked first
                                          └── no answer: holds, asked again in 5 s ──┘

What does not even claim to be a token for this hub is refused without asking, and refusals are
remembered apart from identities: who is unknown neither keeps the API server busy with random words
nor makes the hub forget whom it knows.

The node that an agent's token is bound to is the API server's word
(`authentication.kubernetes.io/node-name` in the review), not the token's.
"""

import asyncio
import base64
import binascii
import dataclasses
import hashlib
import math
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
"""After which the API server is asked again, while whoever is known goes on."""
REVIEW_FIRST_SECONDS: Final = 120.0
"""After which it is asked before whoever is known goes on: a token that was not used for long."""
RETRY_SECONDS: Final = 5.0
"""For which what is known holds after a review that had no answer."""
REFUSED_SECONDS: Final = 10.0
MAXIMUM_KEPT: Final = 20_000
MAXIMUM_REFUSED: Final = 1_000
MAXIMUM_REVIEWS: Final = 8
LONG_OVER_SECONDS: Final = 3600.0
"""A token that ended so long ago is not asked about; of one that ended later our clock may err."""
REVIEW_SECONDS: Final = 5.0


class UnknownError(Exception):
    """The API server cannot be asked, and this token was never seen before."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token belongs to; `node` is None for a token that is bound to no node."""

    username: str
    node: str | None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One remembered answer; `identity` is None for a refused token."""

    identity: Caller | None
    reviewed_at: float
    unanswered_at: float = -math.inf
    """When the API server was asked again and did not answer."""


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
        self._known: OrderedDict[bytes, Reviewed] = OrderedDict()
        self._refused: OrderedDict[bytes, Reviewed] = OrderedDict()
        self._asking: dict[bytes, asyncio.Lock] = {}
        self._beside: dict[bytes, asyncio.Task[None]] = {}
        """Reviews for which nobody waits."""
        self._slots: Final = asyncio.Semaphore(MAXIMUM_REVIEWS)

    async def identify(self, token: str) -> Caller | None:
        """Return whose token it is, or None when it is refused.

        Raises:
            UnknownError: the API server does not answer and never spoke about this token.
        """
        if len(token) > MAXIMUM_TOKEN or not (ends := expiry(token)):
            return None
        over_for = self._wall_clock() - ends
        if over_for >= LONG_OVER_SECONDS:
            return None
        key = hashlib.sha256(token.encode()).digest()
        is_over = over_for >= 0
        if not is_over and (answer := self._usable(key, REVIEW_FIRST_SECONDS)) is not None:
            if self._usable(key, REVIEW_AGAIN_SECONDS) is None and key not in self._beside:
                self._beside[key] = asyncio.create_task(self._ask_beside(key, token))
            return answer.identity
        return await self._ask_alone(key, token, is_over=is_over)

    async def _ask_beside(self, key: bytes, token: str) -> None:
        try:
            await self._ask_alone(key, token, is_over=False)
        except UnknownError:
            pass  # forgotten meanwhile, for want of room: its next use asks first
        finally:
            del self._beside[key]

    async def _ask_alone(self, key: bytes, token: str, *, is_over: bool) -> Caller | None:
        """Ask the API server, once for all who want to know of one token at a time."""
        async with self._asking.setdefault(key, asyncio.Lock()):
            try:
                return await self._ask(key, token, is_over=is_over)
            finally:
                self._asking.pop(key, None)

    async def _ask(self, key: bytes, token: str, *, is_over: bool) -> Caller | None:
        if not is_over and (answer := self._usable(key, REVIEW_AGAIN_SECONDS)) is not None:
            return answer.identity
        try:
            async with self._slots:
                status = await self._reviews.review(token)
        except (api.ApiError, TimeoutError) as error:
            known_before = self._remembered(key, error)
            return None if is_over else known_before
        reviewed = Reviewed(identity_of(status), self._clock())
        self._keep(key, reviewed)
        return reviewed.identity

    def _usable(self, key: bytes, patience: float) -> Reviewed | None:
        """Return an answer that holds for now: one of so many seconds, a refusal of fewer."""
        answer, now = self._known.get(key) or self._refused.get(key), self._clock()
        if answer is None:
            return None
        if answer.identity is None:
            patience = REFUSED_SECONDS
        is_young = now - answer.reviewed_at < patience
        return answer if is_young or now - answer.unanswered_at < RETRY_SECONDS else None

    def _remembered(self, key: bytes, error: Exception) -> Caller | None:
        answer = self._known.get(key)
        if answer is None:
            raise UnknownError("the API server does not answer") from error
        self._known[key] = dataclasses.replace(answer, unanswered_at=self._clock())
        return answer.identity

    def _keep(self, key: bytes, reviewed: Reviewed) -> None:
        kept, other, most = (
            (self._refused, self._known, MAXIMUM_REFUSED)
            if reviewed.identity is None
            else (self._known, self._refused, MAXIMUM_KEPT)
        )
        other.pop(key, None)
        kept[key] = reviewed
        kept.move_to_end(key)
        while len(kept) > most:
            kept.popitem(last=False)


def identity_of(status: dict[str, Any]) -> Caller | None:
    """Return the identity in a TokenReview's status, or None when it vouches for nobody here."""
    if status.get("authenticated") is not True or AUDIENCE not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    nodes = (user.get("extra") or {}).get(NODE_NAME) or [None]
    return Caller(username=str(user.get("username", "")), node=nodes[0])


def expiry(token: str) -> float:
    """Return the Unix time at which a token for this hub ends, by its own unproven word.

    0 for one that does not say, or is for another audience: that is no use to review.
    """
    try:
        payload = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        audience = claims["aud"]
        is_ours = AUDIENCE in ([audience] if isinstance(audience, str) else audience)
        return float(claims["exp"]) if is_ours else 0.0
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0
