"""A broker that lets an agent in and does not let it speak or hear: it is said, until it is mended.

In Mosquitto's `acl_file` a denied subscription is granted and nothing is delivered; its dynamic
security plugin refuses it in the SUBACK, as other brokers do. Both are met here.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foreshore_agent.devices.mqtt import broker as brokers
from foreshore_agent.devices.mqtt import connection, denials, lane
from foreshore_agent.engine import effects, events
from foreshore_api.v1alpha1 import deviceprofile, site
from foreshore_api.v1alpha1.device import DeviceSpec
from foreshore_api.wire import assignment, beat
from harness import mosquitto

pytestmark = pytest.mark.component

AGENT = "user agent\ntopic readwrite foreshore/v1/hq/+/+\n"
PLUGIN = "mosquitto_dynamic_security.so"


def a_device(name: str) -> assignment.AssignedDevice:
    profile = deviceprofile.DeviceProfileSpec(
        mqtt=deviceprofile.Mqtt(
            telemetry_topic="{site}/{device}/telemetry", command_topic="{site}/{device}/command"
        ),
        properties=(deviceprofile.Property(name="co2"),),
    )
    spec = DeviceSpec(profile_ref={"name": "room"}, site="hq")
    return assignment.AssignedDevice(
        namespace="hq", name=name, uid="u", generation=1, digest="d", spec=spec, profile=profile
    )


@contextlib.asynccontextmanager
async def speaking(
    where: site.Broker, credentials: Path | None, told: list[events.Event] | None = None
) -> AsyncIterator[brokers.Broker]:
    """An agent's side of a broker, which beats as an agent does, only more often."""
    side = brokers.Broker(
        "edge-1",
        lambda: (events.Instant(datetime.now(UTC), 0.0, 0.0), ""),
        brokers.Calls((told if told is not None else []).append, lambda _: None, lambda _: None),
    )
    spec = site.SiteSpec(broker=where)
    found = assignment.AssignedSite(namespace="hq", name="hq", spec=spec)
    side.assign(found, [a_device("room-301")], credentials)

    async def beats() -> None:
        said = beat.Beat(node="edge-1", boot_id="b", sequence=1, has_hub=False)
        while True:
            side.live(said)
            await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(side.run()), asyncio.create_task(beats())]
    try:
        yield side
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def known_as(
    user: str, folder: Path, acl: str, told: list[events.Event] | None = None
) -> AsyncIterator[tuple[mosquitto.Broker, brokers.Broker]]:
    """An agent whose certificate bears a name, at a broker with an access list."""
    with mosquitto.Broker(folder / "broker", tls=True, acl=acl) as broker:
        broker.credential(folder / "credentials", "hq-broker", user)
        where = site.Broker(host=broker.host, port=broker.port, credential="hq-broker")
        async with speaking(where, folder / "credentials", told) as side:
            await until(lambda: side.is_connected)
            yield broker, side


async def test_a_credential_that_is_no_agents_is_said_until_the_list_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Mosquitto says nothing: it grants the subscription, and drops every beat."""
    monkeypatch.setattr(denials, "ECHO_SECONDS", 1.0)
    told: list[events.Event] = []

    def hearing() -> list[tuple[bool, bool]]:
        return [(e.connected, e.is_deaf) for e in told if isinstance(e, events.BrokerChanged)]

    async with known_as("wrong", tmp_path, AGENT, told) as (broker, side):
        assert hearing() == [(True, False)], "nobody is deaf before he had time to hear"
        await until(lambda: side.is_stranger)
        await until(lambda: hearing() == [(True, False), (True, True)])
        (sentence,) = side.denied
        assert "foreshore/v1/hq/beat/edge-1" in sentence
        assert "broker-acl" in sentence
        assert sum("foreshore/v1/hq/beat" in line.message for line in caplog.records) == 1
        broker.grant(AGENT.replace("user agent", "user wrong"))
        await until(lambda: not side.denied)
        assert side.is_connected
        assert hearing()[-1] == (True, False)


async def test_an_agent_that_is_heard_is_denied_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denials, "ECHO_SECONDS", 1.0)
    async with known_as("agent", tmp_path, AGENT) as (_, side):
        await asyncio.sleep(2.0)
        assert (side.denied, side.is_stranger) == ((), False)


async def test_a_command_that_the_broker_throws_away_is_said_until_it_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The list is older than the device: the broker takes the command and nobody gets it."""
    now = datetime.now(UTC)
    policy, device = events.Key("hq", "ventilate"), events.Key("hq", "room-301")
    order = effects.Command(
        "d/1", 1, policy, device, "air", {"value": 1.0}, "edge-1", 7, 8, now, now, 5.0, 9e9
    )
    async with known_as("agent", tmp_path, AGENT) as (broker, side):
        assert side.command(order) is None
        await until(lambda: bool(side.denied))
        assert side.command(order) is None
        (sentence,) = side.denied
        assert sentence == "does not let us publish on hq/room-301/command (Not authorized)"
        assert sum("hq/room-301/command" in line.message for line in caplog.records) == 1
        broker.grant(AGENT + "topic write hq/room-301/command\n")

        async def mended() -> bool:
            side.command(order)
            await asyncio.sleep(0.1)
            return not side.denied

        async with asyncio.timeout(20):
            while not await mended():
                pass


