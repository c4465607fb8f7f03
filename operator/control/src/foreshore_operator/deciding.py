"""The planner's world, kept between passes: fed from the mirrors, and held to its reference.

    mirrors, hub, answers, refusals ──► delta ──► fold (in a thread) ──► what is to be written
                                          │
    every few minutes, of that moment ────┴────► plan(snapshot), in another thread ──► compare

`passes` owns it and is the only caller, so that nothing of it runs twice at once. A difference from
the reference is a defect of ours: it is logged, counted, and ended by beginning anew.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from foreshore_api import meta, v1alpha1
from foreshore_operator import changes, compiling, measure, observe, store
from foreshore_planner import (
    containment,
    health,
    hysteresis,
    named,
    priors,
    snapshot,
    status,
    succession,
)
from foreshore_planner import plan as planning
from foreshore_planner.placement import case
from foreshore_planner.world import delta, fold

log = logging.getLogger(__name__)

Defect = containment.Defect

COMPARED_EVERY: Final = 300.0
"""Seconds between two comparisons with the reference."""
CONFIRMED_AFTER: Final = 15.0
"""Seconds after a difference until it is looked for again: at a limit of age the two may differ for
a moment, and that is no defect."""
PENDING: Final = 0.1
"""Seconds for which a pass waits for edits to be compiled: most are by then, and say nothing of it.
What takes longer is pending, and its answer makes a pass."""
SHOWN: Final = 3
"""Differences of a kind that the log names."""


@dataclass(frozen=True, slots=True)
class DecidedNames:
    """The names of all that was decided, as far as it is written: two of them can be compared."""

    pods: frozenset[tuple[str, str]]
    grants: frozenset[tuple[str, str, str]]
    removals: frozenset[tuple[str, str]]
    retired: frozenset[tuple[str, str]]

    @classmethod
    def of(
        cls, made: planning.Plan | delta.PlanDelta, plans: Iterable[case.PlacementPlan]
    ) -> DecidedNames:
        """Take it from a plan, whole or not, and from every placement that is planned."""
        return cls(
            pods=frozenset((pod.namespace, pod.name) for plan in plans for pod in plan.pods),
            grants=frozenset(
                (grant.namespace, grant.device, grant.authority.holder or "")
                for grant in made.grants
            ),
            removals=frozenset((removal.namespace, removal.name) for removal in made.removals),
            retired=frozenset((removal.namespace, removal.name) for removal in made.retired),
        )

    def differences(self, other: DecidedNames) -> frozenset[tuple[str, tuple[str, ...]]]:
        """Return what only one of two has, by kind."""
        return frozenset(
            (field_.name, key)
            for field_ in dataclasses.fields(self)
            for key in getattr(self, field_.name) ^ getattr(other, field_.name)
        )


@dataclass(slots=True)
class Decider:
    """Turns what changed into what is to be written."""

    store: store.ClusterMirrors
    hub: measure.HubEvidence | None
    compilations: compiling.Compilations
    serving_image: str
    refusals: Mapping[tuple[str, str], str]
    """By pod: why the API server does not let it in; `act` keeps it."""
    prior: Callable[[], priors.LatencyPriors] = lambda: priors.NOTHING
    """Says what was measured elsewhere and before."""
    stabilization: hysteresis.Stabilization = hysteresis.DEFAULT
    on_difference: Callable[[str, int], None] = lambda _kind, _count: None
    clock: Callable[[], float] = time.monotonic
    _world: fold.KeptWorld = field(init=False)
    _keys: changes.ChangedKeys = field(init=False)
    _is_begun_anew: bool = field(init=False, default=True)
    _tier: v1alpha1.Tier | None = field(init=False, default=None)
    _compiled: Mapping[named.Key, snapshot.Compiled] = field(init=False, default_factory=dict)
    _refused: Mapping[named.Key, str] = field(init=False, default_factory=dict)
    _fleet: object = field(init=False, default=None)
    _received_at: float | None = field(init=False, default=None)
    """When what the last pass heard of the hub was received; None where it was out of reach."""
    _compare_at: float = field(init=False)
    _suspected: frozenset[tuple[str, tuple[str, ...]]] = field(
        init=False, default_factory=frozenset
    )
    _is_wrong: bool = field(init=False, default=False)
    """Whether the world differs from the reference: the next pass begins anew."""
    _comparing: asyncio.Task[None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._compare_at = self.clock() + COMPARED_EVERY
        self._begin()

    def _begin(self) -> None:
        """Begin with an empty world; everything that is there counts as changed."""
        self._world = fold.KeptWorld()
        self._keys = self.store.follow()
        self._compiled, self._refused, self._fleet, self._tier = {}, {}, None, None
        self._received_at, self._is_begun_anew = None, True

    def heard_later(self) -> float:
        """Return by how many seconds the hub's newest answer is newer than what a pass heard.

        It had no news, or it would have made a pass. 0 while the hub is out of reach.
        """
        fleet, age = self.hub.evidence() if self.hub is not None else (None, 0.0)
        if fleet is None or self._received_at is None:
            return 0.0
        return max(0.0, self.clock() - age - self._received_at)

    async def decide(self) -> delta.PlanDelta:
        """Take in what changed; a long fold must not cost the lease its renewal."""
        if self._is_wrong:
            self._is_wrong = False
            self.begin_anew()
        change, seen = await self._change()
        made = await asyncio.to_thread(lambda: fold.fold(self._world, change()))
        if seen is not None:
            shown = tuple(self._world.placements.shown.values())
            self._comparing = asyncio.create_task(
                self._compare(seen, made, shown), name="comparing with the reference"
            )
        return made

    @property
    def is_begun_anew(self) -> bool:
        """Whether nothing was asked for whole since the world was begun."""
        return self._is_begun_anew

    def begin_anew(self) -> None:
        """Forget the world: a fold that failed may have left it half done."""
        self.store.forget(self._keys)
        self._begin()

    def everything(self, made: delta.PlanDelta) -> delta.PlanDelta:
        """Return all that should be so, whether it changed or not: for a leader that begins."""
        self._is_begun_anew = False
        return fold.whole(self._world, made)

    async def rows(
        self, subjects: Iterable[status.Subject]
    ) -> tuple[tuple[status.Row, ...], tuple[Defect, ...]]:
        """Return the statuses of objects as of the last pass."""
        return await asyncio.to_thread(self._world.rows, tuple(subjects))

    async def granted(
        self, grants: Sequence[succession.GrantUpdate]
    ) -> tuple[Mapping[named.Key, v1alpha1.DeviceStatus], tuple[Defect, ...]]:
        """Return what is said of Devices with the grants of the last pass."""
        if not grants:
            return {}, ()
        return await asyncio.to_thread(self._world.granted, grants)

    async def close(self) -> None:
        """End a comparison that is under way."""
        if self._comparing is not None:
            self._comparing.cancel()
            await asyncio.gather(self._comparing, return_exceptions=True)

    async def _change(
        self,
    ) -> tuple[Callable[[], delta.Delta], Callable[[], snapshot.Snapshot] | None]:
        """What changed until now, and where a comparison is due the whole of this very moment."""
        written = observe.written_resources(self.store)
        self.compilations.offer(written)
        answers = self.compilations.answers(written.policies)
        if any(answer.is_pending for answer in answers.values()):
            await self.compilations.settled(PENDING)
            written = observe.written_resources(self.store)
            answers = self.compilations.answers(written.policies)
        is_due = self.clock() >= self._compare_at and (
            self._comparing is None or self._comparing.done()
        )
        seen = self.observed() if is_due else None
        if is_due:
            self._compare_at = self.clock() + COMPARED_EVERY
        return self._delta(answers), seen

    def last_seen(self) -> snapshot.Snapshot | None:
        """Return what the last pass saw, to look at beside the next one; None before the first.

        Ages are as old as the last look at each thing. Lookups are made anew, by who asks for them:
        those of the kept world change with it.
        """
        return dataclasses.replace(self._world.decided[0]) if self._world.decided else None

    def observed(self) -> Callable[[], snapshot.Snapshot]:
        """Return what makes the snapshot of all that is seen at this moment, in a thread."""
        seen, prior = self._observed(), self.prior()
        return lambda: dataclasses.replace(seen(), priors=prior)

    def _observed(self) -> Callable[[], snapshot.Snapshot]:
        return observe.observe(
            self.store,
            self.hub,
            self.compilations,
            serving_image=self.serving_image,
            stabilization=self.stabilization,
            refusals=self.refusals,
        )

    def _delta(self, answers: Mapping[named.Key, snapshot.Compiled]) -> Callable[[], delta.Delta]:
        """Return what makes the delta until this moment, in a thread: the first is the fleet."""
        taken = self.store.delta(self._keys, self._default_tier())
        compiled, self._compiled = delta.changed(self._compiled, answers), answers
        refused, before = dict(self.refusals), self._refused
        self._refused = refused
        now, monotonic = datetime.datetime.now(datetime.UTC), self.clock()
        heard, prior = self._heard(), self.prior()
        return lambda: delta.Delta(
            now=now,
            monotonic=monotonic,
            objects=_by_kind(taken),
            nodes={name: _without_renewals(node) for name, node in taken.nodes.items()},
            replicas={(key.namespace, key.name): pod for key, pod in taken.replicas.items()},
            parts={(key.namespace, key.name): part for key, part in taken.parts.items()},
            refusals=delta.changed(before, refused),
            compiled=compiled,
            heard=heard,
            serving_image=self.serving_image,
            stabilization=self.stabilization,
            priors=prior,
        )

    def _default_tier(self) -> v1alpha1.Tier:
        """The tier of nodes without a label; when it changes, they all change."""
        tier = observe.default_tier(self.store)
        if tier is not self._tier:
            self._keys.nodes.update(self.store.node_names())
            self._tier = tier
        return tier

    def _heard(self) -> delta.HubStatement | None:
        fleet, age = self.hub.evidence() if self.hub is not None else (None, 0.0)
        if fleet is self._fleet:
            return None
        self._fleet = fleet
        self._received_at = None if fleet is None else self.clock() - age
        return delta.HubStatement(fleet, age)

    async def _compare(
        self,
        seen: Callable[[], snapshot.Snapshot],
        made: delta.PlanDelta,
        shown: Sequence[case.PlacementPlan],
    ) -> None:
        """Decide the same anew, by the reference, beside the loop."""
        try:
            differing = await asyncio.to_thread(compared, seen, made, shown)
        except Exception:
            log.exception("the reference of the planner failed")
            self.on_difference("Reference", 1)
            return
        again, self._suspected = differing & self._suspected, differing
        if differing and not again:
            self._compare_at = min(self._compare_at, self.clock() + CONFIRMED_AFTER)
        if again:
            self._mend(again)

    def _mend(self, wrong: frozenset[tuple[str, tuple[str, ...]]]) -> None:
        """Say what differed from the reference twice, and begin anew."""
        for kind in sorted({kind for kind, _ in wrong}):
            keys = sorted("/".join(key) for of, key in wrong if of == kind)
            self.on_difference(kind, len(keys))
            log.error("%d %s differ from what planning everything anew gives (%s): everything is"
                      " planned anew; please report this", len(keys), kind,
                      ", ".join(keys[:SHOWN]))  # fmt: skip
        self._suspected = frozenset()
        self._is_wrong = True


def compared(
    seen: Callable[[], snapshot.Snapshot],
    made: delta.PlanDelta,
    shown: Sequence[case.PlacementPlan],
) -> frozenset[tuple[str, tuple[str, ...]]]:
    """Return what differs between a fold, with all that it plans, and the reference."""
    reference = planning.plan(seen())
    wanted = DecidedNames.of(reference, reference.placements)
    return DecidedNames.of(made, shown).differences(wanted)


def _by_kind(
    taken: changes.StoreDelta,
) -> Mapping[str, Mapping[named.Key, meta.Resource | None]]:
    objects: dict[str, dict[named.Key, meta.Resource | None]] = {}
    for (kind, key), resource in taken.resources.items():
        objects.setdefault(kind, {})[key.namespace, key.name] = resource
    return objects


def _without_renewals(node: snapshot.Node | None) -> snapshot.Node | None:
    """Return a node as one that is renewed: its Lease's age counts once it is stale.

    A renewal is no change that anybody is told of, so that an age would seem to grow.
    """
    if node is None or node.lease_age is None or node.lease_age > health.LEASE_STALE:
        return node
    return dataclasses.replace(node, lease_age=None)
