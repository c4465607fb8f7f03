"""What is read of Nodes and their Leases."""

import datetime
import math
from typing import Any

import pytest

from foreshore_api import v1alpha1
from foreshore_operator import nodes
from foreshore_planner import snapshot


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def document(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "edge-1", "labels": {"foreshore.dev/site": "hq"}},
        "spec": {"taints": [{"key": "edge", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "1900m", "memory": "2Gi"}, **status},
    }


def seen(**status: Any) -> snapshot.Node:
    return nodes.node(
        nodes.record(document(**status)),
        default_tier=v1alpha1.Tier.CLOUD,
        lease_age=1.0,
        ready_age=math.inf,
        silent_age=None,
        requested=snapshot.ComputeResources(),
    )


def test_room_is_counted_in_thousandths_of_a_core_and_bytes() -> None:
    assert seen().allocatable == snapshot.ComputeResources(1900, 2 << 30)


def test_a_node_offers_what_its_device_plug_ins_count_and_nothing_of_kubernetes_own() -> None:
    offered = {"cpu": "2", "memory": "2Gi", "hugepages-2Mi": "0", "pods": "110"}
    found = seen(allocatable={**offered, "nvidia.com/gpu": "1", "amd.com/gpu": "0"}).allocatable
    assert found.extended == (("amd.com/gpu", 0), ("nvidia.com/gpu", 1))
    assert found.count("nvidia.com/gpu") == 1
    assert found.count("intel.com/npu") == 0


@pytest.mark.parametrize(
    ("status", "is_ready"), [("True", True), ("False", False), ("Unknown", None)]
)
def test_an_unknown_readiness_is_neither_true_nor_false(status: str, is_ready: bool | None) -> None:
    assert seen(conditions=[{"type": "Ready", "status": status}]).is_ready is is_ready


EDGE, CLOUD = v1alpha1.Tier.EDGE, v1alpha1.Tier.CLOUD


@pytest.mark.parametrize(
    ("labels", "cluster", "tier"),
    [
        pytest.param({"site": "shop"}, CLOUD, EDGE, id="a board of a site that nobody labelled"),
        pytest.param({"site": "shop", "tier": "edge"}, CLOUD, EDGE, id="a tier that is no word"),
        pytest.param({"site": "shop", "tier": "Cloud"}, CLOUD, CLOUD, id="a tier that is said"),
        pytest.param({"site": ""}, CLOUD, CLOUD, id="a site without a name"),
        pytest.param({}, CLOUD, CLOUD, id="a node of the cluster"),
        pytest.param({}, EDGE, EDGE, id="a node of a cluster at the edge"),
        pytest.param({"tier": "Edge"}, CLOUD, EDGE, id="an edge node of no site yet"),
    ],
)
def test_a_node_of_a_site_is_edge_unless_its_label_says_otherwise(
    labels: dict[str, str], cluster: v1alpha1.Tier, tier: v1alpha1.Tier
) -> None:
    """As Cloud it would be given replicas of other sites, and none of a policy that is EdgeOnly."""
    labelled = document()
    labelled["metadata"]["labels"] = {f"foreshore.dev/{key}": said for key, said in labels.items()}
    node = nodes.node(
        nodes.record(labelled),
        default_tier=cluster,
        lease_age=None,
        ready_age=math.inf,
        silent_age=None,
        requested=snapshot.ComputeResources(),
    )
    assert node.tier is tier


def test_a_refreshed_heartbeat_makes_no_difference() -> None:
    one = document(conditions=[{"type": "Ready", "status": "True", "lastHeartbeatTime": "1"}])
    other = document(conditions=[{"type": "Ready", "status": "True", "lastHeartbeatTime": "2"}])

    assert nodes.record(one) == nodes.record(other)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_lease_ages_from_when_it_last_changed_here(clock: Clock) -> None:
    ages = nodes.LeaseAges(clock)
    ages.note("edge-1", "a")
    clock.now += 5
    ages.note("edge-1", "a")
    clock.now += 5

    assert ages.age("edge-1") == 10


def test_a_node_without_a_lease_has_no_age(clock: Clock) -> None:
    assert nodes.LeaseAges(clock).age("edge-1") is None


def test_after_an_outage_of_the_api_server_ages_count_from_its_end(clock: Clock) -> None:
    ages = nodes.LeaseAges(clock)
    ages.note("edge-1", "a")
    ages.reached()
    clock.now += 60
    ages.reached()
    clock.now += 2
    ages.reached()

    assert ages.age("edge-1") == 2


def test_an_api_server_that_answers_each_second_resets_no_age(clock: Clock) -> None:
    ages = nodes.LeaseAges(clock)
    ages.note("edge-1", "a")
    for _ in range(20):
        clock.now += 1
        ages.reached()

    assert ages.age("edge-1") == 20


@pytest.mark.parametrize(
    ("changed", "seconds"),
    [("2026-03-01T09:59:00Z", 60.0), ("2026-03-01T11:00:00Z", 0.0), ("soon", 0.0), (None, 0.0)],
)
def test_a_node_first_seen_silent_is_so_since_its_condition_changed(
    changed: str | None, seconds: float
) -> None:
    condition = {"type": "Ready", "status": "Unknown", "lastTransitionTime": changed}
    kept = nodes.record(document(conditions=[condition]))
    now = datetime.datetime(2026, 3, 1, 10, 0, tzinfo=datetime.UTC)

    assert nodes.not_ready_for(kept, now) == seconds
