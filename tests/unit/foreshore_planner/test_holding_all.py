"""How much may move at once: a site without nodes, a dead node of a large site, a dark fleet."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_planner import health, snapshot
from foreshore_planner import plan as planning


def fleet_of(sites: int, dark: Mapping[int, float], nodes: int = 2) -> snapshot.Snapshot:
    """So many sites, of which some went wholly dark so many seconds ago."""
    found = []
    for site in range(sites):
        for number in range(nodes):
            state = (
                {"is_ready": False, "silent_age": dark[site], "lease_age": dark[site] + 12.0}
                if site in dark
                else {}
            )
            name = f"edge-{site}-{number}"
            tier = v1alpha1.Tier.EDGE
            found.append(build.node(name, site=f"s{site}", tier=tier, **state))
    return build.world(nodes=tuple(found), fleet=build.fleet([]))


def held(seen: snapshot.Snapshot) -> int:
    return len(health.assess(seen).held_sites)


@pytest.mark.parametrize(
    ("sites", "dark", "expected"),
    [
        pytest.param(20, {0: 40.0, 1: 60.0}, 2, id="two of twenty hold nobody else"),
        pytest.param(20, {n: 40.0 + n for n in range(6)}, 6, id="less than a third"),
        pytest.param(20, {n: 40.0 + n for n in range(7)}, 20, id="more than a third"),
        pytest.param(3, {0: 40.0, 1: 50.0}, 2, id="fewer than three"),
        pytest.param(4, {0: 40.0, 1: 50.0, 2: 60.0}, 4, id="three of four"),
        pytest.param(20, {n: 1000.0 * n for n in range(9)}, 9, id="one after the other"),
        pytest.param(20, {n: 9000.0 + n for n in range(7)}, 20, id="together, long ago, and still"),
        pytest.param(
            20,
            {**{n: 90000.0 * (n + 1) for n in range(12)}, 12: 30.0, 13: 31.0, 14: 32.0},
            20,
            id="a third of those that were alive",
        ),
        pytest.param(
            20,
            {**{n: 90000.0 * (n + 1) for n in range(10)}, 12: 30.0, 13: 31.0, 14: 32.0},
            13,
            id="less than a third of those that were alive",
        ),
    ],
)
def test_what_is_held_when_sites_go_dark(sites: int, dark: dict[int, float], expected: int) -> None:
    assert held(fleet_of(sites, dark)) == expected


def test_a_site_is_dark_since_its_last_node_fell_silent() -> None:
    seen = fleet_of(20, dict.fromkeys(range(7), 40.0))
    early = build.with_nodes(
        seen,
        lambda one: (
            dataclasses.replace(one, silent_age=90000.0, lease_age=90000.0)
            if one.name.endswith("-0") and one.silent_age is not None
            else one
        ),
    )
    assert held(early) == 20


def test_the_hold_ends_when_enough_sites_are_back() -> None:
    seven = dict.fromkeys(range(7), 600.0)
    assert held(fleet_of(20, seven)) == 20
    assert held(fleet_of(20, {n: age for n, age in seven.items() if n > 1})) == 5


def reported(seen: snapshot.Snapshot, *sites: int, uptime: float = 86400.0) -> snapshot.Snapshot:
    """An agent of each of these sites reports to a hub that runs for so long."""
    agents = [build.agent(f"edge-{site}-0") for site in sites]
    return dataclasses.replace(seen, fleet=build.fleet(agents, uptime=uptime))


@pytest.mark.parametrize(
    ("age", "reporting", "uptime", "expected"),
    [
        pytest.param(700.0, range(3, 8), 86400.0, 3, id="the others report since ten minutes"),
        pytest.param(500.0, range(3, 8), 86400.0, 8, id="not for long enough"),
        pytest.param(700.0, range(3, 8), 300.0, 8, id="the hub was away in between"),
        pytest.param(700.0, range(3, 6), 86400.0, 3, id="more than half of the others"),
        pytest.param(700.0, range(3, 5), 86400.0, 8, id="less than half of the others"),
        pytest.param(700.0, (), 86400.0, 8, id="nobody reports"),
    ],
)
def test_the_hold_ends_when_the_living_sites_have_reported_without_a_break(
    age: float, reporting: Iterable[int], uptime: float, expected: int
) -> None:
    """Three of eight sites were switched off for good: the others waited for them for ever."""
    seen = fleet_of(8, {0: age, 1: age + 30.0, 2: age + 60.0})
    assert held(reported(seen, *reporting, uptime=uptime)) == expected


def test_shops_that_close_together_hold_the_others_for_minutes_and_not_until_morning() -> None:
    assert held(reported(fleet_of(8, dict.fromkeys(range(6), 60.0)), 6, 7)) == 8
    assert held(reported(fleet_of(8, dict.fromkeys(range(6), 9000.0)), 6, 7)) == 6


def test_the_hold_goes_on_while_the_hub_is_out_of_reach() -> None:
    seen = fleet_of(8, dict.fromkeys(range(3), 9000.0))
    assert held(dataclasses.replace(reported(seen, *range(3, 8)), fleet=None)) == 8


def test_a_fresh_fault_holds_although_an_old_one_does_not_any_more() -> None:
    dark = {**dict.fromkeys(range(4), 9000.0), **dict.fromkeys(range(4, 8), 60.0)}
    assert held(reported(fleet_of(12, dark), *range(8, 12))) == 12


def test_a_site_that_goes_dark_meanwhile_begins_the_minutes_anew_only_with_its_own_fault() -> None:
    dark = {**dict.fromkeys(range(4), 9000.0), 4: 60.0}
    assert held(reported(fleet_of(12, dark), *range(5, 12))) == 5


def test_a_silent_node_of_a_fleet_that_is_held_says_so() -> None:
    dark = fleet_of(8, dict.fromkeys(range(3), 60.0))
    seen = build.with_nodes(
        dark,
        lambda one: dataclasses.replace(one, is_ready=False) if one.name == "edge-7-0" else one,
    )
    verdicts = health.assess(seen)
    assert verdicts.of("edge-7-0").verdict is health.NodeVerdict.SITE_CUT
    assert verdicts.of("edge-7-0").evidence.endswith("while many sites are dark together")
    assert verdicts.of("edge-0-0").evidence.endswith("with most of its site")


def test_a_device_of_a_fleet_that_is_held_says_so() -> None:
    authority = {"holder": "edge-1", "epoch": 7, "lastIssued": 7}
    seen = build.world(devices=(build.device(authority=authority),))
    dark = fleet_of(9, dict.fromkeys(range(4), 40.0)).nodes
    made = planning.plan(dataclasses.replace(seen, nodes=(*seen.nodes, *dark)))
    assert build.condition(made, "Device", "room-301", "Held") == ("True", "FleetSilent")


def test_sites_of_which_nobody_saw_when_they_went_dark_hold_only_themselves() -> None:
    seen = build.with_nodes(
        fleet_of(20, dict.fromkeys(range(8), 40.0)),
        lambda one: dataclasses.replace(one, silent_age=None, lease_age=None),
    )
    assert held(seen) == 8


def test_a_fresh_lease_of_a_node_that_is_not_ready_says_nothing_of_when() -> None:
    """A kubelet whose network plug-in is broken renews its Lease for months."""
    seen = build.with_nodes(
        fleet_of(20, dict.fromkeys(range(8), 40.0)),
        lambda one: dataclasses.replace(one, silent_age=None, lease_age=3.0),
    )
    assert held(seen) == 8


def test_a_lease_that_stops_on_a_node_that_still_says_ready_tells_when() -> None:
    seen = build.with_nodes(
        fleet_of(20, dict.fromkeys(range(7), 40.0)),
        lambda one: dataclasses.replace(one, is_ready=True, silent_age=None),
    )
    assert held(seen) == 20


def test_a_fleet_that_is_held_says_so() -> None:
    settled = build.settle(build.world())
    dark = fleet_of(9, dict.fromkeys(range(4), 40.0)).nodes
    seen = dataclasses.replace(settled, nodes=(*build.silenced(settled, "edge-1").nodes, *dark))
    made = planning.plan(seen)
    assert build.where(made) == {"r0": "edge-1"}
    assert build.condition(made, "Site", "hq", "Held") == ("True", "FleetSilent")
    failed = dataclasses.replace(
        settled,
        nodes=(*settled.nodes, *dark),
        replicas=tuple(
            dataclasses.replace(one, phase=snapshot.PodPhase.FAILED) for one in settled.replicas
        ),
    )
    made = planning.plan(failed)
    assert build.where(made) == {"r0": "edge-1"}, "also what failed on a node that is well"
    placed = build.condition(made, "InferencePlacement", "ventilate.hq", "Placed")
    assert placed == ("False", "FleetSilent")


def is_one_fault(sites: int, dark: Sequence[int], *, are_others_heard: bool) -> bool:
    """The rule as it is said, tried for every two minutes that begin when a site went dark."""
    for start in dark:
        together = [age for age in dark if start <= age <= start + 120]
        alive = sites - len([age for age in dark if age > max(together)])
        is_over = are_others_heard and min(together) >= 600
        if len(together) >= 3 and len(together) * 3 > alive and not is_over:
            return True
    return False


edges = st.sampled_from([0, 120, 121, 599, 600, 601, 720])
ages = edges | st.integers(0, 130) | st.integers(0, 3000)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 12), st.dictionaries(st.integers(0, 11), ages, max_size=12), st.booleans())
def test_all_are_held_by_three_sites_and_a_third_that_went_dark_together_and_only_then(
    sites: int, dark: dict[int, int], is_heard: bool
) -> None:
    dark = {site: age for site, age in dark.items() if site < sites}
    living = [site for site in range(sites) if site not in dark] if is_heard else []
    seen = reported(fleet_of(sites, dark, nodes=1), *living)
    verdicts = health.assess(seen)
    expected = is_one_fault(sites, sorted(dark.values()), are_others_heard=bool(living))
    assert verdicts.is_fleet_held is expected
    assert len(verdicts.held_sites) == (sites if expected else len(dark))


def many(number: int, nodes: int = 5) -> snapshot.Snapshot:
    """A site of five nodes, with so many policies; every replica is on `edge-1`."""
    policies = tuple(build.policy(f"p{one:02}") for one in range(number))
    first = (
        build.edge("edge-1", allocatable=snapshot.ComputeResources(cpu=64000, memory=1 << 40)),
    )
    seen = build.settle(build.world(policies=policies, nodes=first))
    others = tuple(
        build.edge(f"edge-{one}", allocatable=snapshot.ComputeResources(cpu=64000, memory=1 << 40))
        for one in range(2, nodes + 1)
    )
    return dataclasses.replace(seen, nodes=(*first, *others))


def moved(seen: snapshot.Snapshot) -> list[str]:
    return [one.policy for one in planning.plan(seen).placements if one.pods[0].node != "edge-1"]


def waiting(seen: snapshot.Snapshot) -> set[str | None]:
    return {one.findings.waiting_reason for one in planning.plan(seen).placements}


def test_off_a_dead_node_of_a_healthy_site_half_of_the_replicas_move_within_the_minute() -> None:
    seen = build.silenced(many(20), "edge-1")
    assert len(moved(seen)) == 10
    assert waiting(seen) == {None, "MoveLimit"}
    after = build.applied(seen, planning.plan(seen))
    assert len(moved(build.later(after, 30.0))) == 10, "the minute is not over"
    assert len(moved(build.later(after, 61.0))) == 20


def test_a_small_site_is_not_slowed_by_halves() -> None:
    assert len(moved(build.silenced(many(6), "edge-1"))) == 6


def test_without_a_healthy_majority_six_move() -> None:
    """One of two nodes is dead: that is no majority, and not more than half either."""
    assert len(moved(build.silenced(many(20, nodes=2), "edge-1"))) == 6


def test_the_scarcest_move_first() -> None:
    """Those that few nodes can take, then those that ask for most."""
    seen = many(20)
    picky = build.policy("p18", placement={"nodeSelector": {"gpu": "yes"}})
    policies = tuple(picky if one.metadata.name == "p18" else one for one in seen.policies)
    seen = build.with_nodes(
        dataclasses.replace(seen, policies=policies),
        lambda one: (
            dataclasses.replace(one, labels={"gpu": "yes"})
            if one.name in ("edge-1", "edge-2")
            else one
        ),
    )
    assert "p18" in moved(build.silenced(seen, "edge-1"))


def test_a_site_whose_nodes_carry_no_label_moves_as_others_do() -> None:
    """Its budget of moves was nought for ever."""
    seen = build.settle(
        build.world(nodes=(build.node("cloud-1"), build.node("cloud-2")), fleet=build.fleet([]))
    )
    failed = dataclasses.replace(
        seen,
        replicas=tuple(
            dataclasses.replace(one, phase=snapshot.PodPhase.FAILED, reason="Evicted")
            for one in seen.replicas
        ),
    )
    assert build.where(planning.plan(failed)) == {"r0": "cloud-2"}
