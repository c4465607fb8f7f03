"""What is measured of a fleet, trial by trial: each notes its figures, or says why it could not.

`__main__` says what each is about and runs them in order; a trial that fails stops no other.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from foreshore_api import v1alpha1
from foreshore_api.wire import metrics as names
from foreshore_planner import health
from harness import process
from scale import fleet, ledger, processes, world, writes

SILENT: Final = 12.0
"""Seconds without a write after which a fleet counts as settled."""
SCRAPE_SECONDS: Final = 10.0
MOST_WRITES: Final = 25.0
"""Writes a second at most when nothing changes in a fleet of `MOST_DEVICES`."""
MOST_DEVICES: Final = 100_000
LEAST_WRITES: Final = 0.25
"""Asked of a fleet of any size: one write in four seconds."""


@dataclass
class Patience:
    """How long each trial waits."""

    settle: float = 600.0
    fault: float = 180.0
    quiet: float = 60.0


@dataclass
class Trials:
    """The trials of one run, in order."""

    world: world.ScaleWorld
    patience: Patience
    base: int
    """Devices that are there from the start."""
    more: int
    """Devices that are applied to the settled fleet."""
    replicas: int
    is_profiled: bool = False
    book: ledger.Ledger = field(default_factory=ledger.Ledger)
    _memory: float = 0.0
    _are_applied: bool = False

    async def run(self, chosen: tuple[str, ...]) -> list[ledger.ScaleFigure]:
        """Every chosen trial; one that fails says so and stops no other."""
        for name, trial in self.named().items():
            if name not in chosen:
                continue
            process.say(f"scale: {name} (load {processes.load()})")
            try:
                await trial()
            except Exception as error:  # noqa: BLE001 - said; it costs its own figures, no other's
                process.say(f"scale: {name} failed: {error}")
                self.book.note(name, "could not be measured", None, "", note=ledger.one_line(error))
        return self.book.figures

    def named(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """The trials by name."""
        return {
            "agents": self.agents,
            "settle": self.settle,
            "devices": self.devices,
            "quiet": self.quiet,
            "restart": self.restart,
            "node": self.node,
            "site": self.site,
            "leader": self.leader,
        }

    # -- the trials ------------------------------------------------------------------------

    async def agents(self) -> None:
        """Look at hub and agents before anything is decided."""
        await self._applied()
        await self.world.until(
            self._are_assigned, what="every agent has its assignment", seconds=self.patience.settle
        )
        watches = {
            name: processes.UseWatch(process_id)
            for name, process_id in self.world.process_ids.items()
        }
        before, begun = await self.world.agents_figures(), time.time()
        await asyncio.sleep(self.patience.quiet / 2)
        after, seconds = await self.world.agents_figures(), time.time() - begun
        for name, watch in watches.items():
            self.book.note_use("agents", name, watch.end())
        self.book.note_agents("agents", before, after, seconds)

    async def settle(self) -> None:
        """Start operators on a fleet where all is applied and nothing decided."""
        await self._applied()
        begun = time.time()
        for _ in range(self.replicas):
            self.world.start_operator()
        leader = await self.world.leader()
        watch = processes.UseWatch(leader.process_id)
        loop = processes.LoopWatch(leader.probe_url)
        async with loop.watching(), self._profiled(leader, "settle"):
            try:
                settled = await self._settled("settle", begun, self.base)
            finally:
                self.book.note_passes("settle", processes.Samples(), await leader.measured())
                spent = watch.end().processor_seconds
                self.book.note("settle", "operator's processor time", spent, "s")
                self.book.note_loop("settle", loop)
        use = watch.end()
        self._memory = use.rss
        self.book.note("settle", "everything Ready, nothing written", settled, "s")
        written = self.world.audit.since(begun)
        self.book.note("settle", "writes", len(written), "", note=counted(written))
        self.book.note("settle", "memory (RSS)", use.rss, "MB", note=f"at most {use.peak:.0f}")

    async def devices(self) -> None:
        """Apply more devices to a fleet that has settled."""
        shape = self.world.shape
        end = self.base + self.more
        begun = time.time()
        await self.world.apply(shape.device_documents(self.base, end))
        applied = time.time() - begun
        await self.world.until(
            lambda: self._are_ready(v1alpha1.Device.kind, end),
            what=f"{end} devices Ready, {self._states()}",
            seconds=self.patience.settle,
        )
        ready = self.world.seen.changed_at[v1alpha1.Device.kind] - begun
        made = {f"d-{number:06}" for number in range(self.base, end)}
        own = [write for write in self.world.audit.since(begun) if write.name in made]
        self.book.note("devices", f"{self.more} devices applied → Ready", ready, "s", 15.0,
                  f"the API server took {applied:.1f} s to take them")  # fmt: skip
        self.book.note("devices", "writes a device", len(own) / self.more, "", 1.0,
                  counted(own))  # fmt: skip
        await self._silence_of_writes(self.patience.settle)
        rss = processes.memory((await self.world.leader()).process_id).get("VmRSS", 0.0)
        self.book.note("devices", "memory a device", (rss - self._memory) * 1000 / self.more, "kB",
                  note=f"{self._memory:.0f} MB before, {rss:.0f} after")  # fmt: skip
        self.base, self.more = end, 0

    async def quiet(self) -> None:
        """Look at a fleet in which nothing happens but telemetry."""
        leader = await self.world.leader()
        await self._silence_of_writes(self.patience.settle)
        watches = {
            name: processes.UseWatch(process_id)
            for name, process_id in (
                ("operator", leader.process_id), *self.world.process_ids.items()
            )
        }  # fmt: skip
        before, begun = await leader.measured(), time.time()
        self._forget_causes()
        agents, asked = await self.world.agents_figures(), await self.world.requests()
        floor = processes.LoopWatch(f"http://127.0.0.1:{self.world.floor_port}/readyz")
        async with processes.LoopWatch(leader.probe_url).watching() as loop, floor.watching():
            await asyncio.sleep(self.patience.quiet)
        seconds = time.time() - begun
        for name, watch in watches.items():
            self.book.note_use("quiet", name, watch.end())
        self.book.note_loop("quiet", loop)
        self.book.note("quiet", "longest answer of a loop that does nothing", floor.longest, "ms",
                  note=f"p99 {floor.quantile(0.99) * 1000:.0f} ms, {floor.stalls()} over 50 ms:"
                  " the machine's own noise")  # fmt: skip
        self.book.note_requests(asked, await self.world.requests(), seconds)
        passes = self.book.note_passes("quiet", before, await leader.measured())
        self.book.note_share("quiet", "operator: processor time a pass", "operator", passes)
        written = self.world.audit.since(begun)
        self.book.note("quiet", "writes", len(written) / seconds, "/s", self._most_writes(),
                  counted(written))  # fmt: skip
        self._note_causes("quiet")
        devices = sum(write.resource == "devices" for write in written)
        self.book.note("quiet", "writes of devices", devices / seconds, "/s", 0.0)
        after = await self.world.agents_figures()
        self.book.note_agents("quiet", agents, after, seconds)

    async def restart(self) -> None:
        """End all operators and start them again."""
        self.world.end_operators()
        self._forget_causes()
        begun = time.time()
        for _ in range(self.replicas):
            self.world.start_operator()
        leader = await self.world.leader(seconds=self.patience.settle)
        leading = time.time() - begun
        await self.world.until(
            lambda: self._has_acted(leader), what="a pass acted", seconds=self.patience.settle
        )
        acted = time.time() - begun
        last = await self._silence_of_writes(self.patience.settle)
        written = self.world.audit.since(begun)
        self.book.note("restart", "it leads", leading, "s")
        self.book.note("restart", "its first pass has acted", acted, "s")
        self.book.note("restart", "settled: the last write", max(acted, last - begun), "s", 60.0,
                  f"{len(written)} writes: {counted(written)}")  # fmt: skip
        self._note_causes("restart")
        use = processes.memory(leader.process_id)
        self.book.note("restart", "memory (RSS)", use.get("VmRSS", 0.0), "MB")

    def _forget_causes(self) -> None:
        self.world.seen.altered.clear()
        self.world.seen.causes.clear()

    def _note_causes(self, part: str) -> None:
        """Note for what statuses were written anew since that was forgotten last."""
        causes, altered = self.world.seen.causes, self.world.seen.altered
        self.book.note(part, "statuses written anew", causes.total(), "",
                  note=ledger.listed(dict(causes.most_common(12))))  # fmt: skip
        self.book.note(part, "parts of statuses written anew", len(altered), "",
                  note=ledger.listed(dict(altered.most_common(12))))  # fmt: skip

    async def node(self) -> None:
        """Lose the node that holds most, with its agent."""
        leader = await self.world.leader()
        await self._silence_of_writes(self.patience.settle)
        node, held, replicas = self._busiest()
        before = await leader.measured()
        lost = time.time()
        await self.world.silence([node])
        try:
            await self._moved_off(node, self.patience.fault)
        finally:
            moved = self.world.audit.since(lost)
            await self.world.revive([node])
        urgent = [write for write in moved if write.is_urgent]
        rights = [at for at in self.world.seen.moved_at.values() if at >= lost]
        made = [write for write in moved if write.kind == "create pods" and write.code < 300]
        stale = lost + health.LEASE_STALE
        note = f"{node} held {held} devices and {replicas} replicas; {counted(moved)}"
        made_at = writes.last(made) - lost if made else None
        moved_at = max(rights) - lost if rights else None
        moments = f"{len(rights)} devices, {len(set(rights))} moments"
        self.book.note("node", "lost → last replica made", made_at, "s", note=f"{len(made)} pods")
        self.book.note("node", "lost → last right moved", moved_at, "s", note=moments)
        self.book.note("node", "lost → first urgent write", writes.first(urgent) - lost, "s")
        self.book.note(
            "node", "lost → last urgent write", writes.last(urgent) - lost, "s", note=note
        )
        self.book.note("node", "Lease stale → last urgent write", writes.last(urgent) - stale, "s")
        self.book.note_passes("node", before, await leader.measured())

    async def site(self) -> None:
        """Lose every node of one site: it must be held, and no other touched."""
        await self._silence_of_writes(self.patience.settle)
        site = fleet.site_name(self.world.shape.sites - 1)
        nodes = [name for name, of in self.world.shape.node_names().items() if of == site]
        holders = dict(self.world.seen.holders)
        lost = time.time()
        await self.world.silence(nodes)
        await asyncio.sleep(min(self.patience.fault, 60.0))
        written = self.world.audit.since(lost)
        await self.world.revive(nodes)
        moved = sum(holders.get(name) != now for name, now in self.world.seen.holders.items())
        pods = [write for write in written if write.resource == "pods"]
        told = [write for write in written if write.resource == "sites" and write.name == site]
        self.book.note("site", "devices moved", moved, "", 0)
        self.book.note("site", "pods made or deleted", len(pods), "", 0)
        self.book.note(
            "site", "lost → its Site says so", writes.first(told) - lost if told else None, "s"
        )
        self.book.note("site", "writes in a minute", len(written), "",
                  note=counted(written))  # fmt: skip

    async def leader(self) -> None:
        """Kill the leader while there is something to write."""
        if self.replicas < 2:
            self.world.start_operator()
        leader = await self.world.leader()
        others = [replica for replica in self.world.operators if replica is not leader]
        for other in others:
            await self.world.until(
                lambda other=other: is_filled(other),
                what=f"the mirrors of {other.name} are filled",
                seconds=self.patience.settle,
            )
        await self._silence_of_writes(self.patience.settle)
        self.world.operators.remove(leader)
        killed = time.time()
        leader.kill()
        number = self.base
        await self.world.apply(self.world.shape.device_documents(number, number + 1))
        wanted = f"d-{number:06}"
        await self.world.until(
            lambda: self._is_written(wanted, killed),
            what="the other replica writes",
            seconds=self.patience.settle,
        )
        written = self.world.audit.since(killed)
        self.book.note("leader", "killed → next write", writes.first(written) - killed, "s", 8.0)
        own = [write for write in written if write.name == wanted]
        self.book.note(
            "leader", "killed → a new device's first write", writes.first(own) - killed, "s"
        )

    def _most_writes(self) -> float:
        """Return the writes a second that a quiet fleet may make: its share of the limit."""
        return max(LEAST_WRITES, MOST_WRITES * self.base / MOST_DEVICES)

    @contextlib.asynccontextmanager
    async def _profiled(
        self, replica: processes.OperatorReplica, trial: str
    ) -> AsyncIterator[None]:
        """Sample where a replica's time goes, if that was asked for."""
        if not self.is_profiled:
            yield
            return
        file = self.world.folder / f"profile-{trial}.txt"
        sampler = processes.sample(replica.process_id, file)
        try:
            yield
        finally:
            await asyncio.to_thread(processes.end_sampling, sampler)
            shares = "; ".join(processes.hottest(file)) or f"nothing was sampled, see {file}.log"
            self.book.note(trial, "where its time goes", None, "", note=shares)

    # -- what they share ---------------------------------------------------------------------

    async def _applied(self) -> None:
        """Apply the devices that are there from the start, once."""
        if self._are_applied:
            return
        with process.step(f"applying {self.base} devices"):
            await self.world.apply(self.world.shape.device_documents(0, self.base))
        self._are_applied = True

    async def _are_assigned(self) -> bool:
        figures = await self.world.agents_figures()
        return bool(figures.get("assigned", 0) >= self.world.shape.nodes)

    async def _settled(self, trial: str, begun: float, devices: int) -> float:
        """Wait until all is Ready and silent; seconds until the last write."""
        placements = fleet.POLICIES * self.world.shape.sites
        deadline = time.time() + self.patience.settle
        while time.time() < deadline:
            is_ready = await self._are_ready(v1alpha1.Device.kind, devices)
            are_placed = await self._are_ready(v1alpha1.InferencePlacement.kind, placements)
            if is_ready and are_placed:
                last = await self._silence_of_writes(deadline - time.time())
                return last - begun
            self.world.check()
            await asyncio.sleep(1)
        self.book.note(trial, "Ready when patience ended", None, "", note=self._states())
        raise process.HarnessError(
            f"not settled within {self.patience.settle:.0f} s: {self._states()}"
        )

    async def _silence_of_writes(self, seconds: float) -> float:
        """Wait until nothing but figures was written for a while; the moment of the last write.

        Figures of placements are written as long as anybody measures, so many a second at most.
        """
        begun = time.time()

        def last() -> float:
            return max(self.world.audit.last(), self.world.seen.stirred_at)

        async def silent() -> bool:
            return time.time() - max(begun - SILENT / 2, last()) >= SILENT

        try:
            await self.world.until(silent, what="no write", seconds=max(SILENT * 2, seconds))
        except process.HarnessError as error:
            written = self.world.audit.since(time.time() - 60.0)
            often = ledger.listed(writes.repeated(written)) or "nothing twice"
            raise process.HarnessError(f"{error}; written in the last minute: {often}") from None
        return last()

    async def _are_ready(self, kind: str, count: int) -> bool:
        ready, _ = self.world.seen.count(kind)
        return ready >= count

    def _states(self) -> str:
        counts = (
            (model.kind, *self.world.seen.count(model.kind))
            for model in (v1alpha1.Device, v1alpha1.InferencePlacement)
        )
        return ", ".join(f"{ready} of {there} {kind} Ready" for kind, ready, there in counts)

    async def _has_acted(self, replica: processes.OperatorReplica) -> bool:
        passes = (await replica.measured()).by(names.OPERATOR_PASSES.name + "_total", "result")
        if not passes:
            passes = (await replica.measured()).by(names.OPERATOR_PASSES.name, "result")
        return passes.get(("acted",), 0) >= 1

    async def _is_written(self, name: str, since: float) -> bool:
        return any(write.name == name for write in self.world.audit.since(since))

    def _busiest(self) -> tuple[str, int, int]:
        """The node of a site that holds most devices and replicas."""
        seen = self.world.seen
        nodes = [name for name, site in self.world.shape.node_names().items() if site]
        held = dict.fromkeys(nodes, 0)
        for holder in seen.holders.values():
            if holder in held:
                held[holder] += 1
        replicas = {name: sum(of.count(name) for of in seen.nodes.values()) for name in nodes}
        node = max(nodes, key=lambda name: (min(held[name], 1) + replicas[name], held[name]))
        return node, held[node], replicas[node]

    async def _moved_off(self, node: str, seconds: float) -> None:
        """Wait until nothing is held or served by a node, and nothing is written any more."""
        deadline = time.time() + seconds

        async def left() -> bool:
            seen = self.world.seen
            held = any(holder == node for holder in seen.holders.values())
            return not held and not any(node in nodes for nodes in seen.nodes.values())

        try:
            await self.world.until(left, what=f"nothing is left on {node}", seconds=seconds)
        finally:
            await self._silence_of_writes(max(SILENT, deadline - time.time()))


async def is_filled(replica: processes.OperatorReplica) -> bool:
    """Whether a replica's mirrors are filled."""
    return bool((await replica.measured()).lines) and replica.child.poll() is None


def counted(written: list[writes.Write]) -> str:
    """Writes by kind, in words."""
    return ledger.listed(writes.counted(written))
