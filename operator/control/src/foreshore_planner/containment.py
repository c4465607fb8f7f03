"""One object that cannot be planned must not end the pass of all: who it is, and what stays.

`plan` calls this. A step runs for all at once, as fast as ever; only when it fails are the objects
that make it fail looked for, by halves, and left out. Each gets a problem of its own, so that its
status says so and nothing that runs for it is torn down; the shell logs and counts the defects.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from foreshore_api import conditions, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import binding, health, phrases, placing, snapshot, status, succession
from foreshore_planner.placement import case

T = TypeVar("T")
R = TypeVar("R", bound=binding.BoundDevice | binding.BoundPolicy)

Key = binding.Key

SEEN: Mapping[str, str] = {
    v1alpha1.Site.kind: "sites",
    v1alpha1.DeviceProfile.kind: "profiles",
    v1alpha1.Device.kind: "devices",
    v1alpha1.Model.kind: "models",
    v1alpha1.ModelVersion.kind: "versions",
    v1alpha1.DecisionPolicy.kind: "policies",
    v1alpha1.Cluster.kind: "clusters",
}
"""Kinds that people write, by where a snapshot has them."""
STEP = "Step"
"""In place of a kind, of a step that looks at everything at once."""
PLACEMENT = v1alpha1.InferencePlacement.kind


@dataclass(frozen=True, slots=True)
class Defect:
    """An object that this release could not deal with, and the error as it was raised."""

    kind: str
    namespace: str
    name: str
    error: Exception


def culprits(run: Callable[[Sequence[Key]], object], of: Sequence[Key]) -> dict[Key, Exception]:
    """Return those of `of` that make `run` fail, with the error of each.

    Raises:
        Exception: as `run` does, where no single object fails by itself.
    """
    try:
        run(of)
    except Exception as error:
        if len(of) == 1:
            return {of[0]: error}
        half = len(of) // 2
        errors = culprits(run, of[:half]) | culprits(run, of[half:]) if of else {}
        if not errors:
            raise
        return errors
    return {}


def guarded(
    name: str, run: Callable[[], tuple[T, ...]]
) -> tuple[tuple[T, ...], tuple[Defect, ...]]:
    """Run a step that looks at everything at once and may be left out of a pass.

    Whose fault it is when it fails is not looked for: what it would have done waits for the next
    pass, and everything else of this one goes on.
    """
    try:
        return run(), ()
    except Exception as error:  # noqa: BLE001 - logged and counted
        return (), (Defect(STEP, "", name, error),)


def marked(objects: Mapping[Key, R], errors: Mapping[Key, Exception], step: str) -> dict[Key, R]:
    """Return the objects, those with an error as not accepted: what they have stays."""
    return {
        key: dataclasses.replace(bound, problem=binding.internal(errors[key], step))
        if key in errors
        else bound
        for key, bound in objects.items()
    }


def place_all(
    seen: snapshot.Snapshot, verdicts: health.Health, bound: binding.BoundSnapshot
) -> tuple[binding.BoundSnapshot, tuple[case.PlacementPlan, ...], tuple[Defect, ...]]:
    """Plan every placement; a policy whose placements cannot be planned is not accepted.

    A placement as it was before may be what is in the way, also of others: some steps look at all.
    One whose policy is gone is returned as a defect of its own.
    """

    def among(
        existing: Iterable[v1alpha1.InferencePlacement], policies: Iterable[Key]
    ) -> tuple[case.PlacementPlan, ...]:
        return placing.place_all(
            dataclasses.replace(seen, placements=tuple(existing)),
            verdicts,
            dataclasses.replace(bound, policies={key: bound.policies[key] for key in policies}),
        )

    try:
        return bound, placing.place_all(seen, verdicts, bound), ()
    except Exception:  # noqa: BLE001 - the culprits are looked for, reported, logged and counted
        existing = {binding.key(placement): placement for placement in seen.placements}
        broken = culprits(lambda keys: among([existing[key] for key in keys], ()), tuple(existing))
    sound = [placement for key, placement in existing.items() if key not in broken]
    errors = {(key[0], existing[key].spec.policy_ref.name): error for key, error in broken.items()}
    others = [key for key in bound.policies if key not in errors]
    errors |= culprits(lambda keys: among(sound, keys), others)
    placements = among(sound, [key for key in others if key not in errors])
    policies = marked(bound.policies, errors, "placing its replicas")
    orphans = [
        Defect(PLACEMENT, *key, error)
        for key, error in broken.items()
        if (key[0], existing[key].spec.policy_ref.name) not in policies
    ]
    return dataclasses.replace(bound, policies=policies), placements, tuple(orphans)


def decide_all(
    bound: binding.BoundSnapshot, decide: Callable[[binding.BoundDevice], succession.Succession]
) -> tuple[binding.BoundSnapshot, Mapping[Key, succession.Succession]]:
    """Decide the authority of every accepted device; one that cannot be decided stays as it is."""
    successions: dict[Key, succession.Succession] = {}
    errors: dict[Key, Exception] = {}
    for device in bound.devices.values():
        if device.problem is None:
            try:
                successions[device.key] = decide(device)
            except Exception as error:  # noqa: BLE001 - reported of the device, logged and counted
                errors[device.key] = error
    if not errors:
        return bound, successions
    devices = marked(bound.devices, errors, "deciding who may command it")
    return dataclasses.replace(bound, devices=devices), successions


def statuses(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    placements: Sequence[case.PlacementPlan],
    successions: Mapping[Key, succession.Succession],
) -> tuple[tuple[status.Row, ...], tuple[Defect, ...]]:
    """Return the status of every object; an object whose status fails keeps the one it has."""

    def among(chosen: Mapping[str, Collection[Key]]) -> tuple[status.Row, ...]:
        part, resolved = _narrowed(seen, bound, chosen)
        plans = [plan for plan in placements if (plan.namespace, plan.name) in chosen[PLACEMENT]]
        return tuple(status.all_of(part, verdicts, resolved, plans, successions))

    try:
        return tuple(status.all_of(seen, verdicts, bound, placements, successions)), ()
    except Exception:  # noqa: BLE001 - the culprits are looked for, reported, logged and counted
        every = {kind: [*map(binding.key, getattr(seen, plural))] for kind, plural in SEEN.items()}
    every[PLACEMENT] = [(plan.namespace, plan.name) for plan in placements]
    sound: dict[str, Collection[Key]] = dict.fromkeys(every, ())
    broken: list[Defect] = []
    for kind, keys in every.items():
        errors = culprits(functools.partial(_with, among, sound, kind), keys)
        sound[kind] = [key for key in keys if key not in errors]
        broken += [Defect(kind, *key, error) for key, error in errors.items()]
    rows = among(sound)
    return (*rows, *_with_defects(seen, broken)), tuple(broken)


def _with(
    among: Callable[[Mapping[str, Collection[Key]]], object],
    sound: Mapping[str, Collection[Key]],
    kind: str,
    keys: Collection[Key],
) -> object:
    """Return the statuses of these objects of a kind, and of all of the kinds before."""
    return among({**sound, kind: keys})


def with_hub_problems(seen: snapshot.Snapshot, rows: Sequence[status.Row]) -> Iterator[status.Row]:
    """Add to the status of a Site that the hub cannot give its nodes what they should work by.

    Problems of nodes that are of no Site stand in the status of their Cluster, where there is one.
    """
    of_hub = _hub_problems(seen)
    carriers: tuple[v1alpha1.Site | v1alpha1.Cluster, ...] = (*seen.sites, *seen.clusters)
    by_name = {
        (carrier.kind, carrier.metadata.namespace, carrier.metadata.name): carrier
        for carrier in carriers
    }
    for kind, namespace, name, value in rows:
        carrier, problems = by_name.get((kind, namespace, name)), of_hub.get((kind, name), [])
        if carrier is None or not problems:
            yield kind, namespace, name, value
            continue
        own = conditions.find(value.conditions, conditions.Type.DEGRADED)
        messages = [*([own.message] if own is not None else []), *_by_message(problems)]
        reason = _reason(problems[0].reason if own is None else own.reason)
        message = phrases.fitted("; ".join(messages))
        degraded = status.condition(
            (conditions.Type.DEGRADED, conditions.Status.TRUE, reason, message),
            carrier.metadata.generation or 0,
            seen,
        )
        others = [other for other in value.conditions if other.type != degraded.type]
        merged = conditions.merge(carrier.status.conditions, [*others, degraded], seen.now)
        yield kind, namespace, name, value.model_copy(update={"conditions": merged})


def _hub_problems(seen: snapshot.Snapshot) -> dict[tuple[str, str], list[report.Problem]]:
    """Return the hub's problems with nodes, by kind and name of the object that carries them."""
    nodes, sites = {node.name: node for node in seen.nodes}, {site.name for site in seen.sites}
    carried: dict[tuple[str, str], list[report.Problem]] = {}
    for problem in seen.fleet.problems if seen.fleet is not None else ():
        node = nodes.get(problem.name)
        if node is not None and node.site is not None and node.site in sites:
            carried.setdefault((v1alpha1.Site.kind, node.site), []).append(problem)
        elif node is not None:
            carried.setdefault((v1alpha1.Cluster.kind, node.cluster), []).append(problem)
    return carried


