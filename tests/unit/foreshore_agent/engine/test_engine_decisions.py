"""From samples to commands: what decides, what waits, what is refused."""

import math
from datetime import timedelta

import pytest

from builders import engine_rig, room
from builders.engine_rig import OCCUPIED, Rig
from foreshore_agent.engine import effects, events
from foreshore_api.wire import record


def policy(**changes: object) -> room.Json:
    return room.changed(room.policy(), **changes)


def test_an_occupied_room_is_ventilated_recorded_and_acknowledged() -> None:
    rig = Rig()
    rig.sample()
    assert rig.verdicts == [("Commanded", "RoomOccupied")]
    assert rig.sent[0][1].input == {"value": 300.0}
    assert rig.outcomes == [("Acknowledged", "Accepted")]


def test_what_a_call_waited_is_observed_with_the_stage_that_it_is_a_part_of() -> None:
    rig = Rig()
    rig.sample()
    queued = {
        effect.stage: effect.queued for effect in rig.seen if isinstance(effect, effects.Observe)
    }
    assert queued.pop("Inference") == 0.0002
    assert set(queued.values()) == {None}


def test_nothing_is_commanded_before_its_intent_is_durable() -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    assert rig.sent == []
    rig.release()
    assert len(rig.sent) == 1


def test_an_intent_that_could_not_be_written_commands_nothing_and_costs_no_token() -> None:
    rig = Rig((policy(spec__rateLimit={"minimumInterval": "1h"}),), hold=(effects.AppendRecords,))
    rig.sample()
    journals = [each for each in rig.waiting if isinstance(each, effects.AppendRecords)]
    intent = next(each for each in journals if each.intent is not None)
    rig.waiting.clear()
    rig.hold = ()
    assert intent.intent is not None
    rig.feed(events.IntentFailed, decision_id=intent.intent.decision_id, reason="DiskFull")
    assert rig.sent == []
    assert rig.verdicts == [("Error", "RecorderFull")]
    assert "DiskFull" in rig.decisions[-1]["verdict"]["message"]
    rig.sample()
    assert len(rig.sent) == 1


def test_a_full_recorder_caps_the_mode_at_advise_and_says_so() -> None:
    rig = Rig()
    rig.feed(events.RecorderChanged, full=True, reason="DiskFull")
    rig.sample()
    assert rig.sent == []
    assert rig.verdicts == [("Advised", "AdviseMode")]
    assert rig.decisions[-1]["policy"]["cappedBy"] == ["RecorderFull"]
    assert "RecorderFull" in rig.notices
    rig.feed(events.RecorderChanged, full=False)
    assert "RecorderWorks" in rig.notices
    rig.sample()
    assert len(rig.sent) == 1


def test_a_recorder_that_was_full_for_longer_than_a_lifetime_sends_nothing_late() -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    rig.wait(5.1)
    rig.hold = ()
    rig.release()
    assert rig.sent == []
    assert ("NotSent", "TooLate") in rig.outcomes


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_never_commands(poison: float) -> None:
    rig = Rig()
    rig.sample(**{**OCCUPIED, "light": poison})
    assert rig.sent == []
    assert rig.verdicts == [("NotApplicable", "InputRefused")]


def test_a_refused_value_makes_the_value_before_it_invalid() -> None:
    rig = Rig()
    rig.sample(**{**OCCUPIED, "co2": 900.0})
    values = {name: value for name, value in OCCUPIED.items() if name != "light"}
    rig.feed(events.Sample, device=engine_rig.DEVICE, values=values, refused={"light": "NonFinite"})
    assert rig.verdicts[-1] == ("NotApplicable", "InputRefused")


def test_an_output_that_is_not_finite_is_an_error() -> None:
    rig = Rig(score=math.nan)
    rig.sample()
    assert rig.verdicts == [("Error", "OutputNotFinite")]


def test_an_answer_without_the_output_is_an_error() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    decision = rig.waiting[0]
    assert isinstance(decision, effects.Infer)
    rig.feed(events.Inferred, decision_id=decision.decision_id, outputs={"other": (1.0,)})
    assert rig.verdicts == [("Error", "OutputMissing")]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(events.InferenceLate, "InferenceLate"), (events.InferenceFailed, "InferenceFailed")],
)
def test_a_model_that_does_not_answer_decides_nothing(kind: type, reason: str) -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    asked = rig.waiting[0]
    assert isinstance(asked, effects.Infer)
    attempt = record.Attempt(slot="a0", node="edge-2", result="Late")
    rig.feed(kind, decision_id=asked.decision_id, reason="Deadline", attempts=(attempt,))
    assert rig.verdicts == [("Error", reason)]
    assert rig.decisions[0]["inference"]["attempts"][0]["node"] == "edge-2"


