"""What the charts render for the values that people choose, without a cluster."""

from typing import Any

import pytest

from foreshore_api import v1alpha1
from foreshore_kube import elector, epochs
from foreshore_planner import hysteresis
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


def agent_container(*values: str) -> dict[str, Any]:
    """The agent as its DaemonSet runs it."""
    (container,) = daemon_set(*values)["spec"]["template"]["spec"]["containers"]
    return dict(container)


def memory(container: dict[str, Any]) -> tuple[str, str]:
    """What it asks its node for, and its limit."""
    resources = container["resources"]
    return resources["requests"]["memory"], resources["limits"]["memory"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param((), ("96Mi", "384Mi"), id="none by default"),
        pytest.param(("modelMemory=256",), ("352Mi", "640Mi"), id="added to both"),
        pytest.param(
            ("modelMemory=512", "resources.limits.memory=1Gi"), ("608Mi", "1536Mi"), id="to Gi"
        ),
    ],
)
def test_what_models_may_take_in_the_agent_is_asked_of_the_node_and_allowed(
    values: tuple[str, ...], expected: tuple[str, str]
) -> None:
    container = agent_container(*values)
    assert memory(container) == expected
    chosen = dict(value.split("=") for value in values).get("modelMemory", "0")
    assert {"name": "FORESHORE_MODEL_MEMORY", "value": chosen} in container["env"]


def secrets_mounted(*values: str) -> dict[str, tuple[str, list[str]]]:
    """By folder of the credentials: the Secret, and which of its keys are mounted (none: all)."""
    pod = daemon_set(*values)["spec"]["template"]["spec"]
    secrets = {one["name"]: one["secret"] for one in pod["volumes"] if "secret" in one}
    (container,) = pod["containers"]
    return {
        one["mountPath"].removeprefix("/etc/foreshore/credentials/"): (
            secrets[one["name"]]["secretName"],
            [item["key"] for item in secrets[one["name"]].get("items", ())],
        )
        for one in container["volumeMounts"]
        if one["name"] in secrets
    }


def test_of_a_model_servers_authority_agents_see_the_certificate_alone() -> None:
    chosen = ("credentials={broker}", "modelAuthorities={models,broker,models}")
    assert secrets_mounted(*chosen) == {"broker": ("broker", []), "models": ("models", ["ca.crt"])}
    assert secrets_mounted("modelAuthorities=null", "credentials={broker}") == {
        "broker": ("broker", [])
    }


@pytest.mark.parametrize("name", ["hq-broker", "a" * 52], ids=["short", "as long as names may be"])
def test_a_brokers_secret_is_mounted_whole_whatever_is_in_it(name: str) -> None:
    """So that user name and password reach the agent as a certificate does: a file a key."""
    pod = daemon_set(f"credentials={{{name}}}")["spec"]["template"]["spec"]
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == f"credential-{name}")
    assert volume["secret"] == {"secretName": name, "optional": True, "defaultMode": 0o440}
    assert len(volume["name"]) <= 63
    assert secrets_mounted(f"credentials={{{name}}}") == {name: (name, [])}


def test_agents_listen_on_addresses_of_both_families() -> None:
    """kubelet probes the first address of a pod, which may be of either."""
    assert "--address=::" in agent_container()["args"]


def test_the_hubs_service_takes_both_families_where_a_cluster_has_them() -> None:
    documents = charts.rendered("foreshore", ("hub.clusterIP=fd42::10",))
    (service,) = (document for document in documents if document["kind"] == "Service")
    assert service["spec"]["ipFamilyPolicy"] == "PreferDualStack"
    assert service["spec"]["clusterIP"] == "fd42::10"


@pytest.mark.parametrize("url", ["https://[fd42::10]:8443", "https://10.96.100.10:8443"])
def test_the_hub_is_dialled_at_an_address_of_either_family(url: str) -> None:
    assert f"--hub={url}" in agent_container(f"hub.url={url}")["args"]


def test_an_agent_without_a_limit_is_given_none_for_its_models() -> None:
    container = agent_container("modelMemory=256", "resources.limits=null")
    assert container["resources"]["requests"]["memory"] == "352Mi"
    assert "memory" not in (container["resources"].get("limits") or {})


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(("modelMemory=-1",), id="less than nothing"),
        pytest.param(("modelMemory=256Mi",), id="a quantity: it is a number of MiB"),
        pytest.param(
            ("modelMemory=256", "resources.limits.memory=402653184"), id="a limit in bytes"
        ),
        pytest.param(("modelMemory=256", "resources.limits.memory=0.5Gi"), id="a broken limit"),
    ],
)
def test_model_memory_that_cannot_be_added_is_refused(values: tuple[str, ...]) -> None:
    assert not charts.is_accepted("foreshore-agent", (*AGENT, *values))


def operators(*values: str) -> dict[str, dict[str, Any]]:
    """By kind: what the chart renders under the operator's name."""
    documents = charts.rendered("foreshore", values)
    return {
        document["kind"]: document
        for document in documents
        if document["metadata"]["name"] == "foreshore-operator"
    }


