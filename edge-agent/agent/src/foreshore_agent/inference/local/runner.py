"""Where a loaded model runs: in the loop's turn while it is quick, else in its thread.

    quick ──VOTES outweigh the quick calls──► thread ──QUIET quick calls in a row──► quick

In the loop a call costs what the model costs; a thread adds two switches of context and lets go of
the loop meanwhile. What counts in the loop is time on a processor: the runtime lets other threads
in while it runs, and on a busy machine a quick model waits longer for its turn than it takes. That
clock is read only while a model is under suspicion. A model that loops as often as its inputs say
is never run in the loop: nothing could end it there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from foreshore_agent.engine import effects
from foreshore_agent.inference.local import port, worker

INLINE_SECONDS: Final = 0.001
"""A call that takes longer must not hold the loop."""
VOTES: Final = 8
"""A slow call has one for each `INLINE_SECONDS` that it took, a quick one takes one away: so the
loop is held for some milliseconds in all, and not so many times by a long call."""
QUIET: Final = 256
MAXIMUM_WAITING: Final = 16
"""Calls that may wait for the thread: what comes later would be late."""
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PendingRun:
    """A call in the model's thread."""

    result: "asyncio.Future[port.RunOutputs | port.RunFailure]"
    end: Callable[[], None]

    def abandon(self) -> None:
        """Nobody waits for it any more: it is not begun, or ends at its next operator."""
        self.result.cancel()
        self.end()


class ModelRunner:
    """One loaded model and its thread."""

    def __init__(
        self,
        model: port.LoadedModel,
        thread: worker.ModelWorker,
        usual_seconds: float,
        *,
        is_bounded: bool,
        name: str = "",
        processor_time: Callable[[], float] = time.thread_time,
    ) -> None:
        """Take a model by its trial.

        Args:
            model: loaded.
            thread: its own.
            usual_seconds: of one run.
            is_bounded: whether how long a run takes depends on nothing but the inputs' lengths.
            name: for the log.
            processor_time: that this thread has had, in seconds.
        """
        self.is_inline = is_bounded and usual_seconds <= INLINE_SECONDS
        self._model: Final = model
        self._thread: Final = thread
        self._is_bounded: Final = is_bounded
        self._name: Final = name
        self._processor_time: Final = processor_time
        self._slow = 0
        """Votes that no quick calls have outweighed; more than none is suspicion."""
        self._quick = 0

    def run(self, given: Sequence[effects.Tensor]) -> port.RunOutputs | port.RunFailure:
        """Run the model in this turn of the loop."""
        if self._slow:
            return self._timed(given)
        result = self._model.run(given)
        if result.seconds > INLINE_SECONDS:
            self._slow = 1
        return result

    def _timed(self, given: Sequence[effects.Tensor]) -> port.RunOutputs | port.RunFailure:
        """Run the model under suspicion."""
        began = self._processor_time()
        result = self._model.run(given)
        taken = self._processor_time() - began
        self._slow += int(taken / INLINE_SECONDS) if taken > INLINE_SECONDS else -1
        if self._slow > VOTES:
            self._move(is_inline=False)
        return result

    def begin(self, given: Sequence[effects.Tensor]) -> PendingRun | None:
        """Run the model in its thread; None if too many calls wait for it, or one does not end."""
        if self._thread.waiting >= MAXIMUM_WAITING:
            return None
        endable = self._model.endable(given)
        result = self._thread.submit(endable.run)
        result.add_done_callback(self._judge)
        return PendingRun(result, endable.end)

    def _judge(self, done: "asyncio.Future[port.RunOutputs | port.RunFailure]") -> None:
        if done.cancelled() or done.exception() is not None or not self._is_bounded:
            return
        self._quick = self._quick + 1 if done.result().seconds <= INLINE_SECONDS else 0
        if self._quick >= QUIET:
            self._move(is_inline=True)

    def _move(self, *, is_inline: bool) -> None:
        self.is_inline, self._slow, self._quick = is_inline, 0, 0
        where = "in the loop again" if is_inline else "in a thread of its own"
        _LOG.info(
            "model %s runs %s: its calls take %s than %.0f ms",
            self._name,
            where,
            "less" if is_inline else "more",
            INLINE_SECONDS * 1000,
        )
