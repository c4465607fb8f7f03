"""The agents' door over real HTTP: who gets what, once, and what is refused."""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from builders import patience, resources
from component.hub import hub_under_test
from component.hub.hub_under_test import Door
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment, beat, record, report
from foreshore_decision import assignment as compiling
from foreshore_decision import record as record_chain
from foreshore_hub import guard, ingest, renewals, store

pytestmark = pytest.mark.component


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with hub_under_test.opened(tmp_path / "hub.db") as opened:
        yield opened


def facts(node: str = "edge-1", **fields: Any) -> bytes:
    said = {
        "bootId": "b",
        "agentVersion": "0.1.0",
        "sentAt": "2026-03-01T10:00:00Z",
        "uptimeSeconds": 5,
        **fields,
    }
    return json.dumps({"node": node, **said}).encode()


def decided(identity: str, **fields: Any) -> str:
    data = {
        "decisionId": identity,
        "device": {"namespace": "hq", "name": "room-301"},
        "policy": {"namespace": "hq", "name": "ventilate"},
        "verdict": {"result": "Commanded", "reason": "RoomOccupied"},
    }
    return json.dumps(
        {
            "id": identity,
            "type": record.DECISION,
            "time": "2026-03-01T10:00:00Z",
            "data": data,
            **fields,
        }
    )


def shipped(*bodies: str, journal: str = "j-1") -> record.Batch:
    found, previous = [], ingest.GENESIS
    for number, body in enumerate(bodies, start=1):
        hashed = record_chain.link(previous, body.encode())
        found.append(
            record.ShippedRecord(sequence=number, previous=previous, hash=hashed, body=body)
        )
        previous = hashed
    return record.Batch(journal=journal, records=tuple(found))


def asked(node: str = "edge-1", epoch: int = 100, number: int = 1) -> bytes:
    held = beat.Held(namespace="hq", device="room-301", epoch=epoch)
    return beat.RenewalRequest(node=node, boot_id="b", number=number, held=(held,)).encode()


