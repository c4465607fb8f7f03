"""A site as the planner sees it: three edge nodes, a cloud node, a device, a policy.

Valid by default.

`world()` is a snapshot; `settle(world)` runs passes and applies their plans the way an API server
would, until nothing changes.
"""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from foreshore_api import scalars, v1alpha1
from foreshore_api.wire import histogram, report
from foreshore_planner import plan as planning
from foreshore_planner import snapshot, status
from foreshore_planner.world import delta

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
NAMESPACE = "hq"
ROOM = snapshot.ComputeResources(cpu=2000, memory=4 << 30)


def metadata(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": "2026-03-01T09:00:00Z",
        **more,
    }


def site(**more: Any) -> v1alpha1.Site:
    return site_of("hq", **more)


def site_of(name: str, isolation: str = "Child", **more: Any) -> v1alpha1.Site:
    broker = {"host": "172.18.0.9", "port": 8883, "credential": f"{name}-broker"}
    spec = {"broker": broker, "isolation": isolation}
    return v1alpha1.Site.read({"metadata": metadata(name, **more), "spec": spec})


def profile(**spec: Any) -> v1alpha1.DeviceProfile:
    return v1alpha1.DeviceProfile.read(
        {
            "metadata": metadata("room-climate"),
            "spec": {
                "mqtt": {
                    "telemetryTopic": "{site}/{device}/telemetry",
                    "commandTopic": "{site}/{device}/command",
                },
                "properties": [{"name": "co2"}, {"name": "airflow", "access": "ReadWrite"}],
                "actions": [
                    {
                        "name": "setAirflow",
                        "idempotency": "Idempotent",
                        "input": [{"name": "value", "property": "airflow"}],
                    }
                ],
                "guards": {"epoch": "Checked", "duplicates": "Checked"},
                **spec,
            },
        }
    )


def device(
    name: str = "room-301",
    authority: dict[str, Any] | None = None,
    site: str = "hq",
    **more: Any,
) -> v1alpha1.Device:
    return v1alpha1.Device.read(
        {
            "metadata": metadata(name, **{"labels": {"zone": "west"}, **more}),
            "spec": {"profileRef": {"name": "room-climate"}, "site": site},
            "status": {"authority": authority} if authority else {},
        }
    )


def model(**spec: Any) -> v1alpha1.Model:
    return v1alpha1.Model.read(
        {
            "metadata": metadata("occupancy"),
            "spec": {
                "format": "ONNX",
                "inputs": [
                    {"name": "features", "dataType": "FP32", "shape": [-1, 1], "features": ["co2"]}
                ],
                "outputs": [{"name": "probabilities", "dataType": "FP32", "shape": [-1, 2]}],
                **spec,
            },
        }
    )


def version(name: str = "occupancy-v1", **spec: Any) -> v1alpha1.ModelVersion:
    return v1alpha1.ModelVersion.read(
        {
            "metadata": metadata(name),
            "spec": {
                "modelRef": {"name": "occupancy"},
                "source": {"https": {"url": "https://172.18.0.1:8443/occupancy-v1.onnx"}},
                "digest": f"sha256:{'0' * 64}",
                "resources": {"cpu": "100m", "memory": "128Mi"},
                "expectedInference": {"p99": "10ms"},
                **spec,
            },
        }
    )


def policy(name: str = "ventilate", **spec: Any) -> v1alpha1.DecisionPolicy:
    return v1alpha1.DecisionPolicy.read(
        {
            "metadata": metadata(name),
            "spec": {
                "mode": "Autonomous",
                "hazard": "Low",
                "latencyBudget": "200ms",
                "deviceSelector": {"matchLabels": {"zone": "west"}},
                "modelRef": {"version": "occupancy-v1"},
                "inputs": [{"name": "co2", "property": "co2", "maximumAge": "90s"}],
                "rules": [
                    {
                        "name": "high",
                        "effect": "Permit",
                        "expression": "co2 > 0.0",
                        "reason": "High",
                    }
                ],
                "action": {
                    "name": "setAirflow",
                    "input": [{"name": "value", "expression": "300.0"}],
                    "timeToLive": "5s",
                },
                **spec,
            },
        }
    )


def edge(name: str, **more: Any) -> snapshot.Node:
    return node(name, site="hq", tier=v1alpha1.Tier.EDGE, **more)


def node(name: str, **more: Any) -> snapshot.Node:
    values: dict[str, Any] = {"is_ready": True, "lease_age": 1.0, "allocatable": ROOM, **more}
    return snapshot.Node(name=name, **values)


