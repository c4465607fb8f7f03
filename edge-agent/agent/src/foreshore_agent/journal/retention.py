"""Which acknowledged records stay: the newest of each policy, device and verdict.

A person who asks why a device did not move finds the one interesting record beside thousands of
uneventful ones.
"""

from collections import deque
from dataclasses import dataclass, field

Bucket = tuple[str, str, str]
"""Policy, device, verdict."""


@dataclass(slots=True)
class Retention:
    """Numbers of acknowledged records, oldest first, by bucket; and what may go."""

    kept: dict[Bucket, deque[int]] = field(default_factory=dict)
    expired: deque[int] = field(default_factory=deque)
    admitted: int = 0

    def admit(self, sequence: int, bucket: Bucket, keep: int) -> None:
        """Take an acknowledged record in, once; what it displaces expires."""
        if sequence <= self.admitted:
            return
        self.admitted = sequence
        numbers = self.kept.setdefault(bucket, deque())
        numbers.append(sequence)
        while len(numbers) > keep:
            self.expired.append(numbers.popleft())

    def take(self, limit: int) -> tuple[int, ...]:
        """Hand out at most `limit` expired numbers; they are not handed out again."""
        return tuple(self.expired.popleft() for _ in range(min(limit, len(self.expired))))
