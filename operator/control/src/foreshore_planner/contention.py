"""What the replicas beside it, and its own queue, do to how long the calls of a replica take.

Three effects, each of which a simulation with time slices shows (`make bench ARGS="--only
prediction"`):

- A call that comes while n others are at work takes a factor longer (`placement.load`).
- Others come and go. A call that is long beside the time for which as many stay at work meets
  their average rather than their worst: the mean of an exponentially correlated process over y
  correlation times has 2(y - 1 + exp(-y)) / y^2 of its variance. In M/M/1 with processor sharing
  the time of a job of given size has exactly that (Coffman, Muntz and Trotter, "Waiting time
  distributions for processor-sharing systems", J. ACM 17, 1970).
- A replica that is slowed by f answers as one that is asked f times as often, on a clock that runs
  f times as slowly. So what a call waits in its own queue grows by more than f: by f * f * (1 -
  load) / (1 - f * load), for in Kingman's approximation of G/G/1 ("The single server queue in heavy
  traffic", 1961) only load / (1 - load) changes.

What of a measured duration was a wait nobody notes call by call, only the sum. In M/M/1 a call that
took r had a Poisson number of others before it, of mean rate * r, and the ends of their service lie
in r as uniform points do; its own service is what is left behind the last, (1 - exp(-rate * r)) /
rate on average (Kleinrock, Queueing Systems I, 3.2, conditioned on the response). The rate taken is
the one with which the waits of all calls have the sum that was measured; none where they have none.
Called by `distributions` and `latency`.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from foreshore_api.wire import histogram

Floats = npt.NDArray[np.float64]

Stretch = tuple[tuple[float, float], ...]
"""By how much something takes longer, and how likely that is: (factor, probability), by factor."""

ALONE: Final[Stretch] = ((1.0, 1.0),)
"""Nobody else is at work."""

FULLEST: Final = 0.9
"""The load of a queue up to which it settles before what slowed it has changed."""

MOST_WAITED: Final = 0.99
"""The share of the time that a call waits, or a replica is at work, at most."""

RATES: Final = (1e-3, 1e6)
"""Between which the rate is looked for."""

HALVINGS: Final = 24

SHORTEST: Final = 1e-4
"""Correlation times below which a call meets what it came to, until its end."""

LONGEST: Final = 1e6
"""Correlation times beyond which it meets nothing but the average."""


@dataclass(frozen=True, slots=True)
class Contention:
    """What a replica shares a node with."""

    stretch: Stretch = ALONE
    persistence: float = float("inf")
    """Seconds for which about as many others stay at work, their correlation time; infinity where
    nobody knows, so that a call may meet their worst."""
    calls: float = 0.0
    """Its own calls in the system on average, those that wait among them."""


NONE: Final = Contention()


@dataclass(frozen=True, slots=True)
class Wait:
    """How the calls of a replica waited for one another where they were measured."""

    rate: float = 0.0
    """Calls a second that a call waited for, for every second that it took."""
    load: float = 0.0
    """The share of the time for which the replica was at work."""


NO_WAIT: Final = Wait()


def waits(measured: histogram.Histogram, beside: Contention) -> Wait:
    """Return the wait that is part of what was measured; none where nobody measured it.

    As if what was measured had been asked as often as this replica is.
    """
    waited, total = measured.waited_seconds, measured.total_seconds
    if not waited or not total or beside.stretch == ALONE:
        return NO_WAIT
    served = 1.0 - min(MOST_WAITED, waited / total)
    spread = {
        histogram.middle(index): times
        for index, times in measured.buckets.items()
        if index < histogram.OVERFLOW
    }
    if not spread:
        return NO_WAIT
    seconds, times = np.array(list(spread)), np.array(list(spread.values()), dtype=np.float64)
    wanted = served * float((seconds * times).sum())
    low, high = RATES
    for _ in range(HALVINGS):
        rate = math.sqrt(low * high)
        is_more = float((_served(seconds, rate) * times).sum()) > wanted
        low, high = (rate, high) if is_more else (low, rate)
    return Wait(high, min(MOST_WAITED, beside.calls * served))


def slowed(seconds: Floats, wait: Wait, beside: Contention) -> Floats:
    """Return how long durations take beside others: a row for each factor of the stretch.

    `seconds` ascend.
    """
    if beside.stretch == ALONE:
        return seconds[np.newaxis, :]
    factors, likely = np.array(beside.stretch).T[:, :, np.newaxis]
    mean = float((factors * likely).sum())
    served = _served(seconds, wait.rate)
    finite = np.isfinite(seconds)
    waited = np.where(finite, seconds, 0.0) - np.where(finite, served, 0.0)
    average = mean * (served + waited * _growth(np.array(mean), wait.load))
    damping = np.sqrt(_remaining_variance(average / beside.persistence))
    met = np.maximum(1.0, mean + damping * (factors - mean))
    slow: Floats = met * (served + waited * _growth(met, wait.load))
    return np.maximum.accumulate(slow, axis=1)


def _served(seconds: Floats, rate: float) -> Floats:
    """Return what of calls that took so long was service, on average."""
    finite = np.isfinite(seconds)
    return np.where(finite, -np.expm1(-rate * seconds) / rate, seconds) if rate else seconds


def _growth(factor: Floats, load: float) -> Floats:
    """Return by how much more than `factor` a wait grows where service is slowed by it."""
    slower: Floats = 1.0 - np.minimum(factor * load, max(FULLEST, load))
    return factor * (1.0 - load) / slower


def _remaining_variance(times: Floats) -> Floats:
    """Return the share of the variance that is left in the mean over so many correlation times."""
    of = np.clip(times, SHORTEST, LONGEST)
    left: Floats = 2.0 * (of - 1.0 + np.exp(-of)) / of**2
    return np.where(times > SHORTEST, left, 1.0)
