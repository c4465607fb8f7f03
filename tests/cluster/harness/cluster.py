"""A kind cluster as an object: kubeconfig, nodes, node faults as verbs, and `close()`.

    absent ── create ──► up ── kill/pause/cut/isolate/slow ──► faulty ── restart/resume/… ──► up
                          └──────────────── close (also after a crash: `sweep`) ──► absent

One control plane and four workers: three edge nodes of one site and a cloud node. The tests get
it from the fixture `cluster`, people from `uv run python tests/cluster/harness up`.
"""

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness import api, cache, docker, faults, kind, network, process, services, settings, shaper

LABEL_SITE = "foreshore.dev/site"
LABEL_TIER = "foreshore.dev/tier"
SITE = "hq"
KUBELET = 10250
DNS = 53


@dataclass(frozen=True)
class Node:
    """A node, which is a container of the same name."""

    name: str
    address: str
    pod_range: str
    tier: str  # Edge, Cloud, or "" for the control plane
    site: str = ""


class Cluster(api.Api):
    """One cluster of the harness. Make one with `create`, or `attach` to one that is up."""

    def __init__(self, name: str, lan: network.Network) -> None:
        super().__init__(kind.folder(name) / "kubeconfig")
        self.name = name
        self.folder = kind.folder(name)
        self.network = lan
        self.nodes: tuple[Node, ...] = ()
        self._delays: dict[str, tuple[float, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def control_plane(self) -> Node:
        """The node that runs the control plane, and in tests the operator and the hub."""
        return next(node for node in self.nodes if not node.tier)

    @property
    def edge(self) -> tuple[Node, ...]:
        """The site's nodes, by name."""
        return tuple(node for node in self.nodes if node.tier == "Edge")

    @property
    def cloud(self) -> tuple[Node, ...]:
        """The cloud nodes, by name."""
        return tuple(node for node in self.nodes if node.tier == "Cloud")

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def close(self) -> None:
        """Delete the cluster with its network and everything beside it."""
        kind.delete(self.name)

    def run_on(self, node: Node | str, *args: str | Path, timeout: float = 60) -> str:
        """Run a program on a node; its output."""
        return docker.docker("exec", self.container(node), *args, timeout=timeout)

    def container(self, node: Node | str) -> str:
        """The container that is this node; every fault goes through it."""
        return named(node)

    # -- faults ------------------------------------------------------------------------------

    def kill(self, node: Node | str) -> None:
        """A node dies: power lost."""
        docker.docker("kill", self.container(node))

    def restart(self, node: Node | str, *, timeout: float = 120) -> None:
        """A dead (or living) node boots, with the address it had, and is Ready again.

        Packet filters of before are gone, as after a real boot; a slow link is slow again.
        """
        held = self.node(self.container(node))
        if docker.is_running(held.name):
            docker.docker("kill", held.name)
        # Docker hands a stopped container's address to the next one that starts: ask for ours
        docker.docker("network", "disconnect", "-f", self.network.name, held.name)
        docker.docker("network", "connect", "--ip", held.address, self.network.name, held.name)
        docker.docker("start", held.name)
        shaper.forget(held.name)
        if held.name in self._delays:
            self._slow(held.name)
        self.wait_ready(held, timeout=timeout)

    def pause(self, node: Node | str) -> None:
        """A node hangs: nothing on it runs, its connections stay open."""
        docker.pause(self.container(node))

    def resume(self, node: Node | str) -> None:
        """A hung node goes on where it was."""
        docker.docker("unpause", self.container(node))

    def cut(self, node: Node | str) -> None:
        """A node loses its link; what runs on it goes on."""
        faults.cut(self.container(node))

    def join(self, node: Node | str) -> None:
        """A cut node has its link back."""
        faults.heal(self.container(node))

    def isolate(self, nodes: Sequence[Node | str]) -> None:
        """A group of nodes loses the rest of the cluster; inside, and to its broker, it goes on."""
        group = [self.node(self.container(node)) for node in nodes]
        names = [node.name for node in group]
        closed, opened = self._doors(group)
        # a door that was shut before proves nothing
        faults.prove(names, closed=(), opened=[*closed, *opened])
        inside = [part for node in group for part in (node.address, node.pod_range)]
        each(names, lambda name: faults.isolate(name, [*inside, self.network.broker]))
        faults.prove(names, closed=closed, opened=opened)
        back = [(node.address, KUBELET) for node in group]
        faults.prove([self.control_plane.name], closed=back, opened=())

    def rejoin(self, nodes: Sequence[Node | str]) -> None:
        """An isolated group has its uplink back."""
        each([self.container(node) for node in nodes], faults.heal)

    def block(self, node: Node | str, *addresses: str) -> None:
        """A node loses only these addresses or ranges, for example the site's broker."""
        faults.block(self.container(node), addresses)

    def unblock(self, node: Node | str) -> None:
        """A node that lost some addresses has them back."""
        faults.heal(self.container(node))

    def slow(self, node: Node | str, *, delay: float, jitter: float = 0.0) -> None:
        """A node's link takes `delay` ± `jitter` seconds longer, there and back together."""
        self._delays[self.container(node)] = (delay, jitter)
        self._slow(self.container(node))

    def _slow(self, name: str) -> None:
        delay, jitter = self._delays[name]
        faults.slow(name, delay=delay, jitter=jitter, owner=self.name)

    def quicken(self, node: Node | str) -> None:
        """A slowed node's link is as fast as before."""
        self._delays.pop(self.container(node), None)
        faults.quicken(self.container(node))

    def restart_api(self, *, timeout: float = 120) -> None:
        """The API server's container dies and comes back."""
        listed = self.run_on(self.control_plane, "crictl", "ps", "-q", "--name", "^kube-apiserver$")
        for container in listed.split():
            self.run_on(self.control_plane, "crictl", "stop", container)
        process.eventually(
            self._api_answers, what="the API server is back", timeout=timeout, interval=0.5
        )

    def heal(self) -> None:
        """Undo every fault: what is dead boots, what hangs goes on, what is cut joins.

        A slow link is no fault but how that link is; `quicken` ends it.
        """
        for node in self.nodes:
            state = (docker.inspect("container", node.name) or {}).get("State", {})
            if state.get("Paused"):
                self.resume(node)
            elif not state.get("Running"):
                self.restart(node)
        names = [node.name for node in self.nodes]
        each(names, faults.heal)
        self.wait_ready(*self.nodes)

    # -- waiting -----------------------------------------------------------------------------

    def wait_ready(self, *nodes: Node | str, timeout: float = 120) -> None:
        """Until every one of these nodes is Ready."""
        self._wait({named(node) for node in nodes}, ready=True, timeout=timeout)

    def wait_not_ready(self, *nodes: Node | str, timeout: float = 60) -> None:
        """Until none of these nodes is Ready."""
        self._wait({named(node) for node in nodes}, ready=False, timeout=timeout)

    def ready(self) -> Mapping[str, bool]:
        """Whether each node is Ready, as the API server has it."""
        return {
            node["metadata"]["name"]: any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in node["status"]["conditions"]
            )
            for node in self.get("nodes")["items"]
        }

    def _wait(self, names: set[str], *, ready: bool, timeout: float) -> None:
        def agreed() -> bool:
            with contextlib.suppress(process.CommandError):  # the API server may be the one away
                seen = self.ready()
                return all(seen.get(name, False) is ready for name in names)
            return False

        what = f"{', '.join(sorted(names))} {'Ready' if ready else 'not Ready'}"
        process.eventually(agreed, what=what, timeout=timeout, interval=0.5)

    def _doors(self, group: Sequence[Node]) -> tuple[list[faults.Door], list[faults.Door]]:
        """What an isolated group must not reach (nodes and a pod outside), and what it must."""
        outside = [node for node in self.nodes if node not in group]
        closed = [(node.address, KUBELET) for node in outside]
        opened = [(node.address, KUBELET) for node in group]
        names = {node.name for node in outside}
        pods = self.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"]
        closed += [
            (pod["status"]["podIP"], DNS)
            for pod in pods
            if pod["spec"].get("nodeName") in names and pod["status"].get("podIP")
        ]
        if docker.is_running(services.broker_name(self.name)):
            opened.append((self.network.broker, services.BROKER_PORT))
        return closed, opened

    def _api_answers(self) -> bool:
        with contextlib.suppress(process.CommandError):
            return self.kubectl("get", "--raw", "/readyz", timeout=5).strip() == "ok"
        return False


class Existing(Cluster):
    """Somebody's own cluster: its API is used, its machines are left alone."""

    def __init__(self, context: str, path: Path) -> None:
        api.Api.__init__(self, path)
        self.name = context

    def close(self) -> None:
        """Nothing: it is not ours."""

    def container(self, node: Node | str) -> str:
        """HarnessError: node faults are for clusters of the harness."""
        raise process.HarnessError(f"{named(node)} is no node of a cluster of the harness")


def existing(chosen: settings.Settings, path: Path) -> Existing:
    """The cluster of a kubeconfig's current context, if the settings allow it by name."""
    context = api.Api(path).kubectl("config", "current-context").strip()
    if chosen.provider is not settings.Provider.EXISTING or context not in chosen.contexts:
        raise process.HarnessError(
            f"the context {context} was not made by this harness and is left alone; to use it, set "
            f"PROVIDER=existing FORESHORE_CONTEXTS={context}"
        )
    return Existing(context, path)


def each(names: Sequence[str], act: Callable[[str], None]) -> None:
    """Do it on all of these nodes at once."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(names) or 1) as pool:
        list(pool.map(act, names))


def named(node: Node | str) -> str:
    """A node's name, also where the name was given."""
    return node.name if isinstance(node, Node) else node


def create(name: str, chosen: settings.Settings, *, edge: int = 3, cloud: int = 1) -> Cluster:
    """Make a cluster, or take the one of that name that is up and whole."""
    lan = kind.ensure(name, chosen, workers=edge + cloud)
    cluster = Cluster(name, lan)
    cluster.wait_ready(*kind.node_names(name))
    tiers = ["Edge"] * edge + ["Cloud"] * cloud
    for worker, tier in zip(kind.workers(name), tiers, strict=True):
        labels = [f"{LABEL_TIER}={tier}"] + ([f"{LABEL_SITE}={SITE}"] if tier == "Edge" else [])
        cluster.kubectl("label", "node", worker, "--overwrite", *labels)
    return seen(cluster)


@contextlib.contextmanager
def owned(name: str, chosen: settings.Settings) -> Iterator[Cluster]:
    """A cluster for as long as this lasts, deleted afterwards also where making it was broken off.

    One process at a time has a name; another waits. Should this process be killed, the next one
    that makes a cluster deletes this one.
    """
    with cache.lock(f"session-{name}"):
        kind.own(name)
        try:
            yield create(name, chosen)
        finally:
            kind.delete(name)


def attach(name: str) -> Cluster:
    """The cluster of the harness of that name that is up already."""
    lan = kind.attached(name)
    return seen(Cluster(name, lan))


def seen(cluster: Cluster) -> Cluster:
    """The cluster with its nodes as the API server knows them."""
    cluster.nodes = tuple(
        Node(
            name=node["metadata"]["name"],
            address=next(
                address["address"]
                for address in node["status"]["addresses"]
                if address["type"] == "InternalIP"
            ),
            pod_range=node["spec"]["podCIDR"],
            tier=node["metadata"]["labels"].get(LABEL_TIER, ""),
            site=node["metadata"]["labels"].get(LABEL_SITE, ""),
        )
        for node in sorted(
            cluster.get("nodes")["items"], key=lambda node: str(node["metadata"]["name"])
        )
    )
    return cluster
