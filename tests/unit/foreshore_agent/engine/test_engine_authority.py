"""Who decides: grants, renewals, successors, and what is said when the right goes."""

from datetime import timedelta
from importlib import metadata

import orjson
import pytest

from builders import engine_rig, room
from builders.engine_rig import NODE, Rig
from foreshore_agent.engine import assigning, belief, durable, effects, events, state, view
from foreshore_api.v1alpha1.device import ReachableFrom
from foreshore_api.wire import assignment, beat
from foreshore_decision import fencing


def heard(rig: Rig, *, has_hub: bool = False, epoch: int | None = None) -> None:
    held: tuple[beat.Held, ...] = ()
    if epoch is not None:
        held = (beat.Held(namespace="hq", device="room-301", epoch=0),)
        object.__setattr__(held[0], "epoch", epoch)  # also one that the wire refuses
    said = beat.Beat.model_construct(
        node="edge-2", boot_id="b", sequence=1, has_hub=has_hub, held=held
    )
    rig.feed(events.PeerBeat, beat=said)


def test_a_grant_that_was_never_renewed_commands_nothing() -> None:
    rig = Rig(renews=False)
    rig.sample()
    assert rig.verdicts == [("Denied", "AuthorityLapsed")]
    assert rig.sent == []


def test_a_device_of_another_holder_is_not_evaluated_and_its_windows_stay_warm() -> None:
    warm = room.policy()
    warm["spec"]["features"] = [
        {"name": "mean", "input": "co2", "window": "1m", "aggregate": "Mean"}
    ]
    rig = Rig((warm,))
    rig.assign(warm, holder="edge-2", epoch=8)
    rig.sample()
    binding = rig.state.devices[engine_rig.DEVICE].bindings[engine_rig.POLICY]
    assert rig.counted == []
    assert binding.windows["mean"].panes


def test_losing_a_device_to_another_agent_is_recorded_once() -> None:
    rig = Rig()
    rig.assign(holder="edge-2", epoch=8)
    rig.wait(5)
    assert rig.notices[-1] == "AuthoritySuperseded"
    assert rig.notices.count("AuthoritySuperseded") == 1


def test_a_higher_epoch_in_a_peers_beat_stops_commands_at_once() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    heard(rig, epoch=8)
    rig.release()
    assert rig.sent == []
    assert rig.verdicts == [("Denied", "AuthoritySuperseded")]
    rig.sample()
    assert len(rig.counted) == 1


def test_a_right_lost_between_intent_and_sending_sends_nothing() -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    waiting = list(rig.waiting)
    rig.hold = ()
    heard(rig, epoch=8)
    rig.waiting = waiting
    rig.release()
    assert rig.sent == []
    assert ("NotSent", "AuthorityLost") in rig.outcomes


def test_the_hub_gone_and_no_peer_with_it_goes_on_offline() -> None:
    rig = Rig()
    rig.wait(4)
    rig.renews = False
    rig.wait(30)
    rig.sample()
    assert rig.decisions[-1]["authority"]["standing"] == "Offline"
    assert len(rig.sent) == 1


def test_the_hub_gone_while_a_peer_has_it_stands_down() -> None:
    rig = Rig()
    rig.wait(4)
    rig.renews = False
    rig.wait(20)
    heard(rig, has_hub=True)
    rig.sample()
    assert rig.verdicts[-1] == ("Denied", "AuthorityLapsed")


def test_the_renewal_of_everything_held_is_asked_five_times_a_lease() -> None:
    rig = Rig()
    start = rig.seconds
    rig.wait(30)
    asked = [each for each in rig.seen if isinstance(each, effects.RequestRenewal)]
    numbers = [each.number for each in asked]
    assert 9 <= len(asked) <= (rig.seconds - start) / 3 + 2
    assert numbers == sorted(set(numbers))
    assert asked[0].held[0].epoch == 7


