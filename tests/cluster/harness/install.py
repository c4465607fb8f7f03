"""The product on a cluster, by Helm from this tree's charts, the way a user installs it.

What the charts want from outside is made here: namespaces with their Pod Security, Secrets with
certificates, a volume for the hub. Operator and hub stand on the control-plane node, so that node
faults do not take them along. Every step may be repeated; what is as wanted stays as it is.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness import (
    certificates,
    cluster,
    docker,
    images,
    loading,
    process,
    services,
    settings,
    tools,
)

SYSTEM = "foreshore-system"
AGENTS = "foreshore-agents"
HUB_ADDRESS = "10.96.100.10"  # in kind's range of service addresses
HUB_NAMES = (f"foreshore-hub.{SYSTEM}.svc", f"foreshore-hub.{SYSTEM}.svc.cluster.local")
LOGIN = "hq-login"
"""The agents' credential where their site's broker asks for a password."""
HUB_STATE = "/var/lib/foreshore-hub"
USER = 65532  # whom the images run as
CHARTS = images.REPOSITORY / "charts"
TIMEOUT = 300
SECURITY = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True)
class Product:
    """An installed product, with the site's services beside it."""

    broker: services.Broker
    models: services.Models
    hub: str = f"https://{HUB_ADDRESS}:8443"


def install(
    target: cluster.Cluster,
    chosen: settings.Settings,
    *,
    namespaces: Iterable[str] = ("hq",),
    credential: str = "hq-broker",
) -> Product:
    """Build, load and install everything; `namespaces` get the Secret `models-ca`.

    Returns when operator, hub and every agent are ready.
    """
    keys = images.build(chosen)
    tags = {name: images.tag(name, key) for name, key in keys.items()}
    workers = [node.name for node in (*target.edge, *target.cloud)]
    loading.load(tags[images.CONTROL.name], [target.control_plane.name])
    loading.load(tags[images.EDGE.name], workers)

    broker = services.Broker(target.name, target.network, target.folder / "broker")
    models = services.Models(target.name, target.network, target.folder / "models")
    for service in (broker, models):
        if not docker.is_running(service.name):
            service.run()

    certify(target, broker, models, tuple(namespaces), credential)
    volume(target)
    release(target, "foreshore-crds", SYSTEM, {})
    release(target, "foreshore", SYSTEM, control_values(target, tags))
    release(target, "foreshore-agent", AGENTS, agent_values(tags, credential, LOGIN))
    # Helm is content with all agents but one
    target.kubectl(
        "rollout", "status", "daemonset/foreshore-agent", "-n", AGENTS, f"--timeout={TIMEOUT}s",
        timeout=TIMEOUT + 10,
    )  # fmt: skip
    return Product(broker, models)


def control_values(target: cluster.Cluster, tags: Mapping[str, str]) -> dict[str, Any]:
    """Values of the chart of operator and hub."""
    pinned = {
        "nodeSelector": {"kubernetes.io/hostname": target.control_plane.name},
        "tolerations": [
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
        ],
    }
    authority = certificates.Authority.at(target.folder / "pki" / "records")
    return {
        "image": image(tags[images.CONTROL.name]),
        "servingImage": tags[images.EDGE.name],
        "operator": {**pinned, "quarantine": False},  # tests lose a node again and again
        "hub": {
            **pinned,
            "clusterIP": HUB_ADDRESS,
            "records": {"caBundle": authority.certificate.decode()},
            "persistence": {"storageClass": "", "volumeName": "foreshore-hub"},
        },
    }


def agent_values(tags: Mapping[str, str], *credentials: str) -> dict[str, Any]:
    """Values of the agents' chart."""
    return {
        "image": image(tags[images.EDGE.name]),
        "hub": {"url": f"https://{HUB_ADDRESS}:8443"},
        "credentials": list(credentials),
    }


def image(name: str) -> dict[str, str]:
    """An image as the charts' values name it."""
    repository, _, tag = name.partition(":")
    return {"repository": repository, "tag": tag}


