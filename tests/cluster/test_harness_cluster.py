"""Every verb of the cluster does what it says, seen from the API server and from inside."""

import time

import pytest

from harness import cluster as whole
from harness import faults, process

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400, func_only=True)]
KUBELET = 10250


def test_nodes_carry_site_and_tier(cluster: whole.Cluster) -> None:
    assert [node.site for node in cluster.edge] == ["hq"] * 3
    assert [node.site for node in cluster.cloud] == [""]
    assert cluster.control_plane.tier == ""


def test_a_killed_node_is_not_ready_and_boots_with_its_address(cluster: whole.Cluster) -> None:
    first, second = cluster.edge[:2]
    cluster.kill(first)
    cluster.kill(second)
    cluster.wait_not_ready(first, second)
    cluster.restart(second)  # in the other order, Docker would swap their addresses
    cluster.restart(first)
    after = whole.seen(whole.attach(cluster.name))
    assert after.node(first.name).address == first.address
    assert after.node(second.name).address == second.address


def test_a_paused_node_is_seen_within_the_grace_and_comes_back(cluster: whole.Cluster) -> None:
    node = cluster.edge[0]
    begun = time.monotonic()
    cluster.pause(node)
    cluster.wait_not_ready(node)
    assert time.monotonic() - begun < 20
    cluster.resume(node)
    cluster.wait_ready(node, timeout=30)


def test_a_cut_node_goes_on_alone_and_joins(cluster: whole.Cluster) -> None:
    node, other = cluster.edge[:2]
    cluster.cut(node)
    assert not faults.reaches(node.name, (other.address, KUBELET))
    assert not faults.reaches(other.name, (node.address, KUBELET))
    assert cluster.run_on(node, "pidof", "kubelet").strip()
    cluster.wait_not_ready(node)
    cluster.join(node)
    cluster.wait_ready(node, timeout=30)
    assert faults.reaches(node.name, (other.address, KUBELET))


def test_an_isolated_site_keeps_itself_and_loses_the_rest(cluster: whole.Cluster) -> None:
    site, cloud = cluster.edge, cluster.cloud[0]
    cluster.isolate(site)  # proves it itself; here once more, from both sides
    assert faults.reaches(site[0].name, (site[1].address, KUBELET))
    assert not faults.reaches(site[0].name, (cloud.address, KUBELET))
    assert not faults.reaches(cloud.name, (site[2].address, KUBELET))
    cluster.wait_not_ready(*site)
    assert cluster.ready()[cloud.name]
    cluster.rejoin(site)
    cluster.wait_ready(*site, timeout=30)


def test_pods_of_an_isolated_site_are_isolated_too(cluster: whole.Cluster) -> None:
    inside, near = cluster.edge[:2]
    outside = cluster.cloud[0]
    with cluster.namespace("isolated") as namespace:
        addresses = {}
        for node in (inside, near, outside):
            addresses[node.name] = listener(cluster, namespace, node.name)
        far, by = addresses[outside.name], addresses[near.name]
        assert from_pod(cluster, namespace, inside.name, far)
        cluster.isolate(cluster.edge)
        # kubectl exec cannot get there now: enter the pod's network from its node
        assert not from_pod_on(cluster, inside.name, addresses[inside.name], far)
        assert from_pod_on(cluster, inside.name, addresses[inside.name], by)
        cluster.rejoin(cluster.edge)
        cluster.wait_ready(*cluster.edge)


def test_a_blocked_address_is_the_only_one_lost(cluster: whole.Cluster) -> None:
    node, lost, kept = cluster.edge
    cluster.block(node, lost.address)
    assert not faults.reaches(node.name, (lost.address, KUBELET))
    assert faults.reaches(node.name, (kept.address, KUBELET))
    cluster.unblock(node)
    assert faults.reaches(node.name, (lost.address, KUBELET))


def test_a_slowed_node_answers_later_by_what_was_asked(cluster: whole.Cluster) -> None:
    node = cluster.cloud[0]
    before = connect_seconds(node.address)
    cluster.slow(node, delay=0.04)
    during = connect_seconds(node.address)
    cluster.slow(node, delay=0.02)
    changed = connect_seconds(node.address)
    cluster.quicken(node)
    after = connect_seconds(node.address)
    assert 0.038 <= during - before <= 0.055, (before, during)
    assert 0.018 <= changed - before <= 0.035, (before, changed)
    assert after < 0.02


def test_the_api_server_comes_back(cluster: whole.Cluster) -> None:
    cluster.restart_api()
    cluster.wait_ready(*cluster.nodes)


def test_a_closed_door_before_the_fault_is_no_proof(cluster: whole.Cluster) -> None:
    with pytest.raises(process.HarnessError, match="not what was asked"):
        faults.prove([cluster.edge[0].name], closed=[(cluster.edge[1].address, KUBELET)], opened=())


def connect_seconds(address: str) -> float:
    """The median time of a TCP connect from this machine to the node's kubelet."""
    taken = []
    for _ in range(9):
        begun = time.monotonic()
        assert process.listens(address, KUBELET)
        taken.append(time.monotonic() - begun)
    return sorted(taken)[4]


def listener(cluster: whole.Cluster, namespace: str, node: str) -> str:
    """A pod on that node that listens on 8080; its address."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"on-{node}", "namespace": namespace},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "listener",
                    "image": "registry.k8s.io/coredns/coredns:v1.14.2",
                    "args": ["-dns.port", "8080"],
                }
            ],
        },
    }
    cluster.apply(pod)
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/on-{node}", "-n", namespace)
    address = cluster.get("pod", f"on-{node}", "-n", namespace)["status"]["podIP"]
    return str(address)


def from_pod(cluster: whole.Cluster, namespace: str, node: str, address: str) -> bool:
    """Whether the pod on a node reaches another pod."""
    own = cluster.get("pod", f"on-{node}", "-n", namespace)["status"]["podIP"]
    return from_pod_on(cluster, node, str(own), address)


def from_pod_on(cluster: whole.Cluster, node: str, own: str, address: str) -> bool:
    """Whether a connection from a pod's own address on its node reaches another pod.

    The pod's network namespace is found by its address, and entered from the node.
    """
    for line in cluster.run_on(node, "lsns", "-t", "net", "-n", "-o", "PID").split():
        enter = ["nsenter", "-t", line, "-n"]
        if own in cluster.run_on(node, *enter, "hostname", "-I"):
            probe = ["timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{address}/8080"]
            return process.succeeds(["docker", "exec", node, *enter, *probe])
    raise AssertionError(f"no network namespace on {node} has {own}")
