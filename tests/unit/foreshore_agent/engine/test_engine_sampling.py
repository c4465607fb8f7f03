"""Telemetry that comes twice, late, out of the past or out of the future."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import room
from builders.engine_rig import DEVICE, OCCUPIED, START, Rig
from foreshore_agent.engine import effects, events, step
from foreshore_agent.engine.events import Key


def stamped(rig: Rig, seconds: float, co2: float = 900.0) -> None:
    moment = START + timedelta(seconds=seconds)
    values = {**OCCUPIED, "co2": co2}
    stamps = dict.fromkeys(values, moment)
    rig.feed(events.Sample, device=DEVICE, values=values, sampled_at=stamps)


def results(rig: Rig) -> list[str]:
    """What became of the samples that were not accepted."""
    return [result for result in every_result(rig) if result != "Accepted"]


def every_result(rig: Rig) -> list[str]:
    return [
        each.labels[0]
        for each in rig.seen
        if isinstance(each, effects.Count) and each.metric == "foreshore_telemetry_messages_total"
    ]


def test_a_sample_with_the_stamp_of_the_newest_is_a_duplicate() -> None:
    rig = Rig()
    stamped(rig, 0)
    stamped(rig, 0)
    assert results(rig) == ["Duplicate"]
    assert len(rig.counted) == 1


def test_every_sample_is_counted_once_by_what_became_of_it() -> None:
    rig = Rig()
    stamped(rig, 0)
    stamped(rig, 0)
    stamped(rig, -5)
    rig.feed(events.Sample, device=Key("hq", "gone"), values=OCCUPIED)
    assert every_result(rig) == ["Accepted", "Duplicate", "Late", "Unassigned"]


def test_a_sample_older_than_the_newest_is_late() -> None:
    rig = Rig()
    stamped(rig, 10)
    stamped(rig, 5, co2=2000.0)
    assert results(rig) == ["Late"]
    assert rig.state.devices[DEVICE].readings["co2"].value == 900.0


@pytest.mark.parametrize("distance", [1, 10, 100])
def test_every_sample_of_a_batch_counts_and_of_the_same_batch_again_none(distance: int) -> None:
    """They come at one instant, however far apart they were measured."""
    rig = Rig()
    batch = [(number * distance, 900.0 + number) for number in range(5)]
    for seconds, co2 in batch:
        stamped(rig, seconds, co2)
    assert every_result(rig) == ["Accepted"] * 5
    assert rig.state.devices[DEVICE].readings["co2"].value == 904.0
    for seconds, co2 in batch:
        stamped(rig, seconds, co2)
    assert set(results(rig)) == {"Late", "Duplicate"}
    assert rig.state.devices[DEVICE].readings["co2"].value == 904.0


def test_a_redelivered_sample_without_a_stamp_is_a_duplicate() -> None:
    rig = Rig()
    rig.sample()
    rig.feed(events.Sample, device=DEVICE, values=OCCUPIED, redelivered=True)
    assert results(rig) == ["Duplicate"]


def test_a_redelivered_sample_that_was_never_seen_counts() -> None:
    rig = Rig()
    rig.feed(events.Sample, device=DEVICE, values=OCCUPIED, redelivered=True)
    assert len(rig.counted) == 1


def test_what_the_broker_had_kept_says_nothing_about_now() -> None:
    rig = Rig()
    rig.feed(events.Sample, device=DEVICE, values=OCCUPIED, retained=True)
    assert results(rig) == ["Retained"]
    assert rig.counted == []


def test_a_stamp_from_the_future_makes_a_value_no_younger() -> None:
    rig = Rig()
    stamped(rig, 1e6)
    rig.wait(91)
    rig.sample(co2=900.0)
    assert rig.counted[-1] == ("NotApplicable", "InputStale")


def test_a_device_whose_clock_was_set_back_is_heard_again() -> None:
    rig = Rig()
    stamped(rig, 1e6)
    rig.wait(30)
    stamped(rig, 30)
    assert results(rig) == ["Late"]
    rig.wait(31)
    stamped(rig, 61)
    stamped(rig, 62)
    assert len(rig.counted) == 3


def test_one_stamp_from_the_future_does_not_blind() -> None:
    rig = Rig()
    stamped(rig, 0)
    rig.wait(1)
    stamped(rig, 86400)
    stamped(rig, 86400)
    assert results(rig) == ["Duplicate"]
    for second in range(2, 6):
        rig.wait(1)
        stamped(rig, second, co2=900.0 + second)
    assert results(rig) == ["Duplicate"]
    assert len(rig.counted) == 6


def test_a_device_that_sets_its_clock_forward_is_heard_all_along() -> None:
    rig = Rig()
    for second in (0, 1, 3602, 3603, 3604):
        stamped(rig, second)
        rig.wait(1)
    assert results(rig) == []
    stamped(rig, 3604)
    assert results(rig) == ["Duplicate"]


def test_a_bad_property_of_a_late_message_spoils_no_good_reading() -> None:
    rig = Rig()
    stamped(rig, 10)
    old = {"co2": START + timedelta(seconds=5)}
    bad = {"light": "NonFinite"}
    rig.feed(events.Sample, device=DEVICE, values={"co2": 1.0}, sampled_at=old, refused=bad)
    assert rig.state.devices[DEVICE].readings["light"].value == 400.0
    assert results(rig) == ["Late"]


def test_a_bad_property_of_a_redelivered_message_spoils_no_good_reading() -> None:
    rig = Rig()
    rig.sample()
    rig.feed(
        events.Sample, device=DEVICE, values={}, refused={"light": "NonFinite"}, redelivered=True
    )
    assert rig.state.devices[DEVICE].readings["light"].value == 400.0


def test_a_bad_property_of_a_new_message_counts_at_once() -> None:
    rig = Rig()
    rig.sample()
    rig.feed(events.Sample, device=DEVICE, values={}, refused={"light": "NonFinite"})
    assert rig.state.devices[DEVICE].readings["light"].problem == "NonFinite"


@settings(max_examples=40)
@given(st.data())
def test_duplicated_and_reordered_telemetry_decides_the_same_or_is_refused(
    data: st.DataObject,
) -> None:
    clean = [(index, 500.0 + 100 * index) for index in range(5)]
    noisy: list[tuple[int, float]] = []
    for position, sample in enumerate(clean):
        noisy.append(sample)
        if position and data.draw(st.booleans()):
            noisy.append(clean[data.draw(st.integers(0, position))])
    seen = []
    for stream in (clean, noisy):
        rig = Rig()
        for index, co2 in stream:
            stamped(rig, index, co2)
        seen.append([each["recommendation"]["input"] for each in rig.decisions])
    assert seen[0] == seen[1]


def test_every_event_has_its_step() -> None:
    assert set(step.TABLE) == set(events.Event.__args__)


@pytest.mark.parametrize("kind", [events.Inferred, events.IntentDurable, events.CommandSent])
def test_an_answer_to_a_question_of_nobody_does_nothing(kind: type) -> None:
    rig = Rig()
    before = rig.state
    fields: dict[type, dict[str, object]] = {
        events.Inferred: {"decision_id": "x", "outputs": {}},
        events.IntentDurable: {"decision_id": "x"},
        events.CommandSent: {"command_id": "x/1"},
    }
    rig.feed(kind, **fields[kind])
    assert rig.state == before


def rates(*samples: tuple[float, float | None, float]) -> list[float | None]:
    """How fast CO2 changes at each sample: seconds of receipt, of the device's time, the value."""
    rig, seen = Rig(), []
    for came, sampled, co2 in samples:
        rig.seconds = came
        stamps = {} if sampled is None else {"co2": START + timedelta(seconds=sampled)}
        rig.feed(events.Sample, device=DEVICE, values={"co2": co2}, sampled_at=stamps)
        seen.append(rig.state.devices[DEVICE].readings["co2"].rate)
    return seen


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        pytest.param([(10.0, 0.0, 900.0), (10.0, 2.0, 910.0)], 5.0, id="of a batch"),
        pytest.param([(10.0, 0.0, 900.0), (10.0, 600.0, 960.0)], 0.1, id="of a slow batch"),
        pytest.param([(10.0, None, 900.0), (10.0, None, 910.0)], None, id="when nothing tells"),
        pytest.param([(10.0, None, 900.0), (12.0, None, 910.0)], 5.0, id="by receipt"),
        pytest.param([(10.0, 0.0, 900.0), (12.0, None, 910.0)], 5.0, id="with one time alone"),
        pytest.param([(12.0, 0.0, 900.0), (12.1, 10.0, 910.0)], 100.0, id="a clock that leaps"),
        pytest.param([(10.0, 0.0, 900.0), (12.1, 4.0, 910.0)], 2.5, id="one that was under way"),
        pytest.param([(10.0, 9.0, 900.0), (80.0, 0.0, 970.0)], 1.0, id="a clock that is set back"),
    ],
)
def test_how_fast_a_value_changes_is_told_by_the_times_that_can_tell(
    samples: list[tuple[float, float | None, float]], rate: float | None
) -> None:
    """Regression: the second sample of a batch had changed in no time, and was implausible."""
    assert rates(*samples)[-1] == (rate if rate is None else pytest.approx(rate))


def test_a_batch_is_plausible_where_the_rate_of_change_is_bounded() -> None:
    document = room.policy()
    document["spec"]["inputs"][0]["maximumRate"] = 50
    rig = Rig((room.profile(), document))
    for seconds in range(5):
        stamped(rig, seconds, co2=900.0 + seconds)
    assert "InputImplausible" not in [reason for _, reason in rig.counted]
