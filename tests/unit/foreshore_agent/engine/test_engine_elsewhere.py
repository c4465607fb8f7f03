"""A room decided on its window: triggers, windows, ages and records across two devices."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from builders import engine_rig, neighbours, room
from builders.engine_rig import DEVICE, OCCUPIED, POLICY, Rig
from builders.neighbours import SHUT, WINDOW
from builders.replays import assert_replays
from foreshore_agent.engine import effects, events, view
from foreshore_api.reasons import telemetry
from foreshore_api.wire import record as wire
from foreshore_decision import explain
from foreshore_decision.record import replay

OPEN = {"open": True, "tilt": 30.0}


def rigged(*documents: room.Json, **fields: Any) -> Rig:
    return Rig(neighbours.documents(*documents), **fields)


def asking(*features: str) -> room.Json:
    """A model of these features."""
    tensor = {"name": "X", "dataType": "FP32", "shape": [-1, len(features)], "features": features}
    return room.changed(room.model(), spec__inputs=[tensor])


def speak(rig: Rig, values: dict[str, Any] | None = None, **fields: Any) -> None:
    """Let the window speak."""
    rig.feed(events.Sample, device=WINDOW, values=SHUT if values is None else values, **fields)


def reasons(rig: Rig) -> list[str]:
    return [reason for _, reason in rig.counted]


def test_a_room_is_decided_on_what_its_window_says() -> None:
    rig = rigged()
    speak(rig)
    rig.sample()
    assert rig.verdicts[-1] == ("Commanded", "Stuffy")
    assert [sent.input for _, sent in rig.sent] == [{"value": 300.0}]
    speak(rig, OPEN)
    assert rig.counted[-1] == ("NotTriggered", "NoRulePermits")


def test_a_sample_of_the_window_decides_about_the_room_and_is_named() -> None:
    rig = rigged()
    rig.sample()
    assert rig.counted == [("NotApplicable", "InputMissing")]
    speak(rig)
    assert rig.verdicts[-1] == ("Commanded", "Stuffy")
    newest = rig.decisions[-1]
    assert newest["trigger"]["name"] == "window-301.open"
    assert newest["device"]["name"] == "room-301"
    assert newest["command"]["input"] == {"value": 300.0}


def test_a_property_that_nobody_reads_decides_nothing() -> None:
    rig = rigged()
    rig.sample()
    speak(rig, {"tilt": 3.0})
    assert len(rig.counted) == 1


def test_a_trigger_of_its_own_waits_for_the_room_and_reads_the_window() -> None:
    document = room.changed(neighbours.policy(), spec__trigger={"properties": ["co2"]})
    rig = rigged(document)
    rig.sample()
    speak(rig)
    assert reasons(rig) == ["InputMissing"]
    rig.sample()
    assert rig.verdicts[-1] == ("Commanded", "Stuffy")


def test_the_same_name_of_both_is_each_device_s_own() -> None:
    profile = neighbours.profile()
    profile["spec"]["properties"].append({"name": "co2", "unit": "[ppm]"})
    outside = neighbours.source("outside", "co2")
    rules = [{"name": "fresher", "expression": "co2 - outside > 300.0", "reason": "Fresher"}]
    rig = rigged(profile, neighbours.policy(outside, spec__rules=rules))
    speak(rig, {"co2": 450.0})
    rig.sample()
    assert rig.verdicts[-1] == ("Commanded", "Fresher")
    assert {each["name"]: each["value"] for each in rig.decisions[-1]["inputs"]} == {
        "co2": 900.0,
        "outside": 450.0,
    }


def test_its_age_counts_from_the_window_s_own_sample() -> None:
    rig = rigged()
    speak(rig)
    rig.wait(91.0)
    rig.sample()
    assert rig.counted[-1] == ("NotApplicable", "InputStale")
    [_, shown] = rig.decisions[-1]["inputs"]
    assert shown["ageSeconds"] == 91.0


def test_what_the_window_could_not_say_properly_is_no_value_of_the_room() -> None:
    rig = rigged()
    speak(rig)
    rig.sample()
    speak(rig, {}, refused={"open": "WrongType"})
    assert rig.counted[-1] == ("NotApplicable", "InputRefused")


def test_nothing_is_commanded_of_the_window_and_no_right_to_it_is_needed() -> None:
    rig = rigged()
    rig.feed(events.Assigned, assignment=granted(rig, {"room-301"}), too_slow={})
    speak(rig)
    rig.sample()
    assert rig.state.devices[WINDOW].assigned.grant is None
    assert rig.counted[-1] == ("Commanded", "Stuffy")
    assert {each.device for each in rig.seen if isinstance(each, effects.Decided)} == {DEVICE}


def granted(rig: Rig, names: set[str]) -> Any:
    """The assignment, with the grants of these devices alone."""
    made = engine_rig.assign(*rig.documents)
    devices = tuple(
        device if device.name in names else device.model_copy(update={"grant": None})
        for device in made.devices
    )
    return made.model_copy(update={"devices": devices})


def test_who_holds_only_the_window_decides_nothing_about_the_room() -> None:
    rig = rigged()
    rig.feed(events.Assigned, assignment=granted(rig, {"window-301"}), too_slow={})
    speak(rig)
    rig.sample()
    assert rig.counted == []


def test_a_window_that_leaves_the_site_ends_the_deciding_and_is_missed_by_name() -> None:
    rig = rigged()
    speak(rig)
    rig.sample()
    before = len(rig.counted)
    rig.assign(*(neighbours.profile(), neighbours.policy()))
    rig.sample()
    assert len(rig.counted) == before
    [problem] = view.problems(rig.state)
    assert problem.reason == "ReferenceNotFound"
    assert "this site has no Device window-301" in problem.message
    rig.assign(*neighbours.documents())
    speak(rig)
    rig.sample()
    assert len(rig.counted) > before


def test_an_edit_of_the_window_s_profile_compiles_the_room_s_policy_again() -> None:
    rig = rigged(neighbours.policy(neighbours.source("windowOpen", "tilt"), spec__rules=ANYWAY))
    before = rig.state.devices[DEVICE].bindings[POLICY]
    profile = neighbours.profile()
    profile["spec"]["properties"][1]["maximum"] = 20
    rig.assign(*rig.documents, profile)
    after = rig.state.devices[DEVICE].bindings[POLICY]
    assert before.compiled is not after.compiled
    speak(rig, OPEN)
    rig.sample()
    assert rig.counted[-1] == ("NotApplicable", "InputOutOfRange")


ANYWAY = [{"name": "stuffy", "expression": "co2 > 800.0", "reason": "Stuffy"}]


@pytest.mark.parametrize(
    "change",
    [{"spec__lock": "Locked"}, {"metadata__labels": {"side": "south"}}],
    ids=["a lock", "a label"],
)
def test_what_else_is_edited_of_the_window_keeps_what_the_room_has_learnt(
    change: dict[str, Any],
) -> None:
    rig = rigged()
    before = rig.state.devices[DEVICE].bindings[POLICY]
    rig.assign(*rig.documents, neighbours.window(**change))
    after = rig.state.devices[DEVICE].bindings[POLICY]
    assert before.compiled is after.compiled


def test_after_a_restart_the_window_is_unknown_until_it_speaks() -> None:
    rig = rigged()
    speak(rig)
    rig.sample()
    rig.boot()
    rig.sample()
    assert rig.counted[-1] == ("NotApplicable", "InputMissing")
    speak(rig)
    assert rig.counted[-1] == ("Commanded", "Stuffy")


def test_the_smallest_interval_holds_for_samples_of_the_window_too() -> None:
    document = room.changed(neighbours.policy(), spec__trigger={"minimumInterval": "10s"})
    rig = rigged(document)
    rig.sample()
    for _ in range(3):
        speak(rig, OPEN)
    speak(rig)
    assert len(rig.counted) == 1
    rig.wait(10.0)
    assert len(rig.counted) == 2
    assert rig.counted[-1] == ("Commanded", "Stuffy")
    assert rig.decisions[-1]["replaced"] == {"NewerWithinInterval": 3}


def test_policies_wait_for_the_window_s_newest_sample_of_a_turn() -> None:
    rig = rigged()
    rig.sample()
    speak(rig, OPEN, is_followed=True)
    assert len(rig.counted) == 1
    speak(rig, SHUT, is_last=True)
    assert rig.counted[-1] == ("Commanded", "Stuffy")
    assert len(rig.counted) == 2


def test_a_last_sample_that_is_no_news_ends_the_wait_of_the_room() -> None:
    rig = rigged()
    rig.sample()
    speak(rig, SHUT, is_followed=True)
    speak(rig, SHUT, redelivered=True, is_last=True)
    assert rig.counted[-1] == ("Commanded", "Stuffy")


def test_messages_that_were_never_read_are_counted_where_the_window_is_read() -> None:
    rig = rigged()
    rig.sample()
    speak(rig, SHUT, replaced=(("Overload", 4),))
    assert rig.decisions[-1]["replaced"] == {"Overload": 4}


MEAN = {"name": "often", "input": "windowOpen", "window": "1m", "aggregate": "Mean"}
OFTEN = [{"name": "aired", "expression": "often < 0.5 && co2 > 800.0", "reason": "Aired"}]


def test_a_window_of_time_is_filled_by_the_other_device_alone() -> None:
    rig = rigged(neighbours.policy(spec__features=[MEAN], spec__rules=OFTEN))
    for second in range(60):
        rig.wait(1.0)
        rig.sample()
        speak(rig, OPEN if second % 4 == 0 else SHUT)
    assert rig.decisions[-1]["features"]["often"] == pytest.approx(0.25, abs=0.02)
    assert ("Commanded", "Aired") in rig.verdicts
    assert view.windowed(rig.state) == {WINDOW}


def test_a_lost_connection_is_a_gap_in_what_was_heard_of_the_other_device() -> None:
    rig = rigged(neighbours.policy(spec__features=[MEAN], spec__rules=OFTEN))
    for _ in range(60):
        rig.wait(1.0)
        speak(rig)
    rig.sample()
    assert rig.counted[-1] == ("Commanded", "Aired")
    rig.feed(events.TelemetryChanged, connected=False)
    rig.wait(40.0)
    rig.feed(events.TelemetryChanged, connected=True)
    speak(rig)
    rig.sample()
    assert rig.counted[-1] == ("NotApplicable", "FeatureNotReady")


def test_the_window_s_silence_is_no_silence_of_the_room() -> None:
    rig = rigged()
    for _ in range(30):
        rig.wait(1.0)
        rig.sample()
    lines = {line.device: line.connected for line in view.devices(rig.state, rig.at)}
    assert lines == {"room-301": True, "window-301": False}


def test_who_reads_only_its_own_device_is_in_nobody_s_way() -> None:
    rig = Rig()
    assert rig.state.readers == {}
    assert rigged().state.readers == {WINDOW: (DEVICE,)}


def test_the_record_names_the_other_device_and_why_says_it() -> None:
    rig = rigged()
    speak(rig)
    rig.sample()
    recorded = rig.decisions[-1]
    own, shut = recorded["inputs"]
    assert "readFrom" not in own
    assert shut["readFrom"] == {
        "namespace": "hq",
        "device": "window-301",
        "uid": "window-301-uid",
        "property": "open",
    }
    assert recorded["facts"]["readings"]["window-301.open"]["value"] is False
    explained = explain.explain(wire.Decision.model_validate(recorded), "2026-03-01T10:00:00Z")
    assert "windowOpen (window-301.open) = false, 0 s old" in explained.inputs


VALUES = st.fixed_dictionaries(
    {}, optional={"open": st.booleans(), "tilt": st.floats(-1, 91, allow_nan=False)}
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("window"), VALUES),
        st.tuples(st.just("room"), st.sampled_from([OCCUPIED, {"co2": 700.0}, {"light": 1.0}])),
        st.tuples(st.just("refused"), st.just(None)),
        st.tuples(st.just("wait"), st.floats(0.1, 100)),
    ),
    min_size=1,
    max_size=20,
)


GAP: list[tuple[str, Any]] = [
    ("window", {"open": False}),
    ("wait", 1.0),
    ("wait", 5.0),
    ("room", {"light": 400.0, "co2": 900.0, "temperature": 21.0, "airflow": 300.0}),
]
"""A window that was not listened to all the time: no record of it could be read again."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.sampled_from(["Skip", "LastGood", "Default"]), st.booleans(), st.booleans())
@example(GAP, "Skip", False, True)
def test_every_record_that_reads_another_device_replays_to_itself(
    steps: list[tuple[str, Any]], on_invalid: str, is_full: bool, is_windowed: bool
) -> None:
    fields: dict[str, Any] = {"onInvalid": on_invalid, "maximumAge": "30s"}
    if on_invalid == "Default":
        fields["default"] = "true"
    document = neighbours.policy(neighbours.source(**fields), neighbours.source("tilt", "tilt"))
    if is_full:
        document = room.changed(document, spec__record={"level": "Full"})
    if is_windowed:
        document = room.changed(document, spec__features=[MEAN], spec__rules=OFTEN)
    rig = rigged(document)
    for what, detail in steps:
        match what:
            case "window":
                speak(rig, detail)
            case "room":
                rig.sample(**detail)
            case "refused":
                speak(rig, {}, refused={"open": "WrongType"})
            case _:
                rig.wait(detail, period=10.0)
    assert_replays(rig, fewest=0)  # the room itself may never have spoken


