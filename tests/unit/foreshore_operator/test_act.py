"""What becomes of a plan at the API server, as far as the next pass has to know it."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, cast

import pytest

from builders import planning as build
from foreshore_api import meta, v1alpha1
from foreshore_kube import api, apply, kinds
from foreshore_operator import act, defects, events, manifests, metrics, pods, status_queue, store
from foreshore_planner import plan as planning
from foreshore_planner import protection, snapshot
from foreshore_planner.placement import case
from foreshore_planner.world import delta, fold

QUOTA = 'pods "ventilate-r0" is forbidden: exceeded quota: small'


BUDGET = protection.key("hq", "ventilate")


class FakeKube:
    """Lets everything in but kinds with a failure, and remembers what it let in."""

    def __init__(self) -> None:
        self.failures: dict[str, Exception] = {}
        self.made: list[str] = []
        self.documents: list[api.Json] = []
        self.statuses: list[str] = []
        self.tried: list[str] = []
        self.on_write: Callable[[], None] = lambda: None

    async def apply(self, kind: kinds.ResourceKind, document: api.Json, **options: Any) -> api.Json:
        self.on_write()
        if kind.kind in self.failures:
            raise self.failures[kind.kind]
        if options.get("subresource"):
            self.statuses.append(document["metadata"]["name"])
            self.documents.append(document)
        return document

    async def get(self, *_: object) -> api.Json:
        raise api.NotFoundError(404, "gone")

    async def create(self, kind: kinds.ResourceKind, document: api.Json, **_: Any) -> api.Json:
        self.tried.append(kind.kind)
        if kind.kind in self.failures:
            raise self.failures[kind.kind]
        self.made.append(kind.kind)
        self.documents.append(document)
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

        self.written: dict[str, Any] | None = None
        """The placement as the API server has it."""
        self.on_look: Callable[[str], None] = lambda _name: None

    def document(self, kind: str, *_: Any) -> dict[str, Any] | None:
        return self.written if kind == "InferencePlacement" else None

    def find(self, model: type[meta.Resource], _namespace: str, name: str) -> meta.Resource | None:
        self.on_look(name)
        return self._resources.get((model, name))

    def pod(self, _namespace: str, _name: str) -> pods.PodRecord | None:
        return self.seen

    def forget(self, model: type[meta.Resource], name: str) -> None:
        del self._resources[(model, name)]

    def undecodable(self) -> tuple[()]:
        return ()


class Offered:
    """A queue that only remembers what it was offered, and whether it stood back."""

    def __init__(self) -> None:
        self.keys: list[status_queue.ObjectName] = []
        self.withdrawn: list[status_queue.ObjectName] = []
        self.is_standing_back = False

    def offer(self, statuses: Iterable[status_queue.QueuedStatus]) -> None:
        self.keys += [queued.key for queued in statuses]

    def withdraw(self, name: status_queue.ObjectName) -> None:
        self.withdrawn.append(name)

    @contextlib.contextmanager
    def stand_back(self, _names: Collection[status_queue.ObjectName]) -> Iterator[None]:
        self.is_standing_back = True
        yield
        self.is_standing_back = False


class Recorded(list[events.ObjectEvent]):
    def record(self, event: events.ObjectEvent) -> None:
        self.append(event)


class Rig:
    def __init__(self) -> None:
        first = build.world()
        self.seen = build.applied(first, planning.plan(first))
        self.kube, self.time, self.recorder = FakeKube(), 0.0, Recorded()
        self.store = FakeStore(self.seen)
        writer = apply.Writer(cast(api.KubeApi, self.kube), Leader(), clock=lambda: self.time)
        figures, met = metrics.Metrics(), defects.Defects(lambda _kind: None)
        self.offered = Offered()
        self.last: planning.Plan | None = None
        self.act = act.Act(
            writer,
            cast(status_queue.StatusQueue, self.offered),
            cast(store.ClusterMirrors, self.store),
            figures,
            "image",
            cast(events.EventRecorder, self.recorder),
            met,
        )

    async def carry_out(self, seen: snapshot.Snapshot | None = None) -> float | None:
        self.time += 10.0
        return await self.write(planning.plan(seen or self.seen))

    async def write(self, made: planning.Plan) -> float | None:
        """What a pass does with a plan, as it differs from the one before."""
        changed, rows = build.as_changes(made, self.last)
        self.last = made
        again = await self.act.carry_out(changed)
        self.act.offer(rows)
        return again

    async def try_again(self) -> float | None:
        """A pass for which nothing changed."""
        self.time += 10.0
        assert self.last is not None
        changed, _ = build.as_changes(self.last)
        return await self.act.carry_out(dataclasses.replace(changed, placements={}))


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
    assert "Pod" in rig.kube.made
    assert "ConfigMap" not in rig.kube.made


async def test_evictions_of_a_policys_pods_are_made_to_wait_once(rig: Rig) -> None:
    await rig.carry_out()
    (budget,) = (one for one in rig.kube.documents if "minAvailable" in one.get("spec", {}))
    (policy,) = rig.seen.policies
    assert budget["metadata"]["name"] == "ventilate-replicas"
    assert budget["metadata"]["ownerReferences"][0]["uid"] == policy.metadata.uid
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    wanted = budget["spec"]["selector"]["matchLabels"]
    (pod,) = (one for one in rig.kube.documents if "containers" in one.get("spec", {}))
    assert wanted.items() <= pod["metadata"]["labels"].items(), "it selects the pods"
    await rig.carry_out()
    assert rig.kube.made.count("PodDisruptionBudget") == 1


async def test_a_pod_runs_where_nothing_makes_evictions_wait_and_that_is_said(rig: Rig) -> None:
    rig.kube.failures["PodDisruptionBudget"] = api.RejectedError(403, "forbidden")
    again = await rig.carry_out()
    assert rig.kube.made == ["Pod", "ConfigMap"]
    assert "forbidden" in rig.act.refusals[BUDGET]
    assert again == 0.0, "the next pass says it, at once"
    del rig.kube.failures["PodDisruptionBudget"]
    assert await rig.carry_out() == 0.0
    assert "PodDisruptionBudget" in rig.kube.made, "it is tried again"
    assert rig.act.refusals == {}


async def test_a_disruption_budget_of_a_policy_that_is_gone_is_forgotten(rig: Rig) -> None:
    rig.kube.failures["PodDisruptionBudget"] = api.RejectedError(403, "forbidden")
    await rig.carry_out()
    await rig.carry_out(build.world(policies=()))
    assert rig.act.refusals == {}


def running(rig: Rig) -> pods.PodRecord:
    (placement,) = planning.plan(rig.seen).placements
    (intent,) = placement.pods
    return ready(intent)


async def test_a_new_leader_protects_pods_that_another_release_made(rig: Rig) -> None:
    """Bug: until a policy's next pod was made, a drain took the pods it had."""
    rig.store.seen = running(rig)
    await rig.carry_out()
    assert rig.kube.made == ["PodDisruptionBudget"]
    await rig.carry_out()
    assert rig.kube.made == ["PodDisruptionBudget"], "once"
    rig.act.stand_down()
    await rig.carry_out()
    assert rig.kube.made == ["PodDisruptionBudget"] * 2, "who leads next looks again"


