"""Whether each policy compiles for every device it selects, remembered by what went into it.

Expressions are typed from device and model schemas, and compiled here exactly as agents compile
them, so that a mistake shows at the policy and not only on a node far away; what compiles is timed.
A pass compiles only what changed; devices that differ in nothing that is compiled count as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from foreshore_api import meta, v1alpha1
from foreshore_decision import assignment, narrowing, policy, selectors
from foreshore_operator import defects
from foreshore_planner import binding, snapshot

R = TypeVar("R", bound=meta.Resource)

Name = tuple[str, str]
"""Namespace and name."""

SHOWN = 3
"""Problems that a condition's message lists; more would not be read."""


@dataclass(frozen=True, slots=True)
class CompilationCase:
    """One policy with one of each different device that it selects, and its site's devices."""

    policy: v1alpha1.DecisionPolicy
    subjects: Mapping[Hashable, tuple[narrowing.NarrowedDevice, narrowing.DevicesByName]]
    model: v1alpha1.Model | None

    @property
    def mark(self) -> Hashable:
        """What the answer depends on."""
        return (
            _version(self.policy),
            tuple(sorted(self.subjects, key=repr)),
            _version(self.model) if self.model is not None else None,
        )


@dataclass(slots=True)
class Compiler:
    """Compiles policies and remembers the answers."""

    defects: defects.Defects = field(default_factory=defects.Defects)
    clock: Callable[[], float] = time.thread_time
    """Seconds of processor time: expressions are timed."""
    _known: dict[Name, tuple[Hashable, snapshot.Compiled]] = field(default_factory=dict)
    _narrowings: dict[Hashable, str] = field(default_factory=dict)

    def compile_all(
        self,
        policies: Iterable[v1alpha1.DecisionPolicy],
        devices: Iterable[v1alpha1.Device],
        profiles: Iterable[v1alpha1.DeviceProfile],
        models: Iterable[v1alpha1.Model],
        versions: Iterable[v1alpha1.ModelVersion],
    ) -> Mapping[Name, snapshot.Compiled]:
        """What compiling says about each policy, by (namespace, name)."""
        by_name = _by_name(profiles)
        named_models, named_versions = _by_name(models), _by_name(versions)
        every = tuple(devices)
        sites = narrowing.by_site(every, by_name)
        self._narrowings = {
            _version(device): self._narrowings.get(_version(device)) or self._narrowing(device)
            for device in every
        }
        compilations: dict[Name, tuple[Hashable, snapshot.Compiled]] = {}
        for decision_policy in policies:
            try:
                case = CompilationCase(
                    decision_policy,
                    self._subjects(decision_policy, sites),
                    _model_of(decision_policy, named_models, named_versions),
                )
                compilation = self._known.get(_name(decision_policy))
                mark = case.mark
                if compilation is None or compilation[0] != mark:
                    compilation = (mark, compiled(case, self.clock))
                compilations[_name(decision_policy)] = compilation
            except Exception as error:  # noqa: BLE001 - the policy's own problem, noted
                self.defects.note(
                    decision_policy.kind, *_name(decision_policy), error, "compiling it"
                )
                compilations[_name(decision_policy)] = (None, _not_compiled(decision_policy, error))
        self._known = compilations
        return {name: answer for name, (_, answer) in compilations.items()}

    def _narrowing(self, device: v1alpha1.Device) -> str:
        """What of a Device goes into compiling; nothing for one that cannot be written as text."""
        try:
            return narrowing_of(device)
        except Exception as error:  # noqa: BLE001 - the device's own problem, noted
            self.defects.note(device.kind, *_name(device), error, "reading it")
            return ""

    def _subjects(
        self,
        decision_policy: v1alpha1.DecisionPolicy,
        sites: Mapping[Name, narrowing.DevicesByName],
    ) -> dict[Hashable, tuple[narrowing.NarrowedDevice, narrowing.DevicesByName]]:
        spec = decision_policy.spec
        subjects: dict[Hashable, tuple[narrowing.NarrowedDevice, narrowing.DevicesByName]] = {}
        for (namespace, _), others in sites.items():
            if namespace != decision_policy.namespace:
                continue
            for name, narrowed in others.items():
                device = narrowed.device
                if selectors.selects(spec.device_selector, device.metadata.labels):
                    key = (
                        _version(narrowed.written),
                        self._narrowings[_version(device)],
                        policy.read_elsewhere(spec, device.spec, name, others),
                    )
                    subjects.setdefault(key, (narrowed, others))
        return subjects


def compiled(case: CompilationCase, clock: Callable[[], float]) -> snapshot.Compiled:
    """Compile one policy for each of its subjects; the first that does not is named."""
    decision_policy = case.policy
    answer = snapshot.Compiled(
        decision_policy.metadata.generation or 0, assignment.policy_digest(decision_policy)
    )
    model = case.model.spec if case.model is not None else None
    for narrowed, others in case.subjects.values():
        device, spec = narrowed.device, decision_policy.spec
        read = policy.resolve(spec, device.spec, device.name, others)
        problems = policy.check(spec, narrowed.profile, device.spec, model, clock=clock, read=read)
        if problems:
            listed = "; ".join(f"{problem.path}: {problem.message}" for problem in problems[:SHOWN])
            message = f"Device {device.name}: {listed}"[:1024]
            return snapshot.Compiled(
                answer.generation, answer.digest, (problems[0].reason.value, message)
            )
    return answer


def _not_compiled(decision_policy: v1alpha1.DecisionPolicy, error: Exception) -> snapshot.Compiled:
    """Return what a condition says of a policy that a defect of ours keeps from being compiled."""
    problem = binding.internal(error, "compiling it")
    return snapshot.Compiled(
        decision_policy.metadata.generation or 0, "", (problem.reason.value, problem.message)
    )


def narrowing_of(device: v1alpha1.Device) -> str:
    """What of a Device goes into compiling, as text to compare."""
    return device.spec.model_dump_json(exclude={"site", "profile_ref", "reachable_from", "lock"})


def _model_of(
    decision_policy: v1alpha1.DecisionPolicy,
    models: Mapping[Name, v1alpha1.Model],
    versions: Mapping[Name, v1alpha1.ModelVersion],
) -> v1alpha1.Model | None:
    reference = decision_policy.spec.model_ref
    wanted = reference.version if reference is not None else None
    version = versions.get((decision_policy.namespace, wanted)) if wanted is not None else None
    return models.get((decision_policy.namespace, version.spec.model_ref.name)) if version else None


def _by_name(resources: Iterable[R]) -> dict[Name, R]:
    return {_name(resource): resource for resource in resources}


def _name(resource: meta.Resource) -> Name:
    return resource.namespace, resource.name


def _version(resource: meta.Resource) -> tuple[str, int]:
    return resource.metadata.uid or "", resource.metadata.generation or 0
