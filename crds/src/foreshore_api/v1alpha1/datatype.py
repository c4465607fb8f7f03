"""Types of values that devices say and take."""

from __future__ import annotations

from enum import StrEnum


class DataType(StrEnum):
    """Type of a value, as expressions see it: double, int, bool, string."""

    NUMBER = "Number"
    INTEGER = "Integer"
    BOOLEAN = "Boolean"
    STRING = "String"
