"""The clocks of a rehearsal: one stands at a row, one is exact between rows and real within."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.rehearse import clock

ORIGIN = datetime(2015, 2, 2, 14, 19, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_frozen_clock_stands_until_it_is_advanced_and_never_goes_back() -> None:
    frozen = clock.FrozenClock(ORIGIN, b"seed")
    frozen.advance(ORIGIN + SECOND)
    frozen.advance(ORIGIN)
    at = frozen.instant()
    assert at.now == frozen.now() == ORIGIN + SECOND
    assert at.monotonic == at.boot == frozen.monotonic() == (ORIGIN + SECOND).timestamp()


@given(st.lists(st.integers(0, 3600), max_size=50), st.binary(min_size=1, max_size=80))
def test_identities_are_uuids_of_version_7_that_sort_as_they_were_made_and_repeat(
    waits: list[int], seed: bytes
) -> None:
    def made() -> list[str]:
        frozen = clock.FrozenClock(ORIGIN, seed)
        found = [frozen.identity()]
        for wait in waits:
            frozen.advance(frozen.now() + wait * SECOND)
            found.append(frozen.identity())
        return found

    first = made()
    assert first == made()
    assert first == sorted(set(first))
    assert {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in first} == {
        (7, uuid.RFC_4122)
    }
    assert uuid.UUID(first[0]).int >> 80 == int(ORIGIN.timestamp() * 1000)


async def nothing() -> None:
    return None


async def test_time_stands_until_the_first_row_however_long_the_start_takes() -> None:
    ours = clock.PacedClock(ORIGIN)
    await asyncio.sleep(0.002)
    assert ours.now() == ORIGIN


async def test_time_stands_before_the_next_row_while_this_one_is_decided() -> None:
    ours = clock.PacedClock(ORIGIN)
    next_row = ORIGIN + timedelta(microseconds=2)
    await ours.forward(ORIGIN, next_row, nothing)
    await asyncio.sleep(0.001)
    assert ORIGIN <= ours.now() < next_row
    assert ours.now() == ours.now(), "it stands"


async def test_forward_is_exact_and_the_monotonic_clock_skips_what_is_skipped() -> None:
    ours = clock.PacedClock(ORIGIN)
    before = ours.monotonic()
    await ours.forward(ORIGIN + 60 * SECOND, ORIGIN + 61 * SECOND, nothing)
    at = ours.instant()
    assert ORIGIN + 60 * SECOND <= at.now < ORIGIN + 61 * SECOND
    assert 59 < at.monotonic - before < 61.5


async def test_sleepers_wake_on_the_way_each_at_its_own_moment() -> None:
    ours = clock.PacedClock(ORIGIN)
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await ours.sleep(seconds)
        woken.append((name, round((ours.now() - ORIGIN).total_seconds(), 1)))

    tasks = [asyncio.create_task(sleep(name, each)) for name, each in (("b", 20), ("a", 10))]
    tasks.append(asyncio.create_task(sleep("never", 600)))
    await asyncio.sleep(0)
    await ours.forward(ORIGIN + 60 * SECOND, None, lambda: asyncio.sleep(0.001))
    assert woken == [("a", 10.0), ("b", 20.0)]
    assert ours.latest_sleeper is not None
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_row_from_the_past_does_not_turn_time_back() -> None:
    ours = clock.PacedClock(ORIGIN)
    await ours.forward(ORIGIN + 60 * SECOND, None, nothing)
    now, monotonic = ours.now(), ours.monotonic()
    await ours.forward(ORIGIN, None, nothing)
    assert ours.now() >= now
    assert ours.monotonic() >= monotonic


async def test_at_a_pace_time_flows_and_never_steps_back() -> None:
    ours = clock.PacedClock(ORIGIN, 1000.0)
    task = asyncio.create_task(ours.forward(ORIGIN + 30 * SECOND, None, nothing))
    seen = []
    while not task.done():
        seen.append((ours.now(), ours.monotonic()))
        await asyncio.sleep(0.001)
    seen.append((ours.now(), ours.monotonic()))
    assert seen == sorted(seen)
    assert [each[1] for each in seen] == sorted(each[1] for each in seen)
    assert any(ORIGIN + SECOND < moment < ORIGIN + 29 * SECOND for moment, _ in seen)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        clock.PacedClock(ORIGIN, speed)
