"""What the engine does with a policy whose decisions hold everything else up."""

from typing import Any

import pytest

from builders import engine_rig, room
from builders.engine_rig import DEVICE, POLICY, Rig
from foreshore_agent.engine import effects, events, view
from foreshore_decision.record import replay

DISARMED = ("NotTriggered", "ExpressionTooSlow")
COMMANDED = ("Commanded", "RoomOccupied")


def slow(rig: Rig) -> None:
    rig.feed(events.PolicyTooSlow, seconds=0.05)


def edited(**fields: Any) -> room.Json:
    return room.changed(room.policy(), **fields)


def test_a_disarmed_policy_asks_no_model_and_is_recorded_once_with_its_reason() -> None:
    rig = Rig()
    slow(rig)
    for _ in range(3):
        rig.sample()
        rig.wait(2.0)
    assert rig.counted == [DISARMED] * 3
    assert rig.verdicts[0] == DISARMED
    assert rig.decisions[0]["policy"]["cappedBy"] == ["ExpressionTooSlow"]
    assert not any(isinstance(each, effects.Infer) for each in rig.seen)


def test_its_record_replays_to_the_same() -> None:
    rig = Rig()
    slow(rig)
    rig.sample()
    assigned = engine_rig.assign()
    again = replay.replay(rig.decisions[0], assigned.policies[0], assigned.devices[0])
    assert isinstance(again, replay.Replayed)
    assert again.is_same


def test_it_is_said_once_in_a_notice_and_for_as_long_as_it_lasts_in_the_report() -> None:
    rig = Rig((edited(metadata__generation=4),))
    slow(rig)
    slow(rig)
    assert rig.notices.count("ExpressionTooSlow") == 1
    [problem] = view.problems(rig.state)
    assert (problem.kind, problem.namespace, problem.name) == ("DecisionPolicy", *POLICY)
    assert (problem.generation, problem.reason) == (4, "ExpressionTooSlow")
    assert "50 ms of a processor on room-301; simpler expressions" in problem.message


def test_many_devices_make_one_problem() -> None:
    other = room.changed(room.device(), metadata__name="room-302")
    rig = Rig((other,))
    slow(rig)
    rig.feed(events.PolicyTooSlow, device=events.Key("hq", "room-302"), seconds=0.03)
    assert len(view.problems(rig.state)) == 1


def test_an_answer_that_was_awaited_meanwhile_commands_nothing() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    slow(rig)
    rig.release()
    assert rig.sent == []
    assert rig.verdicts == [DISARMED]


def test_the_other_policies_of_the_device_go_on() -> None:
    other = edited(metadata__name="second")
    rig = Rig((other,))
    slow(rig)
    rig.sample()
    assert sorted(rig.counted) == [COMMANDED, DISARMED]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ((), DISARMED),
        ((room.changed(room.site(), spec__timeZone="Europe/Paris"),), DISARMED),
        ((edited(spec__latencyBudget="150ms"),), COMMANDED),
    ],
    ids=["the same", "another site", "another policy"],
)
def test_it_is_armed_again_when_the_policy_changes(
    documents: tuple[room.Json, ...], expected: tuple[str, str]
) -> None:
    rig = Rig()
    slow(rig)
    rig.assign(*documents)
    rig.sample()
    assert rig.counted == [expected]


def test_it_is_armed_again_after_a_restart() -> None:
    rig = Rig()
    slow(rig)
    rig.boot("boot-2")
    rig.wait(30.0)
    rig.sample()
    assert rig.counted[-1] == COMMANDED
    assert view.problems(rig.state) == ()


@pytest.mark.parametrize("name", ["room-999", DEVICE.name])
def test_what_is_gone_meanwhile_is_nothing_to_disarm(name: str) -> None:
    rig = Rig()
    before = rig.state
    rig.feed(
        events.PolicyTooSlow,
        device=events.Key("hq", name),
        policy=events.Key("hq", "gone"),
        seconds=0.05,
    )
    assert rig.state == before
