"""The whole operator on a real API server, with nodes and a hub that tests play."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

import operator_pair
from builders import room
from foreshore_api import v1alpha1
from foreshore_api.wire import assignment, report
from foreshore_kube import api, config, epochs, kinds
from foreshore_operator import main, statuses
from harness import apiserver as plain
from harness import charts, process, tools
from operator_world import Hub, Json, Kubelets, World

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"
CHART = ROOT / "charts" / "foreshore"
POLICY, PLACEMENT = "ventilate-when-occupied", "ventilate-when-occupied.hq"


@pytest.fixture(scope="module")
def crds(apiserver: plain.ApiServer) -> plain.ApiServer:
    apiserver.apply_crds(CRDS)
    apiserver.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-node-lease"}}
    )
    return apiserver


@pytest_asyncio.fixture
async def world(crds: plain.ApiServer, namespace: str) -> AsyncIterator[World]:
    """Three edge nodes of a site with agents that report, and one cloud node."""
    access = await config.load(crds.kubeconfig)
    hub = Hub()
    async with (
        api.KubeApi(access, user_agent="test") as kube,
        hub.open() as url,
    ):
        kubelets = Kubelets(kube)
        await kubelets.clear()
        for name in ("edge-1", "edge-2", "edge-3"):
            await kubelets.join(name, **{"foreshore.dev/site": "hq", "foreshore.dev/tier": "Edge"})
            hub.speak(name)
        await kubelets.join("cloud-1")
        task = asyncio.create_task(kubelets.run())
        try:
            yield World(crds, kube, namespace, kubelets, hub, url)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await clean(kube, namespace)


async def clean(kube: api.KubeApi, namespace: str) -> None:
    """Nothing collects garbage here, and operators see every namespace."""
    for model in v1alpha1.KINDS:
        kind = kinds.of(model)
        await kube.write("DELETE", kind.path(namespace), {})
    await kube.write("DELETE", kinds.PODS.path(namespace), {"gracePeriodSeconds": 0})
    await kube.write("DELETE", kinds.DISRUPTION_BUDGETS.path(namespace), {})
    for name in [node["metadata"]["name"] for node in await kube.list(kinds.NODES)]:
        await kube.write("DELETE", kinds.NODES.path(name=name), {})
    await kube.write("DELETE", kinds.LEASES.path("kube-node-lease"), {})


def node_of(pod: Json) -> str:
    return str(pod["spec"].get("nodeName"))


async def settled(world: World) -> None:
    await world.until_condition(
        v1alpha1.InferencePlacement, PLACEMENT, "Ready", "True", "Delivered"
    )
    await world.until_held("room-301", "edge-1")


async def test_an_applied_example_is_placed_granted_and_explained(world: World) -> None:
    await world.apply_example()
    async with world.operator():
        await settled(world)

        placement = await world.read(v1alpha1.InferencePlacement, PLACEMENT)
        (pod,) = await world.pods()
        (replica,) = placement["status"]["replicas"]
        assert (replica["node"], replica["role"]) == (node_of(pod), "Active")
        assert replica["endpoint"].endswith(":8080")
        assert placement["status"]["candidates"]["total"] == 4
        assert placement["metadata"]["ownerReferences"][0]["kind"] == "DecisionPolicy"
        assert pod["metadata"]["ownerReferences"][0]["uid"] == placement["metadata"]["uid"]
        (config,) = [
            each
            for each in await world.kube.list(kinds.CONFIG_MAPS, world.namespace)
            if each["metadata"]["name"] == pod["metadata"]["name"]
        ]
        assert config["metadata"]["ownerReferences"][0]["uid"] == pod["metadata"]["uid"]
        assert json.loads(config["data"]["model.json"])["digest"] == room.DIGEST
        assert int(pod["metadata"]["annotations"]["foreshore.dev/leader-epoch"]) > 1_000_000_000


async def test_a_replica_waits_for_its_accelerator_and_says_what_computes_it(world: World) -> None:
    """The API server takes the pod: of an extended resource requests and limits are equal."""
    await world.apply_example()
    gpu = {"name": "nvidia.com/gpu", "count": 1}
    runtime = {"providers": ["CUDA", "CPU"]}
    version = room.version(world.namespace)
    name = "occupancy-gpu"
    await world.apply(
        room.changed(
            version,
            metadata__name=name,
            spec__resources__accelerator=gpu,
            spec__runtime=runtime,
        ),
        room.changed(room.policy(world.namespace), spec__modelRef={"version": name}),
    )
    async with world.operator():

        async def lacking() -> bool:
            placed = await world.until_condition(
                v1alpha1.InferencePlacement, PLACEMENT, "Placed", "False", "NoCandidate"
            )
            return "4 have no nvidia.com/gpu: it takes a node with the device" in placed["message"]

        await world.until(lacking, what="every node is looked at and has no such device")

        world.kubelets.devices["edge-2"] = {"nvidia.com/gpu": "1"}
        await world.kubelets.set_ready("edge-2", "True")
        await settled(world)
        (pod,) = await world.pods()
        (container,) = pod["spec"]["containers"]
        assert node_of(pod) == "edge-2"
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"

        line = report.EndpointReport(
            namespace=world.namespace,
            policy=POLICY,
            slot="r0",
            node="edge-2",
            url=f"http://{pod['status']['podIP']}:8080",
            good=9,
            late=0,
            failed=0,
            provider="CPU",
        )
        world.hub.speak("edge-1", endpoints=(line,))

        async def fallen_back() -> Json | None:
            placement = await world.read(v1alpha1.InferencePlacement, PLACEMENT)
            (replica,) = placement["status"]["replicas"]
            return placement if replica.get("provider") == "CPU" else None

        placement = await world.until(fallen_back, what="the provider is shown")
        (ready,) = [c for c in placement["status"]["conditions"] if c["type"] == "Ready"]
        assert "computed by CPU, though CUDA is wanted first" in ready["message"]


async def test_every_kind_says_ready_from_the_first_visit(world: World) -> None:
    await world.apply_example()
    async with world.operator():
        await settled(world)
        for document in room.all_of(world.namespace):
            model = next(each for each in v1alpha1.KINDS if each.kind == document["kind"])
            live = await world.read(model, document["metadata"]["name"])
            said = {each["type"]: each["status"] for each in live["status"]["conditions"]}
            assert said["Ready"] == "True", live["status"]
            assert not said.keys() & {"Stalled", "Reconciling"}
            assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
        device = await world.read(v1alpha1.Device, "room-301")
        assert device["status"]["fence"] == "Device"


async def test_when_nothing_changes_nothing_is_written(world: World) -> None:
    await world.apply_example()
    async with world.operator() as running:
        await settled(world)
        await asyncio.sleep(1.5)
        before = await world.versions()
        for _ in range(8):
            for node in world.hub.agents:
                world.hub.speak(node)
            running.passes.marks.mark("test", urgent=True)
            await asyncio.sleep(0.5)

        assert await world.versions() == before


async def test_what_people_wrote_stays_as_they_wrote_it(world: World, tmp_path: Path) -> None:
    documents = room.all_of(world.namespace)
    file = tmp_path / "example.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    apply = ("apply", "--server-side", "-f", str(file))
    await asyncio.to_thread(world.apiserver.kubectl, *apply)
    async with world.operator():
        await settled(world)
        difference = ("diff", "--server-side", "-f", str(file))
        assert await asyncio.to_thread(world.apiserver.kubectl, *difference) == ""

        for document in documents:
            model = next(each for each in v1alpha1.KINDS if each.kind == document["kind"])
            live = await world.read(model, document["metadata"]["name"])
            assert "finalizers" not in live["metadata"]
            assert "annotations" not in live["metadata"]
            ours = [
                each
                for each in live["metadata"]["managedFields"]
                if each["manager"].startswith("foreshore") or each["manager"] == "kopf"
            ]
            assert all(each.get("subresource") == "status" for each in ours)


async def test_a_lost_node_is_replaced_and_its_pod_not_forced_away(world: World) -> None:
    await world.apply_example()
    async with world.operator():
        await settled(world)
        (first,) = await world.pods()
        lost = node_of(first)
        world.kubelets.silent.add(lost)
        world.hub.agents.pop(lost)  # its peers hear no more beats of it
        await world.kubelets.set_ready(lost, "Unknown")

        async def elsewhere() -> Json | None:
            found = [pod for pod in await world.pods() if node_of(pod) not in (lost, "None")]
            return found[0] if found else None

        replacement = await world.until(elsewhere, what="a replica on another node")
        await world.until_condition(
            v1alpha1.InferencePlacement, PLACEMENT, "Ready", "True", "Delivered"
        )
        placement = await world.read(v1alpha1.InferencePlacement, PLACEMENT)
        assert placement["status"]["moves"][0]["from"] == lost
        assert placement["status"]["moves"][0]["to"] == node_of(replacement)


async def lost(world: World) -> str:
    """The node of the only pod, dead from now on."""
    (pod,) = await world.pods()
    node = node_of(pod)
    world.kubelets.silent.add(node)
    world.hub.agents.pop(node)  # its peers hear no more beats of it
    await world.kubelets.set_ready(node, "Unknown")
    return node


async def test_a_drain_waits_until_the_successor_serves(world: World) -> None:
    """The trap: a drain evicts a pod at once, long before another is there to take over."""
    await world.apply_example()
    async with world.operator():
        await settled(world)
        (first,) = await world.pods()
        node, name = node_of(first), first["metadata"]["name"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        path = kinds.PODS.path(world.namespace, name, "eviction")
        with pytest.raises(api.ApiError, match="disruption budget"):
            await world.kube.write("POST", path, eviction)

        drain = asyncio.create_task(
            asyncio.to_thread(
                world.apiserver.kubectl, "drain", node, "--delete-emptydir-data", "--timeout=90s"
            )
        )
        ready: list[int] = []
        while not drain.done():
            pods = await world.pods()
            ready.append(sum(pod.get("status", {}).get("phase") == "Running" for pod in pods))
            await asyncio.sleep(0.05)
        await drain
        assert min(ready) == 1, "somebody serves at every moment"
        (second,) = await world.pods()
        assert node_of(second) != node


async def test_a_person_confirms_a_move_of_a_policy_that_waits_for_one(world: World) -> None:
    await world.apply_example()
    manual = room.changed(room.policy(world.namespace), spec__placement={"failover": "Manual"})
    await world.apply(manual)
    async with world.operator():
        await settled(world)
        node = await lost(world)
        placed = await world.until_condition(
            v1alpha1.InferencePlacement, PLACEMENT, "Placed", "False", "AwaitsConfirmation"
        )
        assert f"kubectl foreshore move {POLICY} --site hq" in placed["message"]
        placement = await world.read(v1alpha1.InferencePlacement, PLACEMENT)
        (proposal,) = placement["status"]["proposals"]
        assert proposal["from"] == node

        words = ["move", POLICY, "--site", "hq", "--yes", "-n", world.namespace]
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "foreshore_cli.main", *words],
            env={"KUBECONFIG": str(world.apiserver.kubeconfig), "HOME": "/nowhere"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        await world.until_condition(
            v1alpha1.InferencePlacement, PLACEMENT, "Placed", "True", "Placed"
        )
        after = await world.read(v1alpha1.InferencePlacement, PLACEMENT)
        move = after["status"]["moves"][0]
        assert (move["from"], move["to"]) == (node, proposal["to"])
        assert move["confirmed"] == proposal["id"]


async def test_a_model_that_agents_run_has_pods_only_while_one_of_them_cannot(
    world: World,
) -> None:
    edges = ("edge-1", "edge-2", "edge-3")
    asked, allowed = {"isolation": "Agent"}, "Agent"
    documents = room.all_of(world.namespace)
    for document in documents:
        if document["kind"] == "ModelVersion":
            document["spec"]["runtime"] = asked
        if document["kind"] == "Site":
            document["spec"]["isolation"] = allowed
    own = {node: runs_itself(world.namespace, node) for node in edges}
    for node in edges:
        world.hub.speak(node, endpoints=(own[node],))
    await world.apply(*documents)
    async with world.operator():
        await settled(world)
        await world.until_condition(
            v1alpha1.ModelVersion, "occupancy-v1", "InAgent", "True", "RunsInAgents"
        )
        placement = await world.read(v1alpha1.InferencePlacement, PLACEMENT)
        assert [(run["node"], run["phase"]) for run in placement["status"]["agents"]] == [
            (node, "Ready") for node in edges
        ]
        assert await world.pods() == []

        full = report.Problem(
            kind="ModelVersion",
            namespace=world.namespace,
            name="occupancy-v1",
            reason="NoModelMemory",
            message="128 MiB asked, 64 left",
        )
        world.hub.speak("edge-2", problems=(full,))
        await world.until_condition(
            v1alpha1.InferencePlacement, PLACEMENT, "InAgent", "False", "NoModelMemory"
        )
        await world.until(world.pods, what="a pod for the agent that has no room")
        await settled(world)

        async def is_podless() -> bool:
            return await world.pods() == []

        world.hub.speak("edge-2", endpoints=(own["edge-2"],))
        await world.until(is_podless, what="the pod goes when nobody needs it")


def runs_itself(namespace: str, node: str) -> report.EndpointReport:
    """What the agent of a node reports of the example's model in its own process."""
    return report.EndpointReport(
        namespace=namespace,
        policy=POLICY,
        slot=assignment.OWN_SLOT,
        node=node,
        url=assignment.in_agent(room.DIGEST),
        good=1,
        late=0,
        failed=0,
    )


