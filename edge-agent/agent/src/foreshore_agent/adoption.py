"""What of a fresh assignment can be taken at all; pure, called by the link's two kinds.

Whether a policy compiles is the engine's to find out, which keeps the last version that did. Here
is what must be known before: that the assignment is not older than the last, and, in folder mode,
that its models can be served.
"""

from collections.abc import Collection
from typing import Final

from foreshore_api import v1alpha1
from foreshore_api.wire import assignment

Name = tuple[str, str]
"""Namespace and name."""

_MODES: Final = tuple(v1alpha1.Mode)


def is_stale(fresh: assignment.Assignment, last: assignment.Assignment | None) -> bool:
    """Whether a fresh assignment is older than the last one of the same lineage."""
    if last is None or fresh.lineage != last.lineage:
        return False
    return fresh.generation < last.generation


def without(
    fresh: assignment.Assignment, rejected: Collection[Name], last: assignment.Assignment | None
) -> assignment.Assignment:
    """Return the assignment with rejected policies as they were in the last one.

    A policy that was not there before stays as it is: it decides nothing and says why. The version
    that stays acts in no higher mode than the new one asks for.
    """
    before = {(one.namespace, one.name): one for one in (last.policies if last else ())}
    bound = {(one.namespace, one.name) for one in fresh.devices}

    def choose(policy: assignment.AssignedPolicy) -> assignment.AssignedPolicy:
        name = (policy.namespace, policy.name)
        kept = before.get(name)
        if name not in rejected or kept is None:
            return policy
        mode = min(kept.spec.mode, policy.spec.mode, key=_MODES.index)
        devices = tuple(one for one in kept.devices if (kept.namespace, one) in bound)
        spec = kept.spec.model_copy(update={"mode": mode})
        return kept.model_copy(update={"spec": spec, "devices": devices})

    return fresh.model_copy(update={"policies": tuple(map(choose, fresh.policies))})
