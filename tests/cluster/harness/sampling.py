"""Which tests stand for their module where there is no time for all (`--one-per-module`).

The question there is whether the machine lacks anything, not whether the product is right: every
module is imported and every fixture that its tests ask for is started once. `conftest.py` asks.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest


def sampled(tests: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The tests that run, and those that do not.

    Of every module its first test runs, and any that asks for a fixture that none before it in the
    module asked for.
    """
    started: dict[Path, set[str]] = defaultdict(set)
    running: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for test in tests:
        wanted = fixtures(test)
        is_first = test.path not in started
        (running if is_first or wanted - started[test.path] else others).append(test)
        started[test.path] |= wanted
    return running, others


def fixtures(test: pytest.Item) -> set[str]:
    """The fixtures of a test, without the arguments that its parameters give."""
    given = getattr(test, "callspec", None)
    return set(getattr(test, "fixturenames", ())) - set(given.params if given else ())
