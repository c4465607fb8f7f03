"""The inference pool against HTTP servers that answer well, badly, late and not at all."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from builders import patience
from foreshore_agent.engine import effects, events
from foreshore_agent.inference import pool, port
from foreshore_api.wire import assignment, serving

POLICY = ("hq", "ventilate")
OUTPUTS = (serving.DeclaredTensor(name="probabilities", data_type="FP32", shape=(-1, 2)),)
VERSION, DIGEST = "occupancy-v1", "sha256:" + "ab" * 32
GOOD = {
    "model_name": "occupancy",
    "model_version": VERSION,
    "parameters": {"digest": DIGEST},
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [0.2, 0.8]}],
}
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Server:
    """A replica on a Unix socket whose behaviour a test sets."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix:{path}"
        self.path = path
        self.calls = 0
        self.delay = 0.0
        self.is_ready_at_once = False
        self.answer: Callable[[], web.Response] = good
        self.runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/v2/models/occupancy/infer", self._infer)
        application.router.add_get("/v2/models/occupancy/ready", self._ready)
        self.runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.UnixSite(self.runner, str(self.path)).start()

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None
        self.path.unlink(missing_ok=True)

    async def _infer(self, request: web.Request) -> web.Response:
        self.calls += 1
        await request.read()
        await asyncio.sleep(self.delay)
        return self.answer()

    async def _ready(self, _: web.Request) -> web.Response:
        await asyncio.sleep(0.0 if self.is_ready_at_once else self.delay)
        return self.answer()


def good() -> web.Response:
    headers = {"server-timing": "queue;dur=0.01, infer;dur=0.01"}
    return web.json_response(GOOD, headers=headers)


def answering(version: str = VERSION, digest: str | None = DIGEST) -> Callable[[], web.Response]:
    said = GOOD | {"model_version": version, "parameters": digest and {"digest": digest}}
    return lambda: web.json_response(said)


def policy(
    *servers: Server,
    devices: tuple[str, ...] = ("room-301",),
    named: bool = True,
    generation: int = 1,
) -> assignment.AssignedPolicy:
    endpoints = tuple(
        assignment.Endpoint(
            slot=f"a{i}",
            role=assignment.Role.ACTIVE,
            node=f"edge-{i}",
            url=server.url,
            policy_generation=generation,
            version=VERSION if named else "",
            digest=DIGEST if named else "",
        )
        for i, server in enumerate(servers)
    )
    model = SimpleNamespace(
        name="occupancy",
        version=VERSION,
        model=SimpleNamespace(outputs=OUTPUTS),
        artefact=SimpleNamespace(digest=DIGEST),
    )
    found = SimpleNamespace(
        namespace="hq", name="ventilate", endpoints=endpoints, model=model, devices=devices
    )
    return cast("assignment.AssignedPolicy", found)


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    found = (Server(tmp_path / "0.sock"), Server(tmp_path / "1.sock"))
    for server in found:
        await server.start()
    yield found
    for server in found:
        await server.stop()


@pytest.fixture
async def asked() -> AsyncIterator[pool.Pool]:
    found = pool.Pool()
    yield found
    found.close()


async def infer(
    asked: pool.Pool, seconds: float = patience.SECONDS, device: str = "room-301"
) -> port.ModelAnswer | port.Unanswered:
    result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    key = events.Key(POLICY[0], device)
    question = effects.Infer("d", events.Key(*POLICY), key, "occupancy", DIGEST, (), seconds)
    asked.ask(question, result.set_result)
    return cast(
        "port.ModelAnswer | port.Unanswered", await asyncio.wait_for(result, patience.SECONDS)
    )


def results(result: port.ModelAnswer | port.Unanswered) -> list[tuple[str, str, str | None]]:
    return [(one.node, one.result, one.reason) for one in result.attempts]


