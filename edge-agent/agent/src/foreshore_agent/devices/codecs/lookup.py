"""One property in one sample of a message: where it stands, whether it is good, what it means.

Called by `payload` for each property of a device. What stands beside a value, its quality and its
time, is looked for innermost first: in the picked element, in the sample, in the document.
"""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, NamedTuple

from foreshore_agent.devices.codecs import formats, leaf, moments, places, values
from foreshore_agent.devices.codecs.leaf import PayloadError, Value
from foreshore_agent.devices.codecs.places import ABSENT
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import deviceprofile, telemetry

Scopes = tuple[Any, ...]
"""What stands round a value, innermost first: the picked element, the sample, the document."""


class DecodedTelemetry(NamedTuple):
    """One sample: what a message says of the properties it names; all others are absent."""

    values: dict[str, Value]
    refused: dict[str, str]
    """Reason codes by property: `WrongType`, `NonFinite`, `OutOfRange`, `TooLong`, `InvalidText`,
    `UnknownValue`, `InvalidQuality`. OutOfRange is beyond the type, not beyond the profile's
    bounds."""
    sampled_at: dict[str, datetime]
    unread_times: dict[str, str]
    """Reason codes of device times that could not be read, by property; the values are used."""
    silent: list[str]
    """Properties that it names and says nothing of: null."""

    @classmethod
    def empty(cls) -> "DecodedTelemetry":
        """Return a sample of nothing, to be filled in."""
        return cls({}, {}, {}, {}, [])

    @property
    def has_news(self) -> bool:
        """Whether it says something of any property."""
        return bool(self.values or self.refused)


class _TimeLookup(NamedTuple):
    """Where a device's time stands, and how it is read."""

    path: places.Path
    is_fixed: bool
    form: telemetry.TimeFormat | None
    local: tzinfo | None

    def note(self, name: str, scopes: Scopes, sample: DecodedTelemetry) -> None:
        """Add a property's time to a sample, where there is one."""
        try:
            stamp = places.beside(scopes, self.path, is_fixed=self.is_fixed)
            if stamp is not ABSENT:
                sample.sampled_at[name] = moments.moment(stamp, self.form, self.local)
        except PayloadError:
            sample.unread_times[name] = reasons.INVALID_TIMESTAMP


class _QualityLookup(NamedTuple):
    """Where a device says whether a value can be trusted."""

    path: places.Path
    is_fixed: bool
    good: frozenset[str]

    def check(self, scopes: Scopes, *, has_value: bool) -> None:
        """Raise PayloadError where it cannot, or where of a value nothing is said."""
        quality = places.beside(scopes, self.path, is_fixed=self.is_fixed)
        if quality is ABSENT and not has_value:
            return
        if leaf.spelled(quality) not in self.good:
            raise PayloadError(reasons.INVALID_QUALITY)


class _PickedElements(NamedTuple):
    """Which elements of which array hold a value."""

    array: places.Path | None
    key: places.Path
    names: tuple[str, ...]
    value: places.Path

    @classmethod
    def of(cls, declared: telemetry.Pick) -> "_PickedElements":
        array = None if declared.array is None else places.pointer(declared.array)
        key, value = places.member(declared.key), places.member(declared.value)
        return cls(array, key, values.spellings(declared.equals), value)

    def elements(self, contents: formats.Contents, scope: Any, *, is_fixed: bool) -> list[Any]:
        """Return them, in order; an array that is not there has none. Raises PayloadError."""
        array = scope if self.array is None else places.find(scope, self.array, is_fixed=is_fixed)
        if array is ABSENT or array is None or (self.array is None and type(array) is dict):
            return []
        if not isinstance(array, list):
            raise PayloadError(reasons.WRONG_TYPE)
        for name in self.names:
            if elements := contents.elements(array, self.key, name):
                return elements
        return []


@dataclass(frozen=True, slots=True)
class PropertyLookup:
    """Where one property is found, and how it is read."""

    name: str
    path: places.Path
    key: str | None
    """Member at the top of the document of a Number with nothing to be looked up, as most are."""
    is_whole: bool
    """Whether a message that is a single value is this property's."""
    is_fixed: bool
    picked: _PickedElements | None
    quality: _QualityLookup | None
    convert: values.Convert
    time: _TimeLookup | None

    @classmethod
    def of(
        cls, declared: deviceprofile.Property, context: "ReadingContext", *, is_whole: bool
    ) -> "PropertyLookup":
        """Prepare a property; `is_whole`: a message that is a single value may be its own."""
        path = places.pointer(declared.path or f"/{declared.name}")
        picked = None if declared.pick is None else _PickedElements.of(declared.pick)
        is_fixed = declared.position is telemetry.Position.FIXED
        quality = _quality(declared)
        time = context.time_of(declared)
        is_number = declared.type is deviceprofile.DataType.NUMBER
        is_plain = is_number and not (declared.values or values.is_scaled(declared))
        is_simple = is_plain and len(path) == 1 and (picked, quality, time) == (None, None, None)
        return cls(
            declared.name,
            path,
            path[0] if is_simple else None,
            is_whole and declared.path is None and picked is None,
            is_fixed,
            picked,
            quality,
            values.converter(declared),
            time,
        )

    def occurrences(self, contents: formats.Contents, scopes: Scopes) -> list[tuple[Any, Scopes]]:
        """Return what stands for the property in a sample, each with what stands round it.

        Raises PayloadError.
        """
        scope = scopes[0]
        if self.picked is not None:
            elements = self.picked.elements(contents, scope, is_fixed=self.is_fixed)
            value = self.picked.value
            return [(places.find(element, value), (element, *scopes)) for element in elements]
        if self.is_whole and not isinstance(scope, dict | list):
            return [(scope, scopes)]
        raw = places.find(scope, self.path, is_fixed=self.is_fixed)
        return [] if raw is ABSENT else [(raw, scopes)]

    def take(self, raw: Any, scopes: Scopes, sample: DecodedTelemetry) -> None:
        """Add what stands for the property to a sample: a value, a reason, or nothing."""
        has_value = raw is not ABSENT and raw is not None
        try:
            if self.quality is not None:
                self.quality.check(scopes, has_value=has_value)
            value = self.convert(raw) if has_value else None
        except PayloadError as error:
            sample.refused[self.name] = error.reason
            return
        if value is None:
            sample.silent.append(self.name)
            return
        sample.values[self.name] = value
        if self.time is not None:
            self.time.note(self.name, scopes, sample)


class ReadingContext(NamedTuple):
    """What properties that say nothing of it themselves take from their device and site."""

    time: telemetry.DeviceTime | None = None
    """Where the device says when it measured (mqtt.time)."""
    zone: str | None = None
    """The Site's time zone."""

    def time_of(self, declared: deviceprofile.Property) -> _TimeLookup | None:
        """Return where the time of a property stands; None where nobody says so."""
        own = declared.time
        if own is None and declared.timestamp_path is not None:
            own = telemetry.DeviceTime(path=declared.timestamp_path)
        if own is None:
            own = self.time
        if own is None:
            return None
        is_fixed = declared.position is telemetry.Position.FIXED
        local = moments.zone(own.zone or self.zone)
        return _TimeLookup(places.member(own.path), is_fixed, own.format, local)


NO_CONTEXT: Final = ReadingContext()


def _quality(declared: deviceprofile.Property) -> _QualityLookup | None:
    if declared.quality is None:
        return None
    is_fixed = declared.position is telemetry.Position.FIXED
    good = values.words(declared.quality.good)
    return _QualityLookup(places.member(declared.quality.path), is_fixed, good)
