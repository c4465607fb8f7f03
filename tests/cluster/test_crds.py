"""The kinds on a real API server: what it accepts, fills in, refuses, and tells whom."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.client.exceptions import ApiException

from builders import refusals, room, stock
from foreshore_api import meta, resources, v1alpha1
from harness import apiserver as plain

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]


class Kinds:
    """The kinds of the group through the official client, strict about unknown fields."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        client: Any = kubernetes.config.new_client_from_config(  # type: ignore[no-untyped-call]
            str(kubeconfig)
        )
        self.api: Any = kubernetes.client.CustomObjectsApi(client)  # its stubs know no splats
        self.namespace = namespace

    def create(self, document: Json, *, keep: bool = True) -> Json:
        body = copy.deepcopy(document)
        kind = resources.KINDS[document["kind"]]
        how: Json = {"field_validation": "Strict", **({} if keep else {"dry_run": "All"})}
        at: tuple[str, ...] = (meta.GROUP, meta.VERSION)
        if kind.scope == "Cluster":
            created: Json = self.api.create_cluster_custom_object(*at, kind.plural, body, **how)
        else:
            body["metadata"]["namespace"] = self.namespace
            at = (*at, self.namespace)
            created = self.api.create_namespaced_custom_object(*at, kind.plural, body, **how)
        return created

    def replace(self, document: Json) -> Json:
        replaced: Json = self.api.replace_namespaced_custom_object(*self._place(document), document)
        return replaced

    def replace_status(self, document: Json) -> Json:
        place = self._place(document)
        replaced: Json = self.api.replace_namespaced_custom_object_status(*place, document)
        return replaced

    def _place(self, document: Json) -> tuple[str, ...]:
        plural = resources.KINDS[document["kind"]].plural
        return meta.GROUP, meta.VERSION, self.namespace, plural, document["metadata"]["name"]


@pytest.fixture(scope="module")
def server(apiserver: plain.ApiServer) -> plain.ApiServer:
    apiserver.apply_crds(ROOT / "crds")
    return apiserver


@pytest.fixture(scope="module")
def shared(server: plain.ApiServer) -> Iterator[Kinds]:
    """One namespace for tests that keep nothing."""
    with server.namespace("crds") as name:
        yield Kinds(server.kubeconfig, name)


@pytest.fixture
def kinds(server: plain.ApiServer, namespace: str) -> Kinds:
    return Kinds(server.kubeconfig, namespace)


def told(error: ApiException) -> list[tuple[str, str]]:
    """What the author of a refused object reads: field and message of each cause."""
    body = json.loads(error.body or "{}")
    causes = body.get("details", {}).get("causes", ())
    return [(cause.get("field", ""), cause["message"]) for cause in causes]


def titled(document: Json) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


ACCEPTED = [
    *room.all_of(), refusals.cluster(), refusals.placement(),
    stock.plug(), stock.friendly(), stock.gateway(),
]  # fmt: skip


@pytest.mark.parametrize("document", ACCEPTED, ids=titled)
def test_the_smallest_useful_set_is_accepted(shared: Kinds, document: Json) -> None:
    stored = shared.create(document, keep=False)
    assert stored["status"] == {"observedGeneration": -1}, "an unseen object is in progress"


@pytest.mark.parametrize("document", ACCEPTED, ids=titled)
def test_the_api_server_fills_in_what_the_types_say(shared: Kinds, document: Json) -> None:
    stored = shared.create(document, keep=False)
    written = resources.parse(document, strict=True).document()
    assert stored["spec"] == written["spec"]
    assert resources.parse(stored).document()["spec"] == written["spec"]


@pytest.mark.parametrize("case", refusals.REFUSALS, ids=str)
def test_what_an_object_says_of_itself_is_refused_at_apply(
    shared: Kinds, case: refusals.Refusal
) -> None:
    with pytest.raises(ApiException) as refused:
        shared.create(case.document, keep=False)
    assert refused.value.status == 422
    found = told(refused.value)
    assert any(
        field == case.field and (case.says or case.rule) in message for field, message in found
    ), found


@pytest.mark.parametrize("case", refusals.CHANGES, ids=str)
def test_what_never_changes_is_refused_at_the_change(kinds: Kinds, case: refusals.Change) -> None:
    stored = kinds.create(case.before)
    after = {**stored, "spec": case.after["spec"]}
    with pytest.raises(ApiException) as refused:
        kinds.replace(after)
    assert any(
        field == case.field and case.rule in message for field, message in told(refused.value)
    ), told(refused.value)


@pytest.mark.parametrize("case", refusals.AUTHORITIES, ids=str)
def test_the_right_to_command_never_goes_back(kinds: Kinds, case: refusals.Change) -> None:
    stored = kinds.create(case.before)
    stored = kinds.replace_status({**stored, "status": case.before["status"]})
    with pytest.raises(ApiException) as refused:
        kinds.replace_status({**stored, "status": case.after["status"]})
    assert any(
        field == case.field and case.rule in message for field, message in told(refused.value)
    ), told(refused.value)


