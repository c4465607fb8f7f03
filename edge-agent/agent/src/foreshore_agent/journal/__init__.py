"""The journal: what this agent has decided, and durably what it is about to command.

The runtime keeps an intent with what its record is made of, waits until that is on disk, and
appends the record once the command has left; the link ships them to the
hub and acknowledges what the hub has committed; the command line reads them. One state directory
holds one journal and belongs to one agent at a time.

    append ─► written, chained, synced ─► shipped ─► acknowledged ─► forgotten, but for the newest
    of each verdict

    journal.db    records, holes, values: `ledger` on `sqlite`, policed by `store`
    journal.head  the newest number and hash, outside of what they vouch for: `head`

The engine's host knows `port` alone.

`chain`, `holes`, `audit`, `opening`, `retention` and `tally` are pure; `writer` is the only thread
that uses the store, by `operations`; `reader` opens the file beside a running agent.
"""

from foreshore_agent.journal.audit import ChainBreak
from foreshore_agent.journal.chain import GENESIS, link
from foreshore_agent.journal.room import Quotas
from foreshore_agent.journal.sqlite import JournalInUse
from foreshore_agent.journal.store import JournalFull
from foreshore_agent.journal.tally import JournalEntry, JournalStatus
from foreshore_agent.journal.writer import Journal

__all__ = [
    "GENESIS",
    "ChainBreak",
    "Journal",
    "JournalEntry",
    "JournalFull",
    "JournalInUse",
    "JournalStatus",
    "Quotas",
    "link",
]
