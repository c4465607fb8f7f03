"""kind's side of a cluster: configuration, creation, deletion, and what a crash left behind.

Every cluster has a folder in the cache with its kubeconfig and a record of who closes it. A cluster
whose owner is gone is deleted by the next session (`sweep`); one without an owner stays until
someone closes it. Clusters without such a record are not ours and are never touched.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from harness import cache, docker, engine, network, nodeimage, process, settings, tools

# A cut or paused node is NotReady after 8 to 10 s (49 s with Kubernetes' defaults).
GRACE = 8
CREATE_TIMEOUT = 600


@dataclass(frozen=True)
class Owner:
    """The process that closes a cluster; its start time tells it from a later one of that id."""

    pid: int
    started: int


def folder(name: str) -> Path:
    """Where the cluster's kubeconfig, record, certificates and files are kept."""
    return cache.root() / "clusters" / name


def node_names(name: str) -> list[str]:
    """Every node's container, the control plane first."""
    known = process.run([tools.binary("kind"), "get", "nodes", "--name", name], env=kind_env(name))
    return sorted(known.split())


def workers(name: str) -> list[str]:
    """The worker nodes, in kind's order: worker, worker2, worker3, …"""
    return [node for node in node_names(name) if node.startswith(f"{name}-worker")]


def configuration(workers: int, *, own_image: bool) -> dict[str, Any]:
    """kind's configuration: nodes, fast failure detection, and what cgroup v1 needs."""
    kubelet: dict[str, Any] = {
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": GRACE,
        **({"cgroupDriver": "cgroupfs"} if own_image else {}),
    }
    control_plane = {
        "kind": "ClusterConfiguration",
        "controllerManager": {
            "extraArgs": [
                {"name": "node-monitor-grace-period", "value": f"{GRACE}s"},
                {"name": "node-monitor-period", "value": "1s"},
            ]
        },
    }
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane"}, *({"role": "worker"} for _ in range(workers))],
        "kubeadmConfigPatches": [yaml.safe_dump(control_plane), yaml.safe_dump(kubelet)],
    }


def refuse_foreign(name: str) -> None:
    """HarnessError if a cluster of that name was not made by the harness."""
    for node in node_names(name):
        container = docker.inspect("container", node)  # None: gone since, in a create broken off
        if container is not None and name not in container["NetworkSettings"]["Networks"]:
            raise process.HarnessError(
                f"a kind cluster {name} exists that this harness did not make; it is left alone. "
                f"Delete it yourself (kind delete cluster --name {name}) or use another name."
            )


def ensure(name: str, chosen: settings.Settings, *, workers: int) -> network.Network:
    """The cluster of that name, made if it is not up; its network."""
    engine.ensure()
    sweep()
    with cache.lock(f"cluster-{name}"):
        refuse_foreign(name)
        lan = network.ensure(name, owner=name, subnets=chosen.subnets)
        image = nodeimage.ensure(chosen)
        if is_up(name, workers, image):
            return lan
        remove(name)
        home = folder(name)
        home.mkdir(parents=True, exist_ok=True)
        config = home / "kind.yaml"
        config.write_text(yaml.safe_dump(configuration(workers, own_image=not chosen.node_image)))
        with process.step(f"creating the cluster {name}: a control plane and {workers} workers"):
            try:
                process.run(
                    [
                        tools.binary("kind"), "create", "cluster", "--name", name,
                        "--image", image, "--config", config,
                        "--kubeconfig", home / "kubeconfig", "--wait", "120s",
                    ],
                    env=kind_env(name),
                    timeout=CREATE_TIMEOUT,
                )  # fmt: skip
            except process.CommandError as failure:
                raise process.HarnessError(explain(failure.output)) from failure
    return lan


def explain(output: str) -> str:
    """What kind and kubeadm say went wrong, without their traces of calls."""
    telling = [
        line.strip()
        for line in output.splitlines()
        if any(word in line.lower() for word in ("error", "fail", "timed out", "refused"))
    ]
    return "kind could not create the cluster:\n  " + "\n  ".join(telling[:20])


def attached(name: str) -> network.Network:
    """The network of a cluster that is up; HarnessError if the harness made none of that name."""
    lan = docker.inspect("network", name)
    if lan is None or not (folder(name) / "kubeconfig").exists():
        raise process.HarnessError(
            f"there is no cluster {name} of the harness. Start it: make cluster"
        )
    return network.ensure(name, owner=name, subnets="")


def runs_from(node: str, image: str) -> bool:
    """Whether a node runs, and from this very image."""
    container, source = docker.inspect("container", node), docker.inspect("image", image)
    if container is None or source is None:
        return False
    return bool(container["State"]["Running"]) and container["Image"] == source["Id"]


def is_up(name: str, workers: int, image: str) -> bool:
    """Whether the whole cluster is there and its API server answers."""
    kubeconfig = folder(name) / "kubeconfig"
    if not kubeconfig.exists() or len(node_names(name)) != workers + 1:
        return False
    if not all(runs_from(node, image) for node in node_names(name)):
        return False
    ready = ["get", "--raw", "/readyz", "--request-timeout=5s"]
    return process.succeeds([tools.binary("kubectl"), "--kubeconfig", kubeconfig, *ready])


def delete(name: str) -> None:
    """Delete the cluster, what stands beside it, its network and its folder."""
    with cache.lock(f"cluster-{name}"):
        refuse_foreign(name)
        remove(name)
        if docker.inspect("network", name) is not None:
            docker.docker("network", "rm", name)
        shutil.rmtree(folder(name), ignore_errors=True)


def remove(name: str) -> None:
    """Delete the cluster's containers, its own and those beside it."""
    for container in docker.labelled("container", name):
        docker.remove(container)
    if not node_names(name):
        return
    with process.step(f"deleting the cluster {name}"):
        process.eventually(
            lambda: not delete_nodes(name), what=f"the nodes of {name} are gone", timeout=60
        )


def delete_nodes(name: str) -> list[str]:
    """Delete the cluster's nodes; what is left, made meanwhile for a create that was broken off."""
    process.run(
        [
            tools.binary("kind"), "delete", "cluster", "--name", name,
            "--kubeconfig", folder(name) / "kubeconfig",
        ],
        env=kind_env(name),
        timeout=300,
    )  # fmt: skip
    return node_names(name)


def own(name: str) -> None:
    """Note that this process closes the cluster; should it crash, the next session does."""
    record = folder(name) / "owner.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(asdict(Owner(os.getpid(), started_at(os.getpid())))))


def sweep() -> None:
    """Delete the clusters whose owner is gone."""
    for record in (cache.root() / "clusters").glob("*/owner.json"):
        owner = Owner(**json.loads(record.read_text()))
        if started_at(owner.pid) != owner.started:
            process.say(f"the cluster {record.parent.name} was left by a session that is gone")
            delete(record.parent.name)


def started_at(pid: int) -> int:
    """When a process started, in ticks since boot; 0 if there is none of that id."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def kind_env(name: str) -> Mapping[str, str]:
    """The cluster's own network, and the user's kubeconfig left alone."""
    return {
        "KIND_EXPERIMENTAL_DOCKER_NETWORK": name,
        "KUBECONFIG": str(folder(name) / "kubeconfig"),
    }
