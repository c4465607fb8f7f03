import asyncio

import pytest

from builders import local_models
from foreshore_agent.inference.local import port, runner, worker

QUICK = port.RunOutputs({}, 1e-5)
SLOW = port.RunOutputs({}, 0.0015)


class Processor:
    """The time of a thread that runs nothing but a model, at a share of a processor."""

    def __init__(self, model: local_models.ObedientModel, share: float = 1.0) -> None:
        self._model = model
        self._share = share

    def __call__(self) -> float:
        return self._share * self._model.calls * self._model.result.seconds


def running(
    model: local_models.ObedientModel,
    seconds: float = 1e-5,
    *,
    is_bounded: bool = True,
    share: float = 1.0,
) -> runner.ModelRunner:
    return runner.ModelRunner(
        model,
        worker.ModelWorker("test"),
        seconds,
        is_bounded=is_bounded,
        processor_time=Processor(model, share),
    )


async def test_a_quick_model_runs_in_the_loop_and_a_slow_one_never() -> None:
    assert running(local_models.ObedientModel()).is_inline
    assert not running(local_models.ObedientModel(), seconds=0.002).is_inline


async def test_a_model_that_loops_as_its_inputs_say_is_never_run_in_the_loop() -> None:
    model = local_models.ObedientModel(QUICK)
    model.may_end.set()
    here = running(model, is_bounded=False)
    for _ in range(runner.QUIET + 1):
        pending = here.begin(())
        assert pending is not None
        await pending.result
    assert not here.is_inline


async def test_a_model_that_becomes_slow_leaves_the_loop_and_returns_when_it_is_quick() -> None:
    model = local_models.ObedientModel(SLOW)
    here = running(model)
    for _ in range(runner.VOTES + 1):
        assert here.is_inline
        here.run(())
    assert not here.is_inline
    model.result = QUICK
    model.may_end.set()
    for _ in range(runner.QUIET):
        assert not here.is_inline
        pending = here.begin(())
        assert pending is not None
        await pending.result
    assert here.is_inline


async def test_a_call_that_holds_the_loop_for_long_is_not_waited_for_as_often() -> None:
    here = running(local_models.ObedientModel(port.RunOutputs({}, 0.05)))
    here.run(())  # the first may be a busy machine's
    assert here.is_inline
    here.run(())
    assert not here.is_inline


async def test_slow_calls_that_quick_ones_outweigh_do_not_count() -> None:
    model = local_models.ObedientModel()
    here = running(model)
    for _ in range(4 * runner.VOTES):
        model.result = SLOW
        here.run(())
        model.result = QUICK
        here.run(())
    assert here.is_inline


async def test_a_quick_model_that_waits_for_a_busy_machine_stays_in_the_loop() -> None:
    """Other threads are let in while the runtime runs: a wait is no work."""
    model = local_models.ObedientModel(SLOW)
    here = running(model, share=0.01)
    for _ in range(4 * runner.VOTES):
        here.run(())
    assert here.is_inline


async def test_no_more_calls_wait_than_may() -> None:
    model = local_models.ObedientModel()
    here = running(model)
    pending = [here.begin(()) for _ in range(runner.MAXIMUM_WAITING)]
    assert None not in pending
    assert here.begin(()) is None
    model.may_end.set()
    await asyncio.gather(*(call.result for call in pending if call is not None))
    assert here.begin(()) is not None


async def test_a_call_that_nobody_waits_for_is_not_begun_and_one_under_way_is_ended() -> None:
    model = local_models.ObedientModel()
    here = running(model)
    first, second = here.begin(()), here.begin(())
    assert first is not None
    assert second is not None
    async with asyncio.timeout(10):
        while not model.calls:  # noqa: ASYNC110 - a thread's progress has no event
            await asyncio.sleep(0.001)
    second.result.cancel()
    first.abandon()
    assert model.ended.is_set()
    last = here.begin(())
    assert last is not None
    await last.result
    assert model.calls == 2


async def test_what_a_thread_raises_is_raised_where_it_is_waited_for() -> None:
    thread = worker.ModelWorker("test")

    def fail() -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await thread.submit(fail)
    assert await thread.submit(lambda: 1) == 1
    thread.close()
