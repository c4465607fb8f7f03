"""Which acknowledged records stay: the newest of each policy, device and verdict.

A person who asks why a device did not move finds the one interesting record beside thousands of
uneventful ones.
"""

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Final

Bucket = tuple[str, str, str]
"""Policy, device, verdict."""
MAXIMUM_BUCKETS: Final = 16_384
"""Beyond, the bucket that was quiet for longest expires: its device or policy may be long gone."""


@dataclass(slots=True)
class Retention:
    """Numbers of acknowledged records, oldest first, by bucket; and what may go."""

    kept: dict[Bucket, deque[int]] = field(default_factory=dict)
    expired: deque[int] = field(default_factory=deque)
    admitted: int = 0
    """The last number that was looked at."""

    def admit(self, sequence: int, bucket: Bucket, keep: int) -> None:
        """Take an acknowledged record in, once; what it displaces expires."""
        if sequence <= self.admitted:
            return
        self.admitted = sequence
        numbers = self.kept.pop(bucket, deque())
        numbers.append(sequence)
        while len(numbers) > keep:
            self.expired.append(numbers.popleft())
        if numbers:
            self.kept[bucket] = numbers  # the newest comes last
        if len(self.kept) > MAXIMUM_BUCKETS:
            self.expired.extend(self.kept.pop(next(iter(self.kept))))

    def oldest(self, limit: int) -> tuple[int, ...]:
        """Return at most `limit` expired numbers; they stay until `forget`."""
        return tuple(itertools.islice(self.expired, limit))

    def forget(self, count: int) -> None:
        """Forget the first expired numbers: their records are gone for good."""
        for _ in range(count):
            self.expired.popleft()