def certify(
    target: cluster.Cluster,
    broker: services.Broker,
    models: services.Models,
    namespaces: tuple[str, ...],
    credential: str,
) -> None:
    """Namespaces, and the Secrets the charts and the resources name in them."""
    pki = target.folder / "pki"
    door = leaf(pki, "door", HUB_ADDRESS, *HUB_NAMES)
    records = leaf(pki, "records", *HUB_NAMES)
    held = broker.folder / "credentials" / credential
    if not held.exists():
        broker.credential(held.parent, credential)
    models_ca = {"ca.crt": models.authority.certificate}
    target.apply(
        namespace(SYSTEM, "restricted"),
        namespace(AGENTS, "privileged"),
        *(namespace(name, "restricted") for name in namespaces),
    )
    target.apply(
        secret(SYSTEM, "foreshore-hub-tls", files(door)),
        secret(SYSTEM, "foreshore-records-tls", files(records)),
        config(AGENTS, "foreshore-hub-ca", {"ca.crt": (door / "ca.crt").read_bytes()}),
        secret(AGENTS, credential, files(held)),
        secret(AGENTS, LOGIN, login(broker, credential), type_="kubernetes.io/basic-auth"),
        *(secret(name, "models-ca", models_ca) for name in namespaces),
    )


def login(broker: services.Broker, user: str) -> dict[str, bytes]:
    """A user's name and password, with the authority of the broker that they are for."""
    password = services.USERS[user].encode()
    authority = broker.authority.certificate
    return {"username": user.encode(), "password": password, "ca.crt": authority}


def leaf(pki: Path, name: str, *names: str) -> Path:
    """The folder of a server's certificate, issued the first time by an authority of its own."""
    folder = pki / name / "tls"
    if not folder.exists():
        certificates.Authority.at(pki / name).issue(*names).write(folder)
    return folder


def volume(target: cluster.Cluster) -> None:
    """The hub's volume: a folder on the control-plane node that belongs to the hub's user.

    A `local` volume, not a hostPath: kubelet applies no fsGroup to a hostPath.
    """
    node = target.control_plane
    target.run_on(node, "install", "-d", "-m", "0700", "-o", str(USER), "-g", str(USER), HUB_STATE)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}
    target.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "foreshore-hub"},
            "spec": {
                "capacity": {"storage": "4Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "claimRef": {"namespace": SYSTEM, "name": "foreshore-hub"},
                "local": {"path": HUB_STATE},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            },
        }
    )


def release(target: cluster.Cluster, chart: str, place: str, values: dict[str, Any]) -> None:
    """Install or upgrade one chart and wait until what it starts is ready."""
    file = target.folder / f"{chart}.values.yaml"
    file.write_text(yaml.safe_dump(values))
    with process.step(f"installing {chart}"):
        process.run(
            [
                tools.binary("helm"), "upgrade", "--install", chart, CHARTS / chart,
                "--namespace", place, "--values", file, "--wait", f"--timeout={TIMEOUT}s",
                "--kubeconfig", target.kubeconfig,
            ],
            timeout=TIMEOUT + 30,
        )  # fmt: skip


def uninstall(target: cluster.Cluster) -> None:
    """Take the product off the cluster; its records and the kinds stay, as they do for a user."""
    for chart, place in (("foreshore-agent", AGENTS), ("foreshore", SYSTEM)):
        process.run(
            [
                tools.binary("helm"), "uninstall", chart, "--namespace", place, "--wait",
                "--ignore-not-found", "--kubeconfig", target.kubeconfig,
            ],
            timeout=TIMEOUT,
        )  # fmt: skip


def namespace(name: str, level: str) -> dict[str, Any]:
    """A namespace that enforces a level of Pod Security."""
    metadata = {"name": name, "labels": {SECURITY: level}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def secret(
    place: str, name: str, data: Mapping[str, bytes], type_: str = "Opaque"
) -> dict[str, Any]:
    """A Secret of files."""
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": type_,
        "metadata": {"name": name, "namespace": place},
        "data": encoded,
    }


def config(place: str, name: str, data: Mapping[str, bytes]) -> dict[str, Any]:
    """A ConfigMap of files."""
    text = {key: value.decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": place}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": text}


def files(folder: Path) -> dict[str, bytes]:
    """An identity's files as a Secret holds them."""
    return {name: (folder / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key")}
