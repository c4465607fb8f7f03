"""What people have switched: a policy's mode, a device's lock."""

from typing import assert_never

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName
from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire.record import Phase
from foreshore_decision.chain.facts import Entry, Facts, Step

PASS, FAIL = Phase.PASS, Phase.FAIL


def arm(gate: GateName, facts: Facts) -> Step:
    """Pass while the policy is enabled and the device unlocked."""
    given = facts.given
    if given.mode is Mode.DISABLED:
        return Step(facts, Entry(gate, FAIL, reasons.DISABLED))
    if given.is_locked:
        return Step(facts, Entry(gate, FAIL, reasons.DEVICE_LOCKED))
    return Step(facts, Entry(gate, PASS, reasons.ARMED))


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