def test_two_operators_stand_apart_and_a_drain_takes_them_one_after_the_other() -> None:
    made = operators()
    deployment, budget = made["Deployment"]["spec"], made["PodDisruptionBudget"]["spec"]
    pod = deployment["template"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 1}
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["selector"]
    assert budget["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    affinity = pod["spec"]["affinity"]["podAntiAffinity"]
    # preferred: on a cluster of one node a second replica that must stand apart would wait for ever
    assert list(affinity) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    terms = [term["podAffinityTerm"] for term in affinity[next(iter(affinity))]]
    assert [term["topologyKey"] for term in terms] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    assert all(term["labelSelector"] == budget["selector"] for term in terms)


def test_a_single_operator_keeps_no_drain_waiting() -> None:
    made = operators("operator.replicas=1")
    assert "PodDisruptionBudget" not in made
    assert made["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_an_operator_is_given_the_time_that_its_ending_takes() -> None:
    """A write on its way, the Lease given back, and the threads of Kopf and of a pass."""
    pod = operators()["Deployment"]["spec"]["template"]["spec"]
    timing = elector.Timing()
    ending = timing.write_timeout + timing.request_timeout + timing.retry_period
    assert pod["terminationGracePeriodSeconds"] >= 2 * ending


@pytest.mark.parametrize("count", ["0", "6", "two"])
def test_a_number_of_operators_that_makes_no_sense_is_refused(count: str) -> None:
    assert not charts.is_accepted("foreshore", (f"operator.replicas={count}",))


def operator_arguments(*values: str) -> list[str]:
    """The command line that the chart gives the operator."""
    (container,) = operators(*values)["Deployment"]["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


def test_what_moves_wait_for_that_nothing_forces_is_as_the_operator_has_it_by_default() -> None:
    chosen = [option for option in operator_arguments() if option.startswith("--returns")]
    assert chosen == [
        f"--returns-min-ready-seconds={hysteresis.DEFAULT.min_ready:.0f}",
        f"--returns-stabilization-window-seconds={hysteresis.DEFAULT.window:.0f}",
    ]


def test_what_moves_wait_for_that_nothing_forces_is_a_value_of_the_chart() -> None:
    arguments = operator_arguments(
        "operator.returns.minReadySeconds=15", "operator.returns.stabilizationWindowSeconds=3600"
    )
    assert "--returns-min-ready-seconds=15" in arguments
    assert "--returns-stabilization-window-seconds=3600" in arguments
    assert not [one for one in operator_arguments("operator.returns=null") if "returns" in one]


@pytest.mark.parametrize("name", ["minReadySeconds", "stabilizationWindowSeconds"])
@pytest.mark.parametrize("value", ["9", "3601", "10m", "-60"])
def test_a_wait_that_would_make_replicas_trade_places_is_refused(name: str, value: str) -> None:
    assert not charts.is_accepted("foreshore", (f"operator.returns.{name}={value}",))


def policies(*values: str) -> list[dict[str, Any]]:
    """The chart's admission policies."""
    kind = "ValidatingAdmissionPolicy"
    documents = charts.rendered("foreshore", values, "shore")
    return [document for document in documents if document["kind"] == kind]


def test_the_policies_of_epochs_judge_the_operators_account_alone() -> None:
    chosen = [one for one in policies() if one["metadata"]["name"].startswith(epochs.POLICIES)]
    assert len(chosen) == 2
    for policy in chosen:
        (condition,) = policy["spec"]["matchConditions"]
        account = "system:serviceaccount:shore:foreshore-operator"
        assert condition["expression"] == f"request.userInfo.username == '{account}'"


def test_the_policies_of_epochs_judge_every_write_that_the_operator_may_make() -> None:
    """But events, which change nothing, deletes, which carry no epoch, and its own Lease."""
    role = operators()["ClusterRole"]
    writes = {"create", "patch"}
    written = {
        (group, resource)
        for rule in role["rules"]
        if writes & set(rule["verbs"]) and rule["resources"] != ["events"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for policy in policies():
        if not policy["metadata"]["name"].startswith(epochs.POLICIES):
            continue
        judged = {
            (group, resource)
            for rule in policy["spec"]["matchConstraints"]["resourceRules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
        assert judged == written


def test_the_policy_of_who_writes_epochs_judges_everybody_but_the_operators_account() -> None:
    (policy,) = [one for one in policies() if one["metadata"]["name"] == "foreshore-leader-epoch"]
    (condition,) = policy["spec"]["matchConditions"]
    account = "system:serviceaccount:shore:foreshore-operator"
    assert condition["expression"] == f"request.userInfo.username != '{account}'"
    assert not policy["metadata"]["name"].startswith(epochs.POLICIES), "no term is over by it"
    statuses = {f"{kind.plural}/status" for kind in v1alpha1.KINDS}
    (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert {*rule["resources"]} == {"inferenceplacements", *statuses}


def test_who_wants_no_policy_of_epochs_says_so() -> None:
    names = [one["metadata"]["name"] for one in policies("epochPolicy=Disabled")]
    assert not [name for name in names if "epoch" in name]
    assert not charts.is_accepted("foreshore", ("epochPolicy=Sometimes",))
