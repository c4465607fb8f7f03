"""Scalars of the contract: durations, decimals, digests, names; how each is written and read.

Everybody who reads a resource calls these (`scalars.seconds(policy.spec.latency_budget)`), so that
a duration or a decimal means the same in the API server, the operator, the hub and the agent.

No floats: a decimal is an integer or a string, because JSON numbers lose digits on their way
through five programs. No booleans: two words can become three later.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic
from pydantic import GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from foreshore_api.contract import Rule

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
DECIMAL_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

RESERVED_IDENTIFIERS = (
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in",
    "let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
    "difference", "parameters", "raised",
)  # fmt: skip
"""Words that CEL keeps for itself, then the names that Foreshore's expressions give a meaning."""

LARGEST = 1 << 53
"""The largest integer of the contract: what a JSON reader that knows only doubles still counts."""

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_FACTORS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def seconds(duration: str) -> float:
    """Seconds of a duration: `seconds("1m30s") == 90.0`. Raises ValueError."""
    if len(duration) > 16 or re.fullmatch(DURATION_PATTERN, duration) is None:
        raise ValueError(f"{duration!r} is not a duration such as 200ms, 1.5s or 1h30m")
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _TERM.findall(duration))


def number(value: int | str) -> float:
    """The float of a decimal, always finite: `number("81.5") == 81.5`. Raises ValueError."""
    return float(_decimal(value))


def quantity(value: int | str) -> float:
    """The base units of a Kubernetes quantity: `quantity("100m") == 0.1`. Raises ValueError."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", str(value))
    if match is None or match[2] not in _FACTORS:
        raise ValueError(f"{value!r} is not a quantity such as 100m or 128Mi")
    return float(match[1]) * _FACTORS[match[2]]


def instant(timestamp: str) -> datetime.datetime:
    """The aware datetime of an RFC 3339 timestamp. Raises ValueError."""
    parsed = datetime.datetime.fromisoformat(timestamp)
    if parsed.tzinfo is None:
        raise ValueError(f"{timestamp!r} names no time zone")
    return parsed


def timestamp(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes `metav1.Time`."""
    return moment.astimezone(datetime.UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def literal(value: int | str, data_type: str) -> float | int | bool | str:
    """A written value (safe state, default, parameter) as its declared type. Raises ValueError.

    `data_type` is Number, Integer, Boolean or String. Booleans are written `"true"` and `"false"`.
    """
    match data_type:
        case "Number":
            return number(value)
        case "Integer":
            return int(value)
        case "Boolean" if value in ("true", "false"):
            return value == "true"
        case "String" if isinstance(value, str):
            return value
    raise ValueError(f"{value!r} is not a {data_type}")


# Validators say ValueError for wrong types too: Pydantic turns that into an error with its place,
# and lets a TypeError through.
def _decimal(value: object) -> int | str:
    if isinstance(value, float):
        raise ValueError(f'a decimal is an integer or a string: write "{value}" in quotes')  # noqa: TRY004
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a decimal is an integer or a string of digits")  # noqa: TRY004
    if len(str(value)) > 24 or re.fullmatch(DECIMAL_PATTERN, str(value)) is None:
        raise ValueError(f"{value!r} is not a decimal such as 600 or 81.5")
    if not math.isfinite(float(value)):
        raise ValueError(f"{value!r} is not finite")
    return value


def _literal(value: object) -> int | str:
    if isinstance(value, bool):
        raise ValueError(  # noqa: TRY004
            "YAML takes a bare on, off, yes, no, true or false for a Boolean: write the word in"
            ' quotes, such as "true"'
        )
    if not isinstance(value, int | str):
        raise ValueError(f'a value is an integer or a string: write "{value}" in quotes')  # noqa: TRY004
    if len(str(value)) > 64:
        raise ValueError("a value has at most 64 characters")
    return value


def _quantity(value: object) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str) or len(str(value)) > 16:
        raise ValueError("a quantity is a string such as 100m or 128Mi, or an integer")
    quantity(value)
    return value


def _identifier(value: str) -> str:
    if value in RESERVED_IDENTIFIERS:
        raise ValueError(f"{value} is a reserved word of expressions")
    return value


def _int_or_string(maximum: int, pattern: str = "") -> pydantic.WithJsonSchema:
    schema: dict[str, Any] = {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "maxLength": maximum,
    }
    return pydantic.WithJsonSchema({**schema, "pattern": pattern} if pattern else schema)


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of a duration, both ends included: `Annotated[Duration, Between("100ms", "5m")]`."""

    minimum: str
    maximum: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the bounds where there is no API server."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let the API server check the bounds."""
        schema = handler(core)
        rule = Rule(
            rule=f"duration(self) >= duration('{self.minimum}')"
            f" && duration(self) <= duration('{self.maximum}')",
            message=f"must be between {self.minimum} and {self.maximum}",
            message_expression=f"self + ' is not between {self.minimum} and {self.maximum}'",
        )
        schema.setdefault("x-kubernetes-validations", []).append(rule.document())
        return schema

    def check(self, value: str) -> str:
        """The value, if it lies within the bounds. Raises ValueError."""
        if not seconds(self.minimum) <= seconds(value) <= seconds(self.maximum):
            raise ValueError(f"{value} is not between {self.minimum} and {self.maximum}")
        return value


