"""Numbers with bounds: which of profile, device and policy binds, and who is wider than he may be.

Called by `compile` for inputs (range) and for the action (limits).
"""

from dataclasses import dataclass

from foreshore_api import conditions, scalars
from foreshore_api.v1alpha1 import DataType
from foreshore_decision import expr
from foreshore_decision.policy.problems import Problems

NUMERIC = (DataType.NUMBER, DataType.INTEGER)
MEASURED = (*NUMERIC, DataType.BOOLEAN)
"""Types of which models and windows take a number; a Boolean is 0 or 1."""


@dataclass(frozen=True, slots=True)
class Span:
    """Lowest and highest value, largest step; None: no bound."""

    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing is bounded."""
        return self.minimum is None and self.maximum is None and self.step is None


def span(
    minimum: int | str | None, maximum: int | str | None, step: int | str | None = None
) -> Span:
    """Read the three decimals of a resource."""
    return Span(_number(minimum), _number(maximum), _number(step))


def tightest(*spans: Span) -> Span:
    """Return the span that keeps all of these."""
    return Span(
        max((span.minimum for span in spans if span.minimum is not None), default=None),
        min((span.maximum for span in spans if span.maximum is not None), default=None),
        min((span.step for span in spans if span.step is not None), default=None),
    )


def narrow(outer: Span, inner: Span, path: str, problems: Problems) -> Span:
    """Return both together; note where the inner one is wider than the outer."""
    wider = (
        ("minimum", outer.minimum, inner.minimum, -1.0),
        ("maximum", outer.maximum, inner.maximum, 1.0),
        ("maximumStep", outer.step, inner.step, 1.0),
    )
    for name, allowed, asked, direction in wider:
        if allowed is not None and asked is not None and direction * (asked - allowed) > 0:
            problems.add(
                conditions.Reason.WIDER_THAN_DEVICE,
                f"{path}.{name}",
                f"{asked:g} is wider than the device's {allowed:g}",
            )
    both = tightest(outer, inner)
    if both.minimum is not None and both.maximum is not None and both.minimum > both.maximum:
        problems.add(
            conditions.Reason.INVALID,
            path,
            f"no value is left between {both.minimum:g} and {both.maximum:g}",
        )
    return both


def literal(
    written: int | str, kind: DataType, within: Span, path: str, problems: Problems
) -> expr.Value | None:
    """Read a written value of a type within bounds, or note why it is none."""
    try:
        value = scalars.literal(written, kind.value)
    except ValueError as error:
        problems.add(conditions.Reason.INVALID, path, str(error))
        return None
    if isinstance(value, str) or kind not in NUMERIC:
        return value
    low = within.minimum is not None and value < within.minimum
    if low or (within.maximum is not None and value > within.maximum):
        problems.add(conditions.Reason.INVALID, path, f"{written} lies outside its bounds")
    return value


def _number(value: int | str | None) -> float | None:
    return None if value is None else scalars.number(value)
