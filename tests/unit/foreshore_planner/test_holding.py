"""Silence and return: what a site keeps while it is out of sight, and that nothing flaps after."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_api.wire import report
from foreshore_planner import health, snapshot
from foreshore_planner import plan as planning

TWO = build.policy(placement={"replicas": 1, "standby": 1})


def unready(seen: snapshot.Snapshot, age: float = 120.0) -> snapshot.Snapshot:
    """The node controller calls every pod of a silent node unready."""
    return dataclasses.replace(
        seen,
        replicas=tuple(
            dataclasses.replace(one, phase=snapshot.PodPhase.UNREADY, phase_age=age)
            for one in seen.replicas
        ),
    )


def shown(seen: snapshot.Snapshot) -> list[tuple[str, str, str, str | None]]:
    (placement,) = planning.plan(seen).placements
    return [(one.node, one.role, one.phase, one.endpoint) for one in placement.replicas]


def test_a_silent_site_is_shown_as_it_was_and_keeps_its_endpoints_and_roles() -> None:
    settled = build.settle(build.world(policies=(TWO,)))
    silent = unready(build.silenced(settled, *build.EDGES))
    made = planning.plan(silent)
    assert shown(silent) == shown(settled)
    assert (made.removals, made.retired, made.grants) == ((), (), ())


@pytest.mark.parametrize("back", [1, 2, 3])
def test_nothing_moves_while_a_site_comes_back_node_by_node_before_its_agents_report(
    back: int,
) -> None:
    settled = build.settle(build.world(policies=(TWO,)))
    silent = unready(build.silenced(settled, *build.EDGES[back:]))
    returned = dataclasses.replace(
        build.with_nodes(
            silent,
            lambda one: dataclasses.replace(one, ready_age=1.0) if one.site == "hq" else one,
        ),
        fleet=build.fleet([]),
    )
    made = planning.plan(returned)
    held = build.condition(made, "Site", "hq", "Held")
    assert held == (("True", "SiteSilent") if back < 3 else None)
    assert shown(returned) == shown(settled)
    assert (made.removals, made.retired, made.grants) == ((), (), ())


def test_a_pod_that_stays_unready_on_a_node_that_is_back_for_good_moves() -> None:
    settled = build.settle(build.world())
    back = build.with_nodes(
        unready(settled),
        lambda one: dataclasses.replace(one, ready_age=40.0) if one.site == "hq" else one,
    )
    assert build.where(planning.plan(back)) == {"r0": "edge-2"}


def heard(age: float, report_age: float, fleet_age: float) -> bool | None:
    beat = build.agent("edge-2", hears=["edge-1"]).report.peers[0]
    peers = (dataclasses.replace(beat, age_seconds=age),)
    agent = build.agent("edge-2", age=report_age, peers=peers)
    return health.is_beating("edge-1", "hq", {"edge-2": agent}, fleet_age)


@pytest.mark.parametrize(
    ("age", "report_age", "fleet_age", "answer"),
    [
        (0.5, 1.0, 1.0, True),
        (7.0, 1.0, 0.0, False),
        (0.5, 9.0, 0.0, None),
        (0.5, 1.0, 8.0, None),
        (7.0, 9.0, 8.0, False),
    ],
)
def test_an_old_report_that_heard_a_beat_says_neither_that_it_lives_nor_that_it_died(
    age: float, report_age: float, fleet_age: float, answer: bool | None
) -> None:
    assert heard(age, report_age, fleet_age) is answer


def dark(*agents: report.AgentEvidence, fleet_age: float = 0.0) -> snapshot.Snapshot:
    """Of a settled site, the replica's node alone is silent so far, and these agents were heard."""
    return dataclasses.replace(
        build.silenced(build.settle(build.world()), "edge-1"),
        fleet=build.fleet(agents),
        fleet_age=fleet_age,
    )


def verdict(seen: snapshot.Snapshot) -> health.NodeVerdict:
    return health.assess(seen).of("edge-1").verdict


