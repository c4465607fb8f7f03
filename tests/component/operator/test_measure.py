"""The operator's view of the hub, over real HTTP: hangs, refusals and old evidence."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from builders import patience
from foreshore_api.wire import evidence, report
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


async def test_a_hub_that_is_not_there_is_asked_again_and_told_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measure, "UNREACHABLE_AFTER", 1.0)
    caplog.set_level("WARNING")
    news: list[bool] = []
    hub = measure.HubEvidence("http://127.0.0.1:9", ca=None, token_file=None, on_news=news.append)
    async with hub:
        task = asyncio.create_task(hub.run())
        await asyncio.wait_for(hub.known(), patience.SECONDS)
        assert "goes without the hub's evidence: the hub does not answer" in caplog.text
        async with asyncio.timeout(patience.SECONDS):
            while not news:  # noqa: ASYNC110 (another task fills it)
                await asyncio.sleep(0.01)
        task.cancel()

    assert hub.evidence() == (None, 0.0)


async def test_a_first_answer_that_fails_is_no_hub_that_is_out_of_reach() -> None:
    """Every placement was planned without evidence, and written once more a moment later."""
    answers = [429, 503, 200]

    async def handler(_: web.Request) -> web.Response:
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        return web.Response(status=status, body=fleet(7).encode(), content_type="application/json")

    async with door(handler) as url, measure.HubEvidence(url, ca=None, token_file=None) as hub:
        task = asyncio.create_task(hub.run())
        await asyncio.wait_for(hub.known(), patience.SECONDS)
        heard, _ = hub.evidence()
        task.cancel()
    assert heard is not None


async def test_the_first_pass_does_not_wait_for_ever_for_the_rest_of_an_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measure, "FIRST_SECONDS", 0.2)

    async def handler(_: web.Request) -> web.Response:
        body = lines(agent_line("edge-1"), isComplete=False)
        return web.Response(body=body, content_type=evidence.CONTENT_TYPE)

    async with door(handler) as url, measure.HubEvidence(url, ca=None, token_file=None) as hub:
        task = asyncio.create_task(hub.run())
        await asyncio.wait_for(hub.known(), patience.SECONDS)
        assert hub.evidence() == (None, 0.0)
        task.cancel()
    assert "the hub has not said all that it knows" in caplog.text


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
        async with asyncio.timeout(patience.SECONDS):
            while asked < 4:  # noqa: ASYNC110 (another task fills it)
                await asyncio.sleep(0.01)
        task.cancel()
    assert 2 in news, "it is away"
    assert 3 in news, "it is back"


def lines(
    *parts: dict[str, Any], base: int = 0, revision: int = 5, boot: str = "a", **more: Any
) -> bytes:
    head = {
        "lineage": "l",
        "bootId": boot,
        "base": base,
        "revision": revision,
        "uptimeSeconds": 60,
        "lines": len(parts),
        **more,
    }
    return b"".join(json.dumps(line).encode() + b"\n" for line in (head, *parts))


def agent_line(node: str, of: str | None = None, **facts: Any) -> dict[str, Any]:
    said = {
        "node": of or node,
        "bootId": "b",
        "agentVersion": "0",
        "sentAt": "2026-01-01T00:00:00Z",
        "uptimeSeconds": 1,
        **facts,
    }
    return {"agents": [{"node": node, "facts": said}]}


@contextlib.asynccontextmanager
async def answering(
    *bodies: bytes,
) -> AsyncIterator[tuple[measure.HubEvidence, list[dict[str, str]]]]:
    """A reader of a hub that gives these answers, and the questions it was asked."""
    left, asked = list(bodies), []

    async def handler(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.Response(body=left.pop(0), content_type=evidence.CONTENT_TYPE)

    async with door(handler) as url, measure.HubEvidence(url, ca=None, token_file=None) as hub:
        yield hub, asked


async def test_an_answer_overtaken_by_a_part_is_asked_for_again() -> None:
    """A right could be moved on evidence from before it: the rest of the part was on its way."""
    part = lines(agent_line("edge-1"), base=5, revision=8, isComplete=False)
    rest = lines(agent_line("edge-2"), base=8, revision=9)
    async with answering(lines(), lines(base=5, revision=6), rest) as (hub, asked):
        assert await hub.refresh()
        assert not await hub._take_lines(part), "another task had asked at the same time"
        assert await hub.refresh()
        fleet, _ = hub.evidence()

    assert fleet is not None
    assert [agent.node for agent in fleet.agents] == ["edge-1", "edge-2"]
    assert len(asked) == 3


async def test_a_pass_can_ask_while_the_session_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It met the session that was being closed, and the pass failed."""
    close, answers = aiohttp.ClientSession.close, list[bool]()
    async with answering(lines(), lines(base=5, revision=5)) as (hub, _):

        async def closing(session: aiohttp.ClientSession) -> None:
            await close(session)
            if len(answers) < 1:
                answers.append(await hub.refresh())

        monkeypatch.setattr(aiohttp.ClientSession, "close", closing)
        await hub._reconnect()
        monkeypatch.undo()
    assert answers == [True]


