"""A recording's cell as the value of a property, by the rules of live telemetry; pure.

A cell is read as a message that is a bare text (`payload: Text` of a profile), so that what live
telemetry would refuse is refused here, for the same reason. Beyond that it may say nothing in the
words that loggers and data frames have for it, and a Boolean in theirs; and that a live agent
refused a value, as captures write it (`marks`).
"""

import re
from typing import Final, NamedTuple

from foreshore_agent.devices.codecs import leaf, values
from foreshore_agent.devices.codecs.leaf import PayloadError as PayloadError
from foreshore_agent.devices.codecs.leaf import Value
from foreshore_agent.play import marks
from foreshore_api.v1alpha1 import deviceprofile, telemetry

SILENT: Final = frozenset({"", "na", "n/a", "nan", "null", "-"})
"""Cells that say nothing of a property that is no String, in small letters."""

_BOOLEANS: Final = {
    "yes": True, "t": True, "1.0": True,
    "no": False, "f": False, "0.0": False,
}  # fmt: skip
"""Besides true, on, 1, false, off, 0: R's letters, and what a data frame makes of a column of
Booleans in which one is missing."""
_DIGITS: Final = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
"""What most cells of numbers are, which need none of the rules."""
_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}([.,' \u00a0\u202f’]\d{3})+([.,]\d+)?", re.ASCII)
_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
_WITH_UNIT: Final = re.compile(r"[+-]?\d+([.,]\d+)?\s*[^\d\s.,].*", re.ASCII)


class RefusedCell(NamedTuple):
    """A cell that is no value of its property."""

    text: str
    reason: str
    """Of `foreshore_api.reasons.telemetry`."""


class CellReader:
    """Reads the cells of one column; notes which decimal marks it meets."""

    def __init__(self, declared: deviceprofile.Property, separator: str | None) -> None:
        """Read cells of a property.

        `separator`: what stands between the columns; a decimal comma is read beside all but `,`.
        """
        self._type: Final = declared.type
        is_number = self._type in (deviceprofile.DataType.NUMBER, deviceprofile.DataType.INTEGER)
        self._has_commas: Final = is_number and separator in (";", "\t")
        self._is_fast: Final = self._type is deviceprofile.DataType.NUMBER and not self._has_commas
        self._by_point: Final = values.converter(_plain(declared, telemetry.DecimalMark.POINT))
        self._by_comma: Final = values.converter(_plain(declared, telemetry.DecimalMark.COMMA))
        self.marks: dict[str, str] = {}
        """The first cell with each decimal mark."""
        self.decimal = ""
        """The first cell whose mark is surely the decimal one."""
        self.grouped = ""
        """The first cell whose mark could be one of thousands."""

    def read(self, cell: str) -> Value | None:
        """Return the value of a cell; None where it says nothing. Raises PayloadError."""
        if self._is_fast and _DIGITS.fullmatch(cell):
            return float(cell)
        text = cell.strip()
        if (reason := marks.refusal(text)) is not None:
            raise PayloadError(reason)
        if self._type is deviceprofile.DataType.STRING:
            return self._string(text)
        folded = text.casefold()
        if folded in SILENT:
            return None
        if self._type is deviceprofile.DataType.BOOLEAN and folded in _BOOLEANS:
            return _BOOLEANS[folded]
        return self._number(text) if self._has_commas else self._by_point(text)

    def _number(self, text: str) -> Value | None:
        """Read a number by whichever decimal mark it has."""
        mark = "," if "," in text else "."
        value = self._by_comma(text) if mark == "," else self._by_point(text)
        if mark in text:
            self.marks.setdefault(mark, text)
            if _THOUSANDS.fullmatch(text):
                self.grouped = self.grouped or text
            else:
                self.decimal = self.decimal or text
        return value

    def _string(self, text: str) -> Value | None:
        """Return a text, where it is one. Raises PayloadError."""
        if text.startswith(marks.MARK):
            return leaf.typed(marks.text(text), self._type)
        return self._by_point(text) if text else None


def hint(cell: str, separator: str | None) -> str:
    """Return what may be wrong with a cell that is no number, to stand behind it; or nothing."""
    text = cell.strip()
    if separator in (",", None) and _COMMA.fullmatch(text):
        return "; a decimal comma is read where `;` or tabs stand between the columns of a text"
    if _GROUPED.fullmatch(text):
        return "; a number is read without separators of thousands"
    if _WITH_UNIT.fullmatch(text):
        return "; a number is read without its unit (Grafana: Inspect, Formatted data off)"
    return ""


def _plain(declared: deviceprofile.Property, mark: telemetry.DecimalMark) -> deviceprofile.Property:
    """Return a property as a column has it: in its own unit and words already."""
    return deviceprofile.Property(
        name="value", type=declared.type, payload=telemetry.Payload.TEXT, decimal=mark
    )
