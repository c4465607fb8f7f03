"""What people have switched, and the agent for them: a policy's mode, a device's lock."""

from typing import assert_never

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName, GateReason
from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire.record import Phase
from foreshore_decision.chain.facts import Entry, Facts, Given, Step

PASS, FAIL, DISABLED = Phase.PASS, Phase.FAIL, Mode.DISABLED


def arm(gate: GateName, facts: Facts) -> Step:
    """Pass while the policy is enabled and the device unlocked."""
    reason = disarmed(facts.given)
    if reason is not None:
        return Step(facts, Entry(gate, FAIL, reason))
    return Step(facts, Entry(gate, PASS, reasons.ARMED))


def disarmed(given: Given) -> GateReason | None:
    """Return why the policy does not even look at the device, if so.

    What an agent disarmed because it is too slow is in force as Disabled, capped by that.
    """
    if given.mode is not DISABLED:
        return reasons.DEVICE_LOCKED if given.is_locked else None
    is_slow = any(cap.reason == reasons.EXPRESSION_TOO_SLOW for cap in given.caps)
    return reasons.EXPRESSION_TOO_SLOW if is_slow else reasons.DISABLED


def mode(gate: GateName, facts: Facts) -> Step:
    """Pass when the policy may act by itself; Shadow and Advise end here, as they should."""
    match facts.given.mode:
        case Mode.AUTONOMOUS:
            return Step(facts, Entry(gate, PASS, reasons.AUTONOMOUS_MODE))
        case Mode.ADVISE | Mode.SUPERVISED:
            # Supervised is refused at compile time; were it here, it would not act.
            return Step(facts, Entry(gate, FAIL, reasons.ADVISE_MODE))
        case Mode.SHADOW | Mode.DISABLED:
            return Step(facts, Entry(gate, FAIL, reasons.SHADOW_MODE))
        case _:
            assert_never(facts.given.mode)
