"""What is known of a model and of networks before a placement has measured anything itself.

A model takes about as long on every node of a class, whatever policy asks it; and a call takes
about as long from one site to every node of a class at another. So evidence is pooled by version
and class, and by site and class, and a candidate that was never tried is predicted from it. It
ranks nodes: it never says that a node lives, and no working replica is moved on its account alone.

The hub's evidence gives it for what runs now (`pooling`), a Prometheus for what ran before and for
everything while the hub is out of reach (`foreshore_operator.history`). A snapshot carries it.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from foreshore_api.wire import histogram

K = TypeVar("K", bound=Hashable)

Version = tuple[str, str]
"""(namespace, ModelVersion)."""

ENOUGH = 20
"""Samples below which a figure says nothing (design/placement.md)."""


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


NOTHING = LatencyPriors()


def first(*sources: LatencyPriors, origin: PriorOrigin = PriorOrigin.POOLED) -> LatencyPriors:
    """Return of every figure the one of the first source that has enough samples of it."""
    return LatencyPriors(
        origin=origin,
        inference=_first(source.inference for source in sources),
        network=_first(source.network for source in sources),
    )


def _first(sources: Iterable[Mapping[K, histogram.Histogram]]) -> dict[K, histogram.Histogram]:
    chosen: dict[K, histogram.Histogram] = {}
    for source in sources:
        for key, measured in source.items():
            if key not in chosen and measured.count >= ENOUGH:
                chosen[key] = measured
    return chosen
