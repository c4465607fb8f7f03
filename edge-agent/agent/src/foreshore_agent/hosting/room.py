"""How much memory models may take in this process, and what each takes. Called by `residents`.

A model takes what its trial measured, and the first one the runtime too, which all share. What a
model takes at inputs longer than those of its trial is not counted: the room is a promise to the
container's limit, not a limit by itself.
"""

from typing import Final

from foreshore_serving import evidence

MEBIBYTE: Final = 1024 * 1024


class ModelRoom:
    """The room of one agent; a key is whoever takes some of it."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes: Final = total_bytes
        self._taken: Final[dict[object, int]] = {}
        self._runtime_bytes = 0

    @property
    def left_bytes(self) -> int:
        """What is left of it."""
        return max(0, self.total_bytes - self._runtime_bytes - sum(self._taken.values()))

    def needed_bytes(self, shown: evidence.TrialEvidence) -> int:
        """Return what a model would take, beyond what is taken."""
        return shown.session_bytes + max(0, shown.runtime_bytes - self._runtime_bytes)

    def take(self, key: object, shown: evidence.TrialEvidence) -> bool:
        """Take what a model needs, if it is left."""
        needed = self.needed_bytes(shown)
        if needed > self.left_bytes:
            return False
        self._taken[key] = shown.session_bytes
        self._runtime_bytes += needed - shown.session_bytes
        return True

    def give_back(self, key: object) -> None:
        """Free what was taken; the runtime stays in the process."""
        self._taken.pop(key, None)