async def test_a_budget_that_somebody_deleted_is_made_again_and_that_is_said(rig: Rig) -> None:
    """Regression: only the next leader made it again, and a drain took the pods meanwhile."""
    rig.store.seen = running(rig)
    await rig.carry_out()
    (policy,) = rig.seen.policies
    rig.act.policies.miss(policy.metadata.uid or "")
    rig.kube.failures["PodDisruptionBudget"] = api.UnavailableError(0, "no connection")
    await rig.try_again()
    assert not rig.recorder
    del rig.kube.failures["PodDisruptionBudget"]
    await rig.try_again()
    assert rig.kube.made == ["PodDisruptionBudget"] * 2, "though nothing changed"
    (event,) = rig.recorder
    assert (event.subject.kind, event.subject.name) == ("DecisionPolicy", "ventilate")
    assert (event.type, event.reason) == ("Warning", "Restored")
    assert "ventilate-replicas was deleted" in event.note
    await rig.try_again()
    assert rig.kube.made == ["PodDisruptionBudget"] * 2, "once"


async def test_a_budget_that_is_gone_with_its_policy_is_not_made_again(rig: Rig) -> None:
    rig.store.seen = running(rig)
    await rig.carry_out()
    rig.act.policies.miss(rig.seen.policies[0].metadata.uid or "")
    rig.store.forget(v1alpha1.DecisionPolicy, "ventilate")
    await rig.try_again()
    assert rig.kube.made == ["PodDisruptionBudget"]
    assert not [*rig.act.policies.unprotected(cast(store.ClusterMirrors, rig.store))]


