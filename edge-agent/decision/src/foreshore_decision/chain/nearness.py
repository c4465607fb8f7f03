"""Whether what a device reports is what it was told: the same text or truth, a number nearby."""

import math
from typing import Final, TypeGuard

from foreshore_decision import expr

RELATIVE: Final = 1e-6
"""A device that keeps a number in fewer digits reports the same number."""
ABSOLUTE: Final = 1e-9


def is_number(value: expr.Value | None) -> TypeGuard[int | float]:
    """Whether a value is a number; a truth is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_near(value: expr.Value | None, wanted: expr.Value | None, tolerance: float = 0.0) -> bool:
    """Whether a reported value is what was told, within the property's tolerance."""
    if is_number(value) and is_number(wanted):
        return math.isclose(value, wanted, rel_tol=RELATIVE, abs_tol=tolerance + ABSOLUTE)
    return value is not None and type(value) is type(wanted) and value == wanted
