"""A plug that checks nothing, on a broker that asks for passwords: one commander at a time."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from e2e import plug as plugs
from e2e import world as worlds
from harness import install, services

PLUG = "hall-plug"
FRIENDLY = "Hall Plug"
POLICY = "on-while-warm"
LEASE = 15.0
RENEWED = LEASE / 5
"""Seconds that may have passed since the holder's last renewal when it dies."""
CLOCK_MARGIN = 2.0
TIME_TO_LIVE = 2.0
EARLIEST = LEASE - RENEWED + CLOCK_MARGIN + TIME_TO_LIVE
"""Seconds after the holder's death before which nobody else may command: nothing else fences."""
TOPIC = "zigbee2mqtt/{parameters.friendlyName}"


def documents() -> list[dict[str, Any]]:
    """The plug's class, the plug, and a policy that switches it by its own temperature."""

    profile = {
        "mqtt": {
            "telemetryTopic": TOPIC,
            "availability": {"topic": f"{TOPIC}/availability", "path": "state"},
        },
        "properties": [
            {
                "name": "state",
                "type": "Boolean",
                "access": "ReadWrite",
                "values": [{"from": "ON", "to": "true"}, {"from": "OFF", "to": "false"}],
            },
            {"name": "temperature", "unit": "Cel", "path": "/device_temperature"},
        ],
        "actions": [
            {
                "name": "setState",
                "idempotency": "Idempotent",
                "input": [{"name": "value", "property": "state", "type": "Boolean"}],
                "mqtt": {
                    "topic": f"{TOPIC}/set",
                    "expression": '{"state": value ? "ON" : "OFF"}',
                },
                "acknowledgement": {"type": "Echo", "echo": {"property": "state", "within": "3s"}},
            }
        ],
        "guards": {"fence": "None"},
    }
    device = {
        "profileRef": {"name": "zigbee-plug"},
        "site": worlds.SITE,
        "parameters": [{"name": "friendlyName", "value": FRIENDLY}],
    }
    policy = {
        "mode": "Autonomous",
        "hazard": "Low",
        "latencyBudget": "3s",
        "deviceSelector": {"matchLabels": {"role": "plug"}},
        "trigger": {"properties": ["temperature"]},
        "inputs": [
            {"name": "warmth", "property": "temperature", "unit": "Cel", "maximumAge": "10s"}
        ],
        "rules": [{"name": "always", "effect": "Permit", "expression": "true", "reason": "Always"}],
        "action": {
            "name": "setState",
            "input": [{"name": "value", "expression": "warmth > 25.0"}],
            "timeToLive": f"{TIME_TO_LIVE:.0f}s",
        },
    }
    return [
        worlds.resource("DeviceProfile", "zigbee-plug", profile),
        worlds.resource("Device", PLUG, device, labels={"role": "plug"}),
        worlds.resource("DecisionPolicy", POLICY, policy),
    ]


@pytest.fixture
def plug(world: worlds.World) -> Iterator[plugs.Plug]:
    """The plug, on the site's broker, at which agents too come in by a password meanwhile."""
    broker = world.installed.broker
    user = f"{worlds.SITE}/{PLUG}"
    authority = world.folder / "broker-ca.crt"
    authority.write_bytes(broker.authority.certificate)
    with world.added("plug", documents()):
        try:
            with (
                by_password(world),
                plugs.Plug(FRIENDLY).plugged_in(
                    broker.address, services.PASSWORD_PORT, user, services.USERS[user], authority
                ) as plugged,
            ):
                yield plugged
        finally:
            world.cluster.heal()
    world.until_deciding()


@contextlib.contextmanager
def by_password(world: worlds.World) -> Iterator[None]:
    """Have the site's agents show a password at the broker's other port for as long."""
    (before,) = (
        document["spec"]["broker"] for document in world.documents() if document["kind"] == "Site"
    )
    after = before | {"port": services.PASSWORD_PORT, "credential": install.LOGIN}
    say_broker(world, after)
    try:
        world.until_deciding()
        yield
    finally:
        say_broker(world, before)


def say_broker(world: worlds.World, broker: Mapping[str, Any]) -> None:
    patch = json.dumps({"spec": {"broker": broker}})
    world.cluster.kubectl(
        "patch", "sites.foreshore.dev", worlds.SITE,
        "-n", worlds.NAMESPACE, "--type=merge", "-p", patch,
    )  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A command in the records, which the plug knows nothing of."""

    issued: datetime
    state: str
    holder: str
    epoch: int
    fence: str | None
    outcomes: tuple[str, ...]


def sent(world: worlds.World) -> list[Sent]:
    """Every command to the plug that the hub has a record of, in order."""
    records = [record for record in world.decisions(f"device={PLUG}") if is_command(record)]
    return sorted(map(_sent, records), key=lambda command: command.issued)


def is_command(record: Mapping[str, Any]) -> bool:
    return record["decision"].get("command") is not None


def _sent(record: Mapping[str, Any]) -> Sent:
    decided = record["decision"]
    command = decided["command"]
    return Sent(
        issued=datetime.fromisoformat(command["issuedAt"]),
        state="ON" if command["input"]["value"] else "OFF",
        holder=command["holder"],
        epoch=command["epoch"],
        fence=decided["device"].get("fence"),
        outcomes=tuple(outcome["outcome"] for outcome in record["outcomes"]),
    )


def sender(heard: plugs.HeardCommand, commands: Sequence[Sent]) -> Sent | None:
    """Whose command it was that the plug heard: the last one of that state issued just before."""
    near = timedelta(seconds=TIME_TO_LIVE)
    mine = [
        command
        for command in commands
        if command.state == heard.state and heard.time - near <= command.issued <= heard.time
    ]
    return mine[-1] if mine else None


def is_confirmed(world: worlds.World, epoch: int) -> Callable[[], bool]:
    return lambda: any(
        command.epoch == epoch and "Confirmed" in command.outcomes for command in sent(world)
    )


def test_nobody_commands_a_plug_after_its_next_holder_has_begun(
    world: worlds.World, plug: plugs.Plug
) -> None:
    world.until(lambda: world.authority(PLUG) is not None, "an agent holds the plug")
    before = world.authority(PLUG)
    assert before is not None
    world.until(is_confirmed(world, before[1]), "the plug says that it has switched", 60)
    assert world.condition("devices", PLUG, "Unfenced") == ("True", "NoFence")
    assert world.find("devices", PLUG)["status"]["fence"] == "None"

    killed = worlds.now()
    world.cluster.kill(before[0])
    world.until(lambda: (world.authority(PLUG) or before)[1] > before[1], "the right moves", 90)
    after = world.authority(PLUG)
    assert after is not None
    assert after[0] != before[0]
    world.until(is_confirmed(world, after[1]), "the plug obeys its next holder", 60)

    # The dead node's last records come when it boots: then every command has its sender.
    known = list(plug.heard)
    world.cluster.heal()

    def senders() -> list[Sent | None]:
        commands = sent(world)
        return [sender(heard, commands) for heard in known]

    world.until(lambda: None not in senders(), "every command that was heard is recorded", 120)
    epochs = [command.epoch for command in senders() if command is not None]
    assert set(epochs) == {before[1], after[1]}
    assert epochs == sorted(epochs), "no command of the old holder after the first of the new"
    first = known[epochs.index(after[1])]
    assert (first.time - killed).total_seconds() >= EARLIEST, "it waits out what may be on its way"
    assert {command.fence for command in senders() if command is not None} == {"None"}