def test_a_model_is_asked_on_what_both_devices_say_and_the_record_replays() -> None:
    document = room.changed(
        room.policy(),
        spec__inputs=[
            {"name": "co2", "property": "co2", "maximumAge": "90s"},
            neighbours.source(),
        ],
        spec__action__input=[{"name": "value", "expression": "300.0"}],
    )
    rig = rigged(document, asking("co2", "windowOpen"), hold=(effects.Infer,))
    speak(rig, OPEN)
    rig.sample()
    [asked] = [each for each in rig.waiting if isinstance(each, effects.Infer)]
    assert asked.tensors[0].data == (900.0, 1.0)
    speak(rig, SHUT)  # while the model is being asked: the later facts have it
    rig.hold = ()
    rig.release()
    assert rig.decisions[-1]["facts"]["later"]["readings"]["window-301.open"]["value"] is False
    assert_replays(rig)


def test_another_policy_that_reads_another_device_says_what_the_record_lacks() -> None:
    rig = rigged()
    speak(rig)
    rig.sample()
    tilted = neighbours.policy(neighbours.source("tilt", "tilt"), spec__rules=ANYWAY)
    made = engine_rig.assign(*rig.documents, tilted)
    others = {device.name: device for device in made.devices}
    result = replay.replay(rig.decisions[-1], made.policies[0], others["room-301"], others=others)
    assert result == replay.MissingFact("reading of window-301.tilt")


