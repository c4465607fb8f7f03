"""What is said of a device that nobody fences: the condition Unfenced.

It is there where a DeviceProfile says so and a device can be commanded, informs, and is no part of
Ready: a person chose it. Called by `status`.
"""

from collections.abc import Iterator

from foreshore_api import conditions
from foreshore_api.v1alpha1 import protection
from foreshore_decision.policy import capping
from foreshore_planner import binding, phrases


def of(device: binding.BoundDevice) -> Iterator[phrases.Said]:
    """Say what the device risks; nothing where somebody fences or nothing can be commanded."""
    is_commanded = device.profile is not None and bool(device.profile.spec.actions)
    if is_commanded and device.fence is protection.Fence.NONE:
        reason = conditions.Reason.NO_FENCE
        message = f"{capping.RISK}. To end it: {reason.remedy}"
        yield (conditions.Type.UNFENCED, conditions.Status.TRUE, reason, message)