def test_dropping_the_whole_status_does_not_drop_the_epoch(kinds: Kinds) -> None:
    """A rule on the field alone is bypassed by dropping its parent."""
    stored = kinds.create(room.device())
    stored = kinds.replace_status({**stored, "status": refusals.held("edge-1", 7)["status"]})
    with pytest.raises(ApiException) as refused:
        kinds.replace_status({key: value for key, value in stored.items() if key != "status"})
    assert refused.value.status == 422


def test_a_right_moves_with_a_higher_epoch_and_is_given_back_without(kinds: Kinds) -> None:
    stored = kinds.create(room.device())
    for status in (
        refusals.held("edge-1", 7),
        refusals.held("edge-2", 8),
        refusals.held(None, 8),
        refusals.held("edge-1", 9),
    ):
        stored = kinds.replace_status({**stored, "status": status["status"]})
    assert stored["status"]["authority"]["epoch"] == 9


@pytest.mark.parametrize("host", ["fd42:1::9", "::1", "fd42::", "10.0.0.9", "broker.hq.example"])
def test_a_broker_has_a_name_or_an_address_of_either_family(shared: Kinds, host: str) -> None:
    document = room.changed(room.site(), spec__broker__host=host)
    assert shared.create(document, keep=False)["spec"]["broker"]["host"] == host


def test_a_misspelt_field_is_named(shared: Kinds) -> None:
    document = room.changed(room.policy(), spec__latencyBugdet="1s")
    with pytest.raises(ApiException) as refused:
        shared.create(document, keep=False)
    assert 'unknown field "spec.latencyBugdet"' in json.loads(refused.value.body or "{}")["message"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("hq.west", "a dot would split a placement's name"),
        ("h" * 53, "labels carry it"),
        ("Hq", ""),
    ],
)
def test_names_stay_within_what_labels_and_pod_names_carry(
    shared: Kinds, name: str, why: str
) -> None:
    del why
    document = room.policy(name=name)
    with pytest.raises(ApiException) as refused:
        shared.create(document, keep=False)
    assert refused.value.status == 422


def test_two_managers_each_own_their_condition(server: plain.ApiServer, namespace: str) -> None:
    base = {"apiVersion": meta.API_VERSION, "kind": "Site"}
    names = {"metadata": {"name": "hq", "namespace": namespace}}
    server.apply({**base, **names, "spec": room.site()["spec"]})
    for manager, type_ in (("planner", "Ready"), ("health", "Connected")):
        condition = {
            "type": type_,
            "status": "True",
            "reason": "Accepted",
            "lastTransitionTime": "2026-03-01T10:00:00Z",
        }
        body = {**base, **names, "status": {"conditions": [condition]}}
        server.kubectl(
            "apply", "--server-side", "--subresource=status", f"--field-manager={manager}",
            "-f", "-", stdin=json.dumps(body),
        )  # fmt: skip
    status = server.get("site", "hq", "-n", namespace)["status"]
    assert [each["type"] for each in status["conditions"]] == ["Ready", "Connected"]
    assert status["observedGeneration"] == -1


def test_devices_are_found_by_site_profile_and_holder(
    server: plain.ApiServer, kinds: Kinds
) -> None:
    stored = kinds.create(room.device())
    kinds.replace_status({**stored, "status": refusals.held("edge-1", 7)["status"]})
    kinds.create(room.device(name="room-302"))

    def found(selector: str) -> list[str]:
        listed = server.get(
            "devices.foreshore.dev", "-n", kinds.namespace, f"--field-selector={selector}"
        )
        return [item["metadata"]["name"] for item in listed["items"]]

    assert found("status.authority.holder=edge-1") == ["room-301"]
    assert found("spec.site=hq,spec.profileRef.name=room-climate") == ["room-301", "room-302"]
    assert found("spec.site=annex") == []


def test_kubectl_get_shows_the_one_domain_fact(server: plain.ApiServer, kinds: Kinds) -> None:
    kinds.create(room.device())
    shown = server.kubectl("get", "fsdev", "-n", kinds.namespace)
    assert shown.splitlines()[0].split() == ["NAME", "READY", "REASON", "HOLDER", "AGE"]
    assert "room-301" in server.kubectl("get", "foreshore", "-n", kinds.namespace)


@pytest.mark.parametrize("kind", v1alpha1.KINDS, ids=lambda kind: kind.kind)
def test_kubectl_explain_is_the_manual(server: plain.ApiServer, kind: type[meta.Resource]) -> None:
    text = server.kubectl("explain", f"{kind.plural}.{meta.GROUP}.spec")
    assert "-required-" in text
    assert "<empty>" not in text.split("FIELDS:")[-1]


def test_applying_again_changes_nothing(server: plain.ApiServer, namespace: str) -> None:
    """After a visit of the operator `kubectl diff` is empty, defaults and all."""
    documents = room.all_of(namespace)
    server.apply(*documents)
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    assert server.kubectl("diff", "--server-side", "--force-conflicts", "-f", "-", stdin=body) == ""
