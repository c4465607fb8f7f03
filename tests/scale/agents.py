"""Agents of a whole fleet in one process: each speaks to the hub as a real one does.

    python -m scale.agents --hub URL --ca FILE --tokens FILE --port PORT

Every agent has connections of its own: it fetches its assignment by long-poll, reports every two
seconds with the figures of its devices, and renews what it holds five times a lease. What happens
at the site's broker is played too: an agent hears the beats of those of its site that are not
silent. `--port` takes `POST /silent` (the nodes that say nothing from now on, all at once) and
answers `GET /figures`.
"""

import argparse
import asyncio
import json
import random
import ssl
import statistics
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import uvloop
from aiohttp import web

from foreshore_agent.hub import hub as link
from foreshore_api.wire import beat, histogram, report
from foreshore_decision import fencing
from scale import telemetry

Json = dict[str, Any]
Key = tuple[str, str]

POLL_SECONDS: Final = 30
FIGURES_SECONDS: Final = 10.0
"""How often an agent's figures change."""
CALL: Final = aiohttp.ClientTimeout(total=10)
POLL: Final = aiohttp.ClientTimeout(total=POLL_SECONDS + 10)
JOIN_SECONDS: Final = 10.0
"""Agents do not all begin in the same moment."""
LAST_CALLS: Final = 20_000
SENT_AT: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands in a report that is sent many times, until it is sent."""
UP_FOR: Final = 3600.0
"""Seconds for which all agents are up when they begin: those of a fleet that runs. For eleven
minutes after its start an agent is a better witness from minute to minute, which is news."""
UPTIME: Final = 123_456_789.0
"""Stands for how long an agent is up, and listens."""


@dataclass
class CallTally:
    """What all agents of this process have done."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, deque[float]] = field(default_factory=dict)
    bytes: Counter[str] = field(default_factory=Counter)

    def note(self, what: str, seconds: float, size: int = 0) -> None:
        """A call that was answered."""
        self.counts[what] += 1
        self.bytes[what] += size
        self.seconds.setdefault(what, deque(maxlen=LAST_CALLS)).append(seconds)

    def document(self) -> Json:
        """All as JSON data, with the p50 and p99 of each kind of call."""
        times = {
            what: {"p50": statistics.median(last), "p99": sorted(last)[int(len(last) * 0.99)]}
            for what, last in self.seconds.items()
        }
        return {"counts": self.counts, "bytes": self.bytes, "seconds": times}


@dataclass
class PlayedSite:
    """Who is at a site, and since when each is silent."""

    nodes: list[str] = field(default_factory=list)
    silent: dict[str, float] = field(default_factory=dict)

    def heard(self, node: str, now: float) -> Iterator[report.ReportedPeer]:
        """Whom an agent of the site hears."""
        for peer in self.nodes:
            if peer != node:
                age = 0.5 + now - self.silent.get(peer, now)
                yield report.ReportedPeer(node=peer, age_seconds=age, has_hub=True)


