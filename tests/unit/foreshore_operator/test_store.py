"""What the mirrors remember beyond the objects themselves."""

import itertools
import math
from typing import Any, cast

import pytest

from foreshore_api import meta, v1alpha1
from foreshore_kube import api, informer
from foreshore_operator import dirty, flaps, manifests, store
from foreshore_planner import snapshot

EDGE = informer.ObjectKey("", "edge-1")
VERSIONS = itertools.count(1)


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


def age_after(mirrors: store.ClusterMirrors, *readies: str) -> float:
    """List the node in these states; how long it has been Ready again, or infinity."""
    mirror = cast(Any, mirrors)._hosts.nodes
    for ready in readies:
        version = str(next(VERSIONS))
        mirror.put(
            {
                "metadata": {"name": "edge-1", "uid": "1", "resourceVersion": version},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            },
        )
    (found,) = mirrors.observed_nodes(v1alpha1.Tier.CLOUD)
    return found.ready_age


def test_a_node_that_returns_is_young_and_one_that_was_always_ready_is_not(
    mirrors: store.ClusterMirrors, clock: Clock
) -> None:
    assert age_after(mirrors, "True") == math.inf
    assert age_after(mirrors, "Unknown") == math.inf
    clock.now += 50.0
    assert age_after(mirrors, "True") == 0.0
    clock.now += 12.0
    assert age_after(mirrors, "True") == 12.0


def test_a_replica_carries_what_its_own_pod_asks_for(mirrors: store.ClusterMirrors) -> None:
    labels = {meta.LABEL_POLICY: "ventilate", meta.LABEL_SITE: "hq", meta.LABEL_SLOT: "r0"}
    asked = {"resources": {"requests": {"cpu": "1500m", "memory": "128Mi"}}}
    cast(Any, mirrors)._hosts.pods.put(
        {
            "metadata": {
                "namespace": "hq",
                "name": "ventilate-r0",
                "uid": "1",
                "resourceVersion": str(next(VERSIONS)),
                "labels": labels | manifests.LABELS,
            },
            "spec": {"nodeName": "edge-1", "containers": [asked]},
        },
    )
    (found,) = mirrors.replicas()
    assert found.requests == snapshot.ComputeResources(cpu=1500, memory=128 << 20)


def test_a_deleted_node_leaves_nothing_behind(mirrors: store.ClusterMirrors) -> None:
    assert age_after(mirrors, "False", "True") == 0.0
    cast(Any, mirrors)._hosts.nodes.remove(EDGE)
    assert age_after(mirrors, "True") == math.inf


def silent_age(mirrors: store.ClusterMirrors) -> float | None:
    (found,) = mirrors.observed_nodes(v1alpha1.Tier.CLOUD)
    return found.silent_age


def test_a_node_is_silent_since_it_was_seen_to_stop(
    mirrors: store.ClusterMirrors, clock: Clock
) -> None:
    age_after(mirrors, "True")
    assert silent_age(mirrors) is None
    age_after(mirrors, "Unknown")
    clock.now += 30.0
    age_after(mirrors, "False")
    assert silent_age(mirrors) == 30.0, "another word for the same silence"
    age_after(mirrors, "True")
    assert silent_age(mirrors) is None


def test_a_pod_of_an_agent_is_kept_until_it_goes(mirrors: store.ClusterMirrors) -> None:
    labels = {"app.kubernetes.io/name": "foreshore-agent", "app.kubernetes.io/part-of": "foreshore"}
    key = informer.ObjectKey("foreshore-agents", "foreshore-agent-x7k2p")
    cast(Any, mirrors)._hosts.pods.put(
        {
            "metadata": {
                "namespace": key.namespace,
                "name": key.name,
                "uid": "1",
                "resourceVersion": str(next(VERSIONS)),
                "labels": labels,
            },
            "spec": {"nodeName": "edge-1"},
        },
    )
    assert [(part.component, part.name, part.node) for part in mirrors.parts()] == [
        ("foreshore-agent", "foreshore-agent-x7k2p", "edge-1")
    ]
    cast(Any, mirrors)._hosts.pods.remove(key)
    assert list(mirrors.parts()) == []


def test_each_cause_of_a_silence_counts_and_both_together_once(
    mirrors: store.ClusterMirrors, clock: Clock
) -> None:
    def renewed(when: str) -> None:
        mirror = cast(Any, mirrors)._hosts.leases
        metadata = {"name": "edge-1", "namespace": "kube-node-lease"}
        version = {"resourceVersion": str(next(VERSIONS)), "uid": "2"}
        mirror.put({"metadata": metadata | version, "spec": {"renewTime": when}})
        mirror.last_contact = clock.now

    age_after(mirrors, "True")
    renewed("a")
    clock.now += 13.0
    cast(Any, mirrors)._hosts.leases.last_contact = clock.now
    mirrors.turn_stale("edge-1")
    age_after(mirrors, "Unknown")
    (node,) = mirrors.observed_nodes(v1alpha1.Tier.CLOUD)
    assert node.flaps == (0.0,)
    age_after(mirrors, "True")
    renewed("b")
    clock.now += 5.0
    age_after(mirrors, "False")
    (node,) = mirrors.observed_nodes(v1alpha1.Tier.CLOUD)
    assert node.flaps == (0.0, 5.0)


