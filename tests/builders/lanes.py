"""A node lost among a flood of statuses: the urgent plan, the statuses, and who writes them."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from builders import fake_apiserver
from builders import planning as build
from foreshore_api import conditions, meta, scalars, v1alpha1
from foreshore_kube import api, apply, config, kinds
from foreshore_operator import act, defects, events, metrics, status_queue, statuses, store
from foreshore_planner import plan as planning
from foreshore_planner import snapshot, succession
from foreshore_planner.world import delta

REPLICAS, GRANTS = 18, 50
"""Of the node that is lost."""


class Leader:
    """Leads for ever."""

    epoch = 1

    def may_write(self) -> bool:
        """Yes."""
        return True


class Mirrors:
    """The objects that a plan is about; every Device says something older than is wanted."""

    def __init__(self, seen: snapshot.Snapshot) -> None:
        every = (*seen.policies, *seen.versions, *seen.models, *seen.placements)
        self._resources = {(type(resource), resource.name): resource for resource in every}

    def document(self, kind: str, namespace: str, name: str) -> api.Json | None:
        """The object as it is written."""
        if kind != v1alpha1.Device.kind:
            return None
        metadata = {"namespace": namespace, "name": name, "uid": name, "resourceVersion": "7"}
        authority = {"holder": "edge-1", "epoch": 1, "lastIssued": 1}
        return {"metadata": metadata, "status": {"authority": authority, "conditions": [{}]}}

    def find(self, model: type[meta.Resource], _namespace: str, name: str) -> meta.Resource | None:
        """The object, decoded."""
        return self._resources.get((model, name))

    def pod(self, *_: str) -> None:
        """No pod is there yet."""

    def undecodable(self) -> tuple[()]:
        """Everything is understood."""
        return ()


class Silent:
    """Reads no events."""

    def record(self, _: events.ObjectEvent) -> None:
        """Nobody looks."""


@dataclasses.dataclass
class WriteRig:
    """The two lanes of an operator over a fake API server."""

    kube: api.KubeApi
    act: act.Act
    queue: status_queue.StatusQueue
    seen: snapshot.Snapshot
    plan: planning.Plan
    pace: dict[str, float]
    """What the urgent writer takes for the time, under `now`: later than any write before."""

    def lost(self, round_: int) -> delta.PlanDelta:
        """What a pass plans for a node that is lost; each round writes anew."""
        self.pace["now"] += 2 * apply.SETTLING
        grants = tuple(grant(f"held-{number}", round_) for number in range(GRANTS))
        made, _ = build.as_changes(dataclasses.replace(self.plan, grants=grants))
        return made


def grant(device: str, epoch: int) -> succession.GrantUpdate:
    """A right that moves."""
    authority = v1alpha1.DeviceAuthority(holder="edge-2", epoch=epoch, last_issued=epoch)
    seen = build.device(device)
    return succession.GrantUpdate("hq", device, seen, authority, "HolderLost", "its node is dead")


def flood(count: int, generation: int, begin: int = 0) -> list[status_queue.QueuedStatus]:
    """So many statuses, each to be written."""
    ready = conditions.Condition(
        type="Ready",
        status=conditions.Status.TRUE,
        reason="Delivered",
        message="an agent of the site holds it",
        last_transition_time=scalars.Timestamp("2026-03-01T10:00:00Z"),
        observed_generation=generation,
    )
    status = v1alpha1.DeviceStatus(observed_generation=generation, conditions=(ready,))
    return [
        status_queue.QueuedStatus("Device", "hq", f"room-{number:05}", status)
        for number in range(begin, begin + count)
    ]


@contextlib.asynccontextmanager
async def lanes(
    port: int, on_urgent: Callable[[], None], on_status: Callable[[], None]
) -> AsyncIterator[WriteRig]:
    """The lanes; whoever is named hears of each write that got through."""
    policies = tuple(build.policy(f"policy-{number:02}", replicas=1) for number in range(REPLICAS))
    first = build.world(policies=policies)
    seen = build.applied(first, planning.plan(first))
    wanted = planning.plan(dataclasses.replace(seen, replicas=()))
    plan = dataclasses.replace(wanted, statuses=(), removals=(), retired=(), grants=())
    pace = {"now": 0.0}
    access = cast(config.ClusterAccess, fake_apiserver.Access(port))
    async with api.KubeApi(access, user_agent="bench") as kube:
        urgent = apply.Writer(
            kube,
            Leader(),
            pace=apply.URGENT_PACE,
            on_outcome=_written(on_urgent),
            clock=lambda: pace["now"],
        )
        background = apply.Writer(
            kube, Leader(), pace=apply.STATUS_PACE, on_outcome=_written(on_status)
        )
        mirrors = cast(store.ClusterMirrors, Mirrors(seen))
        recorder, figures = cast(events.EventRecorder, Silent()), metrics.Metrics()
        met = defects.Defects()
        queue = status_queue.StatusQueue(
            statuses.Statuses(background, mirrors, recorder), figures, met
        )
        acting = act.Act(urgent, queue, mirrors, figures, "image", recorder, met)
        yield WriteRig(kube, acting, queue, seen, plan, pace)


def _written(
    heard: Callable[[], None],
) -> Callable[[kinds.ResourceKind, apply.WriteResult, str], None]:
    def outcome(_kind: kinds.ResourceKind, result: apply.WriteResult, _message: str) -> Any:
        if result is apply.WriteResult.WRITTEN:
            heard()

    return outcome
