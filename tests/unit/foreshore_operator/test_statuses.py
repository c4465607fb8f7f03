"""Which status is worth a write, and when; what the write says to people who look at events."""

import dataclasses
import itertools
from typing import Any, cast

import pytest

from builders import planning as build
from foreshore_api import conditions, scalars, v1alpha1
from foreshore_kube import api, apply
from foreshore_operator import events, status_queue, statuses, store
from foreshore_planner import succession

NOW = "2026-03-01T10:00:00Z"


class Mirror:
    """Holds documents by object."""

    def __init__(self) -> None:
        self.documents: dict[status_queue.ObjectName, api.Json] = {}
        self.placements = 0
        """Of others."""

    def all_of(self, _: object) -> range:
        return range(self.placements + len(self.documents))

    def document(self, kind: str, namespace: str, name: str) -> api.Json | None:
        return self.documents.get((kind, namespace, name))


class Written:
    """A writer to which everything gets through."""

    def __init__(self) -> None:
        self.managers: list[str] = []
        self.documents: list[api.Json] = []

    async def apply(
        self, _kind: object, document: api.Json, *, manager: str, **_: Any
    ) -> apply.WriteResult:
        self.managers.append(manager)
        self.documents.append(document)
        return apply.WriteResult.WRITTEN


class Rig:
    def __init__(self) -> None:
        self.mirror, self.writer, self.time = Mirror(), Written(), 1000.0
        self.events: list[events.ObjectEvent] = []
        self.statuses = statuses.Statuses(
            cast(apply.Writer, self.writer),
            cast(store.ClusterMirrors, self.mirror),
            cast(events.EventRecorder, self),
            lambda: self.time,
        )

    def record(self, event: events.ObjectEvent) -> None:
        self.events.append(event)

    def cache(self, queued: status_queue.QueuedStatus, status: api.Json | None = None) -> None:
        metadata = {"namespace": queued.namespace, "name": queued.name, "uid": "u",
                    "resourceVersion": "7"}  # fmt: skip
        written = queued.status.document() if status is None else status
        self.mirror.documents[queued.key] = {"metadata": metadata, "status": written}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def ready(status: str = "True", reason: str = "Delivered") -> conditions.Condition:
    return conditions.Condition(
        type="Ready",
        status=conditions.Status(status),
        reason=reason,
        last_transition_time=scalars.Timestamp(NOW),
    )


def of_device(*stated: conditions.Condition) -> status_queue.QueuedStatus:
    status = v1alpha1.DeviceStatus(observed_generation=1, conditions=stated or (ready(),))
    return status_queue.QueuedStatus("Device", "hq", "room-301", status)


def of_placement(p99: str = "20ms", replicas: int = 1) -> status_queue.QueuedStatus:
    status = v1alpha1.InferencePlacementStatus.model_validate(
        {
            "observedGeneration": replicas,
            "budget": {"limit": "50ms", "measured": p99},
        }
    )
    return status_queue.QueuedStatus("InferencePlacement", "hq", "ventilate-hq", status)


def test_an_object_that_is_not_there_any_more_is_forgotten(rig: Rig) -> None:
    assert rig.statuses.judge(of_device(), 0.0) is None


def test_what_the_api_server_says_already_is_not_written(rig: Rig) -> None:
    rig.cache(of_device())
    assert rig.statuses.judge(of_device(), 0.0) is None


def test_a_right_is_no_difference(rig: Rig) -> None:
    queued = of_device()
    rig.cache(queued, queued.status.document() | {"authority": {"holder": "edge-1", "epoch": 7}})
    assert rig.statuses.judge(queued, 0.0) is None


async def test_a_status_repeats_the_right_under_the_condition_that_nothing_has_changed(
    rig: Rig,
) -> None:
    """An apply drops what it leaves out: the right would go away with the next status."""
    held = {"holder": "edge-1", "epoch": 7, "lastIssued": 7, "takeoverBound": "38s"}
    rig.cache(of_device(), {"authority": held})
    await rig.statuses.write(of_device())
    [written] = rig.writer.documents
    assert written["status"]["authority"] == held
    assert written["metadata"]["resourceVersion"] == "7"


