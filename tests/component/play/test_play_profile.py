"""`foreshore-agent play --profile` on a real broker: what it says, its will, its orders."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from typer import testing

from foreshore_agent import main
from foreshore_agent.devices.mqtt import connection
from foreshore_agent.play.dialects import registry
from harness import mosquitto

pytestmark = pytest.mark.component

SECONDS = 60.0


class Listener:
    """Who else is on the broker."""

    def __init__(self) -> None:
        self.heard: list[connection.MqttMessage] = []
        self.session: connection.BrokerConnection | None = None

    async def until(
        self, wanted: Callable[[connection.MqttMessage], bool]
    ) -> connection.MqttMessage:
        async with asyncio.timeout(SECONDS):
            while True:
                for message in self.heard:
                    if wanted(message):
                        return message
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def listening(address: connection.Address, *filters: str) -> AsyncIterator[Listener]:
    """Somebody who listens for as long as the block lasts."""
    listener = Listener()
    listener.session = await connection.BrokerConnection.open(
        address, name="test", received=listener.heard.append
    )
    await listener.session.subscribe(filters)
    yield listener
    await listener.session.close()


@contextlib.asynccontextmanager
async def playing(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The verb as a process for as long as the block lasts."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "foreshore_agent.main", "play", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def ended(child: asyncio.subprocess.Process) -> tuple[str, str]:
    """What a process printed, once it has ended."""
    output, errors = await asyncio.wait_for(child.communicate(), SECONDS)
    return output.decode(), errors.decode()


async def test_a_device_speaks_follows_and_prints_what_it_says_and_hears(
    broker: mosquitto.Broker,
) -> None:
    address = connection.Address(broker.host, broker.port)
    where = f"{broker.host}:{broker.port}"
    async with (
        listening(address, "tele/kettle/#", "stat/kettle/#") as listener,
        playing("--profile", "tasmota-plug", "--name", "kettle", "--broker", where) as child,
    ):
        await listener.until(lambda message: message.topic == "tele/kettle/SENSOR")
        assert listener.session is not None
        await listener.session.deliver("cmnd/kettle/POWER", b"OFF")
        await listener.until(lambda message: message[:2] == ("stat/kettle/POWER", b"OFF"))
        child.send_signal(signal.SIGTERM)
        output, errors = await ended(child)
    assert child.returncode == 0, errors
    assert "hears cmnd/kettle/POWER OFF" in output
    assert "says stat/kettle/POWER OFF" in output
    assert output.splitlines()[-1].startswith("kettle: ")


async def test_its_last_words_and_its_will_are_kept_for_those_who_come_later(
    broker: mosquitto.Broker,
) -> None:
    address = connection.Address(broker.host, broker.port)
    where = f"{broker.host}:{broker.port}"
    async with (
        listening(address, "attic/#") as listener,
        playing("--profile", "esphome-climate", "--broker", where) as child,
    ):
        await listener.until(lambda message: message.topic == "attic/climate/thermostat/mode/state")
        child.kill()
        await listener.until(lambda message: message[:2] == ("attic/status", b"offline"))
    async with listening(address, "attic/#") as later:
        await later.until(lambda message: message.topic == "attic/status" and message.retained)
        words = {message.topic: message.payload for message in later.heard}
    assert words["attic/status"] == b"offline"
    assert words["attic/climate/thermostat/target_temperature/state"] == b"21.5"


async def test_a_broker_with_passwords_is_shown_one(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("not-a-real-one\n")
    folder = tmp_path / "credentials"
    with mosquitto.Broker(tmp_path / "broker", users={"plug": "not-a-real-one"}) as broker:
        broker.login(folder, "test", "plug", "not-a-real-one")
        address = connection.Address(
            broker.host, broker.port, credential="test", credentials=folder, is_plain=True
        )
        login = ("--username", "plug", "--password-file", str(password))
        where = f"{broker.host}:{broker.port}"
        async with (
            listening(address, "zigbee2mqtt/#") as listener,
            playing("--profile", "zigbee2mqtt-plug", "--broker", where, *login),
        ):
            report = await listener.until(lambda message: message.topic == "zigbee2mqtt/Hall Plug")
            assert "state" in json.loads(report.payload)
        wrong = ("--username", "plug", "--password-file", "/dev/null")
        async with playing("--profile", "zigbee2mqtt-plug", "--broker", where, *wrong) as child:
            _, errors = await ended(child)
            assert child.returncode == 2, errors


async def test_a_broker_that_is_not_there_is_said_and_is_no_success() -> None:
    async with playing("--profile", "tasmota-plug", "--broker", "127.0.0.1:1") as child:
        assert child.stderr is not None
        first = await asyncio.wait_for(child.stderr.readline(), SECONDS)
        assert b"plug_3C91A0: looking for the broker at 127.0.0.1:1" in first
        child.send_signal(signal.SIGTERM)
        _, errors = await ended(child)
    assert child.returncode == 1
    assert "nothing of plug_3C91A0 was published: no session with 127.0.0.1:1" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--profile NAME"),
        (("--profile", "tasmota"), "did you mean tasmota-plug"),
        (("--profile", "tasmota-plug", "--broker", "a b:x"), "HOST:PORT is needed"),
        (("--profile", "tasmota-plug", "--broker", "::1:1883"), "HOST:PORT is needed"),
        (("--profile", "tasmota-plug", "--zone", "Mars/Base"), "time zone Mars/Base is not known"),
        (("--profile", "tasmota-plug", "--password-file", "x"), "needs --username"),
        (
            ("--profile", "tasmota-plug", "--username", "u", "--password-file", "/no/such"),
            "is no file",
        ),
    ],
    ids=[
        "neither form",
        "unknown dialect",
        "no broker",
        "no brackets",
        "no zone",
        "no user",
        "no password",
    ],
)
def test_wrong_usage_of_a_profile_is_said_in_one_line(
    arguments: tuple[str, ...], message: str
) -> None:
    result = testing.CliRunner().invoke(main.application, ["play", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_dialects_are_listed_with_what_they_are() -> None:
    result = testing.CliRunner().invoke(main.application, ["play", "--list-profiles"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == [
        row.name for row in registry.DIALECTS
    ]
