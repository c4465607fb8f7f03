"""`foreshore-agent play` as a process on a real broker: telemetry, commands, log, SIGTERM."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import patience
from foreshore_agent.devices.mqtt import connection
from foreshore_api.wire import command
from harness import mosquitto

pytestmark = pytest.mark.component

EXAMPLE = Path(__file__).parents[3] / "examples" / "01-ventilate-a-room"


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    folder = tmp_path / "resources"
    folder.mkdir()
    return folder


def write_resources(folder: Path, broker: mosquitto.Broker) -> None:
    documents = list(yaml.safe_load_all((EXAMPLE / "room.yaml").read_text()))
    for each in documents:
        if each["kind"] == "Site":
            tls = {"transport": "TLS", "credential": "room"}
            transport = tls if broker.tls else {"transport": "Plain"}
            each["spec"]["broker"] = {"host": broker.host, "port": broker.port, **transport}
    (folder / "room.yaml").write_text(yaml.safe_dump_all(documents))


class World:
    """The device's other side: what an agent hears and says."""

    def __init__(self) -> None:
        self.telemetry: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.session: connection.BrokerConnection | None = None

    def take(self, message: connection.MqttMessage) -> None:
        queue = self.telemetry if message.topic.endswith("telemetry") else self.answers
        queue.put_nowait(json.loads(message.payload))

    async def order(self, number: int, **changes: Any) -> None:
        now = datetime.now(UTC)
        given = {
            "command_id": f"d{number}/1",
            "action": "setAirflow",
            "input": {"value": 300.0},
            "holder": "edge-1",
            "epoch": 10,
            "priority": 12,
            "issued_at": now,
            "not_after": now + timedelta(seconds=patience.SECONDS),
        }
        body = command.Command.model_validate({**given, **changes}).encode()
        assert self.session is not None
        await self.session.deliver("hq/room-301/command", body)

    async def answer(self) -> tuple[str, str, str | None]:
        said = await asyncio.wait_for(self.answers.get(), patience.SECONDS)
        return said["commandId"], said["result"], said.get("reason")

    async def until(self, **values: Any) -> dict[str, Any]:
        async with asyncio.timeout(patience.SECONDS):
            while True:
                said = await self.telemetry.get()
                if values.items() <= said.items():
                    return said


