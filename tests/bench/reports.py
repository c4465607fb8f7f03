"""`make bench ARGS="--only reports"`: what the hub adds to reading a report, and to compiling.

A report passes the door in one process, without sockets: who asks, how often, how large and deep,
the route, what is kept of it. Beside it the same body is read and validated alone. Then one right
moves in a fleet of a thousand nodes: what is compiled anew, beside one node's assignment compiled
of what its site has and nothing else. Ratios, medians of `ROUNDS`.
"""

import asyncio
import base64
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import orjson
from starlette import types

from bench import evidence
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import report as wire
from foreshore_hub import assigning, authn, by_site, door, fleet, guard, measures, store, world
from foreshore_kube import informer, kinds
from scale import fleet as shapes

ROUNDS: Final = 5
AGENTS: Final = 200
SHAPE: Final = shapes.FleetShape(1000, 10_000)
ACCOUNTS: Final = door.Accounts(agent="agent", operator="operator")
Body = tuple[str, bytes]
"""A node, and what it reports."""


class Reviews:
    """An API server that knows every token: it is the node's name."""

    async def review(self, token: str) -> dict[str, Any]:
        """Return whom a token belongs to."""
        user = {"username": "agent", "extra": {authn.NODE_NAME: [token.partition(".")[0]]}}
        return {"authenticated": True, "audiences": [authn.AUDIENCE], "user": user}


def token(node: str) -> str:
    """A node's token, which ends in a while."""
    claims = orjson.dumps({"aud": [authn.AUDIENCE], "exp": time.time() + 3600})
    return f"{node}.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.signature"


def opened() -> types.ASGIApp:
    """The door, of which nothing but reports is asked."""
    nobody = cast(Any, None)
    desk = door.Desk(
        accounts=ACCOUNTS,
        assigning=nobody,
        fleet=fleet.FleetEvidence("7c0d", 0.0, {}),
        store=nobody,
        world=nobody,
        measured=measures.Measures(),
    )
    return guard.Guard(
        door.routes(desk),
        authenticator=authn.Authenticator(Reviews()),
        limiter=guard.Limiter(guard.Rate(1e9, 1e9), time.monotonic),
        open_paths=frozenset(),
        maximum_bodies=door.MAXIMUM_BODIES,
        measured=desk.measured,
    )