ABSURD = 10**400


@pytest.mark.parametrize(
    "nonsense",
    [
        lines(base=6, revision=9),
        lines(base=5, revision=9, boot="another"),
        lines(base=5, revision=9, lines=2),
        lines(base=5, revision=ABSURD),
        lines({"agents": 7}, base=5, revision=9),
        lines(agent_line("edge-1", of="edge-9"), base=5, revision=9),
        lines({"devices": [{"namespace": "hq", "device": ABSURD}]}, base=5, revision=9),
        lines(base=5, revision=9)[:-1],
        b"",
        b"\n",
        b"[" * 10_000 + b"\n",
        b"\xff\n",
    ],
    ids=[
        "a base that is not ours",
        "another process",
        "a line that is missing",
        "a revision without end",
        "agents that are no list",
        "an agent that reports for another node",
        "a device that is a number",
        "an end that is missing",
        "nothing",
        "an empty line",
        "too deep",
        "no text",
    ],
)
async def test_after_nonsense_everything_is_asked_for_anew(nonsense: bytes) -> None:
    whole = lines(agent_line("edge-1"), agent_line("edge-2"), revision=7, boot="a")
    bodies = (lines(agent_line("edge-1")), nonsense, whole)
    async with answering(*bodies) as (hub, asked):
        assert await hub.refresh()
        assert not await hub.refresh()
        assert await hub.refresh()
        heard, _ = hub.evidence()

    assert [(question["since"], question["boot"]) for question in asked] == [
        ("0", ""),
        ("5", "a"),
        ("0", ""),
    ]
    assert heard is not None
    assert [agent.node for agent in heard.agents] == ["edge-1", "edge-2"]


async def test_an_agent_that_reports_the_absurd_is_silent_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    absurd = agent_line("edge-1", uptimeSeconds=ABSURD)
    bodies = (
        lines(agent_line("edge-1"), agent_line("edge-2")),
        lines(absurd, base=5, revision=6),
        lines(absurd, base=6, revision=7),
        lines(agent_line("edge-1"), base=7, revision=8),
    )
    heard: list[list[str]] = []
    async with answering(*bodies) as (hub, _):
        for _ in bodies:
            assert await hub.refresh()
            fleet, _ = hub.evidence()
            assert fleet is not None
            heard.append([agent.node for agent in fleet.agents])

    assert heard == [["edge-1", "edge-2"], ["edge-2"], ["edge-2"], ["edge-1", "edge-2"]]
    warnings = [record.message for record in caplog.records if "edge-1" in record.message]
    assert len(warnings) == 1
    assert "one release" in warnings[0]


async def test_figures_alone_are_no_news_to_a_pass_but_are_kept() -> None:
    stage = {"namespace": "hq", "policy": "p", "stage": "Decide"}

    def measured(count: int) -> dict[str, Any]:
        histogram = {"buckets": {"3": count}, "totalSeconds": 0.1}
        return agent_line("edge-1", stages=[{**stage, "histogram": histogram}])

    bodies = (
        lines(measured(1)),
        lines(measured(2), base=5, revision=6),
        lines({"agents": [{"node": "edge-1", "hasFigures": False,
                           "facts": agent_line("edge-1", stopping=True)["agents"][0]["facts"]}]},
              base=6, revision=7),
    )  # fmt: skip
    news: list[bool] = []
    async with answering(*bodies) as (hub, _):
        hub._on_news = news.append
        await hub.refresh()
        await hub.refresh()
        assert news == [True], "the first answer"
        await hub.refresh()
        fleet, _ = hub.evidence()

    assert news == [True, True]
    assert fleet is not None
    assert fleet.agents[0].report.stopping
    assert fleet.agents[0].report.stages[0].histogram.count == 2, "figures sent before stay"


async def test_a_hub_that_knows_no_lines_is_read_as_it_answers() -> None:
    asked: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.Response(body=fleet(7).encode(), content_type="application/json")

    async with door(handler) as url, measure.HubEvidence(url, ca=None, token_file=None) as hub:
        assert await hub.refresh()
        task = asyncio.create_task(hub.run())
        async with asyncio.timeout(patience.SECONDS):
            while len(asked) < 2:  # noqa: ASYNC110 (another task fills it)
                await asyncio.sleep(0.01)
        task.cancel()
        heard, _ = hub.evidence()

    assert heard is not None
    assert heard.revision == 7
    assert asked[1]["revision"] == "7", "it holds the question until there is news"
