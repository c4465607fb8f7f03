"""A fleet brought up: control plane, nodes, hub, agents, and operators when they are asked for.

`trials` measures in it. Everything it starts ends with it.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

import hub_process
from foreshore_api import v1alpha1
from foreshore_kube import api, config, kinds
from harness import charts, process
from scale import fleet, plane, processes, watched, writes

Json = dict[str, Any]

AT_ONCE: Final = 24
"""Requests that are on their way to the API server together while the fleet is made."""
REQUESTS: Final = "apiserver_request_total"
WRITING: Final = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
TOKEN_SECONDS: Final = 6 * 3600
LEASES: Final = "kube-node-lease"
TESTS: Final = Path(__file__).parents[1]
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS / 'cluster'}"}


class ScaleWorld:
    """What trials work with."""

    def __init__(
        self, shape: fleet.FleetShape, control: plane.ControlPlane, kube: api.KubeApi, folder: Path
    ) -> None:
        self.shape = shape
        self.control = control
        self.kube = kube
        self.folder = folder
        self.hub = hub_process.HubProcess(control, folder / "hub")
        self.audit = writes.AuditLog(control.audit_log)
        self.seen = watched.WatchedFleet(kube)
        self.operators: list[processes.OperatorReplica] = []
        self.problems: list[str] = []
        self._agents: subprocess.Popen[bytes] | None = None
        self._floor: subprocess.Popen[bytes] | None = None
        self.floor_port = process.free_port()
        self._agents_port = process.free_port()
        self._reach: processes.Reach | None = None
        self._started = 0

    # -- bringing it up ----------------------------------------------------------------------

    async def install(self) -> None:
        """The kinds, the accounts and their rights, as the charts bring them."""
        with process.step("installing kinds, accounts and rights"):
            self.hub.prepare()
            self.control.apply(_namespace(fleet.NAMESPACE), *rights())

    async def join_nodes(self) -> None:
        """Make the nodes and wait until all are Ready."""
        with process.step(f"joining {self.shape.nodes} nodes"):
            self.control.run_nodes()
            await self.make(kinds.NODES, self.shape.node_documents())
            await self.until(self._are_nodes_ready, what="every node is Ready", seconds=300)
        with process.step("starting the agents' pods"):
            await self.make(kinds.PODS, self.shape.agent_pods(hub_process.AGENTS))

    async def _are_nodes_ready(self) -> bool:
        documents = await self.kube.list(kinds.NODES)
        return all(is_ready(node) and not is_tainted(node) for node in documents)

    async def start_hub(self) -> None:
        """Start the hub as a process of its own."""
        with process.step("starting the hub"):
            self.hub.start()

    async def start_agents(self) -> None:
        """Give every agent a token bound to its node and let all speak."""
        names = self.shape.node_names()
        with process.step(f"starting {len(names)} agents"):
            tokens = dict(
                zip(names, await self._at_once(self._token(node) for node in names), strict=True)
            )
            file = self.folder / "tokens.json"
            file.touch(mode=0o600)
            file.write_text(
                json.dumps({node: {"token": tokens[node], "site": names[node]} for node in names})
            )
            self._floor = process.start(
                [sys.executable, "-m", "scale.floor", "--port", str(self.floor_port)],
                log=self.folder / "floor.log",
                env=ENVIRONMENT,
            )
            self._agents = process.start(
                [
                    sys.executable, "-m", "scale.agents",
                    "--hub", f"https://127.0.0.1:{self.hub.door_port}",
                    "--ca", self.folder / "hub" / "door" / "ca.crt",
                    "--tokens", file, "--port", str(self._agents_port),
                ],
                log=self.folder / "agents.log",
                env=ENVIRONMENT,
            )  # fmt: skip
            await self.until(self._do_agents_speak, what="agents answer", seconds=60)

    async def _do_agents_speak(self) -> bool:
        return bool(await self.agents_figures())

    async def _token(self, node: str) -> str:
        kind = kinds.ResourceKind("", "v1", "serviceaccounts", "ServiceAccount")
        answer = await self.kube.write(
            "POST",
            kind.path(hub_process.AGENTS, fleet.AGENT, "token"),
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {
                    "audiences": ["foreshore-hub"],
                    "expirationSeconds": TOKEN_SECONDS,
                    "boundObjectRef": {"apiVersion": "v1", "kind": "Node", "name": node},
                },
            },
        )
        return str(answer["status"]["token"])

    async def apply_resources(self) -> None:
        """What people apply but the devices."""
        with process.step("applying sites, profile, model and policies"):
            await self.apply(self.shape.resources())

    # -- the API server ----------------------------------------------------------------------

    async def make(self, kind: kinds.ResourceKind, documents: Iterable[Json]) -> None:
        """Create objects, many at once; they stay."""

        async def create(document: Json) -> None:
            with contextlib.suppress(api.ConflictError):
                await self._tried(lambda: self.kube.create(kind, document, manager="scale"))

        await self._at_once(create(document) for document in documents)

    async def apply(self, documents: Iterable[Json]) -> None:
        """Create resources of the product."""
        models = {model.kind: kinds.of(model) for model in v1alpha1.KINDS}
        for kind, group in grouped(documents):
            await self.make(models[kind], group)

    async def _tried(self, request: Any) -> Any:
        for attempt in range(10):
            try:
                return await request()
            except api.UnavailableError:
                if attempt == 9:
                    raise
                await asyncio.sleep(0.2 * (attempt + 1))
        raise AssertionError("unreachable")

    async def _at_once(self, requests: Iterable[Any]) -> list[Any]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def gated(request: Any) -> Any:
            async with gate:
                return await request

        return await asyncio.gather(*(gated(request) for request in requests))

    # -- operators ---------------------------------------------------------------------------

    def start_operator(self) -> processes.OperatorReplica:
        """Start one more replica."""
        if self._reach is None:
            token = self.folder / "operator.token"
            token.touch(mode=0o600)
            token.write_text(self.hub.operator_token())
            account = ("foreshore-operator", hub_process.SYSTEM)
            self._reach = processes.Reach(
                kubeconfig=self.control.kubeconfig_for_account(account[0], namespace=account[1]),
                namespace=hub_process.SYSTEM,
                hub_url=f"https://127.0.0.1:{self.hub.door_port}",
                hub_ca=self.folder / "hub" / "door" / "ca.crt",
                hub_token=token,
            )
        self._started += 1
        replica = processes.OperatorReplica(f"r{self._started}", self._reach, self.folder)
        self.operators.append(replica)
        return replica

    async def leader(self, seconds: float = 60) -> processes.OperatorReplica:
        """The replica that may write."""

        async def leading() -> processes.OperatorReplica | None:
            for replica in self.operators:
                if await replica.leads():
                    return replica
            return None

        found = await self.until(leading, what="an operator leads", seconds=seconds)
        if not isinstance(found, processes.OperatorReplica):
            raise process.HarnessError("no operator leads")
        return found

    def end_operators(self) -> None:
        """Ask every operator to end."""
        for replica in self.operators:
            replica.end()
        self.operators.clear()

    async def requests(self) -> Mapping[tuple[str, str], float]:
        """Writes at the API server by anybody, by resource and verb."""
        text = await asyncio.to_thread(self.control.kubectl, "get", "--raw", "/metrics")
        wanted = "\n".join(row for row in text.splitlines() if row.startswith(REQUESTS)) + "\n"
        samples = processes.Samples(tuple(processes.lines(wanted)))
        counted = samples.by(REQUESTS, "resource", "verb")
        return {(key[0], key[1]): value for key, value in counted.items() if key[1] in WRITING}

    # -- faults ------------------------------------------------------------------------------

    async def silence(self, nodes: Iterable[str]) -> None:
        """Cut nodes off for good: no Lease is renewed, no agent speaks."""
        names = list(nodes)
        await self._tell_agents(names)
        for name in names:
            await self._alter_lease(name, lambda lease: plane.silenced(lease, datetime.now(UTC)))

    async def revive(self, nodes: Iterable[str]) -> None:
        """Bring them back."""
        for name in nodes:
            await self._alter_lease(name, plane.released)
        await self._tell_agents([])

    async def _alter_lease(self, name: str, change: Any) -> None:
        for _ in range(20):
            lease = await self.kube.get(kinds.LEASES, LEASES, name)
            with contextlib.suppress(api.ConflictError):  # kwok was quicker
                await self.kube.replace(kinds.LEASES, change(lease))
                return
        raise process.HarnessError(f"the Lease of {name} does not hold still")

    async def _tell_agents(self, silent: list[str]) -> None:
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"http://127.0.0.1:{self._agents_port}/silent", json=silent) as answer,
        ):
            answer.raise_for_status()

    async def agents_figures(self) -> Json:
        """What the agents did; empty while their process does not answer."""
        limit = aiohttp.ClientTimeout(total=20)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as client,
                client.get(f"http://127.0.0.1:{self._agents_port}/figures") as answer,
            ):
                document: Json = await answer.json()
                return document
        except (aiohttp.ClientError, TimeoutError, OSError):
            return {}

    # -- waiting -----------------------------------------------------------------------------

    async def until(self, probe: Any, *, what: str, seconds: float, every: float = 0.3) -> Any:
        """Ask until the answer is truthy; HarnessError when time is up or a program ended."""
        try:
            async with asyncio.timeout(seconds):
                while not (answer := await probe()):
                    self.check()
                    await asyncio.sleep(every)
                return answer
        except TimeoutError:
            raise process.HarnessError(f"not within {seconds:.0f} s: {what}") from None

    def check(self) -> None:
        """Raise HarnessError if a program of the world ended by itself."""
        for ended in self.control.ended():
            raise process.HarnessError(ended)
        if self._agents is not None and self._agents.poll() is not None:
            raise process.HarnessError(
                f"the agents ended: {process.tail(self.folder / 'agents.log')}"
            )
        for replica in self.operators:
            if replica.child.poll() is not None:
                raise process.HarnessError(
                    f"operator {replica.name} ended: {process.tail(replica.log)}"
                )

    @property
    def process_ids(self) -> Mapping[str, int]:
        """The processes that are measured beside operators."""
        hub = self.hub._child
        agents = self._agents
        return {
            "API server": self.control.process_id,
            **({"hub": hub.pid} if hub is not None else {}),
            **({"agents": agents.pid} if agents is not None else {}),
        }

    def close(self) -> None:
        """End all processes but the control plane's."""
        for replica in self.operators:
            process.end(replica.child, kill=True)
        for child in (self._agents, self._floor):
            if child is not None:
                process.end(child, kill=True)
        self.hub.stop(kill=True)


