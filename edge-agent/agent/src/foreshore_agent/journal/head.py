"""The journal's head, kept outside its table: the newest number and hash, and what the hub has.

The store writes it after each commit, `verify` compares. A table that is ahead of the head is
normal: the process ended, or the power went, between both. A table that is behind was cut.

    commit + fdatasync of the table ──► one write into the head's page ──► answers

The file has two slots, written in turn, each a line of JSON with a checksum, in a block of its own:
whatever interrupts a write spoils one slot, and the other is at most one commit older. There is no
fsync per commit, so the head costs two microseconds: a killed process loses nothing of it, and a
power cut can only take it back, which is the normal case above. It is synced when it is made,
opened and closed. The checksum tells a torn line from a whole one; against a person there is the
chain. Rejected: a new file renamed over the old one at each commit, which costs a sync (or leaves
an empty file after a power cut), and a row in the same database, which is edited with the rest.
"""

import os
import zlib
from pathlib import Path
from typing import Final, NamedTuple

import orjson

FILE: Final = "journal.head"
_SLOT: Final = 4096
_SLOTS: Final = 2


class Head(NamedTuple):
    """How far a journal is, as its owner last wrote."""

    journal: str
    """The journal's UUID."""
    sequence: int
    hash: str
    acknowledged: int = 0
    acknowledged_hash: str = ""
    """Of the record at `acknowledged`; empty where the hub has none."""
    is_final: bool = False
    """Whether the owner has stopped: then the table cannot be ahead."""


def read(directory: Path) -> Head | None:
    """Return the newest head of a state directory, or None where there is none that is whole.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        with (directory / FILE).open("rb") as file:
            newest = _newest(file.read(_SLOT * _SLOTS))
    except (FileNotFoundError, IsADirectoryError):
        return None
    return None if newest is None else newest[1]


class HeadFile:
    """The head of one state directory, held open by its owner."""

    def __init__(self, directory: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(directory / FILE, flags, 0o600)
        newest = _newest(os.pread(self._descriptor, _SLOT * _SLOTS, 0))
        self.at_opening: Final = None if newest is None else newest[1]
        """What it said when it was opened."""
        self._revision = 0 if newest is None else newest[0]
        self._written: Head | None = None

    def write(self, head: Head) -> None:
        """Write the head into the older slot, if it is another. Raises OSError."""
        if head == self._written:
            return
        self._revision += 1
        slot = self._revision % _SLOTS
        os.pwrite(self._descriptor, _line(self._revision, head), slot * _SLOT)
        self._written = head

    def sync(self) -> None:
        """Wait until the head is on disk. Raises OSError."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def _line(revision: int, head: Head) -> bytes:
    journal, sequence, digest, acknowledged, acknowledged_hash, is_final = head
    text = orjson.dumps(
        {
            "revision": revision,
            "journal": journal,
            "sequence": sequence,
            "hash": digest,
            "acknowledged": acknowledged,
            "acknowledged_hash": acknowledged_hash,
            "is_final": is_final,
        }
    )
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _newest(content: bytes) -> tuple[int, Head] | None:
    slots = (content[start : start + _SLOT] for start in range(0, _SLOT * _SLOTS, _SLOT))
    readable = [slot for slot in map(_slot, slots) if slot is not None]
    return max(readable, key=lambda slot: slot[0], default=None)


def _slot(content: bytes) -> tuple[int, Head] | None:
    line, _, _ = content.partition(b"\n")  # behind it may be the end of a longer one
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        fields = orjson.loads(text)
        return int(fields.pop("revision")), Head(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
