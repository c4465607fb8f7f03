"""What becomes of a plan at the API server, as far as the next pass has to know it."""

from typing import Any, cast

import pytest

from builders import planning as build
from foreshore_api import meta
from foreshore_kube import api, apply, kinds
from foreshore_operator import act, defects, events, metrics, pods, store
from foreshore_planner import plan as planning
from foreshore_planner import snapshot

QUOTA = 'pods "ventilate-r0" is forbidden: exceeded quota: small'


class FakeKube:
    """Lets everything in but kinds with a failure, and remembers what it let in."""

    def __init__(self) -> None:
        self.failures: dict[str, Exception] = {}
        self.made: list[str] = []

    async def apply(self, _kind: kinds.ResourceKind, document: api.Json, **_: Any) -> api.Json:
        return document

    async def create(self, kind: kinds.ResourceKind, document: api.Json, **_: Any) -> api.Json:
        if kind.kind in self.failures:
            raise self.failures[kind.kind]
        self.made.append(kind.kind)
        return {"metadata": {**document["metadata"], "uid": "uid"}}


class Leader:
    epoch = 1

    def may_write(self) -> bool:
        return True


class FakeStore:
    """The resources of a snapshot, and pods that somebody adds."""

    def __init__(self, seen: snapshot.Snapshot) -> None:
        every = (*seen.policies, *seen.versions, *seen.models, *seen.placements)
        self._resources = {(type(one), one.metadata.name): one for one in every}
        self.seen: pods.PodRecord | None = None

    def document(self, *_: Any) -> None:
        return None

    def find(self, model: type[meta.Resource], _namespace: str, name: str) -> meta.Resource | None:
        return self._resources.get((model, name))

    def pod(self, _namespace: str, _name: str) -> pods.PodRecord | None:
        return self.seen

    def undecodable(self) -> tuple[()]:
        return ()


class Rig:
    def __init__(self) -> None:
        first = build.world()
        self.seen = build.applied(first, planning.plan(first))
        self.kube, self.time = FakeKube(), 0.0
        self.store = FakeStore(self.seen)
        writer = apply.Writer(cast(api.KubeApi, self.kube), Leader(), clock=lambda: self.time)
        self.act = act.Act(
            writer,
            cast(store.ClusterMirrors, self.store),
            metrics.Metrics(),
            "image",
            cast(events.EventRecorder, None),
            defects.Defects(lambda _kind: None),
        )

    async def carry_out(self, seen: snapshot.Snapshot | None = None) -> float | None:
        self.time += 10.0
        return await self.act.carry_out(planning.plan(seen or self.seen))


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def pod(rig: Rig) -> tuple[str, str]:
    (placement,) = planning.plan(rig.seen).placements
    (intent,) = placement.pods
    return intent.namespace, intent.name


@pytest.mark.parametrize(
    "error",
    [
        api.RejectedError(403, QUOTA, reason="Forbidden"),
        api.UnavailableError(500, "failed calling webhook: connection refused"),
    ],
    ids=["refused", "its webhook does not answer"],
)
async def test_a_pod_that_is_not_let_in_is_remembered_with_the_api_servers_words(
    rig: Rig, pod: tuple[str, str], error: api.ApiError
) -> None:
    rig.kube.failures["Pod"] = error
    again = await rig.carry_out()
    assert rig.act.refusals == {pod: str(error)}
    assert again == 0.0, "the next pass says it, at once"
    assert await rig.carry_out() != 0.0, "which is no news any more"


async def test_an_api_server_that_is_away_refuses_nothing(rig: Rig) -> None:
    rig.kube.failures["Pod"] = api.UnavailableError(0, "no connection")
    await rig.carry_out()
    assert rig.act.refusals == {}


async def test_what_a_pod_reads_is_remembered_by_the_pods_name(
    rig: Rig, pod: tuple[str, str]
) -> None:
    rig.kube.failures["ConfigMap"] = api.RejectedError(403, "exceeded quota: maps")
    await rig.carry_out()
    assert "exceeded quota: maps" in rig.act.refusals[pod]
    assert rig.kube.made == ["Pod"]


async def test_a_pod_that_is_let_in_is_forgotten(rig: Rig, pod: tuple[str, str]) -> None:
    rig.kube.failures["Pod"] = api.RejectedError(403, QUOTA)
    await rig.carry_out()
    assert pod in rig.act.refusals
    del rig.kube.failures["Pod"]
    assert await rig.carry_out() == 0.0
    assert rig.act.refusals == {}


async def test_a_pod_that_is_not_wanted_any_more_is_forgotten(rig: Rig) -> None:
    rig.kube.failures["Pod"] = api.RejectedError(403, QUOTA)
    await rig.carry_out()
    await rig.carry_out(build.world(policies=()))
    assert rig.act.refusals == {}


async def test_an_endless_answer_is_kept_within_bounds(rig: Rig, pod: tuple[str, str]) -> None:
    rig.kube.failures["Pod"] = api.RejectedError(403, "x" * 1_000_000)
    await rig.carry_out()
    assert len(rig.act.refusals[pod]) <= 512
