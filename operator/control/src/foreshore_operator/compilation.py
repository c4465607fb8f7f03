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
    """One policy with one of each different device that it selects."""

    policy: v1alpha1.DecisionPolicy
    subjects: Mapping[Hashable, tuple[v1alpha1.Device, v1alpha1.DeviceProfile]]
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
        self._narrowings = {
            _version(one): self._narrowings.get(_version(one)) or self._narrowing(one)
            for one in every
        }
        found: dict[Name, tuple[Hashable, snapshot.Compiled]] = {}
        for one in policies:
            try:
                case = CompilationCase(
                    one,
                    self._subjects(one, every, by_name),
                    _model_of(one, named_models, named_versions),
                )
                known = self._known.get(_name(one))
                mark = case.mark
                if known is None or known[0] != mark:
                    known = (mark, compiled(case, self.clock))
                found[_name(one)] = known
            except Exception as error:  # noqa: BLE001 - the policy's own problem, noted
                self.defects.note(one.kind, *_name(one), error, "compiling it")
                found[_name(one)] = (None, _not_compiled(one, error))
        self._known = found
        return {name: answer for name, (_, answer) in found.items()}

    def _narrowing(self, one: v1alpha1.Device) -> str:
        """What of a Device goes into compiling; nothing for one that cannot be written as text."""
        try:
            return narrowing_of(one)
        except Exception as error:  # noqa: BLE001 - the device's own problem, noted
            self.defects.note(one.kind, *_name(one), error, "reading it")
            return ""

    def _subjects(
        self,
        one: v1alpha1.DecisionPolicy,
        devices: Iterable[v1alpha1.Device],
        profiles: Mapping[Name, v1alpha1.DeviceProfile],
    ) -> dict[Hashable, tuple[v1alpha1.Device, v1alpha1.DeviceProfile]]:
        subjects: dict[Hashable, tuple[v1alpha1.Device, v1alpha1.DeviceProfile]] = {}
        for device in devices:
            profile = profiles.get((device.namespace, device.spec.profile_ref.name))
            if device.namespace != one.namespace or profile is None:
                continue
            if selectors.selects(one.spec.device_selector, device.metadata.labels):
                key = (_version(profile), self._narrowings[_version(device)])
                subjects.setdefault(key, (device, profile))
        return subjects


def compiled(case: CompilationCase, clock: Callable[[], float]) -> snapshot.Compiled:
    """Compile one policy for each of its subjects; the first that does not is named."""
    one = case.policy
    answer = snapshot.Compiled(one.metadata.generation or 0, assignment.policy_digest(one))
    model = case.model.spec if case.model is not None else None
    for device, profile in case.subjects.values():
        narrowed = narrowing.narrow(profile.spec, device.spec)
        problems = policy.check(one.spec, narrowed, device.spec, model, clock=clock)
        if problems:
            listed = "; ".join(f"{each.path}: {each.message}" for each in problems[:SHOWN])
            message = f"Device {device.name}: {listed}"[:1024]
            return snapshot.Compiled(
                answer.generation, answer.digest, (problems[0].reason.value, message)
            )
    return answer


def _not_compiled(one: v1alpha1.DecisionPolicy, error: Exception) -> snapshot.Compiled:
    """Return what a condition says of a policy that a defect of ours keeps from being compiled."""
    problem = binding.internal(error, "compiling it")
    return snapshot.Compiled(
        one.metadata.generation or 0, "", (problem.reason.value, problem.message)
    )


def narrowing_of(device: v1alpha1.Device) -> str:
    """What of a Device goes into compiling, as text to compare."""
    return device.spec.model_dump_json(exclude={"site", "profile_ref", "reachable_from", "lock"})


def _model_of(
    one: v1alpha1.DecisionPolicy,
    models: Mapping[Name, v1alpha1.Model],
    versions: Mapping[Name, v1alpha1.ModelVersion],
) -> v1alpha1.Model | None:
    wanted = one.spec.model_ref.version if one.spec.model_ref is not None else None
    version = versions.get((one.namespace, wanted)) if wanted is not None else None
    return models.get((one.namespace, version.spec.model_ref.name)) if version else None


def _by_name(resources: Iterable[R]) -> dict[Name, R]:
    return {_name(one): one for one in resources}


def _name(one: meta.Resource) -> Name:
    return one.namespace, one.name


def _version(one: meta.Resource) -> tuple[str, int]:
    return one.metadata.uid or "", one.metadata.generation or 0