async def test_an_agent_gets_its_assignment_and_304_while_nothing_changed(door: Door) -> None:
    answer = await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
    assert answer.status == 200
    found = assignment.Assignment.decode(answer.body)
    assert [each.name for each in found.devices] == ["room-301"]
    assert found.lineage == door.desk.store.lineage
    assert found.generation >= 1
    again = await door.call(
        "GET",
        "/v1/agents/edge-1/assignment?wait=0s",
        headers={"If-None-Match": answer.headers["ETag"]},
    )
    assert again.status == 304


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate", "gzip"),
        ("deflate,gzip", "gzip"),
        ("identity", None),
        ("gzip;q=0", None),
        ("x-gzip", None),
    ],
)
async def test_an_assignment_is_sent_compressed_to_whoever_takes_it(
    door: Door, accepted: str, encoding: str | None
) -> None:
    path = "/v1/agents/edge-1/assignment?wait=5s"
    await door.call("GET", path)
    answer = await door.call("GET", path, headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Vary"] == "accept-encoding"
    found = assignment.Assignment.decode(answer.body)
    assert f'"{found.digest}"' == answer.headers["ETag"]


async def test_a_change_answers_a_waiting_agent_with_the_next_generation(door: Door) -> None:
    first = await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
    await asyncio.sleep(0.2)
    first = await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
    before = assignment.Assignment.decode(first.body)
    waiting = asyncio.create_task(
        door.call(
            "GET",
            "/v1/agents/edge-1/assignment?wait=10s",
            headers={"If-None-Match": first.headers["ETag"]},
        )
    )
    await asyncio.sleep(0.05)
    assert not waiting.done()
    door.apply(resources.device("room-302"))
    answer = await asyncio.wait_for(waiting, patience.SECONDS)
    found = assignment.Assignment.decode(answer.body)
    assert [each.name for each in found.devices] == ["room-301", "room-302"]
    assert found.generation == before.generation + 1


async def test_after_a_restart_generations_go_on_within_the_lineage(tmp_path: Path) -> None:
    async with hub_under_test.opened(tmp_path / "hub.db") as door:
        answer = await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
        before = assignment.Assignment.decode(answer.body)
    async with hub_under_test.opened(tmp_path / "hub.db") as door:
        door.apply(resources.device("room-303"))
        after = await door.assigned("edge-1", lambda given: len(given.devices) > 1)
    assert after.lineage == before.lineage
    assert after.generation > before.generation


async def test_a_hub_without_an_api_server_serves_what_it_kept(tmp_path: Path) -> None:
    async with hub_under_test.opened(tmp_path / "hub.db") as door:
        answer = await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
        before = assignment.Assignment.decode(answer.body)
    async with hub_under_test.opened(tmp_path / "hub.db") as door:
        door.desk.world.is_synced = False
        door.nodes.clear()
        answer = await door.call("GET", "/v1/agents/edge-1/assignment?wait=0s")
        after = assignment.Assignment.decode(answer.body)
    assert after.digest == before.digest


async def test_a_wiped_hub_takes_no_record_before_it_knows_where_it_belongs(
    tmp_path: Path,
) -> None:
    """Stored without a namespace it could be listed by nobody; the agent keeps it instead."""
    batch = shipped(decided("a")).encode()
    async with hub_under_test.opened(tmp_path / "wiped.db") as door:
        door.desk.world.is_synced = False
        early = await door.call("POST", "/v1/agents/edge-1/records", data=batch)
        assert early.status == 503, early.body
        assert json.loads(early.body)["reason"] == "NotCompiled"
        assert early.headers["Retry-After"]
        door.desk.world.is_synced = True
        await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
        late = await door.call("POST", "/v1/agents/edge-1/records", data=batch)
        assert late.status == 200
        found = await door.desk.store.find(store.Selection(namespace="hq"))
        assert [each.decision for each in found] == ["a"]


async def test_records_alone_make_a_wiped_hub_compile_their_nodes_assignment(
    tmp_path: Path,
) -> None:
    async with hub_under_test.opened(tmp_path / "wiped.db") as door:
        batch = shipped(decided("a")).encode()
        answer = await door.call("POST", "/v1/agents/edge-1/records", data=batch)
        assert answer.status == 200
        assert await door.desk.store.find(store.Selection(namespace="hq"))


async def test_a_node_that_cannot_be_compiled_keeps_what_it_has_and_the_others_go_on(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    door.label("edge-2", "hq")
    for node in ("edge-1", "edge-2"):
        await door.call("GET", f"/v1/agents/{node}/assignment?wait=5s", f"agent:{node}")
    works = compiling.compile

    def surprised(found: Any, node: str, **more: Any) -> Any:
        if node == "edge-1":
            raise ZeroDivisionError
        return works(found, node, **more)

    monkeypatch.setattr(compiling, "compile", surprised)
    for number in range(302, 305):
        door.apply(resources.device(f"room-{number}"))
        await asyncio.sleep(0.2)
    await door.assigned("edge-2", lambda given: len(given.devices) == 4)
    found = {}
    for node in ("edge-1", "edge-2"):
        answer = await door.call("GET", f"/v1/agents/{node}/assignment?wait=0s", f"agent:{node}")
        found[node] = len(assignment.Assignment.decode(answer.body).devices)
    assert found == {"edge-1": 1, "edge-2": 4}
    said = [line for line in caplog.records if "edge-1" in line.getMessage() and line.exc_info]
    assert len(said) == 1, "the traceback is logged once"
    answer = await door.call("GET", "/v1/fleet", "operator")
    (problem,) = report.Fleet.decode(answer.body).problems
    assert (problem.kind, problem.name, problem.reason) == ("Node", "edge-1", "InternalError")


async def test_an_assignment_of_another_time_is_compiled_anew_and_counted_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "hub.db"
    async with hub_under_test.opened(path) as door:
        answer = await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
        before = assignment.Assignment.decode(answer.body)
    with contextlib.closing(sqlite3.connect(path)) as kept, kept:
        kept.execute("""update assignments set body = '{"node": 7}'""")
    async with hub_under_test.opened(path) as door:
        answer = await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
        after = assignment.Assignment.decode(answer.body)
    assert after.digest == before.digest
    assert after.generation == before.generation + 1


@pytest.mark.parametrize("gone", [v1alpha1.DeviceProfile, v1alpha1.ModelVersion, v1alpha1.Model])
async def test_what_was_deleted_while_the_hub_was_away_stays_in_the_assignment(
    tmp_path: Path, gone: type[meta.Resource]
) -> None:
    path = tmp_path / "hub.db"
    async with hub_under_test.opened(path) as door:
        before = await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
    async with hub_under_test.opened(path) as door:
        door.mirrors[gone].clear()
        door.apply(resources.device(metadata={"labels": {"zone": "west", "floor": "3"}}))
        etag = before.headers["ETag"]
        answer = await door.call(
            "GET", "/v1/agents/edge-1/assignment?wait=5s", headers={"If-None-Match": etag}
        )
    first, second = (assignment.Assignment.decode(one.body) for one in (before, answer))
    assert second.devices[0].labels["floor"] == "3", "the rest of an edit takes effect"
    assert second.devices[0].profile == first.devices[0].profile
    assert second.policies == first.policies


async def test_a_device_that_cannot_be_read_is_renewed_to_nobody_and_the_next_one_is(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = held().model_copy(
        update={"metadata": held().metadata.model_copy(update={"name": "room-302"})}
    )
    door.apply(held(), second)
    object.__setattr__(door.desk.fleet, "started_at", door.now() - 60)
    works = door.desk.world.named

    def surprised(device: Any, last: Any) -> Any:
        if device == ("hq", "room-301"):
            raise ZeroDivisionError
        return works(device, last)

    monkeypatch.setattr(door.desk.world, "named", surprised)
    both = tuple(beat.Held(namespace="hq", device=f"room-30{n}", epoch=100) for n in (1, 2))
    request = beat.RenewalRequest(node="edge-1", boot_id="b", number=1, held=both)
    answer = await door.call("POST", "/v1/renewals", data=request.encode())
    assert answer.status == 200, answer.body
    standings = [each.standing for each in beat.Renewal.decode(answer.body).devices]
    assert standings == [beat.RenewalStanding.UNKNOWN, beat.RenewalStanding.RENEWED]


@pytest.mark.parametrize(
    ("method", "path", "who", "status"),
    [
        ("GET", "/v1/agents/edge-2/assignment", "agent:edge-1", 403),
        ("POST", "/v1/agents/edge-2/records", "agent:edge-1", 403),
        ("POST", "/v1/agents/edge-2/report", "agent:edge-1", 403),
        ("GET", "/v1/agents/edge-1/assignment", "operator", 403),
        ("GET", "/v1/agents/edge-1/assignment", "agent", 403),
        ("GET", "/v1/fleet", "agent:edge-1", 403),
        ("GET", "/v1/fleet", "stranger", 403),
        ("GET", "/v1/agents/edge-1/assignment", "nobody", 401),
        ("GET", "/v1/nothing", "agent:edge-1", 404),
    ],
    ids=[
        "another node's assignment",
        "another node's records",
        "another node's report",
        "the operator is no agent",
        "an agent's token that is bound to no node",
        "an agent reads no fleet",
        "a stranger reads no fleet",
        "a token that nobody vouches for",
        "no such path",
    ],
)
async def test_nobody_reaches_what_is_not_theirs(
    door: Door, method: str, path: str, who: str, status: int
) -> None:
    bodies = {"records": shipped(decided("a")).encode(), "report": facts("edge-2")}
    data = bodies.get(path.rsplit("/", 1)[-1]) if method == "POST" else None
    assert (await door.call(method, path, who, data=data)).status == status


async def test_without_a_token_no_body_is_read(door: Door) -> None:
    async with door.session.post(door.url + "/v1/agents/edge-1/records", data=b"x") as answer:
        assert answer.status == 401


async def test_a_known_token_outlives_the_api_server(door: Door) -> None:
    assert (await door.call("POST", "/v1/agents/edge-1/report", data=facts())).status == 204
    door.reviews.is_absent = True
    assert (await door.call("POST", "/v1/agents/edge-1/report", data=facts())).status == 204
    unknown = await door.call(
        "POST", "/v1/agents/edge-2/report", "agent:edge-2", data=facts("edge-2")
    )
    assert unknown.status == 503


async def test_records_are_acknowledged_once_and_stored_once(door: Door) -> None:
    await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
    batch = shipped(decided("a"), decided("b"))
    for _ in range(2):
        answer = await door.call("POST", "/v1/agents/edge-1/records", data=batch.encode())
        assert record.BatchAnswer.decode(answer.body).acknowledged == 2
    found = await door.desk.store.find(store.Selection(namespace="hq"))
    assert sorted(each.decision for each in found) == ["a", "b"]
    assert all(each.is_intact for each in found)


async def test_two_batches_at_the_same_time_commit_each_record_once(door: Door) -> None:
    await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
    batch = shipped(*(decided(f"d-{number}") for number in range(50)))
    answers = await asyncio.gather(
        *(door.call("POST", "/v1/agents/edge-1/records", data=batch.encode()) for _ in range(5))
    )
    assert {answer.status for answer in answers} == {200}
    assert len(await door.desk.store.find(store.Selection(namespace="hq"))) == 50


async def test_a_journal_belongs_to_the_node_that_came_first(door: Door) -> None:
    door.label("edge-2", "hq")
    batch = shipped(decided("a")).encode()
    assert (await door.call("POST", "/v1/agents/edge-1/records", data=batch)).status == 200
    refused = await door.call("POST", "/v1/agents/edge-2/records", "agent:edge-2", data=batch)
    assert refused.status == 403


async def test_a_forked_journal_is_refused(door: Door) -> None:
    one, other = shipped(decided("a")), shipped(decided("b"))
    assert (await door.call("POST", "/v1/agents/edge-1/records", data=one.encode())).status == 200
    refused = await door.call("POST", "/v1/agents/edge-1/records", data=other.encode())
    assert refused.status == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x" * ((1 << 20) + 1), 413),
        (b"[" * 10_000, 400),
        (b"no json", 422),
        (b"{}", 422),
        (b'{"journal": "j", "records": []}', 422),
        (b"\xff\xfe", 422),
    ],
    ids=["too large", "too deep", "no JSON", "no batch", "an empty batch", "no UTF-8"],
)
async def test_a_bad_body_is_refused_with_a_reason_and_never_sent_back(
    door: Door, body: bytes, status: int
) -> None:
    answer = await door.call("POST", "/v1/agents/edge-1/records", data=body)
    assert answer.status == status
    said = answer.body
    assert json.loads(said)["reason"]
    assert len(said) < 2000


async def test_a_body_that_drips_in_is_given_up(tmp_path: Path) -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b" "
            await asyncio.sleep(0.1)

    async with hub_under_test.opened(tmp_path / "hub.db", body_seconds=0.3) as door:
        try:
            answer = await door.call("POST", "/v1/agents/edge-1/records", data=drip())
        except aiohttp.ClientConnectionError:
            return
        assert answer.status == 408


async def test_a_report_of_as_many_devices_as_there_may_be_is_taken(door: Door) -> None:
    devices = [
        {"namespace": "hq", "device": f"room-{number}", "connected": True, "epoch": 1 << 52}
        for number in range(report.DEVICES)
    ]
    body = facts(devices=devices)
    assert len(body) > 256 << 10
    assert (await door.call("POST", "/v1/agents/edge-1/report", data=body)).status == 204
    assert len(door.desk.fleet.evidence(0.0).agents[0].report.devices) == report.DEVICES


async def test_one_caller_sends_one_large_body_at_a_time(tmp_path: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b" "
        begun.set()
        await ended.wait()
        yield facts()

    path, kind = "/v1/agents/edge-1/report", {"Content-Type": "application/json"}
    async with hub_under_test.opened(tmp_path / "hub.db") as door, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(door.call("POST", path, data=slow(), headers=kind))
        await begun.wait()
        answers = [await door.call("POST", path, data=facts()) for _ in range(20)]
        assert b"one report at a time" in answers[-1].body
        ended.set()
        assert (await first).status == 204
        assert (await door.call("POST", path, data=facts())).status == 204


async def test_one_node_that_asks_too_often_is_slowed_down_and_others_are_not(
    tmp_path: Path,
) -> None:
    slow = guard.Rate(per_second=0.01, burst=10.0)  # slower than any machine asks
    async with hub_under_test.opened(tmp_path / "hub.db", rate=slow) as door:
        answers = [
            await door.call("POST", "/v1/agents/edge-1/report", data=facts()) for _ in range(15)
        ]
        assert [answer.status for answer in answers] == 10 * [204] + 5 * [429]
        other = await door.call(
            "POST", "/v1/agents/edge-2/report", "agent:edge-2", data=facts("edge-2")
        )
        assert other.status == 204


def held(epoch: int = 100, holder: str = "edge-1") -> Any:
    authority = {"holder": holder, "epoch": epoch, "lastIssued": epoch}
    return resources.device(status={"authority": authority})


async def renewal(door: Door, who: str, body: bytes) -> beat.RenewedDevice:
    answer = await door.call("POST", "/v1/renewals", who, data=body)
    assert answer.status == 200, answer.body
    return beat.Renewal.decode(answer.body).devices[0]


async def test_a_holder_is_renewed_and_the_operator_is_told_when(door: Door) -> None:
    door.apply(held())
    first = await renewal(door, "agent:edge-1", asked())
    assert first.standing is beat.RenewalStanding.UNKNOWN, (
        "a new store counts its start as a renewal"
    )
    object.__setattr__(door.desk.fleet, "started_at", door.now() - 60)
    assert (await renewal(door, "agent:edge-1", asked())).standing is beat.RenewalStanding.RENEWED
    answer = await door.call("GET", "/v1/fleet", "operator")
    (last,) = report.Fleet.decode(answer.body).renewals
    assert (last.holder, last.epoch) == ("edge-1", 100)
    assert last.age_seconds < 5
    assert await door.desk.store.last_renewals()


async def test_an_epoch_that_lies_ten_years_ahead_is_renewed_to_nobody_and_lifts_nothing(
    door: Door,
) -> None:
    beyond = int(time.time()) + beat.FARTHEST_AHEAD + 1000
    door.apply(held(beyond))
    object.__setattr__(door.desk.fleet, "started_at", door.now() - 60)
    answer = await renewal(door, "agent:edge-1", asked(epoch=beyond))
    assert (answer.standing, answer.epoch) == (beat.RenewalStanding.UNKNOWN, 0)
    door.apply(held())
    answer = await renewal(door, "agent:edge-1", asked(number=2))
    assert (answer.standing, answer.epoch) == (beat.RenewalStanding.RENEWED, 100)


async def test_a_renewal_that_an_older_hub_kept_ten_years_ahead_stops_nobody(door: Door) -> None:
    beyond = renewals.RenewedHolder(int(time.time()) + beat.FARTHEST_AHEAD + 1000, "edge-2", 15.0)
    door.desk.fleet.note_renewals({("hq", "room-301"): beyond})
    door.apply(held())
    object.__setattr__(door.desk.fleet, "started_at", door.now() - 60)
    answer = await renewal(door, "agent:edge-1", asked())
    assert (answer.standing, answer.epoch) == (beat.RenewalStanding.RENEWED, 100)


async def test_a_peer_of_the_site_may_relay_and_another_site_may_not(door: Door) -> None:
    door.label("edge-2", "hq")
    door.label("far-1", "plant")
    door.apply(held())
    object.__setattr__(door.desk.fleet, "started_at", door.now() - 60)
    relayed = await renewal(door, "agent:edge-2", asked("edge-1"))
    assert relayed.standing is beat.RenewalStanding.RENEWED
    refused = await door.call("POST", "/v1/renewals", "agent:far-1", data=asked("edge-1"))
    assert refused.status == 403


async def test_a_replaced_holder_is_told_and_its_successor_waits_out_the_lease(door: Door) -> None:
    door.label("edge-2", "hq")
    door.apply(held())
    object.__setattr__(door.desk.fleet, "started_at", door.now() - 60)
    await renewal(door, "agent:edge-1", asked())
    door.apply(held(101, "edge-2"))
    old = await renewal(door, "agent:edge-1", asked(epoch=100, number=2))
    new = await renewal(door, "agent:edge-2", asked("edge-2", 101))
    assert (old.standing, old.epoch) == (beat.RenewalStanding.SUPERSEDED, 101)
    assert new.standing is beat.RenewalStanding.UNKNOWN
    gave = {
        "namespace": "hq",
        "device": "room-301",
        "connected": False,
        "epoch": 100,
        "gaveBack": True,
    }
    await door.call("POST", "/v1/agents/edge-1/report", data=facts(devices=[gave]))
    new = await renewal(door, "agent:edge-2", asked("edge-2", 101, 2))
    assert new.standing is beat.RenewalStanding.RENEWED, "the one before gave it back"


async def test_the_operator_waits_for_news_of_the_fleet(door: Door) -> None:
    answer = await door.call("GET", "/v1/fleet", "operator")
    revision = report.Fleet.decode(answer.body).revision
    waiting = asyncio.create_task(
        door.call("GET", f"/v1/fleet?wait=10s&revision={revision}", "operator")
    )
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await door.call("POST", "/v1/agents/edge-1/report", data=facts())
    found = report.Fleet.decode((await asyncio.wait_for(waiting, patience.SECONDS)).body)
    assert [each.node for each in found.agents] == ["edge-1"]
    assert found.revision > revision


async def test_an_agents_pod_makes_it_a_probe_target_of_its_peers(door: Door) -> None:
    door.label("edge-2", "hq")
    await door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")
    door.run_agent("edge-2", "http://10.0.0.2:8081")
    found = await door.assigned("edge-1", lambda given: bool(given.probes))
    assert [(each.node, each.url) for each in found.probes] == [("edge-2", "http://10.0.0.2:8081")]


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/", "http://10.9.9.9:8081", "x" * 600, "\x00"]
)
async def test_what_an_agent_says_of_its_own_address_is_told_to_nobody(
    door: Door, address: str
) -> None:
    door.label("edge-2", "hq")
    door.run_agent("edge-2", "http://10.0.0.2:8081")
    where = facts("edge-2", address=address)
    answer = await door.call("POST", "/v1/agents/edge-2/report", "agent:edge-2", data=where)
    assert answer.status == 204
    door.apply(resources.device("room-302"))
    found = await door.assigned("edge-1", lambda given: len(given.devices) > 1)
    assert [each.url for each in found.probes] == ["http://10.0.0.2:8081"]
    assert [each.name for each in found.devices] == ["room-301", "room-302"]


async def test_the_door_describes_itself(door: Door) -> None:
    async with door.session.get(door.url + "/openapi.json") as answer:
        described = await answer.json()
    assert "/v1/agents/{node}/records" in described["paths"]


async def test_refusals_are_counted_by_reason(door: Door) -> None:
    await door.call("GET", "/v1/agents/edge-2/assignment")
    assert b'foreshore_hub_refused_total{reason="AnotherNode"} 1.0' in door.desk.measured.render()


async def test_the_operator_reads_which_right_was_given_back_and_for_how_long(door: Door) -> None:
    """By that age it waits until the last command to a device that nobody fences has run out."""
    room = {"namespace": "hq", "device": "room-301", "connected": False, "epoch": 7}

    async def given_back() -> list[Any]:
        answer = await door.call("GET", "/v1/fleet", "operator")
        return list(report.Fleet.model_validate_json(answer.body).given_back)

    async def reports(node: str, **fields: Any) -> None:
        body = facts(node, devices=[{**room, **fields}])
        answer = await door.call("POST", f"/v1/agents/{node}/report", f"agent:{node}", data=body)
        assert answer.status < 300

    await reports("edge-1", gaveBack=True)
    await reports("edge-2")
    (first,) = await given_back()
    assert (first.namespace, first.device) == ("hq", "room-301")
    assert (first.holder, first.epoch) == ("edge-1", 7)
    await asyncio.sleep(0.2)
    await reports("edge-1", gaveBack=True)
    (later,) = await given_back()
    assert later.age_seconds >= first.age_seconds + 0.2, "it is no younger for being said again"
    await reports("edge-1")
    assert await given_back() == []
