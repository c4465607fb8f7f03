"""New assignments: what is kept, what is refused, what survives a restart."""

from builders import room
from builders.engine_rig import DEVICE, OCCUPIED, POLICY, Rig
from foreshore_agent.engine import effects, events, view

BROKEN = room.changed(
    room.policy(),
    spec__rules=[{"name": "occupied", "expression": "scoer >= 0.8", "reason": "RoomOccupied"}],
)


def test_a_policy_that_does_not_compile_leaves_the_last_one_in_force_and_is_reported() -> None:
    rig = Rig()
    rig.assign(BROKEN)
    rig.sample()
    assert len(rig.sent) == 1
    [problem] = view.problems(rig.state)
    assert problem.reason == "CompileFailed"
    assert "scoer" in problem.message


def test_the_last_good_policy_is_in_force_after_a_restart_too() -> None:
    rig = Rig()
    rig.assign(BROKEN)
    rig.boot()
    rig.sample()
    assert len(rig.sent) == 1
    assert len(view.problems(rig.state)) == 1


def test_a_broken_edit_that_lowers_the_mode_still_lowers_it() -> None:
    rig = Rig()
    rig.assign(room.changed(BROKEN, spec__mode="Shadow"))
    rig.sample()
    assert rig.sent == []
    assert rig.verdicts == [("Shadowed", "ShadowMode")]


def test_a_policy_that_never_compiled_decides_nothing() -> None:
    rig = Rig((BROKEN,))
    rig.sample()
    assert rig.counted == []
    assert len(view.problems(rig.state)) == 1


def test_a_repaired_policy_clears_the_problem() -> None:
    rig = Rig((BROKEN,))
    rig.assign()
    rig.sample()
    assert view.problems(rig.state) == ()
    assert len(rig.sent) == 1


def test_a_device_that_the_edit_does_not_fit_keeps_the_old_version_alone() -> None:
    narrow = room.device(name="room-302")
    narrow["spec"]["limits"] = [{"action": "setAirflow", "input": "value", "maximum": 400}]
    wider = room.changed(room.policy(), spec__action__limits=[{"input": "value", "maximum": 600}])
    rig = Rig((narrow,))
    rig.assign(narrow, wider)
    versions = rig.state.in_force[POLICY]
    assert [each.devices for each in versions] == [("room-301",), ("room-302",)]
    assert [each.reason for each in view.problems(rig.state)] == ["WiderThanDevice"]


def test_the_same_assignment_again_changes_nothing_that_was_learnt() -> None:
    rig = Rig()
    rig.sample()
    before = rig.state.devices[DEVICE].bindings[POLICY]
    rig.assign()
    assert rig.state.devices[DEVICE].bindings[POLICY] == before
    keeps = [each for each in rig.seen if isinstance(each, effects.Keep) and "policy" in each.key]
    assert len(keeps) == 1


def test_a_decision_in_flight_is_dropped_with_a_record_when_its_policy_changes() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    rig.assign(room.changed(room.policy(), spec__hazard="Medium"))
    assert rig.verdicts == [("NotTriggered", "PolicyChanged")]
    rig.release()
    assert rig.sent == []


def test_a_decision_in_flight_goes_on_when_only_endpoints_or_grants_change() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    rig.assign(epoch=9)
    rig.wait(4)
    rig.release()
    assert rig.sent[0][1].epoch == 9


def test_an_edit_keeps_the_windows_of_features_that_stay() -> None:
    def with_feature(threshold: str) -> room.Json:
        document = room.policy()
        document["spec"]["features"] = [
            {"name": "mean", "input": "co2", "window": "1m", "aggregate": "Mean"}
        ]
        document["spec"]["rules"][0]["expression"] = f"score >= {threshold}"
        return document

    rig = Rig((with_feature("0.8"),))
    rig.sample()
    before = rig.state.devices[DEVICE].bindings[POLICY].windows
    rig.assign(with_feature("0.7"))
    assert rig.state.devices[DEVICE].bindings[POLICY].windows == before


def test_the_rate_limit_of_a_device_that_goes_and_comes_back_holds() -> None:
    limited = room.changed(room.policy(), spec__rateLimit={"minimumInterval": "1h"})
    rig = Rig((limited,))
    rig.sample()
    elsewhere = room.device()
    elsewhere["metadata"]["labels"] = {"zone": "east"}
    rig.assign(limited, elsewhere)
    rig.sample()
    rig.assign(limited)
    rig.sample()
    assert len(rig.sent) == 1


def test_a_sample_of_an_unassigned_device_is_counted() -> None:
    rig = Rig()
    rig.feed(events.Sample, device=events.Key("hq", "x"), values=OCCUPIED)
    count = rig.seen[-1]
    assert isinstance(count, effects.Count)
    assert count.labels == ("Unassigned",)
