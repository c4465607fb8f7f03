"""`kubectl foreshore` as people run it: through kubectl, against a real API server, with RBAC."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import recorded
from foreshore_api import v1alpha1
from harness import apiserver as plain
from harness import tools

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

CRDS = Path(__file__).parents[2] / "crds"
PLURALS = {kind.kind: f"{kind.plural}.foreshore.dev" for kind in v1alpha1.KINDS}


def kubectl_foreshore(
    kubeconfig: Path, *args: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run it as a plugin: kubectl finds the program by its name on the PATH."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [tools.binary("kubectl"), "foreshore", *args],
        env={
            "PATH": programs,
            "HOME": str(kubeconfig.parent),
            "KUBECONFIG": str(kubeconfig),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def write(api: plain.ApiServer, namespace: str, document: dict[str, Any]) -> None:
    """Create a recorded object and let its status be as recorded, of the generation it has now."""
    metadata = {**document["metadata"], "namespace": namespace}
    metadata.pop("generation", None)
    api.apply({**document, "metadata": metadata, "status": {}})
    status = {**document["status"]}
    if status["observedGeneration"] > 0:
        status["observedGeneration"] = 1
    api.kubectl(
        "patch", PLURALS[document["kind"]], metadata["name"], "-n", namespace,
        "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}),
    )  # fmt: skip


SYSTEM = "foreshore-system"
LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
STAND_IN = "placeholders.records.foreshore.dev"


def renew(api: plain.ApiServer, *, ago: float = 0.0) -> None:
    """Renew the operator's Lease, as it does itself, as of so many seconds ago."""
    lease = recorded.lease(age=ago)
    lease["spec"]["leaseDurationSeconds"] = 6
    api.apply({**LEASE, **lease})


def hub_stand_in() -> dict[str, Any]:
    """A kind in the hub's group: enough for the group to be served, as with a hub."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": STAND_IN},
        "spec": {
            "group": "records.foreshore.dev",
            "scope": "Namespaced",
            "names": {"kind": "Placeholder", "plural": "placeholders"},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.fixture(scope="module")
def crds(apiserver: plain.ApiServer) -> Iterator[plain.ApiServer]:
    """The kinds, an operator that renews its Lease, and something in the place of the hub."""
    apiserver.apply_crds(CRDS)
    apiserver.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    apiserver.apply(hub_stand_in())
    apiserver.kubectl("wait", "--for=condition=Established", f"crd/{STAND_IN}", "--timeout=60s")
    yield apiserver
    apiserver.kubectl("delete", "crd", STAND_IN)
    apiserver.kubectl("delete", "lease", "foreshore-operator", "-n", SYSTEM, "--ignore-not-found")
    gone = "apiservice/v1alpha1.records.foreshore.dev"
    apiserver.kubectl("wait", "--for=delete", gone, "--timeout=60s")


@pytest.fixture(autouse=True)
def operator(crds: plain.ApiServer) -> Iterator[None]:
    """Keep the operator's Lease as a living one does, for as long as a test lasts."""
    renew(crds)
    ended = threading.Event()

    def live() -> None:
        while not ended.wait(3.0):
            renew(crds)

    renewing = threading.Thread(target=live)
    renewing.start()
    yield
    ended.set()
    renewing.join()


@pytest.fixture(scope="module")
def fleets(crds: plain.ApiServer) -> Iterator[tuple[str, str]]:
    """One namespace where all is well and one with trouble beside it."""
    with crds.namespace("cli-well") as well, crds.namespace("cli-troubled") as troubled:
        for document in recorded.documents("well"):
            write(crds, well, document)
            write(crds, troubled, document)
        for document in recorded.documents("troubled"):
            write(crds, troubled, document)
        yield well, troubled


def test_status_says_with_its_exit_code_whether_all_is_well(
    crds: plain.ApiServer, fleets: tuple[str, str]
) -> None:
    well, troubled = fleets
    fine = kubectl_foreshore(crds.kubeconfig, "status", "-n", well)
    assert fine.returncode == 0, fine.stderr
    assert fine.stderr == ""
    assert fine.stdout.splitlines()[-1] == "✓ all 7 objects are Ready"
    assert "room-301  ✓ Ready  hq    edge-1  1772355600  True" in fine.stdout
    odd = kubectl_foreshore(crds.kubeconfig, "status", "-n", troubled)
    assert odd.returncode == 1
    assert odd.stdout.splitlines()[-1] == "✗ 4 of 12 objects are not Ready; 1 more to look at"
    assert "CompileFailed: edge-7" in odd.stdout


