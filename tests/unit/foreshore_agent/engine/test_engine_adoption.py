"""A generation that asks another model takes effect whole, once a replica of it serves the site."""

from typing import Any

import pytest

from builders import engine_rig, room
from builders.engine_rig import DEVICE, OCCUPIED, POLICY, Rig
from foreshore_agent.engine import effects, events, view
from foreshore_api.wire import assignment
from foreshore_decision import served

OTHER = "sha256:" + "cd" * 32
V1 = served.Served("occupancy", "occupancy-v1", room.DIGEST)
V2 = served.Served("occupancy", "occupancy-v2", OTHER)
UNNAMED = served.Served("", "", "")


def generation(number: int, version: str = "occupancy-v1", **changed: Any) -> room.Json:
    """The policy as it was edited for the n-th time."""
    policy = room.changed(room.policy(), spec__modelRef={"version": version}, **changed)
    policy["metadata"]["generation"] = number
    return policy


def assigned(
    policy: room.Json, *replicas: served.Served, more: tuple[room.Json, ...] = ()
) -> assignment.Assignment:
    """What an agent gets where these replicas are ready, each at a URL that names its version."""
    version = room.changed(room.version(name="occupancy-v2"), spec__digest=OTHER)
    made = engine_rig.assign(policy, version, *more)
    endpoints = tuple(
        assignment.Endpoint(
            slot=f"r{number}",
            role=assignment.Role.ACTIVE,
            node="edge-2",
            url=f"http://{each.version or 'unnamed'}:{number}",
            version=each.version,
            digest=each.digest,
        )
        for number, each in enumerate(replicas)
    )
    policies = tuple(each.model_copy(update={"endpoints": endpoints}) for each in made.policies)
    return made.model_copy(update={"policies": policies})


def take(rig: Rig, *arguments: Any, **more: Any) -> None:
    rig.feed(events.Assigned, assignment=assigned(*arguments, **more))
    rig.renew()


def in_force(rig: Rig) -> list[tuple[int, str | None, list[str]]]:
    """Generation, version and URLs of what decides."""
    return [
        (
            each.generation,
            None if each.model is None else each.model.version,
            [one.url for one in each.endpoints],
        )
        for each in view.in_force(rig.state)
    ]


@pytest.fixture
def rig() -> Rig:
    """An engine by the third generation, which a replica of the first version serves."""
    made = Rig()
    take(made, generation(3), V1)
    return made


FIRST = (3, "occupancy-v1", ["http://occupancy-v1:0"])


