"""Decisions through a real API server: kubectl, RBAC, paging, and what never gets in."""

import json
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hub_process
from builders import resources
from foreshore_api import meta
from harness import apiserver as plain
from harness import process, tools
from hub_process import HubProcess, Journal, decided, outcome

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def hub(
    apiserver: plain.ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HubProcess]:
    running = HubProcess(apiserver, tmp_path_factory.mktemp("hub"))
    running.prepare()
    running.start()
    running.register()
    try:
        yield running
    finally:
        running.stop()


class Site:
    """A namespace with a site, one labelled node, one room, and its agent's journal."""

    def __init__(self, hub: HubProcess, namespace: str) -> None:
        self.hub = hub
        self.namespace = namespace
        self.node = f"edge-{uuid.uuid4().hex[:8]}"
        self.journal = Journal(str(uuid.uuid4()))
        site = f"s-{uuid.uuid4().hex[:8]}"
        hub.api.apply(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": self.node, "labels": {meta.LABEL_SITE: site}},
            },
            _written(resources.site(site), namespace),
            _written(resources.device(site=site), namespace),
            _written(resources.profile(), namespace),
        )
        self.token = hub.agent_token(self.node)
        self.assignment = hub.call("GET", f"/v1/agents/{self.node}/assignment?wait=30s", self.token)

    def ship(self, *bodies: str) -> int:
        batch = self.journal.batch(*bodies)
        answer = self.hub.call("POST", f"/v1/agents/{self.node}/records", self.token, batch)
        assert answer.status == 200, answer.body
        acknowledged: int = answer.json()["acknowledged"]
        return acknowledged


def _written(resource: meta.Resource, namespace: str) -> dict[str, Any]:
    """The resource as a person writes it."""
    document = resource.document()
    labels = document["metadata"].get("labels", {})
    metadata = {"name": resource.name, "namespace": namespace, "labels": labels}
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "metadata": metadata,
        "spec": document["spec"],
    }


@pytest.fixture
def site(hub: HubProcess, namespace: str) -> Site:
    return Site(hub, namespace)


def test_an_agent_is_told_what_to_do_by_the_node_its_token_is_bound_to(site: Site) -> None:
    assert site.assignment.status == 200, site.assignment.body
    assert [each["name"] for each in site.assignment.json()["devices"]] == ["room-301"]


def test_another_nodes_token_is_refused(site: Site, hub: HubProcess) -> None:
    hub.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "stranger"}})
    token = hub.agent_token("stranger")
    for method, path, body in (
        ("GET", "assignment", None),
        ("POST", "records", Journal("x").batch(decided("x", namespace=site.namespace))),
    ):
        answer = hub.call(method, f"/v1/agents/{site.node}/{path}", token, body)
        assert (answer.status, answer.json()["reason"]) == (403, "AnotherNode")


def test_a_token_for_another_audience_is_refused(site: Site, hub: HubProcess) -> None:
    token = hub.api.token("foreshore-agent", namespace=hub_process.AGENTS)
    assert hub.call("GET", f"/v1/agents/{site.node}/assignment", token).status == 401


def test_kubectl_gets_decisions_as_a_table(site: Site, hub: HubProcess) -> None:
    identity = str(uuid.uuid4())
    site.ship(
        decided(identity, namespace=site.namespace),
        outcome(identity, namespace=site.namespace),
    )
    shown = hub.api.kubectl("get", "decisions", "-n", site.namespace)
    header, row = shown.splitlines()
    assert header.split() == ["NAME", "DEVICE", "POLICY", "VERDICT", "REASON", "OUTCOME", "AGE"]
    cells = row.split()
    assert cells[:6] == [
        identity, "room-301", "ventilate", "Commanded", "RoomOccupied", "Confirmed",
    ]  # fmt: skip
    wide = hub.api.kubectl("get", "decisions", "-n", site.namespace, "-o", "wide")
    assert "MESSAGE" in wide.splitlines()[0]


def test_kubectl_gets_one_decision_with_what_was_learnt_later(site: Site, hub: HubProcess) -> None:
    identity = str(uuid.uuid4())
    site.ship(decided(identity, namespace=site.namespace))
    site.ship(outcome(identity, namespace=site.namespace, outcome="Acknowledged"))
    site.ship(outcome(identity, namespace=site.namespace, outcome="Confirmed"))
    found = hub.api.get("decision", identity, "-n", site.namespace)
    assert found["decision"]["verdict"]["reason"] == "RoomOccupied"
    assert [each["outcome"] for each in found["outcomes"]] == ["Acknowledged", "Confirmed"]
    assert found["chain"]["integrity"] == "Intact"
    with pytest.raises(process.CommandError, match="NotFound"):
        hub.api.get("decision", "nothing", "-n", site.namespace)


def names(hub: HubProcess, namespace: str, *arguments: str) -> list[str]:
    listed = hub.api.get("decisions", "-n", namespace, *arguments)
    return [each["metadata"]["name"] for each in listed["items"]]


def assert_shown(hub: HubProcess, namespace: str, *expected: str) -> None:
    """The API server looks for an aggregated API that was away only now and then."""

    def is_shown() -> bool:
        try:
            return sorted(names(hub, namespace)) == sorted(expected)
        except process.CommandError:
            return False

    process.eventually(is_shown, what=f"decisions {expected}", timeout=90, interval=1.0)


