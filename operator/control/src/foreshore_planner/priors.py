"""What is known of a model and of networks before a placement has measured anything itself.

A model takes about as long on every node of a class, whatever policy asks it; and a call takes
about as long from one site to every node of a class at another. So evidence is pooled by version
and class, and by site and class, and a candidate that was never tried is predicted from it. It
ranks nodes: it never says that a node lives, and no working replica is moved on its account alone.

Agents report the last five minutes, and nothing older. What was measured enough within them counts
alone; of what was not, the last that was is remembered, with half of its weight for every
`HALF_LIFE` that has passed since, until it is `FORGOTTEN`.

The hub's evidence gives it for what runs now (`pooling`), a Prometheus for what ran before and for
everything while the hub is out of reach (`foreshore_operator.history`). A snapshot carries it.
"""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from foreshore_api.wire import histogram

K = TypeVar("K", bound=Hashable)

Version = tuple[str, str]
"""(namespace, ModelVersion)."""

Place = tuple[str, str]
"""(site, class of node)."""

ENOUGH = 20
"""Samples below which a figure says nothing (design/placement.md)."""

HALF_LIFE: Final = 600.0
"""Seconds after which what was measured counts half beside what is measured now."""

FORGOTTEN: Final = 3600.0
"""Seconds after which it does not count at all: machines and models change."""


class PriorOrigin(StrEnum):
    """Where pooled figures come from."""

    POOLED = "Pooled"
    """The hub answers: what agents report now, and of the rest what was recorded before."""
    RECORDED = "Recorded"
    """The hub is out of reach: what a Prometheus recorded lately."""
    REMEMBERED = "Remembered"
    """Nobody answers: what was said before, for an hour at most."""


@dataclass(frozen=True, slots=True)
class LatencyPriors:
    """Merged histograms of what is alike; what is not in here is unknown."""

    inference: Mapping[tuple[Version, str], histogram.Histogram] = field(default_factory=dict)
    """By (version, class of node): how long a replica takes, its queue included."""
    network: Mapping[tuple[str, str, str], histogram.Histogram] = field(default_factory=dict)
    """By (site of the agent that calls, site of the node or empty, class of the node)."""
    origin: PriorOrigin = PriorOrigin.POOLED
    residuals: Mapping[Place, float] = field(default_factory=dict)
    """How far predictions are off, measured by predicted, by (site, class of the node)."""


NOTHING = LatencyPriors()


def first(*sources: LatencyPriors, origin: PriorOrigin = PriorOrigin.POOLED) -> LatencyPriors:
    """Return of every figure the one of the first source that has enough samples of it."""
    return LatencyPriors(
        origin=origin,
        inference=_first(source.inference for source in sources),
        network=_first(source.network for source in sources),
        residuals={
            place: off for source in reversed(sources) for place, off in source.residuals.items()
        },
    )


def _first(sources: Iterable[Mapping[K, histogram.Histogram]]) -> dict[K, histogram.Histogram]:
    chosen: dict[K, histogram.Histogram] = {}
    for source in sources:
        for key, measured in source.items():
            if key not in chosen and measured.count >= ENOUGH:
                chosen[key] = measured
    return chosen


Dated = Mapping[K, tuple[histogram.Histogram, float]]
"""What was measured enough, and at which second that was."""


@dataclass(frozen=True, slots=True)
class LatencyMemory:
    """The last of every figure that had enough samples; `recalled` makes priors of it."""

    inference: Dated[tuple[Version, str]] = field(default_factory=dict)
    network: Dated[tuple[str, str, str]] = field(default_factory=dict)
    residuals: Mapping[Place, tuple[float, float]] = field(default_factory=dict)
    """A ratio, and the second at which it was that."""


def remembered(before: LatencyMemory, fresh: LatencyPriors, at: float) -> LatencyMemory:
    """Return what is remembered after a further look, at a second of a clock that never goes back.

    What has become too old is left out, so that nobody's memory grows for ever.
    """
    return LatencyMemory(
        inference=_dated(before.inference, fresh.inference, at),
        network=_dated(before.network, fresh.network, at),
        residuals=_weighed(before.residuals, fresh.residuals, at),
    )


def recalled(memory: LatencyMemory, fresh: LatencyPriors, at: float) -> LatencyPriors:
    """Return what is measured now, with what is remembered where that is not enough."""
    return LatencyPriors(
        inference=_recalled(memory.inference, fresh.inference, at),
        network=_recalled(memory.network, fresh.network, at),
        residuals={place: _now(off, at) for place, off in memory.residuals.items()},
    )


def _dated(before: Dated[K], fresh: Mapping[K, histogram.Histogram], at: float) -> Dated[K]:
    kept = {key: entry for key, entry in before.items() if at - entry[1] < FORGOTTEN}
    enough = {key: (seen, at) for key, seen in fresh.items() if seen.count >= ENOUGH}
    return kept | enough


def _weighed(
    before: Mapping[Place, tuple[float, float]], fresh: Mapping[Place, float], at: float
) -> dict[Place, tuple[float, float]]:
    """Return what is remembered of residuals: a mean in which what is older weighs less."""
    kept = {place: off for place, off in before.items() if at - off[1] < FORGOTTEN}
    for place, ratio in fresh.items():
        last = before.get(place, (1.0, at - HALF_LIFE))
        weight = 1.0 - _left(at - last[1])
        kept[place] = (last[0] + weight * (ratio - last[0]), at)
    return kept


def _left(seconds: float) -> float:
    """Return what is left of a weight after so many seconds."""
    return math.exp2(-seconds / HALF_LIFE)


def _now(off: tuple[float, float], at: float) -> float:
    """Return what a residual that nobody observes any more still counts: it fades to 1."""
    ratio, then = off
    return 1.0 + (ratio - 1.0) * _left(at - then)


def _recalled(
    memory: Dated[K], fresh: Mapping[K, histogram.Histogram], at: float
) -> dict[K, histogram.Histogram]:
    recalled = dict(fresh)
    for key, (seen, then) in memory.items():
        if key not in fresh or fresh[key].count < ENOUGH:
            faded = _faded(seen, math.floor((at - then) / HALF_LIFE))
            recalled[key] = histogram.merge([faded, fresh[key]] if key in fresh else [faded])
    return recalled


def _faded(seen: histogram.Histogram, halvings: int) -> histogram.Histogram:
    """Return a histogram with half of its counts, so often; what was rare never vanishes before."""
    share = 2**halvings
    counts = {index: -(-count // share) for index, count in seen.buckets.items()}
    waited = seen.waited_seconds
    return histogram.Histogram(
        buckets=counts,
        total_seconds=seen.total_seconds / share,
        waited_seconds=None if waited is None else waited / share,
    )
