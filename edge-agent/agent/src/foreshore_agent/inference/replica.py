"""One replica of a model: how it is asked, how its calls went, whether it is being rested.

    Ready ──a call fails or is late──► Resting ──a try in the background succeeds──► Ready
                                          └──it fails──► Resting, twice as long

One that answers as another version than the one in force works and is not to blame: it is asked
after the others too, and is tried again, but nobody is told that it is bad.

What is reported is not whether it rests but since when callers have waited for it in vain: a try
that took longer than its share of the time puts it back into service and no more.

A resting replica is asked only when no other is left. It is tried again with the last real request:
inference is a pure function, so that the try costs nothing but time and measures what matters.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from foreshore_agent import windows
from foreshore_agent.inference.oip import answer, call, connection, line
from foreshore_api.reasons import decision as reasons
from foreshore_api.wire import assignment, report

LATELY_SECONDS: Final = 60.0
FIRST_REST_SECONDS: Final = 0.25
LONGEST_REST_SECONDS: Final = 8.0
IDLE_PROBE_SECONDS: Final = 2.0
"""A replica that nobody asked for so long is asked whether it is ready: standbys stay known."""

_KINDS: Final = ("good", "late", "failed", "unused")


@dataclass(frozen=True, slots=True)
class Asked:
    """One call under way; `reused` says that its connection had been idle before."""

    replica: "ModelReplica"
    at: float
    answer: "asyncio.Future[connection.Response]"
    reused: bool

    @property
    def is_stale(self) -> bool:
        """Whether it failed only because its connection had died while idle."""
        return self.reused and isinstance(self.answer.exception(), connection.LostError)


class ReplicaStanding:
    """How the calls of one endpoint of one policy's model went, and whether it rests.

    Not shared between policies: evidence is per policy.
    """

    def __init__(self, endpoint: assignment.Endpoint, model: str) -> None:
        self.endpoint: Final = endpoint
        self.model: Final = model
        self.resting_until: float | None = None
        self._rest = FIRST_REST_SECONDS
        self._counts = {name: windows.Counts(LATELY_SECONDS) for name in _KINDS}
        self._bad_since: float | None = None
        self._reason: str | None = None
        self.provider: str | None = None
        """Execution provider that computed its last answer, where it said so."""

    @property
    def identity(self) -> tuple[assignment.Endpoint, str]:
        """What makes it the same replica in the next assignment.

        Its role may change and so may the generation that it is listed for: it stays what it is.
        """
        same = {"policy_generation": 0, "role": assignment.Role.ACTIVE}
        return self.endpoint.model_copy(update=same), self.model

    def is_rested(self) -> bool:
        """Whether it may be asked first."""
        return self.resting_until is None

    def count_good(self, at: float, provider: str | None) -> None:
        """Note an answer, and what computed it: it is in service again."""
        self.provider = provider
        self._counts["good"].add(at)
        self.recover()

    def resume(self) -> None:
        """Put it back into service, and go on reporting it: it answers, but not in time.

        Only a call, or a try, that was answered within its share of the time takes the blame away.
        """
        if self._bad_since is None:
            self.recover()
        self.resting_until = None

    def is_blamed(self) -> bool:
        """Whether every call of late was bad, as it is reported."""
        return self._bad_since is not None

    def recover(self) -> None:
        """Put it back into service, with nothing held against it."""
        self.resting_until = self._bad_since = self._reason = None
        self._rest = FIRST_REST_SECONDS

    def count_bad(self, kind: str, reason: str, at: float) -> None:
        """Note a `late` or `failed` call and rest it, each time in a row twice as long."""
        self._counts[kind].add(at)
        self.rest(reason, at)

    def rest(self, reason: str, at: float) -> None:
        """Take it out of service for a while."""
        self._bad_since = at if self._bad_since is None else self._bad_since
        self._pause(reason, at)

    def count_unused(self, at: float) -> None:
        """Note an answer as another version than the one in force."""
        self._counts["unused"].add(at)
        self.set_aside(at)

    def set_aside(self, at: float) -> None:
        """Ask it after the others for a while, and do not say that it is bad."""
        self._bad_since = None
        self._pause(reasons.OTHER_VERSION, at)

    def _pause(self, reason: str, at: float) -> None:
        self._reason = reason
        self.resting_until = at + self._rest
        self._rest = min(self._rest * 2, LONGEST_REST_SECONDS)

    def report(self, namespace: str, policy: str, at: float) -> report.EndpointReport:
        """Return how its calls went lately."""
        return report.EndpointReport(
            namespace=namespace,
            policy=policy,
            slot=self.endpoint.slot,
            node=self.endpoint.node,
            url=self.endpoint.url,
            good=self._counts["good"].window(at),
            late=self._counts["late"].window(at),
            failed=self._counts["failed"].window(at),
            unused=self._counts["unused"].window(at),
            bad_for_seconds=None if self._bad_since is None else max(0.0, at - self._bad_since),
            reason=self._reason,
            provider=self.provider,
        )


class ModelReplica(ReplicaStanding):
    """One endpoint that is called over the Open Inference Protocol."""

    def __init__(self, endpoint: assignment.Endpoint, model: str, shared: line.Line) -> None:
        super().__init__(endpoint, model)
        self.last_body: bytes | None = None
        self.asked_at = float("-inf")
        self._line: Final = shared
        self._calls: Final = call.ModelCalls(model, shared.host_header)

    def ask(self, body: bytes, *, anew: bool = False) -> Asked:
        """Ask for an inference; the future raises LostError or OSError if there is no answer.

        Args:
            body: an infer request.
            anew: whether to use a fresh connection, because an idle one turned out dead.
        """
        self.last_body = body
        return self._call(self._calls.infer(body), anew=anew)

    def ask_ready(self, *, anew: bool = False) -> Asked:
        """Ask whether the model is ready."""
        return self._call(self._calls.ready, anew=anew)

    def _call(self, request: bytes, *, anew: bool) -> Asked:
        loop = asyncio.get_running_loop()
        self.asked_at = time.monotonic()
        idle = None if anew else self._line.take()
        if idle is None:
            fresh = loop.create_task(self._connect_and_call(request))
            return Asked(self, self.asked_at, fresh, reused=False)
        answer = idle.call(request)
        answer.add_done_callback(lambda _: self._line.give_back(idle))
        return Asked(self, self.asked_at, answer, reused=True)

    async def _connect_and_call(self, request: bytes) -> connection.Response:
        made = await self._line.open()
        try:
            return await made.call(request)
        finally:
            self._line.give_back(made)


def read(asked: Asked, expected: answer.Expected) -> tuple[answer.OipAnswer, connection.Response]:
    """Return what a call that is over came to, with the answer as it travelled.

    Raises:
        answer.FailedError: as `answer.completed` and `answer.read`.
    """
    response = answer.completed(asked.answer)
    is_named = bool(asked.replica.endpoint.version)
    return answer.read(response.body, expected, is_silence_refused=is_named), response