def _by_message(problems: Iterable[report.Problem]) -> Iterator[str]:
    """Yield each message once, behind the nodes that it is true of."""
    nodes: dict[str, list[str]] = {}
    for problem in problems:
        nodes.setdefault(problem.message, []).append(problem.name)
    for message, names in nodes.items():
        yield f"{'node' if len(names) == 1 else 'nodes'} {phrases.listed(names)}: {message}"


def _reason(code: str) -> conditions.Reason:
    """Return the reason of a code; a code that this release does not know is a defect."""
    reasons = {reason.value: reason for reason in conditions.Reason}
    return reasons.get(code, conditions.Reason.INTERNAL_ERROR)


def _narrowed(
    seen: snapshot.Snapshot, bound: binding.BoundSnapshot, chosen: Mapping[str, Collection[Key]]
) -> tuple[snapshot.Snapshot, binding.BoundSnapshot]:
    """Return the snapshot with only the chosen objects of each kind."""
    objects: dict[str, Any] = {
        plural: tuple(
            written for written in getattr(seen, plural) if binding.key(written) in chosen[kind]
        )
        for kind, plural in SEEN.items()
    }
    devices, policies = chosen[v1alpha1.Device.kind], chosen[v1alpha1.DecisionPolicy.kind]
    return dataclasses.replace(seen, **objects), dataclasses.replace(
        bound,
        devices={key: device for key, device in bound.devices.items() if key in devices},
        policies={key: policy for key, policy in bound.policies.items() if key in policies},
    )


