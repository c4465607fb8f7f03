"""Which policies of an assignment an agent refuses because they take too long on its node."""

import itertools
import time

from builders import engine_rig, room
from builders.engine_rig import POLICY, Rig
from foreshore_agent.engine import events, view
from foreshore_agent.runtime import admission
from foreshore_api.wire import assignment

SLOW = itertools.count(0.0, 0.005).__next__
"""A processor on which every evaluation takes five milliseconds."""


def edited() -> room.Json:
    document = room.changed(room.policy(), metadata__generation=2)
    document["spec"]["rules"][0]["expression"] = "score >= 0.7"
    return document


def in_force(rig: Rig) -> tuple[assignment.AssignedPolicy, ...]:
    return view.last_in_force(rig.state)


def test_everyday_policies_are_taken() -> None:
    assert admission.too_slow(engine_rig.assign(), (), time.thread_time) == {}


def test_what_takes_too_long_is_named_with_its_place_and_its_time() -> None:
    slow = admission.too_slow(engine_rig.assign(), (), SLOW)
    assert list(slow) == [POLICY]
    assert "spec.rules[occupied].expression: takes 5.0 ms" in slow[POLICY]


def test_what_decides_already_is_not_timed_again() -> None:
    assert admission.too_slow(engine_rig.assign(), in_force(Rig()), SLOW) == {}


def test_an_edit_of_what_decides_is_timed() -> None:
    assert list(admission.too_slow(engine_rig.assign(edited()), in_force(Rig()), SLOW)) == [POLICY]


def test_what_does_not_compile_is_for_the_engine_to_say() -> None:
    wrong = edited()
    wrong["spec"]["rules"][0]["expression"] = "scroe >= 0.7"
    assert admission.too_slow(engine_rig.assign(wrong), (), SLOW) == {}


def test_a_policy_that_is_too_slow_is_held_back_and_the_one_before_stays() -> None:
    rig = Rig((room.changed(room.policy(), metadata__generation=1),))
    rig.assign(edited(), too_slow={POLICY: "spec.rules: takes 5 ms"})
    [problem] = view.problems(rig.state)
    assert (problem.reason, problem.generation) == ("ExpressionTooSlow", 2)
    assert "takes 5 ms; generation 1 stays in force" in problem.message
    rig.sample()
    assert rig.decisions[0]["policy"]["generation"] == 1


def test_a_first_policy_that_is_too_slow_does_not_decide() -> None:
    rig, new = Rig(), events.Key("hq", "new")
    rig.assign(
        room.changed(room.policy(), metadata__name=new.name),
        too_slow={new: "spec.rules: takes 5 ms"},
    )
    assert {version.name for version in view.in_force(rig.state)} == {POLICY.name}
    [problem] = view.problems(rig.state)
    assert "takes 5 ms; nothing is in force" in problem.message
