"""The operator's view of the hub, over real HTTP: hangs, refusals and old evidence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from foreshore_api.wire import report
from foreshore_operator import measure

pytestmark = [pytest.mark.component, pytest.mark.enable_socket]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fleet(revision: int = 1, **facts: object) -> report.Fleet:
    return report.Fleet.model_validate(
        {"lineage": "hub", "revision": revision, "uptimeSeconds": 60, **facts}
    )


@contextlib.asynccontextmanager
async def door(handler: Handler) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/v1/fleet", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def test_the_newest_answer_is_the_evidence_with_its_age(tmp_path: Path) -> None:
    clock = Clock()
    token = tmp_path / "token"
    token.write_text("first\n")
    said: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        said.append(request.headers["Authorization"])
        return web.Response(body=fleet(7).encode())

    async with (
        door(handler) as url,
        measure.HubEvidence(url, ca=None, token_file=token, clock=clock) as hub,
    ):
        assert hub.evidence() == (None, 0.0)
        assert await hub.refresh()
        clock.now += 3
        found, age = hub.evidence()
        token.write_text("rotated\n")
        await hub.refresh()

    assert found is not None
    assert (found.revision, age) == (7, 3)
    assert said == ["Bearer first", "Bearer rotated"]


async def test_old_evidence_is_no_evidence() -> None:
    clock = Clock()

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=fleet().encode())

    async with (
        door(handler) as url,
        measure.HubEvidence(url, ca=None, token_file=None, clock=clock) as hub,
    ):
        await hub.refresh()
        clock.now += measure.UNREACHABLE_AFTER + 1

        assert hub.evidence() == (None, 0.0)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 204])
async def test_a_hub_that_refuses_leaves_no_evidence(status: int) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with door(handler) as url, measure.HubEvidence(url, ca=None, token_file=None) as hub:
        assert not await hub.refresh()
        assert hub.evidence() == (None, 0.0)


@pytest.mark.parametrize("body", [b"", b"{", b'{"lineage": 1}', b"[]"])
async def test_what_is_no_fleet_leaves_no_evidence(body: bytes) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with door(handler) as url, measure.HubEvidence(url, ca=None, token_file=None) as hub:
        assert not await hub.refresh()


async def test_a_hub_that_is_not_there_is_asked_again_and_told_about() -> None:
    news: list[bool] = []
    hub = measure.HubEvidence("http://127.0.0.1:9", ca=None, token_file=None, on_news=news.append)
    async with hub:
        task = asyncio.create_task(hub.run())
        await asyncio.wait_for(hub.asked.wait(), 5)
        async with asyncio.timeout(5):
            while not news:  # noqa: ASYNC110 (another task fills it)
                await asyncio.sleep(0.01)
        task.cancel()

    assert hub.evidence() == (None, 0.0)


async def test_a_right_given_back_is_urgent_news_and_a_report_is_not() -> None:
    held = {"namespace": "hq", "device": "room-301", "connected": True, "gaveBack": True}
    facts = {
        "node": "edge-1",
        "bootId": "b",
        "agentVersion": "0",
        "sentAt": "2026-01-01T00:00:00Z",
        "uptimeSeconds": 1,
    }
    agents = [{"node": "edge-1", "ageSeconds": 0, "report": {**facts, "devices": [held]}}]
    answers = [fleet(1), fleet(2), fleet(3, agents=agents)]
    news: list[bool] = []

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=answers.pop(0).encode())

    async with (
        door(handler) as url,
        measure.HubEvidence(url, ca=None, token_file=None, on_news=news.append) as hub,
    ):
        for _ in range(3):
            await hub.refresh()

    assert news == [False, False, True]


async def test_a_hub_that_comes_back_is_news_although_it_says_what_it_said_before() -> None:
    answers: list[web.Response | None] = [web.Response(body=fleet(7).encode()), None]
    news: list[int] = []
    asked = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        answer = answers.pop(0) if answers else web.Response(body=fleet(7).encode())
        return web.Response(status=503) if answer is None else answer

    async with (
        door(handler) as url,
        measure.HubEvidence(
            url, ca=None, token_file=None, on_news=lambda _urgent: news.append(asked)
        ) as hub,
    ):
        task = asyncio.create_task(hub.run())
        async with asyncio.timeout(10):
            while asked < 4:  # noqa: ASYNC110 (another task fills it)
                await asyncio.sleep(0.01)
        task.cancel()
    assert 2 in news, "it is away"
    assert 3 in news, "it is back"
