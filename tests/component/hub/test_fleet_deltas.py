"""What changed of the fleet, from a real door to the operator's reader, over HTTP."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from builders import patience
from component.hub import hub_under_test
from component.hub.hub_under_test import Door
from foreshore_api.wire import evidence, report
from foreshore_hub import deltas, fleet, renewals
from foreshore_operator import measure

pytestmark = pytest.mark.component


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with hub_under_test.opened(tmp_path / "hub.db") as opened:
        yield opened


@contextlib.asynccontextmanager
async def reader(door: Door, folder: Path, **arguments: Any) -> AsyncIterator[measure.HubEvidence]:
    token = folder / "token"
    token.write_text(hub_under_test.token("operator"))
    async with measure.HubEvidence(door.url, ca=None, token_file=token, **arguments) as hub:
        yield hub


def held(**fields: Any) -> dict[str, Any]:
    return {"namespace": "hq", "device": "room-301", "connected": True, "epoch": 7, **fields}


async def speak(door: Door, node: str = "edge-1", **fields: Any) -> None:
    said = {
        "node": node,
        "bootId": "b",
        "agentVersion": "0.1.0",
        "sentAt": "2026-03-01T10:00:00Z",
        "uptimeSeconds": 500,
        **fields,
    }
    body = json.dumps(said).encode()
    answer = await door.call("POST", f"/v1/agents/{node}/report", f"agent:{node}", data=body)
    assert answer.status == 204


def nodes(hub: measure.HubEvidence) -> list[str]:
    heard, _ = hub.evidence()
    return [agent.node for agent in heard.agents] if heard is not None else []


async def test_what_the_operator_merges_is_what_the_hub_knows(door: Door, tmp_path: Path) -> None:
    stage = {"namespace": "hq", "policy": "p", "stage": "Decide"}
    histogram = {"buckets": {"3": 5}, "totalSeconds": 0.1}
    async with reader(door, tmp_path) as hub:
        assert await hub.refresh()
        await speak(door, stages=[{**stage, "histogram": histogram}])
        door.desk.fleet.note_renewals(
            {("hq", "room-301"): renewals.RenewedHolder(7, "edge-1", 15.0, at=door.now())}
        )
        assert await hub.refresh()
        first, _ = hub.evidence()
        await speak(door, devices=[held(gaveBack=True)], stages=[{**stage, "histogram": histogram}])
        assert await hub.refresh()
        second, _ = hub.evidence()
    whole = door.desk.fleet.evidence(door.now())
    assert first is not None
    assert second is not None
    assert first.agents[0].report.devices == ()
    assert second.agents[0].report == whole.agents[0].report
    assert [entry.holder for entry in second.given_back] == ["edge-1"]
    assert [(entry.epoch, entry.age_seconds) for entry in second.renewals] == [(7, 0.0)]


async def test_an_agent_that_reports_without_news_costs_nothing(door: Door) -> None:
    await speak(door)
    first = await door.call("GET", "/v1/fleet?since=0", "operator")
    head = evidence.FleetDelta.decode(first.body.split(b"\n")[0])
    for _ in range(5):
        await speak(door, uptimeSeconds=502, decisions={"Commanded": 3})
    answer = await door.call(
        "GET", f"/v1/fleet?since={head.revision}&boot={head.boot_id}", "operator"
    )
    again = evidence.FleetDelta.decode(answer.body.split(b"\n")[0])
    assert again.lines == 0
    assert again.revision > head.revision
    assert len(answer.body) < 250


async def test_an_answer_leaves_each_second_though_nothing_is_new(door: Door) -> None:
    first = await door.call("GET", "/v1/fleet?since=0&wait=5s", "operator")
    head = evidence.FleetDelta.decode(first.body.split(b"\n")[0])
    began = time.monotonic()
    path = f"/v1/fleet?since={head.revision}&boot={head.boot_id}&wait=100s"
    async with asyncio.timeout(patience.SECONDS / 2):  # before the wait that was asked for is over
        assert (await door.call("GET", path, "operator")).status == 200
    assert time.monotonic() - began > 0.9 * deltas.QUIET_SECONDS


@pytest.mark.parametrize(
    ("news", "is_urgent"),
    [({"devices": [held(gaveBack=True)]}, True), ({"stopping": True}, True),
     ({"agentVersion": "0.2.0"}, False)],
    ids=["a right given back", "an agent told to stop", "a new release"],
)  # fmt: skip
async def test_only_what_others_wait_for_is_urgent(
    door: Door,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    news: dict[str, Any],
    is_urgent: bool,
) -> None:
    heard: list[bool] = []
    if is_urgent:  # it wakes whoever waits: the second after which an answer leaves never passes
        monkeypatch.setattr(deltas, "QUIET_SECONDS", 100.0)
    await speak(door)
    async with reader(door, tmp_path, on_news=heard.append) as hub:
        assert await hub.refresh()
        heard.clear()
        running = asyncio.create_task(hub.run())
        await asyncio.sleep(0.3)
        await speak(door, **news)
        async with asyncio.timeout(patience.SECONDS):
            while not heard:  # noqa: ASYNC110 (another task fills it)
                await asyncio.sleep(0.01)
        running.cancel()
    assert heard[0] is is_urgent, "and then that the hub answers at all"


async def test_a_hub_that_begins_anew_is_listened_to_from_the_start(
    door: Door, tmp_path: Path
) -> None:
    await speak(door, "edge-1")
    news: list[bool] = []
    async with reader(door, tmp_path, on_news=news.append) as hub:
        assert await hub.refresh()
        assert nodes(hub) == ["edge-1"]
        news.clear()
        anew = fleet.FleetEvidence(door.desk.fleet.lineage, door.now(), {})
        object.__setattr__(door.desk, "fleet", anew)
        for _ in range(3):
            await speak(door, "edge-2")
        assert await hub.refresh()
        assert nodes(hub) == ["edge-2"], "revisions of another process are no base"
        assert news, "a pass looks at all of it"


async def test_a_fleet_larger_than_an_answer_arrives_whole(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deltas, "ANSWER_BYTES", 1000)
    names = [f"edge-{number:02}" for number in range(20)]
    for name in names:
        await speak(door, name, devices=[held()])
    async with reader(door, tmp_path) as hub:
        assert not await hub._ask(0)
        assert hub.evidence() == (None, 0.0), "half a fleet is no evidence"
        assert await hub.refresh()
        assert nodes(hub) == names


async def test_silence_is_heard_of_although_nobody_speaks(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "LATE_SECONDS", 0.2)
    await speak(door)
    silences = asyncio.Event()

    def is_silent(_urgent: bool) -> None:
        heard, _ = hub.evidence()
        if heard is not None and heard.agents[0].age_seconds > evidence.LATE_SECONDS:
            silences.set()

    async with reader(door, tmp_path, on_news=is_silent) as hub:
        assert await hub.refresh()
        running = asyncio.create_task(hub.run())
        async with asyncio.timeout(patience.SECONDS):
            await silences.wait()
        heard, age = hub.evidence()
        running.cancel()
    assert heard is not None
    (exact,) = door.desk.fleet.evidence(door.now()).agents
    assert evidence.LATE_SECONDS < heard.agents[0].age_seconds + age <= exact.age_seconds


async def test_evidence_of_this_moment_does_not_wait_for_the_poll(
    door: Door, tmp_path: Path
) -> None:
    """A right is moved only by what the hub has renewed up to now, whatever else is under way."""
    device = ("hq", "room-301")
    door.desk.fleet.note_renewals({device: renewals.RenewedHolder(7, "edge-1", 15.0, at=-100.0)})
    async with reader(door, tmp_path) as hub:
        assert await hub.refresh()
        heard, _ = hub.evidence()
        assert heard is not None
        assert heard.renewals[0].age_seconds > 15
        running = asyncio.create_task(hub.run())
        for number in range(20):
            epoch = 8 + number
            renewed = renewals.RenewedHolder(epoch, "edge-1", 15.0, at=door.now())
            door.desk.fleet.note_renewals({device: renewed})
            assert await hub.refresh()
            heard, _ = hub.evidence()
            assert heard is not None
            assert [(e.epoch, e.age_seconds) for e in heard.renewals] == [(epoch, 0.0)]
            await asyncio.sleep(0.07)
        running.cancel()


async def test_an_operator_of_the_release_before_gets_the_whole_fleet(door: Door) -> None:
    await speak(door)
    answer = await door.call("GET", "/v1/fleet?wait=0s&revision=3", "operator")
    assert answer.headers["Content-Type"] == "application/json"
    assert len(report.Fleet.decode(answer.body).agents) == 1


@pytest.mark.parametrize("query", ["since=-1", "since=x", f"since={1 << 60}", "boot=" + "x" * 200])
async def test_a_question_out_of_bounds_is_refused(door: Door, query: str) -> None:
    answer = await door.call("GET", f"/v1/fleet?{query}", "operator")
    assert answer.status == 422


async def test_lines_are_the_operators_to_read(door: Door) -> None:
    answer = await door.call("GET", "/v1/fleet?since=0", "agent:edge-1")
    assert answer.status == 403
