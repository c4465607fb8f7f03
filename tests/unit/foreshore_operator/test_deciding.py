"""The kept world is fed with what changed, held to its reference, and begun anew if it is wrong."""

import asyncio
import dataclasses
import threading
from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from builders import planning as build
from foreshore_api import meta, v1alpha1
from foreshore_kube.mirror import ObjectKey
from foreshore_operator import changes, compiling, deciding, measure, store
from foreshore_planner import health, hysteresis, pooling, snapshot
from foreshore_planner import plan as planning
from foreshore_planner.world import delta, fold


class FakeMirrors:
    """The mirrors of a snapshot; everything counts as changed each time, which is never wrong."""

    def __init__(self, seen: snapshot.Snapshot) -> None:
        self.seen = seen
        self.followers: list[changes.ChangedKeys] = []

    def all_of(self, model: type[meta.Resource]) -> tuple[meta.Resource, ...]:
        return {
            v1alpha1.Site: self.seen.sites,
            v1alpha1.DeviceProfile: self.seen.profiles,
            v1alpha1.Device: self.seen.devices,
            v1alpha1.Model: self.seen.models,
            v1alpha1.ModelVersion: self.seen.versions,
            v1alpha1.DecisionPolicy: self.seen.policies,
            v1alpha1.Cluster: self.seen.clusters,
            v1alpha1.InferencePlacement: self.seen.placements,
        }[model]

    def find(self, *_: Any) -> None:
        return None

    def observed_nodes(self, _tier: v1alpha1.Tier) -> Iterator[snapshot.Node]:
        return iter(self.seen.nodes)

    def node_names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.seen.nodes)

    def replicas(self) -> Iterator[snapshot.Replica]:
        return iter(self.seen.replicas)

    def parts(self) -> tuple[snapshot.ProductPod, ...]:
        return self.seen.parts

    def follow(self) -> changes.ChangedKeys:
        self.followers.append(changes.ChangedKeys())
        return self.followers[-1]

    def forget(self, keys: changes.ChangedKeys) -> None:
        self.followers = [others for others in self.followers if others is not keys]

    def delta(self, _keys: changes.ChangedKeys, _tier: v1alpha1.Tier) -> changes.StoreDelta:
        return changes.StoreDelta(
            resources={
                (kind, ObjectKey(*key)): resource
                for kind, objects in delta.objects(self.seen).items()
                for key, resource in objects.items()
            },
            nodes={node.name: node for node in self.seen.nodes},
            replicas={ObjectKey(pod.namespace, pod.name): pod for pod in self.seen.replicas},
            parts={ObjectKey(part.namespace, part.name): part for part in self.seen.parts},
        )


class FakeCompilations:
    """Everything compiles."""

    def offer(self, _: Any) -> None:
        """Nothing has to be compiled."""

    def answers(self, _: Any) -> dict[tuple[str, str], snapshot.Compiled]:
        return {}


class FakeHub:
    def __init__(self, mirrors: FakeMirrors) -> None:
        self._mirrors = mirrors

    def evidence(self) -> tuple[Any, float]:
        return self._mirrors.seen.fleet, 0.0


class Rig:
    def __init__(self, seen: snapshot.Snapshot | None = None) -> None:
        self.mirrors = FakeMirrors(seen or build.settle(build.world()))
        self.time, self.differences = 1000.0, list[tuple[str, int]]()
        self.decider = deciding.Decider(
            cast(store.ClusterMirrors, self.mirrors),
            cast(measure.HubEvidence, FakeHub(self.mirrors)),
            cast(compiling.Compilations, FakeCompilations()),
            self.mirrors.seen.serving_image,
            {},
            stabilization=self.mirrors.seen.stabilization,
            on_difference=lambda kind, count: self.differences.append((kind, count)),
            clock=lambda: self.time,
        )

    async def compared(self, after: float) -> delta.PlanDelta:
        """Decide so many seconds later, and wait for the comparison if there is one."""
        self.time += after
        made = await self.decider.decide()
        pending = [task for task in asyncio.all_tasks() if task.get_name().startswith("comparing")]
        await asyncio.gather(*pending)
        return made


def pods(made: delta.PlanDelta) -> set[str]:
    return {pod.name for plan in made.placements.values() if plan for pod in plan.pods}


