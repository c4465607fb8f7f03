"""How much room a journal may take; set by the agent's settings, read by the store."""

from dataclasses import dataclass
from typing import Final

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Quotas:
    """Bytes of records by class, and the room that is kept back.

    `critical` holds intents, commands and whatever else is never dropped before it is acknowledged;
    when it is full, nothing is commanded. `routine` is a ring: its oldest records give way, and a
    gap record says so. `ballast` is a file that is given up on a full disk, because there even a
    deletion fails, and room for what must still be said about commands that are already out.
    """

    critical: int = 256 * MEBIBYTE
    routine: int = 1024 * MEBIBYTE
    ballast: int = 4 * MEBIBYTE
