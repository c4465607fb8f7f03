"""One agent, put together: engine, journal, replicas, broker, link, port; one TaskGroup for all.

    open journal ─► restore engine ─► last assignment ─► broker, link, probes, beats, ticks ─► stop

`process` runs one for `foreshore-agent run`, `rehearse --live` one beside a player.
Stopping gives back the rights that a peer could take, and waits for their successors for a while
(`life`); then it stands down: the broker is left first, so that nothing is commanded any more, and
the journal writes what is queued. Where nobody could take a right it is kept: the same node is
usually back before anybody else could take over.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from importlib import metadata
from typing import Final

import orjson

from foreshore_agent import clocks, journal, meters, settings
from foreshore_agent.engine import durable, effects, state, view
from foreshore_agent.hosting import marks
from foreshore_agent.runtime import core, facts, life
from foreshore_api.v1alpha1 import site as sites
from foreshore_api.wire import report

_LOG: Final = logging.getLogger(__name__)


class Agent:
    """One agent; `run` is its life."""

    def __init__(
        self,
        configured: settings.AgentSettings,
        clock: clocks.Clock,
        *,
        instead: sites.Broker | None = None,
        tap: core.Tap | None = None,
    ) -> None:
        """Prepare an agent.

        Args:
            configured: its settings.
            clock: the world's, or a recording's.
            instead: a broker to use in place of the Site's, which is then never contacted.
            tap: sees every effect before it is carried out.
        """
        self.meters: Final = meters.Meters()
        self._settings: Final = configured
        self._clock: Final = clock
        self._instead: Final = instead
        self._tap: Final = tap
        self._facts: facts.AgentFacts | None = None

    def missing(self) -> tuple[str, ...]:
        """Return what is missing for readiness, as sentences; nothing means ready."""
        return ("the agent is starting",) if self._facts is None else self._facts.missing()

    def pending(self) -> tuple[str, ...]:
        """Return what is not up yet, as sentences."""
        return ("the agent is starting",) if self._facts is None else self._facts.pending()

    def problems(self) -> tuple[report.Problem, ...]:
        """Return what could not be done as asked."""
        return () if self._facts is None else self._facts.all_problems()

    def due(self) -> float | None:
        """Return when the first trigger that waits for its interval is due, in engine seconds."""
        return None if self._facts is None else view.due(self._facts.core.state)

    async def run(self, stop: asyncio.Event) -> None:
        """Live until `stop` is set.

        Raises:
            journal.JournalInUse: another process works in the state directory.
            folder.FolderError: folder mode has nothing to work from.
            OSError: the state directory or the port cannot be used.
        """
        self._settings.state.mkdir(parents=True, exist_ok=True)
        is_collected = isinstance(self._settings.source, settings.HubSettings)
        book = await journal.Journal.open(
            self._settings.state,
            quotas=self._settings.quotas,
            is_collected=is_collected,
            now=self._clock.now,
        )
        try:
            kept = await book.values(effects.DURABLE_PREFIX)
            identity = _identity(self._settings.node, self._clock, book)
            restored = durable.restore(identity, kept, self._clock.instant())
            await set_aside(restored, kept, book)
            ground = life.Ground(
                settings=self._settings,
                clock=self._clock,
                book=book,
                meters=self.meters,
                restored=restored,
                tap=self._tap,
                instead=self._instead,
                trying=await book.values(marks.PREFIX),
            )
            async with asyncio.TaskGroup() as tasks:
                living = life.Life(ground, tasks)
                self._facts = living.facts
                await living.live(stop)
        finally:
            self._facts = None
            await book.close()


async def set_aside(
    restored: state.State, kept: Mapping[str, bytes], book: journal.Journal
) -> None:
    """Keep what could not be read under another key, once, and why beside it.

    The next start does not meet it again, but for what a device was commanded: until its limits
    are written anew, as spent, every start has to know that they were lost.
    """
    causes: dict[str, dict[str, str]] = {}
    for name, why in restored.unreadable:
        _LOG.error("%s in the state directory cannot be used and is set aside: %s", name, why)
        whole = name if name in kept else durable.AUTHORITIES
        causes.setdefault(whole, {})[name] = why
    for whole, reasons in causes.items():
        with contextlib.suppress(journal.JournalFull):
            await book.keep(durable.ASIDE + whole, kept.get(whole, b""))
            await book.keep(f"{durable.ASIDE}{whole}/why", orjson.dumps(reasons))
            if whole in reasons and not whole.startswith(durable.DEVICE):
                await book.keep(whole, b"")


def _identity(node: str, clock: clocks.Clock, book: journal.Journal) -> state.Identity:
    return state.Identity(
        node=node,
        boot_id=clock.boot_id,
        journal=book.journal_id,
        agent_version=metadata.version("foreshore-agent"),
        virtual=clock.virtual,
    )
