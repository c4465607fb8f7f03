"""The agent itself is asked first; what the others answer, and how it is told."""

import asyncio
from collections.abc import Callable

import pytest

from builders import local_models
from foreshore_agent.engine import effects, events
from foreshore_agent.inference import own_first
from foreshore_agent.inference import port as inference
from foreshore_agent.inference.local import port, replica, runner, worker
from foreshore_api.wire import assignment, record
from foreshore_decision import served

MODEL = served.Served("occupancy", "occupancy-v1", "sha256:" + "ab" * 32)
HERE = assignment.Endpoint(
    slot="r0", role=assignment.Role.ACTIVE, node="edge-1", url="agent:" + "ab" * 32
)
FAILURE = port.RunFailure("NonFiniteOutput", 1e-5)
ELSEWHERE = inference.ModelAnswer(
    MODEL,
    {"probabilities": (0.5, 0.5)},
    (record.Attempt(slot="r1", node="edge-2", result="Answered", seconds=0.001),),
    "edge-2",
    0.001,
    None,
)
NOWHERE = inference.Unanswered(
    "Unreachable",
    (record.Attempt(slot="r1", node="edge-2", result="Failed", reason="Unreachable"),),
    is_late=False,
)
Result = inference.ModelAnswer | inference.Unanswered


class Case:
    """One question to a model here, and to others that answer when they are let."""

    def __init__(self, result: port.RunOutputs | port.RunFailure, *, is_quick: bool = True) -> None:
        self.model = local_models.ObedientModel(result)
        seconds = 1e-5 if is_quick else 0.01
        self.runner = runner.ModelRunner(
            self.model, worker.ModelWorker("test"), seconds, is_bounded=True
        )
        self.own = replica.LocalReplica(HERE, MODEL, lambda _: self.runner)
        self.results: list[Result] = []
        self.answer_elsewhere: list[Callable[[Result], None]] = []
        self.is_over = asyncio.Event()

    def ask(self, seconds: float, *, has_others: bool = True) -> None:
        key = events.Key("hq", "policy")
        asked = effects.Infer("id", key, key, MODEL.name, MODEL.digest, (), seconds)
        others = self._others if has_others else None
        own_first.ask(self.own, self.runner, asked, others, self._take)

    def _others(self, seconds: float, then: inference.Then) -> None:
        assert seconds >= 0
        self.answer_elsewhere.append(then)

    def _take(self, result: Result) -> None:
        self.results.append(result)
        self.is_over.set()

    async def result(self) -> Result:
        async with asyncio.timeout(10):
            await self.is_over.wait()
        await asyncio.sleep(0.01)
        assert len(self.results) == 1, "its end is made known once"
        return self.results[0]

    async def asked_elsewhere(self) -> Callable[[Result], None]:
        async with asyncio.timeout(10):
            while not self.answer_elsewhere:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.001)
        assert len(self.answer_elsewhere) == 1, "the others are asked once"
        return self.answer_elsewhere[0]

    @property
    def counts(self) -> tuple[int, int, int]:
        reported = self.own.report("hq", "policy", asyncio.get_running_loop().time())
        return reported.good, reported.late, reported.failed


def attempts(result: Result) -> list[tuple[str, str, str | None]]:
    return [(attempt.slot, attempt.result, attempt.reason) for attempt in result.attempts]


async def test_a_quick_model_has_answered_before_ask_returns() -> None:
    case = Case(local_models.OUTPUTS)
    case.ask(1.0)
    (result,) = case.results
    assert isinstance(result, inference.ModelAnswer)
    assert (result.model, result.node) == (MODEL, "edge-1")
    assert result.network == 0.0, "there is none between"
    assert result.inference == pytest.approx(result.attempts[0].seconds, abs=1e-6)
    assert attempts(result) == [("r0", "Answered", None)]
    assert case.counts == (1, 0, 0)


async def test_where_it_fails_the_others_answer_and_the_record_has_both() -> None:
    case = Case(FAILURE)
    case.ask(1.0)
    assert case.results == []
    (await case.asked_elsewhere())(ELSEWHERE)
    result = await case.result()
    assert isinstance(result, inference.ModelAnswer)
    assert attempts(result) == [("r0", "Failed", "NonFiniteOutput"), ("r1", "Answered", None)]
    assert case.counts == (0, 0, 1)
    assert not case.own.has_rested(0.0), "the others are asked first for a while"


async def test_where_nobody_else_is_it_fails_at_once_with_its_reason() -> None:
    case = Case(FAILURE)
    case.ask(1.0, has_others=False)
    (result,) = case.results
    assert isinstance(result, inference.Unanswered)
    assert (result.reason, result.is_late) == ("NonFiniteOutput", False)


async def test_a_wrong_question_blames_nobody() -> None:
    case = Case(port.RunFailure("OutOfRange", 1e-5, is_request_wrong=True))
    case.ask(1.0, has_others=False)
    assert case.counts == (0, 0, 0)
    assert case.own.has_rested(0.0)


async def test_a_slow_model_answers_later_and_alone_if_it_is_in_time() -> None:
    case = Case(local_models.OUTPUTS, is_quick=False)
    case.model.may_end.set()
    case.ask(30.0)
    assert case.results == []
    result = await case.result()
    assert isinstance(result, inference.ModelAnswer)
    assert case.answer_elsewhere == []


async def test_the_others_are_asked_beside_a_slow_model_and_the_first_answer_counts() -> None:
    case = Case(local_models.OUTPUTS, is_quick=False)
    case.ask(0.05)
    (await case.asked_elsewhere())(ELSEWHERE)
    result = await case.result()
    assert attempts(result) == [("r0", "Late", "Overtaken"), ("r1", "Answered", None)]
    assert case.model.ended.is_set(), "nobody waits for it any more"
    assert case.counts == (0, 1, 0)


async def test_a_slow_model_that_needs_more_than_its_share_still_answers() -> None:
    case = Case(local_models.OUTPUTS, is_quick=False)
    case.ask(1.0)
    await case.asked_elsewhere()
    case.model.may_end.set()
    result = await case.result()
    assert isinstance(result, inference.ModelAnswer)
    assert result.node == "edge-1"


@pytest.mark.parametrize("has_others", [True, False])
async def test_a_call_that_never_ends_is_late_and_holds_nothing(has_others: bool) -> None:
    case = Case(local_models.OUTPUTS, is_quick=False)
    case.ask(0.02, has_others=has_others)
    if has_others:
        (await case.asked_elsewhere())(NOWHERE)
    result = await case.result()
    assert isinstance(result, inference.Unanswered)
    assert result.is_late
    assert attempts(result)[0] == ("r0", "Late", "Deadline")
    assert case.model.ended.is_set()


async def test_what_fails_everywhere_says_what_each_said() -> None:
    case = Case(FAILURE, is_quick=False)
    case.model.may_end.set()
    case.ask(30.0)
    (await case.asked_elsewhere())(NOWHERE)
    result = await case.result()
    assert attempts(result) == [
        ("r0", "Failed", "NonFiniteOutput"),
        ("r1", "Failed", "Unreachable"),
    ]


async def test_a_model_with_too_many_calls_leaves_the_question_to_the_others() -> None:
    case = Case(local_models.OUTPUTS, is_quick=False)
    waiting = [case.runner.begin(()) for _ in range(runner.MAXIMUM_WAITING)]
    case.ask(1.0, has_others=False)
    (result,) = case.results
    assert attempts(result) == [("r0", "Failed", "ModelBusy")]
    case.model.may_end.set()
    await asyncio.gather(*(call.result for call in waiting if call is not None))