def test_where_nobody_wants_quarantine_no_flap_is_seen(clock: Clock) -> None:
    kube = cast(api.KubeApi, None)
    mirrors = store.ClusterMirrors(kube, dirty.Dirty(), clock, counts_flaps=False)
    age_after(mirrors, "True")
    age_after(mirrors, "False")
    (node,) = mirrors.observed_nodes(v1alpha1.Tier.CLOUD)
    assert node.silent_age is not None
    assert node.flaps == ()


def test_nodes_that_are_forgotten_early_are_counted_and_logged_once_a_minute(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flaps, "GONE_KEPT", 10)
    counts: list[int] = []
    kube = cast(api.KubeApi, None)
    mirrors = store.ClusterMirrors(kube, dirty.Dirty(), clock, on_forgotten=counts.append)
    seen = cast(Any, mirrors)._hosts._flaps
    for number in range(40):
        seen.heard(f"n{number}", "hq")
        seen.gone(f"n{number}")
        clock.now += 1.0
        mirrors.settle_flaps()
    clock.now += 60.0
    mirrors.settle_flaps()
    assert counts == [1, 29]
    assert "forgotten before their hour was over" in caplog.text
    assert len(caplog.records) == 2


def test_a_broken_stream_of_leases_brings_no_dead_node_back(
    mirrors: store.ClusterMirrors, clock: Clock
) -> None:
    leases = cast(Any, mirrors)._hosts.leases
    age_after(mirrors, "True")
    metadata = {"name": "edge-1", "resourceVersion": "1", "uid": "2"}
    lease = {"metadata": {**metadata, "namespace": "kube-node-lease"}}
    leases.put({**lease, "spec": {"renewTime": "a"}})
    for contact in (0.0, 13.0, 40.0, 40.0):  # heard, stale, deaf, stale again
        clock.now += contact
        leases.last_contact = None if contact == 40.0 and clock.now < 160.0 else clock.now
        mirrors.turn_stale("edge-1")
    (node,) = mirrors.observed_nodes(v1alpha1.Tier.CLOUD)
    assert node.flaps == (80.0,)


def test_what_was_taken_hold_of_is_as_it_was_whenever_it_is_looked_at(
    mirrors: store.ClusterMirrors, clock: Clock
) -> None:
    """A thread makes the snapshot of a comparison while the loop goes on: both say the same."""
    hosts = cast(Any, mirrors)._hosts

    def node(name: str, ready: str) -> None:
        version = str(next(VERSIONS))
        metadata = {"name": name, "uid": name, "resourceVersion": version}
        hosts.nodes.put(
            {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": ready}]}}
        )

    def pod(name: str, phase: str, **labels: str) -> None:
        version = str(next(VERSIONS))
        metadata = {"namespace": "hq", "name": name, "uid": name, "resourceVersion": version}
        asked = {"resources": {"requests": {"cpu": "1500m"}}}
        hosts.pods.put(
            {
                "metadata": metadata | {"labels": labels},
                "spec": {"nodeName": "edge-1", "containers": [asked]},
                "status": {"phase": phase},
            }
        )

    def lease(name: str) -> None:
        version = str(next(VERSIONS))
        metadata = {"name": name, "namespace": "kube-node-lease", "resourceVersion": version}
        hosts.leases.put({"metadata": metadata, "spec": {"renewTime": version}})
        hosts.leases.last_contact = clock.now

    ours = {meta.LABEL_POLICY: "ventilate", meta.LABEL_SITE: "hq", meta.LABEL_SLOT: "r0"}
    for name in ("edge-1", "edge-2", "edge-3"):
        node(name, "True")
        lease(name)
    node("edge-3", "False")
    pod("ventilate-r0", "Pending", **ours, **manifests.LABELS)
    pod("another", "Running")
    clock.now += 5.0
    tier = v1alpha1.Tier.CLOUD
    wanted = (tuple(mirrors.observed_nodes(tier)), tuple(mirrors.replicas()))
    nodes, replicas = mirrors.observed_nodes(tier), mirrors.replicas()
    assert wanted[0][0].lease_age == 5.0
    assert len(wanted[0][2].flaps) == 1
    clock.now += 7.0
    node("edge-1", "Unknown")
    node("edge-3", "True")
    lease("edge-2")
    hosts.nodes.remove(informer.ObjectKey("", "edge-2"))
    pod("ventilate-r0", "Failed", **ours, **manifests.LABELS)
    pod("third", "Running")
    hosts.pods.remove(informer.ObjectKey("hq", "another"))
    assert (tuple(nodes), tuple(replicas)) == wanted
    assert tuple(mirrors.observed_nodes(tier)) != wanted[0], "it is otherwise by now"
    assert tuple(mirrors.replicas()) != wanted[1]
