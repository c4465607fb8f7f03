"""What carries the engine's effects out in a rehearsal: a real journal and model, a played device.

`driver` hands these to `runtime.core` in place of the agent's own ports, and calls them when it is
time: nothing here happens by itself.
"""

import asyncio
import functools
import heapq
import itertools
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from foreshore_agent import journal
from foreshore_agent.devices.codecs import envelope
from foreshore_agent.engine import effects, events
from foreshore_agent.inference import port as inference
from foreshore_agent.journal import port as journal_port
from foreshore_agent.play import device as played_device
from foreshore_agent.rehearse import clock, score
from foreshore_api.reasons import inference as reasons
from foreshore_api.wire import command, histogram

ANSWER_SECONDS: Final = 30.0
"""Real seconds that a model may take for one answer, whatever its policy's timeout says."""
_UNANSWERED: Final = frozenset({reasons.CONNECTION_LOST, reasons.UNREACHABLE, reasons.NO_ENDPOINT})
"""Reasons of a race that ended without any answer: the server's trouble, not the model's."""


class UnfinishedError(RuntimeError):
    """The rehearsal cannot go on: its model or its disk gave up; the text says which."""


class _Question(NamedTuple):
    asked: effects.Infer
    then: inference.Then


_Result = inference.ModelAnswer | inference.Unanswered


class Questions:
    """The inference port: asks are collected, and answered one after the other."""

    def __init__(self, replicas: inference.ModelsPort, counts: score.Score) -> None:
        self._replicas: Final = replicas
        self._counts: Final = counts
        self._open: Final[deque[_Question]] = deque()

    def ask(self, asked: effects.Infer, then: inference.Then) -> None:
        """Take a question; `then` is called by `answer`."""
        self._open.append(_Question(asked, then))

    async def answer(self) -> bool:
        """Ask what is open and hand each answer over in the order of asking; False if none was.

        Raises UnfinishedError.
        """
        if not self._open:
            return False
        questions = tuple(self._open)
        self._open.clear()
        began = time.monotonic()
        results = await self._results(questions)
        self._counts.wait(time.monotonic() - began)
        for question, result in zip(questions, results, strict=True):
            question.then(self._timeless(question, result))
        return True

    async def _results(self, questions: Sequence[_Question]) -> list[_Result]:
        """Ask all; a model in this process has answered by then, and nothing is waited for."""
        results: dict[int, _Result] = {}
        whole: asyncio.Future[None] | None = None

        def take(position: int, result: _Result) -> None:
            results[position] = result
            if whole is not None and len(results) == len(questions):
                whole.set_result(None)

        for position, question in enumerate(questions):
            patient = question.asked._replace(timeout=ANSWER_SECONDS)
            self._replicas.ask(patient, functools.partial(take, position))
        if len(results) < len(questions):
            whole = asyncio.get_running_loop().create_future()
            await whole
        return [results[position] for position in range(len(questions))]

    def _timeless(self, question: _Question, result: _Result) -> _Result:
        """Keep the durations for `--latencies`, and out of the records."""
        attempts = tuple(
            attempt.model_copy(update={"seconds": None}) for attempt in result.attempts
        )
        if isinstance(result, inference.Unanswered):
            if result.is_late or result.reason in _UNANSWERED:
                policy = question.asked.policy
                raise UnfinishedError(f"the model of {policy} does not answer ({result.reason})")
            return result._replace(attempts=attempts)
        policy = question.asked.policy
        self._counts.observe(policy, histogram.Stage.NETWORK, result.network)
        if result.inference is not None:
            self._counts.observe(policy, histogram.Stage.INFERENCE, result.inference)
        return result._replace(attempts=attempts, network=0.0, inference=None)


class JournalQueue:
    """The journal's port: records are queued, and the disk is waited for in groups.

    Nothing real is commanded on an intent of a rehearsal, so that nothing has to wait until it is
    durable: waiting would cost a sync a row. Writes count as done when the driver calls `answer`; a
    write that fails ends the rehearsal.
    """

    def __init__(self, book: journal.Journal) -> None:
        self._book: Final = book
        self.journal_id: Final = book.journal_id
        self._open: Final[deque[journal_port.Then]] = deque()
        self._unwritten = 0
        self._failure: str | None = None
        self._progress = asyncio.Event()

    @property
    def standing(self) -> journal.JournalStatus:
        """Where the journal stands."""
        return self._book.standing

    def append(
        self,
        entries: Sequence[journal_port.JournalEntry],
        values: journal_port.Values = (),
        *,
        is_patient: bool = False,
        then: journal_port.Then | None = None,
    ) -> None:
        """Queue records and values."""
        self._unwritten += 1
        self._book.append(entries, values, is_patient=True, then=self._written)
        if then is not None:
            self._open.append(then)

    def put(self, key: str, value: bytes) -> None:
        """Queue a value."""
        self.append((), ((key, value),))

    def flush(self) -> None:
        """Let the queue go on waiting: company is all that it waits for."""

    def lose(self, entries: Sequence[journal_port.JournalEntry], reason: str) -> None:
        """Give records up that cannot be kept."""
        self._book.lose(entries, reason)

    def answer(self) -> None:
        """Have all that was queued count as done, in its order."""
        while self._open:
            self._open.popleft()(None)

    async def catch_up(self, unwritten: int = 0) -> None:
        """Wait until no more than so many writes wait. Raises UnfinishedError."""
        while self._unwritten > unwritten and self._failure is None:
            self._progress.clear()
            await self._progress.wait()
        if self._failure is not None:
            raise UnfinishedError(f"records cannot be written: {self._failure}")

    def _written(self, reason: str | None) -> None:
        self._unwritten -= 1
        self._failure = self._failure or reason
        self._progress.set()


class Wire:
    """The devices' port: commands reach the played device at once, its answers wait in turn."""

    def __init__(self, device: played_device.PlayedDevice, clock: clock.FrozenClock) -> None:
        self._device: Final = device
        self._clock: Final = clock
        self._order: Final = itertools.count()
        self.answers: Final[deque[bytes]] = deque()
        self.settling: Final[list[tuple[datetime, int, played_device.Settling]]] = []
        """A heap, by the moment at which values have settled."""

    @property
    def has_measured(self) -> bool:
        """What is measured is given to the engine row by row: nothing is asked for."""
        return False

    def measured(self, _most: int) -> Sequence[events.Sample]:
        """Return nothing."""
        return ()

    def send(self, effect: effects.SendCommand) -> str | None:
        """Let the device take a command, whatever dialect its profile tells it in.

        What it would answer in its own words stands in for nothing that is decided: it counts as
        its acceptance.
        """
        now = self._clock.now()
        reaction = self._device.take(envelope.encode(effect), now)
        answer = reaction.answer
        if answer is None and reaction.settling is not None and self._device.replies(effect.action):
            answer = command.Acknowledgement(
                command_id=effect.command_id, result=command.Result.ACCEPTED, time=now
            ).encode()
        if answer is not None:
            self.answers.append(answer)
        if (settling := reaction.settling) is not None:
            due = now + timedelta(seconds=settling.seconds)
            heapq.heappush(self.settling, (due, next(self._order), settling))
        return None

    def advise(self, effect: effects.Advise) -> None:
        """Recommend to nobody: the record says what."""
