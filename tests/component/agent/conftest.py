"""What whole agents of these tests have in common: a broker, and short waits before it is tried."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshore_agent import backoff
from harness import mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[mosquitto.Broker]:
    """A real one."""
    with mosquitto.Broker(tmp_path / "broker") as started:
        yield started


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second before each new attempt of a connection."""
    monkeypatch.setattr(backoff.Backoff, "next", lambda _: 0.1)
