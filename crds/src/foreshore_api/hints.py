"""What a name that is not known may have been meant to be: one form for all messages."""

import difflib
from collections.abc import Iterable
from typing import Final

SHOWN: Final = 12
"""Names that one message lists."""


def among(wanted: str, known: Iterable[str]) -> str:
    """Return what is known, the likeliest first: `did you mean co2? Known: airflow, co2`."""
    names = sorted(set(known))
    if not names:
        return "there is none"
    near = difflib.get_close_matches(wanted, names, n=1)
    left = len(names) - SHOWN
    listed = ", ".join(names[:SHOWN]) + (f" and {left} more" if left > 0 else "")
    return f"did you mean {near[0]}? Known: {listed}" if near else f"known: {listed}"
