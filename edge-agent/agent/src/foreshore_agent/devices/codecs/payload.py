"""What one message says of the properties of one device: values, and why some are none.

    message ──► decoded once a format (`formats`)
            ──► samples: the elements of a batch, or the whole
            ──► per property: place or picked elements ──► quality ──► value ──► device's time

A message that cannot be trusted as a whole is refused as a whole; one bad property among good ones
is refused alone. What the message does not name, or says null of, is absent: its last value keeps
ageing.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, NamedTuple

from foreshore_agent.devices.codecs import document, formats, leaf, moments, places, values
from foreshore_agent.devices.codecs.leaf import MAXIMUM_BYTES as MAXIMUM_BYTES
from foreshore_agent.devices.codecs.leaf import MAXIMUM_TEXT as MAXIMUM_TEXT
from foreshore_agent.devices.codecs.leaf import PayloadError as PayloadError
from foreshore_agent.devices.codecs.leaf import Value as Value
from foreshore_agent.devices.codecs.leaf import typed as typed
from foreshore_agent.devices.codecs.places import ABSENT
from foreshore_agent.devices.codecs.places import find as find
from foreshore_agent.devices.codecs.places import pointer as pointer
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import deviceprofile, telemetry

read = document.read_object

_EXACT: Final = 1 << 53
"""Below it every integer is a number of type double."""

_Scopes = tuple[Any, ...]
"""What stands round a value, innermost first: the picked element, the sample, the document."""


class DecodedTelemetry(NamedTuple):
    """One sample: what a message says of the properties it names; all others are absent."""

    values: dict[str, Value]
    refused: dict[str, str]
    """Reason codes by property: `WrongType`, `NonFinite`, `OutOfRange`, `TooLong`, `InvalidText`,
    `UnknownValue`, `BadQuality`. OutOfRange is beyond the type, not beyond the profile's bounds."""
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


class _Time(NamedTuple):
    """Where a device's time stands, and how it is read."""

    path: places.Path
    is_fixed: bool
    form: telemetry.TimeFormat | None
    local: tzinfo | None

    def note(self, name: str, scopes: _Scopes, sample: DecodedTelemetry) -> None:
        """Add a property's time to a sample, where there is one."""
        try:
            stamp = places.beside(scopes, self.path, is_fixed=self.is_fixed)
            if stamp is not ABSENT:
                sample.sampled_at[name] = moments.moment(stamp, self.form, self.local)
        except PayloadError:
            sample.unread_times[name] = reasons.INVALID_TIMESTAMP


class _Quality(NamedTuple):
    """Where a device says whether a value can be trusted."""

    path: places.Path
    is_fixed: bool
    good: frozenset[str]

    def check(self, scopes: _Scopes, *, has_value: bool) -> None:
        """Raise PayloadError where it cannot, or where of a value nothing is said."""
        quality = places.beside(scopes, self.path, is_fixed=self.is_fixed)
        if quality is ABSENT and not has_value:
            return
        if leaf.spelled(quality) not in self.good:
            raise PayloadError(reasons.BAD_QUALITY)


class _Picked(NamedTuple):
    """Which elements of which array hold a value."""

    array: places.Path | None
    key: places.Path
    names: tuple[str, ...]
    value: places.Path

    @classmethod
    def of(cls, declared: telemetry.Pick) -> "_Picked":
        array = None if declared.array is None else places.pointer(declared.array)
        key, value = places.member(declared.key), places.member(declared.value)
        return cls(array, key, values.spellings(declared.equals), value)

    def elements(self, contents: formats.Contents, scope: Any, *, is_fixed: bool) -> list[Any]:
        """Return them, in order; an array that is not there has none. Raises PayloadError."""
        array = scope if self.array is None else find(scope, self.array, is_fixed=is_fixed)
        if array is ABSENT or array is None or (self.array is None and type(array) is dict):
            return []
        if not isinstance(array, list):
            raise PayloadError(reasons.WRONG_TYPE)
        for name in self.names:
            if elements := contents.elements(array, self.key, name):
                return elements
        return []


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one property is found, and how it is read."""

    name: str
    path: places.Path
    key: str | None
    """Member at the top of the document of a Number with nothing to be looked up, as most are."""
    is_whole: bool
    """Whether a message that is a single value is this property's."""
    is_fixed: bool
    picked: _Picked | None
    quality: _Quality | None
    convert: values.Convert
    time: _Time | None

    @classmethod
    def of(
        cls, declared: deviceprofile.Property, context: "ReadingContext", *, is_whole: bool
    ) -> "_Place":
        path = pointer(declared.path or f"/{declared.name}")
        picked = None if declared.pick is None else _Picked.of(declared.pick)
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

    def occurrences(self, contents: formats.Contents, scopes: _Scopes) -> list[tuple[Any, _Scopes]]:
        """Return what stands for the property in a sample, each with what stands round it.

        Raises PayloadError.
        """
        scope = scopes[0]
        if self.picked is not None:
            elements = self.picked.elements(contents, scope, is_fixed=self.is_fixed)
            value = self.picked.value
            return [(find(element, value), (element, *scopes)) for element in elements]
        if self.is_whole and not isinstance(scope, dict | list):
            return [(scope, scopes)]
        raw = find(scope, self.path, is_fixed=self.is_fixed)
        return [] if raw is ABSENT else [(raw, scopes)]

    def take(self, raw: Any, scopes: _Scopes, sample: DecodedTelemetry) -> None:
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

    def time_of(self, declared: deviceprofile.Property) -> _Time | None:
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
        return _Time(places.member(own.path), is_fixed, own.format, local)


