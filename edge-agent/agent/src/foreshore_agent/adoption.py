"""Whether a fresh assignment can be taken at all; pure.

Whether a policy of it takes effect is the engine's to find out, which keeps the version before it.
Here is what must be known first: that the assignment is not older than the last.
"""

from foreshore_api.wire import assignment


def is_stale(fresh: assignment.Assignment, last: assignment.Assignment | None) -> bool:
    """Whether a fresh assignment is older than the last one of the same lineage."""
    if last is None or fresh.lineage != last.lineage:
        return False
    return fresh.generation < last.generation
