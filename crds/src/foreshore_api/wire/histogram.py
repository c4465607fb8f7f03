"""Latency histograms that agents keep, hubs merge and planners read.

Log-spaced bounds shared by everyone.

Sixteen buckets a decade (each 15.5 % wider than the last) from 10 µs to 100 s keep a quantile
within one bucket, and merging is addition, so that agents, the hub and the operator may add in any
order. Sparse on the wire: most buckets are empty.
"""

import math
import struct
from bisect import bisect_left
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from enum import StrEnum
from typing import Annotated, Any, Final, Self, cast

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    GetPydanticSchema,
    TypeAdapter,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from foreshore_api.wire import document

PER_DECADE: Final = 16
LOWEST: Final = 1e-5
DECADES: Final = 7
BOUNDS: Final[tuple[float, ...]] = tuple(
    LOWEST * 10 ** (i / PER_DECADE) for i in range(PER_DECADE * DECADES + 1)
)
"""Upper bounds in seconds, inclusive; bucket `len(BOUNDS)` holds what lasted longer."""

OVERFLOW: Final = len(BOUNDS)


class Stage(StrEnum):
    """Where the budget of a decision goes.

    `EndToEnd` is the whole, from sample (or receipt) to the device's answer: Accepted or
    Done, its reply, or the report that echoes what it was told.
    """

    UPLINK = "Uplink"
    DECIDE = "Decide"
    NETWORK = "Network"
    INFERENCE = "Inference"
    ACTUATE = "Actuate"
    END_TO_END = "EndToEnd"


def bucket(seconds: float) -> int:
    """Return the index of the bucket that holds a duration; negative durations count as zero."""
    return bisect_left(BOUNDS, seconds)


class BucketCounts(Mapping[int, int]):
    """Counts by bucket index, ascending, in five bytes an entry.

    A report has two dozen histograms of a dozen entries and more, and hub and operator hold those
    of a whole fleet: as a dictionary each takes 0.6 to 1.2 kB. Most are never read, so it is the
    reader who puts them in order.
    """

    __slots__ = ("_numbers",)

    def __init__(self, counts: Mapping[int, int]) -> None:
        """Pack counts whose indices are valid.

        What 32 bits hold is a count; only others are compared with its bounds, because to compare
        all of them takes as long as to pack them.

        Raises:
            pydantic.ValidationError: one of them is no `document.Count`.
        """
        size = len(counts)
        try:
            numbers = _NARROW[size].pack(size, *counts, *counts.values())
        except struct.error:
            valid = _WRITTEN.validate_python(counts)
            numbers = _WIDE[size].pack(size, *valid, *valid.values())
        self._numbers: Final = numbers

    def __getitem__(self, index: int) -> int:
        return self.as_written()[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self.ascending())

    def __len__(self) -> int:
        return self._numbers[0]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, BucketCounts):
            if len(self._numbers) != len(other._numbers):
                return False
            if self._numbers == other._numbers:
                return True
            return self.as_written() == other.as_written()  # in another order it is the same
        return super().__eq__(other)

    def __repr__(self) -> str:
        return repr(self.ascending())

    def items(self) -> ItemsView[int, int]:
        """Return all entries, unpacked once: a view of this would unpack them for each entry."""
        return self.ascending().items()

    def values(self) -> ValuesView[int]:
        """Return all counts, for the same reason."""
        return self.ascending().values()

    def ascending(self) -> dict[int, int]:
        """Return them as a dictionary in order of index."""
        counts = self.as_written()
        order = sorted(counts)
        return counts if order == [*counts] else {index: counts[index] for index in order}

    def as_written(self) -> dict[int, int]:
        """Return them as a dictionary in the order in which they came."""
        return dict(self.pairs())

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Return index and count of each in the order in which they came: for sums."""
        return zip(self._numbers[1 : self._numbers[0] + 1], self._counts(), strict=True)

    def total(self) -> int:
        """Return the sum of the counts; planners ask for it of every candidate's figures."""
        return sum(self._counts())

    def _counts(self) -> tuple[int, ...]:
        numbers, size = self._numbers, self._numbers[0]
        layout = _NARROW[size] if len(numbers) == _NARROW[size].size else _WIDE[size]
        return layout.unpack(numbers)[size + 1 :]


