"""One inference: the replicas are asked in order, the first answer counts.

Callbacks and one timer instead of tasks: in the usual case (an idle connection, one answer) a race
is one write, one read and one timer that never fires. Its end is told exactly once.

    ask the first ──answer──► over
        ├──failure──────► ask the next at once
        └──share is up──► ask the next beside it ──deadline──► over, unanswered
"""

import asyncio
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from foreshore_agent.inference import port, replica
from foreshore_agent.inference.oip import answer, connection
from foreshore_api.reasons import inference as reasons
from foreshore_api.wire import record
from foreshore_decision import served

_TIMER_SLACK: Final = 0.0005
"""A timer may fire this much early: it counts whole milliseconds."""


class AttemptResult(StrEnum):
    """What became of one call of one replica (`record.Attempt.result`)."""

    ANSWERED = "Answered"
    LATE = "Late"
    FAILED = "Failed"
    UNUSED = "Unused"
    """Answered, but not as what is in force."""


class Race:
    """Who was asked, who answers first; `start` begins it."""

    def __init__(
        self,
        replicas: Sequence[replica.ModelReplica],
        expected: answer.Expected,
        body: bytes,
        seconds: float,
        then: port.Then,
    ) -> None:
        ready = [replica for replica in replicas if replica.is_rested()]
        resting = [replica for replica in replicas if not replica.is_rested()]
        self._expected: Final = expected
        self._body: Final = body
        self._then: Final = then
        self._loop: Final = asyncio.get_running_loop()
        self._started: Final = time.monotonic()
        self._deadline: Final = self._started + seconds
        self._share: Final = seconds / max(1, len(ready) or len(resting))
        self._waiting = ready + resting
        self._asked: list[replica.Asked] = []
        self._attempts: list[record.Attempt] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def start(self) -> None:
        """Ask the first."""
        self._proceed()

    def _proceed(self) -> None:
        """Ask the next, if there is one and time is left."""
        if self._timer is not None:
            self._timer.cancel()
        now = time.monotonic()
        if now >= self._deadline - _TIMER_SLACK or not (self._waiting or self._asked):
            self._give_up(now)
            return
        if self._waiting:
            self._watch(self._waiting.pop(0).ask(self._body))
        left = self._deadline - now
        wait = min(left, self._share) if self._waiting else left
        self._timer = self._loop.call_later(wait, self._proceed)

    def _watch(self, asked: replica.Asked) -> None:
        self._asked.append(asked)
        asked.answer.add_done_callback(lambda _: self._settle(asked))

    def _settle(self, asked: replica.Asked) -> None:
        if self._is_over or asked.answer.cancelled():
            _look_at(asked.answer)
            return
        self._asked.remove(asked)
        if asked.is_stale:
            self._watch(asked.replica.ask(self._body, anew=True))
            return
        now = time.monotonic()
        try:
            answered, response = replica.read(asked, self._expected)
        except answer.FailedError as error:
            self._failed(asked, error, now)
            return
        asked.replica.count_good(now, answered.provider)
        self._overtake(asked, now)
        self._note(asked, AttemptResult.ANSWERED, now)
        server = answer.server_timing(response.timing, response.ended - asked.at)
        network = response.ended - self._started - (server.seconds if server else 0.0)
        node = asked.replica.endpoint.node
        attempts = tuple(self._attempts)
        self._end(
            port.ModelAnswer(
                answered.model,
                answered.outputs,
                attempts,
                node,
                max(0.0, network),
                server.seconds if server else None,
                answered.provider,
                server.queued if server else None,
            )
        )

    def _failed(self, asked: replica.Asked, error: answer.FailedError, now: float) -> None:
        if isinstance(error, answer.OtherVersionError):
            asked.replica.count_unused(now)
            self._note(asked, AttemptResult.UNUSED, now, error.reason, error.answered)
        elif isinstance(error, answer.BadRequestError):
            self._waiting.clear()
            self._note(asked, AttemptResult.FAILED, now, error.reason)
        else:
            asked.replica.count_bad("failed", error.reason, now)
            self._note(asked, AttemptResult.FAILED, now, error.reason)
        if self._waiting or not self._asked:
            self._proceed()

    def _overtake(self, winner: replica.Asked, now: float) -> None:
        """Count as late who was asked before the winner; who was asked after had less time."""
        for asked in self._asked:
            if asked.at <= winner.at:
                asked.replica.count_bad("late", reasons.OVERTAKEN, now)
            self._note(asked, AttemptResult.LATE, now, reasons.OVERTAKEN)

    def _give_up(self, now: float) -> None:
        for asked in self._asked:
            asked.replica.count_bad("late", reasons.LATE, now)
            self._note(asked, AttemptResult.LATE, now, reasons.DEADLINE)
        is_late = any(attempt.result == AttemptResult.LATE for attempt in self._attempts)
        reason = self._attempts[-1].reason if self._attempts else None
        self._end(port.Unanswered(reason or reasons.DEADLINE, tuple(self._attempts), is_late))

    def _end(self, result: port.ModelAnswer | port.Unanswered) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        for asked in self._asked:
            asked.answer.cancel()
        self._then(result)

    def _note(
        self,
        asked: replica.Asked,
        result: AttemptResult,
        now: float,
        reason: str | None = None,
        model: served.Served | None = None,
    ) -> None:
        endpoint = asked.replica.endpoint
        self._attempts.append(
            record.Attempt(
                slot=endpoint.slot,
                node=endpoint.node,
                result=result,
                reason=reason,
                seconds=round(now - asked.at, 6),
                answered=model and record.RecordedModel(**model._asdict()),
            )
        )


def _look_at(answer: "asyncio.Future[connection.Response]") -> None:
    """Look at a result that nobody waits for, or asyncio reports it as forgotten."""
    if not answer.cancelled():
        answer.exception()
