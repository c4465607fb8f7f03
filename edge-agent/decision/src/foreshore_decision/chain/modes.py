"""The effective mode: what the policy asks for, lowered by every cap that holds, never raised."""

from collections.abc import Sequence
from typing import Final

from foreshore_api.reasons import decision as reasons
from foreshore_api.v1alpha1 import Mode
from foreshore_decision.policy.compiled import Cap, CompiledPolicy

RANK: Final = {mode: rank for rank, mode in enumerate(Mode)}
"""Modes in rising order, as the schema lists them."""
_ACTING: Final = frozenset(mode for mode, rank in RANK.items() if rank > RANK[Mode.ADVISE])


def effective(asked: Mode, caps: Sequence[Cap]) -> tuple[Mode, tuple[Cap, ...]]:
    """Return the effective mode, and the caps that lower it below what was asked for."""
    if not caps:
        return asked, ()
    lowering = tuple(cap for cap in caps if RANK[cap.mode] < RANK[asked])
    mode = min((cap.mode for cap in lowering), key=RANK.__getitem__, default=asked)
    return mode, lowering


def of(
    policy: CompiledPolicy, *, is_recorder_full: bool, is_too_slow: bool = False
) -> tuple[Mode, tuple[Cap, ...]]:
    """Return the mode in which a policy may act, and why it is lower than what it asks for."""
    caps = policy.caps
    if is_recorder_full:
        caps = (*caps, Cap(reasons.RECORDER_FULL, policy.on_recorder_full))
    if is_too_slow:
        caps = (*caps, Cap(reasons.EXPRESSION_TOO_SLOW, Mode.DISABLED))
    return effective(policy.mode, caps)


def is_acting(mode: Mode) -> bool:
    """Whether a policy in this mode moves anything; below, everything is "would have"."""
    return mode in _ACTING