def test_a_generation_of_another_model_waits_for_a_replica_and_says_so(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v2"), V1)
    assert in_force(rig) == [FIRST]
    [problem] = view.problems(rig.state)
    assert (problem.reason, problem.generation) == ("AwaitingReplica", 4)
    assert "generation 4 waits for a replica of occupancy-v2" in problem.message
    assert "generation 3 stays in force with occupancy-v1" in problem.message
    assert rig.notices[-1] == "AwaitingReplica"
    rig.sample()
    assert rig.decisions[-1]["policy"]["generation"] == 3


def test_it_takes_effect_whole_once_a_replica_serves_it_and_the_old_ones_are_not_asked(
    rig: Rig,
) -> None:
    rules = [{"name": "any", "expression": "score >= 0.0", "reason": "Any"}]
    take(rig, generation(4, "occupancy-v2", spec__rules=rules), V1)
    take(rig, generation(4, "occupancy-v2", spec__rules=rules), V1, V2)
    assert in_force(rig) == [(4, "occupancy-v2", ["http://occupancy-v2:1"])]
    assert view.problems(rig.state) == ()
    assert rig.notices[-1] == "GenerationInForce"
    rig.sample()
    assert rig.verdicts[-1] == ("Commanded", "Any")


def test_the_same_name_with_other_bytes_is_no_replica_of_it(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v2"), V1, V2._replace(digest=room.DIGEST))
    assert in_force(rig) == [FIRST]


def test_the_wait_outlives_a_restart(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v2"), V1)
    rig.documents = (generation(4, "occupancy-v2"),)
    rig.boot()
    take(rig, generation(4, "occupancy-v2"), V1)
    assert in_force(rig) == [FIRST]
    assert [each.reason for each in view.problems(rig.state)] == ["AwaitingReplica"]
    take(rig, generation(4, "occupancy-v2"), V2)
    assert in_force(rig) == [(4, "occupancy-v2", ["http://occupancy-v2:0"])]


def test_an_edit_that_asks_the_same_model_takes_effect_without_any_replica(rig: Rig) -> None:
    take(rig, generation(4, spec__hazard="Medium"))
    assert in_force(rig) == [(4, "occupancy-v1", [])]


def test_an_edit_back_while_another_waits_takes_effect_at_once(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v2"), V1)
    take(rig, generation(5, spec__hazard="Medium"), V1)
    assert in_force(rig) == [(5, "occupancy-v1", ["http://occupancy-v1:0"])]
    assert view.problems(rig.state) == ()


def test_an_edit_that_is_taken_back_is_recorded_as_the_generation_that_it_is(rig: Rig) -> None:
    take(rig, generation(5), V1)
    rig.sample()
    assert rig.decisions[0]["policy"]["generation"] == 5


def test_a_replica_that_is_lost_meanwhile_does_not_put_what_nobody_serves_in_force(
    rig: Rig,
) -> None:
    take(rig, generation(4, "occupancy-v2"), V1)
    take(rig, generation(4, "occupancy-v2"))
    take(rig, generation(4, "occupancy-v2"), V1)
    assert in_force(rig) == [FIRST]


def test_where_nobody_names_the_versions_a_generation_takes_effect_at_once(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v2"), UNNAMED)
    assert in_force(rig) == [(4, "occupancy-v2", ["http://unnamed:0"])]


def test_a_first_generation_is_bound_and_records_that_nothing_answers() -> None:
    rig = Rig((generation(1),), hold=(effects.Infer,))
    take(rig, generation(1), V2)
    assert in_force(rig) == [(1, "occupancy-v1", [])]
    rig.sample()
    [asked] = rig.waiting
    assert isinstance(asked, effects.Infer)
    rig.feed(events.InferenceFailed, decision_id=asked.decision_id, reason="NoEndpoint")
    assert rig.verdicts == [("Error", "InferenceFailed")]
    assert rig.decisions[0]["model"] == V1._asdict(), "what was asked: nothing answered"


def test_a_policy_of_rules_alone_that_gets_a_model_goes_on_by_its_rules_until_it_is_served() -> (
    None
):
    rules = [{"name": "stale", "expression": "co2 > 800.0", "reason": "StaleAir"}]
    alone = room.changed(
        generation(3), spec__modelRef=None, spec__inference=None, spec__rules=rules
    )
    rig = Rig()
    take(rig, alone)
    take(rig, generation(4, "occupancy-v2"))
    rig.sample()
    assert rig.verdicts == [("Commanded", "StaleAir")]


# What is narrower never waits.


def test_a_lowered_mode_acts_at_once(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v2", spec__mode="Shadow"), V1)
    rig.sample()
    assert rig.verdicts == [("Shadowed", "ShadowMode")]
    assert rig.decisions[0]["policy"]["generation"] == 3


def test_a_raised_mode_waits() -> None:
    rig = Rig()
    take(rig, generation(3, spec__mode="Advise"), V1)
    take(rig, generation(4, "occupancy-v2"), V1)
    rig.sample()
    assert rig.verdicts == [("Advised", "AdviseMode")]


def limits(**bounds: int) -> list[dict[str, Any]]:
    return [{"input": "value", **bounds}]


def test_narrower_limits_act_at_once(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v2", spec__action__limits=limits(maximum=200)), V1)
    rig.sample()
    assert rig.verdicts == [("Denied", "OutOfLimits")]


def test_wider_limits_wait() -> None:
    rig = Rig()
    take(rig, generation(3, spec__action__limits=limits(maximum=200)), V1)
    take(rig, generation(4, "occupancy-v2", spec__action__limits=limits(maximum=700)), V1)
    rig.sample()
    assert rig.verdicts == [("Denied", "OutOfLimits")]


def test_limits_that_leave_the_old_version_no_value_leave_it_recording_only() -> None:
    rig = Rig()
    take(rig, generation(3, spec__action__limits=limits(maximum=400)), V1)
    take(rig, generation(4, "occupancy-v2", spec__action__limits=limits(minimum=500)), V1)
    rig.sample()
    assert rig.verdicts == [("Shadowed", "ShadowMode")]


def test_a_slower_rate_acts_at_once(rig: Rig) -> None:
    slower = {"minimumInterval": "1h"}
    take(rig, generation(4, "occupancy-v2", spec__rateLimit=slower), V1)
    rig.sample()
    rig.wait(3)
    rig.sample(**{**OCCUPIED, "co2": 1100.0})
    assert rig.counted[-1] == ("Suppressed", "MinimumInterval")


def test_a_lower_mode_without_records_acts_at_once(rig: Rig) -> None:
    weaker = {"onRecorderFull": "Disabled"}
    take(rig, generation(4, "occupancy-v2", spec__degraded=weaker), V1)
    rig.feed(events.RecorderChanged, full=True, reason="DiskFull")
    rig.sample()
    assert rig.counted[-1] == ("NotTriggered", "Disabled")


def test_a_lock_acts_at_once(rig: Rig) -> None:
    locked = room.changed(room.device(), spec__lock="Locked")
    take(rig, generation(4, "occupancy-v2"), V1, more=(locked,))
    rig.sample()
    assert rig.counted[-1] == ("NotTriggered", "DeviceLocked")


def test_a_deletion_acts_at_once(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v2"), V1)
    made = assigned(generation(4, "occupancy-v2"), V1)
    rig.feed(events.Assigned, assignment=made.model_copy(update={"policies": ()}))
    rig.sample()
    assert rig.counted == []


def test_what_was_narrowed_for_a_generation_is_over_when_it_is_taken_back(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v2", spec__action__limits=limits(maximum=200)), V1)
    take(rig, generation(3), V1)
    rig.sample()
    assert rig.verdicts == [("Commanded", "RoomOccupied")]


def test_an_intent_that_the_narrower_limits_would_not_allow_does_not_leave(rig: Rig) -> None:
    rig.hold = (effects.AppendRecords,)
    rig.sample()
    waiting, rig.hold = rig.waiting, ()
    take(rig, generation(4, "occupancy-v2", spec__action__limits=limits(maximum=200)), V1)
    rig.waiting = waiting
    rig.release()
    assert rig.sent == []


def test_a_mistake_that_also_narrows_narrows_at_once(rig: Rig) -> None:
    broken = [{"name": "occupied", "expression": "scoer >= 0.8", "reason": "RoomOccupied"}]
    edit = generation(4, spec__rules=broken, spec__action__limits=limits(maximum=200))
    take(rig, edit, V1)
    rig.sample()
    assert rig.verdicts == [("Denied", "OutOfLimits")]
    assert [each.reason for each in view.problems(rig.state)] == ["CompileFailed"]


def test_limits_that_are_the_mistake_stop_nothing(rig: Rig) -> None:
    take(rig, generation(4, spec__action__limits=limits(minimum=900)), V1)
    rig.sample()
    assert rig.verdicts == [("Commanded", "RoomOccupied")]
    assert len(view.problems(rig.state)) == 1


# A version that is not there keeps what worked.


@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
@pytest.mark.parametrize(
    "replicas", [(V1,), ()], ids=["its replica is listed", "nothing is listed"]
)
def test_a_version_that_does_not_exist_keeps_what_worked(
    rig: Rig, replicas: tuple[served.Served, ...], restarts: bool
) -> None:
    dangling = generation(4, "occupancy-v9")
    take(rig, dangling, *replicas)
    if restarts:
        rig.documents = (dangling,)
        rig.boot()
        take(rig, dangling, *replicas)
    assert in_force(rig) == [FIRST]
    [problem] = view.problems(rig.state)
    assert problem.reason == "ReferenceNotFound"
    rig.sample()
    assert rig.verdicts == [("Commanded", "RoomOccupied")]


def test_what_is_held_back_says_why_what_stays_and_what_helps(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v9"), V1)
    [problem] = view.problems(rig.state)
    assert problem.message.startswith("generation 4 is held back: spec.modelRef: ")
    assert problem.message.endswith(
        "; generation 3 stays in force with occupancy-v1, within what the newer one narrows (mode,"
        " limits, rate limit); mend what it names"
    )


def test_a_first_generation_that_cannot_be_says_that_nothing_is_in_force() -> None:
    rig = Rig((generation(1, "occupancy-v9"),))
    [problem] = view.problems(rig.state)
    assert problem.message.endswith("; nothing is in force; mend what it names")


def test_a_device_on_which_nothing_is_in_force_is_named(rig: Rig) -> None:
    take(rig, generation(4, "occupancy-v9"), V1, more=(room.device(name="room-302"),))
    [problem] = view.problems(rig.state)
    assert "generation 3 stays in force" in problem.message
    assert "nothing is in force on room-302" in problem.message


# What was asked before the switch.


def test_an_answer_to_the_generation_before_commands_nothing(rig: Rig) -> None:
    rig.hold = (effects.Infer,)
    rig.sample()
    take(rig, generation(4, "occupancy-v2"), V1, V2)
    assert rig.verdicts == [("NotTriggered", "PolicyChanged")]
    rig.model = V1
    rig.release()
    assert rig.sent == []
    rig.hold, rig.model = (), V2
    rig.sample()
    assert rig.decisions[-1]["model"] == V2._asdict()
    assert rig.verdicts[-1] == ("Commanded", "RoomOccupied")


def test_the_record_names_what_answered(rig: Rig) -> None:
    rig.model = V1
    rig.sample()
    assert rig.decisions[0]["model"] == V1._asdict()
    rig.model = V2
    rig.wait(3)
    rig.sample(**{**OCCUPIED, "co2": 950.0})
    assert rig.verdicts[-1] == ("Error", "OtherVersion")
    assert rig.decisions[-1]["model"] == V2._asdict()
    assert len(rig.sent) == 1


def test_a_device_that_two_generations_are_in_force_on_asks_the_replicas_of_each() -> None:
    narrow = room.device(name="room-302")
    narrow["spec"]["limits"] = [{"action": "setAirflow", "input": "value", "maximum": 400}]
    wider = generation(4, "occupancy-v2", spec__action__limits=limits(maximum=600))
    rig = Rig()
    take(rig, generation(3), V1, more=(narrow,))
    take(rig, wider, V1, V2, more=(narrow,))
    assert [
        (each.devices, [one.url for one in each.endpoints]) for each in rig.state.in_force[POLICY]
    ] == [
        ((DEVICE.name,), ["http://occupancy-v2:1"]),
        (("room-302",), ["http://occupancy-v1:0"]),
    ]
