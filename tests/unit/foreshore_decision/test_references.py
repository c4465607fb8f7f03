"""A reference whose object is gone: what worked stays; deleting the thing itself ends it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.resources import device, everything, policy, profile, site
from foreshore_api import meta, scalars, v1alpha1
from foreshore_api.wire import assignment as wire
from foreshore_decision import assignment
from foreshore_decision.policy import acceptance

REFERRED = (v1alpha1.Model, v1alpha1.ModelVersion, v1alpha1.DeviceProfile)
ALL = everything()


def compile_(*resources: meta.Resource, last: Any = (), **more: Any) -> assignment.Compilation:
    snapshot = assignment.Resources.of(resources)
    return assignment.compile(snapshot, "edge-1", site="hq", last=last, **more)


def without(*kinds: type[meta.Resource]) -> list[meta.Resource]:
    return [one for one in ALL if not isinstance(one, kinds)]


def replaced(*changed: meta.Resource, missing: type[meta.Resource]) -> list[meta.Resource]:
    """Everything but a kind, with some objects edited."""
    names = {(one.kind, one.name) for one in changed}
    return [one for one in without(missing) if (one.kind, one.name) not in names] + list(changed)


WORKED = compile_(*ALL).assignment


@given(st.sets(st.sampled_from(REFERRED)))
def test_whatever_is_deleted_that_others_refer_to_the_assignment_stays_to_the_byte(
    gone: set[type[meta.Resource]],
) -> None:
    assert compile_(*without(*gone), last=[WORKED]).assignment == WORKED


@given(st.lists(st.sets(st.sampled_from(REFERRED)), min_size=1, max_size=5))
def test_it_stays_through_any_row_of_deletions_and_returns(
    row: list[set[type[meta.Resource]]],
) -> None:
    last = WORKED
    for gone in row:
        last = compile_(*without(*gone), last=[last]).assignment
    assert last == WORKED


@pytest.mark.parametrize(
    ("gone", "whose"),
    [
        (v1alpha1.ModelVersion, "DecisionPolicy"),
        (v1alpha1.Model, "DecisionPolicy"),
        (v1alpha1.DeviceProfile, "Device"),
    ],
)
def test_what_dangles_is_said_with_what_stays_and_what_helps(
    gone: type[meta.Resource], whose: str
) -> None:
    [problem] = compile_(*without(gone), last=[WORKED]).problems
    assert (problem.kind, problem.reason) == (whose, "ReferenceNotFound")
    assert f"{gone.kind} " in problem.message
    assert "had last stays in force; create it, or refer to another" in problem.message


@pytest.mark.parametrize("gone", [v1alpha1.Device, v1alpha1.DecisionPolicy, v1alpha1.Site])
def test_deleting_the_thing_itself_ends_it(gone: type[meta.Resource]) -> None:
    made = compile_(*without(gone), last=[WORKED]).assignment
    assert not (made.devices if gone is not v1alpha1.DecisionPolicy else made.policies)


def test_a_namesake_that_was_made_anew_inherits_nothing() -> None:
    anew = device(metadata={"uid": "another"})
    orphaned = replaced(anew, missing=v1alpha1.DeviceProfile)
    assert compile_(*orphaned, last=[WORKED]).assignment.devices == ()
    metadata = policy().metadata.model_copy(update={"uid": "another"})
    again = policy().model_copy(update={"metadata": metadata})
    made = compile_(*replaced(again, missing=v1alpha1.ModelVersion), last=[WORKED]).assignment
    assert made.policies[0].model is None


def test_a_node_without_a_past_takes_what_worked_from_its_neighbours() -> None:
    other = WORKED.model_copy(update={"node": "edge-2"})
    fresh = wire.Assignment(node="edge-1")
    made = compile_(*without(*REFERRED), last=[fresh, other]).assignment
    assert made == WORKED


def test_a_lock_acts_at_once_on_a_device_without_its_profile() -> None:
    locked = device(spec={"lock": "Locked"})
    [found] = compile_(
        *replaced(locked, missing=v1alpha1.DeviceProfile), last=[WORKED]
    ).assignment.devices
    assert found.spec.lock == "Locked"
    assert found.digest != WORKED.devices[0].digest


def test_a_grant_moves_also_without_the_profile() -> None:
    moved = device(status={"authority": {"holder": "edge-2", "epoch": 7, "lastIssued": 7}})
    [found] = compile_(
        *replaced(moved, missing=v1alpha1.DeviceProfile), last=[WORKED]
    ).assignment.devices
    assert found.grant is not None
    assert (found.grant.holder, found.grant.epoch) == ("edge-2", 7)
    assert found.grant.lease_seconds > 0


def test_an_edit_that_needs_the_new_profile_waits_for_it() -> None:
    other = device(spec={"profileRef": {"name": "another"}})
    [found] = compile_(
        *replaced(other, missing=v1alpha1.DeviceProfile), last=[WORKED]
    ).assignment.devices
    assert found.spec.profile_ref.name == WORKED.devices[0].spec.profile_ref.name


def test_a_device_that_moved_to_another_site_was_never_in_force_there() -> None:
    moved = device(site="annex")
    resources = [*replaced(moved, missing=v1alpha1.DeviceProfile), site(name="annex")]
    snapshot = assignment.Resources.of(resources)
    made = assignment.compile(snapshot, "edge-9", site="annex", last=[WORKED]).assignment
    assert made.devices == ()


BOUNDS = st.integers(100, 900)


def limited(*actions: str, maximum: int) -> v1alpha1.Device:
    limits = [{"action": one, "input": "value", "maximum": maximum} for one in actions]
    return device(spec={"limits": limits})


@given(BOUNDS, BOUNDS, st.booleans())
def test_a_limit_that_was_added_holds_and_none_that_was_there_is_widened(
    before: int, after: int, has_another: bool
) -> None:
    """A limit of an action that only the profile to come has takes the others nothing."""
    worked = compile_(*replaced(limited("setAirflow", maximum=before), missing=v1alpha1.Cluster))
    actions = ("openWindow", "setAirflow") if has_another else ("setAirflow",)
    orphaned = replaced(limited(*actions, maximum=after), missing=v1alpha1.DeviceProfile)
    [found] = compile_(*orphaned, last=[worked.assignment]).assignment.devices
    [limit] = found.profile.limits
    assert limit.action == "setAirflow"
    assert limit.maximum is not None
    assert scalars.number(limit.maximum) == min(before, after)


def test_limits_that_leave_no_value_wait_for_the_profile() -> None:
    """They are a mistake by the profile that there was, or meant for the one to come."""
    narrow = [{"action": "setAirflow", "input": "value", "minimum": 500, "maximum": 100}]
    orphaned = replaced(device(spec={"limits": narrow}), missing=v1alpha1.DeviceProfile)
    [found] = compile_(*orphaned, last=[WORKED]).assignment.devices
    assert found.profile == WORKED.devices[0].profile


# A profile by which a device cannot be listened to counts as not there.

WRONG = profile(mqtt={"telemetryTopic": "t", "commandTopic": "$SYS/x"})
LACKING = profile(mqtt={"telemetryTopic": "t/{parameters.called}"}, actions=[])


def edited(*changed: meta.Resource, last: Any = ()) -> assignment.Compilation:
    names = {(one.kind, one.name) for one in changed}
    kept = [one for one in ALL if (one.kind, one.name) not in names]
    return compile_(*kept, *changed, last=last)


@pytest.mark.parametrize(
    ("shared", "said"),
    [
        (WRONG, "DeviceProfile room-climate, spec.mqtt.commandTopic: $SYS/x is one of"),
        (LACKING, "spec.parameters[called]: the topic t/{parameters.called} needs"),
    ],
)
def test_a_device_that_cannot_be_listened_to_keeps_the_profile_that_it_had_last(
    shared: v1alpha1.DeviceProfile, said: str
) -> None:
    made = edited(shared, last=[WORKED])
    assert made.assignment == WORKED
    [problem] = made.problems
    assert (problem.kind, problem.reason) == ("Device", "Invalid")
    assert problem.message.startswith(f"held back: {said}")
    assert "the profile that it had last stays in force" in problem.message


def test_a_device_that_never_could_be_listened_to_is_left_out_and_costs_no_other() -> None:
    well = device("room-302", spec={"parameters": [{"name": "called", "value": "Hall 2"}]})
    made = edited(LACKING, well)
    assert [one.name for one in made.assignment.devices] == ["room-302"]
    [problem] = made.problems
    assert (problem.name, problem.reason) == ("room-301", "Invalid")


def test_a_check_that_fails_as_nobody_foresaw_is_a_problem_of_one_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(_: Any, one: v1alpha1.Device) -> tuple[()]:
        if one.name == "room-301":
            raise RuntimeError("a trap nobody knew")
        return ()

    monkeypatch.setattr(acceptance, "of_reading", breaks)
    made = edited(device("room-302"))
    assert [one.name for one in made.assignment.devices] == ["room-302"]
    assert "a trap nobody knew" in made.problems[0].message
