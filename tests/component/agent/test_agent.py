"""A whole agent on a real broker: folder mode with real serving, and a hub that comes and goes."""

import asyncio
import contextlib
import dataclasses
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from builders import fake_hub, onnx_models, patience, room, room_device, serving_process
from builders.living import living, until
from foreshore_agent import clocks, health, journal, meters, settings
from foreshore_agent.devices.mqtt import broker as brokers
from foreshore_agent.engine import events as engine_events
from foreshore_agent.engine import step
from foreshore_agent.folder import folder
from foreshore_agent.journal import reader
from foreshore_agent.runtime import agent
from foreshore_agent.site import exchange
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment, record
from foreshore_decision import assignment as compiling
from foreshore_serving import models
from harness import mosquitto

pytestmark = pytest.mark.usefixtures("short_waits")

KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}
NODE = "edge-1"
EPOCH = 1000


def site(port: int) -> dict[str, Any]:
    broker = {"host": "127.0.0.1", "port": port, "transport": "Plain"}
    return room.changed(room.site(), spec__broker=broker)


def rules_only(**changed: Any) -> dict[str, Any]:
    """The policy without a model: whoever breathes is there."""
    rule = {"name": "stale", "effect": "Permit", "expression": "co2 > 800.0", "reason": "StaleAir"}
    return room.changed(
        room.policy(), spec__modelRef=None, spec__inference=None, spec__rules=[rule], **changed
    )


def assigned(port: int, *documents: dict[str, Any], generation: int = 1) -> assignment.Assignment:
    every = (site(port), room.profile(), room.device(), *(documents or (rules_only(),)))
    found: list[meta.Resource] = [KINDS[one["kind"]].read(one) for one in every]
    given = compiling.LocalStatuses(grants={("hq", "room-301"): (NODE, EPOCH)})
    made = compiling.compile(compiling.Resources.of(found), NODE, site="hq", given=given)
    return made.assignment.model_copy(update={"lineage": "store", "generation": generation})


@pytest.fixture
async def device(broker: mosquitto.Broker) -> AsyncIterator[room_device.RoomDevice]:
    async with room_device.RoomDevice().connected(broker.port) as found:
        yield found


@pytest.fixture
async def hub(broker: mosquitto.Broker) -> AsyncIterator[fake_hub.FakeHub]:
    found = fake_hub.FakeHub(NODE)
    found.assignment = assigned(broker.port)
    await found.start()
    yield found
    await found.stop()


def of_hub(hub: fake_hub.FakeHub, state: Path) -> settings.AgentSettings:
    token = state.parent / "token"
    token.write_text("token")
    source = settings.HubSettings(f"http://127.0.0.1:{hub.port}", token, None)
    return settings.AgentSettings(NODE, state, source, port=None)


async def events(state: Path) -> list[record.Event]:
    book = await journal.Journal.open(state)
    shipped = await book.newest(100_000)
    await book.close()
    return [record.Event.decode(one.body) for one in shipped]


def decisions(found: list[record.Event]) -> list[record.Decision]:
    return [one.data for one in found if isinstance(one.data, record.Decision)]


def outcomes(found: list[record.Event]) -> list[record.Outcome]:
    return [one.data.outcome for one in found if isinstance(one.data, record.DecisionOutcome)]


# Folder mode


@pytest.fixture
def resources(tmp_path: Path, broker: mosquitto.Broker) -> Path:
    home = tmp_path / "resources"
    home.mkdir()
    body = onnx_models.model()
    (home / "occupancy-v1.onnx").write_bytes(body)
    version = room.changed(room.version(), spec__digest=models.digest_of(body))
    occupied = {"name": "any", "effect": "Permit", "expression": "score >= 0.0", "reason": "Any"}
    documents = [
        *(site(broker.port), room.profile(), room.device(), room.model(), version),
        room.changed(room.policy(), spec__rules=[occupied], spec__inference__timeout="5s"),
    ]
    for document in documents:
        path = home / f"{document['kind']}-{document['metadata']['name']}.json"
        path.write_text(json.dumps(document))
    return home


def of_folder(resources: Path, state: Path, port: int | None = None) -> settings.AgentSettings:
    return settings.AgentSettings(
        NODE, state, settings.FolderSettings(resources, None, None), port=port
    )


