"""What makes an eviction of a policy's pods wait: one PodDisruptionBudget a policy, by its name.

What the API server says against it comes in with `Snapshot.refusals` and is shown on the policy's
placements. Called by `placement.assembly`, by the fold, and by `foreshore_operator`, which writes
it.
"""

SUFFIX = "-replicas"
"""No pod's name ends so: it ends in a hash."""

Key = tuple[str, str]
"""(namespace, name)."""


def key(namespace: str, policy: str) -> Key:
    """Return the name of a policy's disruption budget."""
    return namespace, f"{policy}{SUFFIX}"


def policy(of: Key) -> Key:
    """Return the policy whose disruption budget has this name, if it is such a name."""
    namespace, name = of
    return namespace, name.removesuffix(SUFFIX)
