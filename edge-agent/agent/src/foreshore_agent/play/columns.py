"""Which column of a recording says what; pure."""

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from foreshore_agent.play.layout import RecordingError, listed
from foreshore_api import hints, printable
from foreshore_api.v1alpha1 import deviceprofile

_TIMES: Final = ("date", "time", "timestamp", "datetime")
"""Headers that are taken for the time when nobody says which column it is; as `_bare` has them."""
_KEYS: Final = frozenset(
    (
        *("entityid", "entityname", "device", "deviceid", "devicename", "sensor", "sensorid"),
        *("field", "metric", "series", "variable", "topic", "key", "attribute", "parameter"),
    )
)
"""Headers, as `_bare` has them, of columns that say of which thing a row is."""
_UNIT: Final = re.compile(r"[(\[]")
"""Where the unit begins in a column's name such as `Light (lx)`."""
_NAME: Final = 64
"""Characters of a column's name in a message."""
_LOOKED_AT: Final = 512
"""Columns among which a likely one is looked for."""
_NUMERAL: Final = re.compile(r"\s*[+-]?\d+([.,]\d+)?\s*", re.ASCII)
LONG_FORM: Final = (
    "where each row has one value, make a column of each property, such as with pivot of pandas or"
    " of InfluxDB"
)
_DAY_AND_CLOCK: Final = ("date", "time")
"""Headers that are taken for the time together, where their cells are so."""
_CLOCK: Final = re.compile(r"\s*\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?\s*")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what, by its place."""

    properties: Mapping[int, deviceprofile.Property]
    time: tuple[int, ...]
    """More than one: the parts of a time, such as its day and its clock."""
    truth: int | None
    notes: tuple[str, ...] = ()
    """What a person should know of the choice."""
    keys: tuple[int, ...] = ()
    """Where it stands of which thing a row is: all are to be of one."""

    @property
    def used(self) -> frozenset[int]:
        """Places of all columns that are read."""
        truth = () if self.truth is None else (self.truth,)
        return frozenset((*self.properties, *self.time, *truth, *self.keys))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller wants of the columns."""

    mapped: Mapping[str, str] = field(default_factory=dict)
    """Property by column, as given with `--map`."""
    time_column: str | None = None
    """A column, or several joined by `+`."""
    needs_time: bool = False
    truth_column: str | None = None
    truth_value: str | None = None
    """Text of the truth's column by which acting was right; by default 1, true, yes."""
    time_format: str | None = None
    """A word or a pattern (`times.named`); None: recognised."""
    has_row_names: bool = False
    """Whether the first column has no name in the header, and holds the rows' names."""
    is_of_one: bool = True
    """Whether all rows are to be of one device."""


def arrange(
    header: Sequence[str],
    properties: Sequence[deviceprofile.Property],
    wanted: Wanted,
    first: Sequence[str] = (),
) -> Columns:
    """Decide which column says what: as mapped, else by the property's own name.

    Args:
        header: the columns' names.
        properties: what the device has.
        wanted: what the caller wants of the columns.
        first: cells of the first row.

    Raises:
        RecordingError: a column is not there, or two are one property.
    """
    places = {name.strip().casefold(): index for index, name in enumerate(header)}
    by_name = {declared.name.casefold(): declared for declared in properties}
    columns = _mapped(header, places, by_name, wanted.mapped)
    taken = {declared.name: index for index, declared in columns.items()}
    notes: list[str] = []
    for name, declared in by_name.items():
        if name not in places or places[name] in columns:
            continue
        if declared.name in taken:
            notes.append(
                f"column {header[places[name]]} is not read: column {header[taken[declared.name]]}"
                f" is mapped to {declared.name}"
            )
        else:
            columns[places[name]] = declared
    if not columns:
        raise RecordingError(
            f"no column is a property of the device; columns: {listed(header)};"
            f" properties: {_names(by_name.values())};{_remedy(header, by_name)}"
        )
    time = _time(header, places, wanted, first)
    notes += _time_notes(header, wanted, time)
    truth = None if wanted.truth_column is None else _place(places, wanted.truth_column, header)
    chosen = Columns(columns, time, truth, tuple(notes))
    if not wanted.is_of_one:
        return chosen
    keys = (index for index in _keys(header) if index not in chosen.used)
    return replace(chosen, keys=tuple(keys))


def time_columns(header: Sequence[str]) -> list[int]:
    """Return the columns that look like a time by their names, the likeliest first."""
    bare = [_bare(name) for name in header]
    return [index for name in _TIMES for index, other in enumerate(bare) if other == name]


