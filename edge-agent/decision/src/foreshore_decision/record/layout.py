"""What a policy's records hold of facts, and what never changes in them: worked out once a policy.

Rendering a record is on the path of every decision; `facts`, `windows` and `answers` read this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from foreshore_api.v1alpha1.evaluation import OnInvalid
from foreshore_decision.policy import compiled
from foreshore_decision.record.plain import fingerprint

POLICIES = 1024
"""Layouts that are kept: a policy counts once for each of its devices."""


class WindowLine(NamedTuple):
    """A feature with a window, and what its line of a record always says."""

    feature: compiled.Feature
    fixed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FactsLayout:
    """The fixed part of a policy's facts."""

    properties: tuple[str, ...]
    """What it reads as inputs or sets by its action."""
    actuators: list[str]
    last_good: tuple[tuple[str, str], ...]
    """Each input with onInvalid LastGood, and the fingerprint of what makes a value good."""
    windows: tuple[WindowLine, ...]


@lru_cache(maxsize=POLICIES)
def of(policy: compiled.CompiledPolicy) -> FactsLayout:
    """Return a policy's layout."""
    sources = {source.name: source for source in policy.inputs}
    names = [source.property for source in policy.inputs]
    names += [bound.property for bound in policy.action.bounds if bound.property is not None]
    return FactsLayout(
        properties=tuple(dict.fromkeys(names)),
        actuators=sorted(policy.action.actuators),
        last_good=tuple(
            (source.name, remembered(source))
            for source in policy.inputs
            if source.on_invalid is OnInvalid.LAST_GOOD
        ),
        windows=tuple(
            WindowLine(
                feature,
                {"aggregate": feature.aggregate.value, "judged": judged(sources[feature.input])},
            )
            for feature in policy.features
            if feature.seconds
        ),
    )


def judged(source: compiled.CompiledInput) -> str:
    """Return the fingerprint of what decides whether a value of an input is believed."""
    return fingerprint(
        source.property, source.type.value, source.minimum, source.maximum, source.maximum_rate
    )


def remembered(source: compiled.CompiledInput) -> str:
    """Return the fingerprint of what decides whether a value of an input is remembered as good."""
    return fingerprint(judged(source), source.maximum_age)
