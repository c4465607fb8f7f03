"""What `play` and `rehearse` say before they begin, and how far a long reading is."""

import time
from collections.abc import Iterable
from datetime import tzinfo
from pathlib import Path
from typing import Final

from foreshore_agent import exits
from foreshore_agent.play import echo as first_rows
from foreshore_agent.play import recording

_SECONDS: Final = 5.0
"""Between two lines of progress."""


class ReadingProgress:
    """Called with the rows that have been read so far; says so now and then."""

    def __init__(self, path: Path) -> None:
        self._name: Final = path.name
        self._shown_at = time.monotonic()

    def __call__(self, rows: int) -> None:
        """Say how far it is, if that was not said lately."""
        if time.monotonic() - self._shown_at > _SECONDS:
            self._shown_at = time.monotonic()
            exits.say(f"reading {self._name}: {rows} rows so far")


def say(notes: Iterable[str]) -> None:
    """Say each on a line of its own."""
    for note in notes:
        exits.say(note)


def echo(rows: recording.Recording, zone: tzinfo) -> None:
    """Show the first rows as they are understood, times in a zone. Raises RecordingError."""
    exits.say("\n".join(first_rows.lines(rows, zone)))
