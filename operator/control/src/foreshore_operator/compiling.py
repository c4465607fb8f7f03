"""Compiles policies in a thread, a slice at a time, so that neither the loop nor a pass waits.

    pass: offer what is written ─► thread: update, compile for a moment ─► answers ─► mark ─► pass
                                        ▲                        │
                                        └── newest offer ◄───────┘ until nothing is left

`observe` offers and takes the answers that are there; a policy without one is pending. `passes`
lets the first pass of a process wait for the first whole compilation, so that a restart changes
nothing, and later ones for a moment only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import operator
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from foreshore_api import v1alpha1
from foreshore_kube import informer
from foreshore_operator import compilation
from foreshore_planner import snapshot

log = logging.getLogger(__name__)

SLICE: Final = 0.25
"""Seconds of compiling after which newer edits are taken in."""
SLOW: Final = 10.0
"""Seconds after which it is said that compiling takes long."""
FIRST: Final = 120.0
"""Seconds for which the first pass waits for the first whole compilation."""

OnAnswered = Callable[[tuple[str, informer.ObjectKey]], None]
"""Hears of each policy whose answer is new."""


class Compilations:
    """The answers of one operator, and the task that keeps them up to date."""

    def __init__(
        self,
        compiler: compilation.Compiler,
        on_answered: OnAnswered = lambda _key: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compiler = compiler
        self._on_answered = on_answered
        self._clock = clock
        self._written: compilation.CompilationInput | None = None
        self._taken: compilation.CompilationInput | None = None
        """What the compiler has taken in: once, since that tries again what met a defect."""
        self._answers: Mapping[compilation.Name, compilation.CompilationAnswer] = {}
        self._offered = asyncio.Event()
        self._settled = asyncio.Event()
        self._whole = asyncio.Event()

    def offer(self, written: compilation.CompilationInput) -> None:
        """Take what is written now; the same again costs nothing."""
        if self._written is None or not _is_identical(written, self._written):
            self._written = written
            self._settled.clear()
            self._offered.set()

    def answers(
        self, policies: Iterable[v1alpha1.DecisionPolicy]
    ) -> Mapping[compilation.Name, snapshot.Compiled]:
        """What is known of each policy as it is written now; see `compilation.answers_for`."""
        return dict(compilation.answers_for(policies, self._answers))

    async def settled(self, patience: float) -> bool:
        """Wait until all that was offered is compiled, so many seconds at most; whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._settled.wait()
        return self._settled.is_set()

    async def whole(self, patience: float = FIRST) -> bool:
        """Wait for the first whole compilation; whether it is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._whole.wait()
        if not self._whole.is_set():
            log.error(
                "policies are not compiled after %.0f s: what runs for those that are not stays as"
                " it is, and new ones wait", patience
            )  # fmt: skip
        return self._whole.is_set()

    async def run(self) -> None:
        """Compile what is offered until cancelled."""
        while True:
            await self._offered.wait()
            began, is_slow = self._clock(), False
            while not self._settled.is_set():
                self._offered.clear()
                left = await self._advance()
                if not left and not self._offered.is_set():
                    self._settled.set()
                    self._whole.set()
                elif not is_slow and self._clock() - began > SLOW:
                    is_slow = True
                    log.warning("compiling policies takes long: %d are left", left)
            if is_slow:
                log.info("policies are compiled, after %.0f s", self._clock() - began)

    async def _advance(self) -> int:
        """Compile for a moment in a thread, publish; how many policies are left."""
        written, compiler = self._written, self._compiler
        if written is None:
            return 0
        news = None if written is self._taken else written
        answers = await asyncio.to_thread(_advanced, compiler, news)
        self._taken = written
        before, self._answers = self._answers, answers
        for name, answer in answers.items():
            earlier = before.get(name)
            if earlier is not answer:
                self._on_answered((v1alpha1.DecisionPolicy.kind, informer.ObjectKey(*name)))
        return compiler.left


def _advanced(
    compiler: compilation.Compiler, written: compilation.CompilationInput | None
) -> Mapping[compilation.Name, compilation.CompilationAnswer]:
    if written is not None:
        compiler.update(written)
    compiler.work(SLICE)
    return dict(compiler.answers)


def _is_identical(
    written: compilation.CompilationInput, before: compilation.CompilationInput
) -> bool:
    """Whether nothing was written since, by identity: mirrors keep objects until they change."""
    return all(
        len(now) == len(then) and all(map(operator.is_, now, then))
        for now, then in (
            (written.policies, before.policies),
            (written.devices, before.devices),
            (written.profiles, before.profiles),
            (written.models, before.models),
            (written.versions, before.versions),
        )
    )
