"""How what a device says is read: where a value stands, how it is written, how old it is.

A property reads one topic. Its message is a JSON document, of which a path or a pick says where the
value stands, or the bare value as text.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import pydantic
from pydantic import StringConstraints

from foreshore_api import scalars
from foreshore_api.contract import Document, ListMap, ListSet, Rule


class Payload(StrEnum):
    """What a message is."""

    JSON = "JSON"
    TEXT = "Text"


class Retained(StrEnum):
    """What a message means that the broker had kept."""

    IGNORE = "Ignore"
    STATE = "State"


class Position(StrEnum):
    """Whether a number in a path may count the elements of an array."""

    REFUSED = "Refused"
    FIXED = "Fixed"


class DecimalMark(StrEnum):
    """What stands before the decimals of a number that is written as text."""

    POINT = "Point"
    COMMA = "Comma"


class TimeFormat(StrEnum):
    """How a device writes a time."""

    RFC3339 = "RFC3339"
    UNIX = "Unix"
    UNIX_MILLISECONDS = "UnixMilliseconds"
    LOCAL = "Local"


Text = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""A short text that a device writes."""

Member = Annotated[
    str,
    StringConstraints(pattern=r"^([^/~\x00-\x1f]+|(/([^/~]|~0|~1)*)+)$", max_length=256),
]
"""A member of an object by its name, or a place below it as a JSON Pointer: `v`, `/data/v`."""


class Pick(Document):
    """One element of an array of objects, found by what it says of itself, wherever it stands."""

    array: scalars.JsonPointer | None = None
    """Place of the array in the document. Absent: the document is the array. Example: `/values`."""

    key: Member
    """Member that names the element. Example: `id`."""

    equals: scalars.Literal
    """What that member says, of the element that is meant. Example: `Line1.PLC.MotorTemp`."""

    value: Member
    """Member that holds the value. Example: `v`."""


class ValueMapping(Document):
    """What one value of the device means."""

    from_: Annotated[scalars.Literal, pydantic.Field(alias="from")]
    """What the device says: a text, a number, or `"true"` and `"false"`. Example: `OPEN`."""

    to: scalars.Literal
    """What it means, in the property's type and unit. Example: `"true"`."""


class QualitySpec(Document):
    """Where a device says whether a value can be trusted."""

    path: Member
    """Place of the quality, beside the value: it is looked for where the value was picked, then in
    the sample, then in the document. Example: `q`."""

    good: Annotated[
        tuple[scalars.Literal, ...], pydantic.Field(min_length=1, max_length=16), ListSet()
    ]
    """What it says of a value that can be trusted; any other, and none, make the value invalid.
    Example: `["true", Good, 192]`."""


class DeviceTime(Document):
    """Where a device says when it measured, and how it writes that."""

    path: Member
    """Place of the time, beside the value: it is looked for where the value was picked, then in the
    sample, then in the document. Example: `/Time`."""

    format: TimeFormat | None = None
    """RFC3339: a text with a zone. Unix, UnixMilliseconds: a number, or one written as text. Local:
    a text without a zone, read in `zone`. Absent: whichever of these it looks like. Example:
    `UnixMilliseconds`."""

    zone: scalars.ZoneName | None = None
    """Time zone (IANA name) of a text that names none. Absent: the Site's timeZone, and without
    that such a time is not read: it is counted, and the value is used all the same. Example:
    `Europe/Brussels`."""


class AvailabilitySpec(Document):
    """Where it is said whether the device is there: birth and death, or a last will."""

    topic: scalars.Topic
    """Topic of the availability. Example: `zigbee2mqtt/{parameters.friendlyName}/availability`."""

    path: Member | None = None
    """Place of the word in a JSON document; a message that is none is the word itself. Absent: the
    message is the word. Example: `state`."""

    online: Text = "online"
    """The word of a device that is there. Example: `online`."""

    offline: Text = "offline"
    """The word of a device that is gone. Example: `offline`."""

    validations = (
        Rule(
            rule="self.online != self.offline",
            message="online and offline are the same word",
            field_path=".offline",
        ),
    )


ValueMappings = Annotated[
    tuple[ValueMapping, ...], pydantic.Field(max_length=64), ListMap(("from",))
]
