"""Nodes say what they are; where they stand is for people to say: the chart's admission policy."""

import json
from collections.abc import Iterator

import pytest

from harness import api, charts, process, tools
from harness import apiserver as plain

pytestmark = pytest.mark.cluster

SITE = "foreshore.dev/site"
REFUSED = "a kubelet may not set foreshore.dev/ labels"


@pytest.fixture(scope="module")
def server(apiserver: plain.ApiServer) -> Iterator[plain.ApiServer]:
    """The API server with the policy in force."""
    kinds = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    policy = [one for one in charts.rendered("foreshore", ()) if one["kind"] in kinds]
    assert {one["kind"] for one in policy} == kinds
    apiserver.apply(*policy)
    try:
        process.eventually(
            lambda: is_refused(apiserver, "probe"), what="the policy is in force", timeout=60
        )
        yield apiserver
    finally:
        for one in policy:
            apiserver.kubectl("delete", one["kind"], one["metadata"]["name"])


def is_refused(server: plain.ApiServer, name: str) -> bool:
    """Whether a kubelet that names a site for itself is told no, without leaving anything."""
    try:
        register(server, name, {SITE: "hq"}, "--dry-run=server")
    except process.CommandError as error:
        return REFUSED in str(error)
    return False


def kubelet(server: plain.ApiServer, node: str) -> api.Api:
    """The API as a node's own kubelet reaches it."""
    return api.Api(server.kubeconfig_for(f"system:node:{node}", group="system:nodes"))


def register(server: plain.ApiServer, name: str, labels: dict[str, str], *more: str) -> str:
    """Make the node's own object, as its kubelet does when it starts for the first time."""
    document = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
    }
    made = kubelet(server, name)
    return made.kubectl("create", "-f", "-", *more, stdin=json.dumps(document))


@pytest.fixture
def node(server: plain.ApiServer) -> Iterator[str]:
    """A node that has joined by itself, after the policy was installed."""
    register(server, "edge-9", {})
    try:
        yield "edge-9"
    finally:
        server.kubectl("delete", "node", "edge-9")


def test_a_node_joins_after_the_policy_was_installed(node: str, server: plain.ApiServer) -> None:
    assert server.get("node", node)["metadata"]["name"] == node


def test_a_kubelet_may_not_join_a_site_by_registering(server: plain.ApiServer) -> None:
    with pytest.raises(process.CommandError, match=REFUSED):
        register(server, "edge-8", {SITE: "hq"})
    assert not process.succeeds(
        [tools.binary("kubectl"), "--kubeconfig", server.kubeconfig, "get", "node", "edge-8"]
    )


@pytest.mark.parametrize("label", [f"{SITE}=plant", f"{SITE}-"])
def test_a_kubelet_may_not_change_where_people_put_its_node(
    label: str, node: str, server: plain.ApiServer
) -> None:
    server.kubectl("label", "node", node, f"{SITE}=hq")
    with pytest.raises(process.CommandError, match=REFUSED):
        kubelet(server, node).kubectl("label", "node", node, "--overwrite", label)
    assert server.get("node", node)["metadata"]["labels"][SITE] == "hq"


def test_a_kubelet_of_a_labelled_node_reports_as_ever(node: str, server: plain.ApiServer) -> None:
    server.kubectl("label", "node", node, f"{SITE}=hq")
    kubelet(server, node).kubectl("annotate", "node", node, "example.com/reported=yes")
    found = server.get("node", node)["metadata"]
    assert found["annotations"]["example.com/reported"] == "yes"
    assert found["labels"][SITE] == "hq"
