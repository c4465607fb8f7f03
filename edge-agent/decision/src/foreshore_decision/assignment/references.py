"""What a reference resolves to, else what it resolved to last: a gap ends nothing that worked.

The rule is `in_force`; the older candidates come from the last assignments, which the hub and the
agent keep durably. Called by `devices` and `policies`.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from foreshore_api import conditions, meta, v1alpha1
from foreshore_api.wire import assignment, report
from foreshore_decision import in_force, narrowing, policy
from foreshore_decision.assignment import digests, snapshot

Identity = tuple[str, str, str]
"""Namespace, name and uid: a namesake that was made anew is another object."""


class LastGood:
    """What was assigned last, to be looked at only where a reference dangles.

    Several assignments, for a node may have none of its own yet: those of its site say what worked.
    They are taken one by one, as far as is needed: the hub decodes each of them for it.
    """

    def __init__(self, assignments: Iterable[assignment.Assignment] = ()) -> None:
        self._ahead = iter(assignments)
        self._taken: list[_Index] = []

    def device(self, device: v1alpha1.Device) -> assignment.AssignedDevice | None:
        """Return a device as it was assigned last at its site."""
        wanted = _identity(device)
        for index in self._indices():
            assigned = index.devices.get(wanted)
            if assigned is not None and assigned.spec.site == device.spec.site:
                return assigned
        return None

    def model(
        self, policy: v1alpha1.DecisionPolicy, version: str
    ) -> assignment.AssignedModel | None:
        """Return a version of a model as it was assigned last to a policy."""
        wanted = _identity(policy)
        for index in self._indices():
            assigned = index.policies.get(wanted)
            if (
                assigned is not None
                and assigned.model is not None
                and assigned.model.version == version
            ):
                return assigned.model
        return None

    def _indices(self) -> Iterator["_Index"]:
        yield from self._taken
        for assigned in self._ahead:
            self._taken.append(_Index(assigned))
            yield self._taken[-1]


class _Index:
    """One assignment by object, made when it is asked for the first time."""

    def __init__(self, assigned: assignment.Assignment) -> None:
        self._assigned = assigned

    @cached_property
    def devices(self) -> Mapping[Identity, assignment.AssignedDevice]:
        return {_named(device): device for device in self._assigned.devices}

    @cached_property
    def policies(self) -> Mapping[Identity, assignment.AssignedPolicy]:
        return {_named(policy): policy for policy in self._assigned.policies}


def _named(assigned: assignment.AssignedDevice | assignment.AssignedPolicy) -> Identity:
    return assigned.namespace, assigned.name, assigned.uid


def _identity(resource: meta.Resource) -> Identity:
    return resource.namespace, resource.name, resource.metadata.uid or ""


def model(
    resources: snapshot.Resources, last: LastGood, policy: v1alpha1.DecisionPolicy
) -> in_force.InForce[assignment.AssignedModel]:
    """Return the model version that a policy refers to; nothing at all where it needs none."""
    reference = policy.spec.model_ref
    version = reference.version if reference is not None else None
    if version is None:
        return in_force.choose(())

    def candidates() -> Iterator[in_force.Option[assignment.AssignedModel]]:
        yield _model(resources, policy.namespace, version)
        yield in_force.Option(last.model(policy, version))

    return in_force.choose(candidates())


def _model(
    resources: snapshot.Resources, namespace: str, name: str
) -> in_force.Option[assignment.AssignedModel]:
    version = snapshot.named(resources.versions, (namespace, name))
    if version is None:
        missing = in_force.dangling(v1alpha1.ModelVersion.kind, name, namespace)
        return in_force.Option(None, missing)
    model = snapshot.named(resources.models, (namespace, version.spec.model_ref.name))
    if model is None:
        missing = in_force.dangling(v1alpha1.Model.kind, version.spec.model_ref.name, namespace)
        return in_force.Option(None, missing)
    return in_force.good(
        assignment.AssignedModel(
            name=model.name, version=version.name, model=model.spec, artefact=version.spec
        )
    )


def kept_device(last: LastGood, device: v1alpha1.Device) -> assignment.AssignedDevice | None:
    """Return a device whose profile is gone as it was in force, within what it narrows now.

    A lock, and limits, interlocks and rates that were added since, hold at once, and until the
    profile is back; the rest of an edit waits for it.
    """
    assigned = last.device(device)
    if assigned is None:
        return None
    spec = assigned.spec.model_copy(update={"lock": device.spec.lock})

    def forms() -> Iterator[in_force.Option[v1alpha1.DeviceProfileSpec]]:
        tightened = narrowing.tighten(assigned.profile, device.spec)
        wrong = policy.check_device(tightened)
        yield in_force.Option(tightened if not wrong else None)
        yield in_force.good(assigned.profile)  # the edit is for the profile to come

    profile = in_force.choose(forms()).value or assigned.profile
    return assigned.model_copy(
        update={
            "spec": spec,
            "profile": profile,
            "digest": digests.device_digest(spec, profile),
            "labels": dict(sorted(device.metadata.labels.items())),
        }
    )


def problem(resource: meta.Resource, held: in_force.Obstacle, kept: str) -> report.Problem:
    """Return what is said of an object whose reference dangles; `kept` says what stays."""
    return report.Problem(
        kind=resource.kind,
        namespace=resource.namespace,
        name=resource.name,
        generation=resource.metadata.generation or 0,
        reason=conditions.Reason(held.reason),
        message=in_force.message(held, kept=kept),
    )
