"""Whether each policy compiles for every device it selects, remembered by what went into it.

Expressions are typed from device and model schemas, and compiled here exactly as agents compile
them, so that a mistake shows at the policy and not only on a node far away; what compiles is timed.
Only what changed is looked at: `update` finds the policies that may be concerned by an edit, `work`
compiles them. Devices that differ in nothing that is compiled count as one.

`compiling` calls this in a thread of its own; only the tests compile a whole world at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from foreshore_api import meta, v1alpha1
from foreshore_decision import assignment, narrowing, policy
from foreshore_operator import defects, device_index
from foreshore_planner import binding, snapshot

R = TypeVar("R", bound=meta.Resource)

Name = tuple[str, str]
"""Namespace and name."""

SHOWN = 3
"""Problems that a condition's message lists; more would not be read."""


@dataclass(frozen=True, slots=True)
class CompilationInput:
    """What people have written, as far as it goes into compiling."""

    policies: tuple[v1alpha1.DecisionPolicy, ...]
    devices: tuple[v1alpha1.Device, ...]
    profiles: tuple[v1alpha1.DeviceProfile, ...]
    models: tuple[v1alpha1.Model, ...]
    versions: tuple[v1alpha1.ModelVersion, ...]


@dataclass(frozen=True, slots=True)
class CompilationAnswer:
    """What compiling said, and of which policy and what else."""

    version: Hashable
    mark: Hashable
    """None where a defect of ours kept it from being compiled: it is tried at each update."""
    compiled: snapshot.Compiled


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
    """Compiles policies and remembers the answers. Used from one thread at a time."""

    defects: defects.Defects = field(default_factory=defects.Defects)
    clock: Callable[[], float] = time.thread_time
    """Seconds of processor time of this thread: expressions are timed."""
    answers: dict[Name, CompilationAnswer] = field(default_factory=dict)
    _policies: dict[Name, v1alpha1.DecisionPolicy] = field(default_factory=dict)
    _models: dict[Name, v1alpha1.Model] = field(default_factory=dict)
    _versions: dict[Name, v1alpha1.ModelVersion] = field(default_factory=dict)
    _devices: device_index.DeviceIndex = field(default_factory=device_index.DeviceIndex)
    _edited: dict[Name, None] = field(default_factory=dict)
    """Policies to be compiled because of an edit of their own: people wait for these."""
    _concerned: dict[Name, None] = field(default_factory=dict)
    """Policies to be compiled because something that they read or select has changed."""

    def compile_all(self, written: CompilationInput) -> Mapping[Name, snapshot.Compiled]:
        """What compiling says about each policy, by (namespace, name)."""
        self.update(written)
        self.work(math.inf)
        return {name: answer.compiled for name, answer in self.answers.items()}

    @property
    def left(self) -> int:
        """Policies that are still to be compiled."""
        return len(self._edited) + len(self._concerned)

    def update(self, written: CompilationInput) -> None:
        """Take what is written now, and find the policies whose answer it may change."""
        policies = _by_name(written.policies)
        for gone in self._policies.keys() - policies.keys():
            self.answers.pop(gone, None)
            self._edited.pop(gone, None)
            self._concerned.pop(gone, None)
        changes = self._devices.update(written.devices, _by_name(written.profiles))
        for error in changes.errors:
            self.defects.note(*error, "reading it")
        concerned = self._devices.concerned(changes, policies.values())
        edited = _changed(self._policies, policies)
        models, versions = _by_name(written.models), _by_name(written.versions)
        concerned |= self._of_models(policies, models, versions)
        self._policies, self._models, self._versions = policies, models, versions
        self._edited |= dict.fromkeys(sorted(edited))
        failed = {name for name, answer in self.answers.items() if answer.mark is None}
        for name in sorted((concerned | failed) - self._edited.keys()):
            self._concerned[name] = None

    def work(self, seconds: float) -> None:
        """Compile what is due until so many seconds are over, at least one; see `left`."""
        until = time.monotonic() + seconds
        while self.left:
            due = self._edited or self._concerned
            name = next(iter(due))
            self._edited.pop(name, None)
            self._concerned.pop(name, None)
            self._compile(self._policies[name])
            if time.monotonic() >= until:
                return

    def _compile(self, decision_policy: v1alpha1.DecisionPolicy) -> None:
        name = _name(decision_policy)
        version, before = _version(decision_policy), self.answers.get(name)
        try:
            case = CompilationCase(
                decision_policy,
                self._subjects(decision_policy),
                _model_of(decision_policy, self._models, self._versions),
            )
            mark = case.mark
            if before is None or before.mark != mark:
                self.answers[name] = CompilationAnswer(version, mark, compiled(case, self.clock))
        except Exception as error:  # noqa: BLE001 - the policy's own problem, noted
            self.defects.note(decision_policy.kind, *name, error, "compiling it")
            self.answers[name] = CompilationAnswer(
                version, None, _not_compiled(decision_policy, error)
            )

    def _of_models(
        self,
        policies: Mapping[Name, v1alpha1.DecisionPolicy],
        models: Mapping[Name, v1alpha1.Model],
        versions: Mapping[Name, v1alpha1.ModelVersion],
    ) -> set[Name]:
        """Return the policies whose model has changed, in either of two steps."""
        if not _differ(self._models, models) and not _differ(self._versions, versions):
            return set()
        return {
            name
            for name, decision_policy in policies.items()
            if not _is_same(
                _model_of(decision_policy, self._models, self._versions),
                _model_of(decision_policy, models, versions),
            )
        }

    def _subjects(
        self, decision_policy: v1alpha1.DecisionPolicy
    ) -> dict[Hashable, tuple[narrowing.NarrowedDevice, narrowing.DevicesByName]]:
        spec = decision_policy.spec
        subjects: dict[Hashable, tuple[narrowing.NarrowedDevice, narrowing.DevicesByName]] = {}
        for indexed in self._devices.selected(decision_policy):
            narrowed, others = indexed.narrowed, self._devices.site_of(indexed)
            key = (
                _version(narrowed.written),
                indexed.text,
                policy.read_elsewhere(spec, narrowed.device.spec, narrowed.name, others),
            )
            subjects.setdefault(key, (narrowed, others))
        return subjects


