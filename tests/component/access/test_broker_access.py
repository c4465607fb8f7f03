"""The shipped broker configuration and access list, with a real Mosquitto: who can say what.

Mosquitto 3.1.1 drops a publication that it refuses and acknowledges it all the same, so each role
is judged by what arrives: an observer, who may do everything, hears what a role says and says what
a role hears.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from builders import patience
from foreshore_agent.devices.mqtt import connection
from foreshore_api.v1alpha1 import site
from foreshore_api.wire import beat
from harness import certificates, mosquitto

pytestmark = pytest.mark.component

BOTH = pytest.mark.parametrize("protocol", list(site.Protocol))
OBSERVER = "observer"
OBSERVER_ACL = "\nuser observer\ntopic readwrite #\n"


def a_device(name: str, site: str) -> dict[str, object]:
    return {
        "apiVersion": "foreshore.dev/v1alpha1",
        "kind": "Device",
        "metadata": {"name": name, "namespace": "hq"},
        "spec": {"profileRef": {"name": "room"}, "site": site},
    }


def a_site(name: str) -> dict[str, object]:
    broker = {"host": "127.0.0.1", "port": 8883, "credential": f"{name}-broker"}
    return {
        "apiVersion": "foreshore.dev/v1alpha1",
        "kind": "Site",
        "metadata": {"name": name, "namespace": "hq"},
        "spec": {"broker": broker},
    }


PROFILE = {
    "apiVersion": "foreshore.dev/v1alpha1",
    "kind": "DeviceProfile",
    "metadata": {"name": "room", "namespace": "hq"},
    "spec": {
        "mqtt": {
            "telemetryTopic": "{site}/{device}/telemetry",
            "commandTopic": "{site}/{device}/command",
            "acknowledgementTopic": "{site}/{device}/ack",
            "adviceTopic": "{site}/{device}/advice",
        },
        "properties": [{"name": "co2"}],
    },
}
RESOURCES = [
    a_site("hq"), a_site("plant"), PROFILE,
    a_device("room-301", "hq"), a_device("room-302", "hq"), a_device("press-1", "plant"),
]  # fmt: skip
DEVICES = ("hq/room-301", "hq/room-302", "plant/press-1")
SPOKEN = ("telemetry", "ack")
HEARD = ("command", "advice")


def among(place: str) -> set[str]:
    """The topics on which the agents of a site speak to each other."""
    return {
        beat.beat_topic(place, "edge-1"),
        beat.renew_topic(place, "edge-1"),
        beat.renewed_topic(place, "edge-1"),
    }


def of(device: str, parts: tuple[str, ...]) -> set[str]:
    return {f"{device}/{part}" for part in parts}


TOPICS = sorted(
    among("hq") | among("plant") | {"anything", "hq", "hq/room-303/command", "foreshore/v1/hq"}
    | set().union(*(of(device, (*SPOKEN, *HEARD)) for device in DEVICES))
)  # fmt: skip
"""Everything that anybody may try to say or hear."""
AT_HQ = DEVICES[:2]
SAYS = {
    "hq/room-301": of("hq/room-301", SPOKEN),
    "hq-broker": among("hq").union(*(of(device, HEARD) for device in AT_HQ)),
    "plant-broker": among("plant") | of("plant/press-1", HEARD),
    "stranger": set[str](),
    "hq/room-999": set[str](),
}
HEARS = {
    "hq/room-301": of("hq/room-301", HEARD),
    "hq-broker": among("hq").union(*(of(device, SPOKEN) for device in AT_HQ)),
    "plant-broker": among("plant") | of("plant/press-1", SPOKEN),
    "stranger": set[str](),
    "hq/room-999": set[str](),
}
ROLES = pytest.mark.parametrize(
    "user",
    [
        pytest.param("hq/room-301", id="a device"),
        pytest.param("hq-broker", id="an agent"),
        pytest.param("plant-broker", id="an agent of another site"),
        pytest.param("stranger", id="a stranger with a certificate"),
        pytest.param("hq/room-999", id="a device that no resource names"),
    ],
)


def access_list(folder: Path) -> str:
    """The list that `broker-acl` writes from the resources."""
    resources = folder / "resources"
    resources.mkdir()
    (resources / "all.yaml").write_text(yaml.safe_dump_all(RESOURCES))
    verb = (sys.executable, "-m", "foreshore_agent.main", "broker-acl")
    done = subprocess.run(
        [*verb, "--resources", str(resources)], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[mosquitto.Broker]:
    acl = access_list(tmp_path) + OBSERVER_ACL
    with mosquitto.Broker(tmp_path / "broker", tls=True, acl=acl) as started:
        yield started


class Inbox:
    """What came, by topic."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def __call__(self, message: connection.MqttMessage) -> None:
        self.topics.append(message.topic)


def address(
    broker: mosquitto.Broker, user: str, protocol: site.Protocol = site.Protocol.V5
) -> connection.Address:
    credentials = broker.folder / "credentials"
    name = user.replace("/", "-")
    broker.credential(credentials, name, user)
    return connection.Address(broker.host, broker.port, protocol, name, credentials)


@contextlib.asynccontextmanager
async def joined(
    where: connection.Address, *filters: str
) -> AsyncIterator[tuple[connection.BrokerConnection, Inbox]]:
    inbox = Inbox()
    opened = await connection.BrokerConnection.open(where, name="role", received=inbox)
    if filters:
        await opened.subscribe(filters)
    try:
        yield opened, inbox
    finally:
        await opened.close()


