"""Records of decisions: rendered, held exactly, chained by their bytes, and run again.

facts    everything that the gates saw, as plain data and back
render   the documents that travel: decisions, and the envelope of every event
chain    the hashes that tie records together
replay   the same gates on the facts of a record
"""

from foreshore_decision.record.chain import link
from foreshore_decision.record.render import (
    PASS_NUMBER,
    compact,
    decision,
    event,
    incomplete,
    is_sampled,
    stamp,
)

__all__ = [
    "PASS_NUMBER",
    "compact",
    "decision",
    "event",
    "incomplete",
    "is_sampled",
    "link",
    "stamp",
]
