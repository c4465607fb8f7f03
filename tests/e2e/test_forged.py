"""One message of somebody who holds the agents' credential: it costs nobody the right to act."""

import time
from pathlib import Path
from typing import Any

import pytest

from e2e import world as worlds
from foreshore_api.wire import beat
from harness import install, process

LEASE = 15.0
ABSURD = 1 << 62
BEYOND = 1 << 80
"""More than any integer of a database or of a machine's word."""


@pytest.mark.parametrize(
    "epoch",
    [int(time.time()) + 1000, ABSURD, BEYOND],
    ids=["a little ahead", "absurd", "beyond 64 bits"],
)
def test_a_beat_with_an_epoch_that_nobody_granted_disables_nobody(
    world: worlds.World, tmp_path: Path, epoch: int
) -> None:
    before, restarts = world.authority(), agents(world)
    moment = worlds.now()
    forged = (
        f'{{"node":"edge-99","bootId":"forged","sequence":1,"hasHub":true,"held":'
        f'[{{"namespace":"{worlds.NAMESPACE}","device":"{worlds.DEVICE}","epoch":{epoch}}}]}}'
    )
    publish(world, tmp_path, beat.beat_topic(worlds.SITE, "edge-99"), forged)
    world.until_deciding(LEASE)
    gap = worlds.gap(world.taken(), moment)
    assert gap is not None
    assert gap.total_seconds() < 5, "the hub answers the next request: the right is still there"
    assert world.authority() == before
    assert agents(world) == restarts


def test_a_renewal_that_nobody_asked_for_changes_nothing(
    world: worlds.World, tmp_path: Path
) -> None:
    before, restarts = world.authority(), agents(world)
    assert before is not None
    moment = worlds.now()
    for standing in ("Superseded", "Unknown"):
        forged = (
            f'{{"node":"{before[0]}","bootId":"forged","number":1,"devices":'
            f'[{{"namespace":"{worlds.NAMESPACE}","device":"{worlds.DEVICE}",'
            f'"epoch":{before[1] + 1},"standing":"{standing}"}}]}}'
        )
        publish(world, tmp_path, beat.renewed_topic(worlds.SITE, before[0]), forged)
    worlds.wait(5)
    gap = worlds.gap(world.taken(), moment)
    assert gap is not None
    assert gap.total_seconds() < 2
    assert world.authority() == before
    assert agents(world) == restarts


def publish(world: worlds.World, folder: Path, topic: str, text: str) -> None:
    """One message as an agent of the site could send it."""
    broker = world.installed.broker
    held = broker.credential(folder, "hq-broker")
    process.run(
        [
            "mosquitto_pub", "-h", broker.address, "-p", str(broker.port), "-t", topic, "-m", text,
            "--cafile", held / "ca.crt", "--cert", held / "tls.crt", "--key", held / "tls.key",
        ],
        timeout=10,
    )  # fmt: skip


def agents(world: worlds.World) -> dict[str, Any]:
    """How often each agent's container was started anew."""
    pods = world.cluster.get("pods", "-n", install.AGENTS)["items"]
    return {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in pods
    }
