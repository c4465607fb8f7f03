"""A broker that lets an agent in and does not let it speak or hear: it is said, until it is mended.

In Mosquitto's `acl_file` a denied subscription is granted and nothing is delivered; its dynamic
security plugin refuses it in the SUBACK, as other brokers do. Both are met here.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from builders import patience, site_side
from foreshore_agent.devices.mqtt import connection, denials, lane
from foreshore_agent.engine import events
from foreshore_agent.site import echo
from foreshore_api.v1alpha1 import site
from foreshore_api.wire import beat
from harness import mosquitto

pytestmark = pytest.mark.component

AGENT = "user agent\ntopic readwrite foreshore/v1/hq/+/+\n"
PLUGIN = "mosquitto_dynamic_security.so"


@contextlib.asynccontextmanager
async def speaking(
    where: site.Broker, credentials: Path | None
) -> AsyncIterator[site_side.SiteSide]:
    """An agent's side of a broker, which beats as an agent does, only more often."""
    side = site_side.SiteSide(credentials=credentials)
    side.assign(where, ["room-301"])

    async def beats() -> None:
        own = beat.Beat(node="edge-1", boot_id="b", sequence=1, has_hub=False)
        while True:
            side.exchange.announce(own)
            await asyncio.sleep(0.1)

    async with side.running():
        beating = asyncio.create_task(beats())
        try:
            yield side
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience.SECONDS):
        while not condition():  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def known_as(
    user: str, folder: Path, acl: str
) -> AsyncIterator[tuple[mosquitto.Broker, site_side.SiteSide]]:
    """An agent whose certificate bears a name, at a broker with an access list."""
    with mosquitto.Broker(folder / "broker", tls=True, acl=acl) as broker:
        broker.credential(folder / "credentials", "hq-broker", user)
        where = site.Broker(host=broker.host, port=broker.port, credential="hq-broker")
        async with speaking(where, folder / "credentials") as side:
            await until(lambda: side.broker.is_connected)
            yield broker, side


async def test_a_credential_that_is_no_agents_is_said_until_the_list_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Mosquitto says nothing: it grants the subscription, and drops every beat."""
    monkeypatch.setattr(echo, "ECHO_SECONDS", 1.0)
    async with known_as("wrong", tmp_path, AGENT) as (broker, side):
        assert side.changes == [(True, False)], "nobody is deaf before he had time to hear"
        await until(lambda: side.exchange.is_stranger)
        await until(lambda: side.changes == [(True, False), (True, True)])
        (sentence,) = side.denied
        assert "foreshore/v1/hq/beat/edge-1" in sentence
        assert "broker-acl" in sentence
        assert sum("foreshore/v1/hq/beat" in line.message for line in caplog.records) == 1
        broker.grant(AGENT.replace("user agent", "user wrong"))
        await until(lambda: not side.denied)
        assert side.broker.is_connected
        assert side.changes[-1] == (True, False)


async def test_an_agent_that_is_heard_is_denied_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo, "ECHO_SECONDS", 1.0)
    async with known_as("agent", tmp_path, AGENT) as (_, side):
        await asyncio.sleep(2.0)
        assert (side.denied, side.exchange.is_stranger) == ((), False)


async def test_a_command_that_the_broker_throws_away_is_said_until_it_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The list is older than the device: the broker takes the command and nobody gets it."""
    order = site_side.command()
    async with known_as("agent", tmp_path, AGENT) as (broker, side):
        await side.up()
        assert side.devices.send(order) is None, "MQTT has no answer before the broker's"
        refused = await side.next_of(events.CommandNotSent)
        assert (refused.command_id, refused.reason) == (order.command_id, "NotAuthorized")
        assert (refused.policy, refused.device) == (order.policy, order.device)
        assert side.devices.send(order) is None
        (sentence,) = side.denied
        assert sentence == "does not let us publish on hq/room-301/command (Not authorized)"
        assert sum("hq/room-301/command" in line.message for line in caplog.records) == 1
        broker.grant(AGENT + "topic write hq/room-301/command\n")

        async def mended() -> bool:
            side.devices.send(order)
            await asyncio.sleep(0.1)
            return not side.denied

        async with asyncio.timeout(patience.SECONDS):
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
            await until(lambda: len(side.denied) == 2)
            assert side.denied == (
                "does not let us listen on hq/room-301/ack (Not authorized)",
                "does not let us listen on hq/room-301/telemetry (Not authorized)",
            )
            admin = await connection.BrokerConnection.open(
                connection.Address(broker.host, broker.port), name="admin", received=print
            )
            order = {
                "command": "addRoleACL", "rolename": "anybody", "acltype": "subscribePattern",
                "topic": "hq/#", "priority": 1, "allow": True,
            }  # fmt: skip
            body = json.dumps({"commands": [order]}).encode()
            with contextlib.suppress(connection.NotSentError):  # it throws everybody out for it
                await admin.deliver("$CONTROL/dynamic-security/v1", body)
            await until(lambda: side.broker.is_connected and not side.denied)
            await admin.close()


async def test_a_subscription_that_was_refused_is_asked_for_again_in_the_same_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that reads its list again need not throw anybody out."""
    monkeypatch.setattr(lane, "AGAIN_SECONDS", 0.3)
    asked: list[tuple[str, ...]] = []
    really = connection.BrokerConnection.subscribe

    async def refusing(
        self: connection.BrokerConnection, filters: Sequence[str], qos: int = 1
    ) -> tuple[str, ...]:
        if not any("telemetry" in each for each in filters):
            return await really(self, filters, qos)
        asked.append(tuple(filters))
        if len(asked) > 2:
            return await really(self, filters, qos)
        for each in filters:
            self.denials.note(denials.TopicUse.LISTEN, each, "Not authorized")
        return tuple(filters)

    monkeypatch.setattr(connection.BrokerConnection, "subscribe", refusing)
    with mosquitto.Broker(tmp_path / "broker") as broker:
        where = site.Broker(host=broker.host, port=broker.port, transport=site.Transport.PLAIN)
        async with speaking(where, None) as side:
            await until(lambda: bool(side.denied))
            await until(lambda: side.broker.is_connected and not side.denied)
    assert asked == [("hq/room-301/telemetry",)] * 3
    assert broker.log.read_text().count("as edge-1-telemetry") == 1, "in one session"
