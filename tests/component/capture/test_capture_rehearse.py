"""What was captured of a device is rehearsed as the live agent decided it: the point of a capture.

A live agent and a capture hear the same messages of one broker; then the policy is rehearsed on the
file, and every decision is compared with the live one.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import captured, played, room
from builders.living import living
from foreshore_agent import journal, settings
from foreshore_api.wire import record
from harness import mosquitto

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).parents[3] / "examples" / "01-ventilate-a-room"
Body = Mapping[str, Any] | bytes
OCCUPIED = {"light": 419.0, "co2": 1050.2, "temperature": 21.7, "airflow": 120.0}
EMPTY = {"light": 0.0, "co2": 430.0, "temperature": 19.5}
QUICK = {"spec__trigger": {"minimumInterval": "1ms"}, "spec__record": {"routineSampleRate": "1"}}
MESSAGES: Sequence[Body] = (
    OCCUPIED,
    EMPTY,
    {"co2": 900, "light": 500},  # the last temperature is young enough
    {"temperature": 22.5},  # triggers nothing
    {"co2": 901},
    {"co2": 20000, "light": 500},  # beyond what is believed
    {"co2": None, "light": 20},  # says nothing of co2, which triggers
    b"no JSON",
    {**OCCUPIED, "light": 12.125},
    {**OCCUPIED, "co2": 0.1 + 0.2},
    OCCUPIED,
)
REFUSED: Sequence[Body] = (
    OCCUPIED,
    {**OCCUPIED, "light": "dark"},
    b'{"co2": NaN, "light": 400, "temperature": 21}',
    {**OCCUPIED, "temperature": True},
    OCCUPIED,
)
"""Among them values that no agent takes: what was captured of them must be refused again."""


def ventilated(folder: Path, broker: mosquitto.Broker, mode: str = "Shadow") -> Path:
    """The example for a broker on loopback, with the model in the agent; it records everything."""
    folder.mkdir()
    shutil.copy(EXAMPLE / "occupancy-v1.onnx", folder)
    changes: dict[str, dict[str, Any]] = {
        "Site": {
            "spec__broker": {"host": broker.host, "port": broker.port, "transport": "Plain"},
            "spec__isolation": "Agent",
        },
        "ModelVersion": {"spec__runtime": {"isolation": "Agent"}},
        "DecisionPolicy": {"spec__mode": mode, "spec__inference__timeout": "5s"},
    }
    documents = yaml.safe_load_all((EXAMPLE / "room.yaml").read_text())
    captured.write(
        folder, (room.changed(each, **changes.get(each["kind"], {})) for each in documents)
    )
    return folder


async def decided(state: Path) -> list[record.Decision]:
    """Every decision of a state directory, oldest first."""
    book = await journal.Journal.open(state)
    try:
        lines = await book.newest(100_000)
    finally:
        await book.close()
    events = [record.Event.decode(line.body) for line in lines]
    decisions = [event.data for event in events if isinstance(event.data, record.Decision)]
    return sorted(decisions, key=lambda decision: decision.decision_id)


def essence(decision: record.Decision) -> Any:
    """What must be the same: what came in, what the model and the rules said of it, and so what."""
    inputs = [(each.name, each.value, each.quality) for each in decision.inputs]
    outputs = None if decision.inference is None else decision.inference.outputs
    return (inputs, decision.features, outputs, decision.verdict.result, decision.verdict.reason)


def agent(*words: object) -> str:
    """Run the program to its end; return what it says."""
    run = subprocess.run(
        [sys.executable, "-m", "foreshore_agent.main", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stderr


async def rehearsed(folder: Path, device: str, path: Path, state: Path) -> list[record.Decision]:
    """Rehearse on a file as its summary says."""
    words = ("--resources", folder, "--device", device, "--csv", path, "--state", state)
    await asyncio.to_thread(agent, "rehearse", *words)
    return await decided(state)


async def both(
    broker: mosquitto.Broker, tmp_path: Path, messages: Sequence[Body]
) -> tuple[list[Any], list[Any]]:
    """The essence of every live and of every rehearsed decision on the same messages."""
    folder, path = ventilated(tmp_path / "resources", broker), tmp_path / "room.csv"
    source = settings.FolderSettings(folder, None, None)
    live = tmp_path / "live"
    async with living(settings.AgentSettings("edge-1", live, source, port=None)):
        with captured.Capture(folder, "room-301", path) as run:
            await asyncio.to_thread(run.listens, broker)
            for body in messages:
                await asyncio.to_thread(captured.measure, broker, body)
                await asyncio.sleep(0.15)  # each is decided before the next comes
            await asyncio.sleep(0.5)
            await asyncio.to_thread(run.end)
            assert run.process.returncode == 0, run.words
    again = await rehearsed(folder, "room-301", path, tmp_path / "state")
    return list(map(essence, await decided(live))), list(map(essence, again))


async def test_a_captured_room_is_rehearsed_as_the_live_agent_decided(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    live, again = await both(broker, tmp_path, MESSAGES)
    assert len(live) == 8
    assert len({verdict for *_, verdict, _ in live}) > 2, "the messages try too little"
    assert again == live


async def test_a_room_that_is_commanded_meanwhile_is_rehearsed_with_the_same_verdicts(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    """The recorded office, played over the broker; the rehearsal commands a device of its own."""
    folder = ventilated(tmp_path / "resources", broker, "Autonomous")
    live, path = tmp_path / "live", tmp_path / "room.csv"
    source = settings.FolderSettings(folder, None, None)
    lines = (EXAMPLE / "occupancy.csv").read_text().splitlines()
    (tmp_path / "office.csv").write_text("\n".join([lines[0], *lines[15:60]]) + "\n")
    words = ("--resources", folder, "--device", "room-301", "--csv", tmp_path / "office.csv")
    async with living(settings.AgentSettings("edge-1", live, source, port=None)):
        with captured.Capture(folder, "room-301", path) as run:
            await asyncio.to_thread(run.listens, broker)
            await asyncio.to_thread(agent, "play", *words, "--rate", 6.5)
            await asyncio.to_thread(run.end)
            assert run.process.returncode == 0, run.words
    again = await rehearsed(folder, "room-301", path, tmp_path / "state")
    verdicts, verdicts_again = (
        [(essence(decision)[0], *essence(decision)[2:]) for decision in decisions]
        for decisions in (await decided(live), again)
    )
    assert {result for *_, result, _ in verdicts} >= {"Commanded", "NotTriggered"}
    assert verdicts_again == verdicts


async def test_a_value_that_no_agent_took_is_refused_in_the_rehearsal_too(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    live, again = await both(broker, tmp_path, REFUSED)
    assert len(live) == len(REFUSED)
    assert again == live


async def test_a_fan_and_the_door_that_its_policy_reads_are_captured_into_one_recording(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    """The policy reads another Device: its columns have that Device's name."""
    folder = played.write(tmp_path / "resources", "zigbee2mqtt", broker.port, "Shadow", **QUICK)
    live, path = tmp_path / "live", tmp_path / "fan.csv"
    source = settings.FolderSettings(folder, None, None)
    async with living(settings.AgentSettings("edge-1", live, source, port=None)):
        door = ("--device", "cold-store-door")
        with captured.Capture(folder, "cold-store-fan", path, *door) as run:
            await asyncio.to_thread(run.listens, broker)
            async with (
                played.played("zigbee2mqtt-contact", broker.port, every=0.7),
                played.played("zigbee2mqtt-plug", broker.port, every=0.4, name="Cold Store Fan"),
            ):
                await asyncio.to_thread(run.until_rows, path, 20)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(run.end)
            assert run.process.returncode == 0, run.words
    header = path.read_text().partition("\n")[0]
    assert "cold-store-door.contact" in header
    again = await rehearsed(folder, "cold-store-fan", path, tmp_path / "state")
    decisions = await decided(live)
    assert len({decision.verdict.result for decision in decisions}) > 1
    assert list(map(essence, again)) == list(map(essence, decisions))