def test_status_of_all_namespaces_counts_clusters_too(
    crds: plain.ApiServer, fleets: tuple[str, str]
) -> None:
    done = kubectl_foreshore(crds.kubeconfig, "status", "-A", "-o", "json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert {one["namespace"] for one in found["sites"]} >= set(fleets)
    assert found["clusters"] == []


def test_an_empty_namespace_is_said_on_standard_error(crds: plain.ApiServer) -> None:
    done = kubectl_foreshore(crds.kubeconfig, "status", "-n", "default")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No Foreshore object in namespace default.\n"


def test_waiting_ends_when_the_operator_is_done(crds: plain.ApiServer, namespace: str) -> None:
    site = recorded.find("well", "Site", "hq")
    crds.apply({**site, "metadata": {"name": "hq", "namespace": namespace}, "status": {}})
    waiting = subprocess.Popen(
        [
            Path(sys.executable).with_name("kubectl-foreshore"),
            "status", "-n", namespace, "--wait", "--wait-duration", "60s",
            "--kubeconfig", crds.kubeconfig,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == "Site hq: Progressing, NotSeen\n"
    write(crds, namespace, site)
    stdout, _ = waiting.communicate(timeout=90)
    assert waiting.returncode == 0
    assert stdout.endswith("✓ all 1 objects are Ready\n")


def test_placements_are_drawn_as_the_operator_wrote_them(
    crds: plain.ApiServer, fleets: tuple[str, str]
) -> None:
    tree = kubectl_foreshore(crds.kubeconfig, "placements", "-n", fleets[0])
    assert tree.returncode == 0, tree.stderr
    for line in (
        "└── site hq  ✓ Ready  ✓ Placed  ✓ BudgetMet  ✓ Redundant",
        "    │   ├── a0  Active   edge-3  ✓ Ready  10.244.3.7:8080",
        "    │   ├── Inference  4.2ms    2.1%",
    ):
        assert line in tree.stdout.splitlines()
    listed = kubectl_foreshore(crds.kubeconfig, "placements", "-n", fleets[0], "-o", "yaml")
    assert "kind: InferencePlacement" in listed.stdout
    crds.kubectl("apply", "--dry-run=server", "-f", "-", stdin=listed.stdout)


def test_a_label_selects_placements(crds: plain.ApiServer, fleets: tuple[str, str]) -> None:
    done = kubectl_foreshore(
        crds.kubeconfig, "placements", "-n", fleets[1], "-l", "foreshore.dev/site=north"
    )
    assert "cool-servers" in done.stdout
    assert "ventilate-when-occupied" not in done.stdout


def test_who_may_not_look_is_told_so_in_one_line(
    crds: plain.ApiServer, fleets: tuple[str, str]
) -> None:
    jane = crds.kubeconfig_for("jane")
    done = kubectl_foreshore(jane, "status", "-n", fleets[0])
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith('error: sites.foreshore.dev is forbidden: User "jane" cannot list')


def test_an_administrator_may_ask_as_somebody_else(
    crds: plain.ApiServer, fleets: tuple[str, str]
) -> None:
    done = kubectl_foreshore(crds.kubeconfig, "placements", "-n", fleets[0], "--as", "joe")
    assert done.returncode == 3
    assert 'User "joe" cannot list' in done.stderr


def test_decisions_without_a_hub_say_what_is_missing(
    crds: plain.ApiServer, fleets: tuple[str, str]
) -> None:
    crds.kubectl("delete", "apiservice", "v1alpha1.records.foreshore.dev", "--ignore-not-found")
    done = kubectl_foreshore(crds.kubeconfig, "why", "--last", "-n", fleets[0])
    assert done.returncode == 3
    assert done.stderr.startswith(
        "error: this cluster does not serve records.foreshore.dev/v1alpha1"
    )


def test_a_cluster_without_foreshore_and_one_that_does_not_answer(tmp_path: Path) -> None:
    with plain.ApiServer(tmp_path) as server:
        bare = kubectl_foreshore(server.kubeconfig, "status")
        assert (bare.returncode, bare.stdout) == (3, "")
        assert bare.stderr == (
            "error: this cluster does not serve foreshore.dev/v1alpha1: is the chart"
            " foreshore-crds installed?\n"
        )
        server.pause()
        began = time.monotonic()
        silent = kubectl_foreshore(server.kubeconfig, "status", "--request-timeout", "2s")
        server.resume()
        assert (silent.returncode, silent.stdout) == (3, "")
        assert silent.stderr.endswith("cannot be reached: no answer in time\n")
        assert time.monotonic() - began < 30
        server.stop(kill=True)
        away = kubectl_foreshore(server.kubeconfig, "status")
        assert (away.returncode, away.stdout) == (3, "")
        assert away.stderr == (
            f"error: the API server {server.server} cannot be reached: connection refused\n"
        )
