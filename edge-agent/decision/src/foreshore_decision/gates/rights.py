"""Which agent may act: the right to command a device, held by one of them at a time."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName, GateReason
from foreshore_api.wire.record import Phase
from foreshore_decision import fencing
from foreshore_decision.chain.facts import Entry, Facts, Step

PASS, FAIL = Phase.PASS, Phase.FAIL
REASONS: Final[Mapping[fencing.Standing, GateReason]] = MappingProxyType(
    {
        fencing.Standing.RENEWED: reasons.AUTHORITY_RENEWED,
        fencing.Standing.OFFLINE: reasons.AUTHORITY_OFFLINE,
        fencing.Standing.LAPSED: reasons.AUTHORITY_LAPSED,
        fencing.Standing.SUPERSEDED: reasons.AUTHORITY_SUPERSEDED,
        fencing.Standing.NONE: reasons.AUTHORITY_MISSING,
    }
)


def authority(gate: GateName, facts: Facts) -> Step:
    """Pass while this agent's right to command the device holds."""
    holder = facts.given.holder
    reason = REASONS[holder.standing]
    phase = PASS if holder.standing.is_permitting else FAIL
    operands = {"holder": holder.node, "epoch": holder.epoch}
    return Step(facts, Entry(gate, phase, reason, operands=operands))
