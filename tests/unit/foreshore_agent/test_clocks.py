import time
from datetime import UTC, datetime, timedelta

import pytest

from foreshore_agent import clocks

ORIGIN = datetime(2015, 2, 2, 14, 19, tzinfo=UTC)


def test_a_recording_stands_still_until_it_starts() -> None:
    clock = clocks.RecordingClock(ORIGIN, speed=1e6)
    assert clock.now() == clock.instant().now == ORIGIN
    assert clock.virtual


def test_a_recording_runs_so_many_times_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = clocks.RecordingClock(ORIGIN, speed=600)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    clock.start()
    monkeypatch.setattr(time, "monotonic", lambda: 100.5)
    clock.start()
    assert clock.now() == ORIGIN + timedelta(minutes=5)
    assert clock.monotonic() == 100.5


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        clocks.RecordingClock(ORIGIN, speed)


def test_the_world_has_one_boot_and_three_clocks() -> None:
    clock = clocks.SystemClock()
    first, second = clock.instant(), clock.instant()
    assert len(clock.boot_id) == 36
    assert first.now.tzinfo is UTC
    assert second.monotonic >= first.monotonic
    assert second.boot >= first.boot
