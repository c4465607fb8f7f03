"""One object that cannot be planned must not end the pass of all: who it is, and what stays.

`plan` calls this. A step runs for all at once, as fast as ever; only when it fails are the objects
that make it fail looked for, by halves, and left out. Each gets a problem of its own, so that its
status says so and nothing that runs for it is torn down; the shell logs and counts the defects.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from foreshore_api import conditions, v1alpha1
from foreshore_planner import binding, health, outcome, placing, snapshot, status, succession
from foreshore_planner.placement import case

T = TypeVar("T")
R = TypeVar("R", bound=binding.BoundDevice | binding.BoundPolicy)

Key = binding.Key

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
    seen: snapshot.Snapshot, decided: outcome.PassOutcome
) -> tuple[tuple[status.Row, ...], tuple[Defect, ...]]:
    """Return the status of every object."""
    rows: list[status.Row] = []
    broken: list[Defect] = []
    for subject in status.subjects(seen, decided):
        row, defect = status_of(seen, decided, subject)
        rows += [row] if row is not None else []
        broken += [defect] if defect is not None else []
    return tuple(rows), tuple(broken)


def status_of(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, subject: status.Subject
) -> tuple[status.Row | None, Defect | None]:
    """Return the status of one object; one whose status fails keeps what it has, and says so."""
    kind, (namespace, name) = subject
    scope = namespace or None
    try:
        return (kind, scope, name, status.of(seen, decided, subject)), None
    except Exception as error:  # noqa: BLE001 - reported of the object, logged and counted
        defect = Defect(kind, namespace, name, error)
    objects = {**status.by_kind(seen), PLACEMENT: seen.index.placements}
    resource = objects[kind].get(subject[1])
    if resource is None:
        return None, defect
    value = _with_problem(resource, binding.internal(defect.error, "saying its status"), seen)
    return (kind, scope, name, value), defect


def granted_status(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, grant: succession.GrantUpdate
) -> tuple[v1alpha1.DeviceStatus | None, Defect | None]:
    """Return what a grant says of its Device beside the right; None where that fails."""
    try:
        return status.of_granted(seen, decided, grant), None
    except Exception as error:  # noqa: BLE001 - the right is granted all the same; logged, counted
        return None, Defect(v1alpha1.Device.kind, grant.namespace, grant.device, error)


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
