"""What the charts render for the values that people choose, without a cluster."""

from typing import Any

import pytest

from harness import charts

pytestmark = pytest.mark.cluster

AGENT = charts.VALUES["foreshore-agent"]
OF_HQ = ("nodes=OfSite", "site=hq", "serviceAccountFrom=Existing")


def daemon_set(*values: str) -> dict[str, Any]:
    """The only DaemonSet that the agents' chart renders."""
    documents = charts.rendered("foreshore-agent", (*AGENT, *values))
    (found,) = (one for one in documents if one["kind"] == "DaemonSet")
    return found


def node_terms(document: dict[str, Any]) -> list[list[tuple[str, str, tuple[str, ...]]]]:
    """By alternative: (label, operator, values) of what a node must carry."""
    affinity = document["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return [
        [
            (one["key"], one["operator"], tuple(one.get("values", ())))
            for one in term["matchExpressions"]
        ]
        for term in terms
    ]


def test_agents_run_on_every_labelled_node_unless_told_otherwise() -> None:
    assert node_terms(daemon_set()) == [
        [("foreshore.dev/site", "Exists", ())],
        [("foreshore.dev/tier", "Exists", ())],
    ]


def test_a_release_of_one_site_mounts_its_credentials_on_that_sites_nodes_only() -> None:
    assert node_terms(daemon_set(*OF_HQ)) == [[("foreshore.dev/site", "In", ("hq",))]]


def test_a_release_of_no_site_leaves_every_sites_nodes_out() -> None:
    assert node_terms(daemon_set("nodes=OfNoSite")) == [
        [("foreshore.dev/site", "DoesNotExist", ()), ("foreshore.dev/tier", "Exists", ())]
    ]


def test_releases_of_several_sites_stand_side_by_side_in_one_namespace() -> None:
    releases = [
        OF_HQ,
        ("nodes=OfSite", "site=plant", "serviceAccountFrom=Existing"),
        ("nodes=OfNoSite", "serviceAccountFrom=Existing"),
    ]
    documents = [
        one for values in releases for one in charts.rendered("foreshore-agent", (*AGENT, *values))
    ]
    names = [(one["kind"], one["metadata"]["name"]) for one in documents]
    assert len(names) == len(set(names))
    documents = [one for one in documents if one["kind"] == "DaemonSet"]
    assert len(documents) == len(releases)
    selectors = [one["spec"]["selector"]["matchLabels"] for one in documents]
    assert all(selectors.count(each) == 1 for each in selectors)
    for one in documents:
        assert (
            one["spec"]["selector"]["matchLabels"].items()
            <= one["spec"]["template"]["metadata"]["labels"].items()
        )


def test_every_release_lets_the_hub_read_its_agents_pods_and_nothing_else() -> None:
    for values in ((), OF_HQ, ("hub.namespace=control", "hub.serviceAccount=hub")):
        documents = charts.rendered("foreshore-agent", (*AGENT, *values))
        (role,) = (one for one in documents if one["kind"] == "Role")
        (binding,) = (one for one in documents if one["kind"] == "RoleBinding")
        pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
        assert role["rules"] == [pods]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        (subject,) = binding["subjects"]
        own = (
            ("control", "hub")
            if "hub.namespace=control" in values
            else ("foreshore-system", "foreshore-hub")
        )
        assert (subject["namespace"], subject["name"]) == own


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(("nodes=OfSite",), id="a site's release without a site"),
        pytest.param(("site=hq",), id="a site that nothing would look at"),
        pytest.param(("nodes=Some",), id="nodes of no known word"),
        pytest.param(("nodes=OfSite", "site=HQ"), id="a site that no label can say"),
    ],
)
def test_values_that_would_place_agents_wrongly_are_refused(values: tuple[str, ...]) -> None:
    assert not charts.is_accepted("foreshore-agent", (*AGENT, *values))
