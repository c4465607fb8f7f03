"""Devices told in their own dialect: what compiles, what is refused, how far it goes."""

from typing import Any

import pytest

from builders import engine_rig, plug, room
from foreshore_api import conditions, v1alpha1
from foreshore_api.reasons import cap
from foreshore_api.v1alpha1.commanding import AcknowledgementKind
from foreshore_decision import expr, policy
from foreshore_decision.policy import compiled as parts
from foreshore_decision.policy import templates
from foreshore_decision.policy.problems import Problems

Reason = conditions.Reason
OWN = {"topic": "Fan Plug"}


def profile(**paths: Any) -> v1alpha1.DeviceProfileSpec:
    document = plug.profile(**paths)
    return v1alpha1.DeviceProfile.read(document).spec


def action(**changes: Any) -> list[room.Json]:
    [declared] = plug.profile()["spec"]["actions"]
    return [{**declared, **changes}]


def problems_of(
    given: v1alpha1.DeviceProfileSpec, parameters: dict[str, str] | None = None
) -> list[tuple[str, str]]:
    problems = Problems()
    templates.check(given, OWN if parameters is None else parameters, problems)
    return [(problem.path, problem.message) for problem in problems.noted]


def compiled(*documents: room.Json) -> policy.CompiledPolicy:
    assigned = engine_rig.assign(*documents)
    return policy.compile(assigned.policies[0], assigned.devices[0])


def told(expression: str, **changes: Any) -> list[room.Json]:
    return action(mqtt={**plug.TOLD, "expression": expression, **changes})


def test_an_action_becomes_a_message_of_its_inputs_and_parameters() -> None:
    source = '{"state": value ? "ON" : "OFF", "of": parameters.topic}'
    given = profile(spec__actions=told(source))
    message, how = templates.compile_action(given, given.actions[0], OWN, Problems())
    assert message is not None
    assert message.document({"value": True}) == {"state": "ON", "of": "Fan Plug"}
    assert how.kind is AcknowledgementKind.ECHO
    assert how.echo == parts.CompiledEcho("on", "value", 3.0)
    assert problems_of(given) == []


def test_a_profile_may_name_parameters_that_its_devices_have() -> None:
    given = profile(spec__actions=told('{"of": parameters.other}'))
    problems = Problems()
    templates.check(given, None, problems)
    assert problems.noted == []
    [(path, message)] = problems_of(given)
    assert path == "spec.actions[switch].mqtt.expression"
    assert "no parameter other" in message


@pytest.mark.parametrize(
    ("actions", "path", "why"),
    [
        (told("{"), ".mqtt.expression", "Syntax error"),
        (told("power"), ".mqtt.expression", "undeclared reference"),
        (told("[value]", payload="Text"), ".mqtt.expression", "use payload JSON"),
        (
            action(acknowledgement={**plug.ECHO, "echo": {"property": "on", "within": "1s"}}),
            ".acknowledgement.echo.within",
            "not longer than the settling time of on, 2 s",
        ),
        (
            action(acknowledgement={"type": "Echo", "echo": {"property": "x", "within": "9s"}}),
            ".acknowledgement.echo.property",
            "no input of switch sets a property x",
        ),
        (
            action(
                acknowledgement={
                    **plug.REPLY,
                    "reply": {**plug.REPLY["reply"], "match": "reply"},
                }
            ),
            ".acknowledgement.reply.match",
            "BOOL is wanted",
        ),
        (
            action(
                acknowledgement=plug.REPLY,
                input=[{"name": "reply", "property": "on", "type": "Boolean"}],
                mqtt=None,
            ),
            ".acknowledgement.reply.match",
            "cannot name the answer",
        ),
        (
            action(input=[{"name": "in", "type": "Boolean", "property": "on"}]),
            ".mqtt.expression",
            "reserved word",
        ),
        (
            action(
                acknowledgement=plug.REPLY,
                input=[{"name": "in", "property": "on", "type": "Boolean"}],
                mqtt=None,
            ),
            ".acknowledgement.reply.match",
            "the input in is a reserved word",
        ),
        (
            action(input=[{"name": "value", "property": "on", "type": "String"}], mqtt=None),
            ".acknowledgement.echo.property",
            "on is a Boolean, value is a String",
        ),
    ],
)
def test_what_cannot_be_told_or_known_is_refused_with_its_place(
    actions: list[room.Json], path: str, why: str
) -> None:
    properties = plug.profile()["spec"]["properties"]
    properties[0]["settlingTime"] = "2s"
    document = plug.profile(spec__properties=properties)
    document["spec"]["actions"] = [
        {key: value for key, value in entry.items() if value is not None} for entry in actions
    ]
    document["spec"]["mqtt"]["commandTopic"] = "c"
    given = v1alpha1.DeviceProfileSpec.model_validate(document["spec"])
    [(where, message), *_] = problems_of(given)
    assert where == f"spec.actions[switch]{path}"
    assert why in message