LAST_WORD = neighbours.profile()
LAST_WORD["spec"]["properties"][0]["retained"] = "State"
LAST_WORD["spec"]["mqtt"]["availability"] = {"topic": "{site}/{device}/availability"}
TRUSTING = neighbours.policy(neighbours.source(onInvalid="LastGood"))


def gap(rig: Rig) -> None:
    rig.feed(events.TelemetryChanged, connected=False)
    rig.wait(1.0)
    rig.feed(events.TelemetryChanged, connected=True)


def goes_offline(rig: Rig) -> None:
    rig.feed(events.Availability, device=WINDOW, is_online=False)
    rig.wait(1.0)


@pytest.mark.parametrize(
    ("lose", "reason"), [(gap, "ConnectionGap"), (goes_offline, "DeviceOffline")]
)
@pytest.mark.parametrize("document", [neighbours.policy(), TRUSTING], ids=["Skip", "LastGood"])
def test_what_the_window_said_before_it_was_lost_is_void_for_the_room(
    lose: Callable[[Rig], None], reason: str, document: room.Json
) -> None:
    rig = rigged(LAST_WORD, document)
    speak(rig)
    rig.sample()
    assert rig.counted[-1] == ("Commanded", "Stuffy")
    lose(rig)
    rig.sample()
    assert rig.counted[-1] == ("NotApplicable", reason)
    speak(rig, {}, refused={"open": "WrongType"})
    assert rig.counted[-1] == ("NotApplicable", "InputRefused"), "no older value stands in"
    speak(rig)
    assert rig.counted[-1] == ("Commanded", "Stuffy")
    assert_replays(rig)


