"""What is said of a device that nobody fences: the condition Unfenced.

It is there where a DeviceProfile says so and a device can be commanded, informs, and is no part of
Ready: a person chose it. Called by `status`.
"""

from collections.abc import Iterator
from typing import Final

from foreshore_api import conditions
from foreshore_api.v1alpha1 import protection
from foreshore_planner import binding, phrases

MESSAGE: Final = (
    "nobody fences it, as guards.fence None says: two agents may command it at once for as long as"
    " one can be stopped between its last look at its right and the write. Above Advise only"
    " policies of hazard Low command it, and only with idempotent actions. To end it:"
)


def of(device: binding.BoundDevice) -> Iterator[phrases.Said]:
    """Say what the device risks; nothing where somebody fences or nothing can be commanded."""
    is_commanded = device.profile is not None and bool(device.profile.spec.actions)
    if is_commanded and device.fence is protection.Fence.NONE:
        reason = conditions.Reason.NO_FENCE
        message = f"{MESSAGE} {reason.remedy}"
        yield (conditions.Type.UNFENCED, conditions.Status.TRUE, reason, message)
