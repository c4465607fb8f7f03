"""Every reason that the product gives, one row a reason, one table a domain.

    decision     why a gate passed or not, and what verdict that leads to
    command      what became of a command
    cap          why the mode in force is lower than the one asked for
    agent        notices, problems and refused messages of an agent
    telemetry    what became of a message of a device
    inference    why a model gave no answer
    link         why a call to the hub did nothing
    journal      why a record could not be written
    serving      why a model is not served
    placement    why a node may not serve, why a replica or a right moved
    condition    why a condition of an object is as it is
    lint         what files of resources make `lint` warn of

A row is the code itself: code that needs a reason imports its row, and nothing else in the product
writes the code as text (a test looks). `make generate` renders the tables to `crds/REASONS.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self, TypeVar


class Reason(str):
    """A code in UpperCamelCase that knows its meaning; usable wherever its text is.

    A subclass of `str` and no enum: it hashes and compares as text does, in C, because reasons are
    compared and counted on the path of every decision. Copies and pickles are plain text.
    """

    __slots__ = ("meaning", "message", "remedy")

    meaning: str
    """One sentence: what is so when this reason is given."""
    message: str
    """Template of the sentence for one case; its words are what the giver has. Empty: the meaning
    says it all."""
    remedy: str
    """What would change it, with the same words; of a decision a noun phrase. Empty: nothing has
    to change."""

    def __new__(cls, code: str, meaning: str, message: str = "", remedy: str = "") -> Self:
        """Make one row."""
        row = super().__new__(cls, code)
        return row._with(meaning=meaning, message=message, remedy=remedy)

    def _with(self, **fields: object) -> Self:
        """Fill in columns while the row is made."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        return self

    def but(self, **fields: str) -> Reason:
        """Return the row of the same code in another domain, with these columns of its own."""
        columns = {"meaning": self.meaning, "message": self.message, "remedy": self.remedy}
        return Reason(str(self), **{**columns, **fields})

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a row is the same everywhere."""
        text = f"{type(self).__name__} {self} is a constant: {name} cannot be set"
        raise AttributeError(text)

    def __reduce_ex__(self, protocol: Any) -> tuple[type[str], tuple[str]]:
        """Leave the process, and its tables, as text."""
        return str, (str(self),)


class ReasonEnum(StrEnum):
    """A table that is an enumeration, for codes that other types name: each member is a row."""

    meaning: str
    remedy: str

    def __new__(cls, code: str, meaning: str = "", remedy: str = "") -> Self:
        """Make one row; the code alone looks one up, which type checkers take for this call."""
        row = str.__new__(cls, code)
        row._value_, row.meaning, row.remedy = code, meaning, remedy
        return row


Kind = TypeVar("Kind", bound=Reason)


def table(kind: type[Kind], names: Mapping[str, object]) -> Mapping[str, Kind]:
    """Return the rows among a module's names by their code, in the order in which they stand.

    Raises:
        ValueError: two rows have one code.
    """
    rows: dict[str, Kind] = {}
    for value in names.values():
        if isinstance(value, kind):
            if value in rows:
                text = f"two rows have the code {value}"
                raise ValueError(text)
            rows[str(value)] = value
    return MappingProxyType(rows)