def test_a_decision_whose_model_was_asked_about_a_window_that_went_is_dropped() -> None:
    document = room.changed(
        room.policy(),
        spec__inputs=[
            {"name": "co2", "property": "co2", "maximumAge": "90s"},
            neighbours.source(),
        ],
        spec__action__input=[{"name": "value", "expression": "300.0"}],
    )
    rig = rigged(LAST_WORD, document, asking("co2", "windowOpen"), hold=(effects.Infer,))
    speak(rig)
    rig.sample()
    assert len(rig.waiting) == 1
    goes_offline(rig)
    assert rig.verdicts[-1] == ("NotTriggered", "ReadingsVoid")
    rig.hold = ()
    rig.release()
    assert rig.sent == []


def test_the_window_s_kept_word_is_read_and_fills_no_window_of_time() -> None:
    rig = rigged(LAST_WORD, neighbours.policy(spec__features=[MEAN], spec__rules=OFTEN))
    speak(rig, {"open": False}, retained=True)
    assert not rig.state.devices[DEVICE].bindings[POLICY].windows
    assert not rig.state.devices[WINDOW].readings["open"].is_live


def test_a_kept_word_of_a_window_that_is_there_is_as_old_as_its_online() -> None:
    rig = rigged(LAST_WORD)
    speak(rig, {"open": False}, retained=True)
    rig.sample()
    assert rig.counted[-1] == ("NotApplicable", "InputAgeUnknown")
    rig.feed(events.Availability, device=WINDOW, is_online=True)
    rig.sample()
    assert rig.counted[-1] == ("Commanded", "Stuffy")
    assert_replays(rig)