@pytest.mark.parametrize(("age", "fleet_age"), [(7.0, 0.0), (4.0, 3.0), (14.0, 0.0)])
@pytest.mark.parametrize("own", [6.5, 1.0], ids=["its own as old", "its own the last to come"])
def test_nothing_moves_while_a_site_goes_dark_node_by_node(
    age: float, fleet_age: float, own: float
) -> None:
    seen = dark(
        build.agent("edge-1", hears=["edge-2", "edge-3"], age=own),
        build.agent("edge-2", hears=["edge-1", "edge-3"], age=age),
        build.agent("edge-3", hears=["edge-1", "edge-2"], age=age),
        fleet_age=fleet_age,
    )
    made = planning.plan(seen)
    assert verdict(seen) is health.NodeVerdict.SITE_CUT
    assert build.where(made) == {"r0": "edge-1"}
    assert (made.removals, made.grants) == ((), ())


@pytest.mark.parametrize("age", [1.0, 3.5, 5.5, 6.0, 6.5])
def test_no_moment_of_a_site_going_dark_loses_a_node(age: float) -> None:
    peers = (report.ReportedPeer(node="edge-1", age_seconds=2.0, has_hub=True),)
    seen = dark(*(build.agent(name, peers=peers, age=age) for name in ("edge-2", "edge-3")))
    assert build.where(planning.plan(seen)) == {"r0": "edge-1"}


def test_the_replica_of_a_dead_node_moves_once_a_peer_says_that_its_beats_stopped() -> None:
    seen = dark(
        build.agent("edge-1", hears=["edge-2", "edge-3"], age=7.0),
        build.agent("edge-2", hears=["edge-3"], age=1.0, probes=build.FAST),
        build.agent("edge-3", hears=["edge-1", "edge-2"], age=7.0),
    )
    assert verdict(seen) is health.NodeVerdict.NODE_DEAD
    assert build.where(planning.plan(seen)) == {"r0": "edge-2"}


def test_a_silent_node_whose_own_agent_alone_still_speaks_is_no_cut_site() -> None:
    seen = dark(build.agent("edge-1", hears=(), age=1.0, probes=build.FAST))
    assert verdict(seen) is health.NodeVerdict.UNKNOWN


def test_a_silent_node_whose_agent_is_the_first_of_its_site_to_be_back_is_not_lost() -> None:
    """Found by traces: an uplink was back, and the node's Lease came last."""
    seen = dark(build.agent("edge-1", hears=["edge-2", "edge-3"], age=1.0, probes=build.FAST))
    assert verdict(seen) is health.NodeVerdict.SITE_CUT
    assert build.where(planning.plan(seen)) == {"r0": "edge-1"}


def test_agents_of_another_site_do_not_say_that_a_nodes_beats_stopped() -> None:
    seen = dark(
        build.agent("edge-2", age=1.0, broker_connected=False), build.agent("edge-9", age=1.0)
    )
    other = build.node("edge-9", site="branch", tier=v1alpha1.Tier.EDGE)
    both = dataclasses.replace(seen, nodes=(*seen.nodes, other))
    assert verdict(both) is health.NodeVerdict.UNKNOWN


@pytest.mark.parametrize(
    "witness",
    [{"broker_connected": False}, {"uptime_seconds": 5.0}, {"listening_seconds": 1.0}],
    ids=["off the broker", "just started", "just connected anew"],
)
def test_a_silent_node_whose_peers_speak_but_cannot_say_is_unknown_and_loses_its_replica(
    witness: dict[str, Any],
) -> None:
    seen = dark(build.agent("edge-2", age=1.0, probes=build.FAST, **witness))
    made = planning.plan(seen)
    assert verdict(seen) is health.NodeVerdict.UNKNOWN
    assert build.where(made) == {"r0": "edge-2"}
    assert made.grants == ()


def test_a_taint_that_only_keeps_new_pods_away_moves_no_running_one() -> None:
    settled = build.settle(build.world())

    def tainted(effect: str) -> snapshot.Snapshot:
        taint = (snapshot.Taint("node.kubernetes.io/disk-pressure", "", effect),)
        return build.with_nodes(
            settled,
            lambda one: dataclasses.replace(one, taints=taint) if one.name == "edge-1" else one,
        )

    assert build.where(planning.plan(tainted("NoSchedule"))) == {"r0": "edge-1"}
    assert build.where(planning.plan(tainted("NoExecute"))) == {"r0": "edge-2"}


def test_the_only_node_of_a_site_comes_before_a_cloud_that_was_probed() -> None:
    agents = [build.agent("edge-1", probes=build.probes(cloud_1=40))]
    seen = build.world(
        nodes=(build.edge("edge-1"), build.node("cloud-1")), fleet=build.fleet(agents)
    )
    assert build.where(planning.plan(seen)) == {"r0": "edge-1"}
