"""Authority: one holder, moved only on two signs and after the old right has run out."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api.wire import report
from foreshore_planner import plan as planning
from foreshore_planner import snapshot, succession

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


def only(seen: snapshot.Snapshot) -> succession.Grant | None:
    grants = planning.plan(seen).grants
    return grants[0] if grants else None


def test_the_first_holder_is_the_lowest_connected_node_with_a_number_of_unix_seconds() -> None:
    grant = only(build.world())
    assert grant is not None
    assert grant.authority.holder == "edge-1"
    assert grant.authority.epoch == grant.authority.last_issued == int(build.NOW.timestamp())


def test_a_device_that_was_re_created_starts_above_its_past_numbers() -> None:
    past = {"epoch": 4_000_000_000, "lastIssued": 4_000_000_000}
    grant = only(build.world(devices=(build.device(authority=past),)))
    assert grant is not None
    assert grant.authority.epoch == 4_000_000_001


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


def test_stopped_beats_alone_move_nothing_while_the_node_is_ready() -> None:
    agents = [build.agent("edge-2", hears=["edge-3"]), build.agent("edge-3", hears=["edge-2"])]
    seen = dataclasses.replace(held(), fleet=build.fleet(agents))
    assert only(seen) is None


def test_a_peer_that_just_started_is_no_witness() -> None:
    seen = lost(30.0)
    agents = [build.agent(name, uptime_seconds=5.0) for name in ("edge-2", "edge-3")]
    assert only(dataclasses.replace(seen, fleet=build.fleet(agents))) is None


def test_a_restarted_hub_counts_its_start_as_the_last_renewal() -> None:
    seen = lost(30.0)
    assert seen.fleet is not None
    young = seen.fleet.model_copy(update={"renewals": (), "uptime_seconds": 10.0})
    assert only(dataclasses.replace(seen, fleet=young)) is None


def test_without_the_hub_nothing_moves() -> None:
    assert only(dataclasses.replace(lost(30.0), fleet=None)) is None


def test_nothing_moves_while_most_of_the_site_is_silent() -> None:
    assert only(build.silenced(held(), "edge-1", "edge-2")) is None


def test_a_right_that_was_given_back_moves_at_once() -> None:
    back = report.HeldDevice(
        namespace="hq", device="room-301", connected=False, epoch=EPOCH, gave_back=True
    )
    agents = [
        build.agent("edge-1", devices=(back,), broker_connected=False),
        build.agent("edge-2", hears=["edge-3"]),
        build.agent("edge-3", hears=["edge-2"]),
    ]
    seen = dataclasses.replace(held(), fleet=build.fleet(agents))
    grant = only(seen)
    assert grant is not None
    assert (grant.authority.holder, grant.cause) == ("edge-2", "GivenBack")


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
    assert grant.authority.takeover_bound == "22s"
