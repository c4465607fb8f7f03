"""Which replicas serve the model that a version of a policy asks. Called by `versions`."""

import functools
from collections.abc import Iterable

from foreshore_api.conditions import Reason
from foreshore_api.wire import assignment
from foreshore_decision import in_force, served

Policy = assignment.AssignedPolicy


def endpoints(version: Policy, wanted: Policy) -> tuple[assignment.Endpoint, ...]:
    """Return the replicas of the newest assignment that serve a version's model.

    Where it lists none at all for an older version, those that served it last stay: asking them
    costs a call, and what they answer as is compared. Where it does not say what a replica serves
    (an older operator made it), all serve the newest version.
    """
    if version.model is None:
        return ()
    if _is_named(wanted):
        return tuple(filter(functools.partial(_serves, version.model), wanted.endpoints))
    return wanted.endpoints if _asked(version) == _asked(wanted) else version.endpoints


def is_awaited(wanted: Policy, last_good: Iterable[Policy], device: str) -> bool:
    """Whether the newest version has to wait for a replica of its model before it takes effect.

    It waits for nothing where no other is in force, nor where that one asks the same model.
    """
    before = next((version for version in last_good if device in version.devices), None)
    if before is None or wanted.model is None or _asked(before) == _asked(wanted):
        return False
    return not _is_served(wanted)


def awaited(wanted: Policy) -> in_force.Obstacle:
    """Return the obstacle of a version that waits."""
    asked = "no model" if wanted.model is None else wanted.model.version
    return in_force.Obstacle(
        Reason.AWAITING_REPLICA.value,
        f"a replica of {asked}",
        "its InferencePlacement, or in a folder its ModelVersion, says what keeps it",
        is_waiting=True,
    )


def _is_named(wanted: Policy) -> bool:
    """Whether the assignment says which version a replica serves."""
    return any(endpoint.version for endpoint in wanted.endpoints)


def _is_served(wanted: Policy) -> bool:
    model = wanted.model
    if model is None or not _is_named(wanted):
        return bool(wanted.endpoints)
    return any(_serves(model, endpoint) for endpoint in wanted.endpoints)


def _serves(model: assignment.AssignedModel, endpoint: assignment.Endpoint) -> bool:
    asked = served.of(model)
    return endpoint.version == asked.version and endpoint.digest in ("", asked.digest)


def _asked(version: Policy) -> served.Served | None:
    return None if version.model is None else served.of(version.model)
