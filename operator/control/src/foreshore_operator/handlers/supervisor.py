"""Kopf's thread: started at once on every replica, started again whenever Kopf ends.

    start ─► running ── ERROR in a stream, refused login, defect ─► waiting (backoff) ─► running
                │                                                                          │
                └─ stop ─► ended                        after each start: a list of each kind

Nothing that Kopf does ends the process, and nothing depends on it alone: mirrors are also listed.
A replica that follows runs it as well, so that its mirrors are warm when it takes over.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import kopf

from foreshore_api import meta
from foreshore_kube import config, intake
from foreshore_operator.handlers import handover, login, probing, quiet

log = logging.getLogger(__name__)

IDENTITY: Any = "foreshore-operator"
"""Given because Kopf would make one of the user's name, and a container's user has none."""
GOODBYE: Final = 0.3
"""Seconds for Kopf's TLS connections to close before its loop goes."""
SHORTEST: Final = 0.5
LONGEST: Final = 30.0
"""Seconds between two starts: they double from the one to the other, less a random part."""
STEADY: Final = 60.0
"""Seconds of running after which the next end is waited for as if it were the first."""
SETTLING: Final = 10.0
"""Seconds of running before Kopf is started anew on request: requests come for several kinds."""
STRAYS: Final = frozenset(
    {"guard", "_read_old_api", "_read_new_apis", "_read_version", "wait_flag"}
)
"""Kopf's tasks that may be left when it ends: watches, a look for kinds, the wait for its flag."""


class Supervisor:
    """Runs Kopf in a thread of its own, and starts it again."""

    def __init__(
        self,
        access: config.ClusterAccess,
        watched: Sequence[type[meta.Resource]],
        deliver: Callable[[intake.WatchedEvent], None],
        *,
        on_start: Callable[[str], None] = lambda _cause: None,
    ) -> None:
        """`on_start` is called in the operator's loop with why Kopf is started once more."""
        self.probe = probing.Probe()
        self._access = access
        self._watched = tuple(watched)
        self._loop = asyncio.get_running_loop()
        self._handover = handover.Handover(self._loop, deliver)
        self._on_start = on_start
        self._stop = threading.Event()
        self._restart = threading.Event()
        """Ends the present Kopf; it is Kopf's stop flag."""
        self._asked = ""
        self._is_asked = False
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        """Start; returns at once."""
        self._thread.start()

    def restart(self, cause: str) -> None:
        """Start Kopf anew, once it has run for a moment: it looks for kinds only at its start."""
        if not self._is_asked:
            self._is_asked = True
            wait = max(0.0, SETTLING - (time.monotonic() - self._began))
            self._loop.call_later(wait, self._begin_anew, cause)

    def doubt(self, cause: str) -> None:
        """Its watch lost something: start it anew, unless it has only just begun.

        A list that comes while Kopf starts finds what Kopf is about to bring.
        """
        if time.monotonic() - self._began > STEADY:
            self.restart(cause)

    def _begin_anew(self, cause: str) -> None:
        self._is_asked, self._asked = False, cause
        self._restart.set()

    def close(self, patience: float = 5.0) -> None:
        """Stop and wait a moment for the thread to end."""
        self._stop.set()
        self._restart.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def _run(self) -> None:
        """Run Kopf again and again until asked to stop."""
        wait = SHORTEST
        while not self._stop.is_set():
            self._began = time.monotonic()
            cause = self._once()
            if self._stop.is_set():
                return
            wait = SHORTEST if time.monotonic() - self._began > STEADY else min(LONGEST, wait * 2)
            log.warning("kopf ended and is started again: %s", cause)
            if self._stop.wait(wait * random.uniform(0.5, 1.0)):  # noqa: S311 (spreads load)
                return
            self._loop.call_soon_threadsafe(self._on_start, cause.partition(":")[0])

    def _once(self) -> str:
        """One life of Kopf; why it ended."""
        self._restart.clear()
        self._asked = ""
        if self._stop.is_set():
            return "asked to stop"
        try:
            with self.probe.running() as endpoint:
                asyncio.run(self._operate(endpoint))
        except Exception as error:
            # Kopf ends on upstream conditions that pass by; lists go on meanwhile
            log.debug("kopf ended", exc_info=True)
            return f"{type(error).__name__}: {_root(error)}"[:500]
        return f"Asked: {self._asked}" if self._asked else "Ended: without a cause"

    async def _operate(self, endpoint: str) -> None:
        try:
            await kopf.operator(
                registry=self._registry(),
                identity=IDENTITY,
                standalone=True,
                clusterwide=True,
                liveness_endpoint=endpoint,
                stop_flag=self._restart,
            )
        finally:
            # a thread of the loop waits for this flag, and the loop's end waits for that thread
            self._restart.set()
            await asyncio.sleep(GOODBYE)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.startup(registry=registry)(_configure)
        kopf.on.cleanup(registry=registry)(_end_strays)
        kopf.on.login(registry=registry)(login.KopfLogin(self._access, self._loop).renew)
        kopf.on.probe(registry=registry, id="events")(self._handed_over)
        for model in self._watched:
            kopf.on.event(meta.GROUP, meta.VERSION, model.plural, registry=registry)(
                self._handler(model.kind)
            )
        return registry

    def _handler(self, kind: str) -> Callable[..., Any]:
        async def hand_over(event: Any, **_: Any) -> None:
            self._handover.put(intake.WatchedEvent(kind, event["type"], event["object"]))

        return hand_over

    async def _handed_over(self, **_: Any) -> int:
        return self._handover.count


async def _end_strays(**_: Any) -> None:
    """End what Kopf leaves to itself, before it closes its connections: its cleanup handler.

    Left are the watches of the other kinds after an error in one stream, and a look for kinds that
    was under way. Their next requests would open a session that nobody closes, or wait for a login
    that never comes, and Kopf waits five seconds for them. What a watch has begun it ends itself.
    """
    strays = [
        task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") in STRAYS
    ]
    for stray in strays:
        stray.cancel()
    await asyncio.gather(*strays, return_exceptions=True)


async def _configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    quiet.apply(settings)


def _root(error: BaseException) -> BaseException:
    """What an error began with: Kopf wraps what a handler raised."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