async def test_a_version_that_cannot_be_pulled_leaves_what_serves_and_says_so(
    world: World,
) -> None:
    await world.apply_example()
    async with world.operator():
        await settled(world)
        (old,) = await world.pods()
        world.kubelets.unpullable = "occupancy-v2"
        await world.apply(*edited_to_v2(world.namespace))
        said = await world.until_condition(
            v1alpha1.InferencePlacement, PLACEMENT, "Degraded", "True", "ImagePull"
        )
        assert "no such image" in said["message"]
        placement = await world.read(v1alpha1.InferencePlacement, PLACEMENT)
        (replica,) = placement["status"]["replicas"]
        assert (replica["phase"], replica["version"]) == ("Ready", "occupancy-v1")
        assert replica["policyGeneration"] == 1
        assert replica["successor"]["reason"] == "ImagePull"
        assert replica["endpoint"].split(":")[0] == old["status"]["podIP"]
        table = await asyncio.to_thread(
            world.apiserver.kubectl, *("-n", world.namespace, "get", "fsplace", PLACEMENT)
        )
        assert replica["node"] in table, "the column shows the active replica"

        world.kubelets.unpullable = ""

        async def switched() -> bool:
            live = (await world.read(v1alpha1.InferencePlacement, PLACEMENT))["status"]
            (one,) = live["replicas"]
            return bool(one["version"] == "occupancy-v2" and one["policyGeneration"] == 2)

        await world.until(switched, what="the new version is listed")
        assert len(await world.pods()) == 2, "agents have not heard of it yet"

        async def drained() -> bool:
            return [pod["metadata"]["name"] for pod in await world.pods()] != [] and all(
                pod["metadata"]["name"] != old["metadata"]["name"] for pod in await world.pods()
            )

        await world.until(drained, what="the old pod is gone")


