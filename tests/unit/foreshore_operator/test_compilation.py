"""What the operator says about policies that do not compile."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

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
    resources = compilation.CompilationInput(
        (v1alpha1.DecisionPolicy.read(written),),
        tuple(v1alpha1.Device.read(device) for device in devices or [one_device()]),
        tuple(v1alpha1.DeviceProfile.read(profile) for profile in profiles or [room.profile()]),
        (v1alpha1.Model.read(room.model()),),
        (v1alpha1.ModelVersion.read(room.version()),),
    )
    return (compiler or compilation.Compiler()).compile_all(resources)[NAME]


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


class Counted:
    """Counts what is really compiled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.policies: list[str] = []
        works = compilation.compiled

        def counted(case: compilation.CompilationCase, clock: Any) -> snapshot.Compiled:
            self.policies.append(case.policy.name)
            return works(case, clock)

        monkeypatch.setattr(compilation, "compiled", counted)


def many(count: int, **changed: int) -> compilation.CompilationInput:
    """So many rooms with a policy of its own each; `changed` gives generations by name."""

    def written(document: dict[str, Any], name: str) -> dict[str, Any]:
        generation = changed.get(name.replace("-", "_"), 1)
        return room.changed(
            document,
            metadata__name=name,
            metadata__uid=name,
            metadata__generation=generation,
            metadata__labels={"room": name.rpartition("-")[2]},
        )

    def policy(name: str) -> dict[str, Any]:
        number = name.rpartition("-")[2]
        return room.changed(
            written(room.policy(), name), spec__deviceSelector={"matchLabels": {"room": number}}
        )

    return compilation.CompilationInput(
        tuple(v1alpha1.DecisionPolicy.read(policy(f"policy-{at}")) for at in range(count)),
        tuple(v1alpha1.Device.read(written(room.device(), f"room-{at}")) for at in range(count)),
        (v1alpha1.DeviceProfile.read(first(room.profile())),),
        (v1alpha1.Model.read(first(room.model())),),
        (v1alpha1.ModelVersion.read(first(room.version())),),
    )


def first(document: dict[str, Any]) -> dict[str, Any]:
    return room.changed(document, metadata__uid="u", metadata__generation=1)


def test_an_edit_of_one_device_looks_at_the_policies_that_select_it_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted, compiler = Counted(monkeypatch), compilation.Compiler()
    compiler.compile_all(many(20))
    counted.policies.clear()
    compiler.update(many(20, room_7=2))
    assert compiler.left == 1
    compiler.work(1.0)
    assert counted.policies == [], "and what it compiles to is the same"


