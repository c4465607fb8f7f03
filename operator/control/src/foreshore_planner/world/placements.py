"""Every placement's plan, kept between passes: which are looked at, and what goes for them.

A settled placement is looked at when something of its own changed; one that is not settled whenever
anything did, for any node may be what it waits for. Called by `fold`.
"""

import dataclasses
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import (
    binding,
    containment,
    health,
    leaving,
    named,
    outcome,
    placing,
    residuals,
    snapshot,
)
from foreshore_planner.placement import case, in_agents, pace, retained, slots, supply
from foreshore_planner.world import groups
from foreshore_planner.world.changes import Alteration
from foreshore_planner.world.seen import KeptView

Phase = inferenceplacement.ReplicaPhase
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Key = binding.Key
At = snapshot.At

LOOKED_AT_AGAIN = (pace.WINDOW, slots.LATE_FOR, slots.AVOIDED_FOR)
"""Seconds after a move at which it counts no more: for its site's minute, for where it left. And
after what a fleet chooses, for its placement's next move of its own accord (`hysteresis`)."""


@dataclass(slots=True)
class Replanned:
    """What became of the placements that were looked at."""

    plans: dict[Key, Alteration[case.PlacementPlan]] = field(default_factory=dict)
    """Those that changed."""
    problems: dict[Key, binding.BindingProblem] = field(default_factory=dict)
    """Policies whose placements a defect of ours keeps from being planned."""
    defects: list[containment.Defect] = field(default_factory=list)