def test_rules_decide_alone_where_the_policy_says_so() -> None:
    alone = policy(
        spec__inference={"onError": "RuleOnly", "outputs": []},
        spec__rules=[{"name": "stuffy", "expression": "co2 > 800.0", "reason": "Stuffy"}],
    )
    rig = Rig((alone,), hold=(effects.Infer,))
    rig.sample()
    asked = rig.waiting[0]
    assert isinstance(asked, effects.Infer)
    rig.feed(events.InferenceFailed, decision_id=asked.decision_id, reason="NoEndpoint")
    assert rig.verdicts == [("Commanded", "Stuffy")]


def test_an_answer_that_comes_twice_decides_once() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    asked = rig.waiting[0]
    rig.release()
    rig.carry(asked)
    assert len(rig.sent) == 1


def test_inputs_that_grow_stale_while_the_model_is_asked_decide_nothing() -> None:
    short = room.changed(room.policy())
    short["spec"]["inputs"][0]["maximumAge"] = "1s"
    rig = Rig((short,), hold=(effects.Infer,))
    rig.sample()
    rig.seconds += 1.5
    rig.release()
    assert rig.verdicts == [("Error", "InputExpired")]
    assert "light outlived its maximumAge 1 s while the model" in str(rig.records)


def test_one_decision_at_a_time_and_the_newest_sample_next() -> None:
    rig = Rig(hold=(effects.Infer,))
    for co2 in (900.0, 901.0, 902.0, 1500.0):
        rig.sample(**{**OCCUPIED, "co2": co2})
    assert len(rig.waiting) == 1
    rig.release()
    assert len(rig.waiting) == 1
    rig.release()
    assert rig.waiting == []
    assert [each[1].input["value"] for each in rig.sent] == [300.0, 600.0]


def test_samples_within_the_interval_are_coalesced_to_the_newest() -> None:
    rig = Rig((policy(spec__trigger={"properties": ["co2"], "minimumInterval": "10s"}),))
    rig.sample()
    rig.sample(**{**OCCUPIED, "co2": 901.0})
    rig.sample(**{**OCCUPIED, "co2": 1500.0})
    assert len(rig.sent) == 1
    rig.wait(9)
    assert len(rig.sent) == 1
    rig.wait(2)
    assert [each[1].input["value"] for each in rig.sent] == [300.0, 600.0]


def test_the_interval_that_a_sample_waits_for_is_no_latency() -> None:
    rig = Rig((policy(spec__trigger={"properties": ["co2"], "minimumInterval": "10s"}),))
    rig.sample()
    rig.sample(**{**OCCUPIED, "co2": 901.0})
    rig.wait(10.2, period=0.4)
    assert len(rig.sent) == 2
    assert all(each.seconds <= 0.4 for each in rig.seen if isinstance(each, effects.Observe))


def test_a_silent_device_is_evaluated_after_silence() -> None:
    rig = Rig((policy(spec__trigger={"properties": ["co2"], "afterSilence": "30s"}),))
    rig.sample()
    rig.wait(29)
    assert len(rig.decisions) == 1
    rig.wait(2)
    assert rig.decisions[-1]["trigger"]["kind"] == "Silence"


def test_silence_over_a_stale_input_does_not_act() -> None:
    rig = Rig((policy(spec__trigger={"properties": ["co2"], "afterSilence": "100s"}),))
    rig.sample()
    rig.wait(101)
    assert rig.verdicts[-1] == ("NotApplicable", "InputStale")
    assert len(rig.sent) == 1


def test_a_property_that_triggers_nothing_evaluates_nothing() -> None:
    rig = Rig()
    rig.sample(light=400.0)
    assert rig.counted == []


def test_a_question_that_nobody_answers_does_not_stop_the_policy() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    rig.waiting.clear()
    rig.hold = ()
    rig.wait(6)
    assert rig.verdicts == [("Error", "InferenceLate")]
    rig.sample()
    assert len(rig.sent) == 1


def test_a_locked_device_is_only_listened_to() -> None:
    rig = Rig((room.changed(room.device(), spec__lock="Locked"),))
    rig.sample()
    assert rig.verdicts == [("NotTriggered", "DeviceLocked")]


def test_a_lock_that_comes_while_the_model_is_asked_still_locks() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    rig.assign(room.changed(room.device(), spec__lock="Locked"))
    rig.release()
    assert rig.sent == []


