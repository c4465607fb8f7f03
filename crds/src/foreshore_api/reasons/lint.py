"""What `lint` says of files that is no reason of a condition: warnings and notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, table

NOT_IN_THESE_FILES: Final = Reason(
    "NotInTheseFiles",
    "The files name an object that they do not hold; the cluster may have it.",
    remedy="look whether the cluster has it, or add its file",
)
INDEX_MEETS_ARRAY: Final = Reason(
    "IndexMeetsArray",
    "A step of a path is a number: in an array the value is refused, for a place names nothing.",
    remedy="pick the element by its name (pick), or say position Fixed if its place never changes",
)
FIELD_IGNORED: Final = Reason(
    "FieldIgnored",
    "A field beside the spec, or of the metadata, is read by nobody.",
    remedy="correct the name of the field, or leave it out",
)
KIND_OF_OTHERS: Final = Reason(
    "KindOfOthers",
    "The document is of no kind of this product; it is not looked at.",
)

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every warning and note by its code."""
