"""What keeps a policy from compiling: one test a rule, and everything wrong at once."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from builders import engine_rig, room
from foreshore_api.v1alpha1 import Mode
from foreshore_api.v1alpha1.commanding import AcknowledgementKind
from foreshore_decision import policy
from foreshore_decision.policy import CompiledPolicy

Change = Callable[[dict[str, Any]], None]


def compiled(*documents: room.Json) -> CompiledPolicy:
    assigned = engine_rig.assign(*documents)
    return policy.compile(assigned.policies[0], assigned.devices[0])


def refused(*documents: room.Json) -> list[tuple[str, str]]:
    try:
        compiled(*documents)
    except policy.PolicyError as error:
        return [(each.reason.value, each.path) for each in error.problems]
    return []


def edited(document: room.Json, change: Change) -> room.Json:
    change(document["spec"])
    return document


def with_input(**fields: Any) -> Change:
    return lambda spec: spec["inputs"][1].update(fields)


def with_rule(**fields: Any) -> Change:
    return lambda spec: spec["rules"][0].update(fields)


def with_action(**fields: Any) -> Change:
    return lambda spec: spec["action"].update(fields)


def put(**fields: Any) -> Change:
    return lambda spec: spec.update(fields)


INPUT = "spec.inputs[co2]"
LIMITS = "spec.action.limits[value]"
ONE_INPUT = [{"name": "value", "expression": "300.0"}]

POLICY_RULES = {
    "an unknown property": (
        with_input(property="co3"),
        ("ReferenceNotFound", f"{INPUT}.property"),
    ),
    "another unit": (with_input(unit="%"), ("UnitMismatch", f"{INPUT}.unit")),
    "another type": (with_input(type="Integer"), ("Invalid", f"{INPUT}.type")),
    "a range wider than the property's": (
        with_input(range={"maximum": 20000}),
        ("WiderThanDevice", f"{INPUT}.range.maximum"),
    ),
    "an empty range": (
        with_input(range={"minimum": 9000, "maximum": 9000}),
        None,
    ),
    "a default outside the range": (
        with_input(onInvalid="Default", default=20000),
        ("Invalid", f"{INPUT}.default"),
    ),
    "a default that is no number": (
        with_input(onInvalid="Default", default="much"),
        ("Invalid", f"{INPUT}.default"),
    ),
    "an unknown trigger": (
        put(trigger={"properties": ["co3"]}),
        ("ReferenceNotFound", "spec.trigger.properties"),
    ),
    "a feature of no input": (
        put(features=[{"name": "x", "input": "humidity"}]),
        ("ReferenceNotFound", "spec.features[x].input"),
    ),
    "a feature without its window": (
        put(features=[{"name": "x", "input": "co2", "aggregate": "Mean"}]),
        ("Invalid", "spec.features[x].window"),
    ),
    "a last value with a coverage": (
        put(features=[{"name": "x", "input": "co2", "minimumCoverage": "0.5"}]),
        ("Invalid", "spec.features[x].minimumCoverage"),
    ),
    "a count with a coverage": (
        put(
            features=[
                {
                    "name": "x",
                    "input": "co2",
                    "window": "1m",
                    "aggregate": "Count",
                    "minimumCoverage": "0.5",
                }
            ]
        ),
        ("Invalid", "spec.features[x].minimumCoverage"),
    ),
    "a parameter that nobody sets": (
        put(parameters=[{"name": "setpoint"}]),
        ("ReferenceNotFound", "spec.parameters[setpoint]"),
    ),
    "a parameter beyond its bounds": (
        put(parameters=[{"name": "setpoint", "default": 5, "maximum": 3}]),
        ("Invalid", "spec.parameters[setpoint]"),
    ),
    "a variable that does not compile": (
        put(variables=[{"name": "x", "expression": "co2 +"}]),
        ("CompileFailed", "spec.variables[x].expression"),
    ),
    "a variable that calculates and decides at once": (
        put(variables=[{"name": "x", "expression": "co2 > 0.0 ? 1.0 / co2 : 0.0"}]),
        ("CompileFailed", "spec.variables[x].expression"),
    ),
    "a variable that reads a later one": (
        put(
            variables=[
                {"name": "x", "expression": "y + 1.0"},
                {"name": "y", "expression": "co2"},
            ]
        ),
        ("CompileFailed", "spec.variables[x].expression"),
    ),
    "a name for two things": (
        put(variables=[{"name": "co2", "expression": "1.0"}]),
        ("Invalid", "spec"),
    ),
    "a condition that reads an output": (
        put(matchConditions=[{"name": "sure", "expression": "score > 0.5"}]),
        ("CompileFailed", "spec.matchConditions[sure].expression"),
    ),
    "a rule with an unknown name": (
        with_rule(expression="scoer > 0.5"),
        ("CompileFailed", "spec.rules[occupied].expression"),
    ),
    "a rule that is no truth": (
        with_rule(expression="score"),
        ("CompileFailed", "spec.rules[occupied].expression"),
    ),
    "a message that is no text": (
        with_rule(messageExpression="score"),
        ("CompileFailed", "spec.rules[occupied].messageExpression"),
    ),
    "an unknown action": (with_action(name="open"), ("ReferenceNotFound", "spec.action.name")),
    "an input that the action does not take": (
        with_action(input=[*ONE_INPUT, {"name": "speed", "expression": "1.0"}]),
        ("ReferenceNotFound", "spec.action.input[speed]"),
    ),
    "an input that nobody gives": (
        with_action(input=[]),
        ("Invalid", "spec.action.input[value]"),
    ),
    "an action value of another type": (
        with_action(input=[{"name": "value", "expression": "'much'"}]),
        ("CompileFailed", "spec.action.input[value].expression"),
    ),
    "an action value in another unit": (
        with_action(input=[{**ONE_INPUT[0], "unit": "l/s"}]),
        ("UnitMismatch", "spec.action.input[value].unit"),
    ),
    "a maximum wider than the device's": (
        with_action(limits=[{"input": "value", "maximum": 900}]),
        ("WiderThanDevice", f"{LIMITS}.maximum"),
    ),
    "a minimum wider than the device's": (
        with_action(limits=[{"input": "value", "minimum": -1}]),
        ("WiderThanDevice", f"{LIMITS}.minimum"),
    ),
    "a step wider than the device's": (
        with_action(limits=[{"input": "value", "maximumStep": 501}]),
        ("WiderThanDevice", f"{LIMITS}.maximumStep"),
    ),
    "a limit of an input that the action does not take": (
        with_action(limits=[{"input": "speed", "maximum": 1}]),
        ("ReferenceNotFound", "spec.action.limits[speed]"),
    ),
    "rules only, with a rule that reads an output": (
        put(
            inference={
                "onError": "RuleOnly",
                "outputs": [{"name": "score", "output": "probabilities", "index": 1}],
            }
        ),
        ("Invalid", "spec.inference.onError"),
    ),
    "an output that the model has not": (
        put(inference={"outputs": [{"name": "score", "output": "label"}]}),
        ("ReferenceNotFound", "spec.inference.outputs[score].output"),
    ),
    "an index beyond the output": (
        put(inference={"outputs": [{"name": "score", "output": "probabilities", "index": 2}]}),
        ("Invalid", "spec.inference.outputs[score].index"),
    ),
    "a priority that is not supported": (
        with_action(priority=11),
        ("NotSupported", "spec.action.priority"),
    ),
    "an approval": (put(approval={}), ("NotSupported", "spec.approval")),
    "a mode that is not supported": (put(mode="Supervised"), ("NotSupported", "spec.mode")),
}


@pytest.mark.parametrize("name", POLICY_RULES)
def test_a_policy_is_refused_for(name: str) -> None:
    change, problem = POLICY_RULES[name]
    found = refused(edited(room.policy(), change))
    assert problem is None or problem in found


def without(name: str) -> Change:
    def change(spec: dict[str, Any]) -> None:
        spec["properties"] = [each for each in spec["properties"] if each["name"] != name]

    return change


def first_action(**fields: Any) -> Change:
    return lambda spec: spec["actions"][0].update(fields)


def first_input(**fields: Any) -> Change:
    return lambda spec: spec["actions"][0]["input"][0].update(fields)


CONFIRMATION = {"property": "airflow", "expression": "difference < 1.0", "timeout": "10s"}
PROFILE_RULES = {
    "an input that the profile lost": (
        without("light"),
        ("ReferenceNotFound", "spec.inputs[light].property"),
    ),
    "a property that cannot be read": (
        lambda spec: spec["properties"][0].update(access="Write"),
        ("Invalid", f"{INPUT}.property"),
    ),
    "a confirmation that does not compile": (
        put(confirmation={**CONFIRMATION, "expression": "difference"}),
        ("CompileFailed", "profile spec.confirmation.expression"),
    ),
    "a confirmation shorter than the property settles": (
        put(confirmation={**CONFIRMATION, "timeout": "1s"}),
        ("Invalid", "profile spec.confirmation.timeout"),
    ),
    "a deadman": (
        put(deadman={"interval": "5s", "enforcedBy": "Device"}),
        ("NotSupported", "DeviceProfile spec.deadman"),
    ),
}


@pytest.mark.parametrize("name", PROFILE_RULES)
def test_a_policy_does_not_fit_a_profile_with(name: str) -> None:
    change, problem = PROFILE_RULES[name]
    assert problem in refused(edited(room.profile(), change))


MODEL_RULES = {
    "a feature that the policy has not": (
        lambda spec: spec["inputs"][0].update(features=["light", "co2", "humidity"]),
        "ReferenceNotFound",
    ),
    "more columns than features": (
        lambda spec: spec["inputs"][0].update(shape=[-1, 4]),
        "Invalid",
    ),
    "no batch of one": (lambda spec: spec["inputs"][0].update(shape=[2, 3]), "Invalid"),
    "a truth for a number": (lambda spec: spec["inputs"][0].update(dataType="BOOL"), "Invalid"),
    "an output of many rows": (lambda spec: spec["outputs"][0].update(shape=[5, 2]), "Invalid"),
}


@pytest.mark.parametrize("name", MODEL_RULES)
def test_a_policy_does_not_fit_a_model_with(name: str) -> None:
    change, reason = MODEL_RULES[name]
    assert reason in {found for found, _ in refused(edited(room.model(), change))}


def worded(kind: str) -> tuple[room.Json, room.Json]:
    """A sensor that says what it means in words, and a policy that reads it."""
    profile = edited(
        room.profile(), lambda spec: spec["properties"].append({"name": "state", "type": kind})
    )
    source = {"name": "state", "property": "state", "type": kind, "maximumAge": "90s"}
    return profile, edited(room.policy(), lambda spec: spec["inputs"].append(source))


MAP_IT = (
    "state is a String and no number: map it to a Boolean or a Number with values of property"
    " state in its DeviceProfile"
)


def test_a_text_is_no_feature_and_says_how_it_becomes_one() -> None:
    profile, document = worded("String")
    mean = {"name": "often", "input": "state", "window": "1m", "aggregate": "Mean"}
    edited(document, put(features=[mean]))
    taking = edited(
        room.model(), lambda spec: spec["inputs"][0].update(features=["light", "co2", "state"])
    )
    with pytest.raises(policy.PolicyError) as error:
        compiled(profile, document, taking)
    assert [(each.reason.value, each.path, each.message) for each in error.value.problems] == [
        (
            "Invalid",
            "spec.features[often].input",
            f"{MAP_IT}, or take its last value (aggregate Last)",
        ),
        (
            "Invalid",
            "spec.modelRef: input features",
            f"the model takes {MAP_IT}, or list its categories under preprocessing of the Model as"
            " training encoded them",
        ),
    ]


@pytest.mark.parametrize("kind", ["Boolean", "Integer", "Number"])
def test_everything_else_is_a_number_to_a_model_and_to_a_window(kind: str) -> None:
    profile, document = worded(kind)
    mean = {"name": "often", "input": "state", "window": "1m", "aggregate": "Mean"}
    edited(document, put(features=[mean]))
    taking = edited(
        room.model(), lambda spec: spec["inputs"][0].update(features=["state", "co2", "often"])
    )
    assert refused(profile, document, taking) == []


def test_a_model_version_that_is_not_here_is_no_permit() -> None:
    document = edited(room.policy(), put(modelRef={"version": "occupancy-v2"}))
    assert refused(document) == [("ReferenceNotFound", "spec.modelRef")]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    document = edited(room.policy(), with_input(unit="%"))
    edited(document, with_rule(expression="scoer > 0.5"))
    edited(document, with_action(limits=[{"input": "value", "maximum": 900}]))
    assert [reason for reason, _ in refused(document)] == [
        "UnitMismatch",
        "CompileFailed",
        "WiderThanDevice",
    ]


def test_the_device_narrows_what_the_policy_may_ask() -> None:
    narrow = room.device()
    narrow["spec"]["limits"] = [{"action": "setAirflow", "input": "value", "maximum": 400}]
    made = compiled(narrow)
    assert made.action.bounds[0].maximum == 400
    limited = edited(room.policy(), with_action(limits=[{"input": "value", "maximum": 600}]))
    assert refused(narrow, limited) == [("WiderThanDevice", f"{LIMITS}.maximum")]


def test_the_devices_own_parameter_counts_before_the_default() -> None:
    device = room.device()
    device["spec"]["parameters"] = [{"name": "setpoint", "value": 7}]
    document = edited(room.policy(), put(parameters=[{"name": "setpoint", "default": 5}]))
    assert compiled(document).parameters == {"parameters.setpoint": 5.0}
    assert compiled(document, device).parameters == {"parameters.setpoint": 7.0}


def test_a_device_that_checks_nothing_caps_the_mode_and_compiles() -> None:
    profile = edited(room.profile(), lambda spec: spec.pop("guards"))
    [cap] = compiled(profile).caps
    assert (cap.reason, cap.mode) == ("GuardsUnchecked", Mode.ADVISE)


def test_a_device_answers_commands_where_its_profile_says_on_which_topic() -> None:
    mute = edited(room.profile(), lambda spec: spec["mqtt"].pop("acknowledgementTopic"))
    assert compiled().acknowledgement.kind is AcknowledgementKind.ENVELOPE
    assert compiled(mute).acknowledgement.kind is AcknowledgementKind.NONE


def test_features_are_inputs_where_none_are_declared() -> None:
    made = compiled()
    assert made.inference is not None
    assert made.inference.tensors[0].features == ("light", "co2", "temperature")
    assert made.inference.tensors[0].shape == (1, 3)


def test_an_absent_trigger_means_every_input() -> None:
    document = edited(room.policy(), lambda spec: spec.pop("trigger"))
    assert compiled(document).trigger.properties == {"light", "co2", "temperature"}


def test_the_operator_checks_without_a_device_or_a_model() -> None:
    known = {each.kind: each for each in engine_rig.resources(())}
    spec, profile = known["DecisionPolicy"].spec, known["DeviceProfile"].spec  # type: ignore[attr-defined]
    assert policy.check(spec, profile, clock=time.thread_time) == ()
    wanting = edited(room.policy(), put(parameters=[{"name": "setpoint"}]))
    [found] = [each for each in engine_rig.resources((wanting,)) if each.kind == "DecisionPolicy"]
    assert policy.check(found.spec, profile, clock=time.thread_time) == ()  # type: ignore[attr-defined]
    device = known["Device"].spec  # type: ignore[attr-defined]
    assert policy.check(found.spec, profile, device, clock=time.thread_time) != ()  # type: ignore[attr-defined]


# What a profile and a device say of actuators.


def faults(profile: room.Json, device: room.Json | None = None) -> list[tuple[str, str]]:
    documents = [profile] if device is None else [profile, device]
    known = {each.kind: each for each in engine_rig.resources(documents)}
    narrower = None if device is None else known["Device"].spec  # type: ignore[attr-defined]
    found = policy.check_device(known["DeviceProfile"].spec, narrower)  # type: ignore[attr-defined]
    return [(each.reason.value, each.path) for each in found]


LIMIT = {"action": "setAirflow", "input": "value"}
DEVICE_RULES = {
    "a safe state that gives nothing": (
        put(safeState={"action": "setAirflow", "input": []}),
        ("Invalid", "spec.safeState.input[value]"),
    ),
    "a safe state out of bounds": (
        put(safeState={"action": "setAirflow", "input": [{"name": "value", "value": 900}]}),
        ("Invalid", "spec.safeState.input[value]"),
    ),
    "a safe state out of the profile's own limits": (
        put(limits=[{**LIMIT, "minimum": 200}]),
        ("Invalid", "spec.safeState.input[value]"),
    ),
    "a safe state that gives too much": (
        put(
            safeState={
                "action": "setAirflow",
                "input": [{"name": "value", "value": 120}, {"name": "speed", "value": 1}],
            }
        ),
        ("ReferenceNotFound", "spec.safeState.input[speed]"),
    ),
    "a limit wider than the action's": (
        put(limits=[{**LIMIT, "maximum": 900}]),
        ("WiderThanDevice", "spec.limits[setAirflow,value].maximum"),
    ),
    "a limit of nothing": (
        put(limits=[{"action": "setAirflow", "input": "speed", "maximum": 1}]),
        ("ReferenceNotFound", "spec.limits[setAirflow,speed]"),
    ),
    "a confirmation that is no truth": (
        put(confirmation={**CONFIRMATION, "expression": "difference"}),
        ("CompileFailed", "spec.confirmation.expression"),
    ),
}


@pytest.mark.parametrize("name", DEVICE_RULES)
def test_a_profile_is_refused_for(name: str) -> None:
    change, problem = DEVICE_RULES[name]
    assert problem in faults(edited(room.profile(), change))


def test_a_device_may_not_be_wider_than_its_profile() -> None:
    profile = edited(room.profile(), put(limits=[{**LIMIT, "maximum": 600}]))
    device = edited(room.device(), put(limits=[{**LIMIT, "maximum": 700}]))
    assert faults(profile) == []
    assert faults(profile, device) == [("WiderThanDevice", "spec.limits[setAirflow,value].maximum")]


def test_devices_that_are_written_alike_share_what_is_made_and_keep_their_names() -> None:
    known = engine_rig.assign(room.device(name="room-302"))
    first, second = known.devices
    left, right = (policy.compile(known.policies[0], device) for device in (first, second))
    assert left.identity["device"]["name"] != right.identity["device"]["name"]
    assert left.inputs is right.inputs
    assert left.after is right.after
    assert left.inference is right.inference


@pytest.mark.parametrize("written", ["-0.0", "0.0", "1.0"])
def test_a_bound_is_each_device_s_own_to_the_sign_of_zero(written: str) -> None:
    profile = room.profile()
    profile["spec"]["properties"][0]["minimum"] = written
    known = engine_rig.assign(profile)
    made = policy.compile(known.policies[0], known.devices[0])
    assert repr(next(source.minimum for source in made.inputs if source.name == "co2")) == written
