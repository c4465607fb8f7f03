"""What an operator needs around it on a plain API server: nodes, kubelets by hand, a hub by hand.

There are no controllers and no kubelets on a plain API server; tests play them, so that every step
of a node's death is theirs to choose.
"""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from builders import patience, room
from foreshore_api import meta, scalars, v1alpha1
from foreshore_api.wire import report
from foreshore_kube import api, kinds
from foreshore_operator import main, manifests, settings
from harness import apiserver as plain
from harness import process

Json = dict[str, Any]
T = TypeVar("T")


def timestamp() -> str:
    """Now, as Leases write it."""
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Kubelets:
    """Nodes and the pods on them."""

    kube: api.KubeApi
    nodes: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    devices: dict[str, Json] = field(default_factory=dict)
    """What device plug-ins offer, by node."""
    unpullable: str = ""
    """ModelVersion whose pods find no image."""

    async def clear(self) -> None:
        """Forget the nodes that other tests on this API server have left."""
        for node in await self.kube.list(kinds.NODES):
            await self.kube.write("DELETE", kinds.NODES.path(name=node["metadata"]["name"]), {})

    async def join(self, name: str, **labels: str) -> None:
        """A ready node with room for much."""
        document = {"metadata": {"name": name, "labels": labels}}
        await self.kube.apply(kinds.NODES, document, manager="kubelet")
        await self.set_ready(name, "True")
        self.nodes.append(name)

    async def set_ready(self, name: str, status: str) -> None:
        """What the node controller or the kubelet says of a node."""
        condition = {"type": "Ready", "status": status, "reason": "Test", "message": ""}
        room_ = {"cpu": "2", "memory": "2Gi", "pods": "20", **self.devices.get(name, {})}
        await self.kube.apply_status(
            kinds.NODES,
            {
                "metadata": {"name": name},
                "status": {"conditions": [condition], "allocatable": room_, "capacity": room_},
            },
            manager="kubelet",
        )

    async def run(self) -> None:
        """Renew Leases and run pods, on every node that is not silent.

        As a real kubelet does, it tries again where the API server does not answer.
        """
        while True:
            with contextlib.suppress(api.ApiError):
                await self._look()
            await asyncio.sleep(0.3)

    async def _look(self) -> None:
        for name in self.nodes:
            if name not in self.silent:
                await self._renew(name)
        for pod in await self.kube.list(kinds.PODS, label_selector=manifests.SELECTOR):
            node = manifests.wanted_node(pod["spec"]) or ""
            if node not in self.silent:
                await self._attend(pod, node)

    async def _renew(self, name: str) -> None:
        await self.kube.apply(
            kinds.LEASES,
            {
                "metadata": {"namespace": "kube-node-lease", "name": name},
                "spec": {"holderIdentity": name, "renewTime": timestamp()},
            },
            manager="kubelet",
        )

    async def _attend(self, pod: Json, node: str) -> None:
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            with contextlib.suppress(api.ApiError):
                await self.kube.write(
                    "DELETE",
                    kinds.PODS.path(metadata["namespace"], metadata["name"]),
                    {"gracePeriodSeconds": 0},
                )
        elif (pod.get("status") or {}).get("phase") != "Running":
            version = metadata["annotations"][manifests.ANNOTATION_VERSION]
            await (self.starve if version == self.unpullable else self.serve)(pod, node)

    async def starve(self, pod: Json, node: str) -> None:
        """Report that the pod's image cannot be pulled."""
        metadata = pod["metadata"]
        waiting = {"reason": "ErrImagePull", "message": f"no such image on {node}"}
        container = {
            "name": "serving",
            "image": "x",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"waiting": waiting},
        }
        await self.kube.apply_status(
            kinds.PODS,
            {
                "metadata": {"namespace": metadata["namespace"], "name": metadata["name"]},
                "status": {"phase": "Pending", "containerStatuses": [container]},
            },
            manager="kubelet",
        )

    async def serve(self, pod: Json, node: str) -> None:
        """Bind the pod and report it ready."""
        metadata = pod["metadata"]
        name = {"namespace": metadata["namespace"], "name": metadata["name"]}
        if not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": node}
            path = kinds.PODS.path(name["namespace"], name["name"], "binding")
            await self.kube.write(
                "POST",
                path,
                {"apiVersion": "v1", "kind": "Binding", "metadata": name, "target": target},
            )
        address = f"10.244.{self.nodes.index(node)}.7"
        await self.kube.apply_status(
            kinds.PODS,
            {
                "metadata": name,
                "status": {
                    "phase": "Running",
                    "containerStatuses": [],
                    "podIP": address,
                    "podIPs": [{"ip": address}],
                    "conditions": [{"type": "Ready", "status": "True"}],
                },
            },
            manager="kubelet",
        )


