"""The election against an API in memory: two candidates, pauses, a Lease that went away."""

import copy
import logging
from typing import cast

import pytest

from foreshore_api import meta
from foreshore_kube import api, elector, kinds


class LeaseApi:
    """One Lease with compare and swap, and a switch for an API server that is out of reach."""

    def __init__(self) -> None:
        self.lease: api.Json | None = None
        self.version = 0
        self.is_down = False

    async def get(self, *_: object) -> api.Json:
        self._reach()
        if self.lease is None:
            raise api.NotFoundError(404, "no lease")
        return copy.deepcopy(self.lease)

    async def create(self, _kind: kinds.ResourceKind, document: api.Json) -> api.Json:
        self._reach()
        if self.lease is not None:
            raise api.ConflictError(409, "exists", reason="AlreadyExists")
        return self._store(document)

    async def replace(self, _kind: kinds.ResourceKind, document: api.Json) -> api.Json:
        self._reach()
        if self.lease is None:
            raise api.NotFoundError(404, "no lease")
        if document["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise api.ConflictError(409, "moved on", reason="Conflict")
        return self._store(document)

    def _reach(self) -> None:
        if self.is_down:
            raise api.UnavailableError(0, "connection refused")

    def _store(self, document: api.Json) -> api.Json:
        self.version += 1
        self.lease = copy.deepcopy(document)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.lease)

    @property
    def holder(self) -> str:
        assert self.lease is not None
        return str(self.lease["spec"]["holderIdentity"])


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


@pytest.fixture
def lease() -> LeaseApi:
    return LeaseApi()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def candidate(lease: LeaseApi, clock: Clock, name: str) -> elector.Elector:
    return elector.Elector(
        cast(api.KubeApi, lease),
        namespace="foreshore-system",
        name="foreshore-operator",
        identity=name,
        clock=clock,
        wall=lambda: clock.wall,
    )


async def test_the_second_candidate_waits_while_the_first_renews(
    lease: LeaseApi, clock: Clock
) -> None:
    first, second = candidate(lease, clock, "a"), candidate(lease, clock, "b")
    for _ in range(20):
        await first.attempt()
        await second.attempt()
        clock.pass_(1)

    assert first.is_leader
    assert not second.may_write()
    assert lease.holder == "a"


async def test_a_paused_leader_may_not_write_before_anybody_else_may(
    lease: LeaseApi, clock: Clock
) -> None:
    first, second = candidate(lease, clock, "a"), candidate(lease, clock, "b")
    await first.attempt()
    await second.attempt()
    for _ in range(12):
        clock.pass_(0.5)
        await second.attempt()
        assert not (first.may_write() and second.may_write())

    assert second.is_leader
    assert second.epoch > first.epoch


async def test_a_resumed_leader_finds_the_lease_taken_and_follows(
    lease: LeaseApi, clock: Clock
) -> None:
    first, second = candidate(lease, clock, "a"), candidate(lease, clock, "b")
    await first.attempt()
    await second.attempt()
    clock.pass_(6)
    await second.attempt()

    await first.attempt()

    assert not first.may_write()
    assert lease.holder == "b"


async def test_expiry_counts_from_when_the_record_last_changed_here_not_from_its_timestamp(
    lease: LeaseApi, clock: Clock
) -> None:
    first, second = candidate(lease, clock, "a"), candidate(lease, clock, "b")
    clock.wall -= 3600  # the first one's clock is an hour behind
    await first.attempt()
    clock.wall += 3600

    await second.attempt()

    assert lease.holder == "a"


async def test_an_api_server_out_of_reach_ends_leading_at_the_deadline(
    lease: LeaseApi, clock: Clock
) -> None:
    heard: list[bool] = []
    leader = elector.Elector(
        cast(api.KubeApi, lease),
        namespace="foreshore-system",
        name="foreshore-operator",
        identity="a",
        clock=clock,
        wall=lambda: clock.wall,
        on_change=heard.append,
    )
    await leader.attempt()
    lease.is_down = True
    clock.pass_(3.9)
    await leader.attempt()
    assert leader.may_write()

    clock.pass_(0.1)
    await leader.attempt()

    assert not leader.may_write()
    assert heard == [True, False]


async def test_a_released_lease_is_taken_at_once(lease: LeaseApi, clock: Clock) -> None:
    first, second = candidate(lease, clock, "a"), candidate(lease, clock, "b")
    await first.attempt()
    await second.attempt()

    await first.release()
    await second.attempt()

    assert not first.may_write()
    assert second.is_leader


async def test_the_epoch_rises_although_the_lease_was_deleted(
    lease: LeaseApi, clock: Clock
) -> None:
    first = candidate(lease, clock, "a")
    await first.attempt()
    before = first.epoch
    lease.lease = None
    clock.pass_(1)
    await first.attempt()

    assert first.is_leader
    assert first.epoch > before


async def test_the_epoch_rises_above_the_written_one_when_the_wall_clock_fell(
    lease: LeaseApi, clock: Clock
) -> None:
    first, second = candidate(lease, clock, "a"), candidate(lease, clock, "b")
    await first.attempt()
    await first.release()
    clock.wall -= 10_000

    await second.attempt()

    assert second.epoch == first.epoch + 1
    assert lease.lease is not None
    assert lease.lease["metadata"]["annotations"][meta.ANNOTATION_EPOCH] == str(second.epoch)


