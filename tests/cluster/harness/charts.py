"""The charts as Helm sees them: linted, rendered, refused where a value is wrong.

`make verify` calls this.

What is rendered is also checked for what no chart of ours may contain: a wildcard in a role, a
right to read Secrets, a container without the restricted security context.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness import images, process, tools

CHARTS = images.REPOSITORY / "charts"
VALUES: Mapping[str, tuple[str, ...]] = {
    "foreshore-crds": (),
    "foreshore": (),
    "foreshore-agent": ("hub.url=https://10.96.100.10:8443", "credentials={hq-broker}"),
}
WRONG: Mapping[str, str] = {
    "foreshore": "hub.serviceType=Headless",
    "foreshore-agent": "hub.url=http://10.96.100.10:8443",
}
MAY_BE_ROOT = {"own-state"}
"""Containers that must run as root: a hostPath belongs to root until one of them gives it away."""


def check() -> list[str]:
    """Lint and render every chart; what is wrong, in words."""
    found: list[str] = []
    for chart, values in VALUES.items():
        helm("lint", "--strict", "--quiet", CHARTS / chart, *sets(values))
        documents = rendered(chart, values)
        found += [f"{chart}: {fault}" for fault in faults(documents)]
    for chart, wrong in WRONG.items():
        if is_accepted(chart, (*VALUES[chart], wrong)):
            found.append(f"{chart}: values.schema.json lets {wrong} pass")
    return found


def rendered(
    chart: str, values: tuple[str, ...], namespace: str = "default"
) -> list[dict[str, Any]]:
    """A chart's documents, for a release in a namespace."""
    text = helm(
        *("template", "x", CHARTS / chart, "--namespace", namespace),
        *("--kube-version", "1.36.0", *sets(values)),
    )
    return [one for one in yaml.safe_load_all(text) if one]


def faults(documents: list[dict[str, Any]]) -> Iterator[str]:
    """What no chart of ours may contain."""
    for one in documents:
        name = f"{one['kind']} {one['metadata']['name']}"
        for rule in one.get("rules", []) if one["kind"] in ("Role", "ClusterRole") else []:
            if "*" in (*rule["verbs"], *rule["resources"], *rule["apiGroups"]):
                yield f"{name} has a wildcard"
            if "secrets" in rule["resources"]:
                yield f"{name} reaches Secrets"
        for container in containers(one):
            if not is_restricted(container):
                yield f"{name}: container {container['name']} is not restricted"


def containers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every container of a workload, init containers included."""
    pod = document.get("spec", {}).get("template", {}).get("spec", {})
    yield from pod.get("containers", [])
    yield from pod.get("initContainers", [])


def is_restricted(container: dict[str, Any]) -> bool:
    """Whether a container gives up what Pod Security's level restricted wants given up."""
    context = container.get("securityContext", {})
    return bool(
        context.get("allowPrivilegeEscalation") is False
        and context.get("readOnlyRootFilesystem") is True
        and context.get("capabilities", {}).get("drop") == ["ALL"]
        and context.get("seccompProfile", {}).get("type") == "RuntimeDefault"
        and (context.get("runAsNonRoot") is True or container["name"] in MAY_BE_ROOT)
    )


def is_accepted(chart: str, values: tuple[str, ...]) -> bool:
    """Whether Helm renders a chart with these values."""
    try:
        rendered(chart, values)
    except process.CommandError:
        return False
    return True


def sets(values: tuple[str, ...]) -> list[str]:
    """Values as Helm's arguments."""
    return [part for value in values for part in ("--set", value)]


def helm(*args: str | Path) -> str:
    """Run Helm; its output."""
    return process.run([tools.binary("helm"), *args], timeout=120)
