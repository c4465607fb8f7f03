"""The fold itself: a world that is kept, and what a delta makes of it.

`fold` owns the world it is given and changes it: a copy of ten thousand plans a pass would cost
more than the pass. The same deltas always lead to the same world. What it decides is what
`plan(snapshot)` decides of the same world, but for what only explains a settled placement (counts
of nodes, figures of its budget): that is as old as the last look at it, and `rounds` bounds it.

Every call for one object is guarded by itself: who cannot be planned is named, and what it has
stays; nobody else is touched.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from foreshore_api import v1alpha1
from foreshore_planner import (
    authority,
    binding,
    containment,
    health,
    outcome,
    snapshot,
    status,
    succession,
)
from foreshore_planner.world import bonds, delta, keys, placements, rounds, seen, verdicts

DEVICE, POLICY = v1alpha1.Device.kind, v1alpha1.DecisionPolicy.kind


class KeptWorld:
    """Everything that is kept between passes."""

    def __init__(self) -> None:
        self.seen = seen.KeptView()
        self.verdicts = verdicts.Verdicts()
        self.bonds = bonds.Bonds()
        self.placements = placements.Placements()
        self.successions: dict[binding.Key, succession.Succession] = {}
        self.granting: set[binding.Key] = set()
        """Devices with a grant that is not seen to be written yet."""
        self.defects: dict[status.Subject, containment.Defect] = {}
        """Of objects whose right cannot be decided or that cannot be bound, while that lasts."""
        self.rounds = rounds.Rounds()
        self.decided: tuple[snapshot.Snapshot, outcome.PassOutcome] | None = None

    def health(self) -> health.Health:
        """Return the verdicts as they stand."""
        return self.verdicts.health(self.seen)

    def outcome(self) -> outcome.PassOutcome:
        """Return what is decided as it stands, as statuses are made of it."""
        return outcome.PassOutcome(
            verdicts=self.health(),
            bound=self.bonds.bound,
            successions=self.successions,
            plans=self.placements.shown,
            plans_of=self.placements.of_policy,
            plans_using=self.placements.of_version,
            devices_of=self.bonds.devices_of,
        )

    def rows(
        self, subjects: Sequence[status.Subject]
    ) -> tuple[tuple[status.Row, ...], tuple[containment.Defect, ...]]:
        """Return the statuses of these objects as of the last pass; of those that are gone none.

        Raises RuntimeError before the first pass.
        """
        if self.decided is None:
            raise RuntimeError("a status is made of a pass, and there was none yet")
        present, decided = self.decided
        self.seen.refresh_fallen(subjects)
        made = [
            containment.status_of(present, decided, subject)
            for subject in subjects
            if status.has_status(present, decided, subject)
        ]
        return (
            tuple(row for row, _ in made if row is not None),
            tuple(defect for _, defect in made if defect is not None),
        )

    def granted(
        self, grants: Iterable[succession.GrantUpdate]
    ) -> tuple[Mapping[binding.Key, v1alpha1.DeviceStatus], tuple[containment.Defect, ...]]:
        """Return the statuses of Devices as they are once these grants of the last pass are there.

        Raises RuntimeError before the first pass.
        """
        if self.decided is None:
            raise RuntimeError("a grant is made of a pass, and there was none yet")
        present, decided = self.decided
        made = [(grant, *containment.granted_status(present, decided, grant)) for grant in grants]
        return (
            {(grant.namespace, grant.device): of for grant, of, _ in made if of is not None},
            tuple(defect for _, _, defect in made if defect is not None),
        )


def fold(world: KeptWorld, change: delta.Delta) -> delta.PlanDelta:
    """Take a delta into a world; return what is to be written for it."""
    changes = world.seen.take(change)
    present = world.seen.present()
    turned = world.verdicts.judge(world.seen, present, changes)
    rebound = world.bonds.bind(world.seen, present, changes)
    asked = keys.Keys(world.seen, world.bonds, world.placements)
    asked.of_changes(changes)
    asked.of_verdicts(turned)
    asked.of_bonds(rebound)
    replanned = _plan(world, change, asked)
    _decide(world, asked)
    undrained = _leave(world, asked)
    _note_defects(world, rebound)
    world.decided = (world.seen.present(), world.outcome())
    due, unless_heard = world.seen.queue.next(), world.seen.hearing.fresh_until
    return delta.PlanDelta(
        placements={key: plan.new for key, plan in replanned.plans.items()},
        grants=_grants(world),
        removals=world.placements.removals,
        retired=world.placements.retired,
        statuses=frozenset(asked.statuses),
        defects=(
            *turned.defects,
            *replanned.defects,
            *undrained,
            *(world.defects[subject] for subject in sorted(world.defects)),
        ),
        wake_after=_left(due, change.monotonic),
        wake_unless_heard=_left(unless_heard, change.monotonic),
    )


def _left(moment: float | None, now: float) -> float | None:
    return None if moment is None else max(0.0, moment - now)


def whole(world: KeptWorld, made: delta.PlanDelta) -> delta.PlanDelta:
    """Return what a fold made with everything else that should be so.

    Raises RuntimeError before the first pass.
    """
    if world.decided is None:
        raise RuntimeError("nothing was decided yet")
    return dataclasses.replace(
        made,
        placements={**made.placements, **world.placements.shown},
        statuses=frozenset(status.subjects(*world.decided)),
    )


def _plan(world: KeptWorld, change: delta.Delta, asked: keys.Keys) -> placements.Replanned:
    """Plan the placements that something changed for, and those that wait for anything."""
    for placement in _gone(change):
        world.placements.forget(placement)
    if change.looks_again:
        asked.all_placements()
    if asked.is_stirred or asked.placements:
        asked.placements |= world.placements.unsettled
    world.rounds.press(asked.figures)
    asked.placements |= world.rounds.take(world.placements.ats(), change.monotonic)
    for at in asked.placements:
        world.seen.refresh(at)
    world.seen.refresh_returned()
    present, judged = world.seen.present(), world.health()
    replanned = world.placements.plan(
        world.seen, present, judged, world.bonds.bound, asked.placements
    )
    for key, problem in replanned.problems.items():
        world.bonds.fail(POLICY, key, problem)
        asked.status_of(POLICY, [key])
        _note(world, POLICY, key, problem)
    asked.of_plans(replanned.plans)
    return replanned


def _gone(change: delta.Delta) -> Iterable[binding.Key]:
    objects = change.objects.get(v1alpha1.InferencePlacement.kind, {})
    return [key for key, placement in objects.items() if placement is None]


def _decide(world: KeptWorld, asked: keys.Keys) -> None:
    """Decide the rights that something changed for, and those that wait to be written."""
    present, judged, bound = world.seen.present(), world.health(), world.bonds.bound
    for key in asked.devices | world.granting:
        device = bound.devices.get(key)
        before = world.successions.pop(key, None)
        world.granting.discard(key)
        wait: float | None = None
        if device is not None and device.problem is None:
            try:
                decided = authority.of(present, judged, bound, device)
            except Exception as error:  # noqa: BLE001 - of this device alone; logged and counted
                problem = binding.internal(error, "deciding who may command it")
                world.bonds.fail(DEVICE, key, problem)
                _note(world, DEVICE, key, problem)
            else:
                world.successions[key] = decided
                wait = decided.wake_after
                if decided.grant is not None:
                    world.granting.add(key)
        if world.successions.get(key) != before:
            asked.status_of(DEVICE, [key])
        world.seen.queue.put(
            ("right", key), world.seen.monotonic + wait if wait is not None else None
        )


def _leave(world: KeptWorld, asked: keys.Keys) -> list[containment.Defect]:
    return world.placements.leave(
        world.seen, world.seen.present(), world.health(), world.bonds.bound, asked.placements
    )


def _grants(world: KeptWorld) -> tuple[succession.GrantUpdate, ...]:
    every = (world.successions[key].grant for key in sorted(world.granting))
    return tuple(grant for grant in every if grant is not None)


def _note_defects(world: KeptWorld, rebound: bonds.Rebound) -> None:
    """Keep which objects a defect of ours keeps from being bound."""
    for key, device in rebound.devices.items():
        _note(world, DEVICE, key, device.new.problem if device.new is not None else None)
    for key in rebound.policies:
        bound = world.bonds.policies.get(key)
        _note(world, POLICY, key, bound.problem if bound is not None else None)
    for (kind, key), problem in world.bonds.problems(rebound):
        _note(world, kind, key, problem)


def _note(
    world: KeptWorld, kind: str, key: binding.Key, problem: binding.BindingProblem | None
) -> None:
    if problem is not None and problem.error is not None:
        world.defects[(kind, key)] = containment.Defect(kind, *key, problem.error)
    else:
        world.defects.pop((kind, key), None)
