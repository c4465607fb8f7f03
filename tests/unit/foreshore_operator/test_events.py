"""Which transitions people are told of, and how often."""

import asyncio
from typing import Any, cast

import pytest

from foreshore_api import v1alpha1
from foreshore_kube import api, kinds
from foreshore_operator import events

SUBJECT = events.EventSubject("InferencePlacement", "hq", "p.hq", "uid")
TIME = "2026-03-01T10:00:00Z"


def status(ready: str = "True", **more: Any) -> v1alpha1.InferencePlacementStatus:
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": "Delivered" if ready == "True" else "NoCandidate",
        "message": "m",
        "lastTransitionTime": TIME,
    }
    return v1alpha1.InferencePlacementStatus.model_validate({"conditions": [condition], **more})


def test_the_first_readiness_is_told_and_the_same_one_is_not_told_again() -> None:
    first = list(events.of_status(SUBJECT, {}, status()))
    again = list(events.of_status(SUBJECT, status().document(), status()))

    assert [(each.type, each.reason) for each in first] == [("Normal", "Delivered")]
    assert again == []


def test_what_stopped_being_ready_is_a_warning() -> None:
    (event,) = events.of_status(SUBJECT, status().document(), status("False"))

    assert (event.type, event.reason) == ("Warning", "NoCandidate")


def test_each_new_move_is_told_with_its_evidence() -> None:
    old = {
        "time": TIME,
        "to": "edge-1",
        "cause": "FirstPlacement",
        "evidence": "the slot was empty",
    }
    new = {
        "time": "2026-03-01T11:00:00Z",
        "from": "edge-1",
        "to": "edge-2",
        "cause": "NodeDead",
        "evidence": "its beats have stopped",
    }
    before, after = status(moves=[old]), status(moves=[new, old])

    (event,) = events.of_status(SUBJECT, before.document(), after)

    assert event.reason == "NodeDead"
    assert event.note == "edge-1 → edge-2: its beats have stopped"


class Recorded:
    """A KubeApi that notes events."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, api.Json]] = []

    async def create(self, _kind: kinds.ResourceKind, document: api.Json) -> api.Json:
        self.writes.append(("POST", document))
        return {}

    async def write(self, method: str, _path: str, document: api.Json, **_: Any) -> api.Json:
        self.writes.append((method, document))
        return {}


class Leader:
    epoch = 1

    def may_write(self) -> bool:
        return True


@pytest.mark.looptime
async def test_a_storm_of_one_event_is_one_object_whose_series_counts() -> None:
    kube = Recorded()
    loop = asyncio.get_running_loop()
    recorder = events.EventRecorder(cast(api.KubeApi, kube), Leader(), "a", clock=loop.time)
    task = asyncio.create_task(recorder.run())
    for _ in range(40):
        recorder.record(events.ObjectEvent(SUBJECT, "Warning", "NodeDead", "Place", "gone"))
        await asyncio.sleep(1)
    task.cancel()

    assert [method for method, _ in kube.writes] == ["POST", "PATCH"]
    assert kube.writes[1][1]["series"]["count"] >= 30


@pytest.mark.looptime
async def test_too_many_different_events_are_dropped_and_counted() -> None:
    kube = Recorded()
    recorder = events.EventRecorder(cast(api.KubeApi, kube), Leader(), "a")
    for number in range(events.QUEUE + 50):
        recorder.record(events.ObjectEvent(SUBJECT, "Normal", f"R{number}", "Place", ""))

    assert recorder.dropped == 50