@pytest.mark.parametrize("reason", [telemetry.DROPPED, telemetry.UNKNOWN_VALUE])
def test_a_word_that_nobody_could_read_has_no_last_good_in_the_room(reason: str) -> None:
    rig = rigged(LAST_WORD, TRUSTING)
    speak(rig)
    rig.sample()
    speak(rig, {}, refused={"open": reason})
    speak(rig, {}, refused={"open": "WrongType"})
    assert rig.counted[-1] == ("NotApplicable", "InputRefused")


def test_a_word_that_stands_elsewhere_now_has_no_last_good_in_the_room() -> None:
    rig = rigged(LAST_WORD, TRUSTING)
    speak(rig)
    rig.sample()
    assert rig.counted[-1] == ("Commanded", "Stuffy")
    before = rig.state.devices[DEVICE].bindings[POLICY].compiled
    rig.assign(*rig.documents, room.changed(LAST_WORD, spec__mqtt__telemetryTopic="other/{device}"))
    assert rig.state.devices[DEVICE].bindings[POLICY].compiled is before
    rig.wait(1.0)
    speak(rig, {}, refused={"open": "WrongType"})
    assert rig.counted[-1] == ("NotApplicable", "InputRefused")


def test_a_question_about_a_word_that_stands_elsewhere_now_is_dropped() -> None:
    document = room.changed(
        room.policy(),
        spec__inputs=[
            {"name": "co2", "property": "co2", "maximumAge": "90s"},
            neighbours.source(),
        ],
        spec__action__input=[{"name": "value", "expression": "300.0"}],
    )
    rig = rigged(LAST_WORD, document, asking("co2", "windowOpen"), hold=(effects.Infer,))
    speak(rig)
    rig.sample()
    rig.assign(*rig.documents, room.changed(LAST_WORD, spec__mqtt__telemetryTopic="other/{device}"))
    assert rig.verdicts[-1] == ("NotTriggered", "ReadingsVoid")


def test_what_one_window_said_is_no_last_good_of_another() -> None:
    rig = rigged(neighbours.window("window-302"), TRUSTING)
    speak(rig)
    rig.sample()
    assert rig.counted[-1] == ("Commanded", "Stuffy")
    other = neighbours.source(onInvalid="LastGood", deviceRef={"name": "window-302"})
    rig.assign(*rig.documents, neighbours.policy(other))
    rig.wait(1.0)
    rig.sample()
    assert rig.counted[-1] == ("NotApplicable", "InputMissing")


def test_an_edit_of_something_else_keeps_the_last_good_values() -> None:
    rig = rigged(TRUSTING)
    speak(rig)
    rig.sample()
    kept = rig.state.devices[DEVICE].bindings[POLICY].last_good
    rig.assign(*rig.documents, room.changed(TRUSTING, spec__rules=ANYWAY))
    assert rig.state.devices[DEVICE].bindings[POLICY].last_good == kept != {}
