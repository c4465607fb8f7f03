"""What of the fleet's evidence changed since when, and who is heard in time; `fleet` keeps both.

Nothing here knows who reads: a reader names the revision that it has, so that an answer that is
lost is asked for again, and a leader and its standby read side by side.
"""

import itertools
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from foreshore_hub import renewals

K = TypeVar("K")

Key = str | renewals.Device
"""A node, for its agent, or a device."""

GONE: Final = 10_000
"""Keys of what is gone that are remembered; a reader further behind is sent everything."""


class ChangeLog:
    """Keys in the order in which they last changed, each with the revision of that change."""

    def __init__(self, is_live: Callable[[Key], bool]) -> None:
        self.revision = 1
        self._is_live: Final = is_live
        self._floor = 0
        self._revisions: dict[Key, int] = {}
        self._room = GONE

    def __len__(self) -> int:
        return len(self._revisions)

    def advance(self) -> int:
        """Count something that is no news to a reader of changes."""
        self.revision += 1
        return self.revision

    def note(self, key: Key) -> int:
        """Note that a key changed, or is gone, and return the revision of that."""
        self._revisions.pop(key, None)
        self._revisions[key] = revision = self.advance()
        if len(self._revisions) > self._room:
            self._forget()
        return revision

    def has(self, revision: int) -> bool:
        """Whether everything that changed after a revision is still to be had."""
        return self._floor <= revision <= self.revision

    def since(self, revision: int) -> list[tuple[Key, int]]:
        """Return what changed after a revision, the oldest first."""
        changed: list[tuple[Key, int]] = []
        for key, changed_at in reversed(self._revisions.items()):
            if changed_at <= revision:
                break
            changed.append((key, changed_at))
        return changed[::-1]

    def lift(self) -> None:
        """Count as changed once more what changed before the oldest of what is remembered.

        For a reader that is to be sent everything, part by part: it names the revision of a part,
        and by one of before it would be too far behind, and never come to an end.
        """
        behind = itertools.takewhile(lambda item: item[1] <= self._floor, self._revisions.items())
        for key, _ in [*behind]:
            del self._revisions[key]
            self._revisions[key] = self.advance()

    def _forget(self) -> None:
        """Drop what is longest gone, beyond what is remembered, and make room until the next time.

        Whoever makes up names by the thousand costs only those who read the changes.
        """
        gone = [key for key in self._revisions if not self._is_live(key)]
        for key in gone[: max(0, len(gone) - GONE)]:
            self._floor = self._revisions.pop(key)
        self._room = 2 * len(self._revisions) + GONE


class InTime(Generic[K]):
    """Who was heard within its patience; whoever is not in here is late, or was never heard."""

    def __init__(self) -> None:
        self._heard: dict[float, dict[K, float]] = {}
        """By patience and key: when it was heard, the longest ago first."""
        self._patience: dict[K, float] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._patience

    def __len__(self) -> int:
        return len(self._patience)

    def hear(self, key: K, at: float, patience: float) -> bool:
        """Note that it was heard; whether it had not been in time before."""
        was_late = key not in self._patience
        self.drop(key)
        self._patience[key] = patience
        self._heard.setdefault(patience, {})[key] = at
        return was_late

    def drop(self, key: K) -> None:
        """Wait for it no longer."""
        patience = self._patience.pop(key, None)
        if patience is not None:
            heard = self._heard[patience]
            del heard[key]
            if not heard:
                del self._heard[patience]

    def overdue(self, now: float) -> list[K]:
        """Return who has become late by now, and wait for them no longer."""
        late: list[K] = []
        for patience, heard in self._heard.items():
            for key, at in heard.items():
                if now - at <= patience:
                    break
                late.append(key)
        for key in late:
            self.drop(key)
        return late