async def test_renewing_changes_neither_epoch_nor_transitions(
    lease: LeaseApi, clock: Clock
) -> None:
    leader = candidate(lease, clock, "a")
    await leader.attempt()
    epoch = leader.epoch
    clock.pass_(1)

    await leader.attempt()

    assert leader.epoch == epoch
    assert lease.lease is not None
    assert lease.lease["spec"]["leaseTransitions"] == 1


async def test_a_renewal_whose_answer_got_lost_does_not_end_leading(
    lease: LeaseApi, clock: Clock
) -> None:
    leader = candidate(lease, clock, "a")
    await leader.attempt()
    epoch = leader.epoch
    assert lease.lease is not None
    lease._store(lease.lease)  # stored, and nobody heard of it
    clock.pass_(1)

    await leader.attempt()

    assert leader.is_leader
    assert leader.epoch == epoch
    assert leader._renewed_at == clock.now


DECADE = 10 * 365 * 86_400


async def annotated(lease: LeaseApi, clock: Clock, text: str) -> elector.Elector:
    """A leader whose Lease somebody wrote an epoch into."""
    leader = candidate(lease, clock, "a")
    await leader.attempt()
    assert lease.lease is not None
    lease.lease["metadata"]["annotations"][meta.ANNOTATION_EPOCH] = text
    lease._store(lease.lease)
    clock.pass_(1)
    return leader


@pytest.mark.parametrize(
    "text", ["1" + "0" * 400, "soon", "", "-1", "²", "٣", "1.5", str(1_800_000_002 + DECADE)]
)
async def test_nonsense_written_into_the_lease_neither_ends_nor_lifts_the_leader(
    lease: LeaseApi, clock: Clock, text: str
) -> None:
    leader = await annotated(lease, clock, text)
    before = leader.epoch

    await leader.attempt()

    assert leader.is_leader
    assert before < leader.epoch <= clock.wall + 1


async def test_an_epoch_a_year_ahead_in_the_lease_is_risen_above(
    lease: LeaseApi, clock: Clock
) -> None:
    """It may be a leader's whose clock ran ahead, and objects may bear it."""
    ahead = int(clock.wall) + 365 * 86_400
    leader = await annotated(lease, clock, str(ahead))

    await leader.attempt()

    assert leader.is_leader
    assert leader.epoch == ahead + 1


async def test_a_clock_that_was_never_set_takes_no_epoch_below_the_last(
    lease: LeaseApi, clock: Clock
) -> None:
    first, second = candidate(lease, clock, "a"), candidate(lease, clock, "b")
    await first.attempt()
    await first.release()
    clock.wall = 12.0

    await second.attempt()

    assert second.epoch == first.epoch + 1


async def test_a_foreign_lease_of_a_thousand_years_is_waited_out_for_a_minute(
    lease: LeaseApi, clock: Clock
) -> None:
    lease.lease = {
        "metadata": {"name": "foreshore-operator", "resourceVersion": "0"},
        "spec": {
            "holderIdentity": "somebody",
            "leaseDurationSeconds": (1 << 31) - 1,
            "leaseTransitions": (1 << 31) - 1,
        },
    }
    leader = candidate(lease, clock, "a")
    await leader.attempt()
    clock.pass_(elector.LONGEST - 1)
    await leader.attempt()
    assert not leader.is_leader

    clock.pass_(1)
    await leader.attempt()

    assert leader.is_leader
    assert lease.lease["spec"]["leaseTransitions"] == (1 << 31) - 1


async def test_a_leader_rises_above_an_epoch_that_an_object_bears(
    lease: LeaseApi, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The Lease was deleted and the clock fell: epochs would fall, and every write be refused."""
    leader = candidate(lease, clock, "a")
    await leader.attempt()
    borne = leader.epoch + 5000
    assert leader.yields_to(borne)
    clock.pass_(1)

    with caplog.at_level(logging.WARNING):
        await leader.attempt()

    assert leader.is_leader
    assert leader.epoch > borne
    assert not leader.yields_to(borne)
    assert f"bears epoch {borne}" in caplog.text


async def test_a_leader_whose_term_is_over_rises_above_nobody(
    lease: LeaseApi, clock: Clock
) -> None:
    first, second = candidate(lease, clock, "a"), candidate(lease, clock, "b")
    await first.attempt()
    await second.attempt()
    clock.pass_(6)
    await second.attempt()

    assert first.yields_to(second.epoch)
    await first.attempt()

    assert not first.may_write()
    assert lease.holder == "b"


@pytest.mark.parametrize("epoch", [0, 1_800_000_001 + DECADE, 1 << 53])
async def test_an_epoch_that_is_nobodys_stops_no_write(
    lease: LeaseApi, clock: Clock, epoch: int
) -> None:
    leader = candidate(lease, clock, "a")
    await leader.attempt()

    assert not leader.yields_to(epoch)
    clock.pass_(1)
    before = leader.epoch
    await leader.attempt()
    assert leader.epoch == before
