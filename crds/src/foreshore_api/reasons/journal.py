"""Why a record is not in the journal, and what is wrong with a chain of records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, agent, table

ROUTINE_QUOTA: Final = Reason(
    "RoutineQuota",
    "The room for routine records is used up: the oldest are dropped, and a gap names them.",
    remedy="a larger quota, a lower routineSampleRate, or a hub that takes them in time",
)
CRITICAL_QUOTA: Final = Reason(
    "CriticalQuota",
    "The room for records that nobody may lose is used up, and the hub has not taken them.",
    remedy="let the hub catch up, or a larger quota",
)
DISK_FULL: Final = Reason(
    "DiskFull", "The disk has no room.", remedy="free room on the state directory's disk"
)
DISK_FAILING: Final = Reason(
    "DiskFailing",
    "The disk answers a write or a sync with an error.",
    remedy="look at the node's kernel log, and replace the disk",
)
DISK_SLOW: Final = Reason(
    "DiskSlow",
    "Too many writes wait for the disk: records are refused at once.",
    remedy="a faster disk, or fewer decisions on the node",
)
RECORD_TOO_LARGE: Final = agent.RECORD_TOO_LARGE

# What `verify` finds.
HASH_MISMATCH: Final = Reason(
    "HashMismatch",
    "A record's bytes are not those that were hashed when it was written.",
    remedy="compare with the hub's copy: the record was changed, or the disk lost it",
)
LINK_MISMATCH: Final = Reason(
    "LinkMismatch",
    "A record does not follow the one before it.",
    remedy="compare with the hub's copy: records were taken out or put in",
)

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every cause of a record that is missing or cannot be believed by its code."""