def stopped(rig: Rig, reason: str | None) -> pods.PodRecord:
    """The pod, not ready: with a reason where its container does not run."""
    record = running(rig)
    assert record.inference is not None
    unready = snapshot.PodPhase.UNREADY
    inference = dataclasses.replace(record.inference, phase=unready, reason=reason)
    return dataclasses.replace(record, inference=inference)


@pytest.mark.parametrize(
    ("reason", "made"),
    [("ContainerCreating", ["ConfigMap"]), (None, [])],
    ids=["it may be started anew", "it runs"],
)
async def test_what_a_pod_reads_is_made_again_for_a_pod_that_may_be_started_anew(
    rig: Rig, reason: str | None, made: list[str]
) -> None:
    """Somebody deleted it: what runs needs it no more, but after a reboot its pod hung for ever."""
    rig.store.seen = stopped(rig, reason)
    (placement,) = planning.plan(rig.seen).placements
    rig.store.written = manifests.placement(placement, rig.seen.policies[0])
    await rig.carry_out()
    assert [kind for kind in rig.kube.made if kind == "ConfigMap"] == made
    notes = [event.note for event in rig.recorder if event.reason == "Restored"]
    assert len(notes) == len(made)
    assert all("cannot be started anew" in note for note in notes)
    await rig.try_again()
    assert rig.kube.tried.count("ConfigMap") == len(made), "not again in each pass"


async def test_what_a_pod_reads_and_is_there_is_no_news(rig: Rig) -> None:
    rig.store.seen = stopped(rig, "CrashLoopBackOff")
    rig.kube.failures["ConfigMap"] = api.ConflictError(409, "exists", reason="AlreadyExists")
    await rig.carry_out()
    assert "ConfigMap" in rig.kube.tried
    assert not rig.recorder
    assert rig.act.refusals == {}


async def test_of_many_pods_of_a_policy_one_a_pass_tries_to_protect_them(rig: Rig) -> None:
    rig.kube.failures["PodDisruptionBudget"] = api.RejectedError(403, "forbidden")
    rig.store.seen = running(rig)
    two = build.world(policies=(build.policy(placement={"replicas": 2, "standby": 1}),))
    await rig.carry_out(build.settle(two))
    assert rig.kube.tried.count("PodDisruptionBudget") == 1
    await rig.carry_out(build.settle(two))
    assert rig.kube.tried.count("PodDisruptionBudget") == 2


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


async def test_statuses_are_queued_and_never_written_by_a_pass(rig: Rig) -> None:
    await rig.carry_out()
    assert ("Site", "hq", "hq") in rig.offered.keys
    assert ("DecisionPolicy", "hq", "ventilate") in rig.offered.keys
    assert rig.kube.statuses == []


def ready(intent: case.PodIntent) -> pods.PodRecord:
    """The pod that was wanted, as it serves."""
    inference = pods.InferencePod(
        policy=intent.policy,
        site=intent.site,
        slot=intent.slot,
        template=intent.template,
        phase=snapshot.PodPhase.READY,
        address="192.0.2.1",
        restarts=0,
        reason=None,
        message=None,
    )
    requests = snapshot.ComputeResources()
    return pods.PodRecord(intent.namespace, intent.name, "uid", intent.node, requests, inference)


