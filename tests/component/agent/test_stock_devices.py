"""Every shipped profile end to end: a played device, a real broker, a whole agent, its records.

The devices are written from their makers' documentation (`foreshore_agent.play.dialects`), the
profiles are those of `examples/profiles/`: that the two understand each other is tried here.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from builders import played
from builders.living import living
from foreshore_agent import settings
from foreshore_agent.journal import reader
from foreshore_agent.play.dialects import speech
from foreshore_api.wire import record
from harness import mosquitto

pytestmark = [pytest.mark.component, pytest.mark.usefixtures("short_waits")]

SECONDS = 60.0
QUICK = {"spec__record": {"routineSampleRate": "1"}}


def of_folder(resources: Path, state: Path) -> settings.AgentSettings:
    return settings.AgentSettings(
        "edge-1", state, settings.FolderSettings(resources, None, None), port=None
    )


def recorded(state: Path, device: str | None = None) -> list[dict[str, Any]]:
    """What the journal of a living agent holds so far."""
    try:
        with reader.open_reader(state) as opened:
            return [event for _, event in opened.events(reader.Filters(device=device))]
    except reader.NoJournalError:
        return []


async def until_recorded(
    state: Path, kind: str, wanted: Callable[[dict[str, Any]], bool], device: str | None = None
) -> dict[str, Any]:
    """Wait for a record, and return its data. Raises TimeoutError."""
    async with asyncio.timeout(SECONDS):
        while True:
            for event in recorded(state, device):
                if event["type"] == kind and wanted(event["data"]):
                    data: dict[str, Any] = event["data"]
                    return data
            await asyncio.sleep(0.05)


class Commanded(NamedTuple):
    """A device that is commanded, and how it looks when it has followed."""

    dialect: str
    name: str
    device: str
    has_followed: Callable[[Any], bool]
    settling: float | None = None


COMMANDED = (
    Commanded("zigbee2mqtt", "zigbee2mqtt-plug", "hall-charger", lambda d: not d.load.is_on),
    Commanded(
        "zigbee2mqtt",
        "zigbee2mqtt-climate",
        "office-radiator",
        lambda d: d.room.setpoint == 18.5,
    ),
    Commanded("tasmota", "tasmota-plug", "coffee-machine", lambda d: not d.load.is_on),
    Commanded("shelly-gen1", "shelly-gen1-plug", "window-display", lambda d: not d.load.is_on),
    Commanded("shelly-gen2", "shelly-gen2-plug", "workshop-heater", lambda d: not d.load.is_on),
    Commanded("esphome", "esphome-climate", "attic-thermostat", lambda d: d.room.setpoint == 18.5),
    Commanded("zwave-js-ui", "zwave-js-ui-switch", "store-room-fan", lambda d: not d.load.is_on),
    Commanded("plc-gateway", "plc-gateway-fan", "line-1-cabinet", lambda d: d.setpoint == 80.0),
)


@pytest.mark.parametrize("wanted", COMMANDED, ids=lambda wanted: wanted.name)
async def test_a_decision_commands_a_stock_device_and_its_echo_confirms_it(
    wanted: Commanded, broker: mosquitto.Broker, tmp_path: Path
) -> None:
    folder = played.write(tmp_path / "resources", wanted.dialect, broker.port, "Autonomous")
    state = tmp_path / "state"
    async with (
        living(of_folder(folder, state)),
        played.played(wanted.name, broker.port) as device,
    ):
        outcome = await until_recorded(
            state,
            record.OUTCOME,
            lambda data: data["outcome"] == "Confirmed",
            device=f"shop/{wanted.device}",
        )
        assert wanted.has_followed(device.device)
    decision = decision_of(state, outcome)
    assert decision["device"]["fence"] == "None"
    assert decision["command"] is not None
    assert outcome["reason"] == "EchoNear"


@pytest.mark.parametrize(
    ("dialect", "sensor", "actuator", "name", "decided"),
    [
        (
            "zigbee2mqtt",
            "zigbee2mqtt-contact",
            "zigbee2mqtt-plug",
            "Cold Store Fan",
            "cold-store-fan",
        ),
        ("zigbee2mqtt", "zigbee2mqtt-motion", "zigbee2mqtt-plug", "Hall Lamp", "hall-lamp"),
        ("esphome", "esphome-sensor", "esphome-climate", "bath", "bath-thermostat"),
        (
            "zwave-js-ui",
            "zwave-js-ui-sensor",
            "zwave-js-ui-switch",
            "kitchen/nodeID_8",
            "kitchen-fan",
        ),
    ],
    ids=["Zigbee contact", "Zigbee motion", "ESPHome sensors", "Z-Wave multisensor"],
)
async def test_a_stock_sensor_is_decided_on_for_another_device_and_nothing_is_sent(
    dialect: str,
    sensor: str,
    actuator: str,
    name: str,
    decided: str,
    broker: mosquitto.Broker,
    tmp_path: Path,
) -> None:
    folder = played.write(tmp_path / "resources", dialect, broker.port, "Shadow", **QUICK)
    state = tmp_path / "state"
    async with (
        living(of_folder(folder, state)),
        played.played(sensor, broker.port),
        played.played(actuator, broker.port, name=name),
    ):
        decision = await until_recorded(
            state,
            record.DECISION,
            lambda data: data["verdict"]["result"] == "Shadowed",
            device=f"shop/{decided}",
        )
    assert any(source.get("readFrom") for source in decision["inputs"])
    assert decision.get("command") is None
    assert not [event for event in recorded(state) if event["type"] == record.OUTCOME]


@pytest.mark.parametrize(
    ("dialect", "name", "device"),
    [
        ("lorawan", "lorawan-chirpstack", "bed-3"),
        ("lorawan", "lorawan-ttn", "bed-4"),
        ("aws-iot-shadow", "aws-iot-shadow-thing", "server-closet"),
    ],
    ids=["ChirpStack", "The Things Stack", "AWS IoT shadow"],
)
async def test_a_device_whose_commands_are_stored_is_advised_about_whatever_is_asked_for(
    dialect: str, name: str, device: str, broker: mosquitto.Broker, tmp_path: Path
) -> None:
    folder = played.write(tmp_path / "resources", dialect, broker.port, "Autonomous")
    state = tmp_path / "state"
    async with (
        living(of_folder(folder, state)),
        played.played(name, broker.port) as valve,
    ):
        decision = await until_recorded(
            state,
            record.DECISION,
            lambda data: data["verdict"]["result"] == "Advised",
            device=f"shop/{device}",
        )
        assert not getattr(valve.device, "is_open", False)
        assert not getattr(valve.device, "is_on", False)
    assert "StoredDelivery" in str(decision)


async def test_a_device_that_hears_and_does_nothing_is_not_confirmed(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    folder = played.write(tmp_path / "resources", "tasmota", broker.port, "Autonomous")
    state = tmp_path / "state"
    deaf = speech.DialectHabits(is_deaf=True)
    async with (
        living(of_folder(folder, state)),
        played.played("tasmota-plug", broker.port, habits=deaf),
    ):
        outcome = await until_recorded(state, record.OUTCOME, lambda _: True)
    assert (outcome["outcome"], outcome["reason"]) == ("Unknown", "NoEcho")


async def test_what_is_so_already_is_confirmed_and_nothing_is_sent(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    folder = played.write(tmp_path / "resources", "tasmota", broker.port, "Autonomous")
    state = tmp_path / "state"
    async with living(of_folder(folder, state)), played.played("tasmota-plug", broker.port):
        outcome = await until_recorded(
            state, record.OUTCOME, lambda data: data["reason"] == "AlreadyEqual"
        )
    assert outcome["outcome"] == "Confirmed"


def decision_of(state: Path, outcome: dict[str, Any]) -> dict[str, Any]:
    """The decision that an outcome is of."""
    (decision,) = (
        event["data"]
        for event in recorded(state)
        if event["type"] == record.DECISION and event["data"]["decisionId"] == outcome["decisionId"]
    )
    data: dict[str, Any] = decision
    return data