async def settled(listener: connection.BrokerConnection) -> None:
    """Until the broker has sent a client everything it had for it before."""
    await listener.subscribe(["nothing/is/said/here"])
    await asyncio.sleep(0.05)  # what was read is handed over a little later


async def test_without_a_list_the_shipped_configuration_lets_nobody_say_anything(
    tmp_path: Path,
) -> None:
    with mosquitto.Broker(tmp_path / "broker", tls=True, acl=OBSERVER_ACL) as broker:
        async with (
            joined(address(broker, OBSERVER), "#") as (ear, inbox),
            joined(address(broker, "hq-broker")) as (agent, _),
        ):
            await agent.deliver("hq/room-301/command", b"{}")
            await settled(ear)
            assert inbox.topics == []


@BOTH
@ROLES
async def test_a_role_says_what_is_its_own_and_nothing_else(
    broker: mosquitto.Broker, protocol: site.Protocol, user: str
) -> None:
    async with (
        joined(address(broker, OBSERVER), "#") as (ear, inbox),
        joined(address(broker, user, protocol)) as (role, _),
    ):
        for topic in TOPICS:
            await role.deliver(topic, b"{}")
        await settled(ear)
        assert set(inbox.topics) == SAYS[user]


@BOTH
@ROLES
async def test_a_role_hears_what_is_its_own_and_nothing_else(
    broker: mosquitto.Broker, protocol: site.Protocol, user: str
) -> None:
    async with (
        joined(address(broker, user, protocol), "#", *TOPICS) as (role, inbox),
        joined(address(broker, OBSERVER)) as (mouth, _),
    ):
        for topic in TOPICS:
            await mouth.deliver(topic, b"{}")
        await settled(role)
        assert set(inbox.topics) == HEARS[user]


async def nobody(broker: mosquitto.Broker, held: Path) -> None:
    with pytest.raises(connection.ConnectionFailedError):
        await connection.BrokerConnection.open(
            replace(address(broker, OBSERVER), credential=held.name, credentials=held.parent),
            name="nobody",
            received=Inbox(),
        )


async def test_who_has_no_certificate_does_not_come_in(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    held = broker.credential(tmp_path / "credentials", "bare")
    (held / "tls.crt").unlink()
    await nobody(broker, held)


async def test_who_has_a_certificate_of_another_authority_does_not_come_in(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    held = certificates.Authority().issue(common_name="hq-broker").write(tmp_path / "c" / "forged")
    (held / "ca.crt").write_bytes(broker.authority.certificate)
    await nobody(broker, held)


async def test_a_list_that_was_written_again_holds_without_a_restart(
    broker: mosquitto.Broker,
) -> None:
    command = "hq/room-301/command"
    async with (
        joined(address(broker, OBSERVER), command) as (ear, inbox),
        joined(address(broker, "hq-broker")) as (agent, _),
    ):
        broker.grant(OBSERVER_ACL)

        async def arrives() -> bool:
            inbox.topics.clear()
            await agent.deliver(command, b"{}")
            await settled(ear)
            return command in inbox.topics

        async with asyncio.timeout(patience.SECONDS):
            while await arrives():  # noqa: ASYNC110 - a signal is taken when it is taken
                await asyncio.sleep(0.05)


@BOTH
async def test_a_message_that_nobody_could_mean_costs_its_sender_alone(
    broker: mosquitto.Broker, protocol: site.Protocol
) -> None:
    telemetry = "hq/room-301/telemetry"
    async with (
        joined(address(broker, "hq-broker", protocol), telemetry) as (agent, inbox),
        joined(address(broker, "hq/room-302", protocol)) as (other, _),
        joined(address(broker, "hq/room-301", protocol)) as (device, _),
    ):
        with pytest.raises(connection.NotSentError):
            await device.deliver(telemetry, bytes(1 << 20))
        assert (agent.is_open, other.is_open) == (True, True)
        await settled(agent)
        assert inbox.topics == []


def mosquitto_client(broker: mosquitto.Broker, user: str, password: str) -> paho.Client:
    """A device of somebody else's make, which holds a password and no certificate."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.tls_set(str(broker.folder / "tls/ca.crt"))
    client.username_pw_set(user, password)
    client.connect(broker.host, broker.password_port or 0)
    client.loop_start()
    return client


async def test_a_device_with_a_password_is_held_to_the_same_list(tmp_path: Path) -> None:
    logins = {"hq/room-301": "pw", "stranger": "pw"}
    acl = access_list(tmp_path) + OBSERVER_ACL
    with mosquitto.Broker(tmp_path / "broker", tls=True, acl=acl, logins=logins) as broker:
        async with joined(address(broker, OBSERVER), "#") as (ear, inbox):
            for user, password in (("hq/room-301", "pw"), ("stranger", "pw"), ("hq/room-301", "x")):
                client = mosquitto_client(broker, user, password)
                for topic in TOPICS:
                    said = client.publish(topic, b"{}", qos=1)
                with contextlib.suppress(RuntimeError):
                    await asyncio.to_thread(said.wait_for_publish, 2)
                client.disconnect()
                client.loop_stop()
            await settled(ear)
            assert sorted(inbox.topics) == sorted(SAYS["hq/room-301"])