def test_field_selectors_narrow_the_list(site: Site, hub: HubProcess) -> None:
    inside = site.namespace
    site.ship(
        decided("d-1", namespace=inside, at="2026-03-01T10:00:00Z"),
        decided("d-2", namespace=inside, at="2026-03-01T11:00:00Z", verdict="Denied"),
        decided("d-3", namespace=inside, at="2026-03-01T12:00:00Z", device="room-302"),
        decided("d-4", namespace=inside, at="2026-03-01T13:00:00Z", policy="other"),
    )

    def chosen(selector: str) -> list[str]:
        return names(hub, inside, "--field-selector", selector)

    assert chosen("device=room-302") == ["d-3"]
    assert chosen("policy=other") == ["d-4"]
    assert chosen("verdict=Denied") == ["d-2"]
    assert chosen("since=2026-03-01T11:00:00Z,until=2026-03-01T12:00:00Z") == ["d-3", "d-2"]
    assert chosen("metadata.name=d-1") == ["d-1"]
    with pytest.raises(process.CommandError, match="is not one of"):
        chosen("colour=red")
    with pytest.raises(process.CommandError, match="no time zone"):
        chosen("since=2026-03-01T10:00:00")


def test_pages_hold_every_decision_once_newest_first(site: Site, hub: HubProcess) -> None:
    bodies = [
        decided(f"d-{number}", namespace=site.namespace, at=f"2026-03-01T10:00:0{number}Z")
        for number in range(8)
    ]
    site.ship(*bodies)
    expected = [f"d-{number}" for number in reversed(range(8))]
    assert names(hub, site.namespace, "--chunk-size=3") == expected
    raw = json.loads(
        hub.api.kubectl(
            "get", "--raw",
            f"/apis/{hub_process.GROUP}/v1alpha1/namespaces/{site.namespace}/decisions?limit=3",
        )
    )  # fmt: skip
    assert len(raw["items"]) == 3
    assert raw["metadata"]["continue"]


def test_people_read_only_the_namespaces_that_rbac_gives_them(site: Site, hub: HubProcess) -> None:
    site.ship(decided("d-1", namespace=site.namespace))
    rbac = "rbac.authorization.k8s.io"
    hub.api.apply(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": {"name": "reader", "namespace": site.namespace},
            "rules": [
                {
                    "apiGroups": [hub_process.GROUP],
                    "resources": ["decisions"],
                    "verbs": ["get", "list"],
                }
            ],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reader", "namespace": site.namespace},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "reader"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": "jane"}],
        },
    )
    jane = hub.api.kubeconfig_for("jane")

    def asks(*arguments: str) -> str:
        return process.run([tools.binary("kubectl"), "--kubeconfig", jane, "get", *arguments])

    assert "d-1" in process.eventually(
        lambda: asks("decisions", "-n", site.namespace, "-o", "name"), what="jane", timeout=60
    )
    for elsewhere in (["-n", "default"], ["-A"]):
        with pytest.raises(process.CommandError, match="Forbidden"):
            asks("decisions", *elsewhere)


def test_a_record_of_another_namespace_is_kept_but_shown_to_nobody(
    site: Site, hub: HubProcess
) -> None:
    site.ship(decided("forged", namespace="default"))
    assert names(hub, "default") == []
    everywhere = hub.api.get("decisions", "-A")["items"]
    assert "forged" not in [each["metadata"]["name"] for each in everywhere]


def test_the_aggregated_api_takes_no_connection_without_the_front_proxys_certificate(
    hub: HubProcess,
) -> None:
    context = ssl.create_default_context(cadata=hub.authority.certificate.decode())
    context.check_hostname = False
    with pytest.raises((ssl.SSLError, OSError)):
        _ask(hub, context)


def test_a_certificate_of_the_right_authority_with_another_name_is_not_believed(
    hub: HubProcess, tmp_path: Path
) -> None:
    pair = hub.api.front_proxy.issue(common_name="somebody-else").write(tmp_path)
    context = ssl.create_default_context(cadata=hub.authority.certificate.decode())
    context.check_hostname = False
    context.load_cert_chain(pair / "tls.crt", pair / "tls.key")
    assert b" 401 " in _ask(hub, context).split(b"\r\n")[0]


def _ask(hub: HubProcess, context: ssl.SSLContext) -> bytes:
    import socket

    with (
        socket.create_connection(("127.0.0.1", hub.records_port), timeout=5) as plain_socket,
        context.wrap_socket(plain_socket) as connection,
    ):
        path = f"/apis/{hub_process.GROUP}/v1alpha1/decisions"
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Remote-User: system:admin\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
        if not answer:
            raise OSError("closed without an answer")
        return answer


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_restarted_hub_has_lost_nothing_and_goes_on(
    site: Site, hub: HubProcess, kill: bool
) -> None:
    before = site.assignment.json()
    assert site.ship(decided("before", namespace=site.namespace)) == 1
    hub.stop(kill=kill)
    hub.start()
    assert site.ship(decided("after", namespace=site.namespace)) == 2
    assert_shown(hub, site.namespace, "after", "before")
    again = hub.call("GET", f"/v1/agents/{site.node}/assignment?wait=30s", site.token).json()
    assert (again["lineage"], again["digest"]) == (before["lineage"], before["digest"])


def test_with_the_api_server_gone_agents_go_on_being_served(site: Site, hub: HubProcess) -> None:
    site.ship(decided("d-1", namespace=site.namespace))
    hub.api.stop()
    try:
        assert site.ship(decided("d-2", namespace=site.namespace)) == 2
        answer = hub.call("GET", f"/v1/agents/{site.node}/assignment?wait=0s", site.token)
        assert answer.status == 200
    finally:
        hub.api.start()
    assert_shown(hub, site.namespace, "d-1", "d-2")


def test_figures_name_no_device(site: Site, hub: HubProcess) -> None:
    site.ship(decided("d-1", namespace=site.namespace))
    figures = hub.metrics()
    assert "foreshore_hub_records_total" in figures
    assert "room-301" not in figures