def dynamic_security(path: Path) -> str:
    """Mosquitto's plugin, for anonymous clients that may do all but listen on telemetry."""
    allowed = [
        {"acltype": kind, "topic": topic, "priority": 0, "allow": True}
        for kind in ("publishClientSend", "publishClientReceive", "unsubscribePattern")
        for topic in ("#", "$CONTROL/#")
    ] + [{"acltype": "subscribePattern", "topic": "foreshore/#", "priority": 0, "allow": True}]
    path.write_text(
        json.dumps(
            {
                "roles": [{"rolename": "anybody", "acls": allowed}],
                "groups": [{"groupname": "all", "roles": [{"rolename": "anybody"}]}],
                "anonymousGroup": "all",
                "defaultACLAccess": {
                    "publishClientSend": False, "publishClientReceive": False,
                    "subscribe": False, "unsubscribe": False,
                },
            }
        )
    )  # fmt: skip
    place = next(Path("/usr/lib").rglob(PLUGIN))
    return f"plugin {place}\nplugin_opt_config_file {path}"


async def test_a_subscription_that_the_broker_refuses_is_said_until_it_is_granted(
    tmp_path: Path,
) -> None:
    extra = dynamic_security(tmp_path / "security.json")
    with mosquitto.Broker(tmp_path / "broker", extra=extra) as broker:
        where = site.Broker(host=broker.host, port=broker.port, transport=site.Transport.PLAIN)
        async with speaking(where, None) as side:
            await until(lambda: bool(side.denied))
            assert side.denied == (
                "does not let us listen on hq/room-301/telemetry (Not authorized)",
            )
            admin = await connection.Connection.open(
                connection.Address(broker.host, broker.port), name="admin", received=print
            )
            order = {
                "command": "addRoleACL", "rolename": "anybody", "acltype": "subscribePattern",
                "topic": "hq/#", "priority": 1, "allow": True,
            }  # fmt: skip
            body = json.dumps({"commands": [order]}).encode()
            with contextlib.suppress(connection.NotSentError):  # it throws everybody out for it
                await admin.deliver("$CONTROL/dynamic-security/v1", body)
            await until(lambda: side.is_connected and not side.denied)
            await admin.close()


async def test_a_subscription_that_was_refused_is_asked_for_again_in_the_same_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that reads its list again need not throw anybody out."""
    monkeypatch.setattr(lane, "AGAIN_SECONDS", 0.3)
    asked: list[tuple[str, ...]] = []
    really = connection.Connection.subscribe

    async def refusing(
        self: connection.Connection, filters: Sequence[str], qos: int = 1
    ) -> tuple[str, ...]:
        if not any("telemetry" in each for each in filters):
            return await really(self, filters, qos)
        asked.append(tuple(filters))
        if len(asked) > 2:
            return await really(self, filters, qos)
        for each in filters:
            self.denials.note(denials.Act.LISTEN, each, "Not authorized")
        return tuple(filters)

    monkeypatch.setattr(connection.Connection, "subscribe", refusing)
    with mosquitto.Broker(tmp_path / "broker") as broker:
        where = site.Broker(host=broker.host, port=broker.port, transport=site.Transport.PLAIN)
        async with speaking(where, None) as side:
            await until(lambda: bool(side.denied))
            await until(lambda: side.is_connected and not side.denied)
    assert asked == [("hq/room-301/telemetry",)] * 3
    assert broker.log.read_text().count("as edge-1-telemetry") == 1, "in one session"
