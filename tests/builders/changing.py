"""A small world that changes in every way there is, one change at a time.

`start()` is two sites and a cloud; `CHANGES` are functions from a world and two numbers to the next
world. The numbers choose among what is there, so that any sequence is valid and shrinks well.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from builders import planning as build
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import hysteresis, protection, snapshot
from foreshore_planner import plan as planning

T = TypeVar("T")

ONE_CORE = snapshot.ComputeResources(cpu=1000, memory=4 << 30)
SITES = ("hq", "annex", "depot")
HOLDERS = {"room-301": "edge-1", "room-302": "edge-2", "room-401": "annex-1"}
World = snapshot.Snapshot
Change = Callable[[World, int, int], World]


def pick(things: Sequence[T], number: int) -> T | None:
    return things[number % len(things)] if things else None


def start() -> World:
    nodes = (
        *(build.edge(name) for name in build.EDGES),
        *(build.node(f"annex-{n}", site="annex", tier=v1alpha1.Tier.EDGE) for n in (1, 2)),
        build.node("cloud-1"),
        build.node("cloud-2"),
    )
    devices = (
        build.device("room-301"),
        labelled(build.device("room-302"), zone="east"),
        build.device("room-401", site="annex"),
    )
    policies = (
        build.policy("ventilate", placement={"replicas": 1, "standby": 1}),
        build.policy("warn", deviceSelector={"matchLabels": {"zone": "east"}}),
    )
    seen = build.world(
        sites=(build.site(), build.site_of("annex")),
        devices=devices,
        policies=policies,
        nodes=nodes,
        clusters=(local(),),
    )
    return heard(seen, 0, 0)


def local() -> v1alpha1.Cluster:
    spec = {"connection": {"type": "InCluster"}}
    return v1alpha1.Cluster.read({"metadata": {"name": "local", "generation": 1}, "spec": spec})


def labelled(resource: Any, **labels: str) -> Any:
    metadata = resource.metadata.model_copy(update={"labels": labels})
    return resource.model_copy(update={"metadata": metadata})


def put(things: Sequence[Any], thing: Any) -> tuple[Any, ...]:
    """The things, with one of the same name replaced or a new one added."""
    others = [other for other in things if other.metadata.name != thing.metadata.name]
    return (*others, thing)


def without(things: Sequence[T], number: int) -> tuple[T, ...]:
    gone = pick(things, number)
    return tuple(thing for thing in things if thing is not gone)


def edited(resource: Any, **spec: Any) -> Any:
    """The object with another spec and the next generation."""
    document = resource.document()
    metadata = document["metadata"]
    generation = metadata.get("generation", 1) + 1
    return type(resource).read(
        {
            **document,
            "metadata": {**metadata, "generation": generation},
            "spec": {**document["spec"], **spec},
        }
    )


# time


def wait(seen: World, seconds: int, silence: int) -> World:
    """Time passes; who is Ready renews its Lease unless all are cut off, the hub says nothing."""
    passed = (0.5, 1.0, 2.0, 5.0, 7.0, 13.0, 16.0, 31.0, 61.0, 130.0, 610.0)[seconds % 11]
    later = build.later(seen, passed)
    nodes = [node.older(passed) for node in seen.nodes]
    return dataclasses.replace(
        later,
        nodes=tuple(
            dataclasses.replace(node, lease_age=1.0) if node.is_ready and silence % 3 else node
            for node in nodes
        ),
        replicas=tuple(pod.older(passed) for pod in seen.replicas),
        fleet_age=seen.fleet_age + passed if seen.fleet is not None else 0.0,
    )


# what the hub says


def heard(seen: World, number: int, trouble: int) -> World:
    """Every agent whose node is up reports; one of them may be in trouble."""
    up = [node for node in seen.nodes if node.site is not None and node.is_ready]
    agents = [_agent(seen, node, up, seen.replicas) for node in up]
    troubled = pick(agents, number)
    if troubled is not None:
        change = TROUBLES[trouble % len(TROUBLES)](seen, number)
        agent = troubled.model_copy(update={"report": troubled.report.model_copy(update=change)})
        agents = [other if other is not troubled else agent for other in agents]
    fleet = report.Fleet(
        lineage="hub",
        revision=1,
        uptime_seconds=600.0,
        agents=tuple(agents),
        renewals=tuple(_renewals(seen, {node.name for node in up})),
    )
    return dataclasses.replace(seen, fleet=fleet, fleet_age=0.5)


def _agent(
    seen: World, node: snapshot.Node, up: Sequence[snapshot.Node], pods: Sequence[snapshot.Replica]
) -> report.AgentEvidence:
    peers = [other.name for other in up if other.site == node.site and other.name != node.name]
    lines = tuple(
        report.HeldDevice(
            namespace=build.NAMESPACE,
            device=device.name,
            connected=True,
            epoch=device.status.authority.epoch,
            standing="Holding",
        )
        for device in seen.devices
        if device.status.authority is not None and device.status.authority.holder == node.name
    )
    endpoints = tuple(
        build.endpoint(pod.slot, pod.node, f"http://{pod.address}:8080", good=3)
        for pod in pods
        if pod.site == node.site and pod.policy == "ventilate" and pod.address
    )
    return build.agent(
        node.name, hears=peers, probes=build.FAST, devices=lines, endpoints=endpoints
    )


def _renewals(seen: World, up: set[str]) -> list[report.LastRenewal]:
    """Rights that the hub renewed: a second ago where the holder is up, else long ago."""
    return [
        report.LastRenewal(
            namespace=build.NAMESPACE,
            device=device.name,
            epoch=right.epoch,
            holder=right.holder,
            age_seconds=1.0 if right.holder in up else 8.0,
        )
        for device in seen.devices
        if (right := device.status.authority) is not None and right.holder is not None
    ]


def _gives_back(seen: World, number: int) -> dict[str, Any]:
    device = pick([one for one in seen.devices if one.status.authority], number)
    if device is None or device.status.authority is None:
        return {}
    line = report.HeldDevice(
        namespace=build.NAMESPACE,
        device=device.name,
        connected=False,
        epoch=device.status.authority.epoch,
        gave_back=True,
    )
    return {"devices": (line,)}


def _complains(seen: World, number: int) -> dict[str, Any]:
    pod = pick([pod for pod in seen.replicas if pod.policy == "ventilate"], number)
    if pod is None:
        return {}
    line = build.endpoint(pod.slot, pod.node, bad_for_seconds=4.0 * number, failed=9)
    return {"endpoints": (line,)}


def _problem(seen: World, number: int) -> dict[str, Any]:
    policy = pick(seen.policies, number)
    generation = policy.metadata.generation if policy is not None else 1
    name = policy.name if policy is not None else "none"
    problem = report.Problem(
        kind="DecisionPolicy",
        namespace=build.NAMESPACE,
        name=name,
        generation=generation or 1,
        reason=("AwaitingReplica", "CompileFailed")[number % 2],
        message="it does not work",
    )
    return {"problems": (problem,)}


TROUBLES: tuple[Callable[[World, int], dict[str, Any]], ...] = (
    lambda *_: {},
    lambda *_: {},
    _gives_back,
    _complains,
    _problem,
    lambda *_: {"broker_connected": False, "broker_problem": "refused"},
    lambda *_: {"stopping": True},
    lambda *_: {"capped_by": ("RecorderFull",)},
    lambda *_: {"uptime_seconds": 3.0, "peers": ()},
    lambda *_: {"peers": ()},
    lambda *_: {"listening_seconds": 1.0, "peers": ()},
    lambda *_: {"listening_seconds": 90.0, "peers": ()},
)


def hub_away(seen: World, *_: int) -> World:
    return dataclasses.replace(seen, fleet=None, fleet_age=0.0)


def hub_restarts(seen: World, number: int, _: int) -> World:
    fleet = build.fleet([], uptime=float(number % 20))
    return dataclasses.replace(seen, fleet=fleet, fleet_age=0.0)


def hub_forgets(seen: World, number: int, how: int) -> World:
    """An agent is silent for long, or the hub knows nothing of it any more."""
    agent = pick(seen.fleet.agents, number) if seen.fleet is not None else None
    if agent is None or seen.fleet is None:
        return seen
    old = (agent.model_copy(update={"age_seconds": 90.0}),) if how % 2 else ()
    others = [other for other in seen.fleet.agents if other is not agent]
    agents = sorted((*others, *old), key=lambda other: other.node)
    fleet = seen.fleet.model_copy(update={"agents": tuple(agents)})
    return dataclasses.replace(seen, fleet=fleet)


def hub_has_problems(seen: World, number: int, _: int) -> World:
    node = pick(seen.nodes, number)
    if seen.fleet is None or node is None:
        return seen
    problem = report.Problem(
        kind="Node", namespace="", name=node.name, reason="InternalError", message="it stays"
    )
    fleet = seen.fleet.model_copy(update={"problems": (problem,)})
    return dataclasses.replace(seen, fleet=fleet)


# nodes


def _with_node(seen: World, number: int, **changes: Any) -> World:
    chosen = pick(seen.nodes, number)
    return build.with_nodes(
        seen, lambda node: dataclasses.replace(node, **changes) if node is chosen else node
    )


def node_falls_silent(seen: World, number: int, how: int) -> World:
    changes: dict[str, Any] = (
        {"lease_age": 11.0},
        {"is_ready": False, "silent_age": 0.0, "lease_age": 8.0},
        {"is_ready": None, "silent_age": 45.0, "lease_age": 50.0},
    )[how % 3]
    return _with_node(seen, number, **changes)


def node_returns(seen: World, number: int, _: int) -> World:
    changes = {"is_ready": True, "silent_age": None, "lease_age": 0.0, "ready_age": 0.0}
    return _with_node(seen, number, **changes)


def node_flaps(seen: World, number: int, how: int) -> World:
    flaps = ((), (5.0,), (5.0, 60.0), (5.0, 3000.0), (3590.0, 3595.0), (70.0, 2000.0, 3599.0))
    return _with_node(seen, number, flaps=flaps[how % len(flaps)])


def node_changes_site(seen: World, number: int, site: int) -> World:
    return _with_node(seen, number, site=(*SITES, None)[site % 4])


def node_changes(seen: World, number: int, how: int) -> World:
    changes: tuple[dict[str, Any], ...] = (
        {"is_schedulable": False},
        {"is_schedulable": True},
        {"requested": build.ROOM},
        {"requested": snapshot.ComputeResources()},
        {"taints": (snapshot.Taint("gone", "", "NoSchedule"),)},
        {"labels": {"site": "hq"}},
        {"zone": "a"},
        {"requested": NARROW},
        {"allocatable": ONE_CORE},  # where whoever comes makes the others slower
    )
    return _with_node(seen, number, **changes[how % len(changes)])


NARROW = snapshot.ComputeResources(cpu=1850)
"""What leaves room for one replica."""


def node_goes(seen: World, number: int, _: int) -> World:
    return dataclasses.replace(seen, nodes=without(seen.nodes, number))


def node_comes(seen: World, number: int, site: int) -> World:
    name = f"new-{number % 3}"
    others = [node for node in seen.nodes if node.name != name]
    place = (*SITES, None)[site % 4]
    tier = v1alpha1.Tier.CLOUD if place is None else v1alpha1.Tier.EDGE
    return dataclasses.replace(seen, nodes=(*others, build.node(name, site=place, tier=tier)))


# pods and what was planned


def carried_out(seen: World, ready: int, _: int) -> World:
    """What the reference plans is written: pods, placements, rights, removals, statuses."""
    made = planning.plan(seen)
    gone = {(removal.namespace, removal.name) for removal in made.removals}
    after = build.applied(seen, made, ready=ready % 3 > 0)
    planned = {placement.metadata.name for placement in after.placements}
    retired = {removal.name for removal in made.retired}
    kept = [
        placement
        for placement in seen.placements
        if placement.name not in planned and placement.name not in retired
    ]
    pods = tuple(pod for pod in after.replicas if (pod.namespace, pod.name) not in gone)
    after = dataclasses.replace(after, placements=(*after.placements, *kept), replicas=pods)
    return _with_statuses(after, made)


def _with_statuses(seen: World, made: planning.Plan) -> World:
    rows = {(row.kind, row.name): row.status for row in made.statuses}

    def written(resource: Any) -> Any:
        status = rows.get((resource.kind, resource.name))
        if status is None:
            return resource
        if resource.kind == "Device":
            status = status.model_copy(update={"authority": resource.status.authority})
        return resource.model_copy(update={"status": status})

    kinds = ("sites", "profiles", "devices", "models", "versions", "policies", "clusters")
    changes: Mapping[str, Any] = {kind: tuple(map(written, getattr(seen, kind))) for kind in kinds}
    return dataclasses.replace(seen, **changes)


def pod_changes(seen: World, number: int, how: int) -> World:
    chosen = pick(seen.replicas, number)
    phases = snapshot.PodPhase
    changes: tuple[dict[str, Any], ...] = (
        {"phase": phases.FAILED, "reason": "Error"},
        {"phase": phases.UNREADY},
        {"phase": phases.READY, "address": "10.9.8.7", "reason": None},
        {"phase": phases.PENDING, "reason": "Unschedulable", "message": "no room"},
        {"phase": phases.PENDING, "reason": "DigestMismatch"},
        {"phase": phases.TERMINATING},
    )
    pods = tuple(
        dataclasses.replace(pod, phase_age=0.0, **changes[how % len(changes)])
        if pod is chosen
        else pod
        for pod in seen.replicas
    )
    return dataclasses.replace(seen, replicas=pods)


def pod_goes(seen: World, number: int, _: int) -> World:
    return dataclasses.replace(seen, replicas=without(seen.replicas, number))


def placement_goes(seen: World, number: int, _: int) -> World:
    return dataclasses.replace(seen, placements=without(seen.placements, number))


def person_confirms(seen: World, number: int, how: int) -> World:
    """Somebody confirms a move that is proposed, or something that is not."""
    placement = pick(seen.placements, number)
    if placement is None:
        return seen
    words = [proposal.id for proposal in placement.status.proposals]
    word = words[0] if words and how % 3 else "0123456789ab"
    annotations = {meta.ANNOTATION_CONFIRMED: word}
    metadata = placement.metadata.model_copy(update={"annotations": annotations})
    marked = placement.model_copy(update={"metadata": metadata})
    return dataclasses.replace(seen, placements=put(seen.placements, marked))


def pod_is_refused(seen: World, number: int, how: int) -> World:
    intents = [pod for placed in planning.plan(seen).placements for pod in placed.pods]
    pod = pick(intents, number)
    if pod is None or how % 2:
        return dataclasses.replace(seen, refusals={})
    return dataclasses.replace(seen, refusals={(pod.namespace, pod.name): "no quota"})


def protection_is_refused(seen: World, number: int, how: int) -> World:
    policy = pick(seen.policies, number)
    if policy is None or how % 2:
        return dataclasses.replace(seen, refusals={})
    key = protection.key(policy.namespace or "", policy.name)
    return dataclasses.replace(seen, refusals={key: "no quota"})


def part_changes(seen: World, number: int, how: int) -> World:
    node = pick(seen.nodes, number)
    if node is None or how % 4 == 0:
        return dataclasses.replace(seen, parts=())
    component = snapshot.HUB if how % 4 == 1 else snapshot.AGENT
    part = snapshot.ProductPod(component, "foreshore", f"{component}-x", node.name, "CrashLoop")
    return dataclasses.replace(seen, parts=(part,))


# what people edit


def device_changes(seen: World, number: int, how: int) -> World:
    device = pick(seen.devices, number)
    if device is None:
        return seen
    changed: Any = (
        lambda: labelled(device, zone="west"),
        lambda: labelled(device, zone="east"),
        lambda: labelled(device, zone="north"),
        lambda: edited(device, site=SITES[number % 3]),
        lambda: edited(device, profileRef={"name": "unknown"}),
        lambda: edited(device, profileRef={"name": "room-climate"}),
        lambda: edited(device, reachableFrom={"nodeSelector": {"site": "hq"}}),
        lambda: edited(device, reachableFrom=None),
    )[how % 8]()
    return dataclasses.replace(seen, devices=put(seen.devices, changed))


def device_comes(seen: World, number: int, site: int) -> World:
    device = build.device(f"room-{number % 4}", site=SITES[site % 3])
    return dataclasses.replace(seen, devices=put(seen.devices, device))


def device_goes(seen: World, number: int, _: int) -> World:
    return dataclasses.replace(seen, devices=without(seen.devices, number))


def profile_changes(seen: World, number: int, how: int) -> World:
    profiles: tuple[Callable[[], tuple[Any, ...]], ...] = (
        lambda: (),
        lambda: (build.profile(),),
        lambda: (build.profile(guards={"fencedBy": "None"}),),
        lambda: (build.profile(mqtt={"telemetryTopic": "t", "commandTopic": "all/command"}),),
    )
    return dataclasses.replace(seen, profiles=profiles[how % 4]())


def site_changes(seen: World, number: int, how: int) -> World:
    name = SITES[number % 3]
    others = tuple(site for site in seen.sites if site.name != name)
    elder = build.site_of(
        name, namespace="other", creationTimestamp="2026-02-01T00:00:00Z", uid="elder"
    )
    sites: tuple[tuple[Any, ...], ...] = (
        others,
        (*others, build.site_of(name)),
        (*others, build.site_of(name, isolation="Agent")),
        (*others, build.site_of(name), elder),
    )
    return dataclasses.replace(seen, sites=sites[how % 4])


def hold_is_ended(seen: World, number: int, how: int) -> World:
    """A person ends the hold of a Site as its status has it, or another, or takes that back."""
    site = pick(seen.sites, number)
    if site is None:
        return seen
    ends = (site.status.held_since, "2026-01-01T00:00:00Z", None)[how % 3]
    annotations = {} if ends is None else {meta.ANNOTATION_HOLD_ENDED: ends}
    metadata = site.metadata.model_copy(update={"annotations": annotations})
    changed = site.model_copy(update={"metadata": metadata})
    return dataclasses.replace(seen, sites=put(seen.sites, changed))


def policy_changes(seen: World, number: int, how: int) -> World:
    policy = pick(seen.policies, number)
    if policy is None:
        return seen
    specs: tuple[dict[str, Any], ...] = (
        {"mode": "Disabled"},
        {"mode": "Autonomous"},
        {"mode": "Advise"},
        {"placement": {"replicas": 2, "standby": 1}},
        {"placement": {"replicas": 1, "failover": "Never"}},
        {"modelRef": {"version": "occupancy-v2"}},
        {"modelRef": {"version": "occupancy-v1"}},
        {"deviceSelector": {"matchLabels": {"zone": "east"}}},
        {"deviceSelector": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}},
        {"placement": {"replicas": 16}},
        {"placement": {"replicas": 1, "standby": 1, "failback": "WhenStable"}},
        {"placement": {"replicas": 1, "standby": 1, "failover": "Manual"}},
    )
    changed = edited(policy, **specs[how % len(specs)])
    return dataclasses.replace(seen, policies=put(seen.policies, changed))


def policy_comes(seen: World, number: int, _: int) -> World:
    policy = build.policy(f"p{number % 3}")
    return dataclasses.replace(seen, policies=put(seen.policies, policy))


def policy_goes(seen: World, number: int, _: int) -> World:
    return dataclasses.replace(seen, policies=without(seen.policies, number))


def version_changes(seen: World, number: int, how: int) -> World:
    name = ("occupancy-v1", "occupancy-v2")[number % 2]
    others = tuple(version for version in seen.versions if version.name != name)
    versions: tuple[tuple[Any, ...], ...] = (
        others,
        (*others, build.version(name)),
        (*others, build.version(name, digest=f"sha256:{'1' * 64}")),
        (*others, build.version(name, runtime={"isolation": "Agent"})),
    )
    return dataclasses.replace(seen, versions=versions[how % 4])


def model_changes(seen: World, _: int, how: int) -> World:
    models: tuple[Any, ...] = () if how % 2 else (build.model(),)
    return dataclasses.replace(seen, models=models)


def compiled(seen: World, number: int, how: int) -> World:
    policy = pick(seen.policies, number)
    if policy is None:
        return seen
    generation = policy.metadata.generation or 1
    problem = ("CompileFailed", "it does not compile") if how % 2 else None
    line = snapshot.Compiled(generation, "digest", problem)
    key = (build.NAMESPACE, policy.name)
    return dataclasses.replace(seen, compiled={**seen.compiled, key: line})


def image_changes(seen: World, number: int, _: int) -> World:
    return dataclasses.replace(seen, serving_image=f"foreshore-edge:{number % 2}")


def stabilization_changes(seen: World, number: int, how: int) -> World:
    choices = (10.0, 60.0, 600.0)
    chosen = hysteresis.Stabilization(min_ready=choices[number % 3], window=choices[how % 3])
    return dataclasses.replace(seen, stabilization=chosen)


CHANGES: tuple[Change, ...] = (
    wait,
    heard,
    hub_away,
    hub_restarts,
    hub_forgets,
    hub_has_problems,
    node_falls_silent,
    node_returns,
    node_flaps,
    node_changes_site,
    node_changes,
    node_goes,
    node_comes,
    carried_out,
    pod_changes,
    pod_goes,
    placement_goes,
    person_confirms,
    pod_is_refused,
    protection_is_refused,
    part_changes,
    device_changes,
    device_comes,
    device_goes,
    profile_changes,
    site_changes,
    hold_is_ended,
    policy_changes,
    policy_comes,
    policy_goes,
    version_changes,
    model_changes,
    compiled,
    image_changes,
    stabilization_changes,
)
FREQUENT: tuple[Change, ...] = (wait, heard, carried_out, node_falls_silent, node_returns)
"""What happens most of the time."""
