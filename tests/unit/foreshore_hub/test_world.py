"""What a change touches, and what the hub reads off the resources."""

from collections.abc import Iterable
from typing import Any

import pytest

from builders import resources
from foreshore_api import meta, v1alpha1
from foreshore_hub import by_site, fleet, world
from foreshore_hub.renewals import NamedHolder, RenewedHolder
from foreshore_kube import informer, kinds


def pod(node: str, **changes: Any) -> dict[str, Any]:
    """An agent's pod, as the API server says."""
    port = {"name": "http", "containerPort": 8081}
    return {
        "metadata": {"name": f"agent-{node}", "namespace": "agents"},
        "spec": {
            "nodeName": node,
            "serviceAccountName": "foreshore-agent",
            "containers": [{"ports": [port]}],
            **changes.pop("spec", {}),
        },
        "status": {"phase": "Running", "podIP": "10.42.0.7", **changes.pop("status", {})},
        **changes,
    }


def seen(
    *found: meta.Resource,
    nodes: dict[str, str | None] | None = None,
    pods: Iterable[dict[str, Any]] = (),
) -> world.World:
    mirrors: dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]] = {
        kind: {} for kind in world.KINDS
    }
    for each in found:
        mirrors[type(each)][informer.ObjectKey(each.namespace, each.name)] = each
    labelled = {
        informer.ObjectKey("", name): world.LabelledNode(
            name, {meta.LABEL_SITE: site} if site else {}
        )
        for name, site in (nodes or {}).items()
    }
    agents = {
        informer.ObjectKey("agents", f"pod-{number}"): world.AgentPod.read(each)
        for number, each in enumerate(pods)
    }
    return world.World(labelled, mirrors, agents, "foreshore-agent")


def change(old: meta.Resource | None, new: meta.Resource | None) -> informer.ObjectChange[Any]:
    either = old or new
    assert either is not None
    key = informer.ObjectKey(either.namespace, either.name)
    return informer.ObjectChange(kinds.of(type(either)), key, old, new)


def held(holder: str | None = "edge-1", epoch: int = 100, **spec: Any) -> v1alpha1.Device:
    authority = {"epoch": epoch, "lastIssued": epoch, **({"holder": holder} if holder else {})}
    return resources.device(status={"authority": authority}, spec=spec)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (resources.device(), resources.device(status={"observedGeneration": 3})),
        (resources.policy(), resources.policy()),
        (resources.placement(), resources.placement()),
    ],
    ids=["a condition of a device", "a policy seen again", "a placement measured again"],
)
def test_what_is_only_told_about_an_object_touches_nothing(
    old: meta.Resource, new: meta.Resource
) -> None:
    assert world.touched(change(old, new)) == world.NOTHING


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, resources.policy()),
        (resources.policy(), None),
    ],
    ids=["appeared", "went away"],
)
def test_what_changes_an_assignment_touches_its_namespace(
    old: meta.Resource | None, new: meta.Resource | None
) -> None:
    assert world.touched(change(old, new)).namespaces == {"hq"}


@pytest.mark.parametrize(
    ("old", "new", "sites"),
    [
        (resources.device(), held(), {"hq"}),
        (held(), held(epoch=101), {"hq"}),
        (None, held(), {"hq"}),
        (held(), None, {"hq"}),
        (held(), held(site="annex"), {"hq", "annex"}),
        (
            resources.placement(),
            resources.placement(("r0", "Active", "Ready", "10.0.0.1:80")),
            {"hq"},
        ),
    ],
    ids=["a first grant", "a new epoch", "appeared", "went away", "moved", "a replica is ready"],
)
def test_what_belongs_to_a_site_touches_it_alone(
    old: meta.Resource | None, new: meta.Resource | None, sites: set[str]
) -> None:
    """A right that moved had all nodes of the namespace compiled anew: a thousand for five."""
    touched = world.touched(change(old, new))
    assert {place.site for place in touched.sites} == sites
    assert not touched.namespaces
    assert not touched.nodes


def test_a_changed_site_touches_every_node_because_names_are_unique_in_the_cluster() -> None:
    assert world.touched(change(None, resources.site())).nodes == {"*"}


def test_the_named_holder_comes_with_the_lease_that_holds_for_the_device() -> None:
    device = held(authority={"leaseDuration": "10s"})
    found = seen(resources.profile(), device).named(("hq", "room-301"))
    assert found == NamedHolder("edge-1", 100, 10.0)


def test_a_device_that_nobody_was_granted_names_nobody() -> None:
    profile = resources.profile()
    assert seen(profile, resources.device()).named(("hq", "room-301")) is None
    assert seen(profile).named(("hq", "room-301")) is None
    assert seen(profile, held(None)).named(("hq", "room-301")) == NamedHolder(None, 100, 15.0)