def test_a_device_is_told_once_what_is_wrong_with_its_messages() -> None:
    given = profile(spec__actions=told('{"of": parameters.other}'))
    device = v1alpha1.Device.read(plug.device()).spec
    noted = policy.check_device(given, device, "room-301")
    assert [problem.path for problem in noted] == ["spec.actions[switch].mqtt.expression"]


def test_a_device_that_fences_gets_no_message_of_its_own() -> None:
    for guards in (
        {"epoch": "Checked", "duplicates": "Checked"},
        {"fence": "Device", "epoch": "Checked", "duplicates": "Checked"},
    ):
        [(path, message)] = problems_of(profile(spec__guards=guards))
        assert path == "spec.actions[switch].mqtt"
        assert "carries neither epoch nor command id" in message


def test_a_policy_whose_action_does_not_compile_says_whose_fault_it_is() -> None:
    given = plug.profile(spec__actions=told('{"state": nowhere}'))
    with pytest.raises(policy.PolicyError) as error:
        compiled(given, plug.device(), plug.policy())
    assert error.value.problems[0].path == "profile spec.actions[switch].mqtt.expression"


def test_an_echo_and_a_confirmation_of_the_device_exclude_each_other() -> None:
    confirmation = {"property": "power", "expression": "difference < 1.0", "timeout": "9s"}
    narrowed = plug.device(spec__confirmation=confirmation)
    with pytest.raises(policy.PolicyError, match="an echo confirms already"):
        compiled(plug.profile(), narrowed, plug.policy())


def test_what_nothing_tells_of_is_not_read_back() -> None:
    rule = {"property": "power", "expression": "difference <= 5", "timeout": "9s"}
    sets = [{"name": "value", "property": "power", "type": "Number"}]
    shown = told("value")[0]
    actions = [{**shown, "input": sets, "acknowledgement": plug.NONE}]
    properties = plug.profile()["spec"]["properties"]
    properties[1]["access"] = "ReadWrite"
    given = {"spec__actions": actions, "spec__properties": properties}
    assert problems_of(profile(**given)) == []
    [(path, message)] = problems_of(profile(**given, spec__confirmation=rule))
    assert path == "spec.actions[switch].acknowledgement.type"
    assert "use Echo, or leave confirmation out" in message


def test_messages_and_matches_are_timed_like_every_expression() -> None:
    slow = "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, a * b > 0))"
    given = profile(spec__actions=told(f'{{"state": {slow}}}'))
    spec = v1alpha1.DecisionPolicy.read(plug.policy()).spec
    ticks = iter(range(10_000))
    problems = policy.check(spec, given, clock=lambda: next(ticks) * 1.0)
    assert "profile spec.actions[switch].mqtt.expression" in {each.path for each in problems}


GUARDS: dict[str, room.Json] = {
    "device": {"epoch": "Checked", "duplicates": "Checked"},
    "none": {"fence": "None"},
    "nobody": {},
    "half": {"epoch": "Checked"},
}
ENVELOPE = {"commandTopic": "c", "acknowledgementTopic": "a", "telemetryTopic": "t"}


