"""What a person is told of a decision: why, how close, what else would have done it."""

import json
from typing import Any

import pytest

from builders import engine_rig, plug, room
from foreshore_agent.engine import effects
from foreshore_agent.engine import events as agent_events
from foreshore_api import printable
from foreshore_api.reasons import cap, inference, telemetry
from foreshore_api.wire import record
from foreshore_decision import explain


def events(*documents: room.Json, score: float = 0.93, **sample: float) -> list[str]:
    """What an engine journals of one sample."""
    rig = engine_rig.Rig(documents, score=score)
    rig.sample(**(sample or engine_rig.OCCUPIED))
    return [json.dumps(each) for each in rig.records]


def told(*documents: room.Json, **arguments: Any) -> str:
    return "\n".join(explain.lines(explain.of_events(events(*documents, **arguments))))


def test_a_command_is_told_with_its_reason_its_inputs_its_model_and_what_came_of_it() -> None:
    text = told()
    for part in (
        "Commanded: RoomOccupied",
        "hq/room-301",
        "co2 = 900 [ppm]",
        "occupancy occupancy-v1: score = 0.93",
        "wanted    setAirflow value = 300",
        "+ Rule",
        "close call: Rule/occupied had 0.13 to spare: score >= 0.8",
        "afterwards: Acknowledged",
        "(Accepted: The device takes the command)",
    ):
        assert part in text


def test_a_rule_that_missed_says_by_how_much() -> None:
    text = told(room.changed(room.policy(), spec__record={"routineSampleRate": "1"}), score=0.75)
    assert "NotTriggered: NoRulePermits" in text
    assert "it would have gone on with occupied true: score >= 0.8 (it missed by 0.05)" in text
    assert "nothing was commanded" in text


def test_a_value_refused_at_the_door_says_why_and_what_helps() -> None:
    rig = engine_rig.Rig()
    rest = {name: value for name, value in engine_rig.OCCUPIED.items() if name != "co2"}
    rig.feed(
        agent_events.Sample, device=engine_rig.DEVICE, values=rest, refused={"co2": "WrongType"}
    )
    text = "\n".join(explain.lines(explain.of_events([json.dumps(event) for event in rig.records])))
    assert "the newest value of co2 was refused: WrongType" in text
    row = telemetry.WRONG_TYPE
    assert f"InputRefused (WrongType: {row.meaning.rstrip('.')}; remedy: {row.remedy})" in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"spec__mode": "Shadow"}, "mode Advise or Autonomous"),
        ({"spec__mode": "Disabled"}, "another mode than Disabled"),
        (
            {"spec__action__limits": [{"input": "value", "maximum": 200}]},
            "a value of value from 0 to 200",
        ),
        (
            {
                "spec__rules": [
                    {
                        "name": "busy",
                        "effect": "Forbid",
                        "expression": "score >= 0.8",
                        "reason": "TooBusy",
                    }
                ]
            },
            "busy false: score >= 0.8 (it missed by 0.13)",
        ),
    ],
    ids=["shadow", "disabled", "limits", "a forbid with the author's own reason"],
)
def test_what_would_have_changed_it(changes: dict[str, Any], expected: str) -> None:
    text = told(room.changed(room.policy(), **changes))
    assert f"it would have gone on with {expected}" in text


def test_a_forbid_whose_author_took_the_code_of_another_gate_is_told_as_a_forbid() -> None:
    rule = {"name": "busy", "effect": "Forbid", "expression": "score >= 0.8", "reason": "Disabled"}
    text = told(room.changed(room.policy(), spec__rules=[rule]))
    assert "Denied: Disabled" in text
    assert "it would have gone on with busy false: score >= 0.8" in text


def test_what_caps_the_mode_is_told_with_how_to_lift_it() -> None:
    rig = engine_rig.Rig((plug.profile(), plug.device(), plug.policy(spec__hazard="Medium")))
    rig.sample(on=False, power=200.0)
    text = "\n".join(explain.lines(explain.of_events(map(json.dumps, rig.records))))
    assert "mode Advise instead of Autonomous (Unfenced)" in text
    assert f"capped by Unfenced: {cap.UNFENCED.meaning.rstrip('.')}" in text
    assert f"remedy: {cap.UNFENCED.remedy}" in text


def test_a_command_that_nobody_answered_says_what_that_means_and_what_to_look_at() -> None:
    bodies = [json.loads(body) for body in events()]
    outcome = next(event for event in bodies if event["type"] == record.OUTCOME)
    outcome["data"] |= {"outcome": "Unknown", "reason": "NoAcknowledgement", "message": ""}
    text = "\n".join(explain.lines(explain.of_events(map(json.dumps, bodies))))
    assert "afterwards: Unknown" in text
    assert "(NoAcknowledgement: The device did not answer within" in text
    assert "mqtt.acknowledgementTopic" in text


def test_what_the_record_says_of_an_outcome_stands_behind_its_code() -> None:
    bodies = [json.loads(body) for body in events()]
    outcome = next(event for event in bodies if event["type"] == record.OUTCOME)
    message = "the device refused the command; its reason is ValveStuck"
    outcome["data"] |= {"outcome": "Rejected", "reason": "ValveStuck", "message": message}
    text = "\n".join(explain.lines(explain.of_events(map(json.dumps, bodies))))
    assert f"(ValveStuck: {message})" in text


def test_a_devices_own_reason_is_told_as_it_is() -> None:
    bodies = [json.loads(body) for body in events()]
    outcome = next(event for event in bodies if event["type"] == record.OUTCOME)
    outcome["data"] |= {"outcome": "Rejected", "reason": "ValveStuck", "message": ""}
    text = "\n".join(explain.lines(explain.of_events(map(json.dumps, bodies))))
    assert "(ValveStuck)" in text