def test_renewal_numbers_rise_over_a_restart_of_the_process() -> None:
    rig = Rig()
    rig.wait(10)
    before = [each.number for each in rig.seen if isinstance(each, effects.RequestRenewal)]
    rig.boot()
    rig.wait(10)
    after = [each.number for each in rig.seen if isinstance(each, effects.RequestRenewal)]
    assert min(after[len(before) :]) > max(before)


def test_a_renewed_right_holds_over_a_restart_of_the_process_without_the_hub() -> None:
    rig = Rig()
    rig.wait(4)
    rig.renews = False
    rig.boot()
    rig.wait(3.5)
    rig.sample()
    assert len(rig.sent) == 1


def test_a_reboot_ends_the_right_until_it_is_renewed() -> None:
    rig = Rig()
    rig.wait(4)
    rig.renews = False
    rig.boot("boot-2")
    rig.wait(3.5)
    rig.sample()
    assert rig.verdicts[-1] == ("Denied", "AuthorityLapsed")


def test_an_older_epoch_after_a_restart_is_not_taken_up_again() -> None:
    rig = Rig()
    rig.assign(holder="edge-2", epoch=8)
    rig.boot()
    rig.assign(holder=NODE, epoch=7)
    rig.sample()
    assert rig.sent == []


def test_a_holder_that_lost_the_broker_gives_its_right_back_and_reports_so() -> None:
    rig = Rig()
    rig.wait(4)
    rig.feed(events.BrokerChanged, connected=False)
    rig.wait(17)
    [device] = view.devices(rig.state, rig.at)
    assert device.gave_back
    assert view.held(rig.state) == ()


def test_the_view_says_what_is_held_and_connected() -> None:
    rig = Rig()
    [silent] = view.devices(rig.state, rig.at)
    assert not silent.connected
    rig.sample()
    [device] = view.devices(rig.state, rig.at)
    assert (device.epoch, device.standing, device.connected) == (7, "Renewed", True)
    assert [each.epoch for each in view.held(rig.state)] == [7]
    assert view.held_count(rig.state, rig.at) == 1
    rig.wait(91)
    assert not view.devices(rig.state, rig.at)[0].connected


def test_a_successor_that_started_before_its_broker_keeps_what_it_is_granted() -> None:
    rig = Rig()
    who = state.Identity(NODE, rig.boot_id, "journal-1", "0.1.0")
    rig.state = durable.restore(who, {}, rig.at)
    rig.assign(holder="edge-2", epoch=8)
    rig.feed(events.BrokerChanged, connected=True)
    rig.wait(60)
    rig.assign(holder=NODE, epoch=9)
    rig.wait(20)
    rig.sample()
    assert "AuthorityGivenBack" not in rig.notices
    assert rig.verdicts[-1] == ("Commanded", "RoomOccupied")


def away(rig: Rig) -> None:
    """Take every device from the agent for a moment."""
    assigned = engine_rig.assign()
    rig.feed(events.Assigned, assignment=assigned.model_copy(update={"devices": ()}))


def back(rig: Rig) -> None:
    """Give the devices back under the old grant, while the hub is away."""
    rig.feed(events.Assigned, assignment=engine_rig.assign())
    rig.wait(20)
    rig.sample()


def test_a_superseded_right_is_not_revived_by_a_device_that_comes_back() -> None:
    rig = Rig()
    rig.boot()
    rig.assign(holder="edge-2", epoch=99)
    rig.renews = False
    away(rig)
    back(rig)
    assert rig.sent == []
    assert rig.state.devices[engine_rig.DEVICE].standing == "Superseded"


def test_a_higher_epoch_heard_while_a_device_is_away_is_a_hint_when_it_comes_back_too() -> None:
    rig = Rig()
    rig.wait(4)
    rig.renews = False
    away(rig)
    heard(rig, epoch=99)
    rig.feed(events.Assigned, assignment=engine_rig.assign())
    rig.sample()
    assert rig.sent == []
    rig.wait(16)
    rig.sample()
    assert len(rig.sent) == 1


def test_a_superseded_right_to_a_device_that_left_survives_a_restart() -> None:
    rig = Rig()
    rig.assign(holder="edge-2", epoch=99)
    rig.renews = False
    away(rig)
    rig.boot()
    rig.wait(20)
    rig.sample()
    assert rig.sent == []


