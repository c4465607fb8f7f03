"""Who may do what at the API server: every rule that the charts ship, and what people get of it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from builders import room
from harness import api, charts, process
from harness import apiserver as plain
from harness.images import REPOSITORY

pytestmark = pytest.mark.cluster

RBAC = """\
ClusterRole foreshore-admin: create,delete,deletecollection,patch,update foreshore.dev/clusters,sites
ClusterRole foreshore-admin: create,delete,deletecollection,patch,update foreshore.dev/decisionpolicies,deviceprofiles,devices,models,modelversions
ClusterRole foreshore-admin: get,list records.foreshore.dev/decisions
ClusterRole foreshore-admin: get,list,watch foreshore.dev/clusters,decisionpolicies,deviceprofiles,devices,inferenceplacements,models,modelversions,sites
ClusterRole foreshore-admin: patch foreshore.dev/inferenceplacements
ClusterRole foreshore-editor: create,delete,deletecollection,patch,update foreshore.dev/decisionpolicies,deviceprofiles,devices,models,modelversions
ClusterRole foreshore-editor: get,list records.foreshore.dev/decisions
ClusterRole foreshore-editor: get,list,watch foreshore.dev/clusters,decisionpolicies,deviceprofiles,devices,inferenceplacements,models,modelversions,sites
ClusterRole foreshore-editor: patch foreshore.dev/inferenceplacements
ClusterRole foreshore-hub: create authentication.k8s.io/tokenreviews
ClusterRole foreshore-hub: get,list,watch /nodes
ClusterRole foreshore-hub: get,list,watch foreshore.dev/decisionpolicies,deviceprofiles,devices,inferenceplacements,models,modelversions,sites
ClusterRole foreshore-operator: create /configmaps
ClusterRole foreshore-operator: create,delete,get,list,watch /pods
ClusterRole foreshore-operator: create,delete,get,patch foreshore.dev/inferenceplacements
ClusterRole foreshore-operator: create,list policy/poddisruptionbudgets
ClusterRole foreshore-operator: create,patch events.k8s.io/events
ClusterRole foreshore-operator: list,watch /nodes
ClusterRole foreshore-operator: list,watch foreshore.dev/clusters,decisionpolicies,deviceprofiles,devices,inferenceplacements,models,modelversions,sites
ClusterRole foreshore-operator: patch foreshore.dev/clusters/status,decisionpolicies/status,deviceprofiles/status,devices/status,inferenceplacements/status,models/status,modelversions/status,sites/status
ClusterRole foreshore-status: get,list apps/daemonsets
ClusterRole foreshore-status: get,list coordination.k8s.io/leases named foreshore-operator
ClusterRole foreshore-viewer: get,list records.foreshore.dev/decisions
ClusterRole foreshore-viewer: get,list,watch foreshore.dev/clusters,decisionpolicies,deviceprofiles,devices,inferenceplacements,models,modelversions,sites
ClusterRoleBinding foreshore-hub: ClusterRole foreshore-hub to ServiceAccount foreshore-hub
ClusterRoleBinding foreshore-operator: ClusterRole foreshore-operator to ServiceAccount foreshore-operator
Role foreshore-hub-agents: get,list,watch /pods
Role foreshore-operator-leader: create coordination.k8s.io/leases
Role foreshore-operator-leader: get,update coordination.k8s.io/leases named foreshore-operator
Role foreshore-status: get coordination.k8s.io/leases named foreshore-operator
Role kube-node-lease/foreshore-operator-nodes: list,watch coordination.k8s.io/leases
RoleBinding foreshore-hub-agents: Role foreshore-hub-agents to ServiceAccount foreshore-hub
RoleBinding foreshore-operator-leader: Role foreshore-operator-leader to ServiceAccount foreshore-operator
RoleBinding foreshore-status: Role foreshore-status to Group system:authenticated
RoleBinding kube-node-lease/foreshore-operator-nodes: Role foreshore-operator-nodes to ServiceAccount foreshore-operator
RoleBinding kube-system/foreshore-hub-authentication-reader: Role extension-apiserver-authentication-reader to ServiceAccount foreshore-hub
"""  # noqa: E501 - one rule a line
"""Every right that the charts give. A change here is a change of what somebody may do."""


HELMS = "default"
"""The namespace into which Helm renders where nobody names one."""


def lines(document: dict[str, Any]) -> Iterator[str]:
    """A role's rules or a binding, one a line."""
    metadata = document["metadata"]
    place = metadata.get("namespace", HELMS)
    where = f"{place}/" if place != HELMS else ""
    head = f"{document['kind']} {where}{metadata['name']}"
    for rule in document.get("rules") or ():
        (group,) = rule["apiGroups"]
        names = f" named {','.join(rule['resourceNames'])}" if "resourceNames" in rule else ""
        verbs, resources = ",".join(sorted(rule["verbs"])), ",".join(sorted(rule["resources"]))
        yield f"{head}: {verbs} {group}/{resources}{names}"
    for subject in document.get("subjects", ()):
        role = f"{document['roleRef']['kind']} {document['roleRef']['name']}"
        yield f"{head}: {role} to {subject['kind']} {subject['name']}"


