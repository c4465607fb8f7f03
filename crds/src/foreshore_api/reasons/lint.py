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
NOBODY_FENCES: Final = Reason(
    "NobodyFences",
    "The profile says guards.fence None: for a moment two agents may command a device of it.",
    remedy="a device that checks epoch and duplicates, or an adapter before it; else keep the"
    " hazard Low",
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
