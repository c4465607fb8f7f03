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
        Exception: as `run` does, where no single one fails by itself.
    """
    try:
        run(of)
    except Exception as error:
        if len(of) == 1:
            return {of[0]: error}
        half = len(of) // 2
        found = culprits(run, of[:half]) | culprits(run, of[half:]) if of else {}
        if not found:
            raise
        return found
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


def marked(objects: Mapping[Key, R], found: Mapping[Key, Exception], step: str) -> dict[Key, R]:
    """Return the objects, those that were found not accepted: what they have stays."""
    return {
        key: dataclasses.replace(one, problem=binding.internal(found[key], step))
        if key in found
        else one
        for key, one in objects.items()
    }


def place_all(
    seen: snapshot.Snapshot, verdicts: health.Health, bound: binding.BoundSnapshot
) -> tuple[binding.BoundSnapshot, tuple[case.PlacementPlan, ...], tuple[Defect, ...]]:
    """Plan every placement; a policy whose placements cannot be planned is not accepted.

    A placement as it was before may be what is in the way, also of others: some steps look at all.
    One whose policy is gone is returned as a defect of its own.
    """

    def among(
        before: Iterable[v1alpha1.InferencePlacement], keys: Iterable[Key]
    ) -> tuple[case.PlacementPlan, ...]:
        return placing.place_all(
            dataclasses.replace(seen, placements=tuple(before)),
            verdicts,
            dataclasses.replace(bound, policies={key: bound.policies[key] for key in keys}),
        )

    try:
        return bound, placing.place_all(seen, verdicts, bound), ()
    except Exception:  # noqa: BLE001 - whose it is is found, said, logged and counted
        every = {binding.key(one): one for one in seen.placements}
        bad = culprits(lambda keys: among([every[key] for key in keys], ()), tuple(every))
    before = [one for key, one in every.items() if key not in bad]
    found = {(key[0], every[key].spec.policy_ref.name): error for key, error in bad.items()}
    others = [key for key in bound.policies if key not in found]
    found |= culprits(lambda keys: among(before, keys), others)
    placements = among(before, [key for key in others if key not in found])
    policies = marked(bound.policies, found, "placing its replicas")
    orphans = [
        Defect(PLACEMENT, *key, error)
        for key, error in bad.items()
        if (key[0], every[key].spec.policy_ref.name) not in policies
    ]
    return dataclasses.replace(bound, policies=policies), placements, tuple(orphans)


def decide_all(
    bound: binding.BoundSnapshot, decide: Callable[[binding.BoundDevice], succession.Succession]
) -> tuple[binding.BoundSnapshot, Mapping[Key, succession.Succession]]:
    """Decide the authority of every accepted device; one that cannot be decided stays as it is."""
    standings: dict[Key, succession.Succession] = {}
    found: dict[Key, Exception] = {}
    for device in bound.devices.values():
        if device.problem is None:
            try:
                standings[device.key] = decide(device)
            except Exception as error:  # noqa: BLE001 - said of the device, logged and counted
                found[device.key] = error
    if not found:
        return bound, standings
    devices = marked(bound.devices, found, "deciding who may command it")
    return dataclasses.replace(bound, devices=devices), standings


def statuses(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    placements: Sequence[case.PlacementPlan],
    standings: Mapping[Key, succession.Succession],
) -> tuple[tuple[status.Row, ...], tuple[Defect, ...]]:
    """Say what is known of every object; one of which nothing can be said keeps what was said."""

    def among(chosen: Mapping[str, Collection[Key]]) -> tuple[status.Row, ...]:
        some, resolved = _narrowed(seen, bound, chosen)
        plans = [one for one in placements if (one.namespace, one.name) in chosen[PLACEMENT]]
        return tuple(status.all_of(some, verdicts, resolved, plans, standings))

    try:
        return tuple(status.all_of(seen, verdicts, bound, placements, standings)), ()
    except Exception:  # noqa: BLE001 - whose it is is found, said, logged and counted
        every = {kind: [*map(binding.key, getattr(seen, plural))] for kind, plural in SEEN.items()}
    every[PLACEMENT] = [(one.namespace, one.name) for one in placements]
    sound: dict[str, Collection[Key]] = dict.fromkeys(every, ())
    found: list[Defect] = []
    for kind, keys in every.items():
        errors = culprits(functools.partial(_with, among, sound, kind), keys)
        sound[kind] = [key for key in keys if key not in errors]
        found += [Defect(kind, *key, error) for key, error in errors.items()]
    rows = among(sound)
    return (*rows, *_said_of(seen, found)), tuple(found)


def _with(
    among: Callable[[Mapping[str, Collection[Key]]], object],
    sound: Mapping[str, Collection[Key]],
    kind: str,
    keys: Collection[Key],
) -> object:
    """Say what is known of these of a kind, and of all of the kinds before."""
    return among({**sound, kind: keys})


def with_hub_problems(seen: snapshot.Snapshot, rows: Sequence[status.Row]) -> Iterator[status.Row]:
    """Say of a Site that the hub cannot give its nodes what they should work by.

    What is wrong with nodes that are of no Site is said of their Cluster, where there is one.
    """
    said = _hub_problems(seen)
    every: tuple[v1alpha1.Site | v1alpha1.Cluster, ...] = (*seen.sites, *seen.clusters)
    before = {(one.kind, one.metadata.namespace, one.metadata.name): one for one in every}
    for kind, namespace, name, value in rows:
        one, problems = before.get((kind, namespace, name)), said.get((kind, name), [])
        if one is None or not problems:
            yield kind, namespace, name, value
            continue
        known = conditions.find(value.conditions, conditions.Type.DEGRADED)
        messages = [*([known.message] if known is not None else []), *_by_message(problems)]
        reason = _reason(problems[0].reason if known is None else known.reason)
        message = phrases.fitted("; ".join(messages))
        degraded = status.condition(
            (conditions.Type.DEGRADED, conditions.Status.TRUE, reason, message),
            one.metadata.generation or 0,
            seen,
        )
        wanted = [each for each in value.conditions if each.type != degraded.type]
        merged = conditions.merge(one.status.conditions, [*wanted, degraded], seen.now)
        yield kind, namespace, name, value.model_copy(update={"conditions": merged})


def _hub_problems(seen: snapshot.Snapshot) -> dict[tuple[str, str], list[report.Problem]]:
    """Return what the hub says of nodes, by kind and name of the object that it is said of."""
    nodes, sites = {node.name: node for node in seen.nodes}, {one.name for one in seen.sites}
    found: dict[tuple[str, str], list[report.Problem]] = {}
    for each in seen.fleet.problems if seen.fleet is not None else ():
        node = nodes.get(each.name)
        if node is not None and node.site is not None and node.site in sites:
            found.setdefault((v1alpha1.Site.kind, node.site), []).append(each)
        elif node is not None:
            found.setdefault((v1alpha1.Cluster.kind, node.cluster), []).append(each)
    return found


def _by_message(problems: Iterable[report.Problem]) -> Iterator[str]:
    """Yield each message once, behind the nodes that it is true of."""
    nodes: dict[str, list[str]] = {}
    for each in problems:
        nodes.setdefault(each.message, []).append(each.name)
    for message, names in nodes.items():
        yield f"{'node' if len(names) == 1 else 'nodes'} {phrases.listed(names)}: {message}"


def _reason(said: str) -> conditions.Reason:
    """Return a reason of ours; one that this release does not know is a defect."""
    known = {one.value: one for one in conditions.Reason}
    return known.get(said, conditions.Reason.INTERNAL_ERROR)


def _narrowed(
    seen: snapshot.Snapshot, bound: binding.BoundSnapshot, chosen: Mapping[str, Collection[Key]]
) -> tuple[snapshot.Snapshot, binding.BoundSnapshot]:
    """Return the world with only the chosen objects of each kind to say something of."""
    some: dict[str, Any] = {
        plural: tuple(one for one in getattr(seen, plural) if binding.key(one) in chosen[kind])
        for kind, plural in SEEN.items()
    }
    devices, policies = chosen[v1alpha1.Device.kind], chosen[v1alpha1.DecisionPolicy.kind]
    return dataclasses.replace(seen, **some), dataclasses.replace(
        bound,
        devices={key: one for key, one in bound.devices.items() if key in devices},
        policies={key: one for key, one in bound.policies.items() if key in policies},
    )


def _said_of(seen: snapshot.Snapshot, found: Iterable[Defect]) -> Iterator[status.Row]:
    """Say of these objects that a defect of ours is in the way, and leave the rest as it is."""
    for defect in found:
        objects = getattr(seen, SEEN[defect.kind]) if defect.kind in SEEN else seen.placements
        for one in objects:
            if binding.key(one) == (defect.namespace, defect.name):
                said = _with_problem(one, binding.internal(defect.error, "saying its status"), seen)
                yield defect.kind, one.metadata.namespace, one.name, said


def _with_problem(
    one: Any, problem: binding.BindingProblem, seen: snapshot.Snapshot
) -> v1alpha1.statuses.Observed:
    generation = one.metadata.generation or 0
    wanted = [
        status.condition((*said, problem.reason, problem.message), generation, seen)
        for said in (
            (conditions.Type.READY, conditions.Status.FALSE),
            (conditions.Type.STALLED, conditions.Status.TRUE),
        )
    ]
    merged = conditions.merge(one.status.conditions, wanted, seen.now)
    changes = {"conditions": merged, "observed_generation": generation}
    changed: v1alpha1.statuses.Observed = one.status.model_copy(update=changes)
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
