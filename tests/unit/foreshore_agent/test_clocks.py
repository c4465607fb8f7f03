from datetime import UTC

from foreshore_agent import clocks


def test_the_world_has_one_boot_and_three_clocks() -> None:
    clock = clocks.SystemClock()
    first, second = clock.instant(), clock.instant()
    assert not clock.virtual
    assert len(clock.boot_id) == 36
    assert first.now.tzinfo is UTC
    assert second.monotonic >= first.monotonic
    assert second.boot >= first.boot