async def post(
    app: types.ASGIApp, node: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """One report."""
    arriving: list[types.Message] = [{"type": "http.request", "body": body, "more_body": False}]
    answer: list[types.Message] = []

    async def receive() -> types.Message:
        return arriving.pop()

    async def send(message: types.Message) -> None:
        answer.append(message)

    scope: types.Scope = {
        "type": "http",
        "method": "POST",
        "path": f"/v1/agents/{node}/report",
        "raw_path": b"",
        "query_string": b"",
        "root_path": "",
        "scheme": "https",
        "http_version": "1.1",
        "server": ("hub", 443),
        "client": ("agent", 1),
        "headers": headers,
        "state": {},
    }
    await app(scope, receive, send)
    if answer[0]["status"] != 204:
        raise RuntimeError(f"a report was answered {answer[0]['status']}")


def bodies(agents: evidence.Fleet) -> list[Body]:
    """What every agent reports next."""
    return [(f"edge-{number:04}", agents.body(number, 2.0)) for number in range(AGENTS)]


def headers_of(node: str) -> list[tuple[bytes, bytes]]:
    """What comes with a node's report."""
    return [
        (b"authorization", f"Bearer {token(node)}".encode()),
        (b"content-type", b"application/json"),
    ]


async def through(app: types.ASGIApp, said: list[Body], known: dict[str, Any]) -> float:
    """Take reports through the door; processor seconds of each."""
    began = time.thread_time()
    for node, body in said:
        await post(app, node, known[node], body)
    return (time.thread_time() - began) / len(said)


def alone(said: list[Body]) -> float:
    """Read and validate the same bodies; processor seconds of each."""
    began = time.thread_time()
    for _, body in said:
        wire.Report.decode(body)
    return (time.thread_time() - began) / len(said)


async def reported() -> str:
    """The line of the report about reports."""
    agents, app = evidence.Fleet(random.Random(1)), opened()
    known = {f"edge-{number:04}": headers_of(f"edge-{number:04}") for number in range(AGENTS)}
    await through(app, bodies(agents), known)
    rounds = [
        (await through(app, said, known), alone(said))
        for said in (bodies(agents) for _ in range(ROUNDS))
    ]
    door_, bare = (statistics.median(times) * 1e3 for times in zip(*rounds, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in rounds)
    size = len(bodies(agents)[0][1]) / 1024
    return (
        f"a report of {size:.1f} KiB through the door: {door_:.3f} ms, read and validated alone"
        f" {bare:.3f} ms: {ratio:.1f} ×"
    )


class Kept:
    """A store that keeps nothing."""

    lineage = "7c0d"

    async def generation(self, _node: str) -> int:
        """Return what was counted before."""
        return 0

    async def assign(self, _document: Any) -> None:
        """Keep nothing."""


class Hub:
    """Assignments of a whole fleet, of which one right moves."""

    def __init__(self) -> None:
        self.mirrors: dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]] = {
            kind: {} for kind in world.KINDS
        }
        self.contents = by_site.SiteContents()
        names = SHAPE.node_names()
        labels = {name: {meta.LABEL_SITE: site} if site else {} for name, site in names.items()}
        nodes = {
            informer.ObjectKey("", name): world.LabelledNode(name, labels[name]) for name in names
        }
        self.world = world.World(nodes, self.mirrors, {}, shapes.AGENT, self.contents)
        self.world.is_synced = True
        self.assigning = assigning.Assigning(cast(store.RecordStore, Kept()), self.world)
        for document in (*SHAPE.resources(), *SHAPE.device_documents(0, SHAPE.devices)):
            kind = next(kind for kind in world.KINDS if kind.kind == document["kind"])
            self.note(kind.read(document))

    def note(self, resource: meta.Resource) -> world.Touched:
        """Take in a resource as a mirror does."""
        key = informer.ObjectKey(resource.namespace, resource.name)
        mirror = self.mirrors[type(resource)]
        change: informer.ObjectChange[Any] = informer.ObjectChange(
            kinds.of(type(resource)), key, mirror.get(key), resource
        )
        mirror[key] = resource
        self.contents.note(change)
        return world.touched(change)

    async def moved(self, number: int, epoch: int) -> int:
        """Move a right, and compile what is touched; how many nodes that are."""
        document = SHAPE.device(number)
        holder = f"{document['spec']['site']}-n{epoch % shapes.NODES_A_SITE}"
        document["status"] = {"authority": {"holder": holder, "epoch": epoch, "lastIssued": epoch}}
        self.assigning.touch(self.note(v1alpha1.Device.read(document)))
        touched = self.assigning._take()
        for node in touched:
            await self.assigning.attend(node)
        return len(touched)


async def assigned() -> str:
    """The line of the report about assignments."""
    hub = Hub()
    for node in SHAPE.node_names():
        await hub.assigning.wait(node, None, 0.0)
    hub.assigning._take()
    await hub.moved(0, 1)
    rounds: list[tuple[float, float]] = []
    nodes = 0
    for epoch in range(2, 2 + ROUNDS):
        began = time.process_time()
        nodes = await hub.moved(0, epoch)
        spent = time.process_time() - began
        question = hub.world.question(f"{shapes.site_name(0)}-n0")
        assert question is not None
        rounds.append((spent, timed(question)))
    ours, bare = (statistics.median(times) * 1e3 for times in zip(*rounds, strict=True))
    ratio = statistics.median(spent / one for spent, one in rounds)
    return (
        f"a right moves among {SHAPE.nodes} nodes and {SHAPE.devices} devices: {nodes} nodes"
        f" compiled anew in {ours:.1f} ms, one of them alone in {bare:.1f} ms: {ratio:.1f} ×"
    )


def timed(work: Callable[[], Any]) -> float:
    """Processor seconds of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def lines() -> Iterator[str]:
    """The lines of the report."""
    yield asyncio.run(reported())
    yield asyncio.run(assigned())


def report() -> None:
    """Print the report."""
    for line in lines():
        print(f"  {line}", flush=True)
