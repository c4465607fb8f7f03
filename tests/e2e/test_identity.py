"""Who may say what: nodes cannot label themselves, and a token reaches its own node's data only."""

import pytest

from e2e import world as worlds
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