def test_a_status_that_changes_makes_nothing_due(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, compiler = Counted(monkeypatch), compilation.Compiler()
    compiler.compile_all(many(20))
    counted.policies.clear()
    compiler.update(many(20))
    assert compiler.left == 0


def test_another_spec_under_the_same_generation_is_due() -> None:
    """A restored etcd, or a definition with another default, raises no generation."""
    compiler = compilation.Compiler()
    before = many(3)
    compiler.compile_all(before)
    device = before.devices[1]
    locked = v1alpha1.device.Lock.LOCKED
    restored = device.spec.model_copy(update={"lock": locked})
    devices = list(before.devices)
    devices[1] = device.model_copy(update={"spec": restored})
    compiler.update(dataclasses.replace(before, devices=tuple(devices)))
    assert compiler.left == 1


def test_an_edit_of_a_policy_comes_before_what_others_have_changed() -> None:
    compiler = compilation.Compiler()
    compiler.compile_all(many(5))
    everything = {f"room_{at}": 2 for at in range(5)}
    compiler.update(many(5, **everything, policy_3=2))
    first = compiler.answers["hq", "policy-3"]
    compiler.work(1e-9)
    assert compiler.left == 4
    assert compiler.answers["hq", "policy-3"] is not first


def test_work_stops_when_its_time_is_up_and_goes_on_where_it_was() -> None:
    compiler = compilation.Compiler()
    compiler.update(many(20))
    compiler.work(1e-9)
    assert compiler.left == 19
    compiler.work(60.0)
    assert compiler.left == 0
    assert len(compiler.answers) == 20


def test_a_policy_that_is_gone_is_forgotten_also_while_it_is_due() -> None:
    compiler = compilation.Compiler()
    compiler.update(many(3))
    compiler.update(many(2))
    compiler.work(60.0)
    assert sorted(compiler.answers) == [("hq", "policy-0"), ("hq", "policy-1")]


def test_a_policy_of_which_nothing_is_said_yet_is_pending_and_not_taken_for_good() -> None:
    compiler = compilation.Compiler()
    compiler.compile_all(many(2))
    edited = many(3, policy_1=2)
    answers = dict(compilation.answers_for(edited.policies, compiler.answers))
    assert not answers["hq", "policy-0"].is_pending
    assert answers["hq", "policy-1"].is_pending, "another generation"
    assert answers["hq", "policy-2"].is_pending, "a new one"


DEVICES = [
    {},
    {"metadata__labels": {"zone": "east"}},
    {"spec__site": "depot"},
    {"spec__profileRef": {"name": "nothing"}},
    {"spec__limits": [{"action": "setAirflow", "input": "value", "maximum": 200}]},
    None,
]
"""What a Device may become; None for gone."""
POLICIES = [
    {},
    {"spec__latencyBudget": "111ms"},
    {"spec__deviceSelector": {"matchLabels": {"zone": "east"}}},
    {"spec__deviceSelector": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}},
    {"spec__modelRef": {"version": "nothing"}},
    None,
]
WORLDS = strategies.lists(
    strategies.tuples(
        strategies.lists(strategies.sampled_from(DEVICES), min_size=2, max_size=2),
        strategies.lists(strategies.sampled_from(POLICIES), min_size=2, max_size=2),
        strategies.sampled_from([room.profile(), None]),
        strategies.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def written_world(
    at: int, world: tuple[Sequence[Any], Sequence[Any], Any, bool]
) -> compilation.CompilationInput:
    """A world of a sequence; each state of an object that differs has a generation of its own."""
    devices, policies, profile, has_model = world

    def made(document: dict[str, Any], number: int, change: dict[str, Any]) -> dict[str, Any]:
        name = f"{document['metadata']['name']}-{number}"
        generation = 1 + at
        return room.changed(
            document,
            **{
                "metadata__name": name,
                "metadata__uid": name,
                "metadata__generation": generation,
                **change,
            },
        )

    return compilation.CompilationInput(
        tuple(
            v1alpha1.DecisionPolicy.read(made(base, number, change))
            for number, (base, change) in enumerate(
                zip((room.policy(), neighbours.policy()), policies, strict=True)
            )
            if change is not None
        ),
        tuple(
            v1alpha1.Device.read(made(base, number, change))
            for number, (base, change) in enumerate(
                zip((room.device(), neighbours.window()), devices, strict=True)
            )
            if change is not None
        ),
        tuple(
            v1alpha1.DeviceProfile.read(document)
            for document in (profile, neighbours.profile())
            if document is not None
        ),
        (v1alpha1.Model.read(room.model()),) if has_model else (),
        (v1alpha1.ModelVersion.read(room.version()),),
    )


@hypothesis.given(WORLDS)
@hypothesis.settings(max_examples=60)
def test_after_any_sequence_of_edits_the_answers_are_those_of_a_fresh_start(worlds: Any) -> None:
    compiler = compilation.Compiler(clock=lambda: 0.0)
    for at, world in enumerate(worlds):
        written = written_world(at, world)
        fresh = compilation.Compiler(clock=lambda: 0.0).compile_all(written)
        assert dict(compiler.compile_all(written)) == dict(fresh)
