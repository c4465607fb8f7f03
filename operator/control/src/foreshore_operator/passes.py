"""When a pass is due, and what happens in it: observe, decide, and, as the leader, act.

    something is dirty ── 50–250 ms ──►┐
    something is urgent ── at once ───►├─► delta ─► fold ─► leading? ─► urgent writes ─► statuses
    the plan asked to be woken ───────►│                       └─ no ─► nothing is written
    the hub has fallen silent ────────►│
    half a minute is over ────────────►┘

Who begins to lead writes everything that is not so, and every few minutes again: that is the level
trigger. In between only what changed is looked at. A replica that follows folds as well, so that
its world is there when it takes over; every few seconds only, or two would do the work of one.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from foreshore_kube import elector
from foreshore_operator import (
    act,
    compiling,
    deciding,
    defects,
    dirty,
    measure,
    metrics,
    observe,
    rights,
)
from foreshore_operator import store as mirrors
from foreshore_operator.settings import OperatorSettings
from foreshore_planner import status
from foreshore_planner.world import delta

log = logging.getLogger(__name__)

SPACING = 0.2
"""Seconds between two passes for which nothing is dirty."""
FOLLOWING = 5.0
"""Seconds for which a replica that only follows lets changes gather between two passes."""
FAILED = 5.0
"""Seconds after a failed pass before the next, if nothing is dirty before."""

NAMED = 5
"""Causes of a pass that the log names at most."""

ROWS = 500
"""Statuses that are made in one pass at most: urgent writes of the next must not wait for more."""


@dataclass(slots=True)
class Passes:
    """The loop of one operator."""

    settings: OperatorSettings
    store: mirrors.ClusterMirrors
    hub: measure.HubEvidence | None
    leader: elector.Elector
    act: act.Act
    marks: dirty.Dirty
    figures: metrics.Metrics
    probes: metrics.ProbeState
    compilations: compiling.Compilations
    defects: defects.Defects
    decider: deciding.Decider
    clock: Callable[[], float] = time.monotonic
    _whole_at: float | None = field(init=False, default=None)
    """When everything is looked at next; None while this replica does not lead."""
    _drops: int = field(init=False, default=0)
    """Of the queue of statuses, when everything was looked at last."""
    _due_at: float = field(init=False, default=0.0)
    """When a pass is due at the latest."""
    _due_unless_heard: float = field(init=False, default=math.inf)
    """When one is due unless the hub has answered since the last."""
    _follows: bool = field(init=False, default=False)
    """Whether this replica did not lead in its last pass."""
    _unsaid: dict[status.Subject, None] = field(init=False, default_factory=dict)
    """Objects whose status may have changed, in the order in which they did."""

    async def run(self) -> None:
        """Pass after pass until cancelled.

        The first comes once every mirror is filled, policies are compiled and the hub has said what
        it knows: a restart must look neither like a hub that is out of reach nor like edits.
        """
        await self.store.synced()
        self.compilations.offer(observe.written_resources(self.store))
        await self.compilations.whole()
        if self.hub is not None:
            await self.hub.known()
        patience = 0.0
        try:
            while True:
                patience = await self.turn(patience)
        finally:
            await self.decider.close()

    async def turn(self, patience: float) -> float:
        """Wait for so many seconds at most, make a pass if one is due; how long to wait next."""
        if self._follows:
            await self.marks.rest(FOLLOWING)
        causes = await self.marks.wait(patience)
        left = self._left()
        if not causes and left > 0:
            return left
        log.debug("pass: %d causes, %s", len(causes), [*causes][:NAMED])
        return await self.once()

    async def once(self) -> float:
        """One pass; in how many seconds the next is due at the latest."""
        started = self.clock()
        is_leading = self.leader.is_leader
        self._follows = not is_leading
        try:
            made = await self._decided(is_leading=is_leading)
            for defect in made.defects:
                self._note(defect)
            again = await self._acted(made) if is_leading else None
        except Exception:
            # a defect in deciding must not end the process, which still holds mirrors and lease:
            # it is counted, and the world is made anew
            log.exception("a pass failed")
            self.figures.passes.labels("failed").inc()
            self.decider.begin_anew()
            self._whole_at = None
            self._note_due(FAILED, None)
            return FAILED
        self.defects.end_pass()
        self.figures.passes.labels("acted" if is_leading else "followed").inc()
        self.figures.pass_seconds.observe(self.clock() - started)
        self.probes.passed()
        rest = 0.0 if self._unsaid else None
        wakes = (made.wake_after, again, rest, self.settings.full_pass_seconds)
        self._note_due(min(wake for wake in wakes if wake is not None), made.wake_unless_heard)
        return max(SPACING, self._left())

    def _note_due(self, wake: float, unless_heard: float | None) -> None:
        now = self.clock()
        self._due_at = now + wake
        self._due_unless_heard = math.inf if unless_heard is None else now + unless_heard

    def _left(self) -> float:
        """Return the seconds until a pass is due although nothing is dirty.

        An agent that reports in time grows silent for us only when the hub does: its answers make
        no pass, and put that off.
        """
        silent_at = self._due_unless_heard + self.decider.heard_later()
        return min(self._due_at, silent_at) - self.clock()

    async def _decided(self, *, is_leading: bool) -> delta.PlanDelta:
        """Decide; twice when a right would move, on evidence of this very moment."""
        made = await self.decider.decide()
        if is_leading and rights.has_moves(made):
            if self.hub is not None and await self.hub.refresh():
                made = delta.joined(made, await self.decider.decide())
            else:
                made = rights.without_moves(made)
        return await self._with_the_rest(made, is_leading=is_leading)

    async def _with_the_rest(self, made: delta.PlanDelta, *, is_leading: bool) -> delta.PlanDelta:
        """Return what a fold made, with everything else where that is due."""
        now = self.clock()
        if not is_leading:
            self._whole_at = None
            self._unsaid.clear()
            self.act.stand_down()
            return made
        # a lead that was lost and won again between two passes shows by what it dropped
        has_dropped, self._drops = self.act.queue.drops != self._drops, self.act.queue.drops
        is_due = self._whole_at is None or now >= self._whole_at
        if is_due or has_dropped or self.decider.is_begun_anew:
            self._whole_at = now + self.settings.whole_pass_seconds
            return await asyncio.to_thread(self.decider.everything, made)
        return made

    async def _acted(self, made: delta.PlanDelta) -> float | None:
        """Write what is urgent, then make some of the statuses that are due."""
        changed = await asyncio.to_thread(sorted, made.statuses)  # of a leader that begins, all
        self._unsaid.update(dict.fromkeys(changed))
        note_cut_short(made, self.figures)
        granted, unsaid = await self.decider.granted(made.grants)
        again = await self.act.carry_out(made, granted)
        subjects = tuple(itertools.islice(self._unsaid, ROWS))
        rows, unmade = await self.decider.rows(subjects)
        for subject in subjects:
            del self._unsaid[subject]
        for defect in (*unsaid, *unmade):
            self._note(defect)
        self.act.offer(rows)
        return again

    def _note(self, defect: deciding.Defect) -> None:
        self.defects.note(defect.kind, defect.namespace, defect.name, defect.error, "planning it")


def note_cut_short(made: delta.PlanDelta, figures: metrics.Metrics) -> None:
    """Count the plans for which a bound ended the search for room, and name the first."""
    plans = [plan for plan in made.placements.values() if plan is not None]
    cut_short = [plan for plan in plans if plan.findings.cut_short is not None]
    figures.cut_short.inc(len(cut_short))
    if cut_short:
        first, others = cut_short[0], len(cut_short) - 1
        log.warning(
            "placement %s/%s and %d others have a slot without a node: %s",
            *(first.namespace, first.name, others, first.findings.cut_short),
        )