_NO_CONTEXT: Final = ReadingContext()


def _quality(declared: deviceprofile.Property) -> _Quality | None:
    if declared.quality is None:
        return None
    is_fixed = declared.position is telemetry.Position.FIXED
    good = values.words(declared.quality.good)
    return _Quality(places.member(declared.quality.path), is_fixed, good)


class _Plain(NamedTuple):
    """The shortest reader: Numbers at the top of an object, and nothing to be looked up."""

    form: formats.Format
    keys: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, groups: Sequence["_Group"]) -> "_Plain | None":
        if len(groups) != 1 or groups[0].batch is not None or groups[0].is_array:
            return None
        keys = tuple(
            (place.name, place.key) for place in groups[0].members if place.key is not None
        )
        return cls(groups[0].form, keys) if len(keys) == len(groups[0].members) else None

    def read(self, contents: formats.Contents) -> DecodedTelemetry | None:
        """Return the sample of a message as most are; None of any other. Raises PayloadError."""
        tree = contents.tree(self.form)
        if type(tree) is not dict:
            return None
        numbers: dict[str, Value] = {}
        for name, key in self.keys:
            value = tree.get(key, ABSENT)
            if type(value) is float and math.isfinite(value):
                numbers[name] = value
            elif type(value) is int and -_EXACT < value < _EXACT:
                numbers[name] = float(value)
            elif value is not ABSENT:
                return None
        return DecodedTelemetry(numbers, {}, {}, {}, []) if numbers else None


@dataclass(frozen=True, slots=True)
class _Group:
    """Properties that are read from the same samples of a message."""

    form: formats.Format
    batch: places.Path | None
    is_array: bool
    """Whether a document that is an array is what properties pick from, and no batch."""
    has_whole: bool
    members: tuple[_Place, ...]

    def read(self, contents: formats.Contents) -> list[DecodedTelemetry]:
        """Return the samples of a message. Raises PayloadError."""
        tree = contents.tree(self.form)
        if self.batch is None and (type(tree) is dict or self.is_array):
            return self._sample(contents, (tree,))
        samples: list[DecodedTelemetry] = []
        batch = self._batched(tree)
        contents.bound(len(batch))
        for scopes in batch:
            samples += self._sample(contents, scopes)
            contents.bound(len(samples))
        return samples

    def _batched(self, tree: Any) -> list[_Scopes]:
        """Return what stands round each sample of a message. Raises PayloadError."""
        if self.batch is None:
            return [(element,) for element in tree] if isinstance(tree, list) else [(tree,)]
        array = find(tree, self.batch, is_fixed=False)
        if array is ABSENT or array is None:
            return []
        if not isinstance(array, list):
            raise PayloadError(reasons.WRONG_TYPE)
        return [(element, tree) for element in array]

    def _sample(self, contents: formats.Contents, scopes: _Scopes) -> list[DecodedTelemetry]:
        """Return one sample, or more where a property was found more than once in it."""
        scope = scopes[0]
        if not (self.has_whole or isinstance(scope, dict | list)):
            raise PayloadError(reasons.NOT_AN_OBJECT)
        sample = DecodedTelemetry.empty()
        samples = [sample]
        numbers = scope if type(scope) is dict else None
        for place in self.members:
            if place.key is not None and numbers is not None:
                value = numbers.get(place.key, ABSENT)
                if type(value) is float and math.isfinite(value):
                    sample.values[place.name] = value
                    continue
                if value is ABSENT:
                    continue
            try:
                occurrences = place.occurrences(contents, scopes)
            except PayloadError as error:
                sample.refused[place.name] = error.reason
                continue
            contents.bound(len(occurrences))
            samples += (DecodedTelemetry.empty() for _ in occurrences[len(samples) :])
            for (raw, around), into in zip(occurrences, samples, strict=False):
                place.take(raw, around, into)
        return samples