_NARROW: Final = tuple(struct.Struct(f"<B{size}B{size}I") for size in range(OVERFLOW + 2))
"""How many entries there are, their indices, then their counts; by how many there are."""
_WIDE: Final = tuple(struct.Struct(f"<B{size}B{size}Q") for size in range(OVERFLOW + 2))
"""The same where a count is beyond 32 bits."""

_Index = Annotated[int, Field(ge=0, le=OVERFLOW)]
_EACH_ONCE: Final = Field(max_length=OVERFLOW + 1)
_WRITTEN: Final[TypeAdapter[dict[int, int]]] = TypeAdapter(
    Annotated[dict[_Index, document.Count], _EACH_ONCE]
)
"""Buckets as they stand on the wire."""


def _schema(_: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
    written = core_schema.dict_schema(
        handler.generate_schema(_Index), core_schema.int_schema(), max_length=OVERFLOW + 1
    )
    return core_schema.no_info_after_validator_function(
        BucketCounts,
        written,
        serialization=core_schema.plain_serializer_function_ser_schema(
            BucketCounts.as_written, return_schema=written
        ),
    )


def _json_schema(_: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    return handler(_WRITTEN.core_schema)


Buckets = Annotated[
    Mapping[_Index, document.Count], _EACH_ONCE, GetPydanticSchema(_schema, _json_schema)
]
"""Counts by bucket index as a field of a document: a mapping for who reads it, packed."""


@document.line
class Histogram:
    """Counts by bucket index; `total_seconds` is the sum of what was observed.

    `waited_seconds` is what of that sum was spent in a queue; absent where nobody measured it.
    """

    buckets: Buckets = Field(default_factory=lambda: BucketCounts({}))
    total_seconds: document.Seconds = 0.0
    waited_seconds: document.Seconds | None = None

    @property
    def count(self) -> int:
        """How many durations were observed."""
        return _packed(self).total()

    @classmethod
    def of(cls, durations: Iterable[float]) -> Self:
        """Build a histogram of durations in seconds."""
        counts: dict[int, int] = {}
        total = 0.0
        for seconds in durations:
            counts[bucket(seconds)] = counts.get(bucket(seconds), 0) + 1
            total += max(0.0, seconds)
        return cls(buckets=counts, total_seconds=total)


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms; the result does not depend on their order.

    A sum ends at the largest count there is, so that what many agents say together can be said on.
    """
    counts: dict[int, int] = {}
    total = 0.0
    waited: float | None = None
    for histogram in histograms:
        for index, count in _packed(histogram).pairs():
            counts[index] = counts.get(index, 0) + count
        total = min(float(document.LARGEST), total + histogram.total_seconds)
        if histogram.waited_seconds is not None:
            waited = min(float(document.LARGEST), (waited or 0.0) + histogram.waited_seconds)
    return Histogram(
        buckets={index: min(document.LARGEST, counts[index]) for index in sorted(counts)},
        total_seconds=total,
        waited_seconds=waited,
    )


def quantile(histogram: Histogram, q: float) -> float | None:
    """Return the upper bound in seconds of the bucket that holds quantile `q` (nearest rank).

    Or None without observations.

    The bound is the safe side for a budget: the true quantile is at most this. What fell into the
    overflow bucket answers infinity, which no budget holds.
    """
    if not 0 < q <= 1:
        message = f"a quantile lies in (0, 1], not {q}"
        raise ValueError(message)
    total = histogram.count
    if total == 0:
        return None
    return _bound_at(histogram.buckets.items(), q * total)


def durations(histogram: Histogram) -> dict[float, int]:
    """Return how often each duration was observed, as the upper bound of its bucket in seconds."""
    return {_bound(index): count for index, count in histogram.buckets.items()}


def middle(index: int) -> float:
    """Return the middle of a bucket in seconds, where the logarithm is; infinity beyond the last.

    Of the first, which begins at zero, its upper bound.
    """
    return math.sqrt(_bound(max(0, index - 1)) * _bound(index))


def _packed(histogram: Histogram) -> BucketCounts:
    """Return the buckets as what they are, which their type does not say to who writes them."""
    return cast(BucketCounts, histogram.buckets)


def _bound(index: int) -> float:
    return BOUNDS[index] if index < OVERFLOW else float("inf")


def _bound_at(buckets: Iterable[tuple[int, int]], rank: float) -> float:
    """Return the bound of the bucket that holds a rank; buckets ascend."""
    seen = 0
    for index, count in buckets:
        seen += count
        if seen >= rank - 1e-9:
            return _bound(index)
    return float("inf")