async def test_a_status_of_another_kind_is_written_whatever_changed_meanwhile(rig: Rig) -> None:
    rig.cache(of_placement(), {})
    await rig.statuses.write(of_placement())
    assert "resourceVersion" not in rig.writer.documents[0]["metadata"]


def test_a_grant_of_which_nothing_is_said_keeps_what_was_said() -> None:
    authority = v1alpha1.DeviceAuthority(
        holder="edge-2", epoch=8, last_issued=8, takeover_bound="38s"
    )
    before = {"authority": {"epoch": 7}, "conditions": [{"type": "Ready"}], "writerEpoch": 3}
    grant = succession.GrantUpdate("hq", "room-301", build.device(), authority, "HolderLost", "")
    written = statuses.granting(grant, None, {"status": before}, "9")
    assert written["metadata"]["resourceVersion"] == "9"
    wanted = {"authority": authority.document(), "conditions": [{"type": "Ready"}]}
    assert written["status"] == wanted


def test_the_first_status_of_a_device_waits_for_its_grant_for_a_moment(rig: Rig) -> None:
    rig.cache(of_device(), {})
    due = rig.statuses.judge(of_device(), 1.0)
    assert due is not None
    assert due.wait == pytest.approx(statuses.FIRST_WAITS - 1.0)
    late = rig.statuses.judge(of_device(), statuses.FIRST_WAITS)
    assert late is not None
    assert late.wait == 0.0, "then it is said that there is no agent"


@pytest.mark.parametrize(
    "written",
    [
        {"authority": {"holder": "edge-1", "epoch": 7, "lastIssued": 7}},
        {"conditions": [{"type": "Ready", "status": "True", "reason": "AwaitingDelivery"}]},
    ],
    ids=["its grant came back", "it is not its first"],
)
def test_a_device_whose_grant_came_back_or_that_has_a_status_does_not_wait(
    rig: Rig, written: api.Json
) -> None:
    rig.cache(of_device(), written)
    due = rig.statuses.judge(of_device(), 0.0)
    assert due is not None
    assert due.wait == 0.0


def test_a_device_that_is_stalled_does_not_wait_for_a_grant_that_cannot_come(rig: Rig) -> None:
    stalled = ready("True", "Invalid").model_copy(update={"type": "Stalled"})
    queued = of_device(ready("False", "Invalid"), stalled)
    rig.cache(queued, {})
    due = rig.statuses.judge(queued, 0.0)
    assert due is not None
    assert due.wait == 0.0


@pytest.mark.parametrize(
    ("before", "after", "is_bad"),
    [("True", "False", True), ("False", "False", False), ("True", "True", False)],
    ids=["turned", "was so", "is well"],
)
def test_only_what_turned_bad_overtakes(rig: Rig, before: str, after: str, is_bad: bool) -> None:
    rig.cache(of_device(ready(before, "Other")))
    due = rig.statuses.judge(of_device(ready(after, "AgentSilent")), 0.0)
    assert due is not None
    assert due.is_bad is is_bad


async def test_figures_alone_wait_for_their_minute_and_come_then(rig: Rig) -> None:
    rig.cache(of_placement())
    assert await rig.statuses.write(of_placement("21ms")) is apply.WriteResult.WRITTEN
    rig.time += 20.0
    due = rig.statuses.judge(of_placement("22ms"), 0.0)
    assert due is not None
    assert due.wait == pytest.approx(statuses.FIGURES_PERIOD - 20.0)
    rig.time += 40.0
    due = rig.statuses.judge(of_placement("22ms"), 40.0)
    assert due is not None
    assert due.wait == 0.0


@pytest.mark.parametrize(
    ("placements", "writes"),
    [(10, 0.17), (76, 0.25), (760, 2.5), (7_600, 10.0), (30_000, 10.0)],
    ids=["a site or two", "100 nodes", "1,000 nodes", "10,000 nodes", "more"],
)
def test_figures_are_few_writes_a_second_in_a_fleet_of_any_size(
    rig: Rig, placements: int, writes: float
) -> None:
    """Of 76 placements each wrote its figures once a minute: five times what a fleet may write."""
    rig.mirror.placements = placements
    assert placements / rig.statuses.period <= writes


