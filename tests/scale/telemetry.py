"""Latency as agents of a healthy site measure it: a few hundred histograms, made once.

Every report would otherwise cost more to invent than to send. `agents` draws from them.
"""

import functools
import random
from typing import Final

from foreshore_api.wire import histogram

SAMPLES: Final = 300
"""Decisions of five minutes, one a second."""
VARIANTS: Final = 32
MEDIANS: Final = {
    histogram.Stage.UPLINK: 0.004,
    histogram.Stage.DECIDE: 0.0004,
    histogram.Stage.NETWORK: 0.0012,
    histogram.Stage.INFERENCE: 0.004,
    histogram.Stage.ACTUATE: 0.012,
    histogram.Stage.END_TO_END: 0.020,
}
"""Seconds."""
PROBE_MEDIAN: Final = 0.0008
SPREAD: Final = 0.35
"""Of the logarithm: p99 is 2.3 times the median."""


@functools.cache
def variants(median: float) -> tuple[histogram.Histogram, ...]:
    """Histograms around one median that differ as those of different minutes do."""
    random_ = random.Random(median)
    return tuple(
        histogram.Histogram.of(
            median * random_.uniform(0.9, 1.1) * random_.lognormvariate(0, SPREAD)
            for _ in range(SAMPLES)
        )
        for _ in range(VARIANTS)
    )


def stage(which: histogram.Stage) -> histogram.Histogram:
    """What was measured of one stage lately."""
    return random.choice(variants(MEDIANS[which]))


def probe() -> histogram.Histogram:
    """How long a peer's echo took lately."""
    return random.choice(variants(PROBE_MEDIAN))
