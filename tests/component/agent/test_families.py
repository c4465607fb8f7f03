"""An agent by addresses of each family: its port, its hub, its broker, its replicas."""

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from builders import fake_hub, families, onnx_models, room, room_device, serving_process
from builders.living import living, until
from foreshore_agent import health, settings
from foreshore_api import addresses, meta, v1alpha1
from foreshore_api.wire import assignment, report
from foreshore_decision import assignment as compiling
from foreshore_serving import models
from harness import mosquitto, process

pytestmark = [pytest.mark.component, pytest.mark.usefixtures("short_waits")]

KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}
NODE = "edge-1"
CREDENTIAL = "hq-broker"
BODY = onnx_models.model()


def get(host: str, port: int, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(addresses.http(host, port) + path, timeout=10) as answer:
        return answer.status, answer.read().decode()


@contextlib.asynccontextmanager
async def port_on(host: str) -> AsyncIterator[int]:
    """An agent's port by itself."""
    opened = health.Port(health.application(prometheus_client.CollectorRegistry(), tuple), host, 0)
    number = await opened.start()
    try:
        yield number
    finally:
        await opened.close()


@pytest.mark.parametrize("host", families.LOOPBACKS)
@pytest.mark.parametrize("listens", ["::", "loopback"])
async def test_kubelet_and_peers_reach_an_agent_by_either_family(host: str, listens: str) -> None:
    async with port_on(host if listens == "loopback" else listens) as number:
        assert (await asyncio.to_thread(get, host, number, "/echo"))[0] == 204
        assert await asyncio.to_thread(get, host, number, "/readyz") == (200, "ok\n")


def documents(broker: mosquitto.Broker, replica: str) -> list[dict[str, Any]]:
    """The room as the operator has it: its replica is ready at an address."""
    where = {"host": broker.host, "port": broker.port}
    shown = {"credential": CREDENTIAL} if broker.tls else {"transport": "Plain"}
    occupied = {"name": "any", "effect": "Permit", "expression": "score >= 0.0", "reason": "Any"}
    placement = room.resource(
        "InferencePlacement",
        "hq",
        "ventilate-when-occupied.hq",
        {"policyRef": {"name": "ventilate-when-occupied"}, "site": "hq"},
    )
    held = {"holder": NODE, "epoch": 1000, "lastIssued": 1000}
    served = {
        "slot": "r0",
        "role": "Active",
        "cluster": "local",
        "node": "edge-2",
        "endpoint": replica,
        "phase": "Ready",
        "version": "occupancy-v1",
        "digest": models.digest_of(BODY),
    }
    return [
        room.changed(room.site(), spec__broker=where | shown),
        *(room.profile(), room.device() | {"status": {"authority": held}}, room.model()),
        room.changed(room.version(), spec__digest=models.digest_of(BODY)),
        room.changed(room.policy(), spec__rules=[occupied], spec__inference__timeout="5s"),
        placement | {"status": {"replicas": [served]}},
    ]


def assigned(broker: mosquitto.Broker, replica: str) -> assignment.Assignment:
    """What the hub compiles of these."""
    read: list[meta.Resource] = [
        KINDS[document["kind"]].read(document) for document in documents(broker, replica)
    ]
    made = compiling.compile(compiling.Resources.of(read), NODE, site="hq")
    return made.assignment.model_copy(update={"lineage": "store", "generation": 1})


def answered(reports: list[report.Report]) -> set[str]:
    """Where replicas answered, as an agent reports it."""
    lines = [line for written in reports for line in written.endpoints]
    return {line.url for line in lines if line.good}


@pytest.mark.parametrize("host", families.LOOPBACKS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain broker", "broker with TLS"])
async def test_hub_broker_and_replica_are_reached_at_addresses_of_either_family(
    host: str, tls: bool, tmp_path: Path
) -> None:
    """The certificate of a broker with an IPv6 address carries that address, without brackets."""
    served = f"[::]:{process.free_port()}"
    credentials = tmp_path / "credentials"
    with (
        mosquitto.Broker(tmp_path / "broker", host=host, tls=tls) as broker,
        serving_process.serving_process(BODY, listen=served) as running,
    ):
        running.await_ready()
        replica = addresses.joined(host, addresses.split(served)[1])
        hub = fake_hub.FakeHub(NODE)
        hub.assignment = assigned(broker, replica)
        await hub.start(host=host)
        token = tmp_path / "token"
        token.write_text("token")
        shown: dict[str, Any] = {}
        if tls:
            broker.credential(credentials, CREDENTIAL)
            shown = {"credential": CREDENTIAL, "credentials": credentials}
        source = settings.HubSettings(addresses.http(host, hub.port), token, None)
        configured = settings.AgentSettings(
            NODE, tmp_path / "state", source, credentials=credentials, address="::", port=0
        )
        async with (
            room_device.RoomDevice().connected(broker.port, host, **shown) as device,
            living(configured),
        ):
            await device.measure_until(commands=2)
            await until(lambda: bool(hub.batches))
            await until(lambda: answered(hub.reports) != set())
        await hub.stop()
    assert answered(hub.reports) == {f"http://{replica}"}