def test_a_lock_that_comes_before_the_intent_is_durable_still_locks() -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    rig.hold = ()
    waiting, rig.waiting = rig.waiting, []
    rig.assign(room.changed(room.device(), spec__lock="Locked"))
    rig.waiting = waiting
    rig.release()
    assert rig.sent == []
    assert any(reason == "DeviceLocked" for _, reason in rig.outcomes)


@pytest.mark.parametrize(
    ("mode", "verdict", "advised"), [("Shadow", "Shadowed", 0), ("Advise", "Advised", 1)]
)
def test_below_supervised_nothing_is_touched(mode: str, verdict: str, advised: int) -> None:
    advising = room.profile()
    advising["spec"]["mqtt"]["adviceTopic"] = "{site}/{device}/advice"
    limited = policy(spec__mode=mode, spec__rateLimit={"minimumInterval": "60s"})
    rig = Rig((advising, limited))
    before = rig.state.devices[engine_rig.DEVICE]
    rig.sample()
    rig.sample()
    assert rig.counted == [(verdict, f"{mode}Mode"), ("Suppressed", "MinimumInterval")]
    after = rig.state.devices[engine_rig.DEVICE]
    assert rig.sent == []
    assert after.actuators == before.actuators
    assert after.policy_logs == before.policy_logs
    assert sum(isinstance(each, effects.Advise) for each in rig.seen) == advised


def test_advice_says_what_would_be_commanded_and_why() -> None:
    rig = Rig((policy(spec__mode="Advise"),))
    rig.sample()
    [advice] = [each for each in rig.seen if isinstance(each, effects.Advise)]
    assert (advice.policy, advice.device) == (engine_rig.POLICY, engine_rig.DEVICE)
    assert (advice.action, advice.values) == ("setAirflow", {"value": 300.0})
    assert (advice.reason, advice.decision_id) == ("RoomOccupied", rig.decisions[0]["decisionId"])


@pytest.mark.parametrize("guard", ["epoch", "duplicates"])
def test_a_device_that_does_not_check_is_only_advised(guard: str) -> None:
    profile = room.profile()
    profile["spec"]["guards"][guard] = "Ignored"
    rig = Rig((profile,))
    rig.sample()
    assert rig.verdicts == [("Advised", "AdviseMode")]
    assert rig.decisions[0]["policy"]["cappedBy"] == ["GuardsUnchecked"]


def test_a_device_that_does_not_answer_is_only_advised() -> None:
    profile = room.profile()
    del profile["spec"]["mqtt"]["acknowledgementTopic"]
    rig = Rig((profile,))
    rig.sample()
    assert rig.decisions[0]["policy"]["cappedBy"] == ["AcknowledgementMissing"]


def test_a_disabled_policy_is_not_evaluated_further_than_arm() -> None:
    rig = Rig((policy(spec__mode="Disabled"),))
    rig.sample()
    assert rig.verdicts == [("NotTriggered", "Disabled")]


def test_a_wall_clock_that_jumps_changes_no_verdict() -> None:
    steady, jumping = (Rig((policy(spec__rateLimit={"minimumInterval": "20s"}),)) for _ in "ab")
    for index, skew in enumerate((0, -315_360_000, 315_360_000, -3600, 7)):
        jumping.skew = timedelta(seconds=skew)
        for rig in (steady, jumping):
            rig.sample(**{**OCCUPIED, "co2": 900.0 + index})
            rig.wait(12)
    assert jumping.counted == steady.counted
    assert ("Suppressed", "MinimumInterval") in steady.counted


def test_routine_decisions_are_sampled_and_changes_always_recorded() -> None:
    rig = Rig((policy(spec__record={"routineSampleRate": "0.1"}),), score=0.1)
    for index in range(300):
        rig.sample(**{**OCCUPIED, "co2": 500.0 + index})
    assert len(rig.counted) == 300
    assert 10 <= len(rig.decisions) <= 60
    assert "sampledrate" not in rig.records[-len(rig.decisions)]
    assert rig.records[-1]["sampledrate"] == 10
    rig.score = 0.9
    rig.sample()
    rig.score = 0.1
    before = len(rig.decisions)
    rig.sample(**{**OCCUPIED, "co2": 1.0})
    assert len(rig.decisions) == before + 1


