"""When a pass is due, and what happens in it: observe, decide, and, as the leader, act.

    something is dirty ── 50–250 ms ──►┐
    something is urgent ── at once ───►├─► observe ─► plan ─► leading? ─► act ─► wait
    the plan asked to be woken ───────►│                          └─ no ─► compare only
    half a minute is over ────────────►┘

A replica that follows observes and plans as well, so that its mirrors are warm when it takes over.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from foreshore_kube import elector
from foreshore_operator import act, compiling, defects, dirty, measure, metrics, observe, store
from foreshore_operator.settings import OperatorSettings
from foreshore_planner import plan as planning
from foreshore_planner import snapshot

log = logging.getLogger(__name__)

SPACING = 0.2
"""Seconds after a failed pass before the next, so that a defect does not become a busy loop."""


PENDING = 0.1
"""Seconds for which a pass waits for edits to be compiled: most are by then, and say nothing of it.
What takes longer is pending, and its answer makes a pass."""


@dataclass(slots=True)
class Passes:
    """The loop of one operator."""

    settings: OperatorSettings
    store: store.ClusterMirrors
    hub: measure.HubEvidence | None
    leader: elector.Elector
    act: act.Act
    marks: dirty.Dirty
    figures: metrics.Metrics
    probes: metrics.ProbeState
    compilations: compiling.Compilations
    defects: defects.Defects
    decide: Callable[[snapshot.Snapshot], planning.Plan] = planning.plan

    async def run(self) -> None:
        """Pass after pass until cancelled.

        The first comes once every mirror is filled, policies are compiled and the hub was asked: a
        restart must look neither like a hub that is out of reach nor like edits.
        """
        await self.store.synced()
        self.compilations.offer(observe.written_resources(self.store))
        await self.compilations.whole()
        if self.hub is not None:
            await self.hub.asked.wait()
        patience = 0.0
        while True:
            causes = await self.marks.wait(patience)
            log.debug("pass: %d causes", len(causes))
            patience = await self.once()

    async def once(self) -> float:
        """One pass; in how many seconds the next is due at the latest."""
        started = time.monotonic()
        is_leading = self.leader.is_leader
        try:
            plan = await self._decided()
            for defect in plan.defects:
                self.defects.note(
                    defect.kind, defect.namespace, defect.name, defect.error, "planning it"
                )
            again = await self.act.carry_out(plan) if is_leading else None
        except Exception:
            # a defect in deciding must not end the process, which still holds mirrors and lease:
            # it is counted, and the world stays as it is
            log.exception("a pass failed")
            self.figures.passes.labels("failed").inc()
            return SPACING * 25
        self.defects.end_pass()
        self.figures.passes.labels("acted" if is_leading else "followed").inc()
        self.figures.pass_seconds.observe(time.monotonic() - started)
        self.probes.passed()
        wakes = (plan.wake_after, again, self.settings.full_pass_seconds)
        return max(SPACING, min(wake for wake in wakes if wake is not None))

    async def _decided(self) -> planning.Plan:
        """Observe and decide; twice when a right would move, on evidence of this very moment."""
        plan = await self._plan()
        if not (self.leader.is_leader and act.has_moves(plan)):
            return plan
        if self.hub is not None and await self.hub.refresh():
            return await self._plan()
        return act.without_moves(plan)

    async def _plan(self) -> planning.Plan:
        """Observe here, decide in a thread: a long plan must not cost the lease its renewal."""
        seen = observe.observe(
            self.store,
            self.hub,
            self.compilations,
            serving_image=self.settings.serving_image,
            refusals=self.act.refusals,
        )
        if any(answer.is_pending for answer in seen.compiled.values()):
            await self.compilations.settled(PENDING)
            seen = dataclasses.replace(seen, compiled=self.compilations.answers(seen.policies))
        return await asyncio.to_thread(self.decide, seen)