def granting() -> planning.Plan:
    made = planning.plan(build.world())
    assert [grant.device for grant in made.grants] == ["room-301"]
    return made


async def test_a_device_that_was_granted_just_now_says_nothing_before_its_grant_came_back(
    rig: Rig,
) -> None:
    await rig.write(granting())
    assert rig.kube.statuses == ["room-301"], "the grant itself"
    assert ("Device", "hq", "room-301") not in rig.offered.keys


async def test_a_grant_says_in_one_write_what_is_so_with_it(rig: Rig) -> None:
    """A new Device was written twice: its grant, and its status once that came back."""
    world = fold.KeptWorld()
    made = fold.fold(world, delta.between(None, build.world()))
    granted, defects_ = world.granted(made.grants)
    assert not defects_
    await rig.act.carry_out(made, granted)
    [written] = [part for part in rig.kube.documents if part["metadata"]["name"] == "room-301"]
    assert written["status"]["authority"]["holder"] == made.grants[0].authority.holder
    [ready_] = [line for line in written["status"]["conditions"] if line["type"] == "Ready"]
    assert (ready_["status"], ready_["reason"]) == ("True", "Delivered")
    assert written["metadata"]["resourceVersion"] == made.grants[0].resource_version
    reasons_ = [event.reason for event in rig.recorder if event.subject.name == "room-301"]
    assert reasons_ == ["FirstGrant", "Delivered"]


async def test_a_device_whose_grant_did_not_get_through_says_what_is_so(rig: Rig) -> None:
    rig.kube.failures["Device"] = api.ConflictError(409, "it has changed")
    await rig.write(granting())
    assert ("Device", "hq", "room-301") in rig.offered.keys


async def test_statuses_stand_back_while_urgent_writes_are_under_way(rig: Rig) -> None:
    seen: list[bool] = []
    rig.kube.on_write = lambda: seen.append(rig.offered.is_standing_back)
    await rig.carry_out()
    assert seen
    assert all(seen)
    assert not rig.offered.is_standing_back


async def test_a_thousand_objects_with_nothing_to_write_leave_the_loop_to_others(rig: Rig) -> None:
    made, _ = build.as_changes(planning.plan(rig.seen))
    [placement] = made.placements.values()
    many = dataclasses.replace(
        made, placements={("hq", f"p{number:04}"): placement for number in range(1000)}
    )
    turns = 0

    async def neighbour() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(neighbour())
    await rig.act.carry_out(many)
    beside.cancel()
    assert turns > 1000 / act.SLICE


async def test_a_pod_that_could_not_be_made_is_tried_again_though_nothing_changed(
    rig: Rig,
) -> None:
    rig.kube.failures["Pod"] = api.UnavailableError(0, "no connection")
    assert await rig.carry_out() == 1.0
    del rig.kube.failures["Pod"]
    await rig.try_again()
    assert "Pod" in rig.kube.made


async def test_a_leader_that_was_held_up_writes_a_second_later_what_it_could_not(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It renewed its Lease as it went on, and wrote half a minute later."""
    monkeypatch.setattr(Leader, "may_write", lambda _: False)
    assert await rig.carry_out() == 1.0
    monkeypatch.undo()
    await rig.try_again()
    assert "Pod" in rig.kube.made


async def test_a_placement_that_is_there_with_its_pods_is_not_looked_at_again(rig: Rig) -> None:
    (placement,) = planning.plan(rig.seen).placements
    (intent,) = placement.pods
    rig.store.written = manifests.placement(placement, rig.seen.policies[0])
    rig.store.seen = ready(intent)
    await rig.carry_out()
    writes = list(rig.kube.made)
    looked: list[str] = []
    rig.store.on_look = looked.append
    await rig.try_again()
    assert (rig.kube.made, looked) == (writes, [])


async def test_who_stands_down_writes_nothing_of_what_it_had_decided(rig: Rig) -> None:
    rig.kube.failures["Pod"] = api.UnavailableError(0, "no connection")
    await rig.carry_out()
    del rig.kube.failures["Pod"]
    rig.act.stand_down()
    await rig.try_again()
    assert "Pod" not in rig.kube.made