def _with_defects(seen: snapshot.Snapshot, broken: Iterable[Defect]) -> Iterator[status.Row]:
    """Say of these objects that a defect of ours is in the way, and leave the rest as it is."""
    for defect in broken:
        objects = getattr(seen, SEEN[defect.kind]) if defect.kind in SEEN else seen.placements
        for resource in objects:
            if binding.key(resource) == (defect.namespace, defect.name):
                problem = binding.internal(defect.error, "saying its status")
                value = _with_problem(resource, problem, seen)
                yield defect.kind, resource.metadata.namespace, resource.name, value


def _with_problem(
    resource: Any, problem: binding.BindingProblem, seen: snapshot.Snapshot
) -> v1alpha1.statuses.Observed:
    generation = resource.metadata.generation or 0
    wanted = [
        status.condition((*state, problem.reason, problem.message), generation, seen)
        for state in (
            (conditions.Type.READY, conditions.Status.FALSE),
            (conditions.Type.STALLED, conditions.Status.TRUE),
        )
    ]
    merged = conditions.merge(resource.status.conditions, wanted, seen.now)
    changes = {"conditions": merged, "observed_generation": generation}
    changed: v1alpha1.statuses.Observed = resource.status.model_copy(update=changes)
    return changed


def defects(bound: binding.BoundSnapshot) -> Iterator[Defect]:
    """Yield the objects whose problem is a defect of ours."""
    plain = (
        (v1alpha1.Site.kind, bound.sites),
        (v1alpha1.DeviceProfile.kind, bound.profiles),
        (v1alpha1.Model.kind, bound.models),
        (v1alpha1.ModelVersion.kind, bound.versions),
    )
    for kind, problems in plain:
        for key, problem in problems.items():
            if problem is not None and problem.error is not None:
                yield Defect(kind, *key, problem.error)
    for device in bound.devices.values():
        if device.problem is not None and device.problem.error is not None:
            yield Defect(device.device.kind, *device.key, device.problem.error)
    for policy in bound.policies.values():
        if policy.problem is not None and policy.problem.error is not None:
            yield Defect(policy.policy.kind, *policy.key, policy.problem.error)
