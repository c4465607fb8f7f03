"""Authority: one holder, moved only on two signs and after the old right has run out."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api import scalars
from foreshore_api.wire import beat, report
from foreshore_planner import binding, health, snapshot, succession
from foreshore_planner import plan as planning

EPOCH = 1_700_000_000
HELD = {"holder": "edge-1", "epoch": EPOCH, "lastIssued": EPOCH}


def held(**changes: Any) -> snapshot.Snapshot:
    fleet = build.fleet(renewals=[build.renewal(EPOCH, age=1.0)])
    return build.world(devices=(build.device(authority=HELD),), fleet=fleet, **changes)


def lost(renewed: float) -> snapshot.Snapshot:
    """edge-1 is silent, its beats have stopped, and its last renewal is so many seconds old."""
    seen = build.silenced(held(), "edge-1")
    assert seen.fleet is not None
    fleet = seen.fleet.model_copy(update={"renewals": (build.renewal(EPOCH, age=renewed),)})
    return dataclasses.replace(seen, fleet=fleet)


def only(seen: snapshot.Snapshot) -> succession.GrantUpdate | None:
    grants = planning.plan(seen).grants
    return grants[0] if grants else None


def test_the_first_holder_is_the_lowest_connected_node_with_a_number_of_unix_seconds() -> None:
    grant = only(build.world())
    assert grant is not None
    assert grant.authority.holder == "edge-1"
    assert grant.authority.epoch == grant.authority.last_issued == int(build.NOW.timestamp())


def test_a_device_that_was_re_created_starts_above_its_past_numbers() -> None:
    past = {"epoch": 2_000_000_000, "lastIssued": 2_000_000_000}
    grant = only(build.world(devices=(build.device(authority=past),)))
    assert grant is not None
    assert grant.authority.epoch == 2_000_000_001


def test_a_healthy_holder_stays() -> None:
    assert only(held()) is None


@pytest.mark.parametrize(("renewed", "granted"), [(21.9, False), (22.1, True)])
def test_nothing_is_granted_before_lease_and_margin_and_time_to_live_have_run_out(
    renewed: float, granted: bool
) -> None:
    made = planning.plan(lost(renewed))
    assert bool(made.grants) is granted
    assert (made.wake_after is None) is granted


def test_the_next_holder_is_another_with_a_higher_number() -> None:
    grant = only(lost(30.0))
    assert grant is not None
    assert grant.authority.holder == "edge-2"
    assert grant.authority.epoch > EPOCH


def test_a_silent_node_alone_moves_nothing_while_its_beats_are_heard() -> None:
    seen = build.with_nodes(
        held(),
        lambda one: dataclasses.replace(one, is_ready=False) if one.name == "edge-1" else one,
    )
    assert only(seen) is None


def stopped(renewed: float) -> snapshot.Snapshot:
    """The beats of edge-1 have stopped although its node is Ready: its agent crashes."""
    agents = [build.agent("edge-2", hears=["edge-3"]), build.agent("edge-3", hears=["edge-2"])]
    fleet = build.fleet(agents, renewals=[build.renewal(EPOCH, age=renewed)])
    return dataclasses.replace(held(), fleet=fleet)


def test_stopped_beats_alone_move_nothing_while_the_hub_renews_the_holder() -> None:
    made = planning.plan(stopped(renewed=14.0))
    assert not made.grants
    assert made.wake_after == 1.0  # when its lease of 15 s would have run out


def test_a_dead_agent_on_a_ready_node_loses_its_device() -> None:
    grant = only(stopped(renewed=30.0))
    assert grant is not None
    assert (grant.authority.holder, grant.cause) == ("edge-2", "HolderLost")
    assert grant.evidence.startswith("Ready, but its agent does not report")


def test_a_dead_agent_on_a_ready_node_is_waited_for_until_its_right_has_run_out() -> None:
    made = planning.plan(stopped(renewed=20.0))
    assert not made.grants
    assert made.wake_after is not None


@pytest.mark.parametrize("since", ["uptime_seconds", "listening_seconds"])
def test_a_peer_that_has_listened_for_less_than_a_lease_is_no_witness(since: str) -> None:
    def granted(seconds: float) -> bool:
        listens: dict[str, Any] = {since: seconds}
        agents = [build.agent(name, **listens) for name in ("edge-2", "edge-3")]
        return only(dataclasses.replace(lost(30.0), fleet=build.fleet(agents))) is not None

    assert (granted(14.0), granted(16.0)) == (False, True)


def test_a_restarted_hub_counts_its_start_as_the_last_renewal() -> None:
    seen = lost(30.0)
    assert seen.fleet is not None
    young = seen.fleet.model_copy(update={"renewals": (), "uptime_seconds": 10.0})
    assert only(dataclasses.replace(seen, fleet=young)) is None


def test_without_the_hub_nothing_moves() -> None:
    assert only(dataclasses.replace(lost(30.0), fleet=None)) is None


def test_nothing_moves_while_most_of_the_site_is_silent() -> None:
    assert only(build.silenced(held(), "edge-1", "edge-2")) is None


def handed_back(
    guards: dict[str, Any],
    known_for: float | None = 0.0,
    epoch: int = EPOCH,
    renewed: float = 1.0,
    others: tuple[str, ...] = ("edge-2", "edge-3"),
) -> snapshot.Snapshot:
    """edge-1 gave its right to the device back; `known_for`: None with a hub that does not say."""
    back = report.HeldDevice(
        namespace="hq", device="room-301", connected=False, epoch=EPOCH, gave_back=True
    )
    entry = report.GivenBack(
        namespace="hq",
        device="room-301",
        epoch=epoch,
        holder="edge-1",
        age_seconds=known_for or 0.0,
    )
    agents = [
        build.agent("edge-1", devices=(back,), broker_connected=not others),
        *(build.agent(name, hears=others) for name in others),
    ]
    fleet = build.fleet(agents, [build.renewal(EPOCH, age=renewed)]).model_copy(
        update={"given_back": () if known_for is None else (entry,)}
    )
    profile = build.profile(guards=guards)
    return dataclasses.replace(held(), fleet=fleet, profiles=(profile,))


CHECKED = {"epoch": "Checked", "duplicates": "Checked"}
UNFENCED: dict[str, Any] = {"fence": "None"}


@pytest.mark.parametrize("guards", [CHECKED, {**CHECKED, "fence": "Device"}])
def test_a_right_that_was_given_back_moves_at_once_where_the_device_fences(
    guards: dict[str, Any],
) -> None:
    grant = only(handed_back(guards))
    assert grant is not None
    assert (grant.authority.holder, grant.cause) == ("edge-2", "GivenBack")


@pytest.mark.parametrize("guards", [UNFENCED, {}, {"epoch": "Checked"}])
def test_a_right_to_a_device_that_nobody_fences_waits_for_the_last_command_to_run_out(
    guards: dict[str, Any],
) -> None:
    """The longest timeToLive of its policies is 5 s."""
    early = planning.plan(handed_back(guards, known_for=4.9))
    assert not early.grants
    assert early.wake_after == pytest.approx(0.1)
    assert build.condition(early, "Device", "room-301", "Held") == ("True", "AuthorityMoving")
    assert "nobody fences it" in build.message(early, "Device", "room-301", "Held")
    grant = only(handed_back(guards, known_for=5.1))
    assert grant is not None
    assert (grant.authority.holder, grant.cause) == ("edge-2", "GivenBack")


def test_the_hubs_answer_ages_on_the_way() -> None:
    late = dataclasses.replace(handed_back(UNFENCED, known_for=4.0), fleet_age=1.5)
    assert only(late) is not None


def test_a_give_back_of_another_number_says_nothing_of_this_one() -> None:
    assert only(handed_back(UNFENCED, known_for=60.0, epoch=EPOCH - 1)) is None


def test_a_hub_that_does_not_say_since_when_leaves_the_wait_of_a_lost_holder() -> None:
    assert only(handed_back(UNFENCED, known_for=None, renewed=21.9)) is None
    assert only(handed_back(UNFENCED, known_for=None, renewed=22.1)) is not None


def test_a_right_that_returns_to_its_own_holder_waits_for_nobody() -> None:
    grant = only(handed_back(UNFENCED, others=()))
    assert grant is not None
    assert grant.authority.holder == "edge-1"


@given(st.floats(0, 400), st.integers(100, 300_000))
@settings(max_examples=60, deadline=None)
def test_an_unfenced_device_is_never_moved_while_a_command_may_be_obeyed(
    known_for: float, milliseconds: int
) -> None:
    seen = dataclasses.replace(
        handed_back(UNFENCED, known_for=known_for),
        policies=(build.policy(action=short_lived(milliseconds)),),
    )
    moved = only(seen) is not None
    assert moved is (known_for >= milliseconds / 1000)


def short_lived(milliseconds: int) -> dict[str, Any]:
    action = build.policy().spec.action.document()
    return {**action, "timeToLive": f"{milliseconds}ms"}


def test_reachable_from_narrows_who_may_hold() -> None:
    device = build.device()
    narrowed = device.spec.model_copy(
        update={
            "reachable_from": type(device.spec)
            .model_validate(
                {
                    "profileRef": {"name": "x"},
                    "site": "hq",
                    "reachableFrom": {"nodeSelector": {"radio": "lora"}},
                }
            )
            .reachable_from
        }
    )
    seen = build.with_nodes(
        build.world(devices=(device.model_copy(update={"spec": narrowed}),)),
        lambda one: (
            dataclasses.replace(one, labels={"radio": "lora"}) if one.name == "edge-3" else one
        ),
    )
    grant = only(seen)
    assert grant is not None
    assert grant.authority.holder == "edge-3"


def test_the_bound_is_shown_and_covers_lease_margin_and_time_to_live() -> None:
    grant = only(build.world())
    assert grant is not None
    assert grant.authority.takeover_bound == "23s"


@pytest.mark.parametrize("time_to_live", ["0.5s", "5s", "60s"])
def test_the_bound_is_never_shorter_than_what_the_move_waits_for(time_to_live: str) -> None:
    action = build.policy().spec.action.document() | {"timeToLive": time_to_live}
    seen = build.world(policies=(build.policy(action=action),))
    grant = only(seen)
    assert grant is not None
    bound = scalars.seconds(str(grant.authority.takeover_bound))
    lease, beat_missing_in_a_report = 15.0, 3.0
    waited = lease + succession.CLOCK_MARGIN + scalars.seconds(time_to_live)
    assert bound > max(waited, lease + beat_missing_in_a_report, succession.DETECTION)


def line(**changes: Any) -> report.HeldDevice:
    values: dict[str, Any] = {"namespace": "hq", "device": "room-301", "connected": True}
    return report.HeldDevice(**(values | {"epoch": EPOCH} | changes))


def test_a_right_given_back_at_a_site_of_one_node_returns_to_it_with_a_fresh_number() -> None:
    back = build.agent("edge-1", devices=(line(gave_back=True),))
    seen = dataclasses.replace(
        held(), nodes=(build.edge("edge-1"),), fleet=build.fleet([back], uptime=5.0)
    )
    grant = only(seen)
    assert grant is not None
    assert (grant.authority.holder, grant.cause) == ("edge-1", "GivenBack")
    assert grant.authority.epoch > EPOCH


def test_a_right_given_back_waits_while_its_only_node_has_no_broker() -> None:
    back = build.agent("edge-1", devices=(line(gave_back=True),), broker_connected=False)
    nodes = (build.edge("edge-1"),)
    assert only(dataclasses.replace(held(), nodes=nodes, fleet=build.fleet([back]))) is None


def given_back(*others: report.AgentEvidence, **own: Any) -> succession.GrantUpdate | None:
    back = build.agent("edge-1", devices=(line(gave_back=True),), **own)
    return only(dataclasses.replace(held(), fleet=build.fleet([back, *others])))


def test_an_agent_that_is_to_stop_is_granted_nothing_even_if_there_is_no_other() -> None:
    assert given_back(stopping=True) is None
    grant = given_back(build.agent("edge-2"), stopping=True)
    assert grant is not None
    assert grant.authority.holder == "edge-2"
    assert given_back(build.agent("edge-2", stopping=True), stopping=True) is None


def full() -> dict[str, Any]:
    return {"journal": report.JournalReport(journal="j", last=9, acknowledged=0, full=True)}


def test_a_right_given_back_for_a_full_disk_goes_to_one_that_can_record() -> None:
    grant = given_back(build.agent("edge-2", **full()), build.agent("edge-3"), **full())
    assert grant is not None
    assert grant.authority.holder == "edge-3"


def test_a_right_given_back_for_a_full_disk_does_not_return_while_the_disk_is_full() -> None:
    back = build.agent("edge-1", devices=(line(gave_back=True),), **full())
    seen = dataclasses.replace(held(), nodes=(build.edge("edge-1"),), fleet=build.fleet([back]))
    assert only(seen) is None
    assert given_back() is not None


def without(seen: snapshot.Snapshot, *names: str) -> snapshot.Snapshot:
    """These nodes are silent; what their agents said is kept as it is."""
    return build.with_nodes(
        seen,
        lambda one: (
            dataclasses.replace(one, is_ready=False, lease_age=30.0) if one.name in names else one
        ),
    )


def test_a_right_given_back_goes_to_no_node_that_is_lost() -> None:
    """Its last report stands for a quarter of a minute."""
    back = build.agent("edge-1", devices=(line(gave_back=True),))
    dying = build.agent("edge-2", age=5.0)
    alive = build.agent("edge-3", hears=["edge-1"])
    seen = without(dataclasses.replace(held(), fleet=build.fleet([back, dying, alive])), "edge-2")
    made = planning.plan(seen)
    assert made.health["edge-2"].verdict is health.NodeVerdict.NODE_DEAD
    assert made.grants[0].authority.holder == "edge-3"
    alone = build.fleet([back, dying])
    two = dataclasses.replace(seen, nodes=seen.nodes[:2] + seen.nodes[3:], fleet=alone)
    assert planning.plan(two).grants[0].authority.holder == "edge-1", "who lives comes first"


def test_a_right_given_back_goes_to_an_agent_that_was_heard_just_now() -> None:
    quiet = build.agent("edge-2", age=13.0)
    grant = given_back(quiet, build.agent("edge-3"))
    assert grant is not None
    assert grant.authority.holder == "edge-3"


def test_a_right_does_not_go_round_among_agents_that_cannot_record() -> None:
    back = build.agent("edge-1", devices=(line(gave_back=True),), **full())
    others = [build.agent(name, **full()) for name in ("edge-2", "edge-3")]
    made = planning.plan(dataclasses.replace(held(), fleet=build.fleet([back, *others])))
    assert made.grants == ()
    assert build.condition(made, "Device", "room-301", "Held") == ("True", "RecorderFull")
    assert "edge-1, edge-2, edge-3" in build.message(made, "Device", "room-301", "Held")


def test_a_right_that_was_given_back_to_stop_goes_to_no_agent_that_cannot_record() -> None:
    assert given_back(build.agent("edge-2", **full()), stopping=True) is None


def test_a_give_back_of_an_older_number_takes_nothing_from_the_present_one() -> None:
    back = build.agent("edge-1", devices=(line(gave_back=True, epoch=EPOCH - 1),))
    assert only(dataclasses.replace(held(), fleet=build.fleet([back]))) is None


def test_a_holder_whose_node_was_deleted_is_replaced_when_its_beats_have_stopped() -> None:
    seen = lost(30.0)
    gone = dataclasses.replace(seen, nodes=tuple(n for n in seen.nodes if n.name != "edge-1"))
    grant = only(gone)
    assert grant is not None
    assert (grant.authority.holder, grant.cause) == ("edge-2", "HolderLost")


def moved_away(own: report.AgentEvidence, renewed: float) -> snapshot.Snapshot:
    """edge-1 is healthy, and belongs to another site now."""
    others = [
        build.agent("edge-2", hears=["edge-1", "edge-3"]),
        build.agent("edge-3", hears=["edge-1", "edge-2"]),
    ]
    renewals = [build.renewal(EPOCH, age=renewed)]
    seen = dataclasses.replace(held(), fleet=build.fleet([own, *others], renewals))
    return build.with_nodes(
        seen,
        lambda one: dataclasses.replace(one, site="annex") if one.name == "edge-1" else one,
    )


def test_a_holder_that_left_the_site_and_let_go_does_not_stall_the_device() -> None:
    assert only(moved_away(build.agent("edge-1"), renewed=21.0)) is None
    grant = only(moved_away(build.agent("edge-1"), renewed=30.0))
    assert grant is not None
    assert (grant.authority.holder, grant.cause) == ("edge-2", "HolderDisplaced")


def test_a_holder_that_left_the_site_and_still_commands_keeps_the_right() -> None:
    own = build.agent("edge-1", devices=(line(standing="Offline"),))
    assert only(moved_away(own, renewed=30.0)) is None


def superseded(highest: int, renewed: float = 30.0) -> snapshot.Snapshot:
    own = build.agent("edge-1", devices=(line(standing="Superseded", highest_epoch_seen=highest),))
    renewals = [build.renewal(EPOCH, age=renewed)]
    agents = [own, build.agent("edge-2", hears=["edge-1"])]
    return dataclasses.replace(held(), fleet=build.fleet(agents, renewals))


def test_a_device_that_has_seen_a_higher_number_gets_one_above_it() -> None:
    ahead = int(build.NOW.timestamp()) + 1000
    assert only(superseded(ahead, renewed=10.0)) is None
    grant = only(superseded(ahead))
    assert grant is not None
    assert grant.authority.epoch == ahead + 1


def test_a_number_beyond_belief_moves_nothing_and_is_not_built_upon() -> None:
    assert only(superseded(1 << 52)) is None
    agents = [build.agent("edge-1", devices=(line(epoch=None, highest_epoch_seen=1 << 52),))]
    grant = only(build.world(fleet=build.fleet(agents)))
    assert grant is not None
    assert grant.authority.epoch == int(build.NOW.timestamp())


def test_a_grant_is_above_what_the_hub_has_renewed_although_the_clock_fell_back() -> None:
    ahead = int(build.NOW.timestamp()) + 5000
    grant = only(build.world(fleet=build.fleet(renewals=[build.renewal(ahead, age=100.0)])))
    assert grant is not None
    assert grant.authority.epoch == ahead + 1


@settings(max_examples=50)
@given(st.lists(st.integers(min_value=-1_000_000, max_value=1_000_000), min_size=1, max_size=8))
def test_numbers_rise_strictly_over_any_sequence_of_grants_whatever_the_clock_does(
    jumps: list[int],
) -> None:
    seen, last = build.world(), 0
    for jump in jumps:
        seen = build.later(seen, jump)
        (grant,) = planning.plan(seen).grants
        assert grant.authority.epoch == grant.authority.last_issued > last
        last = grant.authority.epoch
        seen = build.applied(seen, planning.plan(seen))
        back = build.agent(str(grant.authority.holder), devices=(line(gave_back=True, epoch=last),))
        others = [build.agent(name) for name in build.EDGES if name != back.node]
        seen = dataclasses.replace(seen, fleet=build.fleet([back, *others]))


def test_the_lease_in_force_is_the_one_the_agents_are_given_not_a_longer_one() -> None:
    spec = build.device().spec.document() | {"authority": {"leaseDuration": "60s"}}
    one = build.device()
    wider = one.model_copy(update={"spec": type(one.spec).model_validate(spec)})
    bound = binding.bind(build.world(devices=(wider,)))
    assert bound.devices["hq", "room-301"].lease_seconds == 15.0


BEYOND = int(build.NOW.timestamp()) + beat.FARTHEST_AHEAD + 1


@settings(deadline=None, max_examples=100)
@given(
    issued=st.integers(0, 1 << 53),
    seen=st.lists(st.integers(0, 1 << 53), max_size=3),
    renewed=st.lists(st.integers(0, 1 << 53), max_size=3),
)
def test_no_number_is_granted_that_lies_ten_years_ahead_whatever_was_said(
    issued: int, seen: list[int], renewed: list[int]
) -> None:
    authority = {"epoch": issued, "lastIssued": issued}
    agents = [
        build.agent(f"edge-{number}", devices=(line(epoch=None, highest_epoch_seen=one),))
        for number, one in enumerate(seen, start=1)
    ]
    fleet = build.fleet(agents or None, [build.renewal(one, age=100.0) for one in renewed])
    made = planning.plan(build.world(devices=(build.device(authority=authority),), fleet=fleet))
    assert all(issued < grant.authority.epoch < BEYOND for grant in made.grants)


def test_a_device_whose_number_lies_ten_years_ahead_says_what_to_do_and_is_not_granted() -> None:
    authority = {"epoch": BEYOND, "lastIssued": BEYOND, "holder": "edge-1"}
    made = planning.plan(build.world(devices=(build.device(authority=authority),)))
    assert made.grants == ()
    assert build.condition(made, "Device", "room-301", "Ready") == ("False", "Invalid")
    (said,) = (
        one.message
        for row in made.statuses
        if row.kind == "Device"
        for one in row.status.conditions
        if one.type == "Ready"
    )
    assert "status.authority.lastIssued" in said
    assert "delete the Device" in said


def test_a_renewal_that_lies_ten_years_ahead_lifts_nothing() -> None:
    grant = only(build.world(fleet=build.fleet(renewals=[build.renewal(BEYOND, age=100.0)])))
    assert grant is not None
    assert grant.authority.epoch == int(build.NOW.timestamp())
