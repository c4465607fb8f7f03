"""What the agent does in a rehearsal, seen at its effects; and whether it is done with a row."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final

from foreshore_agent.engine import effects
from foreshore_api.reasons import decision as reasons
from foreshore_api.wire import metrics
from foreshore_api.wire.record import Outcome

_FIRST: Final = (Outcome.ACKNOWLEDGED, Outcome.REJECTED, Outcome.NOT_SENT, Outcome.UNKNOWN)
"""The first thing that is learnt about a command: it has left, or it will not."""
_PATIENCE: Final = 1.0
"""Seconds to wait for a row's first sign of a decision, until it is known how long that takes."""
_LONGEST: Final = 5.0
"""Seconds after which a row is left behind, whatever is still open."""
_QUIET: Final = 0.003
_LOOK: Final = 0.005
"""Seconds between two looks at whether a row waits."""


class Watch:
    """Counts and latencies of one rehearsal; `tap` is called with every effect."""

    def __init__(self, *, is_confirmed: bool) -> None:
        """Begin to count; `is_confirmed` says whether commands are read back."""
        self._is_confirmed: Final = is_confirmed
        self._confirming = 0
        self.decisions: Final[Counter[tuple[str, str, str]]] = Counter()
        """By policy, verdict and reason; never sampled."""
        self.outcomes: Final[Counter[str]] = Counter()
        self.stages: Final[defaultdict[tuple[str, str], list[float]]] = defaultdict(list)
        """Seconds by policy and stage."""
        self.undecided = 0
        """Rows that led to no decision."""
        self._signs = 0
        """Questions and decisions so far."""
        self._asking = 0
        self._unanswered = 0
        """Intents that are being written, sent or carried out."""
        self._active = time.monotonic()
        self._news: Final = asyncio.Event()
        self._slowest = 0.0

    def tap(self, effect: effects.Effect) -> None:
        """Note one effect."""
        match effect:
            case effects.Infer():
                self._signs += 1
                self._asking += 1
            case effects.AppendRecords(intent=effects.IntentKey()):
                self._unanswered += 1
            case effects.Count(metric=metrics.DECISIONS.name, labels=(policy, verdict, reason)):
                self._decide(policy, verdict, reason)
            case effects.Count(metric=metrics.COMMANDS.name, labels=(_, outcome)):
                self._learn(outcome)
            case effects.Observe():
                self.stages[(str(effect.policy), effect.stage)].append(effect.seconds)
            case _:
                pass
        self._active = time.monotonic()
        self._news.set()

    def _decide(self, policy: str, verdict: str, reason: str) -> None:
        self.decisions[(policy, verdict, reason)] += 1
        self._signs += 1
        self._asking = max(0, self._asking - 1)
        if reason == reasons.RECORDER_FULL:
            self._unanswered = max(0, self._unanswered - 1)

    def _learn(self, outcome: str) -> None:
        self.outcomes[outcome] += 1
        if outcome in _FIRST:
            self._unanswered = max(0, self._unanswered - 1)
        if outcome == Outcome.ACKNOWLEDGED:
            self._confirming += self._is_confirmed
        elif outcome not in (Outcome.REJECTED, Outcome.NOT_SENT):
            self._confirming = max(0, self._confirming - 1)

    async def decided(self, is_waiting: Callable[[], bool]) -> None:
        """Wait until the row that was just published has been decided, and its command answered.

        A row that has to wait for its trigger's interval does not tell how long deciding takes.
        """
        started, before = time.monotonic(), self._signs
        patience, has_waited = self._patience(), False
        while self._signs == before:
            if time.monotonic() - started > patience:
                self.undecided += 1
                return
            await self._wait(min(patience, _LOOK))
            has_waited = has_waited or is_waiting()
        if not has_waited:
            self._slowest = max(0.98 * self._slowest, time.monotonic() - started)
        await self.settled()

    async def evaluated(self) -> None:
        """Wait until what has become due between rows has been decided."""
        started, before = time.monotonic(), self._signs
        while self._signs == before and time.monotonic() - started < _PATIENCE:
            await self._wait(_PATIENCE)
        await self.settled()

    async def woken(self) -> None:
        """Wait until what just woke up on the clock (a settled value) has been read back."""
        started, patience = time.monotonic(), self._patience()
        while self._confirming and time.monotonic() - started < patience:
            await self._wait(patience)
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is on its way."""
        started = time.monotonic()
        while time.monotonic() - started < _LONGEST:
            if (
                not self._asking
                and not self._unanswered
                and time.monotonic() - self._active > _QUIET
            ):
                return
            await self._wait(_QUIET)
        self._asking = self._unanswered = 0

    def _patience(self) -> float:
        return min(_PATIENCE, 0.02 + 10 * self._slowest) if self._slowest else _PATIENCE

    async def _wait(self, seconds: float) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
