"""A command's life: sent once or never, answered, confirmed, unknown after a restart."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.engine_rig import OCCUPIED, POLICY, Rig
from foreshore_agent.engine import effects, events
from foreshore_api.reasons import command as reasons


def profile(**confirmation: object) -> room.Json:
    changed = room.profile()
    changed["spec"]["confirmation"] = {
        "property": "airflow",
        "expression": "difference <= 5.0",
        "timeout": "10s",
        **confirmation,
    }
    return changed


def quiet(**more: object) -> room.Json:
    """A policy that commands once and is then silent for an hour."""
    return room.changed(room.policy(), spec__rateLimit={"minimumInterval": "1h"}, **more)


def test_a_command_that_did_not_leave_is_said_so_and_not_sent_again() -> None:
    rig = Rig((quiet(),), hold=(effects.SendCommand,))
    rig.sample()
    [publish] = rig.waiting
    assert isinstance(publish, effects.SendCommand)
    rig.feed(events.CommandNotSent, command_id=publish.command_id, reason="NotConnected")
    rig.wait(30)
    assert rig.outcomes == [("NotSent", "NotConnected")]
    assert rig.sent == []


def test_a_command_that_the_broker_refuses_after_it_left_is_over_with_the_brokers_reason() -> None:
    rig = Rig((quiet(),), acknowledges=False)
    rig.sample()
    refused = {"command_id": rig.sent[0][1].command_id, "reason": "NotAuthorized"}
    rig.feed(events.CommandNotSent, **refused)
    rig.feed(events.CommandNotSent, **refused)
    rig.wait(7)
    assert rig.outcomes == [("NotSent", "NotAuthorized")]


def test_a_refusal_after_the_device_has_answered_says_nothing() -> None:
    rig = Rig((quiet(),))
    rig.sample()
    before = list(rig.outcomes)
    command_id = rig.sent[0][1].command_id
    rig.feed(events.CommandNotSent, command_id=command_id, reason="NotAuthorized")
    assert rig.outcomes == before


def test_an_intent_that_is_durable_twice_is_sent_once() -> None:
    rig = Rig((quiet(),))
    rig.sample()
    rig.feed(events.IntentDurable, decision_id=rig.decisions[0]["decisionId"])
    assert len(rig.sent) == 1


def test_a_rejection_of_the_device_is_recorded_with_its_reason() -> None:
    rig = Rig((quiet(),), acknowledges=False)
    rig.sample()
    rig.acknowledge(rig.sent[0][1].command_id, "Rejected", "LowerEpoch")
    assert rig.outcomes == [("Rejected", "LowerEpoch")]


def test_a_device_that_never_answers_leaves_the_command_unknown() -> None:
    rig = Rig((quiet(),), acknowledges=False)
    rig.sample()
    rig.wait(7)
    assert rig.outcomes == [("Unknown", "NoAcknowledgement")]


def test_accepted_and_then_done_is_one_acknowledgement() -> None:
    rig = Rig((quiet(),))
    rig.sample()
    rig.acknowledge(rig.sent[0][1].command_id, "Done")
    assert rig.outcomes == [("Acknowledged", "Accepted")]


def test_an_answer_to_a_command_of_nobody_is_ignored() -> None:
    rig = Rig()
    rig.acknowledge("0190/1")
    assert rig.outcomes == []


def test_a_read_back_near_the_command_confirms_once_it_has_settled() -> None:
    rig = Rig((profile(), quiet()))
    rig.sample()
    rig.sample(airflow=301.0)
    assert rig.outcomes == [("Acknowledged", "Accepted")]
    rig.wait(2.5)
    rig.sample(airflow=301.0)
    assert rig.outcomes[-1] == ("Confirmed", "ReadBackNear")


def test_a_read_back_after_done_counts_at_once() -> None:
    rig = Rig((profile(), quiet()))
    rig.sample()
    rig.acknowledge(rig.sent[0][1].command_id, "Done")
    rig.sample(airflow=300.0)
    assert rig.outcomes[-1] == ("Confirmed", "ReadBackNear")


def test_a_read_back_that_overtakes_done_counts_with_it() -> None:
    rig = Rig((profile(), quiet()))
    rig.sample(**{**OCCUPIED, "airflow": 100.0})
    rig.acknowledge(rig.sent[0][1].command_id, "Done")
    assert rig.outcomes[-1] == ("Acknowledged", "Accepted")
    rig.seconds += 0.5
    rig.sample(airflow=300.0)
    rig.acknowledge(rig.sent[0][1].command_id, "Done")
    assert rig.outcomes[-1] == ("Confirmed", "ReadBackNear")


def test_no_read_back_at_all_is_unconfirmed_too() -> None:
    rig = Rig((profile(), quiet()))
    rig.sample()
    rig.wait(11)
    assert rig.outcomes[-1] == ("Unconfirmed", "NoReadBack")


def test_a_read_back_that_stays_away_is_unconfirmed() -> None:
    rig = Rig((profile(), quiet()))
    rig.sample()
    for _ in range(5):
        rig.wait(2.5)
        rig.sample(airflow=100.0)
    assert rig.outcomes[-1] == ("Unconfirmed", "ReadBackDiffers")


def test_another_property_confirms_nothing() -> None:
    rig = Rig((profile(), quiet()))
    rig.sample()
    rig.wait(3)
    rig.sample(light=1.0)
    assert rig.outcomes == [("Acknowledged", "Accepted")]


def test_a_confirmation_that_cannot_be_evaluated_has_failed() -> None:
    broken = profile(expression="1 % int(difference) > 0")
    rig = Rig((broken, quiet()))
    rig.sample()
    for _ in range(6):
        rig.wait(2.5)
        rig.sample(airflow=300.0)
    assert rig.outcomes[-1][0] == "Unconfirmed"


def test_a_newer_command_supersedes_what_waits_for_confirmation() -> None:
    rig = Rig((profile(),))
    rig.sample()
    rig.sample(**{**OCCUPIED, "co2": 1500.0})
    assert ("Superseded", "NewerCommand") in rig.outcomes


def test_too_many_commands_without_an_answer_hold_back_the_next() -> None:
    rig = Rig(acknowledges=False)
    for index in range(80):
        rig.sample(**{**OCCUPIED, "co2": 900.0 + index})
    assert len(rig.sent) == 64
    assert rig.counted[-1] == ("Suppressed", "TooManyOutstanding")


# Restarts.


def test_an_open_intent_is_unknown_after_a_restart_and_holds_the_actuator() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    rig.boot()
    assert rig.outcomes == [("Unknown", "Restarted")]
    rig.sample(**{**OCCUPIED, "airflow": 100.0})
    assert rig.counted[-1] == ("Suppressed", "ActuatorHeld")
    rig.wait(7.5)
    assert rig.outcomes[-1] == ("Unconfirmed", "ReadBackDiffers")
    rig.sample()
    assert len(rig.sent) == 2


def test_a_read_back_that_shows_the_command_ends_the_hold() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    rig.boot()
    rig.sample(airflow=300.0)
    assert rig.outcomes[-1] == ("Confirmed", "ReadBackNear")
    rig.sample()
    assert len(rig.sent) == 2


def test_a_second_restart_says_unknown_once_and_holds_on() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    rig.boot()
    rig.boot()
    assert rig.outcomes == [("Unknown", "Restarted")]
    rig.sample(**{**OCCUPIED, "airflow": 100.0})
    assert rig.counted[-1] == ("Suppressed", "ActuatorHeld")


def test_what_was_confirmed_before_the_restart_is_not_unknown() -> None:
    rig = Rig((quiet(),))
    rig.sample()
    rig.boot()
    assert rig.outcomes == [("Acknowledged", "Accepted")]


@pytest.mark.parametrize("boot", [None, "boot-2"])
def test_rate_limits_survive_restarts_and_reboots(boot: str | None) -> None:
    rig = Rig((quiet(),))
    rig.sample()
    rig.wait(60)
    if boot is not None:
        rig.seconds = 30.0
    rig.boot(boot)
    rig.sample()
    assert len(rig.sent) == 1
    assert rig.counted[-1] == ("Suppressed", "MinimumInterval")


@settings(max_examples=60)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.booleans())
def test_a_crash_at_any_effect_never_sends_one_command_twice(
    cuts: list[int], loses_records: bool
) -> None:
    """Each run drops every effect after the n-th and starts again from what is durable."""
    rig = Rig(acknowledges=False)
    for index, cut in enumerate(cuts):
        carried = 0

        def carry(effect: effects.Effect, cut: int = cut) -> None:
            nonlocal carried
            carried += 1
            if carried <= cut:
                engine_rig.Rig.carry(rig, effect)

        rig.carry = carry  # type: ignore[method-assign]
        rig.sample(**{**OCCUPIED, "co2": 900.0 + index})
        rig.wait(0.5)
        del rig.carry
        rig.boot()
        rig.wait(9 if loses_records else 1)
    ids = [command.command_id for _, command in rig.sent]
    assert len(ids) == len(set(ids))
    intents = {each["decisionId"] for each in rig.decisions if "command" in each}
    assert {each.split("/")[0] for each in ids} <= intents


# Several policies, one actuator.


def test_the_actuators_rate_limit_is_shared_by_all_policies() -> None:
    limited = room.profile()
    limited["spec"]["actuatorRateLimit"] = {"minimumInterval": "60s"}
    other = room.policy(name="ventilate-too")
    rig = Rig((limited, other))
    rig.sample()
    assert len(rig.sent) == 1
    assert ("Suppressed", "MinimumInterval") in rig.counted
    ids = [each["decisionId"] for each in rig.decisions]
    assert len(ids) == len(set(ids)) == 2


def test_a_hold_is_of_one_policy() -> None:
    rig = Rig((room.policy(name="other"),), acknowledges=False)
    rig.sample()
    held = rig.state.devices[engine_rig.DEVICE]
    assert POLICY in held.bindings
    rig.boot()
    assert [each for each in rig.outcomes if each[0] == "Unknown"] == [("Unknown", "Restarted")] * 2


def test_a_refused_intent_is_not_unknown_after_a_restart() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    rig.hold = (effects.AppendRecords,)
    rig.sample(**{**OCCUPIED, "co2": 1500.0})
    [intent] = [
        each for each in rig.waiting if isinstance(each, effects.AppendRecords) and each.intent
    ]
    rig.hold, rig.waiting = (), []
    rig.acknowledge(rig.sent[0][1].command_id)
    assert isinstance(intent, effects.AppendRecords)
    assert intent.intent is not None
    rig.feed(events.IntentFailed, decision_id=intent.intent.decision_id, reason="RecorderFull")
    rig.boot()
    assert rig.outcomes == [("Acknowledged", "Accepted")]


# Between the intent and the sending.


@pytest.mark.parametrize("mode", ["Disabled", "Shadow", "Advise"])
def test_a_mode_lowered_while_the_intent_is_written_stops_the_command(mode: str) -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    rig.assign(room.changed(room.policy(), spec__mode=mode))
    rig.hold = ()
    rig.release()
    assert rig.sent == []
    assert rig.outcomes == [("NotSent", "ModeLowered")]


def test_a_recorder_that_fills_while_the_intent_is_written_stops_the_command() -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    rig.feed(events.RecorderChanged, full=True, reason="DiskFull")
    rig.hold = ()
    rig.release()
    assert rig.sent == []
    assert rig.outcomes == [("NotSent", "RecorderFull")]


def test_a_policy_that_is_disarmed_while_the_intent_is_written_sends_nothing() -> None:
    """Regression: the mode was asked again, but not whether the policy is too slow by now."""
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    rig.feed(events.PolicyTooSlow, seconds=0.5)
    rig.hold = ()
    rig.release()
    assert rig.sent == []
    assert rig.outcomes == [("NotSent", "ExpressionTooSlow")]


@pytest.mark.parametrize(
    "document",
    [
        room.changed(room.policy(), spec__hazard="Medium"),
        room.changed(
            room.device(), spec__limits=[{"action": "setAirflow", "input": "value", "maximum": 200}]
        ),
    ],
    ids=["policy", "device"],
)
def test_an_edit_while_the_intent_is_written_stops_the_command(document: room.Json) -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    rig.assign(document)
    rig.hold = ()
    rig.release()
    assert rig.sent == []
    assert rig.outcomes == [("NotSent", "PolicyChanged")]


def test_a_machine_that_slept_over_the_time_to_live_sends_nothing() -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    rig.slept = 6.0
    rig.hold = ()
    rig.release()
    assert rig.sent == []
    assert rig.outcomes == [("NotSent", "TooLate")]


def test_what_the_machine_slept_is_taken_off_the_time_to_publish() -> None:
    rig = Rig(hold=(effects.AppendRecords, effects.SendCommand))
    rig.sample()
    rig.slept = 3.0
    rig.release()
    [publish] = [each for each in rig.waiting if isinstance(each, effects.SendCommand)]
    assert publish.deadline == pytest.approx(rig.seconds + 2.0)


def test_a_crash_while_open_intents_are_recovered_forgets_none_of_them() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    rig.sample(**{**OCCUPIED, "co2": 1500.0})
    rig.boot()
    [recovered] = [
        each
        for each in rig.seen
        if isinstance(each, effects.AppendRecords)
        and [line.verdict for line in each.records[:1]] == ["Unknown"]
    ]
    assert len(recovered.records) == 2
    assert len(orjson.loads(recovered.values[0][1])["open"]) == 2
    rig.boot()
    rig.sample(**{**OCCUPIED, "airflow": 100.0})
    assert rig.counted[-1] == ("Suppressed", "ActuatorHeld")


def boosting(**more: object) -> tuple[room.Json, room.Json]:
    """A profile with a second action on the same property, and a policy that uses it."""
    twice = profile(**more)
    [action] = twice["spec"]["actions"]
    twice["spec"]["actions"].append({**action, "name": "boostAirflow"})
    other = room.changed(room.policy(name="boost"), spec__action__name="boostAirflow")
    return twice, other


def test_two_actions_that_set_one_property_share_the_actuators_rate_limit() -> None:
    twice, other = boosting()
    twice["spec"]["actuatorRateLimit"] = {"burst": 2, "per": "1h"}
    rig = Rig((twice, other))
    for _ in range(4):
        rig.wait(1)
        rig.sample()
    assert len(rig.sent) == 2
    rig.boot()
    rig.wait(1)
    rig.sample()
    assert len(rig.sent) == 2


def test_another_action_on_the_same_property_supersedes_what_waits_for_confirmation() -> None:
    twice, other = boosting()
    rig = Rig((twice, other))
    rig.sample()
    assert len(rig.sent) == 2
    assert rig.outcomes.count(("Superseded", "NewerCommand")) == 1


def test_commands_of_two_actions_on_one_property_are_outstanding_together() -> None:
    twice, other = boosting()
    rig = Rig((twice, other), acknowledges=False)
    for index in range(40):
        rig.sample(**{**OCCUPIED, "co2": 900.0 + index})
    assert len(rig.sent) == 64


def test_as_many_outcomes_are_kept_as_the_policy_says() -> None:
    rig = Rig((room.changed(room.policy(), spec__record={"keepPerVerdict": 7}),))
    rig.sample()
    lines = [
        line
        for each in rig.seen
        if isinstance(each, effects.AppendRecords)
        for line in each.records
    ]
    assert [each.keep for each in lines if each.verdict == "Acknowledged"] == [7]


def test_a_command_that_nobody_answered_holds_the_actuator_until_it_is_read_back() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    rig.wait(6.5)
    rig.sample(**{**OCCUPIED, "airflow": 100.0})
    assert rig.counted[-1] == ("Suppressed", "ActuatorHeld")
    rig.sample()
    assert rig.outcomes == [("Unknown", "NoAcknowledgement"), ("Confirmed", "ReadBackNear")]
    assert len(rig.sent) == 2


def test_an_outcome_says_cause_and_remedy_of_its_row() -> None:
    rig = Rig((quiet(),), acknowledges=False)
    rig.sample()
    rig.wait(7)
    row = reasons.NO_ACKNOWLEDGEMENT
    assert rig.said == f"{row.meaning.rstrip('.')}; {row.remedy}"


def test_a_read_back_that_differs_says_what_is_measured_and_what_was_commanded() -> None:
    rig = Rig((profile(), quiet()))
    rig.sample()
    for _ in range(5):
        rig.wait(2.5)
        rig.sample(airflow=100.0)
    compared = "airflow is 100, commanded was 300"
    assert rig.said == f"measured is not what was commanded: {compared}; " + (
        reasons.READ_BACK_DIFFERS.remedy
    )


def test_a_devices_own_word_is_not_taken_for_a_row_of_ours() -> None:
    """TooLate has a row: the command was too old to be sent. Here a device says it."""
    rig = Rig((quiet(),), acknowledges=False)
    rig.sample()
    rig.acknowledge(rig.sent[0][1].command_id, "Rejected", "TooLate")
    assert rig.outcomes == [("Rejected", "TooLate")]
    assert rig.said == "the device refused the command; its reason is TooLate"


def test_a_brokers_own_word_is_said_to_be_the_brokers() -> None:
    rig = Rig((quiet(),), acknowledges=False)
    rig.sample()
    command_id = rig.sent[0][1].command_id
    rig.feed(events.CommandNotSent, command_id=command_id, reason="NotAuthorized")
    assert rig.said == "the broker refused the command; its reason is NotAuthorized"


@pytest.mark.parametrize("reason", reasons.TABLE)
def test_every_row_of_a_command_makes_a_sentence(reason: str) -> None:
    """A word of a template that nobody fills in would end the process."""
    rig = Rig((quiet(),), acknowledges=False)
    rig.sample()
    rig.feed(events.CommandNotSent, command_id=rig.sent[0][1].command_id, reason=reason)
    assert rig.said
    assert "{" not in rig.said


def test_a_read_back_does_not_count_early_where_the_answer_overtook_the_word_that_it_left() -> None:
    rig = Rig((profile(), quiet()), hold=(effects.SendCommand,))
    rig.sample()
    [held] = [each for each in rig.waiting if isinstance(each, effects.SendCommand)]
    rig.acknowledge(held.command_id)
    rig.sample(airflow=301.0)
    assert rig.outcomes == [("Acknowledged", "Accepted")]
    rig.feed(events.CommandSent, command_id=held.command_id)
    rig.wait(2.5)
    rig.sample(airflow=301.0)
    assert rig.outcomes[-1] == ("Confirmed", "ReadBackNear")


def test_an_answer_that_overtook_supersedes_older_commands_as_any_other() -> None:
    rig = Rig((profile(),))
    rig.sample(**{**OCCUPIED, "airflow": 100.0})
    assert rig.outcomes == [("Acknowledged", "Accepted")]
    rig.hold = (effects.SendCommand,)
    rig.wait(4.0)
    rig.sample(**{**OCCUPIED, "airflow": 100.0})
    [held] = [each for each in rig.waiting if isinstance(each, effects.SendCommand)]
    rig.acknowledge(held.command_id)
    assert rig.outcomes[-2:] == [("Superseded", "NewerCommand"), ("Acknowledged", "Accepted")]


@pytest.mark.parametrize("measured", [{}, {"airflow": 100.0}], ids=["nothing", "another"])
def test_of_a_device_that_never_answered_no_record_says_that_it_accepted(
    measured: dict[str, float],
) -> None:
    rig = Rig((quiet(),), acknowledges=False)
    rig.sample(**{**OCCUPIED, "airflow": 100.0})
    rig.wait(7)
    if measured:
        rig.sample(**measured)
    rig.wait(20)
    assert [outcome for outcome, _ in rig.outcomes] == ["Unknown", "Unconfirmed"]
    assert "accept" not in rig.said