def edited_to_v2(namespace: str) -> tuple[Json, Json]:
    """The next version, and the policy that asks for it."""
    version = room.changed(
        room.version(namespace), metadata__name="occupancy-v2", spec__digest=f"sha256:{'2' * 64}"
    )
    policy = room.changed(room.policy(namespace), spec__modelRef__version="occupancy-v2")
    return version, policy


async def test_a_stale_lease_is_enough_although_the_node_still_says_ready(world: World) -> None:
    await world.apply_example()
    async with world.operator():
        await settled(world)
        (first,) = await world.pods()
        lost = node_of(first)
        world.kubelets.silent.add(lost)
        world.hub.agents.pop(lost)

        async def elsewhere() -> bool:
            return any(node_of(pod) not in (lost, "None") for pod in await world.pods())

        await world.until(elsewhere, what="a replica on another node")


async def test_the_right_moves_only_when_both_signs_are_there(world: World) -> None:
    await world.apply_example()
    async with world.operator():
        await settled(world)
        before = (await world.read(v1alpha1.Device, "room-301"))["status"]["authority"]
        world.hub.renewals = (
            report.LastRenewal(
                namespace=world.namespace,
                device="room-301",
                epoch=before["epoch"],
                holder="edge-1",
                age_seconds=60,
            ),
        )
        heard = [report.ReportedPeer(node="edge-1", age_seconds=0.5, has_hub=False)]
        world.hub.speak("edge-2", peers=tuple(heard))
        world.hub.speak("edge-3", peers=tuple(heard))
        del world.hub.agents["edge-1"]
        world.kubelets.silent.add("edge-1")
        await world.kubelets.set_ready("edge-1", "Unknown")
        await asyncio.sleep(3)
        still = (await world.read(v1alpha1.Device, "room-301"))["status"]["authority"]
        assert still["holder"] == "edge-1"

        stopped = [report.ReportedPeer(node="edge-1", age_seconds=40, has_hub=False)]
        world.hub.speak("edge-2", peers=tuple(stopped))
        world.hub.speak("edge-3", peers=tuple(stopped))
        after = await world.until_held("room-301", "edge-2")

        assert after["epoch"] > before["lastIssued"]


