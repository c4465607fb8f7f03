"""Which replica may write: one Lease, taken and renewed by compare and swap.

        Following ── lease free, or unchanged for its duration by our own clock ──► Leading
            ▲                                                                          │
            └── another holder seen, or not renewed within the deadline, or released ──┘

Expiry is judged by how long the record has not changed *here*, never by comparing clocks. A leader
that was paused stops by itself: `may_write()` is false from `renew_deadline` after the start of its
last successful renewal, and a write begun just before must end within `write_timeout`, which is
when the next leader can start at the earliest. This keeps two leaders from overlapping; the fence
is the epoch that every write carries and the API server refuses when it falls.

The epoch is `max(last + 1, Unix seconds)`, kept as an annotation of the Lease: `leaseTransitions`
starts again at 0 with a Lease that was deleted, and an epoch must not. An object that bears an
epoch above the leader's lifts the next renewal above it: the Lease was deleted and the clock fell,
or somebody wrote the number by hand. Whatever a person writes into the Lease, the next term begins
by it: a number that no leader can have had is not believed, a term longer than any is not waited
out.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from foreshore_api.wire import beat
from foreshore_kube import api, epochs, kinds

log = logging.getLogger(__name__)

LONGEST = 60.0
"""Seconds that a foreign Lease is waited out at most, whatever duration stands in it."""
EARLIEST = 1_767_225_600
"""Unix seconds of 2026: a clock below was never set, and judges no epoch."""
TRANSITIONS = (1 << 31) - 1
"""The most that the API server takes as `leaseTransitions`."""


def boot_clock() -> float:
    """Seconds since boot, suspended time included: a machine that slept has lost its lease."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Timing:
    """The three periods of an election, in seconds; each is well inside the one before."""

    duration: float = 6.0
    renew_deadline: float = 4.0
    retry_period: float = 1.0

    @property
    def request_timeout(self) -> float:
        """How long one request of the election may take: two of them fit before the deadline.

        Longer than `retry_period`, since a loaded API server often takes a second, and harmless: a
        renewal counts from when it was sent, and `may_write` watches the deadline by itself.
        """
        return self.renew_deadline / 2

    @property
    def write_timeout(self) -> float:
        """How long a write may take that was begun while leading."""
        return self.duration - self.renew_deadline


