"""The example on a broker as it is shipped: device and agent each with their own certificate."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from foreshore_agent.devices.mqtt import connection
from harness import mosquitto, process

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]

EXAMPLE = Path(__file__).parents[3] / "examples/01-ventilate-a-room"
COMMAND = "hq/room-301/command"
SHORT = slice(385, 620)
"""Rows in which the room is occupied."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder with the example's resources for a broker that runs, and everybody's certificate."""
    with mosquitto.Broker(tmp_path / "broker", tls=True, acl="") as broker:
        documents = [one for one in yaml.safe_load_all((EXAMPLE / "room.yaml").read_text()) if one]
        for one in documents:
            if one["kind"] == "Site":
                one["spec"]["broker"] |= {"host": broker.host, "port": broker.port}
        resources = tmp_path / "resources"
        resources.mkdir()
        (resources / "room.yaml").write_text(yaml.safe_dump_all(documents))
        lines = (EXAMPLE / "occupancy.csv").read_text().splitlines()
        (tmp_path / "rows.csv").write_text("\n".join([lines[0], *lines[1:][SHORT]]) + "\n")
        verb("broker-acl", "--resources", resources, "--output", broker.folder / "acl")
        broker.grant((broker.folder / "acl").read_text())
        for user in ("hq-broker", "hq/room-301", "stranger"):
            broker.credential(tmp_path / "credentials", user.replace("/", "-"), user)
        yield tmp_path


def command_line(*args: object) -> list[str]:
    return [sys.executable, "-m", "foreshore_agent.main", *map(str, args)]


def verb(*args: object) -> None:
    subprocess.run(command_line(*args), check=True, capture_output=True)


@contextlib.contextmanager
def running(log: Path, *args: object) -> Iterator[None]:
    with log.open("wb") as output:
        child = subprocess.Popen(command_line(*args), stdout=output, stderr=output)
    try:
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        finally:
            child.kill()


def played(home: Path) -> list[str]:
    """What the device has written down, by event or by what became of a command."""
    log = home / "device.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return [one.get("result", one["event"]) for one in found]


def device(home: Path, credential: str) -> contextlib.AbstractContextManager[None]:
    return running(
        home / "play.log", "play", "--resources", home / "resources", "--device", "room-301",
        "--credentials", home / "credentials", "--credential", credential,
        "--csv", home / "rows.csv", "--map", "Light=light", "--map", "CO2=co2",
        "--map", "Temperature=temperature", "--rate", 10, "--log", home / "device.jsonl", "--loop",
    )  # fmt: skip


def agent(home: Path) -> contextlib.AbstractContextManager[None]:
    return running(
        home / "agent.log", "run", "--resources", home / "resources", "--models", EXAMPLE,
        "--credentials", home / "credentials", "--state", home / "state", "--port", 0,
    )  # fmt: skip


def test_the_device_is_commanded_by_the_agent_and_by_nobody_else(home: Path) -> None:
    with device(home, "hq-room-301"), agent(home):
        process.eventually(
            lambda: played(home).count("Done") > 2, what="the room is ventilated", timeout=60
        )
        for user in ("hq-room-301", "stranger", "hq-broker"):
            asyncio.run(publish(home, user))
        process.eventually(
            lambda: "Malformed" in played(home), what="an agent is heard", timeout=10
        )
        assert played(home).count("Malformed") == 1
    assert "does not let us" not in (home / "agent.log").read_text()


async def publish(home: Path, user: str) -> None:
    """One message that is no command."""
    site = yaml.safe_load_all((home / "resources/room.yaml").read_text())
    port = next(one["spec"]["broker"]["port"] for one in site if one["kind"] == "Site")
    where = connection.Address("127.0.0.1", port, credential=user, credentials=home / "credentials")
    said = await connection.BrokerConnection.open(where, name="x", received=lambda _: None)
    await said.deliver(COMMAND, b"{}")
    await said.close()


def test_a_device_that_shows_the_agents_certificate_says_so(home: Path) -> None:
    """That of the Site is `play`'s default; it is no device's on a broker with a list."""
    with device(home, "hq-broker"):
        denied = "the broker does not let us publish on hq/room-301/telemetry"
        process.eventually(
            lambda: denied in (home / "play.log").read_text(), what="it is said", timeout=30
        )
