"""Windows across what an agent does not hear: a start, a lost connection, its own pause."""

from collections.abc import Callable

import pytest

from builders import room
from builders.engine_rig import DEVICE, OCCUPIED, Rig
from foreshore_agent.engine import events, step


def policy(**feature: str) -> room.Json:
    """Rules over the mean of a minute; every decision is recorded."""
    mean = {"name": "mean", "input": "co2", "window": "1m", "aggregate": "Mean", **feature}
    permit = {"name": "high", "expression": "mean > 500.0", "reason": "High"}
    document = room.changed(
        room.policy(), spec__features=[mean], spec__rules=[permit], spec__inference={}
    )
    del document["spec"]["modelRef"]
    return document


def warm(**feature: str) -> Rig:
    """An agent that has listened for longer than the window."""
    rig = Rig((policy(**feature),))
    speak(rig, 70)
    assert rig.counted[-1][0] == "Commanded"
    return rig


def speak(rig: Rig, seconds: int) -> None:
    """Let the device speak once a second."""
    for _ in range(seconds):
        rig.wait(1.0)
        rig.sample()


def verdict_of_next(rig: Rig) -> tuple[str, str]:
    before = len(rig.counted)
    rig.sample()
    assert len(rig.counted) == before + 1
    return rig.counted[-1]


NOT_READY = ("NotApplicable", "FeatureNotReady")


def test_after_a_start_a_mean_of_a_minute_is_not_one_value() -> None:
    rig = Rig((policy(),))
    assert verdict_of_next(rig) == NOT_READY
    speak(rig, 29)
    assert verdict_of_next(rig) == NOT_READY
    assert rig.sent == []
    rig.wait(1.0)
    assert verdict_of_next(rig) == ("Commanded", "High")


def test_after_a_restart_a_mean_of_a_minute_is_not_one_value() -> None:
    """Regression: the agent came back, took one value for the mean, and commanded on it."""
    rig = warm()
    commands = len(rig.sent)
    rig.boot()
    assert verdict_of_next(rig) == NOT_READY
    assert len(rig.sent) == commands
    speak(rig, 30)
    assert verdict_of_next(rig)[0] == "Commanded"


def lose_telemetry(rig: Rig) -> None:
    rig.feed(events.TelemetryChanged, connected=False)
    rig.wait(40.0)
    rig.feed(events.TelemetryChanged, connected=True)


def suspend(rig: Rig) -> None:
    rig.slept += 40.0


def stand_still(rig: Rig) -> None:
    rig.seconds += 40.0


GAPS = [
    pytest.param(lose_telemetry, id="the connection for telemetry was lost"),
    pytest.param(suspend, id="the machine was suspended"),
    pytest.param(stand_still, id="the agent was stopped"),
]


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("wakes_by", ["a sample", "a tick"])
def test_what_was_not_heard_does_not_count(gap: Callable[[Rig], None], wakes_by: str) -> None:
    rig = warm()
    gap(rig)
    if wakes_by == "a tick":
        rig.feed(events.Tick)
    assert verdict_of_next(rig) == NOT_READY  # 20 of 60 s
    speak(rig, 30)
    assert verdict_of_next(rig)[0] == "Commanded"


@pytest.mark.parametrize("gap", GAPS)
def test_a_policy_that_asks_for_less_decides_after_the_same_gap(gap: Callable[[Rig], None]) -> None:
    rig = warm(minimumCoverage="0.3")
    gap(rig)
    assert verdict_of_next(rig) != NOT_READY  # its right may have lapsed meanwhile


def test_a_value_that_waited_while_the_connection_went_does_not_end_the_gap() -> None:
    rig = warm()
    rig.feed(events.TelemetryChanged, connected=False)
    rig.sample()
    rig.wait(40.0)
    rig.feed(events.TelemetryChanged, connected=True)
    assert verdict_of_next(rig) == NOT_READY


def test_a_connection_that_comes_up_again_at_once_costs_nothing() -> None:
    rig = warm()
    rig.feed(events.TelemetryChanged, connected=False)
    rig.feed(events.TelemetryChanged, connected=True)
    assert verdict_of_next(rig)[0] == "Commanded"


def test_a_tick_that_is_late_by_less_than_a_pause_is_no_gap() -> None:
    rig = warm(minimumCoverage="1")
    rig.seconds += step.PAUSE_SECONDS - 0.1
    assert verdict_of_next(rig)[0] == "Commanded"


def test_rows_of_a_rehearsal_lie_as_far_apart_as_they_like() -> None:
    rig = Rig((policy(),), is_virtual=True)
    for _ in range(4):
        rig.feed(events.Tick)
        rig.sample()
        rig.seconds += 20.0
    assert rig.counted[-1][0] == "Commanded"


def test_a_newly_made_feature_listens_from_its_own_first_value() -> None:
    rig = warm()
    rig.assign(policy(window="2m"))
    assert verdict_of_next(rig) == NOT_READY


def test_another_coverage_or_aggregate_keeps_what_was_heard() -> None:
    rig = warm()
    rig.assign(policy(minimumCoverage="1", aggregate="Maximum"))
    assert verdict_of_next(rig)[0] == "Commanded"


def test_silence_after_a_start_decides_nothing_on_a_window() -> None:
    document = policy()
    document["spec"]["trigger"] = {"properties": ["co2"], "afterSilence": "5s"}
    rig = Rig((document,))
    rig.feed(events.Sample, device=DEVICE, values=OCCUPIED)
    rig.wait(6.0)
    assert rig.counted[-1] == NOT_READY