async def test_figures_of_a_large_fleet_are_so_many_writes_a_second_and_no_more(rig: Rig) -> None:
    """Ten thousand placements wrote theirs each minute: 167 writes a second."""
    rig.mirror.placements = 10_000
    rig.cache(of_placement())
    await rig.statuses.write(of_placement("21ms"))
    due = rig.statuses.judge(of_placement("22ms"), 0.0)
    assert due is not None
    assert due.wait == pytest.approx(10_000 / statuses.FIGURES_A_SECOND, rel=0.01)


@pytest.mark.parametrize("has_led_before", [False, True])
async def test_figures_that_a_term_finds_come_one_after_the_other(
    rig: Rig, *, has_led_before: bool
) -> None:
    """Of 760 placements a restart wrote every one anew at once."""
    queue = [dataclasses.replace(of_placement("22ms"), name=f"p{number}") for number in range(760)]
    for queued in queue:
        rig.cache(queued, of_placement("21ms").status.document())
        if has_led_before:
            await rig.statuses.write(queued)
    rig.time += 2 * rig.statuses.period
    rig.statuses.begin()
    period = rig.statuses.period
    dues = [rig.statuses.judge(queued, 0.0) for queued in queue]
    waits = sorted(due.wait for due in dues if due is not None)
    assert len(waits) == 760
    assert 0.0 <= waits[0] < waits[-1] <= period
    assert max(after - before for before, after in itertools.pairwise(waits)) < period / 50
    rig.time += period
    assert all((due := rig.statuses.judge(queued, period)) and due.wait == 0.0 for queued in queue)


async def test_another_term_takes_turns_in_another_order(rig: Rig) -> None:
    """The last of one term would otherwise be the last of each, however short terms are."""
    queued = of_placement("22ms")
    rig.cache(queued, of_placement("21ms").status.document())
    waits = set()
    for _ in range(5):
        rig.time += 1.0
        rig.statuses.begin()
        due = rig.statuses.judge(queued, 0.0)
        assert due is not None
        waits.add(due.wait)
    assert len(waits) == 5


async def test_what_is_new_of_a_placement_is_written_at_once_by_whoever_leads(rig: Rig) -> None:
    rig.cache(of_placement(), of_placement("21ms", replicas=2).status.document())
    due = rig.statuses.judge(of_placement("22ms"), 0.0)
    assert due is not None
    assert due.wait == 0.0


async def test_a_transition_of_a_placement_does_not_wait_for_its_figures(rig: Rig) -> None:
    rig.cache(of_placement())
    await rig.statuses.write(of_placement("21ms"))
    due = rig.statuses.judge(of_placement("22ms", replicas=2), 0.0)
    assert due is not None
    assert due.wait == 0.0


async def test_moments_of_figures_of_placements_that_are_gone_are_bounded(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statuses, "FIGURES_MORE", 10)
    for number in range(100):
        queued = dataclasses.replace(of_placement(), name=f"p{number}")
        rig.cache(queued)
        await rig.statuses.write(queued)
        if number % 20:
            del rig.mirror.documents[queued.key]
    assert len(rig.statuses._figures_written) <= 5 + 10 + 1


async def test_readiness_that_turned_is_an_event_of_its_write(rig: Rig) -> None:
    rig.cache(of_device(ready("True")))
    await rig.statuses.write(of_device(ready("False", "AgentSilent")))
    assert [event.reason for event in rig.events] == ["AgentSilent"]


async def test_an_object_that_is_not_understood_says_so_as_it_is_written(rig: Rig) -> None:
    status = v1alpha1.statuses.Observed(observed_generation=1, conditions=(ready("False"),))
    document = {"metadata": {"namespace": "hq", "name": "odd", "resourceVersion": "7"}}
    queued = status_queue.QueuedStatus("Device", "hq", "odd", status, document)
    due = rig.statuses.judge(queued, 0.0)
    assert due is not None
    assert due.wait == 0.0
    assert await rig.statuses.write(queued) is apply.WriteResult.WRITTEN
    assert rig.writer.managers == [statuses.LIFECYCLE]
