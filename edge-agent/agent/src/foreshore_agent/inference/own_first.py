"""One inference where the agent itself is asked first, and the other replicas after it.

    quick model ──► answered in this turn            slow model ──its thread──► answered
         └──fails──► the others, with what time is left     ├──fails──────────► the others
                                                            └──share is up────► the others beside it

The first answer counts; a call in the thread that nobody waits for any more is ended. Its end is
made known exactly once; a quick model does so before `ask` returns. Called by `pool`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from foreshore_agent.engine import effects
from foreshore_agent.inference import port
from foreshore_agent.inference.local import port as local
from foreshore_agent.inference.local import replica, runner
from foreshore_api.reasons import inference as reasons

Others = Callable[[float, port.Then], None]
"""Asks the other replicas, for so many seconds."""


def ask(
    own: replica.LocalReplica,
    model: runner.ModelRunner,
    asked: effects.Infer,
    others: Others | None,
    then: port.Then,
) -> None:
    """Ask the model in this process, and whoever else there is if it gives no answer."""
    began = time.monotonic()
    if not model.is_inline:
        pending = model.begin(asked.tensors)
        if pending is not None:
            ThreadedQuestion(own, pending, asked.timeout, others, then).start()
            return
        result: port.ModelAnswer | port.Unanswered = own.refuse()
    else:
        result = own.ask(model, asked)
    left = asked.timeout - (time.monotonic() - began)
    if isinstance(result, port.ModelAnswer) or others is None or left <= 0:
        then(result)
        return
    failed = result
    others(left, lambda later: then(_joined(failed, later)))


def _joined(
    first: port.Unanswered, later: port.ModelAnswer | port.Unanswered
) -> port.ModelAnswer | port.Unanswered:
    """Return what the others came to, with the attempt that was made before them."""
    attempts = (*first.attempts, *later.attempts)
    if isinstance(later, port.ModelAnswer):
        lost = sum(attempt.seconds or 0.0 for attempt in first.attempts)
        return later._replace(attempts=attempts, network=later.network + lost)
    return later._replace(attempts=attempts, is_late=later.is_late or first.is_late)


class ThreadedQuestion:
    """A question to a model in its thread; `start` begins to wait for it."""

    def __init__(
        self,
        own: replica.LocalReplica,
        pending: runner.PendingRun,
        seconds: float,
        others: Others | None,
        then: port.Then,
    ) -> None:
        self._own: Final = own
        self._pending: Final = pending
        self._others: Final = others
        self._are_others_asked = False
        self._then: Final = then
        self._loop: Final = asyncio.get_running_loop()
        self._began: Final = time.monotonic()
        self._deadline: Final = self._began + seconds
        self._share: Final = seconds if others is None else seconds / 2
        self._timer: asyncio.TimerHandle | None = None
        self._own_end: port.Unanswered | None = None
        self._others_end: port.Unanswered | None = None
        self._is_over = False

    def start(self) -> None:
        """Wait for the answer, at first alone."""
        self._pending.result.add_done_callback(self._answered)
        self._timer = self._loop.call_later(self._share, self._share_is_up)

    def _answered(self, result: "asyncio.Future[local.RunOutputs | local.RunFailure]") -> None:
        if self._is_over or result.cancelled():
            return
        settled = self._own.settle(result.result(), self._began)
        if isinstance(settled, port.ModelAnswer):
            self._end(settled)
            return
        self._own_end = settled
        self._proceed()

    def _share_is_up(self) -> None:
        """Ask the others beside it; without any, it is late."""
        if self._others is None:
            self._overdue()
            return
        self._timer = self._loop.call_later(self._left(), self._overdue)
        self._ask_others()

    def _overdue(self) -> None:
        if not self._is_over and self._own_end is None:
            self._own_end = self._own.overtaken(self._began, reasons.DEADLINE)
            self._pending.abandon()
            self._proceed()

    def _proceed(self) -> None:
        """Go on without the model in this process."""
        if self._own_end is None:
            return
        if self._others_end is not None:
            self._end(_joined(self._own_end, self._others_end))
        elif self._others is None:
            self._end(self._own_end)
        elif not self._are_others_asked:
            self._ask_others()

    def _ask_others(self) -> None:
        """Ask them once; they give an end, whatever time is left."""
        if self._others is not None and not self._are_others_asked:
            self._are_others_asked = True
            self._others(self._left(), self._others_answered)

    def _others_answered(self, result: port.ModelAnswer | port.Unanswered) -> None:
        if self._is_over:
            return
        if isinstance(result, port.ModelAnswer):
            first = self._own_end or self._own.overtaken(self._began, reasons.OVERTAKEN)
            self._end(_joined(first, result))
            return
        self._others_end = result
        self._proceed()

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _end(self, result: port.ModelAnswer | port.Unanswered) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._pending.abandon()
        self._then(result)