async def test_without_the_hub_no_right_is_granted(world: World) -> None:
    world.hub.is_down = True
    await world.apply_example()
    async with world.operator():
        await world.until_condition(
            v1alpha1.InferencePlacement, PLACEMENT, "Ready", "True", "Delivered"
        )
        assert "authority" not in (await world.read(v1alpha1.Device, "room-301"))["status"]
        world.hub.is_down = False
        await world.until_held("room-301", "edge-1")


async def test_a_device_that_is_applied_and_granted_has_its_status_written_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statuses, "FIRST_WAITS", 60.0)  # a busy machine may need longer to grant
    async with world.operator() as running:
        await world.apply_example()
        await settled(world)
        await world.until_condition(v1alpha1.Device, "room-301", "Ready", "True", "Delivered")
        await asyncio.sleep(2.0)
        assert written(running, "Urgent") == 1.0, "the grant, with what is said with it"
        assert not written(running, "Status")


async def test_a_hub_that_goes_away_and_comes_back_is_no_write_of_a_device(world: World) -> None:
    await world.apply_example()
    async with world.operator() as running:
        await settled(world)
        await world.until_condition(v1alpha1.Device, "room-301", "Ready", "True", "Delivered")
        await asyncio.sleep(1.0)
        before = written(running, "Status")
        world.hub.is_down = True
        await world.until_condition(v1alpha1.Site, "hq", "Connected", "Unknown", "HubUnreachable")
        world.hub.is_down = False
        await world.until_condition(v1alpha1.Site, "hq", "Connected", "True", "AgentConnected")
        await asyncio.sleep(1.0)
        assert written(running, "Status") == before