def roles() -> list[dict[str, Any]]:
    """Every RBAC object of the charts."""
    return [
        one
        for chart, values in charts.VALUES.items()
        for one in charts.rendered(chart, values)
        if one["apiVersion"].startswith("rbac.authorization.k8s.io/")
    ]


def test_the_charts_give_these_rights_and_no_others() -> None:
    found = sorted(line for one in roles() for line in lines(one))
    assert "\n".join(found) + "\n" == RBAC


# People

EDITORS = ("DeviceProfile", "Device", "Model", "ModelVersion", "DecisionPolicy")
ADMINISTRATORS = ("Site", "Cluster")
PLURALS = {
    "DecisionPolicy": "decisionpolicies",
    **{kind: f"{kind.lower()}s" for kind in (*EDITORS[:4], *ADMINISTRATORS)},
}
WRITES = ("create", "update", "patch", "delete", "deletecollection")
MAY_WRITE = {"view": (), "edit": EDITORS, "admin": (*EDITORS, *ADMINISTRATORS)}
OWN = {"view": "foreshore-viewer", "edit": "foreshore-editor", "admin": "foreshore-admin"}


@pytest.fixture(scope="module")
def server(apiserver: plain.ApiServer) -> plain.ApiServer:
    """The API server with our kinds and our people's roles."""
    apiserver.apply_crds(REPOSITORY / "crds")
    apiserver.apply(*(one for one in roles() if one["metadata"]["name"] in OWN.values()))
    return apiserver


def taken_in(server: plain.ApiServer, role: str) -> set[str]:
    """The roles that one of the cluster's own takes in, as its controller would add them up.

    A plain API server runs no controllers, so that `edit` itself stays empty here.
    """
    found = {one["metadata"]["name"]: one for one in server.get("clusterroles")["items"]}
    wanted, seen = [role], set[str]()
    while wanted:
        name = wanted.pop()
        seen.add(name)
        selectors = found[name].get("aggregationRule", {}).get("clusterRoleSelectors", ())
        for selector in selectors:
            labels = selector["matchLabels"].items()
            matching = (
                each
                for each, one in found.items()
                if labels <= one["metadata"].get("labels", {}).items()
            )
            wanted += [each for each in matching if each not in seen]
    return seen


def person(server: plain.ApiServer, namespace: str, name: str, roles: set[str]) -> api.Api:
    """The API as somebody reaches it whom a namespace's bindings give these roles."""
    server.apply(
        *(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"{name}-{role.replace(':', '-')}", "namespace": namespace},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role,
                },
                "subjects": [
                    {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
                ],
            }
            for role in sorted(roles)
        )
    )  # fmt: skip
    return api.Api(server.kubeconfig_for(name))


def rights(somebody: api.Api, namespace: str) -> set[tuple[str, str]]:
    """(verb, kind) of everything that the API server says somebody may do, asked at once."""
    asked = [
        (verb, kind)
        for kind in (*EDITORS, *ADMINISTRATORS)
        for verb in ("get", "list", "watch", *WRITES)
    ]
    reviews = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "group": "foreshore.dev", "resource": PLURALS[kind], "verb": verb,
                    "namespace": namespace,
                }
            },
        }
        for verb, kind in asked
    ]  # fmt: skip
    listed = {"apiVersion": "v1", "kind": "List", "items": reviews}
    wanted = 'jsonpath={.status.allowed}{"\\n"}'
    said = somebody.kubectl("create", "-f", "-", "-o", wanted, stdin=json.dumps(listed))
    allowed = (line == "true" for line in said.splitlines())
    return {one for one, is_allowed in zip(asked, allowed, strict=True) if is_allowed}


@pytest.mark.parametrize("aggregated", [True, False], ids=["the cluster's own", "ours alone"])
@pytest.mark.parametrize("role", sorted(MAY_WRITE))
def test_a_persons_role_writes_its_kinds_and_reads_all(
    server: plain.ApiServer, namespace: str, role: str, aggregated: bool
) -> None:
    held = taken_in(server, role) if aggregated else {OWN[role]}
    assert OWN[role] in held
    somebody = person(server, namespace, f"{role}-{'own' if aggregated else 'ours'}", held)
    reads = {(verb, kind) for kind in PLURALS for verb in ("get", "list", "watch")}
    writes = {(verb, kind) for kind in MAY_WRITE[role] for verb in WRITES}
    assert rights(somebody, namespace) == reads | writes


def test_an_editor_makes_a_policy_and_no_site(server: plain.ApiServer, namespace: str) -> None:
    """A Site names a broker and a credential: whoever makes one sends agents anywhere with it."""
    editor = person(server, namespace, "editor", taken_in(server, "edit"))
    editor.apply(room.changed(room.policy(), metadata__namespace=namespace))
    with pytest.raises(process.CommandError, match=r'cannot .* resource "sites"'):
        editor.apply(room.changed(room.site(), metadata__namespace=namespace))
    administrator = person(server, namespace, "administrator", taken_in(server, "admin"))
    administrator.apply(room.changed(room.site(), metadata__namespace=namespace))
    with pytest.raises(process.CommandError, match='cannot patch resource "sites"'):
        editor.kubectl(
            "patch", "sites.foreshore.dev", "hq", "-n", namespace, "--type=merge",
            "-p", '{"spec": {"broker": {"host": "10.9.9.9"}}}',
        )  # fmt: skip
