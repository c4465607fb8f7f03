"""What a plan says of rights to devices: which are granted, and which are taken from somebody.

Called by `act` and `passes`; who holds a device is decided by the planner's `succession`.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from foreshore_api import v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_operator import status_queue
from foreshore_planner.world import delta

HELD_BACK: Final = 1.0
"""Seconds until the next look at a right that could not be moved for want of evidence."""


def granting(made: delta.PlanDelta) -> frozenset[status_queue.ObjectName]:
    """Return the Devices that are granted: a status of theirs would be overtaken."""
    return frozenset((v1alpha1.Device.kind, grant.namespace, grant.device) for grant in made.grants)


def has_moves(made: delta.PlanDelta) -> bool:
    """Whether a right is taken away from somebody: that needs evidence of this very moment."""
    return any(grant.cause != reasons.FIRST_GRANT for grant in made.grants)


def without_moves(made: delta.PlanDelta) -> delta.PlanDelta:
    """The same without taking a right away from anybody; it is tried again soon."""
    kept = tuple(grant for grant in made.grants if grant.cause == reasons.FIRST_GRANT)
    return dataclasses.replace(made, grants=kept, wake_after=HELD_BACK)
