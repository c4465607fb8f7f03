"""How a person names a decision: its identity, the beginning of it, or the identity of a command.

`foreshore-agent why` and `kubectl foreshore why` read names alike and say alike what is wrong with
one. A command's identity is `<decision>/<pass>`; kubectl's own `decision/<name>` is taken too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SHORTEST: Final = 4
"""Characters of a beginning; identities of one day begin alike for as long."""
SHOWN: Final = 10
"""Decisions that are listed when several begin alike."""

_KIND: Final = re.compile(r"decisions?(\.[a-z0-9.]+)?/", re.IGNORECASE)
_PASS: Final = re.compile(r"/[0-9]+\Z")


@dataclass(frozen=True, slots=True)
class DecisionCandidate:
    """One decision of several that begin alike."""

    identity: str
    time: str
    device: str
    verdict: str


def identity(written: str) -> str:
    """Return the decision's identity, or the beginning of it, in what was written."""
    without_kind = _KIND.sub("", written.strip(), count=1)
    return _PASS.sub("", without_kind).lower()


def is_too_short(beginning: str) -> bool:
    """Whether a beginning would fit too many decisions to be of use."""
    return len(beginning) < SHORTEST


def too_short(beginning: str) -> str:
    """Say that a beginning is too short."""
    return (
        f"{beginning!r} names no decision, and is too short for the beginning of an identity:"
        f" give at least {SHORTEST} characters"
    )


def ambiguous(beginning: str, candidates: Sequence[DecisionCandidate]) -> str:
    """Say which decisions begin alike; give one candidate more than `SHOWN` when there are more."""
    count = str(len(candidates)) if len(candidates) <= SHOWN else f"more than {SHOWN}"
    rows = [
        f"  {candidate.identity}  {candidate.time}  {candidate.device}  {candidate.verdict}"
        for candidate in candidates[:SHOWN]
    ]
    head = f"{count} decisions begin with {beginning}; give more of the identity. The newest:"
    return "\n".join((head, *rows))