def test_rights_to_departed_devices_are_bounded_and_the_newest_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assigning, "MAXIMUM_DEPARTED", 2)
    assigned = engine_rig.assign()
    [room_301] = assigned.devices
    rig = Rig()
    for epoch in (9, 8, 11, 10):
        grant = assignment.Grant(holder=NODE, epoch=epoch, lease_seconds=15.0, offline_seconds=60.0)
        device = room_301.model_copy(update={"name": f"room-{epoch}", "grant": grant})
        only = assigned.model_copy(update={"devices": (device,), "policies": ()})
        rig.feed(events.Assigned, assignment=only)
    away(rig)
    kept = {key: each.epoch for key, each in rig.state.authorities.items()}
    assert kept == {events.Key("hq", "room-11"): 11, events.Key("hq", "room-10"): 10}
    assert set(orjson.loads(rig.values[durable.AUTHORITIES])) == {"hq/room-11", "hq/room-10"}


def test_the_right_to_a_device_that_is_assigned_is_never_too_old_to_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assigning, "MAXIMUM_DEPARTED", 0)
    rig = Rig()
    rig.assign(holder="edge-2", epoch=99)
    rig.renews = False
    rig.documents = ()
    rig.boot()
    assert rig.state.devices[engine_rig.DEVICE].standing == "Superseded"


@pytest.mark.parametrize("reason", ["LowerEpoch", "OtherHolder"])
def test_a_device_that_knows_another_holder_stands_us_down_until_we_are_renewed(
    reason: str,
) -> None:
    rig = Rig(acknowledges=False)
    rig.wait(4)
    rig.renews = False
    rig.sample()
    rig.acknowledge(rig.sent[0][1].command_id, "Rejected", reason)
    rig.wait(1)
    rig.sample()
    assert len(rig.sent) == 1
    assert rig.verdicts[-1] == ("Denied", "AuthorityLapsed")
    assert rig.notices[-1] == "AuthorityLapsed"
    rig.boot()
    rig.wait(4)
    rig.sample()
    assert len(rig.sent) == 1
    rig.renews = True
    rig.wait(4)
    rig.sample()
    assert len(rig.sent) == 2


def test_a_device_that_rejects_a_value_stands_nobody_down() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    rig.acknowledge(rig.sent[0][1].command_id, "Rejected", "OutOfBounds")
    rig.sample()
    assert len(rig.sent) == 2


def authority(rig: Rig) -> fencing.AuthorityState:
    return rig.state.devices[engine_rig.DEVICE].authority


def test_an_agent_told_to_stop_gives_its_right_back_while_a_peer_has_the_hub() -> None:
    rig = Rig()
    heard(rig, has_hub=True)
    rig.feed(events.Stopping)
    assert authority(rig).given_back
    assert view.is_awaiting_successor(rig.state)
    rig.sample()
    assert rig.sent == []
    rig.assign(holder="edge-2", epoch=8)
    assert not view.is_awaiting_successor(rig.state)


def test_a_device_that_not_everybody_reaches_is_not_given_back_by_a_stop() -> None:
    rig = Rig()
    device = rig.state.devices[engine_rig.DEVICE]
    near = ReachableFrom(node_selector={"bus": "east"})
    spec = device.assigned.spec.model_copy(update={"reachable_from": near})
    device = device._replace(assigned=device.assigned.model_copy(update={"spec": spec}))
    rig.state = rig.state._replace(devices=rig.state.devices.set(engine_rig.DEVICE, device))
    heard(rig, has_hub=True)
    rig.feed(events.Stopping)
    assert not authority(rig).given_back
    assert not view.is_awaiting_successor(rig.state)


def test_an_agent_told_to_stop_takes_no_right_up_that_is_granted_to_it_anew() -> None:
    rig = Rig()
    heard(rig, has_hub=True)
    rig.feed(events.Stopping)
    rig.assign(epoch=8)
    rig.sample()
    assert rig.sent == []
    assert view.is_awaiting_successor(rig.state)