def agent(
    name: str, *, hears: Sequence[str] = (), age: float = 1.0, **more: Any
) -> report.AgentEvidence:
    """An agent that hears fresh beats of the named peers."""
    values: dict[str, Any] = {
        "node": name,
        "boot_id": "boot",
        "agent_version": "0",
        "sent_at": NOW,
        "uptime_seconds": 600.0,
        "broker_connected": True,
        "peers": tuple(
            report.ReportedPeer(node=peer, age_seconds=0.5, has_hub=True) for peer in hears
        ),
        **more,
    }
    return report.AgentEvidence(node=name, age_seconds=age, report=report.Report(**values))


def endpoint(
    slot: str, node: str, url: str = "http://x:8080", **calls: Any
) -> report.EndpointReport:
    """How the calls of one replica of `ventilate` went lately; by default there were none."""
    values: dict[str, Any] = {"good": 0, "late": 0, "failed": 0, **calls}
    return report.EndpointReport(
        namespace=NAMESPACE, policy="ventilate", slot=slot, node=node, url=url, **values
    )


def own_endpoint(node: str, digest: str = "0" * 64, **calls: Any) -> report.EndpointReport:
    """What the agent of a node reports of the model in its own process; by default it is well."""
    return endpoint("r0", node, f"agent:{digest}", **calls)


def probes(**milliseconds: float) -> tuple[report.ProbeReport, ...]:
    """Echo times to peers, by node name with `_` for `-`."""
    return tuple(
        report.ProbeReport(
            node=name.replace("_", "-"),
            histogram=histogram.Histogram.of([value / 1000] * 50),
            age_seconds=1.0,
        )
        for name, value in milliseconds.items()
    )


FAST = probes(edge_1=1, edge_2=1, edge_3=1, cloud_1=40)
EDGES = ("edge-1", "edge-2", "edge-3")


def fleet(
    agents: Sequence[report.AgentEvidence] | None = None,
    renewals: Sequence[report.LastRenewal] = (),
    uptime: float = 600.0,
) -> report.Fleet:
    everyone = [
        agent(name, hears=[peer for peer in EDGES if peer != name], probes=FAST) for name in EDGES
    ]
    return report.Fleet(
        lineage="hub",
        revision=1,
        uptime_seconds=uptime,
        agents=tuple(everyone if agents is None else agents),
        renewals=tuple(renewals),
    )


def renewal(epoch: int, age: float, holder: str = "edge-1") -> report.LastRenewal:
    return report.LastRenewal(
        namespace=NAMESPACE, device="room-301", epoch=epoch, holder=holder, age_seconds=age
    )


def world(**changes: Any) -> snapshot.Snapshot:
    """A healthy site; `changes` replace fields of the snapshot."""
    values: dict[str, Any] = {
        "now": NOW,
        "monotonic": 1000.0,
        "serving_image": "foreshore-edge:dev",
        "sites": (site(),),
        "profiles": (profile(),),
        "devices": (device(),),
        "models": (model(),),
        "versions": (version(),),
        "policies": (policy(),),
        "nodes": (*(edge(name) for name in EDGES), node("cloud-1")),
        "fleet": fleet(),
        **changes,
    }
    return snapshot.Snapshot(**values)


def with_nodes(
    seen: snapshot.Snapshot, change: Callable[[snapshot.Node], snapshot.Node]
) -> snapshot.Snapshot:
    return dataclasses.replace(seen, nodes=tuple(change(one) for one in seen.nodes))


def silenced(seen: snapshot.Snapshot, *names: str) -> snapshot.Snapshot:
    """The nodes are NotReady and their agents neither report nor beat."""

    def change(one: snapshot.Node) -> snapshot.Node:
        if one.name not in names:
            return one
        return dataclasses.replace(one, is_ready=False, lease_age=30.0)

    left = [name for name in EDGES if name not in names]
    agents = [
        agent(name, hears=[peer for peer in left if peer != name], probes=FAST) for name in left
    ]
    renewals = seen.fleet.renewals if seen.fleet is not None else ()
    return dataclasses.replace(with_nodes(seen, change), fleet=fleet(agents, renewals))


