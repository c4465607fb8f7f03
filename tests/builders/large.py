"""A fleet of many sites as the planner sees it: nodes, devices, policies, agents that report.

`world()` is before anything is placed; `placed(world)` after one pass was applied.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_api.wire import histogram, report
from foreshore_planner import plan as planning
from foreshore_planner import snapshot

EDGE_ROOM = snapshot.ComputeResources(cpu=4000, memory=8 << 30)
CLOUD_ROOM = snapshot.ComputeResources(cpu=32_000, memory=64 << 30)
NEAR, FAR = (histogram.Histogram.of([seconds] * 50) for seconds in (0.001, 0.04))


def site_name(number: int) -> str:
    return f"site-{number:04d}"


def node_name(site: int, number: int) -> str:
    return f"{site_name(site)}-edge-{number}"


def _devices(site: int, count: int, policies: int) -> Iterator[v1alpha1.Device]:
    for number in range(count):
        name = f"{site_name(site)}-room-{number:03d}"
        labels = {"use": f"use-{number % policies}"}
        yield v1alpha1.Device.read(
            {
                "metadata": build.metadata(name, labels=labels),
                "spec": {"profileRef": {"name": "room-climate"}, "site": site_name(site)},
            }
        )


def _agents(site: int, nodes: int, clouds: Sequence[str]) -> Iterator[report.AgentEvidence]:
    names = [node_name(site, number) for number in range(nodes)]
    for name in names:
        peers = [peer for peer in names if peer != name]
        near = [report.ProbeReport(node=peer, histogram=NEAR, age_seconds=1.0) for peer in peers]
        far = [report.ProbeReport(node=cloud, histogram=FAR, age_seconds=1.0) for cloud in clouds]
        yield build.agent(name, hears=peers, probes=(*near, *far))


def world(
    sites: int, nodes: int, devices: int, policies: int = 5, clouds: int = 20
) -> snapshot.Snapshot:
    """Sites of so many nodes and devices each, every policy at every site, and a cloud."""
    names = [site_name(number) for number in range(sites)]
    cloud_names = [f"cloud-{number:04d}" for number in range(clouds)]
    agents = [
        agent for number in range(sites) for agent in _agents(number, nodes, cloud_names[:20])
    ]
    return build.world(
        sites=tuple(build.site_of(name) for name in names),
        devices=tuple(
            device for number in range(sites) for device in _devices(number, devices, policies)
        ),
        policies=tuple(
            build.policy(
                f"policy-{number}",
                deviceSelector={"matchLabels": {"use": f"use-{number}"}},
                placement={"replicas": 1, "standby": 1},
            )
            for number in range(policies)
        ),
        nodes=(
            *(
                snapshot.Node(
                    name=node_name(site, number),
                    site=site_name(site),
                    tier=v1alpha1.Tier.EDGE,
                    is_ready=True,
                    lease_age=1.0,
                    allocatable=EDGE_ROOM,
                )
                for site in range(sites)
                for number in range(nodes)
            ),
            *(build.node(name, allocatable=CLOUD_ROOM) for name in cloud_names),
        ),
        fleet=build.fleet(agents),
    )


def placed(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    """The world after one pass: every replica runs, is called and measured; devices are held."""
    after = build.applied(seen, planning.plan(seen))
    assert after.fleet is not None
    served = snapshot.grouped(after.placements, lambda placement: placement.spec.site)
    sites = {node.name: node.site for node in after.nodes}
    agents = tuple(
        _measured(agent, served.get(sites[agent.node] or "", ())) for agent in after.fleet.agents
    )
    fleet = after.fleet.model_copy(update={"agents": agents})
    return dataclasses.replace(build.aged(after, 600.0), fleet=fleet)


def _measured(
    agent: report.AgentEvidence, placements: Sequence[v1alpha1.InferencePlacement]
) -> report.AgentEvidence:
    """The same agent, which calls the active replica of each placement and has both."""
    stages: list[report.StageReport] = []
    endpoints: list[report.EndpointReport] = []
    for placement in placements:
        policy = placement.spec.policy_ref.name
        for replica in placement.status.replicas:
            is_active = replica.role.value == "Active"
            endpoints.append(
                report.EndpointReport(
                    namespace=build.NAMESPACE,
                    policy=policy,
                    slot=replica.slot,
                    node=replica.node,
                    url=replica.endpoint or "http://x:8080",
                    good=50 if is_active else 0,
                    late=0,
                    failed=0,
                )
            )
            stages += _stages(policy, replica.node) if is_active else ()
    changes = {"stages": tuple(stages), "endpoints": tuple(endpoints)}
    return agent.model_copy(update={"report": agent.report.model_copy(update=changes)})


def _stages(policy: str, node: str) -> Iterator[report.StageReport]:
    for stage in histogram.Stage:
        of_node = stage in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE)
        yield report.StageReport(
            namespace=build.NAMESPACE,
            policy=policy,
            stage=stage,
            node=node if of_node else None,
            histogram=NEAR,
        )
