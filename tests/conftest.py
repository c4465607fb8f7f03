"""What holds for every test."""

import asyncio
import os
import platform

import hypothesis
import pytest

from harness import guard, process, sampling
from harness.fixtures import session_cluster

__all__ = ["session_cluster"]
# here, once: a fixture imported by two folders would be two, and each would want the cluster alone


# How long an example takes says nothing on a busy machine: speed belongs to the benches. A change
# is held to the same examples each time: what new ones find is of any change but this one, and
# `make nightly` looks for it.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("searching", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("searching" if os.environ.get("FORESHORE_SEARCH") else "same")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--one-per-module`, for a machine that is looked at for what it lacks."""
    parser.addoption(
        "--one-per-module",
        action="store_true",
        help="of every module run its first test, and the first that asks for each other fixture",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `--one-per-module` leaves out."""
    if config.getoption("one_per_module"):
        items[:], others = sampling.sampled(items)
        config.hook.pytest_deselected(items=others)


def pytest_configure(config: pytest.Config) -> None:
    """Watch which programs run, and leave the main thread without an event loop.

    pytest-asyncio otherwise lets the policy make one while it looks for the old one, and never
    closes it: an error at exit whenever a plain test ran before the first asynchronous one.
    """
    del config
    platform.processor()  # runs uname, once: a worker of pytest-xdist asks for it at its start
    guard.install()
    asyncio.set_event_loop(None)


@pytest.fixture
def unused_tcp_port() -> int:
    """A port of the test's own, in place of pytest-asyncio's, which any process may get as well."""
    return process.free_port()
