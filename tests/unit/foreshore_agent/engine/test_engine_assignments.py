"""New assignments: what is kept, what is refused, what survives a restart."""

from typing import Any

import pytest

from builders import engine_rig, room
from builders.engine_rig import DEVICE, OCCUPIED, POLICY, Rig
from foreshore_agent.engine import assigning, durable, effects, events, versions, view
from foreshore_api.wire import assignment
from foreshore_decision import policy

BROKEN = room.changed(
    room.policy(),
    spec__rules=[{"name": "occupied", "expression": "scoer >= 0.8", "reason": "RoomOccupied"}],
)


def without_devices() -> assignment.Assignment:
    """What an agent gets whose only device is out of its reach for a moment."""
    elsewhere = room.changed(
        room.device(), spec__reachableFrom={"nodeSelector": {"zone": "elsewhere"}}
    )
    compiled = engine_rig.assign(elsewhere)
    assert not compiled.devices
    assert not compiled.policies
    return compiled


def test_a_policy_that_does_not_compile_leaves_the_last_one_in_force_and_is_reported() -> None:
    rig = Rig()
    rig.assign(BROKEN)
    rig.sample()
    assert len(rig.sent) == 1
    [problem] = view.problems(rig.state)
    assert problem.reason == "CompileFailed"
    assert "scoer" in problem.message


def test_a_policy_that_cannot_be_compiled_at_all_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiling = policy.compile

    def breaks(wanted: assignment.AssignedPolicy, *rest: Any) -> policy.CompiledPolicy:
        if wanted.spec.rules[0].expression == "scoer >= 0.8":
            raise RuntimeError("a trap nobody knew")
        return compiling(wanted, *rest)

    monkeypatch.setattr(policy, "compile", breaks)
    rig = Rig()
    rig.assign(BROKEN)
    rig.boot()
    rig.sample()
    assert len(rig.sent) == 1
    [problem] = view.problems(rig.state)
    assert problem.reason == "CompileFailed"
    assert "a trap nobody knew" in problem.message


@pytest.mark.parametrize("key", ["1.5", "null", "[]", "{true: 1}"])
def test_a_rule_whose_type_the_library_cannot_say_leaves_the_last_one_in_force(key: str) -> None:
    rule = {"name": "occupied", "expression": f"{{{key}: 1}}", "reason": "RoomOccupied"}
    rig = Rig()
    rig.assign(room.changed(room.policy(), spec__rules=[rule]))
    rig.sample()
    assert len(rig.sent) == 1
    assert [each.reason for each in view.problems(rig.state)] == ["CompileFailed"]


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


def test_a_decision_in_flight_is_dropped_with_a_record_when_its_device_leaves() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    rig.feed(events.Assigned, assignment=without_devices())
    assert rig.verdicts == [("NotTriggered", "PolicyChanged")]
    assert rig.counted == [("NotTriggered", "PolicyChanged")]
    rig.assign()
    rig.release()
    assert rig.sent == []
    assert len(rig.counted) == 1


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


@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
def test_the_last_good_policy_outlives_a_moment_without_the_device(restarts: bool) -> None:
    rig = Rig()
    rig.assign(BROKEN)
    rig.feed(events.Assigned, assignment=without_devices())
    if restarts:
        rig.boot()
    rig.feed(events.Assigned, assignment=engine_rig.assign(BROKEN))
    rig.wait(1.1)
    rig.sample()
    assert len(rig.sent) == 1


def test_the_last_good_policy_outlives_a_moment_in_which_it_selects_nothing() -> None:
    elsewhere = room.device()
    elsewhere["metadata"]["labels"] = {"zone": "east"}
    rig = Rig()
    rig.assign(BROKEN)
    rig.assign(BROKEN, elsewhere)
    rig.assign(BROKEN)
    rig.sample()
    assert len(rig.sent) == 1


def test_a_policy_that_is_not_assigned_is_not_shown_as_in_force() -> None:
    rig = Rig()
    rig.feed(events.Assigned, assignment=without_devices())
    assert view.in_force(rig.state) == ()


@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
def test_a_policy_that_was_deleted_does_not_decide_for_its_namesake(restarts: bool) -> None:
    named = room.policy()
    named["metadata"]["uid"] = "policy-1"
    namesake = room.changed(BROKEN, metadata__uid="policy-2")
    rig = Rig((named,))
    rig.feed(events.Assigned, assignment=without_devices())
    if restarts:
        rig.documents = (namesake,)
        rig.boot()
    rig.assign(namesake)
    rig.sample()
    assert rig.sent == []


@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
def test_a_policy_that_was_made_anew_unseen_does_not_decide_by_the_one_before(
    restarts: bool,
) -> None:
    """Deleted and made anew between two assignments: the old one went on in its place."""
    rig = Rig((room.changed(room.policy(), metadata__uid="policy-1"),))
    namesake = room.changed(BROKEN, metadata__uid="policy-2")
    if restarts:
        rig.documents = (namesake,)
        rig.boot()
    rig.assign(namesake)
    rig.sample()
    assert rig.sent == []
    [problem] = rig.state.problems
    assert problem.message.endswith("nothing is in force; mend what it names")


