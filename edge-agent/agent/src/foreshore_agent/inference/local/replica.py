"""The agent itself as a replica: the endpoint `agent:<digest>` of one policy.

Counted, rested and reported as every replica is. `pool` skips it while its model is not loaded.
"""

import time
from collections.abc import Callable
from typing import Final

from foreshore_agent.engine import effects
from foreshore_agent.inference import port as inference
from foreshore_agent.inference import race, replica
from foreshore_agent.inference.local import port, runner
from foreshore_api.reasons import inference as reasons
from foreshore_api.wire import assignment, record
from foreshore_decision import served

Runners = Callable[[served.Served], runner.ModelRunner | None]
"""Returns the model in this process, if it is loaded."""


class LocalReplica(replica.ReplicaStanding):
    """One policy's model in this process."""

    def __init__(
        self, endpoint: assignment.Endpoint, model: served.Served, runners: Runners
    ) -> None:
        super().__init__(endpoint, model.name)
        self._served: Final = model
        self._runners: Final = runners

    @property
    def loaded(self) -> runner.ModelRunner | None:
        """The model, if it is loaded."""
        return self._runners(self._served)

    def has_rested(self, at: float) -> bool:
        """Whether it may be asked first.

        It needs no try in the background: the next question is one, and costs no other its time.
        """
        return self.resting_until is None or at >= self.resting_until

    def ask(
        self, model: runner.ModelRunner, asked: effects.Infer
    ) -> inference.ModelAnswer | inference.Unanswered:
        """Ask a model that is quick, here and now."""
        began = time.monotonic()
        return self.settle(model.run(asked.tensors), began)

    def settle(
        self, result: port.RunOutputs | port.RunFailure, began: float
    ) -> inference.ModelAnswer | inference.Unanswered:
        """Return what a call came to, and count it; `began` is on the monotonic clock."""
        now = time.monotonic()
        if isinstance(result, port.RunFailure):
            if not result.is_request_wrong:
                self.count_bad("failed", result.reason, now)
            return self._unanswered(race.AttemptResult.FAILED, result.reason, now - began)
        self.count_good(now, result.provider)
        took = now - began
        attempt = self._attempt(race.AttemptResult.ANSWERED, None, took)
        return inference.ModelAnswer(  # all of it is inference: no network is between
            self._served,
            result.outputs,
            (attempt,),
            self.endpoint.node,
            0.0,
            took,
            result.provider,
        )

    def refuse(self) -> inference.Unanswered:
        """Count that it takes no more calls: those that it has do not end."""
        self.count_bad("failed", reasons.MODEL_BUSY, time.monotonic())
        return self._unanswered(race.AttemptResult.FAILED, reasons.MODEL_BUSY, 0.0)

    def overtaken(self, began: float, reason: str) -> inference.Unanswered:
        """Count that it has not answered in time; `reason` is Deadline, or Overtaken."""
        now = time.monotonic()
        self.count_bad("late", reasons.LATE if reason == reasons.DEADLINE else reason, now)
        return self._unanswered(race.AttemptResult.LATE, reason, now - began)

    def _unanswered(
        self, result: race.AttemptResult, reason: str, seconds: float
    ) -> inference.Unanswered:
        is_late = result is race.AttemptResult.LATE
        return inference.Unanswered(reason, (self._attempt(result, reason, seconds),), is_late)

    def _attempt(
        self, result: race.AttemptResult, reason: str | None, seconds: float
    ) -> record.Attempt:
        return record.Attempt(
            slot=self.endpoint.slot,
            node=self.endpoint.node,
            result=result,
            reason=reason,
            seconds=round(seconds, 6),
        )