@contextlib.asynccontextmanager
async def brought_up(shape: fleet.FleetShape, folder: Path) -> AsyncIterator[ScaleWorld]:
    """A fleet without devices and operators."""
    with plane.ControlPlane(folder) as control:
        access = await config.load(control.kubeconfig)
        async with api.KubeApi(access, user_agent="scale", timeout=30) as kube:
            world = ScaleWorld(shape, control, kube, folder)
            try:
                await world.install()
                await world.join_nodes()
                await world.start_hub()
                await world.start_agents()
                await world.apply_resources()
                async with world.seen.watching():
                    yield world
            finally:
                world.close()


def rights() -> Iterator[Json]:
    """Accounts' rights as the charts give them, where the harness has its accounts."""
    for chart, namespace in (
        ("foreshore", hub_process.SYSTEM),
        ("foreshore-agent", hub_process.AGENTS),
    ):
        for document in charts.rendered(chart, charts.VALUES[chart]):
            if not document["apiVersion"].startswith("rbac.authorization.k8s.io/"):
                continue
            metadata = document["metadata"]
            if metadata.get("namespace") == "default":
                metadata["namespace"] = namespace
            for subject in document.get("subjects", ()):
                if subject.get("namespace") == "default":
                    subject["namespace"] = hub_process.SYSTEM
            yield document


def grouped(documents: Iterable[Json]) -> Iterator[tuple[str, list[Json]]]:
    """Documents by kind, in the order in which kinds first appear."""
    groups: dict[str, list[Json]] = {}
    for document in documents:
        groups.setdefault(document["kind"], []).append(document)
    yield from groups.items()


def is_ready(node: Json) -> bool:
    """Whether a node is Ready."""
    conditions = node.get("status", {}).get("conditions", ())
    return any(line["type"] == "Ready" and line["status"] == "True" for line in conditions)


def is_tainted(node: Json) -> bool:
    """Whether nothing may be scheduled there yet."""
    return bool(node.get("spec", {}).get("taints"))


def _namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