async def test_a_stranger_discovers_a_plug_captures_it_and_rehearses_a_first_policy(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    drafts, path = tmp_path / "drafts", tmp_path / "plug.csv"
    async with played.played("zigbee2mqtt-plug", broker.port, every=0.2):
        address = f"{broker.host}:{broker.port}"
        await asyncio.to_thread(
            agent, "discover", "--broker", address, "--listen", "2s", "--write", drafts
        )
        with captured.Capture(drafts, "hall-plug", path, "--rows", 12) as run:
            await asyncio.to_thread(run.wait)
    assert run.process.returncode == 0, run.words
    (drafted,) = (file for file in drafts.glob("*.yaml") if file.name != "site.yaml")
    profile, device = yaml.safe_load_all(drafted.read_text())
    labelled = room.changed(device, metadata__labels={"role": "hall"})
    drafted.write_text(yaml.safe_dump_all([profile, labelled]))
    policy = {
        "mode": "Shadow",
        "hazard": "Low",
        "latencyBudget": "1s",
        "deviceSelector": {"matchLabels": {"role": "hall"}},
        "inputs": [{"name": "power", "property": "power", "unit": "W", "maximumAge": "1m"}],
        "rules": [
            {"name": "idle", "effect": "Permit", "expression": "power < 5.0", "reason": "Idle"}
        ],
        "action": {
            "name": "setState",
            "input": [{"name": "value", "expression": "false"}],
            "timeToLive": "2s",
        },
        "record": {"routineSampleRate": "1"},
    }
    captured.write(drafts, [room.resource("DecisionPolicy", "default", "off-when-idle", policy)])
    decisions = await rehearsed(drafts, "hall-plug", path, tmp_path / "state")
    assert len(decisions) == 12
