"""`kubectl foreshore status` when Foreshore itself is unwell, against a real API server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import recorded
from harness import apiserver as plain
from harness import charts, process

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

CRDS = Path(__file__).parents[2] / "crds"
SYSTEM = "foreshore-system"
VIEW = "status-test-viewer"
VIEWER: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": VIEW},
    "rules": [{"apiGroups": ["foreshore.dev"], "resources": ["*"], "verbs": ["get", "list"]}],
}


def status(kubeconfig: Path, namespace: str, *args: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("kubectl-foreshore")
    return subprocess.run(
        [program, "status", "-n", namespace, "--kubeconfig", kubeconfig, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def lease(api: plain.ApiServer, *, age: float) -> None:
    document = recorded.lease(age=age)
    api.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **document})


@pytest.fixture(scope="module")
def system(apiserver: plain.ApiServer) -> Iterator[plain.ApiServer]:
    apiserver.apply_crds(CRDS)
    apiserver.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    apiserver.apply(VIEWER)
    yield apiserver
    apiserver.kubectl("delete", "clusterrole", VIEW)
    apiserver.kubectl("delete", "lease", "foreshore-operator", "-n", SYSTEM, "--ignore-not-found")


def test_a_dead_operator_and_an_absent_hub_are_lines_and_exit_code_one(
    system: plain.ApiServer, namespace: str
) -> None:
    lease(system, age=3600.0)
    done = status(system.kubeconfig, namespace)
    assert done.returncode == 1
    words = " ".join(done.stdout.split())
    assert "✗ NotReady OperatorSilent: the operator" in words
    assert "✗ NotReady NotInstalled: this cluster does not serve records.foreshore.dev" in words
    assert "all " not in done.stdout.splitlines()[-1]
    written = json.loads(status(system.kubeconfig, namespace, "-o", "json").stdout)
    assert [one["reason"] for one in written["product"]] == ["OperatorSilent", "NotInstalled"]
    assert written["state"] == "NotReady"


def bind(api: plain.ApiServer, user: str, namespace: str) -> None:
    api.kubectl(
        "create", "rolebinding", "viewer", "-n", namespace,
        "--clusterrole", VIEW, "--user", user,
    )  # fmt: skip


def test_whoever_may_not_see_the_operator_is_told_that_it_is_unknown(
    system: plain.ApiServer, namespace: str
) -> None:
    lease(system, age=0.0)
    bind(system, "ann", namespace)
    done = status(system.kubeconfig_for("ann"), namespace)
    assert done.returncode == 1
    assert "Unknown" in done.stdout
    assert "ClusterRole foreshore-status" in " ".join(done.stdout.split())


def roles() -> list[dict[str, Any]]:
    """What the chart gives people to see of the operator, for where it is installed."""
    found = [
        one
        for one in charts.rendered("foreshore", charts.VALUES["foreshore"])
        if one["metadata"]["name"] == "foreshore-status"
    ]
    for one in found:
        if "namespace" in one["metadata"]:
            one["metadata"]["namespace"] = SYSTEM
    return found


def test_the_chart_lets_everybody_who_is_signed_in_see_whether_the_operator_works(
    system: plain.ApiServer, namespace: str
) -> None:
    found = roles()
    assert sorted(one["kind"] for one in found) == ["ClusterRole", "Role", "RoleBinding"]
    system.apply(*found)
    bind(system, "bob", namespace)
    lease(system, age=0.0)
    done = status(system.kubeconfig_for("bob"), namespace, "-o", "json")
    operator, _ = json.loads(done.stdout)["product"]
    assert (operator["name"], operator["state"]) == ("operator", "Ready"), operator
    with pytest.raises(process.CommandError, match="no"):
        system.kubectl("auth", "can-i", "list", "leases", "-n", SYSTEM, "--as", "bob")
