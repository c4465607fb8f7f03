"""Writers against a counting API: what is skipped, what is refused, what carries preconditions."""

from typing import Any, cast

import pytest

from foreshore_api import meta, v1alpha1
from foreshore_kube import api, apply, kinds


class Recorder:
    """A KubeApi that notes writes and answers reads from `live`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.live: api.Json = {}
        self.failure: api.ApiError | None = None

    async def apply(
        self, _kind: kinds.ResourceKind, document: api.Json, **options: Any
    ) -> api.Json:
        return self._note("apply", {"document": document, **options})

    async def create(
        self, _kind: kinds.ResourceKind, document: api.Json, **options: Any
    ) -> api.Json:
        return self._note("create", {"document": document, **options})

    async def delete(
        self, _kind: kinds.ResourceKind, _namespace: str, name: str, **options: Any
    ) -> None:
        self._note("delete", {"name": name, **options})

    async def get(self, *_: object) -> api.Json:
        return self.live

    def _note(self, verb: str, call: dict[str, Any]) -> api.Json:
        if self.failure is not None:
            raise self.failure
        self.calls.append((verb, call))
        return {}


class Leader:
    epoch = 42

    def __init__(self) -> None:
        self.leads = True

    def may_write(self) -> bool:
        return self.leads


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def leader() -> Leader:
    return Leader()


@pytest.fixture
def writer(recorder: Recorder, leader: Leader) -> apply.Writer:
    return apply.Writer(cast(api.KubeApi, recorder), leader)


def config_map(**data: str) -> api.Json:
    return {"metadata": {"namespace": "hq", "name": "m"}, "data": data}


async def put(
    writer: apply.Writer, document: api.Json, cached: api.Json | None
) -> apply.WriteResult:
    return await writer.apply(
        kinds.CONFIG_MAPS, document, manager="foreshore-placement", owns=("data",), cached=cached
    )


async def test_what_the_api_server_already_says_is_not_written(
    writer: apply.Writer, recorder: Recorder
) -> None:
    cached = config_map(a="1")
    cached["metadata"]["annotations"] = {meta.ANNOTATION_EPOCH: "7", "someone": "else"}

    assert await put(writer, config_map(a="1"), cached) is apply.WriteResult.UNCHANGED
    assert recorder.calls == []


async def test_a_field_that_should_go_away_is_a_difference(writer: apply.Writer) -> None:
    cached = config_map(a="1", b="2")

    assert await put(writer, config_map(a="1"), cached) is apply.WriteResult.WRITTEN


async def test_the_order_of_a_list_map_is_no_difference() -> None:
    ready, placed = {"type": "Ready", "status": "True"}, {"type": "Placed", "status": "True"}

    assert apply.is_same(
        {"status": {"conditions": [ready, placed]}},
        {"status": {"conditions": [placed, ready], "authority": {"epoch": 3}}},
        ("status.conditions",),
    )


async def test_the_same_write_is_not_repeated_before_the_watch_brings_it_back(
    writer: apply.Writer, recorder: Recorder
) -> None:
    stale = config_map(a="0")
    await put(writer, config_map(a="1"), stale)

    assert await put(writer, config_map(a="1"), stale) is apply.WriteResult.SETTLING
    assert len(recorder.calls) == 1


async def test_what_was_written_is_forgotten_once_it_settled_and_what_was_not_is_not(
    recorder: Recorder, leader: Leader
) -> None:
    now = [100.0]
    writer = apply.Writer(cast(api.KubeApi, recorder), leader, clock=lambda: now[0])

    async def write(name: str, value: str, later: float) -> apply.WriteResult:
        now[0] += later * apply.SETTLING
        document = config_map(a=value)
        document["metadata"]["name"] = name
        return await put(writer, document, None)

    await write("first", "1", 0.0)
    await write("second", "1", 0.2)
    await write("first", "2", 0.4)
    await write("third", "1", 0.6)
    assert [key[2] for key in writer._recent] == ["first", "third"]
    assert await write("first", "2", 0.0) is apply.WriteResult.SETTLING
    assert await write("second", "1", 0.0) is apply.WriteResult.WRITTEN
    await write("fourth", "1", 1.0)
    assert [key[2] for key in writer._recent] == ["fourth"]


def since(time: str, status: str = "True") -> api.Json:
    condition = {"type": "Ready", "status": status, "lastTransitionTime": time}
    return {
        "metadata": {"namespace": "hq", "name": "room-301"},
        "status": {"conditions": [condition]},
    }


async def test_two_statuses_that_differ_in_when_they_were_made_do_not_chase_each_other(
    recorder: Recorder, writer: apply.Writer
) -> None:
    """Each was written over the other every two seconds, for ever."""

    async def say(document: api.Json, cached: api.Json | None) -> apply.WriteResult:
        return await writer.apply(
            kinds.of(v1alpha1.Device),
            document,
            manager="foreshore-lifecycle",
            owns=("status.conditions",),
            cached=cached,
            subresource="status",
        )

    early, late = since("2026-03-01T10:00:00Z"), since("2026-03-01T10:00:03Z")
    assert await say(early, since("2026-03-01T09:00:00Z", "False")) is apply.WriteResult.WRITTEN
    assert await say(late, since("2026-03-01T09:00:00Z", "False")) is apply.WriteResult.SETTLING
    assert await say(late, early) is apply.WriteResult.UNCHANGED
    assert len(recorder.calls) == 1
    assert await say(since("2026-03-01T10:00:09Z", "False"), late) is apply.WriteResult.WRITTEN


async def test_nothing_is_written_without_the_lease(
    writer: apply.Writer, recorder: Recorder, leader: Leader
) -> None:
    leader.leads = False

    assert await put(writer, config_map(a="1"), None) is apply.WriteResult.NOT_LEADING
    assert recorder.calls == []


SITES = kinds.of(v1alpha1.Site)


async def put_status(writer: apply.Writer, cached: api.Json | None) -> apply.WriteResult:
    return await writer.apply(
        SITES,
        {"metadata": {"namespace": "hq", "name": "hq"}, "status": {"nodes": 3}},
        manager="foreshore-lifecycle",
        owns=("status.nodes", "status.writerEpoch"),
        cached=cached,
        subresource="status",
    )


async def test_an_object_carries_the_epoch_in_its_metadata_and_a_status_in_itself(
    writer: apply.Writer, recorder: Recorder
) -> None:
    """From a write of a status the API server takes no metadata."""
    await put(writer, config_map(a="1"), None)
    await put_status(writer, None)

    written, of_status = (call["document"] for _, call in recorder.calls)
    assert written["metadata"]["annotations"] == {meta.ANNOTATION_EPOCH: "42"}
    assert "annotations" not in of_status["metadata"]
    assert of_status["status"] == {"nodes": 3, "writerEpoch": 42}


async def test_a_kind_that_knows_no_writer_is_given_none(
    writer: apply.Writer, recorder: Recorder
) -> None:
    status = {"metadata": {"namespace": "hq", "name": "p"}, "status": {"phase": "Running"}}
    await writer.apply(
        kinds.PODS, status, manager="m", owns=("status",), cached=None, subresource="status"
    )

    assert recorder.calls[0][1]["document"] == status


async def test_a_new_term_alone_writes_nothing_again(
    writer: apply.Writer, recorder: Recorder
) -> None:
    """Or a take-over would write every status of the fleet."""
    assert await put_status(writer, {"status": {"nodes": 3, "writerEpoch": 41}}) is (
        apply.WriteResult.UNCHANGED
    )
    assert recorder.calls == []


@pytest.fixture
def yielding(recorder: Recorder, leader: Leader) -> apply.Writer:
    """A writer that yields to every later epoch."""
    return apply.Writer(
        cast(api.KubeApi, recorder), leader, yields_to=lambda epoch: epoch > leader.epoch
    )


@pytest.mark.parametrize(
    ("epoch", "outcome"),
    [(42, apply.WriteResult.WRITTEN), (43, apply.WriteResult.SUPERSEDED)],
)
async def test_what_a_later_leader_wrote_is_left_alone(
    yielding: apply.Writer, recorder: Recorder, epoch: int, outcome: apply.WriteResult
) -> None:
    cached = config_map(a="0")
    cached["metadata"]["annotations"] = {meta.ANNOTATION_EPOCH: str(epoch)}

    assert await put_status(yielding, {"status": {"writerEpoch": epoch}}) is outcome
    assert await put(yielding, config_map(a="1"), cached) is outcome
    assert len(recorder.calls) == (2 if outcome is apply.WriteResult.WRITTEN else 0)


async def test_a_pod_that_a_later_leader_made_is_not_deleted(
    yielding: apply.Writer, recorder: Recorder
) -> None:
    """A DELETE carries no epoch, so that nothing else would refuse it."""
    annotations = {meta.ANNOTATION_EPOCH: "43"}
    recorder.live = {
        "metadata": {
            "namespace": "hq", "name": "p", "uid": "one", "resourceVersion": "12",
            "annotations": annotations,
        }
    }  # fmt: skip

    assert await delete(yielding) is apply.WriteResult.MOVED_ON
    annotations[meta.ANNOTATION_EPOCH] = "42"
    assert await delete(yielding) is apply.WriteResult.WRITTEN
    assert [verb for verb, _ in recorder.calls] == ["delete"]


REFUSED = (
    "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'foreshore-epoch-of-leader' with binding"
    " 'foreshore-epoch-of-leader' denied request: written under leader epoch 42"
)


async def test_a_refusal_for_the_epoch_is_no_fault_of_the_object(
    writer: apply.Writer, recorder: Recorder
) -> None:
    recorder.failure = api.RejectedError(403, REFUSED, reason="Forbidden")

    assert await put(writer, config_map(a="1"), None) is apply.WriteResult.SUPERSEDED
    creation = await writer.create(kinds.PODS, config_map(), manager="m")
    assert (creation.outcome, creation.error) == (apply.WriteResult.SUPERSEDED, None)

    recorder.failure = api.RejectedError(403, "no right to make pods", reason="Forbidden")
    creation = await writer.create(kinds.PODS, config_map(), manager="m")
    assert creation.error is recorder.failure


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (api.ConflictError(409, ""), apply.WriteResult.MOVED_ON),
        (api.NotFoundError(404, ""), apply.WriteResult.MOVED_ON),
        (api.RejectedError(422, ""), apply.WriteResult.REJECTED),
        (api.UnavailableError(503, ""), apply.WriteResult.UNAVAILABLE),
    ],
)
async def test_failures_are_classed_by_what_happens_next(
    writer: apply.Writer, recorder: Recorder, failure: api.ApiError, outcome: apply.WriteResult
) -> None:
    recorder.failure = failure

    assert await put(writer, config_map(a="1"), None) is outcome


async def delete(writer: apply.Writer, *, is_due: bool = True) -> apply.WriteResult:
    return await writer.delete(kinds.PODS, "hq", "p", uid="one", is_due=lambda _: is_due)


async def test_a_delete_names_the_version_it_looked_at(
    writer: apply.Writer, recorder: Recorder
) -> None:
    recorder.live = {"metadata": {"uid": "one", "resourceVersion": "12"}}

    assert await delete(writer) is apply.WriteResult.WRITTEN
    assert recorder.calls == [("delete", {"name": "p", "uid": "one", "resource_version": "12"})]


@pytest.mark.parametrize(
    ("metadata", "is_due"),
    [
        ({"uid": "another", "resourceVersion": "12"}, True),
        ({"uid": "one", "resourceVersion": "12"}, False),
        (
            {"uid": "one", "resourceVersion": "12", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            True,
        ),
    ],
    ids=["made again under the same name", "no longer due", "already on its way out"],
)
async def test_a_live_object_that_is_not_what_was_decided_on_stays(
    writer: apply.Writer, recorder: Recorder, metadata: dict[str, str], is_due: bool
) -> None:
    recorder.live = {"metadata": metadata}

    assert await delete(writer, is_due=is_due) is apply.WriteResult.MOVED_ON
    assert recorder.calls == []
