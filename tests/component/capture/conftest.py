"""A real Mosquitto for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[mosquitto.Broker]:
    """Plain, on loopback; its log names every packet."""
    with mosquitto.Broker(tmp_path / "broker", extra="log_type debug") as started:
        yield started
