"""Whose token it is: remembered, asked again, and what an absent API server changes."""

import asyncio
import base64
from typing import Any

import orjson
import pytest

from foreshore_hub import authn
from foreshore_kube import api

ACCOUNT = "system:serviceaccount:foreshore-agents:foreshore-agent"


def token(expires: float = 10_000.0, signature: str = "signature", **claims: Any) -> str:
    said = orjson.dumps({"aud": [authn.AUDIENCE], "exp": expires, **claims})
    return f"header.{base64.urlsafe_b64encode(said).rstrip(b'=').decode()}.{signature}"


def status(**changes: Any) -> dict[str, Any]:
    user = {"username": ACCOUNT, "extra": {authn.NODE_NAME: ["edge-1"]}}
    return {"authenticated": True, "audiences": [authn.AUDIENCE], "user": user, **changes}


class Reviews:
    """An API server that says what it is told to, and can be away."""

    def __init__(self) -> None:
        self.answer = status()
        self.is_absent = False
        self.asked = 0
        self.answered = asyncio.Event()
        self.answered.set()

    async def review(self, token: str) -> dict[str, Any]:
        self.asked += 1
        await self.answered.wait()
        if self.is_absent:
            raise api.UnavailableError(0, "refused")
        return self.answer


class Bench:
    """An authenticator with clocks that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.reviews = Reviews()
        self.authenticator = authn.Authenticator(
            self.reviews, clock=lambda: self.now, wall_clock=lambda: self.now
        )

    async def identify(self, written: str | None = None) -> authn.Caller | None:
        return await self.authenticator.identify(token() if written is None else written)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_node_is_the_api_servers_word(bench: Bench) -> None:
    assert await bench.identify() == authn.Caller(ACCOUNT, "edge-1")


async def test_a_known_token_is_not_reviewed_for_every_request(bench: Bench) -> None:
    for _ in range(5):
        await bench.identify()
    assert bench.reviews.asked == 1


async def test_a_revoked_token_that_is_in_use_is_noticed_after_a_minute(bench: Bench) -> None:
    await bench.identify()
    bench.reviews.answer = {"authenticated": False}
    bench.now = 61.0
    assert await bench.identify() is not None, "nobody waits for what is known"
    await asyncio.sleep(0)
    assert await bench.identify() is None


async def test_a_token_that_was_not_used_for_long_is_reviewed_first(bench: Bench) -> None:
    await bench.identify()
    bench.reviews.answer = {"authenticated": False}
    bench.now = authn.REVIEW_FIRST_SECONDS
    assert await bench.identify() is None


async def test_a_busy_api_server_holds_up_nobody_who_is_known(bench: Bench) -> None:
    """Each minute all agents waited for the reviews of all others, eight at a time."""
    await bench.identify()
    bench.reviews.answered = asyncio.Event()
    for bench.now in (61.0, 80.0, 119.0):
        async with asyncio.timeout(1):
            assert await bench.identify() is not None
        await asyncio.sleep(0)
    assert bench.reviews.asked == 2, "one review at a time"
    bench.reviews.answered.set()
    await asyncio.sleep(0)
    bench.now = 170.0
    assert await bench.identify() is not None
    assert bench.reviews.asked == 2, "it was answered at 119 s"


async def test_an_api_server_that_does_not_answer_is_asked_every_few_seconds(
    bench: Bench,
) -> None:
    """Each request of each agent waited for an answer that did not come."""
    await bench.identify()
    bench.reviews.is_absent = True
    for number in range(100):
        bench.now = 200.0 + number / 10
        assert await bench.identify() is not None
    assert bench.reviews.asked == 1 + 2


async def test_while_the_api_server_is_away_a_known_token_holds_until_it_expires(
    bench: Bench,
) -> None:
    await bench.identify()
    bench.reviews.is_absent = True
    bench.now = 9_999.0
    assert await bench.identify() is not None
    bench.now = 10_000.0
    assert await bench.identify() is None


async def test_of_a_token_that_has_just_ended_the_api_server_has_the_word(bench: Bench) -> None:
    bench.now = 10_000.0 + authn.LONG_OVER_SECONDS - 1
    assert await bench.identify() == authn.Caller(ACCOUNT, "edge-1")
    assert await bench.identify() is not None
    assert bench.reviews.asked == 2, "what has ended by our clock is not remembered"
    bench.reviews.is_absent = True
    assert await bench.identify() is None
    bench.now += 1
    bench.reviews.is_absent = False
    assert await bench.identify() is None
    assert bench.reviews.asked == 3


async def test_while_the_api_server_is_away_an_unknown_token_is_neither_good_nor_bad(
    bench: Bench,
) -> None:
    bench.reviews.is_absent = True
    with pytest.raises(authn.UnknownError):
        await bench.identify()


async def test_a_refused_token_is_not_asked_about_again_at_once(bench: Bench) -> None:
    bench.reviews.answer = {"authenticated": False}
    for _ in range(5):
        assert await bench.identify(token(signature="forged")) is None
    assert bench.reviews.asked == 1


async def test_refused_tokens_are_asked_about_again_later_and_may_be_good_then(
    bench: Bench,
) -> None:
    bench.reviews.answer = {"authenticated": False}
    assert await bench.identify() is None
    bench.reviews.answer = status()
    bench.now = authn.REFUSED_SECONDS + 1
    assert await bench.identify() == authn.Caller(ACCOUNT, "edge-1")


async def test_a_revoked_token_does_not_come_back_when_the_api_server_goes(bench: Bench) -> None:
    await bench.identify()
    bench.reviews.answer = {"authenticated": False}
    bench.now = 121.0
    await bench.identify()
    bench.reviews.is_absent = True
    bench.now = 121.0 + authn.REFUSED_SECONDS + 1
    with pytest.raises(authn.UnknownError):
        await bench.identify()


async def test_strangers_do_not_make_the_hub_forget_whom_it_knows(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authn, "MAXIMUM_KEPT", 2)
    monkeypatch.setattr(authn, "MAXIMUM_REFUSED", 2)
    await bench.identify()
    bench.reviews.answer = {"authenticated": False}
    for number in range(5):
        assert await bench.identify(token(signature=f"forged-{number}")) is None
    bench.reviews.is_absent = True
    assert await bench.identify() == authn.Caller(ACCOUNT, "edge-1")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"authenticated": "yes"},
        status(audiences=["https://kubernetes.default.svc"]),
        status(audiences=None),
    ],
    ids=["nothing", "not true", "another audience", "no audience"],
)
async def test_what_does_not_vouch_for_this_audience_vouches_for_nobody(
    bench: Bench, answer: dict[str, Any]
) -> None:
    bench.reviews.answer = answer
    assert await bench.identify() is None


async def test_an_audience_may_be_written_without_a_list(bench: Bench) -> None:
    assert await bench.identify(token(aud=authn.AUDIENCE)) is not None


async def test_a_token_bound_to_no_node_has_none(bench: Bench) -> None:
    bench.reviews.answer = status(user={"username": ACCOUNT})
    assert await bench.identify() == authn.Caller(ACCOUNT, None)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "x" * 20_000,
        token(signature="x" * 20_000),
        "garbage",
        "a.!!.c",
        token(0.0),
        token(aud="https://kubernetes.default.svc"),
        token(aud=f"not-{authn.AUDIENCE}"),
        token(aud=["https://kubernetes.default.svc"]),
        token(aud=None),
        token(exp="never"),
        token(exp=None),
    ],
    ids=[
        "empty",
        "endless",
        "endless after a good start",
        "no parts",
        "no claims",
        "ended",
        "another audience",
        "an audience that holds ours as text",
        "other audiences",
        "no audience",
        "an end that is no time",
        "no end",
    ],
)
async def test_what_is_no_token_is_not_even_reviewed(bench: Bench, written: str) -> None:
    assert await bench.identify(written) is None
    assert bench.reviews.asked == 0


@pytest.mark.parametrize("written", ["", "a", "a.b.c", "a.e30.c", "a.!!.c"])
def test_a_token_that_does_not_say_when_it_ends_has_ended(written: str) -> None:
    assert authn.expiry(written) == 0.0