class Placements:
    """What every placement should look like, and what should go for it."""

    def __init__(self) -> None:
        self.shown: dict[Key, case.PlacementPlan] = {}
        """Planned or only kept, by (namespace, name)."""
        self.unsettled: set[At] = set()
        self._planned: dict[At, case.PlacementPlan] = {}
        self._removals: dict[At, tuple[case.Removal, ...]] = {}
        self._retired: dict[Key, case.Removal] = {}
        self._draining: set[At] = set()
        self.of_policy: groups.Groups[Key, Key, case.PlacementPlan] = groups.Groups(
            lambda plan: (outcome.policy_of(plan),), outcome.order
        )
        self.of_version: groups.Groups[Key, Key, case.PlacementPlan] = groups.Groups(
            outcome.versions_of, outcome.order
        )
        self.on_node: groups.Groups[str, Key, case.PlacementPlan] = groups.Groups(
            _nodes_of, outcome.order
        )
        self.delayed_at: groups.Groups[str, Key, case.PlacementPlan] = groups.Groups(
            _site_of_delay, outcome.order
        )
        """Placements with a replica that would be better elsewhere, by site."""
        self.of_pod: groups.Groups[Key, Key, case.PlacementPlan] = groups.Groups(
            lambda plan: [(pod.namespace, pod.name) for pod in plan.pods], outcome.order
        )

    def ats(self) -> Collection[At]:
        """Return every placement that is planned."""
        return self._planned.keys()

    @property
    def removals(self) -> tuple[case.Removal, ...]:
        """Pods that should go, in order of name."""
        every = [removal for removals in self._removals.values() for removal in removals]
        return tuple(sorted(every, key=lambda removal: (removal.namespace, removal.name)))

    @property
    def retired(self) -> tuple[case.Removal, ...]:
        """InferencePlacements that should go, in order of name."""
        return tuple(self._retired[key] for key in sorted(self._retired))

    def plan(
        self,
        kept: KeptView,
        seen: snapshot.Snapshot,
        verdicts: health.Health,
        bound: binding.BoundSnapshot,
        asked: set[At],
    ) -> Replanned:
        """Plan these placements, in one batch: what one takes the next lacks.

        To `asked` are added those whose replicas make room for one of them.
        """
        replanned = Replanned()
        plans = self._batch(seen, verdicts, bound, asked, replanned)
        asked.update(plans)
        for at in sorted(asked):
            plan = plans.get(at)
            _set(self._planned, at, plan)
            shown = plan or self._kept(seen, verdicts, bound, at, replanned)
            self._show(kept, at, shown, replanned)
            self._retire(seen, bound, at, replanned)
        return replanned

    def leave(
        self,
        kept: KeptView,
        seen: snapshot.Snapshot,
        verdicts: health.Health,
        bound: binding.BoundSnapshot,
        asked: Iterable[At],
    ) -> list[containment.Defect]:
        """Work out which pods should go, of these placements and of those whose pods drain."""
        defects: list[containment.Defect] = []
        ats = {at for at in {*asked, *self._draining} if self._has_leaving(kept, at)}
        for at in {*asked, *self._draining} - ats:
            self._removals.pop(at, None)
        self._draining = set(ats)
        wait: float | None = None
        for at in sorted(ats):
            kept.refresh(at)
            plan = self._planned.get(at)
            try:
                removals = leaving.superseded_at(seen, verdicts, bound, at, plan)
                waits = leaving.wakes_at(seen, verdicts, at, plan)
            except Exception as error:  # noqa: BLE001 - of this placement alone; logged and counted
                self._removals.pop(at, None)
                defects.append(_defect(at, error))
                continue
            _set(self._removals, at, tuple(removals) or None)
            wait = min([*waits, *([wait] if wait is not None else [])], default=None)
        kept.queue.put(("leaving",), kept.monotonic + wait if wait is not None else None)
        return defects

    def _batch(
        self,
        seen: snapshot.Snapshot,
        verdicts: health.Health,
        bound: binding.BoundSnapshot,
        asked: Collection[At],
        replanned: Replanned,
    ) -> dict[At, case.PlacementPlan]:
        """Plan these placements in one choice; if that fails, find out whose fault it is."""
        pairs = [
            (policy, site)
            for namespace, name, site in sorted(asked)
            if (policy := bound.policies.get((namespace, name))) is not None
            and policy.is_placed
            and site in policy.sites
        ]
        if not pairs:
            return {}
        stock = supply.Supply(seen, verdicts, bound)
        try:
            cases = [placing.case_of(stock, policy, site) for policy, site in pairs]
            plans = placing.place(stock, [inputs for inputs in cases if inputs is not None])
        except Exception:  # noqa: BLE001 - the culprits are looked for, reported, logged and counted
            plans = _contained(seen, verdicts, bound, pairs, replanned)
        return {at_of(plan): plan for plan in plans}

    def _kept(
        self,
        seen: snapshot.Snapshot,
        verdicts: health.Health,
        bound: binding.BoundSnapshot,
        at: At,
        replanned: Replanned,
    ) -> case.PlacementPlan | None:
        placement = seen.index.placements.get(name_of(at))
        if placement is None:
            return None
        try:
            return retained.of(seen, verdicts, bound, placement)
        except Exception as error:  # noqa: BLE001 - of this placement alone; logged and counted
            replanned.defects.append(_defect(at, error))
            return None

    def _show(
        self, kept: KeptView, at: At, plan: case.PlacementPlan | None, replanned: Replanned
    ) -> None:
        name = name_of(at)
        before = self.shown.get(name)
        _set(self.shown, name, plan)
        for group in (self.of_policy, self.of_version, self.on_node, self.of_pod, self.delayed_at):
            group.put(name, plan)
        if before != plan:
            replanned.plans[name] = Alteration(before, plan)
        if plan is None or (at in self._planned and is_settled(plan)):
            self.unsettled.discard(at)
        else:
            self.unsettled.add(at)
        wait = _until_time_counts(kept, plan) if plan is not None else None
        kept.queue.put(("moves", at), kept.monotonic + wait if wait is not None else None)

    def _retire(
        self,
        seen: snapshot.Snapshot,
        bound: binding.BoundSnapshot,
        at: At,
        replanned: Replanned,
    ) -> None:
        """Work out whether the InferencePlacements of this policy and site should go."""
        for placement in seen.index.placements_at.get(at[2], ()):
            key = named.key(placement)
            if (key[0], placement.spec.policy_ref.name) != at[:2]:
                continue
            try:
                is_planned = at in self._planned and key == name_of(at)
                removal = leaving.retired_at(bound, placement, is_planned=is_planned)
                _set(self._retired, key, removal)
            except Exception as error:  # noqa: BLE001 - it stays; logged and counted
                replanned.defects.append(_defect(at, error))

    def forget(self, key: Key) -> None:
        """Forget an InferencePlacement that is gone."""
        self._retired.pop(key, None)

    def _has_leaving(self, kept: KeptView, at: At) -> bool:
        """Whether a placement has pods that nobody wants there, or that failed."""
        plan = self._planned.get(at)
        wanted = {pod.name for pod in plan.pods} if plan is not None else set()
        return any(
            pod.name not in wanted or pod.phase is snapshot.PodPhase.FAILED
            for pod in kept.replicas_at.get(at, ())
        )


