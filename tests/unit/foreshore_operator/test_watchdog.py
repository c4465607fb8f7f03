"""The watchdog of the event loop, against calls that really block it."""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator

import pytest

from foreshore_operator import watchdog


@contextlib.asynccontextmanager
async def watched(late: list[float], work: list[float] | None = None) -> AsyncIterator[None]:
    observed = work if work is not None else []
    task = asyncio.create_task(watchdog.Watchdog(late.append, observed.append).run())
    await asyncio.sleep(0.1)
    try:
        yield
    finally:
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])


def hold_the_loop(seconds: float) -> None:
    time.sleep(seconds)  # what no code on a loop may do


def compute(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))


@pytest.mark.parametrize("block", [hold_the_loop, compute])
async def test_a_call_that_blocks_the_loop_is_measured_and_named(
    block: object, caplog: pytest.LogCaptureFixture
) -> None:
    late: list[float] = []
    async with watched(late):
        assert callable(block)
        block(0.3)
    assert max(late) > 0.2
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("the event loop stood still for ")
    assert getattr(block, "__name__", "") in line
    assert "test_watchdog.py" in line


async def test_a_stall_that_computes_is_told_from_one_that_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watched([]):
        hold_the_loop(0.3)
    (line,) = [record.getMessage() for record in caplog.records]
    used = re.search(r"\((\d+) ms of it its own", line)
    assert used is not None
    assert int(used[1]) < 150


async def test_what_the_process_worked_meanwhile_is_told_from_what_it_was_kept_waiting() -> None:
    late, worked = list[float](), list[float]()
    async with watched(late, worked):
        hold_the_loop(0.3)
    assert max(late) > 0.2
    assert max(worked) < 0.15
    async with watched(late, worked):
        until = time.process_time() + 0.2
        while time.process_time() < until:
            sum(range(1000))
    assert max(worked) > 0.15


async def test_a_loop_that_only_waits_has_no_stall_to_speak_of() -> None:
    late: list[float] = []
    async with watched(late):
        await asyncio.sleep(0.5)
    assert len(late) >= 5, "it measures all the time"
    assert sorted(late)[len(late) // 2] < watchdog.STALL


async def test_many_stalls_are_one_line_and_a_count(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    async with watched([]):
        for _ in range(3):
            hold_the_loop(0.15)
            await asyncio.sleep(0.06)
        monkeypatch.setattr(watchdog, "QUIET", 0.0)
        hold_the_loop(0.15)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) >= 2
    assert re.search(r"; [2-9] more since", lines[1])
