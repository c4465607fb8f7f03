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
ACKNOWLEDGED: Final = Reason(
    "Acknowledged", "The hub has the records: the journal forgot them, and a gap names them."
)

# Noticed when a journal is opened: a gap record says so.
FORMAT_UPGRADED: Final = Reason(
    "FormatUpgraded",
    "An older release wrote the journal: what was missing then is stated once, and not explained.",
)
JOURNAL_CUT: Final = Reason(
    "JournalCut",
    "The newest records were gone when the agent started; no number is used twice.",
    remedy="foreshore-agent verify says where, and what to do",
)

# What `verify` finds; the last four also when a journal is opened.
BREAK_REMEDY: Final = (
    "something other than the agent changed the state directory, or its disk lost what it had"
    " synced: keep a copy of the directory as evidence, compare with what the hub has"
    " (kubectl get decisions), and check the disk; the agent goes on and uses no number twice; to"
    " begin a whole journal, stop it and set journal.db and journal.head aside"
)
"""What a person does about a break of any kind."""
HASH_MISMATCH: Final = Reason(
    "HashMismatch",
    "A record's bytes are not those that were hashed when it was written.",
    "its bytes are not those that were written",
    BREAK_REMEDY,
)
LINK_MISMATCH: Final = Reason(
    "LinkMismatch",
    "A record does not follow the one before it.",
    "its hash is not the one that its neighbours vouch for",
    BREAK_REMEDY,
)
RECORD_MISSING: Final = Reason(
    "RecordMissing",
    "A record is gone, and no record says that it was forgotten.",
    "it is gone, and no record says that it was forgotten",
    BREAK_REMEDY,
)
BODY_MISSING: Final = Reason(
    "BodyMissing",
    "A record's body is gone, and no record says that it gave way.",
    "its body is gone, and no record says that it gave way",
    BREAK_REMEDY,
)
HOLE_REFUTED: Final = Reason(
    "HoleRefuted",
    "A record is there, although it is listed as forgotten.",
    "it is there, although it is listed as forgotten",
    BREAK_REMEDY,
)
STATEMENT_MISMATCH: Final = Reason(
    "StatementMismatch",
    "The list of what was forgotten is not the one that the newest record about it vouches for.",
    "the list of what was forgotten is not the one it vouches for",
    BREAK_REMEDY,
)
TRUNCATED: Final = Reason(
    "Truncated",
    "The newest records were written, and are gone.",
    "this record and those behind it were written, and are gone",
    BREAK_REMEDY,
)
HEAD_MISMATCH: Final = Reason(
    "HeadMismatch",
    "The hash kept outside of the journal is another: a record was changed, and every later hash"
    " with it.",
    "the hash kept outside of the journal is another: a record from here on was changed, and every"
    " later hash with it",
    BREAK_REMEDY,
)
HEAD_MISSING: Final = Reason(
    "HeadMissing",
    "The file journal.head is gone or belongs to another journal.",
    "the file journal.head is gone or belongs to another journal, so that nothing vouches for the"
    " newest records",
    BREAK_REMEDY,
)
BEYOND_HEAD: Final = Reason(
    "BeyondHead",
    "Records were added after the agent had stopped.",
    "it was added after the agent had stopped",
    BREAK_REMEDY,
)

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every cause of a record that is missing or cannot be believed by its code."""