def test_a_holder_whose_profile_was_deleted_is_renewed_by_the_lease_of_its_last_renewal() -> None:
    """It was renewed no more, and stood down after one lease."""
    last = RenewedHolder(epoch=100, holder="edge-1", lease_seconds=12.0)
    assert seen(held()).named(("hq", "room-301"), last) == NamedHolder("edge-1", 100, 12.0)
    assert seen(held()).named(("hq", "room-301")) is None


def test_a_node_that_the_api_server_does_not_know_is_not_compiled_as_one_of_no_site() -> None:
    assert seen(*resources.everything()).question("stranger") is None


def test_peers_whose_node_is_unknown_are_no_probe_targets() -> None:
    nodes: dict[str, str | None] = {"edge-1": "hq", "edge-2": "hq", "cloud-1": None}
    pods = [pod(name) for name in (*nodes, "stranger")]
    question = seen(*resources.everything(), nodes=nodes, pods=pods).question("edge-1")
    assert question is not None
    assert [each.node for each in question().assignment.probes] == ["cloud-1", "edge-2"]


def test_a_peers_address_is_that_of_its_pod_and_the_port_that_its_container_names() -> None:
    nodes: dict[str, str | None] = {"edge-1": "hq", "edge-2": "hq"}
    question = seen(*resources.everything(), nodes=nodes, pods=[pod("edge-2")]).question("edge-1")
    assert question is not None
    assert [each.url for each in question().assignment.probes] == ["http://10.42.0.7:8081"]


def test_a_peer_whose_pod_has_an_ipv6_address_first_is_timed_there() -> None:
    both = {"podIP": "fd42:1::1:7", "podIPs": [{"ip": "fd42:1::1:7"}, {"ip": "10.42.1.7"}]}
    nodes: dict[str, str | None] = {"edge-1": "hq", "edge-2": "hq"}
    pods = [pod("edge-2", status=both)]
    question = seen(*resources.everything(), nodes=nodes, pods=pods).question("edge-1")
    assert question is not None
    assert [target.url for target in question().assignment.probes] == ["http://[fd42:1::1:7]:8081"]


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": {"serviceAccountName": "somebody"}},
        {"spec": {"containers": [{"ports": [{"containerPort": 22}]}]}},
        {"status": {"phase": "Pending"}},
        {"status": {"podIP": ""}},
        {"metadata": {"name": "x", "deletionTimestamp": "2026-03-01T10:00:00Z"}},
    ],
    ids=["another account", "another port", "not running", "no address", "about to go"],
)
def test_a_pod_that_is_no_running_agent_is_nobodys_peer(changes: dict[str, Any]) -> None:
    nodes: dict[str, str | None] = {"edge-1": "hq", "edge-2": "hq"}
    pods = [pod("edge-2", **changes)]
    question = seen(*resources.everything(), nodes=nodes, pods=pods).question("edge-1")
    assert question is not None
    assert question().assignment.probes == ()


def test_a_pod_whose_address_is_none_is_not_understood() -> None:
    with pytest.raises(ValueError, match="evil"):
        world.AgentPod.read(pod("edge-2", status={"podIP": "evil.example/?"}))


def test_more_peers_than_an_assignment_names_are_cut_by_name_and_said() -> None:
    names = [f"cloud-{number:04}" for number in range(1100)]
    nodes: dict[str, str | None] = {"edge-1": "hq", **dict.fromkeys(names)}
    pods = [pod(name) for name in names]
    question = seen(*resources.everything(), nodes=nodes, pods=pods).question("edge-1")
    assert question is not None
    compiled = question()
    assert [each.node for each in compiled.assignment.probes] == names[:1000]
    assert "TooManyPeers" in [each.reason for each in compiled.problems]


def report_of(node: str, **fields: Any) -> Any:
    from foreshore_api.wire import report

    return report.Report.model_validate(
        {
            "node": node,
            "bootId": "b",
            "agentVersion": "0",
            "sentAt": "2026-03-01T10:00:00Z",
            "uptimeSeconds": 1,
            **fields,
        }
    )


def test_what_was_given_back_is_forgotten_when_the_agent_no_longer_says_so() -> None:
    device = {"namespace": "hq", "device": "room-301", "connected": False, "epoch": 5}
    evidence = fleet.FleetEvidence("lineage", 0.0, {})
    evidence.note_report(report_of("edge-1", devices=[{**device, "gaveBack": True}]), 1.0)
    assert evidence.given_back(("hq", "room-301")) == {("edge-1", 5)}
    evidence.note_report(report_of("edge-1", devices=[device]), 2.0)
    assert evidence.given_back(("hq", "room-301")) == frozenset()