async def test_a_sample_becomes_a_recorded_command_that_the_device_confirms(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    async with living(of_folder(resources, state)) as found:
        await device.measure_until(commands=3)
        assert found.meters.decisions["Commanded"] >= 3
    said = device.commands[-1]
    assert said.holder == NODE
    assert said.input == {"value": 600.0}
    recorded = await events(state)
    commanded = [one for one in decisions(recorded) if one.command is not None]
    assert {one.command.command_id for one in commanded if one.command} >= {
        one.command_id for one in device.commands
    }
    assert commanded[-1].model is not None
    assert commanded[-1].inference is not None
    assert record.Outcome.ACKNOWLEDGED in outcomes(recorded)
    assert device.refused == []


async def test_metrics_and_readiness_are_served(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path, unused_tcp_port: int
) -> None:
    def get(path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{unused_tcp_port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()

    async with living(of_folder(resources, tmp_path / "state", unused_tcp_port)):
        await device.measure_until(commands=1)
        status, body = await asyncio.to_thread(get, "/metrics")
        assert status == 200
        assert 'foreshore_decisions_total{policy="hq/ventilate-when-occupied"' in body
        assert 'foreshore_decision_stage_seconds_bucket{class="",le="+Inf",' in body
        assert "foreshore_broker_connected 1.0" in body
        assert "foreshore_broker_denied 0.0" in body
        assert "foreshore_devices_held 1.0" in body
        assert "foreshore_journal_dropped_total 0.0" in body
        assert 'foreshore_telemetry_messages_total{result="Accepted"}' in body
        assert (await asyncio.to_thread(get, "/readyz"))[0] == 200
        assert (await asyncio.to_thread(get, "/echo"))[0] == 204


async def test_a_journal_that_was_cut_is_said_by_an_agent_that_works_and_is_ready(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path, unused_tcp_port: int
) -> None:
    state, url = tmp_path / "state", f"http://127.0.0.1:{unused_tcp_port}/readyz"
    async with living(of_folder(resources, state, unused_tcp_port)):
        await device.measure_until(commands=1)
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        (state / name).unlink(missing_ok=True)

    def ready() -> tuple[int, str]:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()

    async with living(of_folder(resources, state, unused_tcp_port)):
        await device.measure_until(commands=len(device.commands) + 1)
        status, text = await asyncio.to_thread(ready)
    assert (status, text.partition("\n")[0]) == (200, "ok")
    assert "the journal is broken at record 1 (Truncated): foreshore-agent verify" in text


async def test_an_edited_policy_takes_effect_without_a_restart(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    policy = resources / "DecisionPolicy-ventilate-when-occupied.json"
    async with living(of_folder(resources, tmp_path / "state")):
        await device.measure_until(commands=1)
        edited = json.loads(policy.read_text())
        edited["spec"]["action"]["input"] = [{"name": "value", "expression": "444.0"}]
        policy.write_text(json.dumps(edited))
        async with asyncio.timeout(patience.SECONDS):
            while device.airflow != 444.0:
                device.measure()
                await asyncio.sleep(0.1)


async def test_a_policy_that_does_not_compile_stays_as_it_was_also_over_a_restart(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    policy, state = resources / "DecisionPolicy-ventilate-when-occupied.json", tmp_path / "state"
    async with living(of_folder(resources, state)):
        await device.measure_until(commands=1)
        edited = json.loads(policy.read_text())
        edited["spec"]["action"]["input"] = [{"name": "value", "expression": "nonsense >"}]
        policy.write_text(json.dumps(edited))
        await asyncio.sleep(2 * folder.LOOK_SECONDS)
        await device.measure_until(commands=len(device.commands) + 1)
    async with living(of_folder(resources, state)):
        await device.measure_until(commands=len(device.commands) + 2)
    assert device.airflow == 600.0


async def test_each_start_commands_under_a_higher_number(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    for count in (1, 2):
        async with living(of_folder(resources, tmp_path / "state")):
            await device.measure_until(commands=len(device.commands) + count)
    assert device.commands[-1].epoch > device.commands[0].epoch
    assert device.refused == []


async def test_two_agents_in_one_state_directory_are_refused(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    told = of_folder(resources, tmp_path / "state")
    async with living(told):
        second = agent.Agent(told, clocks.SystemClock())
        with pytest.raises(journal.JournalInUse):
            await second.run(asyncio.Event())


# With a hub


async def test_records_arrive_exactly_once_and_in_a_chain(
    hub: fake_hub.FakeHub, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    async with living(of_hub(hub, tmp_path / "state")):
        await device.measure_until(commands=5)
        await until(lambda: bool(hub.stored))
        (name,) = hub.stored
        await until(lambda: hub.committed(name) == max(hub.stored[name]))
    check_chain(hub)
    assert device.commands[0].epoch == EPOCH


def check_chain(hub: fake_hub.FakeHub) -> None:
    """Every number once, each link the hash of the one before and the very bytes."""
    for stored in hub.stored.values():
        assert sorted(stored) == list(range(1, len(stored) + 1))
        for number in range(2, len(stored) + 1):
            assert stored[number].previous == stored[number - 1].hash
        for one in stored.values():
            assert one.hash == journal.link(one.previous, one.body.encode())


async def test_without_the_hub_decisions_go_on_and_every_record_arrives_afterwards(
    hub: fake_hub.FakeHub, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    async with living(of_hub(hub, tmp_path / "state")) as found:
        await device.measure_until(commands=2)
        await hub.stop()
        await device.measure_until(commands=12)
        await hub.start()
        await until(lambda: bool(hub.stored))
        (name,) = hub.stored
        commanded = found.meters.decisions["Commanded"]
        await until(lambda: len(commands_stored(hub, name)) >= commanded)
    check_chain(hub)


def commands_stored(hub: fake_hub.FakeHub, name: str) -> set[str]:
    found = [record.Event.decode(one.body) for one in hub.stored[name].values()]
    return {one.decision_id for one in decisions(found) if one.command is not None}


async def test_an_agent_starts_from_what_is_durable_when_the_hub_is_gone(
    hub: fake_hub.FakeHub, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    told = of_hub(hub, tmp_path / "state")
    async with living(told):
        await device.measure_until(commands=1)
    await hub.stop()
    async with living(told):
        await device.measure_until(commands=3)
    assert device.refused == []


async def test_a_hub_that_says_superseded_silences_the_holder_at_once(
    hub: fake_hub.FakeHub, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    async with living(of_hub(hub, tmp_path / "state")):
        await device.measure_until(commands=1)
        hub.standing = hub.standing.SUPERSEDED
        asked = len(hub.renewals)
        await until(lambda: len(hub.renewals) > asked)
        await asyncio.sleep(0.5)
        before = len(device.commands)
        for _ in range(10):
            device.measure()
            await asyncio.sleep(0.05)
        assert len(device.commands) == before


async def test_an_older_generation_is_refused(
    hub: fake_hub.FakeHub, broker: mosquitto.Broker, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    def wants(value: str, generation: int) -> assignment.Assignment:
        action = [{"name": "value", "expression": value}]
        policy = rules_only(spec__action__input=action)
        return assigned(broker.port, policy, generation=generation)

    hub.assignment = wants("300.0", 5)
    async with living(of_hub(hub, tmp_path / "state")) as found:
        await device.measure_until(commands=1)
        hub.assignment = wants("500.0", 4)
        await asyncio.sleep(1.0)
        await device.measure_until(commands=len(device.commands) + 2)
        assert device.airflow == 300.0
        hub.assignment = wants("400.0", 6)
        async with asyncio.timeout(patience.SECONDS):
            while device.airflow != 400.0:
                device.measure()
                await asyncio.sleep(0.1)
        assert found.missing() == ()


async def test_a_broker_that_restarts_is_found_again(
    hub: fake_hub.FakeHub, broker: mosquitto.Broker, tmp_path: Path
) -> None:
    async with living(of_hub(hub, tmp_path / "state")) as found:
        async with room_device.RoomDevice().connected(broker.port) as device:
            await device.measure_until(commands=1)
        await asyncio.to_thread(broker.restart)
        await until(lambda: not found.missing())
        async with room_device.RoomDevice().connected(broker.port) as device:
            await device.measure_until(commands=2)


async def test_a_report_says_why_there_is_no_broker(
    hub: fake_hub.FakeHub, broker: mosquitto.Broker, tmp_path: Path
) -> None:
    async with living(of_hub(hub, tmp_path / "state")) as found:
        await asyncio.to_thread(broker.stop)
        await until(lambda: "refused" in str(hub.reports[-1].broker_problem))
        said = hub.reports[-1]
        assert not said.broker_connected
        assert f"{broker.host}:{broker.port}" in str(said.broker_problem)
        assert any("broker is not connected (" in one for one in found.missing())


async def test_a_report_says_what_the_agent_does(
    hub: fake_hub.FakeHub, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    async with living(of_hub(hub, tmp_path / "state")):
        await device.measure_until(commands=3)
        seen = len(hub.reports)
        await until(lambda: len(hub.reports) > seen + 1)
    said = hub.reports[-1]
    assert said.node == NODE
    assert said.broker_connected
    assert said.broker_problem is None
    assert said.assignment is not None
    assert said.assignment.lineage == "store"
    (held,) = said.devices
    assert (held.connected, held.epoch, held.standing) == (True, EPOCH, "Renewed")
    assert {one.stage for one in said.stages} >= {"Decide", "Actuate", "EndToEnd"}
    assert said.decisions["Commanded"] >= 3
    assert said.journal is not None
    assert said.journal.last > 0


async def test_a_report_says_what_the_sites_broker_denies(
    hub: fake_hub.FakeHub, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    """Seen only as a device that is silent, a wrong access list is looked for in the device."""
    async with living(of_hub(hub, tmp_path / "state")) as found:
        await device.measure_until(commands=1)
        assert found.missing() == ()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(brokers.SiteBroker, "denied", ("does not let us listen on x",) * 4)
            patched.setattr(exchange.Exchange, "denied", ("does not let us listen on x",))
            seen = len(hub.reports)
            await until(lambda: len(hub.reports) > seen + 1)
            (why,) = found.missing()
    assert why == "the site's broker does not let us listen on x"
    (problem,) = (one for one in hub.reports[-1].problems if one.kind == "Site")
    assert (problem.namespace, problem.name, problem.reason) == ("hq", "hq", "BrokerRefuses")
    assert problem.message.endswith("; and 2 more")


async def test_malformed_telemetry_changes_nothing(
    hub: fake_hub.FakeHub, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    async with living(of_hub(hub, tmp_path / "state")) as found:
        await device.measure_until(commands=1)
        before = found.meters.decisions.get("Commanded", 0)
        device.measure(co2=float("nan"))
        device.measure(co2="many")
        device.measure(co2=1e9)
        device.measure(co2=1200, padding="x" * 70_000)
        await asyncio.sleep(0.5)
        assert found.meters.decisions.get("Commanded", 0) == before
        await device.measure_until(commands=len(device.commands) + 1)


async def test_a_journal_without_room_stops_commands_says_so_and_recovers(
    hub: fake_hub.FakeHub, broker: mosquitto.Broker, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    hub.assignment = assigned(broker.port, rules_only(spec__record={"keepPerVerdict": 1}))
    small = journal.Quotas(critical=100_000, routine=100_000, ballast=50_000)
    told = dataclasses.replace(of_hub(hub, tmp_path / "state"), quotas=small)
    async with living(told):
        await device.measure_until(commands=1)
        hub.answer = lambda batch: record.BatchAnswer(journal=batch.journal, acknowledged=0)
        async with asyncio.timeout(60):
            while not (hub.reports and hub.reports[-1].capped_by):
                device.measure()
                await asyncio.sleep(0.02)
        assert hub.reports[-1].capped_by == ("RecorderFull",)
        assert hub.reports[-1].journal is not None
        assert hub.reports[-1].journal.full
        await asyncio.sleep(0.5)
        before = len(device.commands)
        for _ in range(20):
            device.measure()
            await asyncio.sleep(0.02)
        assert len(device.commands) == before
        assert hub.reports[-1].decisions.get("Advised", 0) > 0
        hub.answer = None
        await device.measure_until(commands=before + 2)
    check_chain(hub)


async def test_an_agent_of_no_site_is_ready_and_times_its_peers(
    hub: fake_hub.FakeHub, tmp_path: Path, unused_tcp_port: int
) -> None:
    served = health.application(meters.Meters().registry, lambda: ("never ready",))
    peer = health.Port(served, "127.0.0.1", unused_tcp_port)
    await peer.start()
    hub.assignment = assignment.Assignment(
        node=NODE,
        lineage="store",
        generation=1,
        digest="d",
        probes=(
            assignment.ProbeTarget(node="edge-2", url=f"http://127.0.0.1:{unused_tcp_port}"),
            assignment.ProbeTarget(node="gone", url="http://127.0.0.1:9"),
        ),
    )
    async with living(of_hub(hub, tmp_path / "state")) as found:
        assert found.missing() == ()
        await until(lambda: any(one.histogram.count > 1 for one in hub.reports[-1].probes))
    near, gone = hub.reports[-1].probes
    assert near.age_seconds is not None
    assert gone.age_seconds is None
    assert hub.reports[-1].devices == ()
    await peer.close()


async def test_a_durable_assignment_that_makes_the_engine_fail_bricks_no_agent(
    hub: fake_hub.FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    async with living(of_hub(hub, state)) as found:
        assert not found.missing()
    real = step.step

    def failing(before: Any, event: Any, *more: Any) -> Any:
        if isinstance(event, engine_events.Assigned) and event.assignment.generation == 1:
            raise ValueError("a defect that this assignment brings out")
        return real(before, event, *more)

    monkeypatch.setattr(step, "step", failing)
    stop = asyncio.Event()
    again = agent.Agent(of_hub(hub, state), clocks.SystemClock())
    life = asyncio.create_task(again.run(stop))
    seen = len(hub.reports)
    await until(lambda: len(hub.reports) > seen and bool(hub.reports[-1].problems))
    assert {one.reason for one in hub.reports[-1].problems} == {"AssignmentSetAside"}
    await until(lambda: again.missing() == ("no assignment yet",))
    hub.assignment = hub.assignment.model_copy(update={"generation": 2, "digest": "mended"})
    await until(lambda: not again.missing())
    await until(lambda: hub.reports[-1].problems == ())
    stop.set()
    await life


# Which version answers: real servers of two versions, which say the opposite of each other.

OPPOSITE = onnx.helper.make_tensor(
    "weights", onnx.TensorProto.FLOAT, [3, 2], [-0.1, 0.1, -0.2, 0.2, -0.3, 0.3]
)
BODIES = {
    "occupancy-v1": onnx_models.model(),
    "occupancy-v2": onnx_models.model(weights=(OPPOSITE,)),
}
SAYS = {"occupancy-v1": 0.0, "occupancy-v2": 1.0}
"""The score of any measurement of the room, by the version that answered."""
ANY = {"name": "any", "effect": "Permit", "expression": "score >= 0.0", "reason": "Any"}


def version_of(name: str) -> dict[str, Any]:
    source = {"file": {"path": f"{name}.onnx"}}
    digest = models.digest_of(BODIES[name])
    return room.changed(room.version(name=name), spec__digest=digest, spec__source=source)


def asking(name: str, generation: int = 1) -> dict[str, Any]:
    """The policy, with patience: what a busy machine does to a server is not looked at here."""
    policy = room.changed(
        room.policy(),
        spec__rules=[ANY],
        spec__modelRef={"version": name},
        spec__inference__timeout="5s",
    )
    policy["metadata"]["generation"] = generation
    return policy


def versions(found: list[record.Decision]) -> list[str]:
    """Who answered each decision in turn; that its record tells the truth is asserted here."""
    for one in found:
        assert one.model is not None
        assert one.verdict.result is not record.Verdict.ERROR, one.verdict.message
        if one.inference is not None and one.inference.outputs:
            assert one.model.digest == models.digest_of(BODIES[one.model.version])
            assert one.inference.outputs == {"score": SAYS[one.model.version]}
    return [one.model.version for one in found if one.model and one.command is not None]


def newest_version(state: Path) -> str:
    """Which version the newest record of an agent that runs names."""
    with reader.open_reader(state) as found:
        newest = found.last_decision(reader.Filters())
        (body, *_) = found.about(newest or "")
    return str(json.loads(body)["data"]["model"]["version"])


async def measuring(device: room_device.RoomDevice) -> None:
    while True:
        device.measure()
        await asyncio.sleep(0.01)


async def test_an_edited_model_in_a_folder_costs_no_decision_and_each_record_names_what_answered(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    def write(document: dict[str, Any]) -> None:
        path = resources / f"{document['kind']}-{document['metadata']['name']}.json"
        path.write_text(json.dumps(document))

    state = tmp_path / "state"
    async with living(of_folder(resources, state)):
        await device.measure_until(commands=3)
        task = asyncio.create_task(measuring(device))
        (resources / "occupancy-v2.onnx").write_bytes(BODIES["occupancy-v2"])
        write(version_of("occupancy-v2"))
        write(asking("occupancy-v2"))
        await until(lambda: newest_version(state) == "occupancy-v2")
        before = len(device.commands)
        await until(lambda: len(device.commands) > before + 3)
        task.cancel()
    answered = versions(decisions(await events(state)))
    assert answered == sorted(answered), "after the switch the old one is not asked"
    assert set(answered) == {"occupancy-v1", "occupancy-v2"}


async def test_a_version_that_is_not_there_keeps_what_worked_also_over_a_restart(
    resources: Path, device: room_device.RoomDevice, tmp_path: Path
) -> None:
    policy = resources / "DecisionPolicy-ventilate-when-occupied.json"
    state = tmp_path / "state"
    async with living(of_folder(resources, state)):
        await device.measure_until(commands=1)
        policy.write_text(json.dumps(asking("occupancy-v9")))
        await asyncio.sleep(2 * folder.LOOK_SECONDS)
        await device.measure_until(commands=len(device.commands) + 2)
    (resources / "ModelVersion-occupancy-v1.json").unlink()
    async with living(of_folder(resources, state)):
        await device.measure_until(commands=len(device.commands) + 2)
    assert set(versions(decisions(await events(state)))) == {"occupancy-v1"}


@pytest.fixture
def servers() -> Iterator[dict[str, str]]:
    """Real servers, by the version that they serve."""
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(
                serving_process.serving_process(
                    body,
                    config=onnx_models.config(body).model_copy(update={"version": name}),
                )
            )
            for name, body in BODIES.items()
        }
        yield {name: f"unix:{one.await_ready().socket}" for name, one in running.items()}


def endpoint(number: int, url: str, version: str) -> assignment.Endpoint:
    return assignment.Endpoint(
        slot=f"r{number}",
        role=assignment.Role.ACTIVE,
        node="edge-2",
        url=url,
        version=version,
        digest=models.digest_of(BODIES[version]),
    )


def listing(
    port: int, generation: int, version: str, *replicas: assignment.Endpoint
) -> assignment.Assignment:
    """The n-th assignment: the policy of that generation, and who is ready."""
    documents = (room.model(), *map(version_of, BODIES), asking(version, generation))
    made = assigned(port, *documents, generation=generation)
    policies = tuple(one.model_copy(update={"endpoints": replicas}) for one in made.policies)
    made = made.model_copy(update={"policies": policies})
    return made.model_copy(update={"digest": compiling.digest_of(made)})


async def test_an_edited_model_under_a_hub_costs_no_decision_and_each_record_names_what_answered(
    hub: fake_hub.FakeHub,
    broker: mosquitto.Broker,
    device: room_device.RoomDevice,
    servers: dict[str, str],
    tmp_path: Path,
) -> None:
    first = endpoint(0, servers["occupancy-v1"], "occupancy-v1")
    second = endpoint(1, servers["occupancy-v2"], "occupancy-v2")
    hub.assignment = listing(broker.port, 2, "occupancy-v1", first)
    async with living(of_hub(hub, tmp_path / "state")):
        await device.measure_until(commands=3)
        task = asyncio.create_task(measuring(device))
        for number, replicas in enumerate(((first,), (first, second), (second,)), start=3):
            made = listing(broker.port, 3, "occupancy-v2", *replicas)
            hub.assignment = made.model_copy(update={"generation": number})
            before = len(device.commands)
            await until(lambda sent=before: len(device.commands) > sent + 20)  # type: ignore[misc]
        task.cancel()
    found = decisions(await events(tmp_path / "state"))
    answered = versions(found)
    assert answered == sorted(answered), "after the switch the old one is not asked"
    assert set(answered) == {"occupancy-v1", "occupancy-v2"}
    generations = {(one.policy.generation, one.model and one.model.version) for one in found}
    assert generations == {(2, "occupancy-v1"), (3, "occupancy-v2")}


async def test_a_replica_that_lies_about_its_version_decides_nothing(
    hub: fake_hub.FakeHub,
    broker: mosquitto.Broker,
    device: room_device.RoomDevice,
    servers: dict[str, str],
    tmp_path: Path,
) -> None:
    liar = endpoint(0, servers["occupancy-v2"], "occupancy-v1")
    honest = endpoint(1, servers["occupancy-v1"], "occupancy-v1")
    hub.assignment = listing(broker.port, 2, "occupancy-v1", liar, honest)
    async with living(of_hub(hub, tmp_path / "state")):
        await device.measure_until(commands=5)
    found = decisions(await events(tmp_path / "state"))
    assert set(versions(found)) == {"occupancy-v1"}
    attempts = [each for one in found if one.inference for each in one.inference.attempts]
    unused = [each for each in attempts if each.result == "Unused"]
    assert unused
    assert {each.answered and each.answered.version for each in unused} == {"occupancy-v2"}