async def test_the_first_replica_answers_and_its_time_is_split(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    result = await infer(asked)
    assert isinstance(result, port.ModelAnswer)
    assert result.outputs == {"probabilities": (0.2, 0.8)}
    assert result.node == "edge-0"
    assert result.inference == 0.00002
    assert 0 < result.network < 0.4
    assert servers[1].calls == 0


async def test_a_dead_replica_costs_no_decision_and_is_not_asked_first_again(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    await servers[0].stop()
    result = await infer(asked)
    assert results(result) == [("edge-0", "Failed", "Unreachable"), ("edge-1", "Answered", None)]
    assert results(await infer(asked)) == [("edge-1", "Answered", None)]


async def test_a_replica_that_dies_with_a_call_under_way_is_replaced_at_once(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    await infer(asked)

    def die() -> web.Response:
        raise asyncio.CancelledError  # aiohttp drops the connection without an answer

    servers[0].answer = die
    result = await infer(asked)
    assert results(result)[0][:2] == ("edge-0", "Failed")
    assert isinstance(result, port.ModelAnswer)


async def test_a_hanging_replica_is_overtaken_after_its_share(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    servers[0].delay = 5.0
    began = time.monotonic()
    result = await infer(asked, seconds=2.0)
    assert isinstance(result, port.ModelAnswer)
    assert results(result) == [("edge-0", "Late", "Overtaken"), ("edge-1", "Answered", None)]
    assert time.monotonic() - began > 0.95


async def test_a_model_slower_than_its_share_still_decides(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    servers[0].delay = servers[1].delay = 1.0
    result = await infer(asked, seconds=1.8)
    assert isinstance(result, port.ModelAnswer)
    assert result.node == "edge-0"


async def test_when_all_are_late_the_deadline_holds(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    servers[0].delay = servers[1].delay = 100.0
    result = await infer(asked, seconds=0.2)
    assert isinstance(result, port.Unanswered)
    assert result.is_late


async def test_without_an_endpoint_there_is_no_answer(asked: pool.Pool) -> None:
    result = await infer(asked)
    assert result == port.Unanswered("NoEndpoint", (), is_late=False)


async def test_resting_replicas_are_asked_when_no_other_is_left(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(servers[0])])
    await servers[0].stop()
    await infer(asked)
    await servers[0].start()
    assert isinstance(await infer(asked), port.ModelAnswer)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(lambda: web.Response(status=503), "Status503", id="not ready"),
        pytest.param(
            lambda: web.json_response({"error": "NonFiniteOutput: x"}, status=500),
            "NonFiniteOutput",
            id="a reason of the server's own",
        ),
        pytest.param(lambda: web.Response(body=b"hello"), "MalformedAnswer", id="no JSON"),
        pytest.param(
            lambda: web.Response(body=json.dumps(GOOD).replace("0.2", "NaN").encode()),
            "NotFinite",
            id="NaN",
        ),
        pytest.param(
            lambda: web.Response(body=b" " * (2 << 20)), "MalformedAnswer", id="oversized"
        ),
    ],
)
async def test_a_wrong_answer_is_no_answer_and_the_next_replica_decides(
    servers: tuple[Server, Server],
    asked: pool.Pool,
    answer: Callable[[], web.Response],
    reason: str,
) -> None:
    asked.assign([policy(*servers)])
    servers[0].answer = answer
    result = await infer(asked)
    assert isinstance(result, port.ModelAnswer)
    assert results(result)[0] == ("edge-0", "Failed", reason)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(answering(version="occupancy-v2"), id="another version"),
        pytest.param(answering(digest="sha256:" + "cd" * 32), id="other bytes"),
        pytest.param(answering(digest=None), id="it does not say which bytes"),
    ],
)
async def test_another_version_than_the_one_in_force_is_not_used_and_not_blamed(
    servers: tuple[Server, Server], asked: pool.Pool, other: Callable[[], web.Response]
) -> None:
    asked.assign([policy(*servers)])
    servers[0].answer = other
    result = await infer(asked)
    assert isinstance(result, port.ModelAnswer)
    assert results(result) == [
        ("edge-0", "Unused", "OtherVersion"),
        ("edge-1", "Answered", None),
    ]
    assert (result.model.version, result.model.digest) == (VERSION, DIGEST)
    assert result.attempts[0].answered is not None
    first, _ = asked.reports()
    assert (first.good, first.late, first.failed, first.unused) == (0, 0, 0, 1)
    assert first.bad_for_seconds is None
    assert results(await infer(asked)) == [("edge-1", "Answered", None)]


async def test_when_every_replica_is_of_another_version_there_is_no_answer(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    servers[0].answer = servers[1].answer = answering(version="occupancy-v2")
    result = await infer(asked)
    assert isinstance(result, port.Unanswered)
    assert (result.reason, result.is_late) == ("OtherVersion", False)
    assert [one.answered and one.answered.version for one in result.attempts] == [
        "occupancy-v2",
        "occupancy-v2",
    ]


async def test_a_replica_that_comes_to_serve_what_is_in_force_is_asked_first_again(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    servers[0].answer = answering(version="occupancy-v2")
    await infer(asked)
    watch = asyncio.create_task(asked.watch())
    await asyncio.sleep(0.6)
    assert asked.reports()[0].reason == "OtherVersion", "tried again, and still another"
    servers[0].answer = good
    async with asyncio.timeout(patience.SECONDS):
        while asked.reports()[0].reason is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    watch.cancel()
    assert results(await infer(asked)) == [("edge-0", "Answered", None)]


async def test_where_nobody_named_the_version_a_silent_server_is_used_and_another_is_not(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers, named=False)])
    servers[0].answer = answering(version="occupancy-v2")
    servers[1].answer = answering(digest=None)
    result = await infer(asked)
    assert isinstance(result, port.ModelAnswer)
    assert results(result)[0] == ("edge-0", "Unused", "OtherVersion")
    assert result.model.digest == ""


async def test_a_wrong_request_blames_nobody_and_is_asked_once(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    servers[0].answer = lambda: web.json_response({"error": "WrongShape: x"}, status=400)
    result = await infer(asked)
    assert isinstance(result, port.Unanswered)
    assert result.reason == "WrongShape"
    assert servers[1].calls == 0
    servers[0].answer = good
    assert results(await infer(asked)) == [("edge-0", "Answered", None)]


async def test_a_connection_that_died_while_idle_costs_nothing(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(servers[0])])
    await infer(asked)
    await servers[0].stop()
    await servers[0].start()
    assert results(await infer(asked)) == [("edge-0", "Answered", None)]


async def test_a_rested_replica_comes_back_by_itself(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    await servers[0].stop()
    await infer(asked)
    (first, _) = asked.reports()
    assert first.bad_for_seconds is not None
    assert first.reason == "Unreachable"
    await servers[0].start()
    watch = asyncio.create_task(asked.watch())
    async with asyncio.timeout(patience.SECONDS):
        while asked.reports()[0].bad_for_seconds is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    watch.cancel()
    assert (await infer(asked)).attempts[0].node == "edge-0"


async def test_a_standby_that_nobody_asks_is_known_to_be_gone(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    await servers[1].stop()
    watch = asyncio.create_task(asked.watch())
    async with asyncio.timeout(patience.SECONDS):
        while asked.reports()[1].bad_for_seconds is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    watch.cancel()
    first, second = asked.reports()
    assert first.bad_for_seconds is None
    assert second.bad_for_seconds is not None
    assert second.failed == 0, "a background try is no call"


async def test_an_assignment_that_keeps_a_replica_keeps_its_evidence(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    await infer(asked)
    asked.assign([policy(servers[0], generation=2)])
    (report,) = asked.reports()
    assert report.good == 1
    asked.assign([])
    assert asked.reports() == ()


async def test_a_device_of_an_older_version_asks_that_versions_replicas(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    newest, older = servers
    asked.assign([policy(newest), policy(older, devices=("room-302",))])
    for device, node in (("room-301", "edge-0"), ("room-302", "edge-0")):
        assert results(await infer(asked, device=device))[0][0] == node
    assert (newest.calls, older.calls) == (1, 1)
    said = await infer(asked, device="room-9")
    assert isinstance(said, port.Unanswered)
    assert said.reason == "NoEndpoint"
    assert (newest.calls, older.calls) == (1, 1)


async def test_a_replica_that_is_overtaken_again_and_again_is_reported_late_throughout(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    """Alone it answers before the timeout, so that each try in the background wiped its record."""
    asked.assign([policy(*servers)])
    servers[0].delay = 0.7
    watch = asyncio.create_task(asked.watch())
    ages = []
    for _ in range(12):
        assert isinstance(await infer(asked, seconds=1.0), port.ModelAnswer)
        await asyncio.sleep(0.1)
        ages.append(asked.reports()[0].bad_for_seconds)
    assert None not in ages
    assert (ages[-1] or 0.0) > 1.0
    assert asked.reports()[0].late >= 2
    assert asked.reports()[1].bad_for_seconds is None
    servers[0].delay = 0.0
    async with asyncio.timeout(patience.SECONDS):
        while asked.reports()[0].bad_for_seconds is not None:
            await infer(asked, seconds=1.0)
            await asyncio.sleep(0.05)
    watch.cancel()


async def test_a_ready_probe_is_no_answer_to_what_callers_waited_for(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    """The model is slow, not the link: that it is ready says nothing about that."""
    asked.assign([policy(*servers)])
    servers[0].delay, servers[0].is_ready_at_once = 0.7, True
    await infer(asked, seconds=1.0)
    watch = asyncio.create_task(asked.watch())
    await asyncio.sleep(3.0)  # it is tried, then idle for longer than standbys are left alone
    watch.cancel()
    assert (asked.reports()[0].bad_for_seconds or 0.0) > 2.5


async def test_the_one_that_was_asked_last_is_not_late_when_the_first_answers(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    servers[0].delay = servers[1].delay = 1.0
    await infer(asked, seconds=1.8)
    first, second = asked.reports()
    assert (first.good, first.late) == (1, 0)
    assert (second.good, second.late, second.bad_for_seconds) == (0, 0, None)


def computed_by(provider: str) -> Callable[[], web.Response]:
    said = GOOD | {"parameters": {"digest": DIGEST, "provider": provider}}
    return lambda: web.json_response(said)


async def test_an_answer_and_the_report_name_what_computed_it(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    servers[0].answer = computed_by("CUDA")
    result = await infer(asked)
    assert isinstance(result, port.ModelAnswer)
    assert result.provider == "CUDA"
    assert [line.provider for line in asked.reports()] == ["CUDA", None]
    servers[0].answer = computed_by("CPU")
    await infer(asked)
    assert asked.reports()[0].provider == "CPU", "a device that is gone is not remembered"


async def test_a_standby_says_what_would_compute_before_it_is_needed(
    servers: tuple[Server, Server], asked: pool.Pool
) -> None:
    asked.assign([policy(*servers)])
    ready = {"name": "occupancy", "ready": True, "parameters": {"provider": "OpenVINO"}}
    servers[1].answer = lambda: web.json_response(ready)
    watch = asyncio.create_task(asked.watch())
    async with asyncio.timeout(patience.SECONDS):
        while asked.reports()[1].provider is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    watch.cancel()
    assert asked.reports()[1].provider == "OpenVINO"
