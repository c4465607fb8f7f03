"""A model in the agent's own process: trial, room, quarantine, and what takes its place."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from builders import fake_hub, hosting, onnx_models, room, room_device
from builders.living import living, until
from foreshore_agent import journal, settings
from foreshore_agent.hosting import children, hosts, marks, residents
from foreshore_api import meta, v1alpha1
from foreshore_api.v1alpha1 import Isolation
from foreshore_api.wire import assignment, record
from foreshore_decision import assignment as compiling
from foreshore_decision import served
from foreshore_serving import models
from harness import mosquitto

KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}
NODE = "edge-1"
BODY = onnx_models.model()
DIGEST = models.digest_of(BODY)
IN_AGENT = assignment.in_agent(DIGEST)


@pytest.fixture
async def device(broker: mosquitto.Broker) -> AsyncIterator[room_device.RoomDevice]:
    async with room_device.RoomDevice().connected(broker.port) as found:
        yield found


def documents(port: int, source: dict[str, Any]) -> list[dict[str, Any]]:
    """A site that allows it, and a version that asks for it."""
    address = {"host": "127.0.0.1", "port": port, "transport": "Plain"}
    occupied = {"name": "any", "effect": "Permit", "expression": "score >= 0.0", "reason": "Any"}
    return [
        room.changed(room.site(), spec__broker=address, spec__isolation="Agent"),
        room.profile(),
        room.device(),
        room.model(),
        room.changed(
            room.version(),
            spec__digest=DIGEST,
            spec__runtime={"isolation": "Agent"},
            spec__source=source,
        ),
        room.changed(room.policy(), spec__rules=[occupied], spec__inference__timeout="5s"),
    ]


@pytest.fixture
def resources(tmp_path: Path, broker: mosquitto.Broker) -> Path:
    home = tmp_path / "resources"
    home.mkdir()
    (home / "occupancy-v1.onnx").write_bytes(BODY)
    for document in documents(broker.port, {"file": {"path": "occupancy-v1.onnx"}}):
        path = home / f"{document['kind']}-{document['metadata']['name']}.json"
        path.write_text(json.dumps(document))
    return home


def of_folder(resources: Path, state: Path, **changed: Any) -> settings.AgentSettings:
    source = settings.FolderSettings(resources, None, None)
    return settings.AgentSettings(NODE, state, source, port=None, **changed)


async def decided(state: Path) -> list[record.Decision]:
    book = await journal.Journal.open(state)
    shipped = await book.newest(100_000)
    await book.close()
    events = [record.Event.decode(line.body) for line in shipped]
    return [event.data for event in events if isinstance(event.data, record.Decision)]


async def durable_marks(state: Path) -> Mapping[str, bytes]:
    book = await journal.Journal.open(state)
    try:
        return await book.values(marks.PREFIX)
    finally:
        await book.close()


async def test_it_answers_without_a_child_and_again_without_its_source(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    async with living(of_folder(resources, state)) as found:
        assert found.missing() == ()
        await device.measure_until(commands=2)
        assert hosting.servers_of(os.getpid()) == []
    (resources / "occupancy-v1.onnx").unlink()
    async with living(of_folder(resources, state)):
        await device.measure_until(commands=len(device.commands) + 2)
    assert not any((await durable_marks(state)).values()), "an agent that is stopped ends well"
    decisions = await decided(state)
    assert {decision.model.digest for decision in decisions if decision.model} == {DIGEST}
    answered = [attempt for one in decisions if one.inference for attempt in one.inference.attempts]
    assert {(attempt.node, attempt.result) for attempt in answered} == {(NODE, "Answered")}


async def test_without_room_a_child_answers_and_it_is_said_with_its_remedy(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    async with living(of_folder(resources, tmp_path / "state", model_memory_mib=4)) as found:
        await device.measure_until(commands=2)
        (problem,) = found.problems()
        assert (problem.kind, problem.namespace, problem.name) == (
            "ModelVersion",
            "hq",
            "occupancy-v1",
        )
        assert problem.reason == "NoModelMemory"
        assert "and 4 of 4 MiB are left; a larger --model-memory" in problem.message
        assert len(hosting.servers_of(os.getpid())) == 1
    assert not list((tmp_path / "state" / "models").glob("*.onnx")), "bytes without use are kept"


# Real processes


async def start(resources: Path, state: Path, log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as written:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "foreshore_agent.main", "run", "--port", "0"),
            *("--state", str(state), "--resources", str(resources), "--node", NODE),
            stderr=written,
        )


@pytest.mark.timeout(200)
async def test_a_model_that_ends_the_agent_twice_in_one_boot_is_quarantined(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    state, log = tmp_path / "state", tmp_path / "log"
    for _ in range(marks.MAXIMUM_UNCLEAN):
        process = await start(resources, state, log)
        await device.measure_until(commands=len(device.commands) + 1)
        assert hosting.servers_of(process.pid) == []
        os.kill(process.pid, signal.SIGSEGV)
        await process.wait()
    crashed = "Fatal Python error: Segmentation fault"
    assert log.read_text().count(crashed) == marks.MAXIMUM_UNCLEAN, "its end is in its log"
    process = await start(resources, state, log)
    await device.measure_until(commands=len(device.commands) + 2)
    assert len(await asyncio.to_thread(hosting.servers_of, process.pid)) == 1, "a child answers"
    why = "occupancy-v1 does not run in the agent's process: the agent ended uncleanly 2 times"
    await until(lambda: why in log.read_text())
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0


# The hosts by themselves


def wanted(body: bytes = BODY, **changed: Any) -> hosts.WantedModel:
    return hosts.WantedModel(onnx_models.config(body).model_copy(update=changed), Isolation.AGENT)


def served_by(model: hosts.WantedModel) -> served.Served:
    return served.Served(model.config.name, model.config.version, model.config.digest)


Hosting = tuple[residents.Residents, hosts.Hosts]
Host = Callable[..., Awaitable[Hosting]]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    folder = tmp_path / "artefacts"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(BODY)
    async with asyncio.TaskGroup() as tasks:
        made: list[hosts.Hosts] = []

        async def begin(*bodies: bytes, is_confined: bool = False, **changed: Any) -> Hosting:
            for number, body in enumerate(bodies):
                (folder / f"{number}.onnx").write_bytes(body)
            here = hosting.residents_at(tmp_path / "state", models=folder, **changed)
            own = hosting.hosts_at(
                tmp_path / "state", tasks, here=here, models=folder, is_confined=is_confined
            )
            made.append(own)
            return here, made[-1]

        yield begin
        for one in made:
            one.stop()


async def test_the_next_version_is_loaded_before_the_one_before_goes(host: Host) -> None:
    here, all_of_them = await host(other := onnx_models.model(weights=[_weights()]))
    before, after = wanted(), wanted(other, version="occupancy-v2")
    all_of_them.start([before])
    await all_of_them.settle([before], 20)
    all_of_them.start([before, after])
    await all_of_them.settle([after], 20)
    assert here.runner(served_by(before)) is not None
    assert here.runner(served_by(after)) is not None
    all_of_them.keep_only([after])
    await until(lambda: here.runner(served_by(before)) is None)
    assert here.runner(served_by(after)) is not None


def _weights() -> Any:
    return helper.make_tensor("weights", TensorProto.FLOAT, [3, 2], [0.3, -0.1, 0.2, 0.2, 0.1, 0.3])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(onnx_models.runtime_operator(), "UnknownDomain", id="a vendor's operator"),
        pytest.param(b"no model", "NotONNX", id="no model"),
    ],
)
async def test_what_a_server_refuses_is_refused_here_for_the_same_reason(
    host: Host, body: bytes, reason: str
) -> None:
    _, all_of_them = await host(body)
    model = wanted(body)
    host_of_it = all_of_them.start([model])[model]
    await all_of_them.settle([model], 20)
    assert host_of_it.phase is children.ChildPhase.REFUSED
    assert host_of_it.trouble is not None
    assert host_of_it.trouble.reason == reason


async def test_where_others_answer_no_child_takes_its_place_until_they_are_gone(
    host: Host,
) -> None:
    _, all_of_them = await host(room_mib=1)
    model = wanted()
    host_of_it = all_of_them.start([model], accompanied=[model])[model]
    await all_of_them.settle([model], 20)
    assert host_of_it.obstacle is not None
    assert not host_of_it.has_served
    all_of_them.start([model])
    await until(lambda: host_of_it.has_served)
    assert host_of_it.url.startswith("unix:")


@pytest.mark.parametrize("room_mib", [0, 1])
async def test_what_has_no_room_in_a_container_gets_no_child_in_it_either(
    host: Host, room_mib: int
) -> None:
    _, all_of_them = await host(room_mib=room_mib, is_confined=True)
    model = wanted()
    host_of_it = all_of_them.start([model])[model]
    await all_of_them.settle([model], 20)
    await asyncio.sleep(0.1)
    assert host_of_it.obstacle is not None
    assert host_of_it.obstacle.reason == "NoModelMemory"
    assert hosting.servers_of(os.getpid()) == []


async def test_a_model_that_has_no_room_is_here_once_another_gave_its_back(host: Host) -> None:
    other = onnx_models.model(weights=[_weights()])
    here, all_of_them = await host(other, room_mib=60)
    first, second = wanted(), wanted(other, version="occupancy-v2")
    all_of_them.start([first])
    await all_of_them.settle([first], 20)
    here._room._taken["others"] = here._room.left_bytes
    waiting = all_of_them.start([first, second])[second]
    await until(lambda: waiting.has_served)
    assert waiting.obstacle is not None
    del here._room._taken["others"]
    all_of_them.keep_only([second])
    await until(lambda: here.runner(served_by(second)) is not None)
    assert waiting.url == assignment.in_agent(models.digest_of(other))
    assert waiting.obstacle is None


async def test_bytes_that_changed_on_the_disk_are_had_anew(host: Host, tmp_path: Path) -> None:
    here, all_of_them = await host()
    model = wanted()
    all_of_them.start([model])
    await all_of_them.settle([model], 20)
    all_of_them.stop()
    await until(lambda: here.runner(served_by(model)) is None)
    (kept,) = (tmp_path / "state" / "models").glob("*.onnx")
    kept.write_bytes(BODY + b"!")
    here, all_of_them = await host()
    all_of_them.start([model])
    await all_of_them.settle([model], 20)
    assert here.runner(served_by(model)) is not None
    assert kept.read_bytes() == BODY


async def test_evidence_of_another_runtime_is_no_reason_to_refuse_a_model(
    host: Host, tmp_path: Path
) -> None:
    here, all_of_them = await host()
    model = wanted()
    all_of_them.start([model])
    await all_of_them.settle([model], 20)
    all_of_them.stop()
    await until(lambda: here.runner(served_by(model)) is None)
    (shown,) = (tmp_path / "state" / "models").glob("*.json")
    before = json.loads(shown.read_bytes())
    shown.write_text(json.dumps({**before, "runtime": "onnxruntime 0.1"}))
    here, all_of_them = await host()
    all_of_them.start([model])
    await all_of_them.settle([model], 20)
    assert here.runner(served_by(model)) is not None
    assert json.loads(shown.read_bytes())["runtime"] == before["runtime"]


# With a hub


@pytest.fixture
async def hub(broker: mosquitto.Broker, tmp_path: Path) -> AsyncIterator[fake_hub.FakeHub]:
    source = {"https": {"url": "https://nowhere.invalid/m.onnx"}}
    every: list[meta.Resource] = [
        KINDS[one["kind"]].read(one) for one in documents(broker.port, source)
    ]
    given = compiling.LocalStatuses(grants={("hq", "room-301"): (NODE, 1000)})
    made = compiling.compile(compiling.Resources.of(every), NODE, site="hq", given=given)
    found = fake_hub.FakeHub(NODE)
    found.assignment = made.assignment.model_copy(update={"lineage": "store", "generation": 1})
    await found.start()
    yield found
    await found.stop()


async def test_an_agent_of_a_cluster_answers_itself_with_bytes_it_has_kept(
    hub: fake_hub.FakeHub, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    state, token = tmp_path / "state", tmp_path / "token"
    token.write_text("token")
    assert hub.assignment is not None
    assert [endpoint.url for endpoint in hub.assignment.policies[0].endpoints] == [IN_AGENT]
    (state / "models").mkdir(parents=True)
    kept = f"{DIGEST.removeprefix('sha256:')}.onnx"  # the source is out of reach
    (state / "models" / kept).write_bytes(BODY)
    source = settings.HubSettings(f"http://127.0.0.1:{hub.port}", token, None)
    configured = settings.AgentSettings(NODE, state, source, port=None)
    async with living(configured):
        await device.measure_until(commands=2)
        await until(lambda: bool(hub.reports and hub.reports[-1].endpoints))
    (endpoint,) = hub.reports[-1].endpoints
    assert (endpoint.url, endpoint.slot, endpoint.node) == (IN_AGENT, "r0", NODE)
    assert hub.reports[-1].problems == ()
    await hub.stop()
    async with living(configured):  # with what is durable alone
        await device.measure_until(commands=len(device.commands) + 1)