@dataclass(frozen=True, slots=True)
class Within:
    """Bounds of a decimal, both ends included: `Annotated[Decimal, Within(0, 1)]`."""

    minimum: int
    maximum: int | None = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: pydantic.GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the bounds where there is no API server."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let the API server check the bounds."""
        schema = handler(core)
        upper = "" if self.maximum is None else f" && double(self) <= {self.maximum}.0"
        rule = Rule(
            rule=f"double(self) >= {self.minimum}.0{upper}",
            message=f"must be {self._wanted()}",
            message_expression=f"string(self) + ' is not {self._wanted()}'",
        )
        schema.setdefault("x-kubernetes-validations", []).append(rule.document())
        return schema

    def check(self, value: int | str) -> int | str:
        """The value, if it lies within the bounds. Raises ValueError."""
        if not self.minimum <= number(value) <= (self.maximum or math.inf):
            raise ValueError(f"{value} is not {self._wanted()}")
        return value

    def _wanted(self) -> str:
        if self.maximum is None:
            return f"{self.minimum} or above"
        return f"between {self.minimum} and {self.maximum}"


Count = Annotated[int, pydantic.Field(ge=0, le=LARGEST)]
"""How many, or the number of a generation or of a grant: `3`."""

Duration = Annotated[str, StringConstraints(pattern=DURATION_PATTERN, max_length=16)]
"""A length of time: `200ms`, `1.5s`, `1h30m`."""

PositiveDuration = Annotated[Duration, Between("1ms", "8760h")]
"""A length of time above zero, at most a year."""

Decimal = Annotated[
    int | str, pydantic.BeforeValidator(_decimal), _int_or_string(24, DECIMAL_PATTERN)
]
"""A number with exact digits: `600` or `"81.5"`. Read it with `number`."""

Literal = Annotated[int | str, pydantic.BeforeValidator(_literal), _int_or_string(64)]
"""A value of a declared type: `120`, `"81.5"`, `"true"`, `"Open"`. Read it with `literal`."""

Quantity = Annotated[
    int | str, pydantic.BeforeValidator(_quantity), _int_or_string(16, QUANTITY_PATTERN)
]
"""An amount of a Kubernetes resource: `100m`, `128Mi`. Read it with `quantity`."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[a-f0-9]{64}$", max_length=71)]
"""The SHA-256 of bytes."""

Identifier = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][A-Za-z0-9]*$", max_length=63),
    pydantic.AfterValidator(_identifier),
    Rule(
        rule=f"!(self in [{', '.join(repr(word) for word in RESERVED_IDENTIFIERS)}])",
        message="is a reserved word of expressions",
        message_expression="self + ' is a reserved word of expressions'",
    ),
]
"""A name that expressions read, where it is declared: a CEL identifier in camelCase."""

CamelCase = Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9]*$", max_length=63)]
"""A name in camelCase that no expression reads, or that is declared elsewhere."""

EntryName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$", max_length=63)
]
"""A name of an entry in a list that no expression reads (a rule, a condition)."""

ObjectName = Annotated[str, StringConstraints(pattern=LABEL_PATTERN, max_length=52)]
"""A name of an object that a person writes: a DNS label of at most 52 characters."""

SiteName = Annotated[str, StringConstraints(pattern=LABEL_PATTERN, max_length=32)]
"""A name of a Site: a DNS label of at most 32 characters."""

SubdomainName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)
]
"""A name of an object that others write: a node, a Secret, a class."""

Unit = Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=32)]
"""A UCUM unit code: `Cel`, `[ppm]`, `m3/h`."""

Expression = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
"""A CEL expression, compiled by operator and agent alike."""

Reason = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)]
"""A machine-readable cause in CamelCase."""

JsonPointer = Annotated[str, StringConstraints(pattern=r"^(/([^/~]|~0|~1)*)+$", max_length=256)]
"""A place in a JSON document (RFC 6901): `/values/co2`."""

Topic = Annotated[
    str,
    StringConstraints(
        pattern=r"^([^{}#+\x00-\x1f\x7f]|\{site\}|\{device\}|\{parameters\.[a-z][A-Za-z0-9]*\})+$",
        max_length=256,
    ),
]
"""An MQTT topic without wildcards; `{site}` and `{device}` stand for the names of the two, and
`{parameters.NAME}` for a parameter of the Device.

A line end would forge lines where topics are listed, such as in a broker's access list.
"""

ZoneName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", max_length=64),
]
"""A time zone's IANA name: `Europe/Brussels`."""

Timestamp = Annotated[
    str,
    StringConstraints(max_length=40),
    pydantic.WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment, RFC 3339. Read it with `instant`, write it with `timestamp`."""
