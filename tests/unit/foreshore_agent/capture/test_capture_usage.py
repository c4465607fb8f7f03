"""What a capture refuses before it asks any broker, and what it names as the way out."""

from pathlib import Path
from typing import Any

import pytest

from builders import captured, room
from foreshore_agent import logs
from foreshore_agent.capture import file, verb

BROKER = {"host": "h", "port": 1883, "transport": "Plain"}
ROOM = (room.changed(room.site(), spec__broker=BROKER), room.profile(), room.device())
NAMES = [f"room-{number}" for number in range(verb.MAXIMUM_DEVICES + 1)]


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the log of this process alone."""
    monkeypatch.setattr(logs, "configure", lambda *_: None)


def refusal(folder: Path, *documents: room.Json, **changes: Any) -> str:
    """Why nothing is captured, with some options changed."""
    resources = captured.write(folder / "resources", documents)
    options: dict[str, Any] = {
        "resources": resources,
        "devices": ("room-301",),
        "output": str(folder / "room.csv"),
        "duration": "1s",
        "rows": None,
        "maximum_size": "1Gi",
        "has_device_times": False,
        "credentials": None,
    }
    with pytest.raises(verb.USAGE_ERRORS) as refused:
        verb.capture(verb.CaptureRequest(**options | changes), lambda _: None)
    return str(refused.value)


def test_more_devices_than_one_recording_has_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, devices=tuple(NAMES))
    assert said.startswith("more than 16 times --device: capture the others")


def test_devices_that_no_policy_reads_together_are_refused(tmp_path: Path) -> None:
    laboratory = (
        room.site("lab", "lab"),
        room.profile("lab", "climate"),
        room.changed(
            room.device("lab", "room-1"), spec__site="lab", spec__profileRef={"name": "climate"}
        ),
    )
    said = refusal(tmp_path, *ROOM, *laboratory, devices=("hq/room-301", "lab/room-1"))
    assert "capture each into a file of its own" in said


def test_a_clock_that_lies_before_the_last_row_of_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "room.csv"
    header = "time,co2,light,temperature,airflow\n"
    path.write_text(header + "2999-03-01T10:00:00.000000Z,1,,,\n")
    said = refusal(tmp_path, *ROOM)
    assert "its last row is of 2999-03-01T10:00:00+00:00" in said
    assert "set the clock, or give another --output" in said
    file.CaptureFile(path, header.encode()).close()  # it is locked no longer