@pytest.mark.parametrize(
    ("guards", "hazard", "how", "caps"),
    [
        ("device", "Low", None, ()),
        ("device", "Medium", None, ()),
        ("nobody", "Low", None, (cap.GUARDS_UNCHECKED,)),
        ("half", "Low", None, (cap.GUARDS_UNCHECKED,)),
        ("none", "Low", None, ()),
        ("none", "Medium", None, (cap.UNFENCED,)),
        ("none", "Low", plug.ECHO, ()),
        ("none", "Low", plug.REPLY, ()),
        ("none", "Low", plug.NONE, ()),
        ("device", "Medium", plug.NONE, (cap.ACKNOWLEDGEMENT_MISSING,)),
        ("none", "Medium", plug.NONE, (cap.UNFENCED, cap.ACKNOWLEDGEMENT_MISSING)),
        ("nobody", "Low", plug.ECHO, (cap.GUARDS_UNCHECKED,)),
    ],
)
def test_how_far_a_policy_may_go(
    guards: str, hazard: str, how: room.Json | None, caps: tuple[str, ...]
) -> None:
    [declared] = action(acknowledgement=how)
    kept = {key: value for key, value in declared.items() if key != "mqtt" and value is not None}
    given = profile(spec__actions=[kept], spec__guards=GUARDS[guards], spec__mqtt=ENVELOPE)
    spec = v1alpha1.DecisionPolicy.read(plug.policy(spec__hazard=hazard)).spec
    lowered = policy.caps(spec, given)
    assert tuple(each.reason for each in lowered) == caps
    assert {each.mode for each in lowered} <= {v1alpha1.Mode.ADVISE}
    assert all(row.remedy for row in cap.TABLE.values())


@pytest.mark.parametrize("guards", ["device", "none"])
def test_what_is_not_the_same_when_done_twice_is_advice_whoever_fences(guards: str) -> None:
    [pulse] = action(idempotency="NonIdempotent", acknowledgement=None, mqtt=None)
    kept = {key: value for key, value in pulse.items() if value is not None}
    given = profile(spec__actions=[kept], spec__guards=GUARDS[guards], spec__mqtt=ENVELOPE)
    spec = v1alpha1.DecisionPolicy.read(plug.policy()).spec
    assert [made.reason for made in policy.caps(spec, given)] == [cap.NON_IDEMPOTENT]


def test_an_envelope_without_a_place_for_its_answer_advises() -> None:
    [declared] = action()
    kept = {key: declared[key] for key in ("name", "idempotency", "input")}
    given = profile(spec__actions=[kept], spec__mqtt={**ENVELOPE, "acknowledgementTopic": None})
    spec = v1alpha1.DecisionPolicy.read(plug.policy()).spec
    [only] = policy.caps(spec, given)
    assert only.reason == cap.ACKNOWLEDGEMENT_MISSING


def test_a_device_that_ignores_what_its_profile_fences_by_fences_nothing() -> None:
    checked = {"fence": "Device", "epoch": "Checked", "duplicates": "Checked"}
    documents = room.changed(room.profile(), spec__guards=checked)
    assert compiled(documents).caps == ()
    ignoring = room.changed(room.device(), spec__guards={"duplicates": "Ignored"})
    made = compiled(documents, ignoring)
    assert made.fence is None
    assert [lowered.reason for lowered in made.caps] == [cap.GUARDS_UNCHECKED]


def test_a_stored_command_is_a_late_command() -> None:
    stored = action(mqtt={**plug.TOLD, "delivery": "Stored"})
    made = compiled(plug.profile(spec__actions=stored), plug.device(), plug.policy())
    assert [each.reason for each in made.caps] == [cap.STORED_DELIVERY]


def test_who_fences_is_part_of_what_records_name() -> None:
    made = compiled(*plug.documents())
    assert made.identity["device"]["fence"] == "None"
    assert compiled(room.profile()).identity["device"]["fence"] == "Device"
    nobody = room.changed(room.profile(), spec__guards=None)
    assert "fence" not in compiled(nobody).identity["device"]


def test_the_value_of_a_message_is_none_where_a_leaf_has_none() -> None:
    given = profile(spec__actions=told('{"id": int(parameters.topic)}'))
    message, _ = templates.compile_action(given, given.actions[0], OWN, Problems())
    assert message is not None
    assert isinstance(message.document({"value": True}), expr.NoValue)