def written(running: main.Operator, lane: str) -> float | None:
    """How often the operator has written a Device in a lane."""
    labels = {"lane": lane, "kind": "Device", "result": "Written"}
    registry = running.metrics.registry
    return registry.get_sample_value("foreshore_operator_writes_total", labels)


async def test_a_policy_that_does_not_compile_is_stalled_and_its_replicas_stay(
    world: World,
) -> None:
    await world.apply_example()
    async with world.operator():
        await settled(world)
        before = await world.pods()
        broken = room.policy(world.namespace)
        broken["spec"]["rules"][0]["expression"] = "scroe >= 0.8"
        await world.apply(broken)
        said = await world.until_condition(
            v1alpha1.DecisionPolicy, POLICY, "Stalled", "True", "CompileFailed"
        )
        assert "scroe" in said["message"]
        await asyncio.sleep(1)

        names = [pod["metadata"]["name"] for pod in await world.pods()]
        assert names == [pod["metadata"]["name"] for pod in before]

        await world.apply(room.policy(world.namespace))
        await world.until_condition(v1alpha1.DecisionPolicy, POLICY, "Ready", "True", "Delivered")


async def test_apply_order_does_not_matter(world: World) -> None:
    async with world.operator():
        for document in reversed(room.all_of(world.namespace)):
            await world.apply(document)
            await asyncio.sleep(0.3)
        await settled(world)


async def test_an_unknown_reference_is_named(world: World) -> None:
    device = room.changed(room.device(world.namespace), spec__profileRef__name="no-such")
    await world.apply(room.site(world.namespace), device)
    async with world.operator():
        said = await world.until_condition(
            v1alpha1.Device, "room-301", "Ready", "False", "ReferenceNotFound"
        )
        assert "no-such" in said["message"]


async def test_a_second_site_of_the_name_is_stalled(world: World) -> None:
    await world.apply(room.site(world.namespace))
    await asyncio.sleep(1.1)  # creation times have whole seconds
    with world.apiserver.namespace("younger") as other:
        await world.apply(room.site(other))
        async with world.operator():

            async def stalled() -> Json | None:
                live = await world.kube.get(kinds.of(v1alpha1.Site), other, "hq")
                said = live.get("status", {}).get("conditions", [])
                return next((each for each in said if each["type"] == "Stalled"), None)

            found = await world.until(stalled, what="the younger Site is Stalled")
            assert found["reason"] == "SiteConflict"
        await clean_site(world, other)


async def clean_site(world: World, namespace: str) -> None:
    await world.kube.write("DELETE", kinds.of(v1alpha1.Site).path(namespace), {})