def test_a_right_given_back_is_given_back_over_a_restart() -> None:
    rig = Rig()
    heard(rig, has_hub=True)
    rig.feed(events.Stopping)
    rig.boot()
    rig.wait(5)
    rig.sample()
    assert rig.sent == []


def test_an_agent_told_to_stop_keeps_its_right_where_no_peer_has_the_hub() -> None:
    rig = Rig()
    heard(rig, has_hub=False)
    rig.feed(events.Stopping)
    assert not view.is_awaiting_successor(rig.state)
    rig.sample()
    assert len(rig.sent) == 1


def test_an_agent_that_could_write_nothing_for_a_lease_gives_its_right_back() -> None:
    rig = Rig()
    rig.feed(events.RecorderChanged, full=True, reason="DiskFull")
    for _ in range(14):
        rig.wait(1)
        heard(rig, has_hub=True)
    assert not authority(rig).given_back
    for _ in range(2):
        rig.wait(1)
        heard(rig, has_hub=True)
    assert authority(rig).given_back
    assert rig.notices[-1] == "AuthorityLapsed"


def test_a_disk_that_has_room_again_in_time_costs_no_right() -> None:
    rig = Rig()
    rig.feed(events.RecorderChanged, full=True, reason="DiskFull")
    rig.wait(14)
    rig.feed(events.RecorderChanged, full=False)
    heard(rig, has_hub=True)
    rig.wait(5)
    heard(rig, has_hub=True)
    rig.wait(1)
    assert not authority(rig).given_back


def test_a_fresh_grant_is_asked_to_be_renewed_at_once_not_with_the_next_round() -> None:
    rig = Rig(renews=False)
    rig.assign(holder="edge-2", epoch=8)
    rig.seen.clear()
    rig.feed(events.Assigned, assignment=engine_rig.assign(holder=NODE, epoch=9))
    (asked,) = [one for one in rig.seen if isinstance(one, effects.RequestRenewal)]
    assert [one.epoch for one in asked.held] == [9]


ABSURD = (1 << 62, (1 << 63) + 1, 10**400)


@pytest.mark.parametrize("epoch", ABSURD)
def test_an_absurd_epoch_in_a_beat_is_refused_and_counted(epoch: int) -> None:
    rig = Rig()
    heard(rig, epoch=epoch)
    rig.sample()
    assert len(rig.sent) == 1
    assert effects.Refuse("a beat of edge-2", "EpochBeyondBelief") in rig.seen
    assert not any(isinstance(each, effects.RememberPeer) for each in rig.seen)


def test_a_believed_beat_is_remembered_for_reports_with_when_it_was_heard() -> None:
    rig = Rig()
    heard(rig, has_hub=True, epoch=7)
    (peer,) = (each for each in rig.seen if isinstance(each, effects.RememberPeer))
    assert (peer.beat.node, peer.beat.has_hub, peer.at) == ("edge-2", True, rig.seconds)


def test_one_false_beat_stops_a_holder_no_longer_than_the_hub_takes_to_answer() -> None:
    rig = Rig()
    heard(rig, epoch=99)
    rig.sample()
    assert rig.sent == []
    rig.wait(1.1)
    rig.sample()
    assert len(rig.sent) == 1


def test_one_false_beat_stops_a_holder_without_the_hub_for_a_lease_and_no_longer() -> None:
    rig = Rig()
    rig.wait(4)
    rig.renews = False
    rig.wait(30)
    heard(rig, epoch=99)
    rig.wait(14)
    rig.sample()
    assert rig.sent == []
    rig.wait(1.5)
    rig.sample()
    assert rig.decisions[-1]["authority"]["standing"] == "Offline"
    assert len(rig.sent) == 1


def test_while_a_successor_beats_the_holder_that_does_not_reach_the_hub_stays_down() -> None:
    rig = Rig()
    rig.wait(4)
    rig.renews = False
    for _ in range(60):
        heard(rig, epoch=8)
        rig.wait(1)
    rig.sample()
    assert rig.sent == []


