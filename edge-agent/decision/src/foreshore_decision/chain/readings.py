"""Whether a reading of a property can be believed as an input of a policy.

The Validity gate asks for every input; the engine asks the same before a value enters a window, so
that what a gate would refuse never makes a feature.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons import telemetry
from foreshore_api.reasons.decision import GateReason
from foreshore_api.v1alpha1.evaluation import OnInvalid
from foreshore_decision import expr, samples
from foreshore_decision.chain.facts import Good, Input, Reading
from foreshore_decision.instant import RESOLUTION, is_beyond
from foreshore_decision.policy import compiled

VOID: Final[Mapping[str | None, GateReason]] = MappingProxyType(
    {
        reasons.CONNECTION_GAP: reasons.CONNECTION_GAP,
        reasons.DEVICE_OFFLINE: reasons.DEVICE_OFFLINE,
        telemetry.DROPPED: reasons.INPUT_REFUSED,
    }
)
"""Problems of readings that were good until the connection or the device went, or a newer one was
dropped unread, and what a gate says of them. No older value may stand in for them, or what was said
before would outlive what has been said since."""
_WITHOUT_RATE: Final = (bool, str)
DIGITS: Final = round(-math.log10(RESOLUTION))
"""Decimals of a second that are looked at."""


def judge(source: compiled.CompiledInput, reading: Reading) -> GateReason | None:
    """Return why the reading is not to be believed, whatever its age, or None."""
    value = reading.value
    if reading.problem is not None:
        return VOID.get(reading.problem, reasons.INPUT_REFUSED)
    if value is None or not expr.is_fit(value, source.type):
        return reasons.INPUT_REFUSED
    if isinstance(value, str):
        return None
    if source.minimum is not None and value < source.minimum:
        return reasons.INPUT_OUT_OF_RANGE
    if source.maximum is not None and value > source.maximum:
        return reasons.INPUT_OUT_OF_RANGE
    fastest, rate = source.maximum_rate, reading.rate
    if fastest is not None and rate is not None and abs(rate) > fastest:
        return reasons.INPUT_IMPLAUSIBLE
    return None


def measured(value: expr.Value | None) -> samples.Sample | None:
    """Return a value as features and models take it: a Boolean is 0 or 1, a text itself."""
    return value if value is None or isinstance(value, str) else float(value)


def rate_of(value: expr.Value, apart: float, before: Reading | None) -> float | None:
    """Return the change per second since the reading before, which lies so many seconds back.

    None where no time lies between that anybody knows of: messages come in bursts.
    """
    if before is None or before.received is None or before.value is None:
        return None
    if isinstance(value, _WITHOUT_RATE) or isinstance(before.value, _WITHOUT_RATE):
        return None
    seconds = round(apart, DIGITS)
    return (value - before.value) / seconds if seconds > 0 else None


def input_of(
    source: compiled.CompiledInput, reading: Reading | None, good: Good | None, now: float
) -> Input:
    """Return the input as the chain sees it: the value, what stands in for it, or the problem."""
    if reading is None:
        return _substitute(source, Input(source.name, None, source.unit, None, None), good, now)
    received = reading.received
    age = None if received is None else now - received
    problem = judge(source, reading)
    if problem is None:
        if received is None:
            problem = reasons.INPUT_AGE_UNKNOWN
        elif is_beyond(received, source.maximum_age, now):
            problem = reasons.INPUT_STALE
        else:
            return Input(source.name, reading.value, source.unit, received, age)
    refusal = _refusal(reading) if problem is reasons.INPUT_REFUSED else None
    seen = Input(source.name, reading.value, source.unit, received, age, problem, refusal=refusal)
    if reading.problem in VOID or received is None:
        good = None  # the device may have said since that it is not so
    return _substitute(source, seen, good, now)


def _substitute(
    source: compiled.CompiledInput, seen: Input, good: Good | None, now: float
) -> Input:
    """Apply onInvalid. The last good value stands in no longer than the input's maximumAge."""
    problem = seen.problem or reasons.INPUT_MISSING
    if source.on_invalid is OnInvalid.DEFAULT and source.default is not None:
        return seen._replace(value=source.default, problem=problem, substituted="Default")
    if source.on_invalid is OnInvalid.LAST_GOOD and good is not None:
        age = now - good.received
        if not is_beyond(good.received, source.maximum_age, now):
            return seen._replace(
                value=good.value,
                received=good.received,
                age=age,
                problem=problem,
                substituted="LastGood",
            )
    return seen._replace(problem=problem)


def _refusal(reading: Reading) -> str:
    """Return why a reading was refused; one without a problem is of another type than the input."""
    return str(reading.problem or telemetry.WRONG_TYPE)