def test_what_was_given_back_is_as_old_as_the_first_report_of_it() -> None:
    """The operator waits by that age, and reports repeat what was given back."""
    back = {"namespace": "hq", "device": "room-301", "connected": False, "gaveBack": True}
    evidence = fleet.FleetEvidence("lineage", 0.0, {})
    for at in (1.0, 3.0, 6.0):
        evidence.note_report(report_of("edge-1", devices=[{**back, "epoch": 5}]), at)
    evidence.note_report(report_of("edge-2", devices=[{**back, "epoch": 4}]), 7.0)
    entries = evidence.evidence(8.0).given_back
    assert [(entry.holder, entry.epoch, entry.age_seconds) for entry in entries] == [
        ("edge-1", 5, 7.0), ("edge-2", 4, 1.0),
    ]  # fmt: skip
    evidence.note_report(report_of("edge-1", devices=[{**back, "epoch": 6}]), 9.0)
    assert evidence.evidence(9.0).given_back[0].age_seconds == 0.0, "it is another right"
    evidence.note_report(report_of("edge-1"), 10.0)
    assert [entry.holder for entry in evidence.evidence(10.0).given_back] == ["edge-2"]


def test_ages_count_from_when_the_report_came_by_the_hubs_own_clock() -> None:
    evidence = fleet.FleetEvidence("lineage", 0.0, {})
    evidence.note_report(report_of("edge-1"), 10.0)
    assert evidence.evidence(14.0).agents[0].age_seconds == 4.0
    assert evidence.count(14.0) == (1, 0)
    assert evidence.count(40.0) == (0, 1)


def node_change(old: str | None, new: str | None, **labels: str) -> informer.ObjectChange[Any]:
    """A node of one site is seen as one of another; the empty name is that of no site."""
    before, after = (
        None
        if site is None
        else world.LabelledNode("edge-1", {meta.LABEL_SITE: site} if site else {})
        for site in (old, new)
    )
    if after is not None:
        after = world.LabelledNode(after.name, {**after.labels, **labels})
    return informer.ObjectChange(kinds.NODES, informer.ObjectKey("", "edge-1"), before, after)


def test_a_node_that_is_only_seen_again_touches_nothing() -> None:
    """Nodes say every few minutes that they live; nothing follows from that."""
    assert world.touched(node_change("hq", "hq")) == world.NOTHING


@pytest.mark.parametrize(
    ("old", "new"),
    [("hq", "annex"), ("hq", ""), ("", "hq"), (None, "hq"), ("hq", None)],
    ids=["another site", "label gone", "labelled", "appeared", "gone"],
)
def test_a_node_that_changes_its_site_touches_its_peers_of_both(
    old: str | None, new: str | None
) -> None:
    assert world.touched(node_change(old, new)) == world.EVERYTHING


def test_another_label_of_a_node_touches_it_alone() -> None:
    assert world.touched(node_change("hq", "hq", zone="west")).nodes == {"edge-1"}


class Reads(dict[informer.ObjectKey, meta.Resource]):
    """A mirror that counts how often all of it is gone through."""

    count = 0

    def values(self) -> Any:
        self.count += 1
        return super().values()

    def items(self) -> Any:
        self.count += 1
        return super().items()


def test_devices_are_gone_through_for_no_node() -> None:
    """Each of a thousand nodes copied and sorted ten thousand devices."""
    devices = Reads()
    mirrors: dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]] = {
        kind: {} for kind in world.KINDS
    }
    mirrors[v1alpha1.Device] = devices
    contents = by_site.SiteContents()
    hub_world = world.World({}, mirrors, {}, "foreshore-agent", contents)
    here = by_site.SitePlace("hq", "hq")
    assert hub_world.resources(here).devices == ()
    devices[informer.ObjectKey("hq", "room-301")] = held()
    contents.note(change(None, held()))
    assert hub_world.resources(here).devices == (held(),)
    assert devices.count == 0


def test_what_sites_share_is_as_of_the_last_change() -> None:
    mirrors: dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]] = {
        kind: {} for kind in world.KINDS
    }
    contents = by_site.SiteContents()
    hub_world = world.World({}, mirrors, {}, "foreshore-agent", contents)
    here = by_site.SitePlace("hq", "hq")
    assert hub_world.resources(here).sites == ()
    assert hub_world.site_namespace("hq") is None
    site = resources.site()
    mirrors[v1alpha1.Site][informer.ObjectKey("hq", site.name)] = site
    contents.note(change(None, site))
    assert hub_world.resources(here).sites == (site,)
    assert hub_world.site_namespace("hq") == "hq"