class Elector:
    """One candidate. `identity` must be unique to the process, not only to the pod.

    `on_change(leading)` is called in the loop whenever the answer of `is_leader` changes, and
    `on_contact()` after each round in which the API server answered: once a second, leading or not.
    """

    def __init__(
        self,
        kube: api.KubeApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        timing: Timing | None = None,
        on_change: Callable[[bool], None] | None = None,
        on_contact: Callable[[], None] | None = None,
        clock: Callable[[], float] = boot_clock,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.identity = identity
        self.timing = timing or Timing()
        self.epoch = 0
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._on_change = on_change
        self._on_contact = on_contact
        self._clock = clock
        self._wall = wall
        self._lease: api.Json | None = None
        self._changed_at = clock()
        self._renewed_at: float | None = None
        self._leading = False
        self._highest_met = 0

    @property
    def is_leader(self) -> bool:
        """Whether this replica holds the lease and may still count on it."""
        return self._leading and self.may_write()

    def may_write(self) -> bool:
        """Ask right before every single write: false as soon as the deadline has passed."""
        return (
            self._renewed_at is not None
            and self._clock() < self._renewed_at + self.timing.renew_deadline
        )

    def yields_to(self, epoch: int) -> bool:
        """Whether an object that bears this epoch belongs to a later term than ours.

        The next round of the election finds out whose: it follows, or takes an epoch above. What
        lies ten years ahead is nobody's, and stops nobody.
        """
        return self._remember(epoch) and epoch > self.epoch

    def _remember(self, epoch: int) -> bool:
        """Begin no later term below this epoch, if it can be somebody's.

        Also of a Lease that is deleted: within a second, Unix seconds alone would give the next
        leader the same epoch.
        """
        if not self._is_believable(epoch):
            return False
        self._highest_met = max(self._highest_met, epoch)
        return True

    async def run(self) -> None:
        """Take part until cancelled; then give the lease back."""
        try:
            while True:
                await self.attempt()
                await asyncio.sleep(self.timing.retry_period)
        finally:
            await self.release()

    async def attempt(self) -> None:
        """One round: look at the lease, renew it or take it if it is due."""
        try:
            async with asyncio.timeout(self.timing.request_timeout):
                await self._round()
            if self._on_contact is not None:
                self._on_contact()
        except (api.ApiError, TimeoutError) as error:
            log.info("lease %s: %s", self._name, str(error) or "no answer in time")
        self._settle()

    async def release(self) -> None:
        """Stop writing at once, then clear the holder so that nobody has to wait the lease out."""
        held = self._lease if self._renewed_at is not None else None
        self._renewed_at = None
        self._settle()
        if held is None:
            return
        try:
            async with asyncio.timeout(self.timing.retry_period):
                await self._kube.replace(
                    kinds.LEASES, {**held, "spec": {**held["spec"], "holderIdentity": ""}}
                )
        except (api.ApiError, TimeoutError) as error:
            log.info("lease %s not given back, it runs out: %s", self._name, error)

    async def _round(self) -> None:
        started = self._clock()
        if self._lease is not None and self._renewed_at is not None:
            if await self._renew(self._lease, started):
                return
            started = self._clock()
        await self._look()
        if self._lease is None:
            await self._create(started)
        elif self._is_due(self._lease):
            await self._write(self._lease, started, epoch=self._next_epoch(self._lease))

    async def _look(self) -> None:
        """Read the lease and note when it last changed, by our own clock."""
        try:
            seen = await self._kube.get(kinds.LEASES, self._namespace, self._name)
        except api.NotFoundError:
            self._lease = None
            return
        before = self._lease
        if before is None or _version(before) != _version(seen):
            self._changed_at = self._clock()
        self._lease = seen
        self._remember(epochs.of_object(seen))

    def _is_due(self, lease: api.Json) -> bool:
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        duration = min(float(spec.get("leaseDurationSeconds") or 0), LONGEST)
        return (
            not holder
            or holder == self.identity
            or self._clock() - self._changed_at >= max(duration, self.timing.duration)
        )

    def _next_epoch(self, lease: api.Json | None) -> int:
        last = epochs.of_object(lease or {})
        if not self._is_believable(last):
            log.warning("lease %s: epoch %d is nobody's, it counts as none", self._name, last)
            last = 0
        return max(last + 1, self.epoch + 1, self._highest_met + 1, int(self._wall()))

    def _is_believable(self, epoch: int) -> bool:
        return beat.is_believable(epoch, max(self._wall(), EARLIEST))

    def _term(self, lease: api.Json) -> int:
        """The epoch to renew under: the present one, unless an object bears a higher."""
        if self._highest_met <= self.epoch:
            return self.epoch
        epoch = self._next_epoch(lease)
        log.warning(
            "an object bears epoch %d, above ours of %d: raised to %d",
            self._highest_met, self.epoch, epoch,
        )  # fmt: skip
        return epoch

    async def _create(self, started: float) -> None:
        epoch = self._next_epoch(None)
        metadata = {"namespace": self._namespace, "name": self._name}
        document = self._claim({"metadata": metadata, "spec": {}}, epoch)
        self._won(await self._kube.create(kinds.LEASES, document), started, epoch)

    async def _renew(self, lease: api.Json, started: float) -> bool:
        """Renew what we hold; False, and no longer leading, when the lease is not ours any more.

        A renewal whose answer got lost may have been stored: the record is then another version,
        and still ours.
        """
        try:
            await self._write(lease, started, epoch=self._term(lease))
        except (api.ConflictError, api.NotFoundError):
            await self._look()
            if self._lease is not None and self._is_own(self._lease):
                await self._write(self._lease, self._clock(), epoch=self.epoch)
                return True
            self._renewed_at = None
            return False
        return True

    def _is_own(self, lease: api.Json) -> bool:
        """Whether a lease is held by this process under its present epoch."""
        holder = (lease.get("spec") or {}).get("holderIdentity")
        return holder == self.identity and epochs.of_object(lease) == self.epoch

    async def _write(self, lease: api.Json, started: float, *, epoch: int) -> None:
        answer = await self._kube.replace(kinds.LEASES, self._claim(lease, epoch))
        self._won(answer, started, epoch)

    def _claim(self, lease: api.Json, epoch: int) -> api.Json:
        now = datetime.datetime.fromtimestamp(self._wall(), datetime.UTC)
        stamp = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = dict(lease.get("spec") or {})
        if epoch != self.epoch or self._renewed_at is None:
            spec["acquireTime"] = stamp
            spec["leaseTransitions"] = min(int(spec.get("leaseTransitions") or 0) + 1, TRANSITIONS)
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self.timing.duration)),
            "renewTime": stamp,
        }
        return epochs.stamped({"metadata": lease["metadata"], "spec": spec}, epoch)

    def _won(self, lease: api.Json, started: float, epoch: int) -> None:
        self._lease = lease
        self._changed_at = self._clock()
        self._renewed_at = started  # counted from before the request left
        self.epoch = epoch

    def _settle(self) -> None:
        """Tell who cares when leading began or ended."""
        if not self.may_write():
            self._renewed_at = None  # past the deadline: look again before claiming anything
        leading = self._renewed_at is not None
        if leading == self._leading:
            return
        self._leading = leading
        log.info("%s lead (epoch %d)", "begin to" if leading else "no longer", self.epoch)
        if self._on_change is not None:
            self._on_change(leading)


def _version(lease: api.Json) -> str:
    return str(lease.get("metadata", {}).get("resourceVersion", ""))
