"""The background lane of statuses: newest only, fair, bounded, and behind whatever is urgent."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from foreshore_api import v1alpha1
from foreshore_kube import apply
from foreshore_operator import defects, metrics, status_queue

WRITTEN, UNAVAILABLE = apply.WriteResult.WRITTEN, apply.WriteResult.UNAVAILABLE


def queued(name: str, generation: int = 1) -> status_queue.QueuedStatus:
    status = v1alpha1.DeviceStatus(observed_generation=generation)
    return status_queue.QueuedStatus("Device", "hq", name, status)


class ApiServer:
    """What statuses are written to: remembers the newest generation of each object."""

    def __init__(self) -> None:
        self.says: dict[str, int] = {}
        self.writes: list[tuple[float, str, int]] = []
        self.begun: list[str] = []
        self.under_way: list[str] = []
        self.bad: set[str] = set()
        self.waits: dict[str, float] = {}
        self.seconds = 0.01
        self.outcome: Callable[[str], apply.WriteResult] = lambda _name: WRITTEN

    def judge(self, queued: status_queue.QueuedStatus, waited: float) -> status_queue.Due | None:
        if self.says.get(queued.name) == queued.status.observed_generation:
            return None
        wait = max(0.0, self.waits.get(queued.name, 0.0) - waited)
        return status_queue.Due(wait, queued.name in self.bad)

    async def write(self, queued: status_queue.QueuedStatus) -> apply.WriteResult:
        generation = queued.status.observed_generation or 0
        assert queued.name not in self.under_way, "one write an object at a time"
        self.begun.append(queued.name)
        self.under_way.append(queued.name)
        assert len(self.under_way) <= status_queue.CONCURRENCY
        await asyncio.sleep(self.seconds)
        self.under_way.remove(queued.name)
        outcome = self.outcome(queued.name)
        self.writes.append((asyncio.get_running_loop().time(), queued.name, generation))
        if outcome is WRITTEN:
            self.says[queued.name] = generation
        return outcome


@contextlib.asynccontextmanager
async def running(
    server: ApiServer, figures: metrics.Metrics | None = None
) -> AsyncIterator[status_queue.StatusQueue]:
    loop = asyncio.get_running_loop()
    queue = status_queue.StatusQueue(
        server, figures or metrics.Metrics(), defects.Defects(), loop.time
    )
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.wait([task])


pytestmark = pytest.mark.looptime


async def test_only_the_newest_status_of_an_object_is_written() -> None:
    server = ApiServer()
    async with running(server) as queue:
        for generation in range(1, 6):
            queue.offer([queued("a", generation)])
        assert await queue.drained(1.0)
    assert [(name, generation) for _, name, generation in server.writes] == [("a", 5)]


async def test_a_status_that_changes_while_it_is_written_is_written_again_afterwards() -> None:
    server = ApiServer()
    async with running(server) as queue:
        queue.offer([queued("a", 1)])
        await asyncio.sleep(0.005)
        queue.offer([queued("a", 2)])
        assert await queue.drained(1.0)
    assert server.says == {"a": 2}
    assert len(server.writes) == 2


async def test_what_is_so_already_costs_no_write() -> None:
    server = ApiServer()
    server.says["a"] = 1
    async with running(server) as queue:
        queue.offer([queued("a", 1)])
        assert await queue.drained(1.0)
        assert len(queue) == 0
    assert server.writes == []


async def test_what_turned_bad_overtakes_and_the_rest_goes_by_age() -> None:
    server = ApiServer()
    server.bad = {"m1", "m3"}
    names = [f"m{number}" for number in range(30)]
    async with running(server) as queue:
        queue.offer(queued(name) for name in names)
        assert await queue.drained(1.0)
    good = [name for name in names if name not in server.bad]
    assert server.begun == ["m1", "m3", *good]


async def test_an_object_that_is_offered_anew_all_the_time_keeps_its_place() -> None:
    server = ApiServer()
    async with running(server) as queue:
        queue.offer([queued("first")])
        queue.offer(queued(f"m{number:03}") for number in range(100))
        with queue.stand_back():
            for generation in range(2, 20):
                queue.offer([queued("first", generation)])
                await asyncio.sleep(0.001)
        assert await queue.drained(5.0)
    assert "first" in server.begun[: status_queue.CONCURRENCY + 1]


async def test_no_status_is_begun_while_urgent_writes_are_under_way() -> None:
    server = ApiServer()
    async with running(server) as queue:
        with queue.stand_back():
            queue.offer(queued(f"m{number}") for number in range(50))
            await asyncio.sleep(0.5)
            assert server.under_way == []
        assert await queue.drained(1.0)
    assert len(server.writes) == 50


async def test_a_storm_of_urgent_writes_delays_statuses_and_does_not_silence_them() -> None:
    server = ApiServer()
    async with running(server) as queue:
        with queue.stand_back():
            queue.offer([queued("a")])
            await asyncio.sleep(status_queue.YIELD + 0.1)
            assert server.says == {"a": 1}


async def test_a_status_of_an_object_with_an_urgent_write_waits_for_the_end_of_the_storm() -> None:
    """It gave the object another version a moment before its grant, which then failed."""
    server = ApiServer()
    async with running(server) as queue:
        with queue.stand_back({("Device", "hq", "granted")}):
            queue.offer([queued("granted"), queued("other")])
            await asyncio.sleep(3 * status_queue.YIELD)
            assert server.says == {"other": 1}
        await asyncio.sleep(2 * status_queue.BEHIND)
    assert server.says == {"other": 1, "granted": 1}


@pytest.mark.parametrize("moment", ["before it is begun", "while it is written"])
async def test_a_status_that_is_overtaken_is_not_tried_again(moment: str) -> None:
    server = ApiServer()
    server.outcome = lambda _name: apply.WriteResult.MOVED_ON
    async with running(server) as queue:
        with queue.stand_back() if moment == "before it is begun" else contextlib.nullcontext():
            queue.offer([queued("granted")])
            await asyncio.sleep(server.seconds / 2)
            queue.withdraw(("Device", "hq", "granted"))
            assert len(queue) == 0
        await asyncio.sleep(status_queue.LONGEST)
    assert len(server.begun) == (moment == "while it is written")


async def test_a_write_that_does_not_get_through_is_tried_again_ever_more_rarely() -> None:
    server, figures = ApiServer(), metrics.Metrics()
    server.outcome = lambda _name: UNAVAILABLE
    async with running(server, figures) as queue:
        queue.offer([queued("a")])
        await asyncio.sleep(600.0)
        moments = [moment for moment, _, _ in server.writes]
        server.outcome = lambda _name: WRITTEN
        await asyncio.sleep(status_queue.LONGEST + 1.0)
        assert len(queue) == 0
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert gaps[0] <= 1.1
    assert max(gaps) <= status_queue.LONGEST + 0.1
    assert 8 <= len(moments) <= 25
    assert server.says == {"a": 1}
    retries = figures.registry.get_sample_value("foreshore_operator_status_retries_total")
    assert retries == len(moments)


async def test_one_object_that_never_gets_through_holds_up_no_other() -> None:
    server = ApiServer()
    server.bad = {"poison"}
    server.outcome = lambda name: UNAVAILABLE if name == "poison" else WRITTEN
    async with running(server) as queue:
        queue.offer([queued("poison"), *(queued(f"m{number}") for number in range(100))])
        await queue.drained(1.0)
    assert len(server.says) == 100


async def test_offering_the_same_again_does_not_shorten_a_wait() -> None:
    server = ApiServer()
    server.outcome = lambda _name: UNAVAILABLE
    async with running(server) as queue:
        for _ in range(200):
            queue.offer([queued("a")])
            await asyncio.sleep(0.05)
    assert len(server.writes) <= 6


async def test_a_status_that_has_to_wait_for_its_moment_is_written_then() -> None:
    server = ApiServer()
    server.waits["a"] = 3.0
    async with running(server) as queue:
        began = asyncio.get_running_loop().time()
        queue.offer([queued("a", 1)])
        await asyncio.sleep(1.0)
        queue.offer([queued("a", 2)])
        await asyncio.sleep(2.5)
    ((moment, _, generation),) = server.writes
    assert moment - began == pytest.approx(3.01, abs=0.05)
    assert generation == 2


@pytest.mark.parametrize("how", ["the lead is lost", "a write says so"])
async def test_who_no_longer_leads_writes_nothing_that_was_queued(how: str) -> None:
    server = ApiServer()
    async with running(server) as queue:
        queue.offer(queued(f"m{number}") for number in range(100))
        await asyncio.sleep(0.005)
        if how == "the lead is lost":
            queue.drop()
        else:
            server.outcome = lambda _name: apply.WriteResult.NOT_LEADING
        await asyncio.sleep(5.0)
        assert len(queue) == 0
    assert len(server.writes) <= status_queue.CONCURRENCY


async def test_an_error_that_nobody_thought_of_ends_nothing_and_is_counted() -> None:
    server = ApiServer()
    kinds: list[str] = []

    def surprise(name: str) -> apply.WriteResult:
        if name == "bad":
            raise ZeroDivisionError
        return WRITTEN

    server.outcome = surprise
    loop = asyncio.get_running_loop()
    met = defects.Defects(kinds.append)
    queue = status_queue.StatusQueue(server, metrics.Metrics(), met, loop.time)
    task = asyncio.create_task(queue.run())
    queue.offer([queued("bad"), queued("good")])
    await asyncio.sleep(1.0)
    task.cancel()
    assert server.says == {"good": 1}
    assert kinds == ["Device"]


async def test_the_end_waits_for_what_is_due_and_no_longer_than_it_may() -> None:
    server = ApiServer()
    server.seconds = 10.0
    async with running(server) as queue:
        queue.offer([queued("a")])
        began = asyncio.get_running_loop().time()
        assert not await queue.drained(0.5)
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.5, abs=0.01)


async def test_the_length_and_the_age_of_the_oldest_are_figures() -> None:
    server, figures = ApiServer(), metrics.Metrics()
    server.waits = {"a": 100.0, "b": 100.0}

    def figure(name: str) -> float | None:
        return figures.registry.get_sample_value(f"foreshore_operator_status_queue{name}")

    async with running(server, figures) as queue:
        queue.offer([queued("a"), queued("b")])
        await asyncio.sleep(10.0)
        assert figure("") == 2.0
        assert figure("_oldest_seconds") == pytest.approx(10.0, abs=0.1)


STEPS = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(["offer", "offer", "offer", "wait", "fail", "work", "stand"]),
        strategies.integers(0, 9),
        strategies.floats(0.0, 2.0),
    ),
    max_size=60,
)


@hypothesis.given(STEPS)
def test_whatever_happens_the_newest_of_each_is_said_in_the_end(
    steps: Sequence[tuple[str, int, float]],
) -> None:
    async def play() -> tuple[dict[str, int], dict[str, int]]:
        server, newest = ApiServer(), dict[str, int]()
        async with running(server) as queue:
            with contextlib.ExitStack() as urgent:
                for step, number, seconds in steps:
                    await _played(step, f"m{number}", seconds, server, queue, newest, urgent)
            server.outcome = lambda _name: WRITTEN
            await asyncio.sleep(3 * status_queue.LONGEST)
            assert len(queue) == 0
            assert queue.oldest() == 0.0
        return server.says, newest

    says, newest = in_virtual_time(play)
    assert says == newest


async def _played(
    step: str,
    name: str,
    seconds: float,
    server: ApiServer,
    queue: status_queue.StatusQueue,
    newest: dict[str, int],
    urgent: contextlib.ExitStack,
) -> None:
    match step:
        case "offer":
            newest[name] = newest.get(name, 0) + 1
            queue.offer([queued(name, newest[name])])
        case "wait":
            await asyncio.sleep(seconds)
        case "fail":
            server.outcome = lambda _name: UNAVAILABLE
        case "work":
            server.outcome = lambda _name: WRITTEN
        case _:
            urgent.enter_context(queue.stand_back({("Device", "hq", name)}))


def in_virtual_time(play: Callable[[], Any]) -> Any:
    import looptime

    loop = looptime.new_event_loop()
    try:
        return loop.run_until_complete(play())
    finally:
        loop.close()