def test_nothing_that_a_beat_says_is_durable() -> None:
    rig = Rig()
    heard(rig, has_hub=True, epoch=4_321_987)
    rig.wait(10)
    rig.sample()
    assert not any(b"4321987" in value or b"edge-2" in value for value in rig.values.values())
    assert view.devices(rig.state, rig.at)[0].highest_epoch_seen == 7


def renewal(rig: Rig, *, number: int, standing: str = "Renewed", epoch: int = 7) -> beat.Renewal:
    device = beat.RenewedDevice(
        namespace="hq", device="room-301", epoch=epoch, standing=beat.RenewalStanding(standing)
    )
    return beat.Renewal(node=NODE, boot_id=rig.boot_id, number=number, devices=(device,))


@pytest.mark.parametrize(
    ("number", "boot_id"), [(5, "boot-1"), (None, "boot-0")], ids=["number", "boot"]
)
def test_a_renewal_that_nobody_asked_for_changes_nothing_at_all(
    number: int | None, boot_id: str
) -> None:
    rig = Rig()
    before, values = rig.state, dict(rig.values)
    said = renewal(rig, number=rig.state.asked[-1] if number is None else number, epoch=1 << 40)
    rig.feed(events.Renewed, renewal=said.model_copy(update={"boot_id": boot_id}))
    assert rig.state == before
    assert rig.values == values
    assert rig.seen[-1] == effects.Refuse("a renewal", "Unsolicited")


def test_an_answer_that_a_relay_made_up_is_a_hint_like_a_beat() -> None:
    rig = Rig()
    rig.renews = False
    rig.wait(4)
    said = renewal(rig, number=rig.state.asked[-1], standing="Superseded", epoch=99)
    rig.feed(events.Renewed, renewal=said, relayed=True)
    rig.sample()
    assert rig.sent == []
    rig.renews = True
    rig.wait(4)
    rig.sample()
    assert len(rig.sent) == 1


def test_the_same_answer_of_the_hub_itself_holds_over_a_restart() -> None:
    rig = Rig()
    rig.renews = False
    rig.wait(4)
    said = renewal(rig, number=rig.state.asked[-1], standing="Superseded", epoch=99)
    rig.feed(events.Renewed, renewal=said)
    rig.boot()
    rig.wait(4)
    rig.sample()
    assert rig.sent == []


def test_an_answer_that_came_already_is_not_written_again() -> None:
    rig = Rig()
    rig.wait(4)
    said = renewal(rig, number=rig.state.asked[-1])
    rig.seen.clear()
    rig.feed(events.Renewed, renewal=said, relayed=True)
    assert not [each for each in rig.seen if isinstance(each, effects.Keep)]


def test_a_grant_beyond_belief_is_not_taken_up_and_is_reported() -> None:
    rig = Rig()
    rig.assign(epoch=1 << 50)
    rig.sample()
    assert len(rig.sent) == 1
    assert rig.sent[0][1].epoch == 7
    [problem] = view.problems(rig.state)
    assert (problem.kind, problem.name, problem.reason) == (
        "Device",
        "room-301",
        "EpochBeyondBelief",
    )


def test_a_board_that_starts_in_1970_believes_what_its_release_and_the_hub_allow() -> None:
    rig = Rig(skew=timedelta(days=-365 * 56))
    today = int(belief.RELEASED[1])
    rig.assign(epoch=today)
    assert rig.state.devices[engine_rig.DEVICE].authority.epoch == today
    later = today + 20 * 365 * 86_400
    rig.assign(epoch=later)
    assert rig.state.devices[engine_rig.DEVICE].authority.epoch == today
    rig.feed(events.HubChanged, connected=True, unix=float(later))
    rig.assign(epoch=later)
    assert rig.state.devices[engine_rig.DEVICE].authority.epoch == later


def test_the_release_that_epochs_are_held_against_is_this_one() -> None:
    assert belief.RELEASED[0] == metadata.version("foreshore-agent")