def test_every_record_validates_as_the_wire_documents_it() -> None:
    forbid = {"name": "cold", "effect": "Forbid", "expression": "temperature < 0.0", "reason": "C"}
    profile = room.profile()
    profile["spec"]["confirmation"] = {
        "property": "airflow",
        "expression": "difference <= 5.0",
        "timeout": "10s",
    }
    limited = policy(
        spec__rateLimit={"minimumInterval": "1s", "burst": 2, "per": "1m"},
        spec__variables=[{"name": "excess", "expression": "co2 - 400.0"}],
        spec__parameters=[{"name": "setpoint", "default": "1.5"}],
        spec__rules=[*room.policy()["spec"]["rules"], forbid],
        spec__record={"routineSampleRate": "1"},
    )
    rig = Rig((profile, limited))
    rig.sample()
    rig.sample(**{**OCCUPIED, "temperature": -5.0})
    rig.sample(**{**OCCUPIED, "light": math.nan})
    rig.wait(20)
    rig.sample(**{**OCCUPIED, "co2": 99999.0})
    rig.score = 0.2
    rig.sample(**{**OCCUPIED, "co2": 500.0})
    results = set()
    for each in rig.records:
        event = record.Event.model_validate(each, extra="forbid")
        results.add(type(event.data))
        assert event.encode() == record.Event.decode(event.encode()).encode()
    assert results == {record.Decision, record.DecisionOutcome, record.RecordedNotice}
    assert {verdict for verdict, _ in rig.counted} >= {
        "Commanded",
        "Denied",
        "NotApplicable",
        "NotTriggered",
    }


def test_latency_stages_are_observed_where_they_are_known() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    rig.seconds += 0.25
    rig.acknowledge(rig.sent[0][1].command_id)
    stages = {
        each.stage: (each.seconds, each.node)
        for each in rig.seen
        if isinstance(each, effects.Observe)
    }
    assert stages["Network"] == (0.002, "edge-2")
    assert stages["Inference"] == (0.001, "edge-2")
    assert stages["Actuate"][0] == pytest.approx(0.25)
    assert stages["EndToEnd"][0] == pytest.approx(0.25)
    assert stages["Decide"][0] >= 0


def test_a_model_in_the_agents_own_process_has_no_stage_of_a_network() -> None:
    rig = Rig(network=0.0)
    rig.sample()
    stages = {each.stage for each in rig.seen if isinstance(each, effects.Observe)}
    assert "Inference" in stages
    assert "Network" not in stages, "it would stand for calls of pods on that node"
    assert "Network" not in rig.decisions[-1]["latency"]


@pytest.mark.parametrize(
    ("data_type", "light", "body"),
    [
        ("INT64", 1e300, None),
        ("INT64", 2.0**63, None),
        ("INT64", -(2.0**63), -(2**63)),
        ("UINT64", 2.0**63, 2**63),
        ("UINT8", -1.0, None),
        ("INT8", 128.0, None),
        ("FP32", 1e300, None),
        ("FP64", 1e300, 1e300),
    ],
)
def test_a_feature_beyond_the_tensors_type_is_not_asked_and_ends_nothing(
    data_type: str, light: float, body: object
) -> None:
    model, unbounded = room.model(), room.profile()
    tensor = model["spec"]["inputs"][0]
    rest = {**tensor, "name": "rest", "features": ["co2", "temperature"], "shape": [-1, 2]}
    one = {**tensor, "dataType": data_type, "features": ["light"], "shape": [-1, 1]}
    model["spec"]["inputs"] = [one, rest]
    del unbounded["spec"]["properties"][1]["maximum"]
    del unbounded["spec"]["properties"][1]["minimum"]
    rig = Rig((model, unbounded))
    rig.sample(**{**OCCUPIED, "light": light})
    asked = [each.tensors for each in rig.seen if isinstance(each, effects.Infer)]
    if body is None:
        assert asked == []
        assert rig.verdicts == [("Error", "InferenceFailed")]
        assert "FeatureOutOfRange" in str(rig.decisions[0])
    else:
        assert asked[0][0].data == (body,)


def test_a_holder_without_its_right_does_not_flood_the_critical_records() -> None:
    rig = Rig(renews=False)
    for _ in range(200):
        rig.sample()
    written = [
        line
        for each in rig.seen
        if isinstance(each, effects.AppendRecords)
        for line in each.records
        if line.verdict == "Denied"
    ]
    assert [line.critical for line in written].count(True) == 1
    assert written[0].critical
    assert len(written) < 100
    assert rig.counted == [("Denied", "AuthorityLapsed")] * 200


def test_a_denial_by_a_rule_is_critical_however_often_it_comes() -> None:
    document = room.policy()
    forbid = {"name": "no", "effect": "Forbid", "expression": "light > 0.0", "reason": "Light"}
    document["spec"]["rules"].append(forbid)
    rig = Rig((document,))
    for _ in range(3):
        rig.sample()
    assert rig.verdicts == [("Denied", "Light")] * 3