def _contained(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    pairs: Sequence[tuple[binding.BoundPolicy, str]],
    replanned: Replanned,
) -> tuple[case.PlacementPlan, ...]:
    """Plan what can be planned, and note the policies for which nothing can be."""
    sites: dict[Key, dict[str, tuple[Key, ...]]] = {}
    for policy, site in pairs:
        sites.setdefault(policy.key, {})[site] = policy.sites[site]
    policies = {
        key: dataclasses.replace(bound.policies[key], sites=narrowed)
        for key, narrowed in sites.items()
    }
    part = dataclasses.replace(bound, policies=policies)
    after, plans, defects = containment.place_all(seen, verdicts, part)
    replanned.defects += defects
    for key, policy in after.policies.items():
        if policy.problem is not None and policy.problem != policies[key].problem:
            replanned.problems[key] = policy.problem
    return plans


def name_of(at: At) -> Key:
    """Return the (namespace, name) of a placement."""
    return (at[0], f"{at[1]}.{at[2]}")


def at_of(plan: case.PlacementPlan) -> At:
    """Return which policy and site a plan is of."""
    return (plan.namespace, plan.policy, plan.site)


def is_settled(plan: case.PlacementPlan) -> bool:
    """Whether a placement has all it asks for, in pods that are there or in its agents."""
    if plan.agents is not None and plan.needs is in_agents.PodNeed.NOTHING:
        return plan.agents.is_whole
    phases = {replica.phase for replica in plan.replicas}
    return plan.is_settled and phases <= {Phase.READY} and not plan.standing_in


def _nodes_of(plan: case.PlacementPlan) -> Iterable[str]:
    yield from (pod.node for pod in plan.pods)
    yield from (replica.node for replica in plan.replicas)
    yield from (replica.node for replica in (plan.agents.replicas if plan.agents else ()))


def _site_of_delay(plan: case.PlacementPlan) -> Iterable[str]:
    return () if plan.findings.delay is None else (plan.site,)


def _until_time_counts(kept: KeptView, plan: case.PlacementPlan) -> float | None:
    """Return in how many seconds a move of a placement counts less, or its error is said."""
    ages = [age for move in plan.moves if (age := kept.age_of(move.time)) is not None]
    limits = (kept.stabilization.window, *LOOKED_AT_AGAIN)
    waits = [limit - age for age in ages for limit in limits if limit >= age]
    error = plan.budget.model_error if plan.budget is not None else None
    age = kept.age_of(error.since) if error is not None else None
    if age is not None and age < residuals.PERSISTS:
        waits.append(residuals.PERSISTS - age)
    return min(waits, default=None)


def _defect(at: At, error: Exception) -> containment.Defect:
    return containment.Defect(containment.PLACEMENT, *name_of(at), error)


def _set(mapping: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value