@pytest.mark.parametrize("remade", ["policy", "device"])
def test_a_record_names_the_object_that_was_made_anew(remade: str) -> None:
    """An equal spec and generation: the record went on naming the object that was deleted."""
    documents = {"policy": room.policy(), "device": room.device()}
    rig = Rig()
    rig.assign(room.changed(documents[remade], metadata__uid="anew"))
    rig.sample()
    assert rig.decisions[-1][remade]["uid"] == "anew"


def test_policies_that_left_long_ago_are_forgotten_also_on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(versions, "MAXIMUM_ABSENT", 2)
    first, second = (room.changed(room.policy(), metadata__name=name) for name in ("one", "two"))
    rig = Rig((first,))
    rig.assign(second)
    rig.feed(events.Assigned, assignment=without_devices())
    kept = [key for key, value in rig.values.items() if key.startswith(durable.POLICY) and value]
    assert set(kept) == {f"{durable.POLICY}{key}" for key in rig.state.absent}
    assert set(rig.state.absent) == {events.Key("hq", "two"), POLICY}


def test_the_last_good_policy_outlives_a_profile_that_breaks_every_version() -> None:
    rig = Rig()
    rig.assign(BROKEN)
    blind = room.profile()
    blind["spec"]["properties"] = [
        each for each in blind["spec"]["properties"] if each["name"] != "light"
    ]
    rig.assign(BROKEN, blind)
    assert not rig.state.devices[DEVICE].bindings
    rig.boot()
    rig.assign(BROKEN)
    rig.sample()
    assert len(rig.sent) == 1


def test_a_newer_version_that_compiles_ends_the_last_good_one() -> None:
    rig = Rig()
    rig.assign(BROKEN)
    assert len(rig.state.in_force[POLICY]) == 1
    newer = room.changed(room.policy(), spec__hazard="Medium")
    rig.assign(newer)
    [version] = rig.state.in_force[POLICY]
    assert version.spec.hazard == "Medium"


def test_the_last_good_policy_asks_its_own_model_at_its_own_endpoints() -> None:
    def served(*documents: room.Json, url: str) -> assignment.Assignment:
        made = engine_rig.assign(*documents)
        endpoint = assignment.Endpoint(
            slot="r0", role=assignment.Role.ACTIVE, node="edge-2", url=url
        )
        [policy] = made.policies
        policy = policy.model_copy(update={"endpoints": (endpoint,)})
        return made.model_copy(update={"policies": (policy,)})

    def urls(rig: Rig) -> list[str]:
        return [each.url for version in view.in_force(rig.state) for each in version.endpoints]

    other = room.changed(room.version(name="occupancy-v2"), spec__digest="sha256:" + "cd" * 32)
    swapped = room.changed(BROKEN, spec__modelRef={"version": "occupancy-v2"})
    rig = Rig()
    rig.feed(events.Assigned, assignment=served(url="http://one:8000"))
    rig.feed(events.Assigned, assignment=served(other, swapped, url="http://two:8000"))
    assert urls(rig) == ["http://one:8000"]
    assert view.in_force(rig.state)[0].model.version == "occupancy-v1"  # type: ignore[union-attr]
    rig.feed(events.Assigned, assignment=served(BROKEN, url="http://three:8000"))
    assert urls(rig) == ["http://three:8000"]


def test_a_device_that_leaves_and_returns_was_not_restarted_and_stays_held() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    assigned = engine_rig.assign()
    rig.feed(events.Assigned, assignment=assigned.model_copy(update={"devices": ()}))
    assert rig.outcomes == [("Unknown", "Unassigned")]
    rig.feed(events.Assigned, assignment=assigned)
    rig.wait(3)
    rig.sample(**{**OCCUPIED, "airflow": 100.0})
    assert rig.counted[-1] == ("Suppressed", "ActuatorHeld")
    rig.boot()
    assert rig.outcomes == [("Unknown", "Unassigned")]


def test_an_intent_that_is_durable_after_its_device_left_is_not_sent() -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    waiting, assigned = rig.waiting, engine_rig.assign()
    rig.hold = ()
    rig.feed(events.Assigned, assignment=assigned.model_copy(update={"devices": ()}))
    rig.feed(events.Assigned, assignment=assigned)
    rig.waiting = waiting
    rig.release()
    assert rig.sent == []
    assert rig.outcomes == [("NotSent", "Unassigned")]


def test_devices_that_left_long_ago_are_forgotten_also_on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assigning, "MAXIMUM_REMEMBERED", 0)
    rig = Rig()
    rig.sample()
    assigned = engine_rig.assign()
    rig.feed(events.Assigned, assignment=assigned.model_copy(update={"devices": ()}))
    assert not rig.state.remembered
    assert rig.values["engine/device/hq/room-301"] == b""


def test_a_kept_policy_that_is_not_valid_any_more_keeps_no_agent_from_starting() -> None:
    rig = Rig()
    (name,) = (key for key in rig.values if key.startswith(durable.POLICY))
    rig.values[f"{durable.POLICY}hq/of-long-ago"] = b'[{"spec": "of another time"}]'
    rig.boot()
    rig.sample()
    assert rig.sent, f"{name} decides on"
