"""Devices that answer no command: their own report does, or a reply of theirs, or nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import engine_rig, plug, room
from builders.engine_rig import DEVICE, Rig
from foreshore_agent.engine import effects, events
from foreshore_agent.engine.state import CommandState
from foreshore_api.reasons import telemetry
from foreshore_api.wire import histogram, metrics

LOAD = {"power": 200.0}


def told(acknowledgement: room.Json | None = None, **paths: Any) -> Rig:
    """A rig whose plug has just been told to be on."""
    rig = Rig(plug.documents(acknowledgement, **paths), acknowledges=False)
    rig.sample(on=False, **LOAD)
    assert len(rig.sent) == 1
    rig.seconds += 0.1
    return rig


def reply(rig: Rig, value: events.Value) -> None:
    rig.feed(events.Replied, device=DEVICE, action="switch", value=value)


def held(rig: Rig) -> float:
    """Seconds for which the policy may still not command."""
    until = rig.state.devices[DEVICE].held.get(engine_rig.POLICY, 0.0)
    return max(0.0, until - rig.seconds)


def test_the_devices_own_report_after_sending_confirms_and_ends_the_budget() -> None:
    rig = told()
    rig.sample(on=True)
    assert rig.outcomes == [("Confirmed", "EchoNear")]
    observed = {each.stage: each.seconds for each in rig.seen if isinstance(each, effects.Observe)}
    assert observed[histogram.Stage.ACTUATE] == pytest.approx(0.1)
    assert observed[histogram.Stage.END_TO_END] == pytest.approx(0.1)
    assert "reported as commanded: on is true" in rig.said


def test_another_value_is_no_failure_until_its_time_is_over() -> None:
    rig = told()
    rig.sample(on=False)
    assert rig.outcomes == []
    rig.sample(on=True)
    assert rig.outcomes == [("Confirmed", "EchoNear")]


def test_no_echo_in_time_is_unknown_holds_and_is_read_back() -> None:
    rig = told()
    rig.wait(3.5)
    assert rig.outcomes == [("Unknown", "NoEcho")]
    assert held(rig) == pytest.approx(5.0, abs=0.5)
    rig.sample(on=True)
    assert rig.outcomes[1:] == [("Confirmed", "ReadBackNear")]
    assert held(rig) == 0


DIMMED: room.Json = {
    "name": "switch",
    "idempotency": "Idempotent",
    "input": [
        {"name": "value", "property": "on", "type": "Boolean"},
        {"name": "level", "property": "level", "type": "Number"},
    ],
    "mqtt": plug.TOLD,
}


def dimmed(acknowledgement: room.Json, seconds: float = 0.1) -> Rig:
    """A rig whose lamp was on already, and is told to be on, and brighter: so much later."""
    properties = [
        {"name": "on", "type": "Boolean", "access": "ReadWrite"},
        {"name": "level", "access": "ReadWrite"},
        {"name": "power", "unit": "W"},
    ]
    actions = [{**DIMMED, "acknowledgement": acknowledgement}]
    given = [{"name": "value", "expression": "true"}, {"name": "level", "expression": "50.0"}]
    profile = plug.profile(spec__properties=properties, spec__actions=actions)
    policy = plug.documents(spec__action__input=given)[2]
    held_back = (effects.SendCommand,)
    rig = Rig((profile, plug.device(), policy), hold=held_back, acknowledges=False)
    rig.sample(on=True, level=5.0, **LOAD)
    rig.seconds += seconds
    rig.release()
    return rig


@pytest.mark.parametrize("acknowledgement", [plug.ECHO, plug.REPLY], ids=["Echo", "Reply"])
def test_what_was_reported_before_sending_is_not_read_back(acknowledgement: room.Json) -> None:
    rig = dimmed(acknowledgement)
    rig.wait(3.5)
    level = 5.0 if acknowledgement is plug.ECHO else 50.0
    rig.sample(level=level)
    assert [outcome for outcome, _ in rig.outcomes] == ["Unknown"]
    rig.sample(on=True)
    assert rig.outcomes[1:] == [("Confirmed", "ReadBackNear")]


def test_the_sample_that_was_decided_on_is_no_echo_on_a_clock_that_stands() -> None:
    rig = dimmed(plug.ECHO, seconds=0.0)
    assert rig.outcomes == []


def test_an_echo_that_never_comes_ends_unconfirmed() -> None:
    rig = told()
    rig.wait(3.5)
    rig.sample(on=False)
    rig.wait(6)
    assert rig.outcomes[1:] == [("Unconfirmed", "ReadBackDiffers")]


def test_what_the_broker_had_kept_is_no_echo() -> None:
    """A reading of a retained message says what was, whenever that was."""
    rig = told()
    device = rig.state.devices[DEVICE]
    kept = device.readings["on"]._replace(value=True, received=rig.seconds, is_live=False)
    readings = {**device.readings, "on": kept}
    rig.state = rig.state._replace(
        devices=rig.state.devices.set(DEVICE, device._replace(readings=readings))
    )
    rig.sample(power=1.0)
    rig.wait(3.5)
    rig.sample(power=1.0)
    assert rig.outcomes == [("Unknown", "NoEcho")]


def test_a_report_that_came_before_sending_and_was_read_after_it_is_no_echo() -> None:
    rig = told()
    now, rig.seconds = rig.seconds, rig.seconds - 0.2
    rig.sample(on=True)
    rig.seconds = now
    assert rig.outcomes == []


def test_an_echo_that_overtakes_the_word_that_the_command_left_counts_by_when_it_came() -> None:
    for earlier, outcomes in ((0.0, [("Confirmed", "EchoNear")]), (0.1, [])):
        rig = Rig(plug.documents(), hold=(effects.SendCommand,), acknowledges=False)
        rig.sample(on=False, **LOAD)
        rig.seconds += 1
        rig.sample(on=True)
        assert rig.outcomes == []
        rig.seconds += earlier
        rig.release()
        assert rig.outcomes == outcomes


def test_an_answer_of_the_envelope_means_nothing_to_a_command_with_echo() -> None:
    rig = Rig(plug.documents(), hold=(effects.SendCommand,), acknowledges=False)
    rig.sample(on=False, **LOAD)
    [order] = rig.waiting
    assert isinstance(order, effects.SendCommand)
    rig.seconds += 0.1
    rig.sample(on=True)
    rig.acknowledge(order.command_id)
    assert rig.outcomes == [("Confirmed", "EchoNear")], "it proves that the command has left"
    rig.acknowledge(order.command_id, "Rejected")
    rig.release()
    assert len(rig.outcomes) == 1


def test_a_newer_command_takes_the_place_of_one_that_waits_for_its_echo() -> None:
    free = plug.policy(value="power > 150.0")
    rig = Rig((plug.profile(), plug.device(), free), acknowledges=False)
    rig.sample(on=False, power=200.0)
    rig.seconds += 0.1
    rig.sample(power=120.0)
    assert rig.outcomes == [("Superseded", "NewerCommand")]
    rig.sample(on=False)
    assert rig.outcomes[1:] == [("Confirmed", "EchoNear")]


def test_a_restart_while_an_echo_is_awaited_is_unknown_and_read_back() -> None:
    rig = told()
    rig.boot()
    assert rig.outcomes == [("Unknown", "Restarted")]
    rig.sample(on=True)
    assert rig.outcomes[1:] == [("Confirmed", "ReadBackNear")]
    assert len(rig.sent) == 1


@pytest.mark.parametrize(
    ("reported", "is_near"), [(21.4, True), (21.5, True), (21.6, False), (20.4, False)]
)
def test_a_number_may_differ_by_the_tolerance_of_its_property(
    reported: float, is_near: bool
) -> None:
    profile = plug.profile(
        spec__properties=[
            {"name": "on", "access": "ReadWrite", "tolerance": "0.5"},
            {"name": "power", "unit": "W"},
        ]
    )
    [action] = profile["spec"]["actions"]
    action["input"] = [{"name": "value", "property": "on"}]
    action["mqtt"] = {**plug.TOLD, "expression": '{"level": value}'}
    quiet = plug.policy(value="21.0", spec__rateLimit={"minimumInterval": "1h"})
    rig = Rig((profile, plug.device(), quiet), acknowledges=False)
    rig.sample(on=5.0, **LOAD)
    rig.sample(on=reported)
    assert bool(rig.outcomes) is is_near


# Already equal.


def test_what_is_reported_already_is_confirmed_and_nothing_is_sent() -> None:
    rig = Rig(plug.documents())
    rig.sample(on=True, **LOAD)
    assert rig.sent == []
    assert rig.verdicts == [("Commanded", "Load")]
    assert rig.outcomes == [("Confirmed", "AlreadyEqual")]
    assert "command" not in rig.decisions[0]
    device = rig.state.devices[DEVICE]
    assert not device.open
    assert not device.actuators.get("on")
    assert not device.policy_logs.get(engine_rig.POLICY), "no token is taken"


def test_a_report_that_is_old_or_kept_or_bad_is_told_again() -> None:
    for spoil in ("old", "kept", "bad"):
        rig = Rig(plug.documents(), acknowledges=False)
        rig.sample(on=True)
        device = rig.state.devices[DEVICE]
        reading = device.readings["on"]
        if spoil == "kept":
            reading = reading._replace(is_live=False)
        if spoil == "bad":
            reading = reading._replace(problem="WrongType")
        readings = {**device.readings, "on": reading}
        rig.state = rig.state._replace(
            devices=rig.state.devices.set(DEVICE, device._replace(readings=readings))
        )
        if spoil == "old":
            rig.wait(91, period=5)
        rig.sample(**LOAD)
        assert len(rig.sent) == 1, spoil


def test_nothing_is_already_equal_while_a_command_is_on_its_way() -> None:
    """The report may be of before what was just told takes effect."""
    free = plug.policy(value="power > 150.0")
    rig = Rig((plug.profile(), plug.device(), free), acknowledges=False)
    rig.sample(on=True, power=120.0)
    assert [order.input for _, order in rig.sent] == [{"value": False}]
    rig.sample(on=True, power=200.0)
    assert [order.input for _, order in rig.sent] == [{"value": False}, {"value": True}]


def test_an_input_that_nothing_reports_is_told_again() -> None:
    profile = plug.profile()
    [action] = profile["spec"]["actions"]
    action["input"].append({"name": "seconds"})
    given = plug.policy()["spec"]["action"]
    given["input"].append({"name": "seconds", "expression": "5.0"})
    rig = Rig((profile, plug.device(), plug.policy(spec__action=given)), acknowledges=False)
    rig.sample(on=True, **LOAD)
    assert len(rig.sent) == 1


def test_what_is_equal_a_thousand_times_a_second_floods_no_journal() -> None:
    free = plug.policy(spec__record={"routineSampleRate": "0.01"})
    rig = Rig((plug.profile(), plug.device(), free))
    for _ in range(1000):
        rig.seconds += 0.001
        rig.sample(on=True, **LOAD)
    lines = [
        line
        for each in rig.seen
        if isinstance(each, effects.AppendRecords)
        for line in each.records
        if line.policy
    ]
    assert len(rig.counted) == 1000
    confirmed = [
        each
        for each in rig.seen
        if isinstance(each, effects.Count) and each.metric == metrics.COMMANDS.name
    ]
    assert len(confirmed) == 1000
    assert len(lines) < 100
    assert not any(line.critical or line.reserve for line in lines)
    assert rig.outcomes[0] == ("Confirmed", "AlreadyEqual"), "the first is recorded"


# None.


def test_where_nothing_tells_the_command_is_unacknowledged_and_its_actuator_held() -> None:
    rig = told(plug.NONE)
    assert rig.outcomes == [("Unacknowledged", "NothingTells")]
    assert held(rig) == pytest.approx(4.9)
    rig.wait(6)
    assert not rig.state.devices[DEVICE].held
    assert len(rig.outcomes) == 1
    assert not rig.state.devices[DEVICE].open


def test_a_held_actuator_is_not_commanded_again_by_its_policy() -> None:
    free = (plug.profile(plug.NONE), plug.device(), plug.policy())
    rig = Rig(free, acknowledges=False)
    for _ in range(6):
        rig.sample(on=True, **LOAD)
        rig.wait(1)
    assert len(rig.sent) == 2
    assert ("Suppressed", "ActuatorHeld") in rig.counted


def test_a_broker_that_refuses_it_ends_the_hold() -> None:
    rig = told(plug.NONE)
    rig.feed(events.CommandNotSent, command_id=rig.sent[0][1].command_id, reason="NotAuthorized")
    assert rig.outcomes[1:] == [("NotSent", "NotAuthorized")]
    assert held(rig) == 0


def test_a_restart_holds_anew_without_a_second_word() -> None:
    rig = told(plug.NONE)
    rig.boot()
    assert rig.outcomes == [("Unacknowledged", "NothingTells")]
    assert held(rig) > 3, "of five, since the rig's renewal took one"
    [intent] = rig.state.devices[DEVICE].open.values()
    assert intent.state is CommandState.MUTE
    rig.wait(6)
    assert not rig.state.devices[DEVICE].open
    assert not rig.state.devices[DEVICE].held
    assert len(rig.outcomes) == 1


# Reply.


def test_a_reply_that_matches_acknowledges() -> None:
    rig = told(plug.REPLY)
    reply(rig, "OFF")
    assert rig.outcomes == []
    refused = [each.reason for each in rig.seen if isinstance(each, effects.Refuse)]
    assert refused == [telemetry.REPLY_UNMATCHED]
    reply(rig, "ON")
    assert rig.outcomes == [("Acknowledged", "ReplyMatched")]


def test_a_reply_before_the_command_left_or_to_nothing_is_ignored() -> None:
    rig = Rig(plug.documents(plug.REPLY), hold=(effects.SendCommand,), acknowledges=False)
    reply(rig, "ON")
    rig.sample(on=False, **LOAD)
    reply(rig, "ON")
    rig.release()
    assert rig.outcomes == []
    now, rig.seconds = rig.seconds, rig.seconds - 0.1
    reply(rig, "ON")
    assert rig.outcomes == [], "it came before, and was read after"
    rig.seconds = now
    reply(rig, "ON")
    assert rig.outcomes == [("Acknowledged", "ReplyMatched")]


def test_a_reply_of_another_type_than_match_reads_is_no_answer() -> None:
    rig = told(plug.REPLY)
    reply(rig, True)
    assert rig.outcomes == []


def test_a_reply_is_followed_by_a_confirmation_where_the_profile_asks_for_one() -> None:
    profile = plug.profile(
        {"type": "Reply", "reply": {**plug.REPLY["reply"], "match": 'reply == "done"'}},
        spec__properties=[{"name": "on", "access": "ReadWrite"}, {"name": "power", "unit": "W"}],
        spec__confirmation={"property": "on", "expression": "difference < 1.0", "timeout": "9s"},
    )
    [action] = profile["spec"]["actions"]
    action["input"] = [{"name": "value", "property": "on"}]
    action["mqtt"] = {**plug.TOLD, "expression": '{"level": value}'}
    quiet = plug.policy("true", "21.0")
    quiet["spec"]["rateLimit"] = {"minimumInterval": "1h"}
    rig = Rig((profile, plug.device(), quiet), acknowledges=False)
    rig.sample(on=5.0, **LOAD)
    rig.sample(on=21.0)
    assert rig.outcomes == [], "a report is no answer where a reply is asked for"
    reply(rig, "done")
    rig.sample(on=21.0)
    assert rig.outcomes == [("Acknowledged", "ReplyMatched"), ("Confirmed", "ReadBackNear")]


def test_no_reply_in_time_is_unknown() -> None:
    rig = told(plug.REPLY)
    rig.wait(3.5)
    assert rig.outcomes == [("Unknown", "NoReply")]


HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("report"), st.booleans()),
        st.tuples(st.just("load"), st.booleans()),
        st.tuples(st.just("old"), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from((0.01, 1.0, 4.0))),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=12,
)


def happen(rig: Rig, what: str, detail: Any, reported: list[tuple[float, bool]]) -> None:
    match what:
        case "report" | "old":
            now, rig.seconds = rig.seconds, rig.seconds - (0.5 if what == "old" else 0)
            reported.append((rig.seconds, detail))
            rig.sample(on=detail)
            rig.seconds = now
        case "load":
            rig.sample(power=200.0 if detail else 120.0)
        case "wait":
            rig.wait(detail)
        case "release":
            rig.release()
        case "crash":
            rig.boot()


@settings(max_examples=150, deadline=None)
@given(HAPPENINGS)
def test_only_a_report_since_sending_confirms_and_each_command_leaves_at_most_once(
    story: list[tuple[str, Any]],
) -> None:
    free = (plug.profile(), plug.device(), plug.policy(value="power > 150.0"))
    rig = Rig(free, hold=(effects.SendCommand,), acknowledges=False)
    reported: list[tuple[float, bool]] = []
    for what, detail in story:
        rig.seconds += 0.01
        happen(rig, what, detail, reported)
    sent = {order.command_id: (at, order.input["value"]) for at, order in rig.sent}
    assert len(sent) == len(rig.sent), "at most once"
    for each in rig.records:
        data = each["data"]
        if data.get("outcome") == "Confirmed" and data["reason"] == "EchoNear":
            left, wanted = sent[data["commandId"]]
            assert any(at >= left and value is wanted for at, value in reported)