def test_samples_that_newer_ones_replaced_are_told_with_why_and_what_helps() -> None:
    rig = engine_rig.Rig()
    unread = ((telemetry.NEWER_ON_TOPIC, 3400),)
    rig.feed(
        agent_events.Sample,
        device=engine_rig.DEVICE,
        values=engine_rig.OCCUPIED,
        replaced=unread,
    )
    text = "\n".join(explain.lines(explain.of_events(map(json.dumps, rig.records))))
    assert "3,400 samples since the record before were not decided on" in text
    assert "3,400 NewerOnTopic: A newer message" in text
    assert f"remedy: {telemetry.NEWER_ON_TOPIC.remedy}" in text


def test_the_structured_form_is_plain_data() -> None:
    found = explain.document(explain.of_events(events()))
    assert json.loads(json.dumps(found))["verdict"] == "Commanded"


def test_an_object_of_the_api_is_told_like_the_journal() -> None:
    bodies = [json.loads(each) for each in events()]
    decision = next(each for each in bodies if each["type"] == record.DECISION)
    later = [each for each in bodies if each["type"] == record.OUTCOME]
    found = explain.of_object(
        {
            "decision": decision["data"],
            "event": {"time": decision["time"]},
            "outcomes": [{"time": each["time"], **each["data"]} for each in later],
        }
    )
    assert found == explain.of_events(events())


def test_without_an_id_the_last_decision_is_told_and_an_unknown_one_is_an_error() -> None:
    bodies = events()
    last = explain.of_events(bodies)
    assert explain.of_events(bodies, last.decision_id) == last
    with pytest.raises(explain.UnknownDecisionError):
        explain.of_events(bodies, "nothing")
    with pytest.raises(explain.UnknownDecisionError):
        explain.of_events(["", "{}"])


def test_a_replica_of_another_version_is_named_with_what_it_answered_as() -> None:
    other = record.RecordedModel(
        name="occupancy", version="occupancy-v0", digest="sha256:" + "cd" * 32
    )
    attempt = record.Attempt(
        slot="r0", node="edge-2", result="Unused", reason="OtherVersion", answered=other
    )
    rig = engine_rig.Rig(hold=(effects.Infer,))
    rig.sample()
    rig.feed(
        agent_events.InferenceFailed,
        decision_id=rig.waiting[0].decision_id,  # type: ignore[union-attr]
        reason="OtherVersion",
        attempts=(attempt,),
    )
    bodies = [json.dumps(each) for each in rig.records]
    text = "\n".join(explain.lines(explain.of_events(bodies)))
    for part in (
        "Error: OtherVersion (no replica answers as occupancy-v1, which is in force)",
        "asked r0 on edge-2: Unused (OtherVersion: occupancy-v0 (sha256:cdcdcdcdcdcd))",
        "it would have gone on with a replica that answers as occupancy-v1",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (inference.UNKNOWN_CATEGORY, f"remedy: {inference.UNKNOWN_CATEGORY.remedy})"),
        (inference.OUTPUT_MISSING, "Failed (OutputMissing)"),
        ("Status418", "Failed (Status418)"),
    ],
    ids=["with a remedy", "of a gate", "of a server of others"],
)
def test_why_a_replica_gave_no_answer_is_told_with_what_helps(reason: str, words: str) -> None:
    rig = engine_rig.Rig(hold=(effects.Infer,))
    rig.sample()
    rig.feed(
        agent_events.InferenceFailed,
        decision_id=rig.waiting[0].decision_id,  # type: ignore[union-attr]
        reason=str(reason),
        attempts=(record.Attempt(slot="r0", node="edge-2", result="Failed", reason=str(reason)),),
    )
    text = "\n".join(explain.lines(explain.of_events(map(json.dumps, rig.records))))
    assert f"the model gave no answer ({reason})" in text
    assert words in text
    assert "{" not in text


def test_what_a_device_or_an_author_wrote_steers_no_terminal() -> None:
    rig = engine_rig.Rig(acknowledges=False)
    rig.sample()
    rig.acknowledge(rig.sent[0][1].command_id, "Rejected", "\x1b[2J\x9b31m\u202e bad\nline")
    lines = explain.lines(explain.of_events([json.dumps(each) for each in rig.records]))
    assert any("Rejected" in each for each in lines)
    assert all(printable.is_fit(each) for line in lines for each in line)


def plugged(**sample: Any) -> str:
    rig = engine_rig.Rig(plug.documents(), acknowledges=False)
    rig.sample(**{"power": 200.0, **sample})
    rig.seconds += 0.1
    rig.sample(on=True)
    return "\n".join(explain.lines(explain.of_events(json.dumps(each) for each in rig.records)))


def test_what_no_fence_means_stands_with_every_decision() -> None:
    text = plugged(on=False)
    assert "fence     None: two agents may overlap" in text
    assert "afterwards: Confirmed" in text
    assert "(EchoNear: reported as commanded: on is true, commanded was true)" in text
    assert "fence     Device: it refuses a lower epoch" in told()
    nobody = room.changed(room.profile(), spec__guards=None)
    capped = told(nobody)
    assert "\nfence " not in capped
    assert "mode Advise instead of Autonomous (GuardsUnchecked)" in capped


def test_what_was_not_sent_because_it_is_so_already_says_so() -> None:
    text = plugged(on=True)
    assert "Commanded: Load" in text
    assert "AlreadyEqual: nothing was sent, the device reports it already: on is true" in text
