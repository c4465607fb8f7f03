"""The journal: what this agent has decided, durable before anything is commanded.

The runtime appends decision records and waits until they are on disk; the link ships them to the
hub and acknowledges what the hub has committed; the command line reads them. One state directory
holds one journal and belongs to one agent at a time.

    append ─► written, chained, synced ─► shipped ─► acknowledged ─► forgotten, but for the newest
    of each verdict

`chain`, `retention` and `tally` are pure, `store` is the SQLite file, `writer` is its only thread,
`reader` opens it beside a running agent.
"""

from foreshore_agent.journal.chain import GENESIS, Break, link
from foreshore_agent.journal.settings import Quotas
from foreshore_agent.journal.sqlite import JournalInUse
from foreshore_agent.journal.store import JournalFull
from foreshore_agent.journal.tally import Entry, Standing
from foreshore_agent.journal.writer import Journal

__all__ = [
    "GENESIS",
    "Break",
    "Entry",
    "Journal",
    "JournalFull",
    "JournalInUse",
    "Quotas",
    "Standing",
    "link",
]