def answers_for(
    policies: Iterable[v1alpha1.DecisionPolicy], answers: Mapping[Name, CompilationAnswer]
) -> Iterator[tuple[Name, snapshot.Compiled]]:
    """Yield what compiling says of each policy as it is written now.

    A policy of which nothing is said yet, or only of another generation, is pending: it is neither
    refused nor taken for good, and what runs for it stays as it is.
    """
    for decision_policy in policies:
        name = _name(decision_policy)
        answer = answers.get(name)
        if answer is not None and answer.version == _version(decision_policy):
            yield name, answer.compiled
        else:
            generation = decision_policy.metadata.generation or 0
            yield name, snapshot.Compiled(generation, "", is_pending=True)


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


def _model_of(
    decision_policy: v1alpha1.DecisionPolicy,
    models: Mapping[Name, v1alpha1.Model],
    versions: Mapping[Name, v1alpha1.ModelVersion],
) -> v1alpha1.Model | None:
    reference = decision_policy.spec.model_ref
    wanted = reference.version if reference is not None else None
    version = versions.get((decision_policy.namespace, wanted)) if wanted is not None else None
    return models.get((decision_policy.namespace, version.spec.model_ref.name)) if version else None


def _is_same(before: R | None, after: R | None) -> bool:
    """Whether an object is there as it was; its status does not count."""
    if before is None or after is None:
        return before is after
    return before is after or device_index.is_same(before, after)


def _changed(before: Mapping[Name, R], after: Mapping[Name, R]) -> set[Name]:
    """Return the names of what came, or is written otherwise than before."""
    return {name for name, resource in after.items() if not _is_same(before.get(name), resource)}


def _differ(before: Mapping[Name, R], after: Mapping[Name, R]) -> bool:
    return before.keys() != after.keys() or bool(_changed(before, after))


def _by_name(resources: Iterable[R]) -> dict[Name, R]:
    return {_name(resource): resource for resource in resources}


def _name(resource: meta.Resource) -> Name:
    return resource.namespace, resource.name


def _version(resource: meta.Resource) -> tuple[str, int]:
    return resource.metadata.uid or "", resource.metadata.generation or 0
