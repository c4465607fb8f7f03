"""How properties are read, as far as it can be known before a message has come.

Called by `profiles`. What is refused here could only give silence or a wrong number later.
"""

import zoneinfo
from collections.abc import Iterator
from functools import lru_cache

from foreshore_api import conditions, scalars
from foreshore_api.v1alpha1 import DeviceProfileSpec, telemetry
from foreshore_api.v1alpha1.deviceprofile import Property
from foreshore_decision.policy import bounds
from foreshore_decision.policy.problems import Problems

Reason = conditions.Reason

IN_DOCUMENTS = (
    ("batch", "batch"),
    ("quality", "quality"),
    ("time", "time"),
    ("timestamp_path", "timestampPath"),
)
"""Fields that look for something beside the value, and their names in the resource."""
WITH_ZONE = (None, telemetry.TimeFormat.LOCAL)
"""Formats in which a time may name no zone."""


def check(profile: DeviceProfileSpec, problems: Problems) -> None:
    """Note what is declared of properties and cannot be meant."""
    mixed = dict(_mixed(profile))
    for declared in profile.properties:
        path = f"spec.properties[{declared.name}]"
        if declared.name in mixed:
            message = (
                f"{mixed[declared.name]} reads the same topic otherwise: a message is a bare value"
                " or a document; give a Text property its path, or a topic of its own"
            )
            problems.add(Reason.INVALID, f"{path}.payload", message)
        _check_place(declared, path, problems)
        _check_values(declared, path, problems)
        _check_number(declared, path, problems)
        if declared.time is not None:
            _check_time(declared.time, f"{path}.time", problems)
    if profile.mqtt.time is not None:
        _check_time(profile.mqtt.time, "spec.mqtt.time", problems)


def is_bare(declared: Property) -> bool:
    """Whether the message itself is the value, and no document."""
    is_text = declared.payload is telemetry.Payload.TEXT
    return is_text and declared.path is None and declared.pick is None


def _mixed(profile: DeviceProfileSpec) -> Iterator[tuple[str, str]]:
    """Yield properties that read their topic otherwise than the first one of the same topic."""
    first: dict[str | None, Property] = {}
    for declared in profile.properties:
        other = first.setdefault(declared.topic or profile.mqtt.telemetry_topic, declared)
        if is_bare(other) is not is_bare(declared):
            yield declared.name, other.name


def _check_place(declared: Property, path: str, problems: Problems) -> None:
    """Note what is looked for in a document that the message is not."""
    for attribute, field in IN_DOCUMENTS:
        if is_bare(declared) and getattr(declared, attribute) is not None:
            message = (
                "a bare value has nothing beside it: leave it out, or say with path or pick where"
                " in a document the value stands"
            )
            problems.add(Reason.INVALID, f"{path}.{field}", message)
    if declared.position is telemetry.Position.FIXED and not counting(declared):
        message = "no step of a path is a number that could count elements: leave it out"
        problems.add(Reason.INVALID, f"{path}.position", message)


def counting(declared: Property) -> tuple[str, ...]:
    """Return the steps of a property's paths that count, if what they meet is an array."""
    return tuple(step for step in _steps(declared) if _counts(step))


def _steps(declared: Property) -> Iterator[str]:
    """Yield the steps of all paths that a property names."""
    pick = declared.pick
    paths = [declared.path, declared.batch, declared.timestamp_path]
    paths += [pick.array, pick.key, pick.value] if pick is not None else []
    paths += [part.path for part in (declared.quality, declared.time) if part is not None]
    for path in paths:
        yield from (path or "").split("/")


def _counts(step: str) -> bool:
    """Whether a step may count the elements of an array."""
    return step.isascii() and step.isdecimal()


def _check_values(declared: Property, path: str, problems: Problems) -> None:
    within = bounds.span(declared.minimum, declared.maximum)
    written: set[str] = set()
    for mapping in declared.values:
        place = f"{path}.values[{mapping.from_}]"
        if str(mapping.from_) in written:
            problems.add(Reason.INVALID, place, f"{mapping.from_} is mapped twice: keep one")
        written.add(str(mapping.from_))
        bounds.literal(mapping.to, declared.type, within, f"{place}.to", problems)
    if declared.values and (declared.scale is not None or declared.offset is not None):
        field = "scale" if declared.scale is not None else "offset"
        message = "values say already what is meant, in the property's unit: leave it out"
        problems.add(Reason.INVALID, f"{path}.{field}", message)


def _check_number(declared: Property, path: str, problems: Problems) -> None:
    """Note how a number would be written where none is read as text."""
    written = (
        ("decimal", declared.decimal is not telemetry.DecimalMark.POINT),
        ("suffix", declared.suffix is not None),
    )
    why = ""
    if declared.type not in bounds.NUMERIC:
        why = f"a {declared.type} has none: leave it out"
    elif declared.payload is not telemetry.Payload.TEXT:
        why = "it is for a number that is written as text: say payload Text"
    elif declared.values:
        why = "values say already what is meant: leave it out"
    for field, is_given in written:
        if is_given and why:
            problems.add(Reason.INVALID, f"{path}.{field}", why)
    if declared.scale is not None and scalars.number(declared.scale) == 0:
        message = "a scale of 0 makes one number of every value: leave it out, or say the factor"
        problems.add(Reason.INVALID, f"{path}.scale", message)


def _check_time(declared: telemetry.DeviceTime, path: str, problems: Problems) -> None:
    if declared.zone is None:
        return
    if declared.format not in WITH_ZONE:
        message = f"a time of format {declared.format} says its zone itself: leave it out"
        problems.add(Reason.INVALID, f"{path}.zone", message)
    check_zone(declared.zone, f"{path}.zone", problems)


def check_zone(name: str, path: str, problems: Problems) -> None:
    """Note a time zone that does not exist."""
    if not is_zone(name):
        message = f"there is no time zone {name}: write its IANA name, such as Europe/Brussels"
        problems.add(Reason.INVALID, path, message)


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name; nobody can tell where no zone is known at all."""
    return _is_here(name) or not _is_here("Etc/UTC")


def _is_here(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
