"""What a fleet of a given size looks like: its nodes, sites, devices and policies, as documents.

Pure. A twentieth of the nodes is cloud, the others stand five to a site. Every site has the same
policies; every second policy wants a standby. Devices spread over sites and policies evenly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from builders import room
from foreshore_api import meta

Json = dict[str, Any]

NAMESPACE: Final = "fleet"
POLICIES: Final = 4
NODES_A_SITE: Final = 5
CLOUD_SHARE: Final = 20
"""One node in so many is cloud."""
AGENT: Final = "foreshore-agent"
ECHO_PORT: Final = 8081


@dataclass(frozen=True)
class FleetShape:
    """A fleet of so many nodes and devices."""

    nodes: int
    devices: int

    @property
    def cloud(self) -> int:
        """How many nodes are cloud."""
        return max(1, self.nodes // CLOUD_SHARE)

    @property
    def sites(self) -> int:
        """How many sites there are."""
        return max(1, (self.nodes - self.cloud) // NODES_A_SITE)

    def node_names(self) -> dict[str, str | None]:
        """Every node with its site; None for cloud."""
        edge = {
            f"{site_name(number % self.sites)}-n{number // self.sites}": site_name(
                number % self.sites
            )
            for number in range(self.nodes - self.cloud)
        }
        return {**edge, **{f"cloud-{number:03}": None for number in range(self.cloud)}}

    def node_documents(self) -> Iterator[Json]:
        """The nodes; kwok makes them Ready."""
        for name, site in self.node_names().items():
            yield node(name, site)

    def agent_pods(self, namespace: str) -> Iterator[Json]:
        """The pods of the agents, which only give addresses: `agents` plays what they do."""
        for name in self.node_names():
            yield agent_pod(name, namespace)

    def resources(self) -> Iterator[Json]:
        """What a person applies before the devices, in that order."""
        broker = {"host": "10.0.0.9", "port": 1883, "transport": "Plain"}
        for number in range(self.sites):
            yield room.changed(room.site(NAMESPACE, site_name(number)), spec__broker=broker)
        yield room.profile(NAMESPACE)
        yield room.model(NAMESPACE)
        yield room.version(NAMESPACE)
        for number in range(POLICIES):
            yield room.changed(
                room.policy(NAMESPACE, f"ventilate-{zone(number)}"),
                spec__deviceSelector={"matchLabels": {"zone": zone(number)}},
                spec__placement={"replicas": 1, "standby": number % 2},
            )

    def device_documents(self, first: int, end: int) -> Iterator[Json]:
        """Devices by number; any number of them keeps sites and policies even."""
        for number in range(first, end):
            yield self.device(number)

    def device(self, number: int) -> Json:
        """One device."""
        policy = number // self.sites % POLICIES
        return room.changed(
            room.device(NAMESPACE, f"d-{number:06}"),
            spec__site=site_name(number % self.sites),
            metadata__labels={"zone": zone(policy)},
        )

    def pods(self) -> int:
        """How many inference pods the policies want."""
        return sum(1 + number % 2 for number in range(POLICIES)) * self.sites


def site_name(number: int) -> str:
    """The name of a site."""
    return f"s{number:04}"


def zone(number: int) -> str:
    """The label by which a policy selects its devices."""
    return f"z{number}"


def node(name: str, site: str | None) -> Json:
    """A node as its kubelet registers it."""
    room_ = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    place = {meta.LABEL_TIER: "Edge", meta.LABEL_SITE: site} if site else {meta.LABEL_TIER: "Cloud"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **place}},
        "status": {"allocatable": room_, "capacity": room_},
    }


def agent_pod(node_name: str, namespace: str) -> Json:
    """The pod of one agent, bound to its node as a DaemonSet's is."""
    container = {
        "name": "agent",
        "image": "foreshore-edge:scale",
        "ports": [{"name": "http", "containerPort": ECHO_PORT}],
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}},
    }
    labels = {"app.kubernetes.io/name": AGENT, "app.kubernetes.io/part-of": "foreshore"}
    return {
        "metadata": {"namespace": namespace, "name": f"{AGENT}-{node_name}", "labels": labels},
        "spec": {
            "nodeName": node_name,
            "serviceAccountName": AGENT,
            "automountServiceAccountToken": False,
            "containers": [container],
            "tolerations": [{"operator": "Exists"}],
        },
    }