class Decoder:
    """Reads the messages of one topic for one device."""

    def __init__(
        self,
        properties: Sequence[deviceprofile.Property],
        context: ReadingContext = _NO_CONTEXT,
        *,
        is_alone: bool = False,
    ) -> None:
        """Read properties of a device that come on one topic.

        `is_alone`: nobody reads the topic but for the one property. Then a message that is a single
        value is that property's, and one that cannot be read is of nobody else: it is refused as
        its value.
        """
        readable = [
            declared for declared in properties if declared.access is not deviceprofile.Access.WRITE
        ]
        self._groups: Final = _grouped(readable, context, is_alone=is_alone)
        states = [
            declared for declared in readable if declared.retained is telemetry.Retained.STATE
        ]
        self._state_groups: Final = _grouped(states, context, is_alone=is_alone)
        self._plain: Final = _Plain.of(self._groups)
        self._alone: Final = readable[0].name if is_alone and len(readable) == 1 else None
        self.states: Final = tuple(declared.name for declared in states)
        """Properties that the device says only when they change."""
        self.is_repeated: Final = not states and not any(
            declared.pick or declared.batch for declared in readable
        )
        """Whether messages that have the same properties say the same again: arrays of what has
        changed, batches and states do not."""
        self.is_empty: Final = not readable

    def decode(self, body: bytes) -> tuple[DecodedTelemetry, ...]:
        """Read one message. Raises PayloadError."""
        return self.read(formats.Contents(body))

    def read(
        self, contents: formats.Contents, *, only_states: bool = False
    ) -> tuple[DecodedTelemetry, ...]:
        """Read one message, in order of its samples; those that say nothing are left out.

        A message of nulls gives a sample of nothing but `silent`. Raises PayloadError.
        """
        try:
            if self._plain is not None and not only_states:
                sample = self._plain.read(contents)
                if sample is not None:
                    return (sample,)
            samples = _read(contents, self._state_groups if only_states else self._groups)
        except PayloadError as error:
            if self._alone is None or (only_states and not self.states):
                raise
            sample = DecodedTelemetry.empty()
            sample.refused[self._alone] = error.reason
            return (sample,)
        return tuple(sample for sample in samples if sample.has_news or sample.silent)


def _read(contents: formats.Contents, groups: Sequence[_Group]) -> list[DecodedTelemetry]:
    """Read one message; where it is none in one format, it may be in another."""
    if len(groups) == 1:
        return groups[0].read(contents)
    samples: list[DecodedTelemetry] = []
    failures: list[PayloadError] = []
    for group in groups:
        try:
            samples += group.read(contents)
        except PayloadError as error:
            failures.append(error)
    if failures and len(failures) == len(groups):
        raise failures[0]
    contents.bound(len(samples))
    return samples


def _grouped(
    properties: Iterable[deviceprofile.Property], context: ReadingContext, *, is_alone: bool
) -> tuple[_Group, ...]:
    """Put together what is read from the same samples."""
    rows: dict[tuple[str, str | None], list[deviceprofile.Property]] = {}
    forms: dict[str, formats.Format] = {}
    for declared in properties:
        form = formats.choose(declared)
        forms[form.name] = form
        rows.setdefault((form.name, declared.batch), []).append(declared)
    groups: list[_Group] = []
    for (name, batch), members in rows.items():
        made = tuple(
            _Place.of(declared, context, is_whole=is_alone or _is_of_its_own(declared))
            for declared in members
        )
        picks_from_top = any(
            declared.pick is not None and declared.pick.array is None for declared in members
        )
        groups.append(
            _Group(
                forms[name],
                None if batch is None else pointer(batch),
                batch is None and picks_from_top,
                any(place.is_whole for place in made),
                made,
            )
        )
    return tuple(groups)


def _is_of_its_own(declared: deviceprofile.Property) -> bool:
    """Whether a property says itself that a message may be its bare value."""
    return declared.topic is not None or declared.payload is telemetry.Payload.TEXT


def by_topic(
    profile: deviceprofile.DeviceProfileSpec,
) -> Mapping[str, tuple[deviceprofile.Property, ...]]:
    """Return the properties of a profile that are read, by the template of their topic."""
    topics: dict[str, tuple[deviceprofile.Property, ...]] = {}
    for declared in profile.properties:
        template = declared.topic or profile.mqtt.telemetry_topic
        if template is not None and declared.access is not deviceprofile.Access.WRITE:
            topics[template] = (*topics.get(template, ()), declared)
    return topics
