"""When the next pass is due: an answer of the hub without news makes none."""

import asyncio
import contextlib
import types
from typing import Any, cast

import pytest

from foreshore_api import v1alpha1
from foreshore_operator import defects, dirty, metrics, passes, status_queue
from foreshore_planner.world import delta

pytestmark = pytest.mark.looptime

UNLESS_HEARD = 2.5
"""Seconds after a pass until agents count as silent, if the hub says nothing more."""


class FakeDecider:
    """Nothing is ever to be done; the hub answers for so many seconds after the first pass."""

    is_begun_anew = False

    def __init__(self, answers_for: float) -> None:
        self.answers_for, self.made_at = answers_for, list[float]()

    async def decide(self) -> delta.PlanDelta:
        self.made_at.append(clock())
        return delta.PlanDelta({}, (), (), (), frozenset(), wake_unless_heard=UNLESS_HEARD)

    def heard_later(self) -> float:
        if not self.made_at:
            return 0.0
        last = min(clock(), self.made_at[0] + self.answers_for)
        return max(0.0, last - self.made_at[-1])

    async def close(self) -> None:
        """Nothing is compared."""


class Quiet:
    """Whatever else a pass asks or tells."""

    is_leader = False
    full_pass_seconds, whole_pass_seconds = 30.0, 300.0
    hub = None

    def __getattr__(self, _: str) -> Any:
        return self

    def __call__(self, *_: Any) -> Any:
        return self


class Unrested:
    """Marks of a replica that does not rest, as one that leads."""

    async def rest(self, _: float) -> None:
        """It does not."""


class Unmarked(Unrested):
    """Nothing is ever dirty."""

    async def wait(self, patience: float) -> frozenset[Any]:
        await asyncio.sleep(patience)
        return frozenset()


class MarkedOnce(Unrested):
    """Something is dirty once, after two seconds."""

    def __init__(self) -> None:
        self.at: float | None = 2.0

    async def wait(self, patience: float) -> frozenset[Any]:
        if self.at is None or patience < self.at:
            await asyncio.sleep(patience)
            return frozenset()
        await asyncio.sleep(self.at)
        self.at = None
        return frozenset({"a node is lost"})


def clock() -> float:
    return asyncio.get_running_loop().time()


def loop_of(decider: FakeDecider) -> passes.Passes:
    quiet = cast(Any, Quiet())
    return passes.Passes(
        settings=quiet,
        store=quiet,
        hub=None,
        leader=quiet,
        act=quiet,
        marks=cast(Any, Unmarked()),
        figures=quiet,
        probes=quiet,
        compilations=quiet,
        defects=quiet,
        decider=cast(Any, decider),
        clock=clock,
    )


async def passed(loop: passes.Passes, seconds: float) -> None:
    """Pass after pass, for so many seconds of virtual time."""

    async def pass_after_pass() -> None:
        patience = 0.0
        while True:
            patience = await loop.turn(patience)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await pass_after_pass()


async def test_a_hub_that_answers_without_news_makes_no_pass() -> None:
    """There was a pass every three seconds in a fleet in which nothing happened."""
    decider = FakeDecider(answers_for=600.0)
    await passed(loop_of(decider), 300.0)
    assert len(decider.made_at) == pytest.approx(10, abs=1), "the level trigger alone"


async def test_a_hub_that_falls_silent_makes_a_pass_as_soon_as_that_means_something() -> None:
    decider = FakeDecider(answers_for=20.0)
    await passed(loop_of(decider), 24.0)
    began, second = decider.made_at[:2]
    assert second - began == pytest.approx(20.0 + UNLESS_HEARD, abs=passes.SPACING)


class FailingDecider(FakeDecider):
    """Its second pass meets a defect."""

    async def decide(self) -> delta.PlanDelta:
        made = await super().decide()
        if len(self.made_at) == 2:
            raise RuntimeError("a defect")
        return made

    def begin_anew(self) -> None:
        """Nothing is kept."""


async def test_a_pass_that_failed_is_made_again_soon_although_nothing_is_dirty() -> None:
    """What it had taken in was lost until the next full pass, half a minute later."""
    decider = FailingDecider(answers_for=600.0)
    loop = loop_of(decider)
    loop.marks = cast(Any, MarkedOnce())
    await passed(loop, 60.0)
    _, failed, again = decider.made_at[:3]
    assert again - failed == pytest.approx(passes.FAILED, abs=passes.SPACING)


class LeadingDecider(FakeDecider):
    """Counts how often everything was asked for."""

    wholes = 0

    def everything(self, made: delta.PlanDelta) -> delta.PlanDelta:
        self.wholes += 1
        return made

    async def granted(self, _: Any) -> tuple[dict[Any, Any], tuple[()]]:
        return {}, ()

    async def rows(self, _: Any) -> tuple[tuple[()], tuple[()]]:
        return (), ()


class LeadingAct(Quiet):
    """Writes nothing, and has a queue of statuses."""

    def __init__(self) -> None:
        self.queue = status_queue.StatusQueue(
            cast(Any, None), metrics.Metrics(), defects.Defects(), clock
        )

    async def carry_out(self, *_: Any) -> None:
        """Nothing is due."""


async def test_statuses_that_were_dropped_are_said_anew_by_a_leader_that_leads_again() -> None:
    """The lead was lost and won within one pass: they were left unsaid for five minutes."""
    decider = LeadingDecider(answers_for=600.0)
    loop, acting = loop_of(decider), LeadingAct()
    loop.act = cast(Any, acting)
    loop.leader = cast(Any, types.SimpleNamespace(is_leader=True))
    for _ in range(2):
        await loop.once()
    assert decider.wholes == 1
    acting.queue.drop()
    await loop.once()
    assert decider.wholes == 1, "nothing waited, nothing was lost"
    status = v1alpha1.DeviceStatus(observed_generation=1)
    acting.queue.offer([status_queue.QueuedStatus("Device", "hq", "room", status)])
    acting.queue.drop()
    for _ in range(2):
        await loop.once()
    assert decider.wholes == 2


async def test_a_replica_that_follows_lets_changes_gather_until_it_leads() -> None:
    """Both replicas did the same work, ten times what the one that only follows has to do."""
    decider, marks = FakeDecider(answers_for=600.0), dirty.Dirty()
    loop = loop_of(decider)
    loop.marks = marks

    async def changes() -> None:
        while True:
            marks.mark("node", urgent=True)
            await asyncio.sleep(0.1)

    changing = asyncio.create_task(changes())
    asyncio.get_running_loop().call_later(31.0, marks.mark, dirty.LEADERSHIP)
    await passed(loop, 32.0)
    changing.cancel()
    made = decider.made_at
    assert len(made) == pytest.approx(8, abs=1)
    assert any(at == pytest.approx(31.0, abs=0.3) for at in made), "its turn has come"
