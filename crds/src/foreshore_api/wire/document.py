"""The base of every wire document: frozen, camelCase on the wire, unknown fields ignored.

Unknown fields are ignored on purpose: an older agent must survive a newer hub, and the reverse.
Whoever must not ignore a field (tests, folder mode) validates strictly against the generated JSON
Schema instead.
"""

from typing import Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """A frozen value that two processes share.

    Attributes are snake_case here and camelCase on the wire.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

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
