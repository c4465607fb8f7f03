"""`kubectl foreshore why` through the whole way: agent's batch → hub → aggregated API → words."""

import copy
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import recorded, room
from foreshore_api import meta
from foreshore_api.wire import record
from harness import apiserver as plain
from hub_process import HubProcess, Journal

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

CRDS = Path(__file__).parents[2] / "crds"
COMMANDED, DENIED = recorded.documents("decisions")


@pytest.fixture(scope="module")
def hub(
    apiserver: plain.ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HubProcess]:
    running = HubProcess(apiserver, tmp_path_factory.mktemp("hub"))
    running.prepare()
    apiserver.apply_crds(CRDS)
    running.start()
    running.register()
    try:
        yield running
    finally:
        running.stop()
        apiserver.kubectl("delete", "apiservice", "v1alpha1.records.foreshore.dev")


def bodies(
    document: dict[str, Any], namespace: str, identity: str, *, node: str, site: str
) -> Iterator[str]:
    """The journalled events behind a recorded Decision object, as another node's agent says it."""
    data = copy.deepcopy(document["decision"])
    data |= {"decisionId": identity, "node": node, "site": site}
    data["device"]["namespace"] = data["policy"]["namespace"] = namespace
    data["device"]["name"] = "room-301"
    source = f"/sites/{site}/nodes/{node}/journals/j"
    envelope = {**document["event"], "id": identity, "type": record.DECISION, "source": source}
    yield json.dumps({**envelope, "data": data})
    for number, later in enumerate(document["outcomes"]):
        said = {key: value for key, value in later.items() if key != "time"}
        said |= {"decisionId": identity, "device": data["device"], "policy": data["policy"]}
        said |= {"site": data["site"], "node": data["node"]}
        event = {**envelope, "id": f"{identity}-{number}", "type": record.OUTCOME}
        yield json.dumps({**event, "time": later["time"], "data": said})


@pytest.fixture
def shipped(hub: HubProcess, namespace: str) -> tuple[str, str]:
    """Two decisions of one room, in the hub: commanded, and denied before that."""
    site, node = f"s-{uuid.uuid4().hex[:8]}", f"edge-{uuid.uuid4().hex[:8]}"
    labels = {meta.LABEL_SITE: site}
    hub.api.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": labels}},
        room.site(namespace, site),
        room.profile(namespace),
        room.changed(room.device(namespace), spec__site=site),
    )
    token = hub.agent_token(node)
    assigned = hub.call("GET", f"/v1/agents/{node}/assignment?wait=30s", token)
    assert assigned.status == 200, assigned.body
    commanded, denied = str(uuid.uuid4()), str(uuid.uuid4())
    batch = Journal(str(uuid.uuid4())).batch(
        *bodies(DENIED, namespace, denied, node=node, site=site),
        *bodies(COMMANDED, namespace, commanded, node=node, site=site),
    )
    answer = hub.call("POST", f"/v1/agents/{node}/records", token, batch)
    assert answer.status == 200, answer.body
    return commanded, denied


def why(kubeconfig: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            Path(sys.executable).with_name("kubectl-foreshore"),
            "why", *args, "--kubeconfig", kubeconfig,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )  # fmt: skip


def test_a_decision_is_explained_by_identity_by_device_and_by_verdict(
    hub: HubProcess, shipped: tuple[str, str], namespace: str
) -> None:
    commanded, denied = shipped
    for args, identity, head in (
        ([commanded], commanded, "✓ Commanded: RoomOccupied"),
        ([f"decision/{denied}"], denied, "✗ Denied: StepTooLarge"),
        (["--device", "room-301", "--last"], commanded, "✓ Commanded: RoomOccupied"),
        (["--policy", "ventilate-when-occupied", "--last"], commanded, "✓ Commanded"),
        (["--device", "room-301", "--verdict", "Denied"], denied, "✗ Denied: StepTooLarge"),
        (["--last"], commanded, "✓ Commanded: RoomOccupied"),
        ([denied[:13]], denied, "✗ Denied: StepTooLarge"),
        ([f"{commanded}/1"], commanded, "✓ Commanded: RoomOccupied"),
        (["--last", "--request-timeout", "0"], commanded, "✓ Commanded: RoomOccupied"),
    ):
        done = why(hub.api.kubeconfig, *args, "-n", namespace)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(head), args
        assert identity in done.stdout
        assert "the chain of records is broken" not in done.stdout
    everywhere = why(hub.api.kubeconfig, denied, "-A")
    assert everywhere.stdout.startswith("✗ Denied")


def test_what_the_device_answered_is_told(
    hub: HubProcess, shipped: tuple[str, str], namespace: str
) -> None:
    done = why(hub.api.kubeconfig, shipped[0], "-n", namespace, "-o", "json")
    found = json.loads(done.stdout)
    assert [one["outcome"] for one in found["outcomes"]] == ["Acknowledged", "Confirmed"]
    assert [one["outcome"] for one in found["explanation"]["afterwards"]] == [
        "Acknowledged",
        "Confirmed",
    ]


def test_a_decision_that_is_not_there_ends_with_code_three(
    hub: HubProcess, shipped: tuple[str, str], namespace: str
) -> None:
    for args, words in (
        (["nothing"], '"nothing" not found'),
        (["--device", "room-999", "--last"], "there is no decision of device room-999 in"),
    ):
        done = why(hub.api.kubeconfig, *args, "-n", namespace)
        assert (done.returncode, done.stdout) == (3, "")
        (line,) = done.stderr.splitlines()
        assert words in line


def test_who_may_not_get_decisions_gets_no_explanation(
    hub: HubProcess, shipped: tuple[str, str], namespace: str
) -> None:
    done = why(hub.api.kubeconfig_for("jane"), shipped[0], "-n", namespace)
    assert (done.returncode, done.stdout) == (3, "")
    assert 'User "jane" cannot get resource "decisions"' in done.stderr


def test_a_hub_that_is_away_is_named(
    hub: HubProcess, shipped: tuple[str, str], namespace: str
) -> None:
    hub.stop(kill=True)
    try:
        done = why(hub.api.kubeconfig, shipped[0], "-n", namespace)
    finally:
        hub.start()
        hub.register()
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: the hub, which keeps decisions, is away")
