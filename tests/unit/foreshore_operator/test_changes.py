"""What the mirrors hand to a consumer that keeps a world: order and deltas."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import room
from foreshore_api import meta, v1alpha1
from foreshore_kube import api, intake, mirror
from foreshore_operator import changes, dirty, manifests, ordered, store

CLOUD = v1alpha1.Tier.CLOUD


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mirrors(clock: Clock) -> store.ClusterMirrors:
    return store.ClusterMirrors(cast(api.KubeApi, None), dirty.Dirty(), clock)


def written(document: api.Json, version: int) -> api.Json:
    identity = {"uid": document["metadata"]["name"], "resourceVersion": str(version)}
    return {**document, "metadata": {**document["metadata"], **identity}}


def watch(mirrors: store.ClusterMirrors, document: api.Json, version: int, type_: str) -> None:
    kept = written(document, version)
    mirrors.note(intake.WatchedEvent(document["kind"], type_, kept))


def put_node(mirrors: store.ClusterMirrors, name: str, version: int, ready: str = "True") -> None:
    document = {
        "metadata": {"name": name, "uid": name, "resourceVersion": str(version)},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }
    cast(Any, mirrors)._hosts.nodes.put(document)


def put_pod(mirrors: store.ClusterMirrors, name: str, version: int, **labels: str) -> None:
    asked = {"resources": {"requests": {"cpu": "500m"}}}
    identity = {"namespace": "hq", "name": name, "uid": name, "resourceVersion": str(version)}
    document = {
        "metadata": {**identity, "labels": labels},
        "spec": {"nodeName": "edge-1", "containers": [asked]},
    }
    cast(Any, mirrors)._hosts.pods.put(document)


def put_lease(mirrors: store.ClusterMirrors, name: str, version: int) -> None:
    document = {
        "metadata": {"name": name, "uid": name, "resourceVersion": str(version)},
        "spec": {"renewTime": str(version)},
    }
    cast(Any, mirrors)._hosts.leases.put(document)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from([None, 1, 2]))))
def test_whatever_comes_and_goes_the_order_is_that_of_the_keys(
    history: list[tuple[str, int | None]],
) -> None:
    objects: dict[mirror.ObjectKey, int] = {}
    view = ordered.OrderedObjects(objects)
    for name, value in history:
        key = mirror.ObjectKey("hq", name)
        objects.pop(key, None)
        if value is not None:
            objects[key] = value
        view.note(key)
        assert view.values() == tuple(objects[key] for key in sorted(objects))
    assert view.revision == len(history)


def test_a_kind_that_does_not_change_is_the_same_tuple_in_every_pass(
    mirrors: store.ClusterMirrors,
) -> None:
    watch(mirrors, room.site(), 1, "ADDED")
    sites, revision = mirrors.all_of(v1alpha1.Site), mirrors.revision(v1alpha1.Site)
    watch(mirrors, room.profile(), 2, "ADDED")
    watch(mirrors, room.site(), 1, "MODIFIED")
    assert mirrors.all_of(v1alpha1.Site) is sites
    assert mirrors.revision(v1alpha1.Site) == revision
    watch(mirrors, room.site(), 3, "MODIFIED")
    assert mirrors.revision(v1alpha1.Site) > revision


def test_a_follower_begins_with_everything_and_then_gets_what_changed(
    mirrors: store.ClusterMirrors,
) -> None:
    watch(mirrors, room.site(), 1, "ADDED")
    put_node(mirrors, "edge-1", 1)
    keys = mirrors.follow()
    first = mirrors.delta(keys, CLOUD)
    assert set(first.resources) == {("Site", mirror.ObjectKey("hq", "hq"))}
    assert set(first.nodes) == {"edge-1"}
    assert mirrors.delta(keys, CLOUD) == changes.StoreDelta({}, {}, {}, {})
    watch(mirrors, room.site(), 2, "DELETED")
    second = mirrors.delta(keys, CLOUD)
    assert second.resources == {("Site", mirror.ObjectKey("hq", "hq")): None}


def test_what_came_and_went_between_two_looks_is_a_key_without_an_object(
    mirrors: store.ClusterMirrors,
) -> None:
    keys = mirrors.follow()
    watch(mirrors, room.site(), 1, "ADDED")
    watch(mirrors, room.site(), 2, "DELETED")
    assert mirrors.delta(keys, CLOUD).resources == {("Site", mirror.ObjectKey("hq", "hq")): None}


def test_an_object_that_is_not_understood_any_more_is_gone_for_a_follower(
    mirrors: store.ClusterMirrors,
) -> None:
    watch(mirrors, room.site(), 1, "ADDED")
    keys = mirrors.follow()
    mirrors.delta(keys, CLOUD)
    watch(mirrors, room.changed(room.site(), spec__broker=7), 2, "MODIFIED")
    assert mirrors.delta(keys, CLOUD).resources == {("Site", mirror.ObjectKey("hq", "hq")): None}
    ((kind, _, why),) = mirrors.undecodable()
    assert kind == "Site"
    assert why


def test_an_object_has_its_spec_as_before_when_only_its_status_changes(
    mirrors: store.ClusterMirrors,
) -> None:
    specs = []
    for version in (1, 2, 3):
        site = room.changed(room.site(), status={"observedGeneration": version})
        if version == 3:
            site = room.changed(site, spec__timeZone="Europe/Paris")
        watch(mirrors, site, version, "MODIFIED")
        found = mirrors.find(v1alpha1.Site, "hq", "hq")
        assert found is not None
        assert (found.status.observed_generation, found.metadata.resource_version) == (
            version,
            str(version),
        )
        assert mirrors.document("Site", "hq", "hq") == written(site, version)
        specs.append(found.spec)
    assert specs[0] is specs[1]
    assert specs[2].time_zone == "Europe/Paris"


@pytest.mark.parametrize("digits", [20, 400])
def test_a_number_too_large_is_named_with_its_field_and_is_no_defect_of_ours(
    mirrors: store.ClusterMirrors, digits: int
) -> None:
    """It was refused as a whole: `TypeError: Integer exceeds 64-bit range`."""
    watch(mirrors, room.changed(room.site(), spec__broker__port=10**digits), 1, "ADDED")
    ((_, _, why),) = mirrors.undecodable()
    assert "spec.broker.port" in why
    assert not why.startswith("TypeError")


def test_a_number_too_large_where_nobody_reads_costs_nothing(
    mirrors: store.ClusterMirrors,
) -> None:
    large = room.changed(room.site(), spec__ofTheFuture=10**400)
    watch(mirrors, large, 1, "ADDED")
    assert list(mirrors.undecodable()) == []
    assert mirrors.document("Site", "hq", "hq") == written(large, 1)


def test_a_pod_of_others_changes_the_room_of_its_node_and_a_replica_does_not(
    mirrors: store.ClusterMirrors,
) -> None:
    put_node(mirrors, "edge-1", 1)
    keys = mirrors.follow()
    mirrors.delta(keys, CLOUD)
    put_pod(mirrors, "theirs", 2)
    delta = mirrors.delta(keys, CLOUD)
    node = delta.nodes["edge-1"]
    assert node is not None
    assert node.requested.cpu == 500
    ours = {meta.LABEL_POLICY: "p", meta.LABEL_SITE: "hq", meta.LABEL_SLOT: "r0"}
    put_pod(mirrors, "ours", 3, **ours, **manifests.LABELS)
    delta = mirrors.delta(keys, CLOUD)
    assert not delta.nodes
    replica = delta.replicas[mirror.ObjectKey("hq", "ours")]
    assert replica is not None
    assert replica.requests.cpu == 500
    (observed,) = mirrors.observed_nodes(CLOUD)
    assert observed.requested.cpu == 500


def test_the_room_that_others_took_is_free_again_when_they_go(
    mirrors: store.ClusterMirrors,
) -> None:
    put_node(mirrors, "edge-1", 1)
    put_pod(mirrors, "first", 2)
    put_pod(mirrors, "second", 3)
    assert [node.requested.cpu for node in mirrors.observed_nodes(CLOUD)] == [1000]
    cast(Any, mirrors)._hosts.pods.remove(mirror.ObjectKey("hq", "first"))
    assert [node.requested.cpu for node in mirrors.observed_nodes(CLOUD)] == [500]


def test_a_lease_that_turns_stale_changes_its_node_although_no_event_came(
    mirrors: store.ClusterMirrors, clock: Clock
) -> None:
    for name in ("edge-1", "edge-2"):
        put_node(mirrors, name, 1)
        put_lease(mirrors, name, 1)
    keys = mirrors.follow()
    mirrors.delta(keys, CLOUD)
    mirrors.lease_ages.reached()
    clock.now += 5.0
    put_lease(mirrors, "edge-2", 2)
    clock.now += 7.5
    cast(Any, mirrors)._hosts.leases.last_contact = clock.now
    assert mirrors.stale_leases(12.0) == {"edge-1"}
    mirrors.turn_stale("edge-1")
    assert set(mirrors.delta(keys, CLOUD).nodes) == {"edge-1"}


def test_while_no_lease_is_heard_of_none_is_stale(
    mirrors: store.ClusterMirrors, clock: Clock
) -> None:
    put_node(mirrors, "edge-1", 1)
    put_lease(mirrors, "edge-1", 1)
    clock.now += 60.0
    assert mirrors.stale_leases(12.0) == frozenset()


def test_nothing_is_kept_for_nobody(mirrors: store.ClusterMirrors) -> None:
    watch(mirrors, room.site(), 1, "ADDED")
    watch(mirrors, room.site(), 2, "DELETED")
    assert cast(Any, mirrors)._followers == []
