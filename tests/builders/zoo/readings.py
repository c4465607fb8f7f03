"""The readings that the models of the zoo were trained on, drawn from a seed."""

import functools
from typing import NamedTuple

import numpy as np

from builders.zoo.exported import Array

ROWS = 240
STATES = ("idle", "running", "stopped")


class Readings(NamedTuple):
    """Rows of light, CO2 and temperature, and what is to be learnt of them."""

    features: Array
    """FP32 [rows, 3]."""
    states: Array
    """Text [rows]: idle, running or stopped."""
    occupied: Array
    """0 or 1 [rows]."""
    words: Array
    """The same as text: busy or empty; in the alphabet's order the other way round."""
    level: Array
    """0, 1 or 2 [rows]: empty, occupied, crowded."""
    airflow: Array
    """A number to be regressed [rows]."""


@functools.cache
def readings() -> Readings:
    """Return the training set."""
    random = np.random.default_rng(10)
    features = random.normal([300, 700, 21], [200, 150, 1.5], (ROWS, 3)).astype(np.float32)
    noise = random.normal(0, 60, ROWS)
    occupied = (features[:, 0] + 0.5 * features[:, 1] + noise > 650).astype(np.int64)
    return Readings(
        features=features,
        states=np.array(STATES)[random.integers(0, len(STATES), ROWS)],
        occupied=occupied,
        words=np.where(occupied == 1, "busy", "empty"),
        level=occupied + (features[:, 1] > 800) * occupied,
        airflow=(features[:, 1] / 700 + occupied + noise / 600).astype(np.float32),
    )


def asked() -> Array:
    """Return rows of both classes that were not trained on, FP32 [6, 3]."""
    random = np.random.default_rng(11)
    return random.normal([300, 700, 21], [250, 200, 2], (6, 3)).astype(np.float32)