def likely(name: str, header: Iterable[str]) -> str | None:
    """Return the column that is the likeliest for a property, but for its case and its unit."""
    looked_at = itertools.islice(header, _LOOKED_AT)
    bare = {_UNIT.split(column)[0].strip().casefold(): column for column in looked_at}
    matches = difflib.get_close_matches(name.casefold(), bare, n=1)
    return printable.clean(bare[matches[0]], _NAME) if matches else None


def _bare(name: str) -> str:
    """Return a column's name in small letters and digits alone: `Date/Time` is `datetime`."""
    return "".join(filter(str.isalnum, name.casefold()))


def _keys(header: Sequence[str]) -> Iterator[int]:
    return (index for index, name in enumerate(header) if _bare(name) in _KEYS)


def _remedy(header: Sequence[str], properties: Iterable[str]) -> str:
    """Say how columns become properties where none is one."""
    if any(map(_NUMERAL.fullmatch, header)):
        return " line 1 must name the columns: is it a row already?"
    key = next((header[index] for index in _keys(header)), None)
    long_form = "" if key is None else f"; {LONG_FORM} (column {printable.clean(key, _NAME)})"
    pairs = ((likely(name, header), name) for name in properties)
    maps = [f"--map '{column}={name}'" for column, name in pairs if column is not None]
    is_which = " say which is which with --map COLUMN=PROPERTY"
    meant = f": did you mean {' '.join(maps[: hints.SHOWN])}?" if maps else ""
    return is_which + meant + long_form


def mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Read `COLUMN=PROPERTY` pairs. Raises RecordingError."""
    mapped: dict[str, str] = {}
    for pair in pairs:
        column, equals, name = pair.rpartition("=")
        if not equals or not column or not name:
            raise RecordingError(f"--map takes COLUMN=PROPERTY, not {pair!r}")
        if column.strip().casefold() in (earlier.strip().casefold() for earlier in mapped):
            raise RecordingError(f"column {column} is mapped twice: leave one --map out")
        mapped[column] = name
    return mapped


def _time(
    header: Sequence[str], places: Mapping[str, int], wanted: Wanted, first: Sequence[str]
) -> tuple[int, ...]:
    """Return where the time stands. Raises RecordingError."""
    if wanted.time_column is not None:
        whole = wanted.time_column.strip().casefold()
        names = [wanted.time_column] if whole in places else wanted.time_column.split("+")
        return tuple(_place(places, name, header) for name in names)
    if not wanted.needs_time:
        return ()
    day, clock = (places.get(name, len(first)) for name in _DAY_AND_CLOCK)
    if max(day, clock) < len(first) and _CLOCK.fullmatch(first[clock]) and ":" not in first[day]:
        return day, clock
    candidates = time_columns(header)
    if not candidates:
        raise RecordingError(
            "no column looks like a time; say which with --time-column, DAY+CLOCK where two are"
            f" one: {listed(header)}"
        )
    clocked = (index for index in candidates if index < len(first) and ":" in first[index])
    return (next(clocked, candidates[0]),)


def _time_notes(header: Sequence[str], wanted: Wanted, time: tuple[int, ...]) -> Iterator[str]:
    """Yield what was decided about the time's column where a person did not say."""
    if len(time) > 1:
        yield f"columns {' and '.join(header[index] for index in time)} are one time"
    elif wanted.time_column is None and time:
        others = [header[index] for index in time_columns(header)]
        if len(others) > 1:
            yield (
                f"column {header[time[0]]} is taken for the time, of {listed(others)}:"
                " --time-column says otherwise"
            )


def _mapped(
    header: Sequence[str],
    places: Mapping[str, int],
    by_name: Mapping[str, deviceprofile.Property],
    mapped: Mapping[str, str],
) -> dict[int, deviceprofile.Property]:
    """Return the columns that were mapped by hand. Raises RecordingError."""
    columns: dict[int, deviceprofile.Property] = {}
    for column, name in mapped.items():
        if name.casefold() not in by_name:
            raise RecordingError(
                f"the device has no property {name!r}; {hints.near(name.casefold(), by_name)}"
                f"it has {_names(by_name.values())}"
            )
        place, meant = _place(places, column, header), by_name[name.casefold()]
        other = next((at for at, declared in columns.items() if declared is meant), place)
        if other != place:
            raise RecordingError(
                f"columns {header[other]} and {header[place]} are both mapped to {meant.name}:"
                " leave one --map out"
            )
        columns[place] = meant
    return columns


def _place(places: Mapping[str, int], column: str, header: Sequence[str]) -> int:
    place = places.get(column.strip().casefold())
    if place is None:
        raise RecordingError(
            f"the recording has no column {column!r}; {hints.near(column, header)}"
            f"it has {listed(header)}"
        )
    return place


def _names(properties: Iterable[deviceprofile.Property]) -> str:
    return ", ".join(sorted(declared.name for declared in properties))