def applied(
    seen: snapshot.Snapshot, made: planning.Plan, *, ready: bool = True
) -> snapshot.Snapshot:
    """The world after a plan was applied.

    Placements stored, pods created (and ready), removals gone.
    """
    gone = {(one.namespace, one.name) for one in made.removals}
    pods = {
        (one.namespace, one.name): one
        for one in seen.replicas
        if (one.namespace, one.name) not in gone
    }
    placements = []
    for placement in made.placements:
        for intent in placement.pods:
            asked = next(
                one.spec.resources for one in seen.versions if one.metadata.name == intent.version
            )
            requests = snapshot.ComputeResources(
                cpu=round(scalars.quantity(asked.cpu) * 1000),
                memory=round(scalars.quantity(asked.memory)),
                extended=()
                if asked.accelerator is None
                else ((asked.accelerator.name, asked.accelerator.count),),
            )
            pods.setdefault(
                (intent.namespace, intent.name), pod(intent, ready=ready, requests=requests)
            )
        stored = next(
            row.status
            for row in made.statuses
            if (row.kind, row.name) == ("InferencePlacement", placement.name)
        )
        placements.append(
            v1alpha1.InferencePlacement.read(
                {
                    "metadata": metadata(placement.name),
                    "spec": {"policyRef": {"name": placement.policy}, "site": placement.site},
                    "status": stored.document(),
                }
            )
        )
    granted = {(one.namespace, one.device): one.authority for one in made.grants}
    devices = tuple(
        one.model_copy(
            update={
                "status": one.status.model_copy(
                    update={"authority": granted[(one.namespace, one.name)]}
                )
            }
        )
        if (one.namespace, one.name) in granted
        else one
        for one in seen.devices
    )
    return dataclasses.replace(
        seen, placements=tuple(placements), replicas=tuple(pods.values()), devices=devices
    )


def pod(intent: Any, *, ready: bool, requests: snapshot.ComputeResources) -> snapshot.Replica:
    return snapshot.Replica(
        name=intent.name,
        namespace=intent.namespace,
        uid=f"uid-{intent.name}",
        resource_version="1",
        policy=intent.policy,
        site=intent.site,
        slot=intent.slot,
        node=intent.node,
        template=intent.template,
        phase=snapshot.PodPhase.READY if ready else snapshot.PodPhase.PENDING,
        requests=requests,
        address=address(intent.name) if ready else None,
        version=intent.version,
        digest=intent.digest,
        policy_generation=intent.generation,
    )


def address(pod_name: str) -> str:
    """An address that no other pod has."""
    number = int(pod_name[-8:], 16)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def settle(seen: snapshot.Snapshot, *, passes: int = 5) -> snapshot.Snapshot:
    """Plan and apply until a pass changes nothing."""
    for _ in range(passes):
        after = applied(seen, planning.plan(seen))
        if after == seen:
            return seen
        seen = after
    return seen


def later(seen: snapshot.Snapshot, seconds: float) -> snapshot.Snapshot:
    """The same world so much later."""
    return dataclasses.replace(
        seen, now=seen.now + timedelta(seconds=seconds), monotonic=seen.monotonic + seconds
    )


def aged(seen: snapshot.Snapshot, seconds: float) -> snapshot.Snapshot:
    """Every pod has been as it is for so long."""
    return dataclasses.replace(
        seen,
        replicas=tuple(dataclasses.replace(one, phase_age=seconds) for one in seen.replicas),
    )


def where(made: planning.Plan) -> dict[str, str]:
    """The node of each slot of the only placement."""
    (placement,) = made.placements
    return {pod.slot: pod.node for pod in placement.pods}


def condition(made: planning.Plan, kind: str, name: str, type_: str) -> tuple[str, str] | None:
    """(status, reason) of a condition, or None where it is absent."""
    for row in made.statuses:
        if (row.kind, row.name) == (kind, name):
            for one in row.status.conditions:
                if one.type == type_:
                    return one.status.value, one.reason
    return None


def message(made: planning.Plan, kind: str, name: str, type_: str) -> str:
    """The message of a condition; empty where it is absent."""
    for row in made.statuses:
        if (row.kind, row.name) == (kind, name):
            for one in row.status.conditions:
                if one.type == type_:
                    return one.message
    return ""


def agent_pod(node: str, name: str = "foreshore-agent-x7k2p", **more: Any) -> snapshot.ProductPod:
    """The agent's pod on a node."""
    return snapshot.ProductPod(
        component=snapshot.AGENT, namespace="foreshore-agents", name=name, node=node, **more
    )


def as_changes(
    made: planning.Plan, before: planning.Plan | None = None
) -> tuple[delta.PlanDelta, list[status.Row]]:
    """A whole plan as what changed since another, and its statuses as they are made of it."""
    old = before.placements if before is not None else ()
    gone = dict.fromkeys((plan.namespace, plan.name) for plan in old)
    rows: list[status.Row] = [
        (write.kind, write.namespace, write.name, write.status) for write in made.statuses
    ]
    changed = delta.PlanDelta(
        placements={**gone, **{(plan.namespace, plan.name): plan for plan in made.placements}},
        grants=made.grants,
        removals=made.removals,
        retired=made.retired,
        statuses=frozenset((kind, (namespace or "", name)) for kind, namespace, name, _ in rows),
        defects=made.defects,
        wake_after=made.wake_after,
    )
    return changed, rows
