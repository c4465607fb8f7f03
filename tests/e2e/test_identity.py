"""Who may say what: nodes cannot label themselves, and a token reaches its own node's data only."""

import asyncio
import json
from pathlib import Path

import pytest

from e2e import world as worlds
from foreshore_agent.devices.mqtt import connection
from harness import process


def test_a_kubelet_may_not_label_its_own_node_into_a_site(world: worlds.World) -> None:
    node = world.cluster.cloud[0].name
    with pytest.raises(process.CommandError, match="a kubelet may not set"):
        world.cluster.run_on(
            node, "kubectl", "--kubeconfig", "/etc/kubernetes/kubelet.conf",
            "label", "node", node, "foreshore.dev/site=hq",
        )  # fmt: skip


def test_decisions_are_read_through_the_api_server_as_a_table(world: worlds.World) -> None:
    table = world.cluster.kubectl("get", "decisions", "-n", worlds.NAMESPACE)
    assert {"DEVICE", "POLICY", "VERDICT", "REASON"} <= set(table.splitlines()[0].split())


def test_an_editor_of_a_namespace_makes_policies_and_no_sites(world: worlds.World) -> None:
    """The cluster's own `edit` takes our role in; a plain API server has no controller for it."""
    world.cluster.kubectl(
        "create", "rolebinding", "an-editor", "--clusterrole=edit", "--user=an-editor",
        "-n", worlds.NAMESPACE,
    )  # fmt: skip
    try:
        world.until(lambda: may(world, "decisionpolicies"), "edit has taken our role in")
        assert not may(world, "sites")
        assert not may(world, "clusters")
    finally:
        world.cluster.kubectl("delete", "rolebinding", "an-editor", "-n", worlds.NAMESPACE)


def may(world: worlds.World, kind: str) -> bool:
    """Whether the editor may make objects of a kind."""
    try:
        said = world.cluster.kubectl(
            "auth", "can-i", "create", f"{kind}.foreshore.dev",
            "-n", worlds.NAMESPACE, "--as=an-editor",
        )  # fmt: skip
    except process.CommandError as error:
        said = error.output
    return said.strip().splitlines()[-1] == "yes"


async def test_nobody_but_an_agent_commands_a_device(world: worlds.World, tmp_path: Path) -> None:
    """The device writes down whatever reaches it, also what is no command at all."""
    command = f"{worlds.SITE}/{worlds.DEVICE}/command"
    assert malformed(world) == 0
    for user in ("stranger", f"{worlds.SITE}/{worlds.DEVICE}", f"{worlds.SITE}/room-302"):
        await publish(world, tmp_path, user, command)
    await asyncio.to_thread(world.until_deciding)
    assert malformed(world) == 0
    await publish(world, tmp_path, "hq-broker", command)
    await asyncio.to_thread(world.until, lambda: malformed(world) == 1, "an agent is heard")


def malformed(world: worlds.World) -> int:
    """Messages in the device's own log that were no commands."""
    lines = world.log().read_text().splitlines()
    return sum(json.loads(line)["event"] == "Malformed" for line in lines if line.endswith("}"))


async def publish(world: worlds.World, folder: Path, user: str, topic: str) -> None:
    """One message that is no command, from whoever has a certificate with this name."""
    broker = world.installed.broker
    broker.credential(folder, "someone", user)
    said = await connection.BrokerConnection.open(
        connection.Address(broker.address, broker.port, credential="someone", credentials=folder),
        name="someone",
        received=lambda _: None,
    )
    await said.deliver(topic, b"{}")
    await said.close()