async def test_the_second_replica_takes_over_with_a_higher_epoch_and_writes_nothing_new(
    world: World,
) -> None:
    await world.apply_example()
    async with world.operator("b") as second, contextlib.AsyncExitStack() as stack:
        await world.until(lambda: answered(second.leader.is_leader), what="b leads")
        first = await stack.enter_async_context(world.operator("a"))
        await settled(world)
        assert not first.leader.is_leader
    await asyncio.sleep(0.1)
    before = await world.versions()
    async with world.operator("c") as third:
        await world.until(lambda: answered(third.leader.is_leader), what="c leads")
        assert third.leader.epoch > second.leader.epoch
        await asyncio.sleep(2)

        assert await world.versions() == before


async def answered(value: bool) -> bool:
    return value


async def test_an_api_server_that_restarts_costs_nothing_but_time(world: World) -> None:
    await world.apply_example()
    async with world.operator():
        await settled(world)
        before = {pod["metadata"]["name"] for pod in await world.pods()}
        world.apiserver.restart(kill=True)
        await asyncio.sleep(3)
        await world.apply(room.changed(room.device(world.namespace), metadata__name="room-302"))
        await world.until_held("room-302", "edge-1")

        assert {pod["metadata"]["name"] for pod in await world.pods()} == before


async def test_readiness_is_told_and_writes_are_counted(world: World) -> None:
    await world.apply_example()
    async with world.operator() as running:
        await settled(world)
        port = running.passes.settings.metrics_port
        page = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/metrics")
        ready = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/readyz")

    assert 'foreshore_operator_writes_total{kind="Pod",lane="Urgent",result="Written"} 1.0' in page
    assert "foreshore_operator_leader 1.0" in page
    assert ready == "ok\n"


@pytest.fixture
def epoch_policies(world: World) -> Iterator[None]:
    """The chart's policies on leaders' epochs, in force for the operator of this namespace."""
    documents = [
        document
        for document in charts.rendered("foreshore", (), world.namespace)
        if operator_pair.is_policy(document)
    ]
    world.apiserver.apply(*documents)
    yield
    for document in documents:
        world.apiserver.kubectl("delete", document["kind"], document["metadata"]["name"])


@pytest.mark.usefixtures("epoch_policies")
async def test_the_rights_of_the_chart_are_enough_and_pods_pass_restricted_security(
    world: World,
) -> None:
    world.apiserver.apply(*rights_of_the_chart(world.namespace))
    label = "pod-security.kubernetes.io/enforce=restricted"
    world.apiserver.kubectl("label", "namespace", world.namespace, label)
    account = world.apiserver.kubeconfig_for_account(
        "foreshore-operator", namespace=world.namespace
    )
    await world.apply_example()
    async with world.operator(kubeconfig=account) as running:
        await settled(world)
        (pod,) = await world.pods()
        config_map = await world.kube.get(
            kinds.CONFIG_MAPS, world.namespace, pod["metadata"]["name"]
        )
        placement = await world.read(v1alpha1.InferencePlacement, PLACEMENT)
        device = await world.read(v1alpha1.Device, "room-301")
        epoch = running.leader.epoch
        assert {epochs.of_object(written) for written in (pod, config_map, placement)} == {epoch}
        assert {epochs.of_status(written) for written in (placement, device)} == {epoch}
        disabled = room.changed(room.policy(world.namespace), spec__mode="Disabled")
        await world.apply(disabled)

        async def gone() -> bool:
            placements = kinds.of(v1alpha1.InferencePlacement)
            return not await world.kube.list(placements, world.namespace)

        await world.until(gone, what="the placement is gone")
        page = await asyncio.to_thread(
            fetch, f"http://127.0.0.1:{running.passes.settings.metrics_port}/metrics"
        )
    assert 'result="Rejected"' not in page
    assert 'result="Superseded"' not in page


