"""Why a policy may not command a device by itself, whatever it asks for: caps on its mode.

Who keeps two agents' commands apart, how it is known that one worked, whether it can arrive late:
where one of these is not good enough for the harm that a wrong command can do, the policy advises.
Called by `compile`, and by the operator for conditions and status.
"""

from typing import Final

from foreshore_api.reasons import cap
from foreshore_api.v1alpha1 import (
    DecisionPolicySpec,
    DeviceProfileSpec,
    Mode,
    commanding,
    protection,
)
from foreshore_api.v1alpha1.decisionpolicy import Hazard
from foreshore_api.v1alpha1.deviceprofile import Action
from foreshore_decision.policy import compiled

RISK: Final = (
    "nobody fences it, as guards.fence None says: two agents may command it at once for as long as"
    " one can be stopped between its last look at its right and the write. Above Advise only"
    " policies of hazard Low command it, and only with idempotent actions"
)
"""What it means that nobody fences a device."""


def caps(spec: DecisionPolicySpec, profile: DeviceProfileSpec) -> tuple[compiled.Cap, ...]:
    """Return why a policy may not command a device of this (narrowed) profile by itself."""
    action = profile.find_action(spec.action.name)
    is_harmless = _is_harmless(spec)
    reasons = (
        None if _is_idempotent(action) else cap.NON_IDEMPOTENT,
        _unfenced(profile, is_harmless=is_harmless),
        _unanswered(profile, action, is_harmless=is_harmless),
        cap.STORED_DELIVERY if _is_stored(action) else None,
    )
    return tuple(compiled.Cap(reason, Mode.ADVISE) for reason in reasons if reason is not None)


def _is_harmless(spec: DecisionPolicySpec) -> bool:
    """Whether it does little harm that a command is wrong or late."""
    return spec.hazard is Hazard.LOW


def _is_idempotent(action: Action | None) -> bool:
    """Whether doing it twice is the same as once; what is not, nobody may do without a person."""
    return action is None or action.idempotency is protection.Idempotency.IDEMPOTENT


def _unfenced(profile: DeviceProfileSpec, *, is_harmless: bool) -> str | None:
    """Return why nobody keeps two agents' commands apart well enough; None: somebody does.

    Without a fence two agents may overlap for as long as a process can be stopped.
    """
    match profile.guards.fenced_by:
        case protection.Fence.DEVICE:
            return None
        case protection.Fence.NONE:
            return None if is_harmless else cap.UNFENCED
    return cap.GUARDS_UNCHECKED  # nobody is named, or an adapter, which there is not yet


def _unanswered(
    profile: DeviceProfileSpec, action: Action | None, *, is_harmless: bool
) -> str | None:
    """Return why it would not be known well enough whether a command worked."""
    mqtt = profile.mqtt
    declared = None if action is None else action.acknowledgement
    has_topic = mqtt.command_topic is not None or (action is not None and action.mqtt is not None)
    if declared is None or declared.type is commanding.AcknowledgementKind.ENVELOPE:
        is_known = mqtt.acknowledgement_topic is not None
    else:
        is_known = is_harmless or declared.type is not commanding.AcknowledgementKind.NONE
    return None if has_topic and is_known else cap.ACKNOWLEDGEMENT_MISSING


def _is_stored(action: Action | None) -> bool:
    message = None if action is None else action.mqtt
    return message is not None and message.delivery is commanding.Delivery.STORED
