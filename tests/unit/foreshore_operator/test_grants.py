"""A right is written at once though statuses give its Device other versions, and never twice."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api import meta, v1alpha1
from foreshore_kube import api, apply, kinds
from foreshore_operator import act, defects, events, metrics, status_queue, store
from foreshore_planner import succession
from foreshore_planner.world import delta

OLD: Final = {"holder": "edge-1", "epoch": 1_700_000_000, "lastIssued": 1_700_000_000}
OTHERS: Final = {"holder": "edge-3", "epoch": 1_700_000_007, "lastIssued": 1_700_000_007}
DEVICE: Final = ("Device", "hq", "room-301")


def written(**changes: Any) -> api.Json:
    """The Device as the API server has it."""
    before = build.device(authority=OLD).document()
    return {**before, **changes, "metadata": before["metadata"] | changes.get("metadata", {})}


class VersionedKube:
    """One Device behind compare and swap; somebody else may come between any two requests."""

    def __init__(self) -> None:
        self.live = written()
        self.between: list[Callable[[api.Json], None]] = []
        """What happens before the next write, and the ones after it."""
        self.requests: list[str] = []

    async def get(self, *_: object) -> api.Json:
        """No account of ours may: the chart gives list and watch on what people edit."""
        raise api.RejectedError(403, "cannot get resource", reason="Forbidden")

    async def find(self, *_: object) -> api.Json | None:
        self.requests.append("find")
        return {**self.live, "metadata": {**self.live["metadata"]}}

    async def apply(self, _kind: kinds.ResourceKind, document: api.Json, **_: Any) -> api.Json:
        self.requests.append("apply")
        if self.between:
            self.between.pop(0)(self.live)
            self.move()
        if document["metadata"]["resourceVersion"] != self.live["metadata"]["resourceVersion"]:
            raise api.ConflictError(409, "the object has been modified", reason="Conflict")
        self.live = {**self.live, "status": document["status"]}
        self.move()
        return self.live

    def move(self) -> None:
        version = int(self.live["metadata"]["resourceVersion"]) + 1
        self.live["metadata"] = {**self.live["metadata"], "resourceVersion": str(version)}

    @property
    def authority(self) -> dict[str, Any]:
        return cast(dict[str, Any], self.live["status"]["authority"])


class Leader:
    epoch = 5
    is_leading = True

    def may_write(self) -> bool:
        return self.is_leading


class Mirror:
    """The Device as the watch brought it last."""

    def __init__(self) -> None:
        self.cached = written()

    def document(self, *_: str) -> api.Json:
        return self.cached

    def find(self, _model: type[meta.Resource], _namespace: str, _name: str) -> meta.Resource:
        return v1alpha1.Device.read(self.cached)

    def undecodable(self) -> tuple[()]:
        return ()


class Queue:
    def __init__(self) -> None:
        self.held_back: Collection[status_queue.ObjectName] = ()
        self.withdrawn: list[status_queue.ObjectName] = []

    def offer(self, _statuses: Iterable[status_queue.QueuedStatus]) -> None:
        """Take nothing."""

    def withdraw(self, name: status_queue.ObjectName) -> None:
        self.withdrawn.append(name)

    @contextlib.contextmanager
    def stand_back(self, names: Collection[status_queue.ObjectName]) -> Iterator[None]:
        self.held_back = names
        yield


class Silent:
    def record(self, _event: events.ObjectEvent) -> None:
        """Nobody looks."""


class Rig:
    def __init__(self) -> None:
        self.kube, self.leader, self.mirror, self.queue = (
            VersionedKube(),
            Leader(),
            Mirror(),
            Queue(),
        )
        self.writer = apply.Writer(
            cast(api.KubeApi, self.kube), self.leader, yields_to=lambda epoch: epoch > 5
        )
        self.act = act.Act(
            self.writer,
            cast(status_queue.StatusQueue, self.queue),
            cast(store.ClusterMirrors, self.mirror),
            metrics.Metrics(),
            "image",
            cast(events.EventRecorder, Silent()),
            defects.Defects(),
        )

    async def grant(self) -> float | None:
        authority = v1alpha1.DeviceAuthority(holder="edge-2", epoch=1_700_000_005,
                                             last_issued=1_700_000_005)  # fmt: skip
        seen = build.device(authority=OLD)
        grant = succession.GrantUpdate("hq", "room-301", seen, authority, "HolderLost", "dead")
        said = v1alpha1.DeviceStatus(authority=authority, observed_generation=1)
        made = delta.PlanDelta({}, (grant,), (), (), frozenset(), (), None)
        return await self.act.carry_out(made, {("hq", "room-301"): said})


@pytest.fixture
def rig() -> Rig:
    return Rig()


def status_of_ours(live: api.Json) -> None:
    live["status"] = {**live["status"], "observedGeneration": 7}


async def test_a_status_written_a_moment_before_does_not_make_a_grant_late(rig: Rig) -> None:
    """A node lost had 70 answers 409: each grant came a second late, after the next pass."""
    rig.kube.between = [status_of_ours]
    assert await rig.grant() is None, "nothing is left to try again"
    assert rig.kube.authority["holder"] == "edge-2"
    assert rig.kube.requests == ["apply", "find", "apply"]


async def test_a_version_that_the_watch_has_brought_is_granted_without_a_conflict(
    rig: Rig,
) -> None:
    rig.kube.move()
    rig.mirror.cached = rig.kube.live
    await rig.grant()
    assert rig.kube.requests == ["apply"]
    assert rig.kube.authority["holder"] == "edge-2"


def granted_to_others(live: api.Json) -> None:
    live["status"] = {**live["status"], "authority": OTHERS}


def issued_a_number(live: api.Json) -> None:
    live["status"] = {"authority": OLD | {"lastIssued": OLD["lastIssued"] + 1}}  # type: ignore[operator]


def made_anew(live: api.Json) -> None:
    live["metadata"] = {**live["metadata"], "uid": "another"}


def moved_to_another_site(live: api.Json) -> None:
    live["spec"] = {**live["spec"], "site": "annex"}


def labelled(live: api.Json) -> None:
    live["metadata"] = {**live["metadata"], "labels": {"zone": "east"}}


def on_its_way_out(live: api.Json) -> None:
    live["metadata"] = {**live["metadata"], "deletionTimestamp": "2026-03-01T10:00:00Z"}


def written_by_a_later_leader(live: api.Json) -> None:
    live["status"] = {**live["status"], "writerEpoch": 6}


MOVED = (granted_to_others, issued_a_number, made_anew, moved_to_another_site, labelled,
         on_its_way_out, written_by_a_later_leader)  # fmt: skip


@pytest.mark.parametrize("moved", MOVED, ids=lambda moved: moved.__name__.replace("_", " "))
@pytest.mark.parametrize("is_seen", [False, True], ids=["unseen", "seen by the watch"])
async def test_a_right_is_not_written_over_what_it_was_not_decided_on(
    rig: Rig, moved: Callable[[api.Json], None], is_seen: bool
) -> None:
    if is_seen:
        moved(rig.kube.live)
        rig.kube.move()
        rig.mirror.cached = rig.kube.live
    else:
        rig.kube.between = [moved]
    before = written()
    moved(before)
    again = await rig.grant()
    assert rig.kube.live["status"] == before["status"]
    assert again is not None, "the next pass decides anew"
    assert rig.queue.withdrawn == []


async def test_who_no_longer_leads_after_the_conflict_writes_nothing(rig: Rig) -> None:
    def deposed(_live: api.Json) -> None:
        rig.leader.is_leading = False

    rig.kube.between = [deposed]
    await rig.grant()
    assert rig.kube.authority == OLD
    assert rig.kube.requests == ["apply", "find"]


async def test_what_moves_between_the_look_and_the_second_write_is_not_written_over(
    rig: Rig,
) -> None:
    rig.kube.between = [status_of_ours, granted_to_others]
    await rig.grant()
    assert rig.kube.authority == OTHERS


async def test_a_status_stands_back_behind_a_grant_and_is_withdrawn_once_it_is_written(
    rig: Rig,
) -> None:
    await rig.grant()
    assert rig.queue.held_back == {DEVICE}
    assert rig.queue.withdrawn == [DEVICE]


MOVES: Final = (status_of_ours, *MOVED)


@given(st.lists(st.sampled_from(MOVES), max_size=4))
def test_a_right_lies_over_nothing_but_the_right_it_was_decided_on(
    moves: list[Callable[[api.Json], None]],
) -> None:
    """However often the Device moves between: epochs of others stay, and the object's identity."""
    rig = Rig()
    before: list[api.Json] = []

    def noted(move: Callable[[api.Json], None]) -> Callable[[api.Json], None]:
        def moving(live: api.Json) -> None:
            move(live)
            before.append({**live})

        return moving

    rig.kube.between = [noted(move) for move in moves]
    asyncio.run(rig.grant())
    if rig.kube.authority["holder"] == "edge-2":
        last = before[-1] if before else written()
        as_decided = v1alpha1.Device.read(written())
        as_written_over = v1alpha1.Device.read(last)
        assert as_written_over.status.authority == as_decided.status.authority
        assert as_written_over.spec == as_decided.spec
        assert as_written_over.metadata.uid == as_decided.metadata.uid
    elif moves[:1] == [status_of_ours]:
        assert len(moves) > 1, "a status alone never keeps a right from being written"