FORBIDDEN = (
    *(f"{verb} secrets" for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *(f"{verb} nodes" for verb in ("get", "create", "patch", "update", "delete")),
    "patch nodes/status",
    *(f"{verb} pods" for verb in ("patch", "update", "deletecollection")),
    *(f"create pods/{part}" for part in ("exec", "attach", "portforward", "eviction", "binding")),
    *(f"get pods/{part}" for part in ("log", "exec", "proxy")),
    "patch pods/status",
    "patch pods/ephemeralcontainers",
    *(f"{verb} configmaps" for verb in ("get", "list", "watch", "patch", "update", "delete")),
    *(
        f"{verb} poddisruptionbudgets.policy"
        for verb in ("get", "watch", "patch", "update", "delete")
    ),
    *(f"{verb} serviceaccounts" for verb in ("get", "create", "impersonate")),
    "create serviceaccounts/token",
    *(f"{verb} namespaces" for verb in ("get", "list", "create", "patch", "delete")),
    *(f"{verb} deployments.apps" for verb in ("list", "create", "patch", "delete")),
    *(f"{verb} leases.coordination.k8s.io" for verb in ("get", "list", "watch", "patch", "delete")),
    "get leases.coordination.k8s.io in kube-node-lease",
    "update leases.coordination.k8s.io in kube-node-lease",
    *(f"{verb} events.events.k8s.io" for verb in ("get", "list", "delete")),
    *(
        f"{verb} {kind}.rbac.authorization.k8s.io"
        for kind in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
        for verb in ("create", "patch", "bind", "escalate")
    ),
    "patch customresourcedefinitions.apiextensions.k8s.io",
    "patch validatingadmissionpolicies.admissionregistration.k8s.io",
    *(
        f"{verb} {model.plural}.foreshore.dev"
        for model in v1alpha1.KINDS
        if model is not v1alpha1.InferencePlacement
        for verb in ("get", "create", "update", "patch", "delete")
    ),
    *(f"update {model.plural}.foreshore.dev/status" for model in v1alpha1.KINDS),
    "update inferenceplacements.foreshore.dev",
    "deletecollection inferenceplacements.foreshore.dev",
    "update inferenceplacements.foreshore.dev/finalizers",
)
"""What a thief of the operator's token must not be able to do: verb, resource, namespace if any."""


async def test_the_operator_has_no_right_that_it_does_not_use(world: World) -> None:
    world.apiserver.apply(*rights_of_the_chart(world.namespace))
    used = (
        "create pods",
        "list poddisruptionbudgets.policy",
        "list leases.coordination.k8s.io in kube-node-lease",
    )
    allowed = {action for action in (*used, *FORBIDDEN) if await is_allowed(world, action)}

    assert allowed == set(used)


async def is_allowed(world: World, action: str) -> bool:
    """Whether the operator's account may do `verb plural[.group][/part][ in namespace]`."""
    what, _, namespace = action.partition(" in ")
    verb, _, resource = what.partition(" ")
    named, _, part = resource.partition("/")
    plural, _, group = named.partition(".")
    asked = {"verb": verb, "group": group, "resource": plural, "subresource": part}
    answer = await world.kube.write(
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{world.namespace}:foreshore-operator",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "resourceAttributes": {**asked, "namespace": namespace or "default"},
            },
        },
    )
    return bool(answer["status"]["allowed"])


def rights_of_the_chart(namespace: str) -> list[Json]:
    """The operator's account and roles, as Helm renders them for a release in this namespace."""
    rendered = process.run(
        [
            tools.binary("helm"),
            *("template", "foreshore", str(CHART), "--namespace", namespace),
            *("--kube-version", "1.36.0", "--show-only", "templates/operator.yaml"),
        ]
    )
    return [
        document
        for document in yaml.safe_load_all(rendered)
        if "rbac" in document["apiVersion"] or document["kind"] == "ServiceAccount"
    ]


async def test_transitions_are_events_and_repetitions_are_not(world: World) -> None:
    await world.apply_example()
    async with world.operator() as running:
        await settled(world)
        for _ in range(5):
            running.passes.marks.mark("test", urgent=True)
            await asyncio.sleep(0.2)

        async def told() -> set[tuple[str, str]] | None:
            found = await world.kube.list(kinds.EVENTS, world.namespace)
            said = {(each["regarding"]["kind"], each["reason"]) for each in found}
            return said if ("Device", "FirstGrant") in said else None

        said = await world.until(told, what="events are posted")
        await asyncio.sleep(1)
        found = await world.kube.list(kinds.EVENTS, world.namespace)

    assert {("Site", "Accepted"), ("InferencePlacement", "FirstPlacement")} <= said
    keys = [(each["regarding"]["uid"], each["reason"], each["action"]) for each in found]
    assert len(keys) == len(set(keys))


def fetch(url: str) -> str:
    return process.run(["curl", "-sS", url], timeout=10)
