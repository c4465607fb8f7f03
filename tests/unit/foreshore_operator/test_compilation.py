"""What the operator says about policies that do not compile."""

import itertools
from typing import Any

from builders import neighbours, room
from foreshore_api import v1alpha1
from foreshore_operator import compilation
from foreshore_planner import snapshot

NAME = ("hq", "ventilate-when-occupied")


def one_device(**spec: Any) -> dict[str, Any]:
    return room.changed(room.device(), metadata__uid="d", metadata__generation=1, **spec)


def compiled(
    compiler: compilation.Compiler | None = None,
    policy: dict[str, Any] | None = None,
    devices: list[dict[str, Any]] | None = None,
    profiles: list[dict[str, Any]] | None = None,
) -> snapshot.Compiled:
    written = room.changed(policy or room.policy(), metadata__uid="p")
    answers = (compiler or compilation.Compiler()).compile_all(
        [v1alpha1.DecisionPolicy.read(written)],
        [v1alpha1.Device.read(each) for each in devices or [one_device()]],
        [v1alpha1.DeviceProfile.read(each) for each in profiles or [room.profile()]],
        [v1alpha1.Model.read(room.model())],
        [v1alpha1.ModelVersion.read(room.version())],
    )
    return answers[NAME]


def test_the_example_compiles() -> None:
    assert compiled().problem is None


def test_an_expression_with_an_unknown_name_is_told_with_its_place() -> None:
    broken = room.policy()
    broken["spec"]["rules"][0]["expression"] = "scroe >= 0.8"

    problem = compiled(policy=broken).problem

    assert problem is not None
    assert problem[0] == "CompileFailed"
    assert "spec.rules[occupied]" in problem[1]
    assert "room-301" in problem[1]


def test_an_expression_that_takes_too_long_here_is_refused_with_its_place() -> None:
    slow = compilation.Compiler(clock=itertools.count(0.0, 0.005).__next__)

    problem = compiled(slow).problem

    assert problem is not None
    assert problem[0] == "ExpressionTooSlow"
    assert "spec.rules[occupied].expression: takes 5.0 ms" in problem[1]


def test_one_device_among_many_that_it_does_not_compile_for_is_found() -> None:
    wider = room.changed(
        one_device(),
        metadata__name="room-302",
        metadata__uid="e",
        spec__limits=[{"action": "setAirflow", "input": "value", "maximum": 200}],
    )
    policy = room.policy()
    policy["spec"]["action"]["limits"] = [{"input": "value", "maximum": 700}]

    problem = compiled(policy=policy, devices=[one_device(), wider]).problem

    assert problem is not None
    assert "room-302" in problem[1]


def test_an_edit_is_compiled_again_and_the_answer_names_its_generation() -> None:
    compiler = compilation.Compiler()
    first = compiled(compiler, room.changed(room.policy(), metadata__generation=1))
    broken = room.changed(room.policy(), metadata__generation=2)
    broken["spec"]["rules"][0]["expression"] = "score >="

    second = compiled(compiler, broken)

    assert (first.problem, first.generation) == (None, 1)
    assert second.problem is not None
    assert second.generation == 2


def test_nothing_is_compiled_again_while_nothing_changed() -> None:
    compiler = compilation.Compiler()

    assert compiled(compiler) is compiled(compiler)


def test_a_policy_that_selects_nothing_has_no_problem_of_this_kind() -> None:
    other = room.changed(one_device(), metadata__labels={"zone": "east"})

    assert compiled(devices=[other]).problem is None


def read_elsewhere(
    window: dict[str, Any], compiler: compilation.Compiler | None = None, **fields: Any
) -> snapshot.Compiled:
    """What is said of a policy that reads the window beside its room."""
    profile = room.changed(
        neighbours.profile(**fields), metadata__uid="w", metadata__generation=len(fields)
    )
    return compiled(
        compiler,
        neighbours.policy(),
        [one_device(), window],
        [room.changed(room.profile(), metadata__uid="r"), profile],
    )


def test_a_policy_may_read_another_device_of_its_site() -> None:
    assert read_elsewhere(neighbours.window()).problem is None


def test_another_device_that_its_site_has_not_is_told_with_its_place() -> None:
    problem = read_elsewhere(neighbours.window(spec__site="depot")).problem
    assert problem is not None
    assert problem[0] == "ReferenceNotFound"
    assert problem[1].startswith(
        "Device room-301: spec.inputs[windowOpen].deviceRef.name: this site has no Device"
        " window-301"
    )


def test_an_edit_of_the_other_device_s_profile_is_compiled_again() -> None:
    compiler = compilation.Compiler()
    assert read_elsewhere(neighbours.window(), compiler).problem is None
    renamed = [{"name": "opened", "type": "Boolean"}]
    problem = read_elsewhere(neighbours.window(), compiler, spec__properties=renamed).problem
    assert problem is not None
    assert "spec.inputs[windowOpen].property: Device window-301" in problem[1]
    assert read_elsewhere(neighbours.window(), compiler).problem is None


def test_an_edit_of_the_other_device_that_is_not_compiled_compiles_nothing_again() -> None:
    compiler = compilation.Compiler()
    before = read_elsewhere(neighbours.window(), compiler)
    assert read_elsewhere(neighbours.window(spec__lock="Locked"), compiler) is before
