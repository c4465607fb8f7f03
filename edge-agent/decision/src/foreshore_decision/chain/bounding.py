"""One value of an action against its bounds and its step. Called by the Limits gate.

The step counts from the *measured* value of the property that the input sets, never from what was
last commanded: a valve that did not follow must not be led away step by step.
"""

import math

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName
from foreshore_api.v1alpha1 import DataType
from foreshore_api.v1alpha1.actuation import OnLimit
from foreshore_api.wire import record
from foreshore_decision import expr
from foreshore_decision.chain.facts import Entry, Given
from foreshore_decision.instant import is_beyond
from foreshore_decision.policy import compiled

PASS, FAIL = record.Phase.PASS, record.Phase.FAIL


def present_value(bound: compiled.Bound, given: Given) -> float | None:
    """Return the measured value of what the input sets, if it is fresh enough."""
    reading = given.readings.get(bound.property or "")
    if (
        reading is None
        or reading.problem is not None
        or reading.received is None
        or is_beyond(reading.received, bound.present_age, given.seconds)
    ):
        return None
    value = reading.value
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return None
    return float(value)


def limit(
    gate: GateName,
    bound: compiled.Bound,
    on_limit: OnLimit,
    value: expr.Value,
    present: float | None,
) -> tuple[expr.Value, Entry]:
    """Return the value that may be sent, clamped where that is allowed, and the line about it."""
    if isinstance(value, bool | str):
        return value, Entry(gate, PASS, reasons.WITHIN_LIMITS, bound.name)
    operands: dict[str, expr.Value | None] = {
        "value": value,
        "minimum": bound.minimum,
        "maximum": bound.maximum,
    }
    if bound.maximum_step is not None:
        operands |= {"present": present, "maximumStep": bound.maximum_step}
        if present is None:
            return value, Entry(
                gate, FAIL, reasons.PRESENT_VALUE_UNKNOWN, bound.name, operands=operands
            )
    low, high = _range(bound, present)
    margin = min(value - low, high - value)
    entry = Entry(
        gate, PASS, reasons.WITHIN_LIMITS, bound.name, operands=operands, margin=_finite(margin)
    )
    if margin >= 0:
        return value, entry
    clamped = _clamp(bound, value, low, high) if on_limit is OnLimit.CLAMP else None
    if clamped is None:
        is_step = _is_within(bound, value)
        reason = reasons.STEP_TOO_LARGE if is_step else reasons.OUT_OF_LIMITS
        return value, entry._replace(phase=FAIL, reason=reason)
    return clamped, entry._replace(
        reason=reasons.CLAMPED, operands={**operands, "clamped": clamped}
    )


def tighter(entry: Entry, other: Entry) -> Entry:
    """Return the line to record of two that passed: a clamped one, else the one with less room."""
    if reasons.CLAMPED in (entry.reason, other.reason):
        return entry if entry.reason == reasons.CLAMPED else other
    left = math.inf if entry.margin is None else entry.margin
    right = math.inf if other.margin is None else other.margin
    return entry if left < right else other


def _range(bound: compiled.Bound, present: float | None) -> tuple[float, float]:
    low = -math.inf if bound.minimum is None else bound.minimum
    high = math.inf if bound.maximum is None else bound.maximum
    if bound.maximum_step is not None and present is not None:
        low = max(low, present - bound.maximum_step)
        high = min(high, present + bound.maximum_step)
    return low, high


def _is_within(bound: compiled.Bound, value: float) -> bool:
    """Whether the value keeps the bounds, so that only the step can be the trouble."""
    low, high = _range(bound, None)
    return low <= value <= high


def _clamp(bound: compiled.Bound, value: float, low: float, high: float) -> expr.Value | None:
    """Return the nearest allowed value, or None where there is none (a step away from all)."""
    if bound.type is DataType.INTEGER:
        low = math.ceil(low) if math.isfinite(low) else low
        high = math.floor(high) if math.isfinite(high) else high
    if low > high:
        return None
    return min(max(value, low), high)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