async def test_what_the_last_pass_saw_can_be_looked_at_beside_the_next_one() -> None:
    """Pooling latencies looked at everything anew each minute, on the loop."""
    first = build.settle(build.world())
    rig = Rig(first)
    assert rig.decider.last_seen() is None
    await rig.decider.decide()
    seen = rig.decider.last_seen()
    assert seen is not None
    rig.mirrors.seen = dataclasses.replace(first, fleet=None)
    await rig.decider.decide()
    assert pooling.pooled(seen) == pooling.pooled(first), "as it was then"
    assert seen.index.placements.keys() == first.index.placements.keys()


async def test_the_first_pass_decides_what_planning_everything_decides() -> None:
    seen = build.world()
    rig = Rig(seen)
    made = await rig.decider.decide()
    wanted = planning.plan(seen)
    assert pods(made) == {pod.name for plan in wanted.placements for pod in plan.pods} != set()
    assert [grant.device for grant in made.grants] == [grant.device for grant in wanted.grants]


async def test_what_a_fleet_chose_reaches_the_kept_world_and_its_reference() -> None:
    chosen = hysteresis.Stabilization(min_ready=15.0, window=120.0)
    rig = Rig(dataclasses.replace(build.world(), stabilization=chosen))
    await rig.decider.decide()
    seen = rig.decider.last_seen()
    assert seen is not None
    assert seen.stabilization == chosen
    assert rig.decider.observed()().stabilization == chosen


async def test_the_same_world_agrees_with_its_reference_for_hours() -> None:
    rig = Rig()
    for _ in range(5):
        await rig.compared(deciding.COMPARED_EVERY)
    assert rig.differences == []
    assert len(rig.mirrors.followers) == 1


async def test_the_snapshot_of_a_comparison_is_not_made_on_the_loop() -> None:
    """Of a thousand nodes it held the loop for a tenth of a second."""
    rig = Rig()
    makers: list[int] = []

    def lazily(things: Iterable[Any]) -> Iterator[Any]:
        makers.append(threading.get_ident())
        yield from things

    rig.mirrors.observed_nodes = lambda _tier: lazily(rig.mirrors.seen.nodes)  # type: ignore[method-assign]
    rig.mirrors.replicas = lambda: lazily(rig.mirrors.seen.replicas)  # type: ignore[method-assign]
    await rig.decider.decide()
    makers.clear()
    await rig.compared(deciding.COMPARED_EVERY)
    assert makers
    assert threading.get_ident() not in makers
    assert rig.differences == []


async def test_a_world_that_is_wrong_twice_is_said_counted_and_begun_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fold that forgets a dependency, as a defect of ours would."""
    rig = Rig(build.world())
    right = fold.fold

    def forgetful(world: fold.KeptWorld, change: delta.Delta) -> delta.PlanDelta:
        return dataclasses.replace(right(world, change), grants=())

    monkeypatch.setattr(fold, "fold", forgetful)
    await rig.compared(deciding.COMPARED_EVERY)
    assert rig.differences == [], "once may be a moment at a limit of age"
    await rig.compared(deciding.CONFIRMED_AFTER)
    assert rig.differences == [("grants", 1)]
    assert "hq/room-301" in caplog.text
    monkeypatch.setattr(fold, "fold", right)
    followed = rig.mirrors.followers[0]
    made = await rig.decider.decide()
    assert rig.decider.is_begun_anew
    [follower] = rig.mirrors.followers
    assert follower is not followed, "nobody notes changes for the world that is gone"
    whole = rig.decider.everything(made)
    assert [grant.device for grant in whole.grants] == ["room-301"]
    assert ("Device", ("hq", "room-301")) in whole.statuses


async def test_a_node_that_goes_on_renewing_does_not_fall_silent_between_two_events() -> None:
    """A renewal of a Lease makes no event: the last age that was seen would grow."""
    rig = Rig()
    await rig.decider.decide()
    rig.time += 100.0
    rig.mirrors.delta = lambda *_: changes.StoreDelta({}, {}, {}, {})  # type: ignore[method-assign]
    made = await rig.decider.decide()
    assert not made.grants
    assert {verdict.verdict for verdict in rig.decider._world.health().nodes.values()} <= {
        health.NodeVerdict.HEALTHY,
        health.NodeVerdict.SUSPECT,
    }
