"""An agent that does not keep up says so with numbers, and not because packets come together."""

from datetime import UTC, datetime

import pytest

from foreshore_agent.engine import events
from foreshore_agent.engine.events import Key
from foreshore_agent.runtime import facts, pressure
from foreshore_api.reasons import agent, telemetry
from foreshore_decision.instant import Instant


class Minute:
    """A loop whose seconds a test makes."""

    def __init__(self) -> None:
        self.at = 100.0
        self.used = 0.0
        self.pressure = pressure.Pressure(lambda: self.used)
        self.pressure.tick(self.at)

    def second(
        self, *, busy: float = 0.5, passed: int = 0, dropped: int = 0, unwritten: int = 0
    ) -> None:
        replaced = ((telemetry.NEWER_ON_TOPIC, passed), (telemetry.DROPPED, dropped))
        at = Instant(datetime(2026, 1, 1, tzinfo=UTC), self.at, self.at)
        told = tuple(each for each in replaced if each[1])
        sample = events.Sample(at, "f", Key("hq", "a"), {}, replaced=told)
        self.pressure.measured(sample)
        self.pressure.tick(self.at + 0.5, unwritten)
        self.at += 1.0
        self.used += busy
        self.pressure.tick(self.at)

    @property
    def strain(self) -> pressure.Strain | None:
        return self.pressure.strain(self.at)


@pytest.mark.parametrize(
    ("second", "is_strained"),
    [
        pytest.param({"busy": 0.99}, False, id="busy and keeps up"),
        pytest.param({"busy": 0.3, "passed": 30}, False, id="packets that come together"),
        pytest.param({"busy": 0.95, "passed": 30}, True, id="busy and passes over"),
        pytest.param({"busy": 0.3, "dropped": 1}, True, id="waits for something and drops"),
        pytest.param({"busy": 0.1, "unwritten": 1025}, True, id="waits for the disk"),
    ],
)
def test_strain_is_what_is_lost_for_want_of_time(
    second: dict[str, float], is_strained: bool
) -> None:
    minute = Minute()
    minute.second(**second)  # type: ignore[arg-type]
    assert (minute.strain is not None) is is_strained


def test_it_says_how_many_of_how_many_and_how_busy_and_what_helps() -> None:
    minute = Minute()
    minute.second(busy=0.97, passed=29, dropped=1)
    [problem] = facts.strained("edge-1", minute.strain)
    assert problem.reason == agent.OVERLOADED
    assert "of 31 messages of devices in 1 s, 29 were passed over" in problem.message
    assert "1 were dropped; the loop was busy 97% of its busiest second" in problem.message
    assert "isolation Agent" in problem.message


def test_a_disk_that_is_behind_is_named_and_not_the_devices_that_had_to_wait_for_it() -> None:
    """Regression: while records waited for the disk nothing said why nothing was decided."""
    minute = Minute()
    minute.second(busy=0.1, passed=40, dropped=2, unwritten=1100)
    minute.second()
    [problem] = facts.strained("edge-1", minute.strain)
    assert problem.reason == agent.DISK_BEHIND
    assert problem.message.startswith("1100 writes waited for the disk")
    assert "of 44 in 2 s, 40 were passed over" in problem.message
    assert "a faster disk" in problem.message


def test_the_sentence_stands_for_a_minute_so_that_it_fills_no_log() -> None:
    minute, sentences = Minute(), set[pressure.Strain | None]()
    for number in range(120):
        minute.second(busy=0.99, passed=number + 1)
        sentences.add(minute.strain)
    assert len(sentences) == 2


def test_it_is_over_a_minute_after_the_last_strain() -> None:
    minute = Minute()
    minute.second(busy=0.99, passed=10)
    for _ in range(pressure.SECONDS - 1):
        minute.second()
    assert minute.strain is not None
    minute.second()
    minute.second()
    assert minute.strain is None
    assert facts.strained("edge-1", minute.strain) == ()
