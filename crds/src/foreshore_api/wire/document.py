"""The base of every wire document: frozen, camelCase on the wire, unknown fields ignored.

Unknown fields are ignored on purpose: an older agent must survive a newer hub, and the reverse.
Whoever must not ignore a field (tests, folder mode) validates strictly against the generated JSON
Schema instead.

Every field has a bound where it is declared, by the types below or by one of its own, and a test
walks all documents: a number, text or list without end in one message must not cost anybody else
anything. Numbers are finite; how deep a body nests is bounded by the reader.
"""

from typing import Annotated, Any, Final, Self, TypeVar, cast, dataclass_transform

from pydantic import BaseModel, ConfigDict, Field
from pydantic import dataclasses as validated
from pydantic.alias_generators import to_camel

from foreshore_api import scalars

LARGEST: Final = scalars.LARGEST
"""The largest count, number of a message, generation or epoch."""

Count = scalars.Count
"""How many, or the number of a generation, an epoch or a message of a boot."""
Ordinal = Annotated[int, Field(ge=1, le=LARGEST)]
"""A number that counts from one."""
Integer = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
"""An integer that a device measured or is sent: 64 bits, signed."""
Length = Annotated[int, Field(ge=-1, le=1 << 30)]
"""The length of one dimension of a tensor; -1 stands for any."""
Seconds = Annotated[float, Field(ge=0, le=LARGEST)]
"""How long."""

Label = Annotated[str, Field(max_length=63)]
"""A namespace, or a name that is a DNS label."""
Name = Annotated[str, Field(max_length=253)]
"""A name of an object or node."""
Identity = Annotated[str, Field(max_length=128)]
"""An id that a program made: a UUID, a boot id, a decision's id, a version."""
Digest = Annotated[str, Field(max_length=71)]
"""The SHA-256 of bytes: `sha256:` and 64 hexadecimal digits."""
Code = Annotated[str, Field(max_length=256)]
"""A word for programs: a reason, a gate, a unit; devices may say it too."""
Url = Annotated[str, Field(max_length=512)]
"""An address of a node's own port."""
Sentence = Annotated[str, Field(max_length=1024)]
"""What a person should know, as long as a condition's message."""
Prose = Annotated[str, Field(max_length=65536)]
"""Text that is bounded by nothing but the largest record that it may stand in."""


T = TypeVar("T")

_CONFIG: Final = ConfigDict(
    alias_generator=to_camel,
    populate_by_name=True,
    extra="ignore",
    allow_inf_nan=False,
    use_attribute_docstrings=True,
)


class WireDocument(BaseModel):
    """A frozen value that two processes share.

    Attributes are snake_case here and camelCase on the wire.
    """

    model_config = ConfigDict(**_CONFIG, frozen=True)

    def encode(self) -> bytes:
        """Return the document as compact JSON.

        Absent fields are left out, so that absent means unset.
        """
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()

    @classmethod
    def decode(cls, body: bytes | str) -> Self:
        """Read one document.

        Raises:
            pydantic.ValidationError: the body is no JSON or not of this shape.
        """
        return cls.model_validate_json(body)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def line(kind: type[T]) -> type[T]:
    """Make a class a part of documents that holds a hundred thousand of them.

    It is validated and written as a `WireDocument` is, and stands only inside of one. A model keeps
    a dictionary and a set of the fields that were given, 1.1 kB for eight fields; this keeps slots
    alone, 0.1 kB. `dataclasses.replace` makes a changed copy.
    """
    made: Any = validated.dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)(kind)
    return cast(type[T], made)