@asynccontextmanager
async def playing(
    where: connection.Address, resources: Path, *more: str
) -> AsyncIterator[tuple[World, asyncio.subprocess.Process]]:
    world = World()
    world.session = await connection.BrokerConnection.open(where, name="test", received=world.take)
    await world.session.subscribe(["hq/room-301/telemetry", "hq/room-301/ack"])
    recording = EXAMPLE / "occupancy.csv"
    child = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "foreshore_agent.main",
            "play",
            "--resources",
            str(resources),
            "--device",
            "room-301",
        ),
        *("--csv", str(recording), "--map", "Light=light", "--rate", "20", *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield world, child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()
        await world.session.close()


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


async def test_the_device_measures_obeys_refuses_and_keeps_its_own_log(
    tmp_path: Path, broker: mosquitto.Broker, resources: Path
) -> None:
    write_resources(resources, broker)
    log = tmp_path / "device.jsonl"
    where = connection.Address(broker.host, broker.port)
    async with playing(where, resources, "--log", str(log), "--loop") as (world, child):
        first = await world.until()
        assert first["airflow"] == 120.0, "it begins at its safe state"
        assert {"co2", "light", "temperature", "airflow"} == first.keys()
        await world.order(1)
        assert await world.answer() == ("d1/1", "Accepted", None)
        assert await world.answer() == ("d1/1", "Done", None)
        await world.until(airflow=300.0)
        await world.order(1, attempt=2)
        assert await world.answer() == ("d1/1", "Accepted", None), "the first answer again"
        await world.order(2, epoch=9)
        assert await world.answer() == ("d2/1", "Rejected", "LowerEpoch")
        await world.order(3, holder="edge-2")
        assert await world.answer() == ("d3/1", "Rejected", "OtherHolder")
        await world.order(4, not_after=datetime.now(UTC) - timedelta(seconds=1))
        assert await world.answer() == ("d4/1", "Rejected", "Expired")
        child.send_signal(signal.SIGTERM)
        said, wrong = await asyncio.wait_for(child.communicate(), patience.SECONDS)
        assert child.returncode == 0, wrong.decode()
        assert b"1 Accepted" in said
    results = [
        (line["result"], line.get("reason"), line["command"]["holder"], line["command"]["epoch"])
        for line in lines(log)
        if "command" in line
    ]
    assert results == [
        ("Accepted", None, "edge-1", 10),
        ("Done", None, "edge-1", 10),
        ("Rejected", "Duplicate", "edge-1", 10),
        ("Rejected", "LowerEpoch", "edge-1", 9),
        ("Rejected", "OtherHolder", "edge-2", 10),
        ("Rejected", "Expired", "edge-1", 10),
    ]
    assert [line["event"] for line in (lines(log)[0], lines(log)[-1])] == ["Started", "Stopped"]


async def test_a_device_started_again_on_its_log_remembers_the_highest_epoch(
    tmp_path: Path, broker: mosquitto.Broker, resources: Path
) -> None:
    write_resources(resources, broker)
    log = tmp_path / "device.jsonl"
    line = {"time": "2026-01-01T00:00:00+00:00", "command": {"epoch": 10, "holder": "edge-1"}}
    log.write_text(json.dumps(line) + "\n{half a li")
    where = connection.Address(broker.host, broker.port)
    async with playing(where, resources, "--log", str(log)) as (world, _):
        await world.until()
        await world.order(1, epoch=9)
        assert await world.answer() == ("d1/1", "Rejected", "LowerEpoch")
        await world.order(2, epoch=10)
        assert await world.answer() == ("d2/1", "Accepted", None)


async def test_a_command_sent_again_after_the_device_was_started_again_acts_once(
    tmp_path: Path, broker: mosquitto.Broker, resources: Path
) -> None:
    write_resources(resources, broker)
    log = tmp_path / "device.jsonl"
    where = connection.Address(broker.host, broker.port)
    for attempt in (1, 2):
        async with playing(where, resources, "--log", str(log)) as (world, _):
            await world.until()
            await world.order(1, attempt=attempt)
            assert await world.answer() == ("d1/1", "Accepted", None)
            await asyncio.sleep(0.2)
    commands = [line for line in lines(log) if "command" in line]
    assert [line["result"] for line in commands].count("Accepted") == 1
    assert (commands[-1]["result"], commands[-1]["reason"]) == ("Rejected", "Duplicate")


async def test_the_device_shows_its_certificate_and_comes_back_after_the_broker(
    tmp_path: Path, tls_broker: mosquitto.Broker, resources: Path
) -> None:
    write_resources(resources, tls_broker)
    tls_broker.credential(tmp_path / "credentials", "room")
    where = connection.Address(
        tls_broker.host, tls_broker.port, credential="room", credentials=tmp_path / "credentials"
    )
    folder = ("--credentials", str(tmp_path / "credentials"), "--loop")
    async with playing(where, resources, *folder) as (world, _):
        await world.until()
        tls_broker.restart()
        again = World()
        again.session = await connection.BrokerConnection.open(
            where, name="again", received=again.take
        )
        await again.session.subscribe(["hq/room-301/telemetry"])
        await again.until()
        await again.session.close()


async def test_a_recording_ends_with_a_summary(
    tmp_path: Path, broker: mosquitto.Broker, resources: Path
) -> None:
    write_resources(resources, broker)
    short = tmp_path / "short.csv"
    rows = (EXAMPLE / "occupancy.csv").read_text().splitlines()[:4]
    short.write_text("\n".join(rows) + "\n")
    where = connection.Address(broker.host, broker.port)
    async with playing(where, resources, "--csv", str(short)) as (_, child):
        said, _ = await asyncio.wait_for(child.communicate(), patience.SECONDS)
    assert child.returncode == 0
    assert b"room-301: 3 messages published" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--device", "room-9"), "must hold one Device room-9"),
        (("--map", "Lux=light"), "no column 'Lux'"),
        (("--csv", "/nonexistent.csv"), "cannot be read"),
    ],
    ids=["unknown device", "unknown column", "no recording"],
)
async def test_wrong_usage_is_said_in_one_line(
    broker: mosquitto.Broker, resources: Path, more: tuple[str, ...], message: str
) -> None:
    write_resources(resources, broker)
    where = connection.Address(broker.host, broker.port)
    async with playing(where, resources, *more) as (_, child):
        _, said = await asyncio.wait_for(child.communicate(), patience.SECONDS)
    assert child.returncode == 2
    assert message in said.decode()
    assert "Traceback" not in said.decode()


async def test_a_credential_that_is_not_there_is_said_before_the_first_attempt(
    tmp_path: Path, broker: mosquitto.Broker, resources: Path
) -> None:
    write_resources(resources, broker)
    path = resources / "room.yaml"
    path.write_text(path.read_text().replace("transport: Plain", "credential: room"))
    where = connection.Address(broker.host, broker.port)
    async with playing(where, resources, "--credentials", str(tmp_path / "none")) as (_, child):
        _, said = await asyncio.wait_for(child.communicate(), patience.SECONDS)
    assert child.returncode == 2
    assert "credential 'room' in" in said.decode()


async def test_what_is_wrong_in_the_folder_is_said_and_the_device_plays_all_the_same(
    broker: mosquitto.Broker, resources: Path
) -> None:
    write_resources(resources, broker)
    path = resources / "room.yaml"
    path.write_text(path.read_text().replace("latencyBudget:", "latencyBudjet:"))
    where = connection.Address(broker.host, broker.port)
    async with playing(where, resources) as (world, child):
        await world.until()
        child.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(child.communicate(), patience.SECONDS)
    assert child.returncode == 0
    first = said.decode().splitlines()[0]
    assert "room.yaml#7: " in first
    assert "did you mean latencyBudget?" in first


async def test_a_device_that_nobody_heard_is_no_success(
    broker: mosquitto.Broker, resources: Path
) -> None:
    write_resources(resources, broker)
    path = resources / "room.yaml"
    path.write_text(path.read_text().replace(f"port: {broker.port}", "port: 1"))
    where = connection.Address(broker.host, broker.port)
    async with playing(where, resources) as (_, child):
        assert child.stderr is not None
        async with asyncio.timeout(60):  # what it waits for is said, after the first rows
            while b"127.0.0.1:1" not in await child.stderr.readline():
                pass
        child.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(child.communicate(), patience.SECONDS)
    assert child.returncode == 1
    assert "nothing of room-301 was published: the broker at" in said.decode()
