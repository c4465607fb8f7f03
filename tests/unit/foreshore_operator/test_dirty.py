"""When a pass is due."""

import asyncio

import pytest

from foreshore_operator import dirty


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_a_burst_is_one_pass_after_a_moment_of_quiet() -> None:
    marks = dirty.Dirty()
    for name in "abc":
        marks.mark(name)

    assert await marks.wait(30) == {"a", "b", "c"}
    assert now() == pytest.approx(0.05)


@pytest.mark.looptime
async def test_a_storm_without_quiet_is_cut_off() -> None:
    marks = dirty.Dirty()

    async def storm() -> None:
        for number in range(100):
            marks.mark(number)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(storm())
    await marks.wait(30)

    assert now() == pytest.approx(0.25, abs=0.03)
    task.cancel()


@pytest.mark.looptime
async def test_what_is_urgent_waits_for_nothing() -> None:
    marks = dirty.Dirty()
    marks.mark("node", urgent=True)

    await marks.wait(30)

    assert now() == 0


@pytest.mark.looptime
async def test_something_urgent_cuts_the_wait_of_something_that_is_not() -> None:
    marks = dirty.Dirty()
    marks.mark("policy")
    asyncio.get_running_loop().call_later(0.01, lambda: marks.mark("node", urgent=True))

    await marks.wait(30)

    assert now() == pytest.approx(0.01)


@pytest.mark.looptime
async def test_a_pass_is_due_although_nothing_changed() -> None:
    assert await dirty.Dirty().wait(30) == frozenset()
    assert now() == pytest.approx(30)


@pytest.mark.looptime
async def test_a_mark_made_during_a_pass_is_not_lost() -> None:
    marks = dirty.Dirty()
    marks.mark("a")
    await marks.wait(30)
    marks.mark("b")

    assert await marks.wait(30) == {"b"}


@pytest.mark.looptime
async def test_who_rests_hears_of_nothing_but_its_turn_to_lead() -> None:
    marks = dirty.Dirty()
    marks.mark("node", urgent=True)
    await marks.rest(5.0)
    assert now() == 5.0

    asyncio.get_running_loop().call_later(1.0, marks.mark, dirty.LEADERSHIP)
    await marks.rest(5.0)
    assert now() == 6.0
    assert await marks.wait(30) == {"node", dirty.LEADERSHIP}, "none was taken"
    await marks.rest(5.0)
    assert now() == 11.0, "its turn has come and gone"