@dataclass
class Hub:
    """The hub's door as far as the operator sees it."""

    agents: dict[str, report.Report] = field(default_factory=dict)
    renewals: tuple[report.LastRenewal, ...] = ()
    uptime: float = 1000.0
    revision: int = 1
    is_down: bool = False

    def speak(self, node: str, **facts: Any) -> None:
        """An agent that reports from now on."""
        self.agents[node] = report.Report(
            node=node,
            boot_id="boot",
            agent_version="test",
            sent_at=datetime.datetime.now(datetime.UTC),
            uptime_seconds=1000,
            **{"broker_connected": True, **facts},
        )
        self.revision += 1

    async def answer(self, request: web.Request) -> web.Response:
        """`GET /v1/fleet`, held for a moment while nothing is new."""
        if self.is_down:
            return web.Response(status=503)
        asked = request.query.get("revision")
        for _ in range(20):
            if asked != str(self.revision) or request.query["wait"] == "0s":
                break
            await asyncio.sleep(0.05)
        fleet = report.Fleet(
            lineage="test",
            revision=self.revision,
            uptime_seconds=self.uptime,
            agents=tuple(
                report.AgentEvidence(node=node, age_seconds=0.5, report=self._hearing(said))
                for node, said in self.agents.items()
            ),
            renewals=self.renewals,
        )
        return web.Response(body=fleet.encode(), content_type="application/json")

    def _hearing(self, said: report.Report) -> report.Report:
        """A report of an agent that hears every other that speaks: they share a broker."""
        peers = tuple(
            report.ReportedPeer(node=node, age_seconds=0.5, has_hub=True)
            for node in self.agents
            if node != said.node
        )
        return said.model_copy(update={"peers": said.peers or peers})

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The door's address."""
        application = web.Application()
        application.router.add_get("/v1/fleet", self.answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            port = process.free_port()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


@dataclass
class World:
    """One namespace of an API server with nodes, a hub and, while asked for, operators."""

    apiserver: plain.ApiServer
    kube: api.KubeApi
    namespace: str
    kubelets: Kubelets
    hub: Hub
    hub_url: str

    @contextlib.asynccontextmanager
    async def operator(
        self, identity: str = "a", kubeconfig: Path | None = None, namespace: str = ""
    ) -> AsyncIterator[main.Operator]:
        """A running operator, as the administrator unless another kubeconfig is given."""
        chosen = settings.OperatorSettings(
            namespace=namespace or self.namespace,
            serving_image="foreshore-edge:test",
            identity=identity,
            hub_url=self.hub_url,
            kubeconfig=kubeconfig or self.apiserver.kubeconfig,
            metrics_port=process.free_port(),
        )
        async with main.operator(chosen) as running:
            yield running

    async def apply(self, *documents: Json) -> None:
        """What a person applies."""
        for document in documents:
            model = next(each for each in v1alpha1.KINDS if each.kind == document["kind"])
            await self.kube.apply(kinds.of(model), document, manager="kubectl")

    async def apply_example(self) -> None:
        """The whole room, in this namespace."""
        await self.apply(*room.all_of(self.namespace))

    async def read(self, model: type[meta.Resource], name: str) -> Json:
        """One resource as it is; empty while there is none."""
        try:
            return await self.kube.get(kinds.of(model), self.namespace, name)
        except api.NotFoundError:
            return {}

    async def pods(self) -> list[Json]:
        """The inference pods that are not on their way out."""
        every = await self.kube.list(kinds.PODS, self.namespace, label_selector=manifests.SELECTOR)
        return [pod for pod in every if not pod["metadata"].get("deletionTimestamp")]

    async def until(
        self,
        probe: Callable[[], Awaitable[T | None]],
        *,
        what: str,
        seconds: float = patience.SECONDS,
    ) -> T:
        """Ask until the answer is truthy."""
        try:
            async with asyncio.timeout(seconds):
                while not (answer := await probe()):  # noqa: ASYNC110 (others change it)
                    await asyncio.sleep(0.1)
                return answer
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {what}") from None

    async def until_condition(
        self, model: type[meta.Resource], name: str, type_: str, status: str, reason: str
    ) -> Json:
        """Wait for a condition; its document."""
        last: Json = {}

        async def probe() -> Json | None:
            nonlocal last
            document = await self.read(model, name)
            said = document.get("status", {}).get("conditions", [])
            last = {each["type"]: each for each in said}
            found = last.get(type_, {})
            return found if (found.get("status"), found.get("reason")) == (status, reason) else None

        try:
            return await self.until(probe, what="")
        except AssertionError:
            raise AssertionError(f"no {type_}={status}/{reason}: {last}") from None

    async def until_held(self, device: str, holder: str, seconds: float = patience.SECONDS) -> Json:
        """Wait until an agent holds the device; the authority."""

        async def probe() -> Json | None:
            document = await self.read(v1alpha1.Device, device)
            authority: Json = document.get("status", {}).get("authority", {})
            return authority if authority.get("holder") == holder else None

        return await self.until(probe, what=f"{holder} holds {device}", seconds=seconds)

    async def versions(self) -> dict[str, str]:
        """The resourceVersion of everything an operator could write."""
        found: dict[str, str] = {}
        every = [kinds.of(model) for model in v1alpha1.KINDS]
        for kind in (*every, kinds.PODS, kinds.CONFIG_MAPS):
            for document in await self.kube.list(kind, self.namespace if kind.namespaced else ""):
                metadata = document["metadata"]
                found[f"{kind.kind}/{metadata['name']}"] = metadata["resourceVersion"]
        return found


def now() -> str:
    """Now, as statuses write it."""
    return scalars.timestamp(datetime.datetime.now(datetime.UTC))
