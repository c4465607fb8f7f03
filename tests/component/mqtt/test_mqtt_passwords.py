"""Brokers that want a user name and a password: let in, turned away with their own reason."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builders import patience, site_side
from foreshore_agent.devices.mqtt import connection
from foreshore_agent.engine import events
from foreshore_api.v1alpha1 import site
from harness import mosquitto

pytestmark = pytest.mark.component

USER, PASSWORD, OTHER = "foreshore", "not-a-real-one", "another-one"
NAME = "shop-broker"
BOTH = pytest.mark.parametrize("protocol", list(site.Protocol))


@pytest.fixture(params=["Plain", "TLS"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[mosquitto.Broker]:
    """One that takes no anonymous login."""
    users, is_tls = {USER: PASSWORD}, request.param == "TLS"
    with mosquitto.Broker(tmp_path / "broker", tls=is_tls, users=users) as started:
        yield started


def spec(
    broker: mosquitto.Broker,
    protocol: site.Protocol = site.Protocol.V5,
    credential: str | None = NAME,
) -> site.Broker:
    transport = site.Transport.TLS if broker.tls else site.Transport.PLAIN
    return site.Broker(
        host=broker.host,
        port=broker.port,
        protocol=protocol,
        transport=transport,
        credential=credential,
    )


async def opened(where: site.Broker, folder: Path) -> connection.BrokerConnection:
    return await connection.BrokerConnection.open(
        connection.Address.of(where, folder), name="a", received=lambda _: None
    )


async def until(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience.SECONDS):
        while not happens():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@BOTH
async def test_the_right_password_is_let_in(
    broker: mosquitto.Broker, protocol: site.Protocol, tmp_path: Path
) -> None:
    """Regression: a user name could not be written anywhere, and most brokers want one."""
    broker.login(tmp_path, NAME, USER, PASSWORD)
    session = await opened(spec(broker, protocol), tmp_path)
    assert await session.subscribe(["t"]) == ()
    await session.close()


@BOTH
async def test_a_wrong_password_is_refused_with_the_brokers_reason(
    broker: mosquitto.Broker, protocol: site.Protocol, tmp_path: Path
) -> None:
    broker.login(tmp_path, NAME, USER, OTHER)
    with pytest.raises(connection.ConnectionFailedError) as refused:
        await opened(spec(broker, protocol), tmp_path)
    assert refused.value.reason == "NotAuthorized"
    assert f"the credential {NAME}" in str(refused.value)
    assert OTHER not in str(refused.value)


@BOTH
async def test_nobody_is_let_in_without_a_user_name(
    broker: mosquitto.Broker, protocol: site.Protocol, tmp_path: Path
) -> None:
    place = broker.login(tmp_path, NAME, USER, PASSWORD)
    for file in ("username", "password"):
        (place / file).unlink()
    with pytest.raises(connection.ConnectionFailedError) as refused:
        await opened(spec(broker, protocol, NAME if broker.tls else None), tmp_path)
    assert refused.value.reason == "NotAuthorized"


async def test_a_plain_broker_says_which_files_its_credential_lacks(tmp_path: Path) -> None:
    """Regression: the credential of a Plain broker was silently not used."""
    with mosquitto.Broker(tmp_path / "broker", users={USER: PASSWORD}) as broker:
        (tmp_path / NAME).mkdir()
        with pytest.raises(connection.ConnectionFailedError, match="holds no username"):
            await opened(spec(broker), tmp_path)


async def test_a_password_is_read_again_at_the_next_connect(
    broker: mosquitto.Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broker.login(tmp_path, NAME, USER, OTHER)
    side = site_side.SiteSide("edge-1", tmp_path)
    side.assign(spec(broker), ["room-301"])
    async with side.running():
        await until(lambda: side.devices.reason is not None)
        assert side.devices.reason == "NotAuthorized"
        assert "Not authorized" in str(side.devices.problem)
        broker.login(tmp_path, NAME, USER, PASSWORD)
        await side.up()
        assert side.devices.reason is side.devices.problem is None
        broker.admit({USER: OTHER})
        broker.login(tmp_path, NAME, USER, OTHER)
        broker.restart()
        assert not (await side.next_of(events.BrokerChanged)).connected
        await side.up()
    assert USER not in caplog.text.replace("foreshore_agent", "")
    assert PASSWORD not in caplog.text
    assert OTHER not in caplog.text
    said = [line for line in caplog.messages if "control has no broker" in line]
    assert len([line for line in said if "Not authorized" in line]) == 1, "once a change"
    revealing = [line for line in caplog.messages if "clear text" in line]
    assert len(revealing) == (0 if broker.tls else 1)