@dataclass
class PlayedAgent:
    """One agent: what it was assigned, what it holds, what it reports."""

    node: str
    token: str
    site: PlayedSite
    url: str
    tls: ssl.SSLContext
    tally: CallTally
    started: float = 0.0
    etag: str | None = None
    assigned: Json = field(default_factory=dict)
    lease: float = 15.0
    held: dict[Key, int] = field(default_factory=dict)
    renewed: dict[Key, float] = field(default_factory=dict)
    body: tuple[bytes, ...] = ()
    made_at: float = 0.0
    decided: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing."""
        return self.node in self.site.silent

    async def run(self) -> None:
        """Speak until cancelled."""
        await asyncio.sleep(random.uniform(0, JOIN_SECONDS))
        self.started = time.monotonic() - UP_FOR
        connector = aiohttp.TCPConnector(ssl=self.tls, limit=4, keepalive_timeout=60)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers) as client,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._follow(client))
            tasks.create_task(self._report(client))
            tasks.create_task(self._renew(client))

    async def _follow(self, client: aiohttp.ClientSession) -> None:
        path = f"/v1/agents/{self.node}/assignment?wait={POLL_SECONDS}s"
        while True:
            if self.is_silent:
                await asyncio.sleep(1)
                continue
            headers = {"If-None-Match": self.etag} if self.etag else {}
            answer = await self._call(client, "assignment", "GET", path, None, headers)
            if answer is None:
                await asyncio.sleep(random.uniform(0.5, 2))
            elif answer:
                self._take(orjson.loads(answer))

    def _take(self, document: Json) -> None:
        """Work by a new assignment: the grants in it say what this agent holds."""
        self.assigned, self.etag = document, f'"{document["digest"]}"'
        grants = {
            (device["namespace"], device["name"]): grant
            for device in document.get("devices", ())
            if (grant := device.get("grant")) and grant["holder"] == self.node
        }
        self.lease = min((grant["leaseSeconds"] for grant in grants.values()), default=15.0)
        self.held = {key: grant["epoch"] for key, grant in grants.items()}
        self.renewed = {key: at for key, at in self.renewed.items() if key in self.held}
        self._alter()

    def _alter(self) -> None:
        self.body = ()
        self.changed.set()

    async def _report(self, client: aiohttp.ClientSession) -> None:
        path = f"/v1/agents/{self.node}/report"
        while True:
            if not self.is_silent:
                self.changed.clear()
                await self._call(client, "report", "POST", path, self._said())
            try:
                async with asyncio.timeout(link.REPORT_SECONDS):
                    await self.changed.wait()
                await asyncio.sleep(0.05)
            except TimeoutError:
                continue

    async def _renew(self, client: aiohttp.ClientSession) -> None:
        number = 0
        while True:
            await asyncio.sleep(self.lease / fencing.RENEWALS_PER_LEASE)
            if self.is_silent or not self.held:
                continue
            number += 1
            held = [
                beat.Held(namespace=key[0], device=key[1], epoch=epoch)
                for key, epoch in self.held.items()
            ]
            for first in range(0, len(held), 1000):
                asked = beat.RenewalRequest(
                    node=self.node, boot_id="1", number=number, held=tuple(held[first:][:1000])
                )
                answer = await self._call(client, "renewal", "POST", "/v1/renewals", asked.encode())
                if answer:
                    self._note(orjson.loads(answer))

    def _note(self, renewal: Json) -> None:
        now = time.monotonic()
        good = {
            (line["namespace"], line["device"])
            for line in renewal["devices"]
            if line["standing"] == beat.RenewalStanding.RENEWED
        }
        before = set(self.renewed)
        self.renewed |= dict.fromkeys(good & set(self.held), now)
        if set(self.renewed) != before:
            self._alter()

    def _said(self) -> bytes:
        """This moment's report: made anew when something changed, else only with another time."""
        now = time.monotonic()
        if not self.body or now - self.made_at > FIGURES_SECONDS:
            self.made_at = now
            body = self._facts(now).encode()
            head, rest = body.split(f'"{SENT_AT.isoformat().replace("+00:00", "Z")}"'.encode())
            self.body = (head, *rest.split(str(UPTIME).encode()))
        if any(peer in self.site.silent for peer in self.site.nodes):
            self.made_at = 0.0  # the ages of silent peers grow
        parts = self.body
        sent = json.dumps(datetime.now(UTC).isoformat()).encode()
        return b"".join((parts[0], sent, str(now - self.started).encode().join(parts[1:])))

    def _facts(self, now: float) -> report.Report:
        is_holder = bool(self.held)
        self.decided += len(self.held) * 10
        lineage, generation = self.assigned.get("lineage", ""), self.assigned.get("generation", 0)
        return report.Report(
            node=self.node,
            boot_id="1",
            agent_version="scale",
            sent_at=SENT_AT,
            uptime_seconds=UPTIME,
            assignment=report.AssignmentReference(
                lineage=lineage, generation=generation, digest=self.assigned["digest"]
            )
            if self.assigned
            else None,
            broker_connected=True,
            listening_seconds=UPTIME,
            devices=tuple(self._devices(now)),
            peers=tuple(self.site.heard(self.node, now)),
            endpoints=tuple(self._endpoints()) if is_holder else (),
            stages=tuple(self._stages()) if is_holder else (),
            probes=tuple(
                report.ProbeReport(
                    node=target["node"], histogram=telemetry.probe(), age_seconds=1.0
                )
                for target in self.assigned.get("probes", ())
            ),
            journal=report.JournalReport(
                journal=f"journal-{self.node}", last=self.decided, acknowledged=self.decided
            ),
            decisions={"Commanded": self.decided // 10, "Refused": self.decided},
        )

    def _devices(self, now: float) -> Iterator[report.HeldDevice]:
        for device in self.assigned.get("devices", ()):
            key = (device["namespace"], device["name"])
            epoch, renewed = self.held.get(key), self.renewed.get(key)
            standing = "None"
            if renewed is not None:
                standing = "Renewed" if now - renewed < self.lease else "Lapsed"
            yield report.HeldDevice(
                namespace=key[0],
                device=key[1],
                connected=True,
                epoch=epoch,
                standing=standing,
                highest_epoch_seen=(device.get("grant") or {}).get("epoch", 0),
            )

    def _policies(self) -> Iterator[Json]:
        """The policies of the devices that this agent holds."""
        names = {key[1] for key in self.held}
        for policy in self.assigned.get("policies", ()):
            if names.intersection(policy["devices"]):
                yield policy

    def _endpoints(self) -> Iterator[report.EndpointReport]:
        for policy in self._policies():
            for place, endpoint in enumerate(policy.get("endpoints", ())):
                yield report.EndpointReport(
                    namespace=policy["namespace"],
                    policy=policy["name"],
                    slot=endpoint["slot"],
                    node=endpoint["node"],
                    url=endpoint["url"],
                    good=0 if place else self.decided,
                    late=0,
                    failed=0,
                    provider="CPU",
                )

    def _stages(self) -> Iterator[report.StageReport]:
        for policy in self._policies():
            first = next(iter(policy.get("endpoints", ())), None)
            for stage in histogram.Stage if first else ():
                if stage is histogram.Stage.UPLINK:
                    continue  # known of devices with a synchronised clock only
                of_node = stage in (histogram.Stage.NETWORK, histogram.Stage.INFERENCE)
                yield report.StageReport(
                    namespace=policy["namespace"],
                    policy=policy["name"],
                    stage=stage,
                    node=first["node"] if of_node and first else None,
                    histogram=telemetry.stage(stage),
                )

    async def _call(
        self,
        client: aiohttp.ClientSession,
        what: str,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes | None:
        """One call; its answer, or None where there was none. Failures are counted by cause."""
        begun = time.monotonic()
        limit = POLL if what == "assignment" else CALL
        try:
            async with client.request(
                method, self.url + path, data=body, headers=headers, timeout=limit
            ) as answer:
                content = await answer.read()
                if answer.status >= 400:
                    self.tally.counts[f"{what}: {answer.status}"] += 1
                    return None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.tally.counts[f"{what}: {type(error).__name__}"] += 1
            return None
        self.tally.note(what, time.monotonic() - begun, len(body or b"") + len(content))
        return content


def played(tokens: Mapping[str, Json], url: str, tls: ssl.SSLContext) -> dict[str, PlayedAgent]:
    """The agents of a fleet, by node; those of no site hear nobody."""
    sites: dict[str, PlayedSite] = {}
    agents: dict[str, PlayedAgent] = {}
    tally = CallTally()
    for node, given in tokens.items():
        site = sites.setdefault(given["site"] or node, PlayedSite())
        site.nodes.append(node)
        agents[node] = PlayedAgent(node, given["token"], site, url, tls, tally)
    return agents


def control(agents: Mapping[str, PlayedAgent]) -> web.Application:
    """Who is silent, and what was done so far."""

    async def silence(request: web.Request) -> web.Response:
        names, now = set(await request.json()), time.monotonic()
        for agent in agents.values():
            silent = agent.site.silent
            if agent.node in names:
                silent.setdefault(agent.node, now)
            else:
                silent.pop(agent.node, None)
        return web.json_response({})

    async def figures(_: web.Request) -> web.Response:
        tally = next(iter(agents.values())).tally.document() if agents else {}
        assigned = sum(bool(agent.assigned) for agent in agents.values())
        holding = sum(len(agent.held) for agent in agents.values())
        return web.json_response({**tally, "assigned": assigned, "held": holding})

    application = web.Application()
    application.router.add_post("/silent", silence)
    application.router.add_get("/figures", figures)
    return application


async def run(chosen: argparse.Namespace) -> None:
    """Play the fleet until the process is ended."""
    tls = ssl.create_default_context(cafile=chosen.ca)
    agents = played(json.loads(chosen.tokens.read_text()), chosen.hub, tls)
    runner = web.AppRunner(control(agents), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", chosen.port).start()
    async with asyncio.TaskGroup() as tasks:
        for agent in agents.values():
            tasks.create_task(agent.run())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scale.agents", description=__doc__)
    parser.add_argument("--hub", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--tokens", required=True, type=Path)
    parser.add_argument("--port", required=True, type=int)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
