"""A capture of a broker that never pauses: what came is written, and the person hears of it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import site_side
from foreshore_agent import clocks
from foreshore_agent.capture import columns, file, listen
from foreshore_agent.devices.mqtt import devices
from foreshore_agent.engine import events
from foreshore_api.v1alpha1 import site
from foreshore_api.wire import assignment

DEVICE = site_side.speaking("room", {"name": "co2"})
SUBJECT = listen.CaptureSubject(
    assignment.AssignedSite(
        namespace="hq", name="hq", spec=site.SiteSpec(broker=site.Broker(host="h", port=1883))
    ),
    (DEVICE,),
    columns.arrange([DEVICE]),
    None,
)


class TirelessDevices:
    """Have something to say whenever they are asked, and are asked so often at most."""

    is_connected = True
    problem = None
    denied = ()
    most = 200_000

    def __init__(self, *_: Any) -> None:
        self._numbers: Iterator[int] = iter(range(self.most))
        self.has_measured = True

    def assign(self, *_: Any) -> None:
        """Take what is captured."""

    async def run(self) -> None:
        """Listen for ever."""
        await asyncio.Event().wait()

    def measured(self, most: int) -> list[events.Sample]:
        """Say one thing more."""
        del most
        number = next(self._numbers, None)
        self.has_measured = number is not None
        if number is None:
            return []
        clock = clocks.SystemClock()
        key = events.Key("hq", "room")
        return [events.Sample(clock.instant(), "f", key, {"co2": float(number)})]


async def test_rows_are_written_while_messages_never_cease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: nothing was written, and all was held in memory, until there was a pause."""
    monkeypatch.setattr(devices, "MqttDevices", TirelessDevices)
    output = file.CaptureFile(tmp_path / "room.csv", SUBJECT.columns.header)
    limits = listen.CaptureLimits(seconds=1.0, size=1 << 30)
    capture = listen.Capture(SUBJECT, output, limits, clocks.SystemClock(), lambda _: None)
    sizes: list[int] = []
    append = output.append

    def appended(lines: bytes) -> None:
        sizes.append(len(lines))
        append(lines)

    monkeypatch.setattr(output, "append", appended)
    captured = await capture.run()
    output.close()
    assert captured.ended == "its time was over"
    assert captured.rows == (tmp_path / "room.csv").read_bytes().count(b"\n") - 1
    assert len(sizes) > 1
