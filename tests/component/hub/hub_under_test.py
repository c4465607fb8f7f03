"""A door on a loopback port with the API server's part played by dictionaries."""

import asyncio
import base64
import contextlib
import dataclasses
import functools
import io
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import trustme

from builders import patience, resources
from foreshore_api import addresses, meta
from foreshore_api.wire import assignment
from foreshore_hub import (
    assigning,
    authn,
    door,
    fleet,
    guard,
    listeners,
    measures,
    store,
    world,
)
from foreshore_kube import api, informer

AGENT = "system:serviceaccount:foreshore-agents:foreshore-agent"
OPERATOR = "system:serviceaccount:foreshore-system:foreshore-operator"

RATE = guard.Rate(per_second=50.0, burst=100.0)


class FakeReviews:
    """Tokens are `agent:<node>`, `operator` or `stranger`; `is_absent` is an API server that is
    gone."""

    def __init__(self) -> None:
        self.is_absent = False
        self.asked = 0

    async def review(self, token: str) -> dict[str, Any]:
        self.asked += 1
        if self.is_absent:
            raise api.UnavailableError(0, "connection refused")
        kind, _, node = token.partition(".")[0].partition(":")
        names = {"agent": AGENT, "operator": OPERATOR, "stranger": "jane"}
        if kind not in names:
            return {"authenticated": False}
        extra = {authn.NODE_NAME: [node]} if node else {}
        user = {"username": names[kind], "extra": extra}
        return {"authenticated": True, "audiences": [authn.AUDIENCE], "user": user}


@functools.cache
def token(kind: str) -> str:
    """A token that says of itself that it ends in a while."""
    said = orjson.dumps({"aud": [authn.AUDIENCE], "exp": time.time() + 3600})
    return f"{kind}.{base64.urlsafe_b64encode(said).rstrip(b'=').decode()}.signature"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass
class Door:
    """What a test touches."""

    url: str
    desk: door.Desk
    reviews: FakeReviews
    nodes: dict[informer.ObjectKey, world.LabelledNode]
    mirrors: dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]]
    pods: dict[informer.ObjectKey, world.AgentPod]
    session: aiohttp.ClientSession
    now: Callable[[], float]

    def apply(self, *found: meta.Resource) -> None:
        """As if the informers had seen these."""
        for each in found:
            self.mirrors[type(each)][informer.ObjectKey(each.namespace, each.name)] = each
        self.desk.assigning.touch_all()

    def label(self, node: str, site: str | None) -> None:
        """As if a node had been labelled."""
        labels = {meta.LABEL_SITE: site} if site else {}
        self.nodes[informer.ObjectKey("", node)] = world.LabelledNode(node, labels)
        self.desk.assigning.touch_all()

    def run_agent(self, node: str, url: str) -> None:
        """As if an agent's pod had begun to run on a node."""
        found = world.AgentPod(node=node, account="foreshore-agent", url=url)
        self.pods[informer.ObjectKey("foreshore-agents", f"agent-{node}")] = found
        self.desk.assigning.touch_all()

    async def assigned(
        self, node: str, is_awaited: Callable[[assignment.Assignment], bool]
    ) -> assignment.Assignment:
        """The first assignment of a node that is as awaited."""
        async with asyncio.timeout(patience.SECONDS):
            while True:
                path = f"/v1/agents/{node}/assignment?wait=5s"
                answer = await self.call("GET", path, f"agent:{node}")
                given = assignment.Assignment.decode(answer.body)
                if is_awaited(given):
                    return given
                await asyncio.sleep(assigning.QUIET_SECONDS)

    async def call(
        self, method: str, path: str, who: str = "agent:edge-1", **arguments: Any
    ) -> Answer:
        """One request."""
        headers = {"Authorization": f"Bearer {token(who)}", **arguments.pop("headers", {})}
        if isinstance(body := arguments.get("data"), bytes):
            headers["Content-Type"] = "application/json"
            arguments["data"] = io.BytesIO(body)
        async with self.session.request(
            method, self.url + path, headers=headers, **arguments
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@contextlib.asynccontextmanager
async def opened(
    database: Path,
    *,
    body_seconds: float = 10.0,
    rate: guard.Rate = RATE,
) -> AsyncIterator[Door]:
    """A door with one node of site hq and the smallest useful set of resources."""
    nodes: dict[informer.ObjectKey, world.LabelledNode] = {}
    mirrors: dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]] = {
        kind: {} for kind in world.KINDS
    }
    pods: dict[informer.ObjectKey, world.AgentPod] = {}
    seen = world.World(nodes, mirrors, pods, "foreshore-agent")
    seen.is_synced = True
    async with store.RecordStore(f"sqlite+aiosqlite:///{database}") as kept:
        evidence = fleet.FleetEvidence(kept.lineage, time.monotonic(), await kept.last_renewals())
        assigned = assigning.Assigning(kept, seen)
        await assigned.load()
        desk = door.Desk(
            accounts=door.Accounts(agent=AGENT, operator=OPERATOR),
            assigning=assigned,
            fleet=evidence,
            store=kept,
            world=seen,
            measured=measures.Measures(),
        )
        reviews = FakeReviews()
        app = guard.Guard(
            door.routes(desk),
            authenticator=authn.Authenticator(reviews),
            limiter=guard.Limiter(rate, time.monotonic),
            open_paths=frozenset({"/openapi.json"}),
            maximum_bodies=door.MAXIMUM_BODIES,
            measured=desk.measured,
            body_seconds=body_seconds,
        )
        async with serving(app) as url, aiohttp.ClientSession() as session:
            compiling = asyncio.create_task(assigned.run())
            found = Door(url, desk, reviews, nodes, mirrors, pods, session, time.monotonic)
            found.label("edge-1", "hq")
            found.apply(*resources.everything())
            try:
                yield found
            finally:
                compiling.cancel()
                assigned.wake_all()


@contextlib.asynccontextmanager
async def serving(app: Any, host: str = "127.0.0.1", **arguments: Any) -> AsyncIterator[str]:
    """An application on a loopback port of its own."""
    listener = listeners.Listener(app, host=host, port=0, **arguments)
    running = asyncio.create_task(listener.serve())
    while not listener.is_started:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.01)
    scheme = "http" if arguments.get("pair") is None else "https"
    try:
        yield f"{scheme}://{addresses.joined(host, listener.port)}"
    finally:
        listener.stop()
        await running


def key_pair(folder: Path, authority: trustme.CA, *names: str, common: str = "") -> Path:
    """A folder with tls.crt and tls.key, as a Secret is mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    issued = authority.issue_cert(*names, common_name=common or None)
    (folder / "tls.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(folder / "tls.key")
    return folder


def client_context(authority: trustme.CA, pair: Path | None = None) -> ssl.SSLContext:
    """A client that trusts an authority, maybe with a certificate of its own."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if pair is not None:
        context.load_cert_chain(pair / "tls.crt", pair / "tls.key")
    return context
