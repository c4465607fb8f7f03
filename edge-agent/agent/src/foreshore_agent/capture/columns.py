"""Which columns a recording of devices has; pure.

The device's own properties stand under their names, as `rehearse` looks for them; those of other
devices that its policies read under `DEVICE.PROPERTY`, as it looks for those.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from foreshore_agent.devices.codecs import payload
from foreshore_agent.engine.events import Key
from foreshore_agent.play import layout
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import assignment
from foreshore_decision.policy import compiled

ENCODING: Final = "utf-8"
SEPARATOR: Final = ","
TIMES: Final = ("time", "timestamp", "date_time")
"""Names of the time's column: the first that no property has, and none may have the last."""


class ColumnError(ValueError):
    """The properties do not fit into one recording; the text says why."""


@dataclass(frozen=True, slots=True)
class CapturedColumn:
    """One property of one device."""

    name: str
    """As the header has it."""
    device: Key
    property: deviceprofile.Property


@dataclass(frozen=True, slots=True)
class CaptureColumns:
    """All columns of a recording, the time's first."""

    time: str
    """Name of the column with the time of a row."""
    columns: tuple[CapturedColumn, ...]

    @property
    def header(self) -> bytes:
        """The first line."""
        return line([self.time, *(column.name for column in self.columns)])

    def by_device(self) -> Mapping[Key, Mapping[str, int]]:
        """Return where each property stands in a row, by device and property."""
        places: dict[Key, dict[str, int]] = {}
        for index, column in enumerate(self.columns):
            places.setdefault(column.device, {})[column.property.name] = index
        return places


def arrange(devices: Sequence[assignment.AssignedDevice]) -> CaptureColumns:
    """Lay out the columns of devices, the rehearsed one first. Raises ColumnError."""
    columns: list[CapturedColumn] = []
    for device in devices:
        key = Key(device.namespace, device.name)
        for declared in _readable(device):
            is_own = device is devices[0]
            name = declared.name if is_own else compiled.name_elsewhere(key.name, declared.name)
            columns.append(CapturedColumn(name, key, declared))
    if not columns:
        raise ColumnError("the device has no property that it reports: nothing can be captured")
    _check(column.name for column in columns)
    names = {column.name.casefold() for column in columns}
    time = next(name for name in TIMES if name not in names)
    return CaptureColumns(time, tuple(columns))


def line(cells: Sequence[str]) -> bytes:
    """Return one line of the file, with its end."""
    text = io.StringIO()
    # what ends a line is quoted where it stands in a text, and readers take both for that
    csv.writer(text, delimiter=SEPARATOR, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n").encode(ENCODING) + b"\n"


def is_readable(row: bytes) -> bool:
    """Whether a reader takes a line of this length."""
    return len(row) < layout.MAXIMUM_LINE


def _readable(device: assignment.AssignedDevice) -> Iterable[deviceprofile.Property]:
    """Yield what a device reports, in the profile's order."""
    read = {
        declared.name
        for properties in payload.by_topic(device.profile).values()
        for declared in properties
    }
    return (declared for declared in device.profile.properties if declared.name in read)


def _check(names: Iterable[str]) -> None:
    """Refuse names that no header can tell apart. Raises ColumnError."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise ColumnError(
                f"properties {other} and {name} differ in capitals only, which no recording tells"
                " apart: rename one of them in the DeviceProfile"
            )
