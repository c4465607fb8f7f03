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
from typing import Any, Final, NamedTuple

from foreshore_agent.devices.codecs import formats, lookup, places
from foreshore_agent.devices.codecs.leaf import PayloadError, Value
from foreshore_agent.devices.codecs.lookup import DecodedTelemetry as DecodedTelemetry
from foreshore_agent.devices.codecs.lookup import ReadingContext as ReadingContext
from foreshore_agent.devices.codecs.places import ABSENT, find, pointer
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import deviceprofile, telemetry

_EXACT: Final = 1 << 53
"""Below it every integer is a number of type double."""


class _PlainReader(NamedTuple):
    """The shortest reader: Numbers at the top of an object, and nothing to be looked up."""

    form: formats.Format
    keys: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, groups: Sequence["_SampleReader"]) -> "_PlainReader | None":
        if len(groups) != 1 or groups[0].batch is not None or groups[0].is_array:
            return None
        members = groups[0].members
        keys = tuple((place.name, place.key) for place in members if place.key is not None)
        return cls(groups[0].form, keys) if len(keys) == len(members) else None

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
class _SampleReader:
    """Properties that are read from the same samples of a message."""

    form: formats.Format
    batch: places.Path | None
    is_array: bool
    """Whether a document that is an array is what properties pick from, and no batch."""
    has_whole: bool
    members: tuple[lookup.PropertyLookup, ...]

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

    def _batched(self, tree: Any) -> list[lookup.Scopes]:
        """Return what stands round each sample of a message. Raises PayloadError."""
        if self.batch is None:
            return [(element,) for element in tree] if isinstance(tree, list) else [(tree,)]
        array = find(tree, self.batch, is_fixed=False)
        if array is ABSENT or array is None:
            return []
        if not isinstance(array, list):
            raise PayloadError(reasons.WRONG_TYPE)
        return [(element, tree) for element in array]

    def _sample(self, contents: formats.Contents, scopes: lookup.Scopes) -> list[DecodedTelemetry]:
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
        context: ReadingContext = lookup.NO_CONTEXT,
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
        self._plain: Final = _PlainReader.of(self._groups)
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


def _read(contents: formats.Contents, groups: Sequence[_SampleReader]) -> list[DecodedTelemetry]:
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
) -> tuple[_SampleReader, ...]:
    """Put together what is read from the same samples."""
    rows: dict[tuple[str, str | None], list[deviceprofile.Property]] = {}
    forms: dict[str, formats.Format] = {}
    for declared in properties:
        form = formats.choose(declared)
        forms[form.name] = form
        rows.setdefault((form.name, declared.batch), []).append(declared)
    groups: list[_SampleReader] = []
    for (name, batch), members in rows.items():
        made = tuple(
            lookup.PropertyLookup.of(
                declared, context, is_whole=is_alone or _is_of_its_own(declared)
            )
            for declared in members
        )
        picks_from_top = any(
            declared.pick is not None and declared.pick.array is None for declared in members
        )
        groups.append(
            _SampleReader(
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
