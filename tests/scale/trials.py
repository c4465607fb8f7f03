"""What is measured of a fleet, trial by trial; each gives its figures or says why it could not.

settle     operator started with all applied → everything Ready and nothing written any more
devices    more devices applied → Ready
quiet      memory, cores, answers of the loops, writes while nothing happens
restart    operator ended and started again → nothing written any more
node       one node lost → last urgent write
site       one whole site lost: nothing may move
leader     the leader killed → the next write of the other replica
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from foreshore_api import v1alpha1
from foreshore_api.wire import metrics as names
from foreshore_planner import health
from harness import process
from scale import fleet, processes, world, writes

Requests = Mapping[tuple[str, str], float]

SILENT: Final = 12.0
"""Seconds without a write after which a fleet counts as settled."""
SCRAPE_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Figure:
    """One figure; `wanted` is what it must reach, None where nothing is asked of it."""

    trial: str
    what: str
    value: float | None
    unit: str
    wanted: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether it reaches what is wanted."""
        if self.wanted is None:
            return ""
        if self.value is None:
            return "not measured"
        return "reached" if self.value <= self.wanted else "MISSED"


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
    figures: list[Figure] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds of processor time of each process in the quiet trial."""
    _memory: float = 0.0

    async def run(self, chosen: tuple[str, ...]) -> list[Figure]:
        """Every chosen trial; one that fails says so and stops no other."""
        for name, trial in self.named().items():
            if name not in chosen:
                continue
            process.say(f"scale: {name} (load {processes.load()})")
            try:
                await trial()
            except Exception as error:  # noqa: BLE001 - said; it costs its own figures, no other's
                process.say(f"scale: {name} failed: {error}")
                self.note(name, "could not be measured", None, "", note=one_line(error))
        return self.figures

    def named(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """The trials by name."""
        return {
            "settle": self.settle,
            "devices": self.devices,
            "quiet": self.quiet,
            "restart": self.restart,
            "node": self.node,
            "site": self.site,
            "leader": self.leader,
        }

    def note(
        self,
        trial: str,
        what: str,
        value: float | None,
        unit: str,
        wanted: float | None = None,
        note: str = "",
    ) -> None:
        """Keep a figure and say it."""
        figure = Figure(trial, what, value, unit, wanted, note)
        self.figures.append(figure)
        process.say(f"  {line(figure)}")

    # -- the trials ------------------------------------------------------------------------

    async def settle(self) -> None:
        """Start operators on a fleet where all is applied and nothing decided."""
        shape = self.world.shape
        with process.step(f"applying {self.base} devices"):
            await self.world.apply(shape.device_documents(0, self.base))
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
                self._note_passes("settle", processes.Samples(), await leader.measured())
                spent = watch.end().processor_seconds
                self.note("settle", "operator's processor time", spent, "s")
                self._note_loop("settle", loop)
        use = watch.end()
        self._memory = use.rss
        self.note("settle", "everything Ready, nothing written", settled, "s")
        written = self.world.audit.since(begun)
        self.note("settle", "writes", len(written), "", note=listed(writes.counted(written)))
        self.note("settle", "memory (RSS)", use.rss, "MB", note=f"at most {use.peak:.0f}")

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
        self.note("devices", f"{self.more} devices applied → Ready", ready, "s", 15.0,
                  f"the API server took {applied:.1f} s to take them")  # fmt: skip
        self.note("devices", "writes a device", len(own) / self.more, "", 1.0,
                  listed(writes.counted(own)))  # fmt: skip
        await self._silence_of_writes(self.patience.settle)
        rss = processes.memory((await self.world.leader()).process_id).get("VmRSS", 0.0)
        self.note("devices", "memory a device", (rss - self._memory) * 1000 / self.more, "kB",
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
        self.world.seen.altered.clear()
        agents, asked = await self.world.agents_figures(), await self.world.requests()
        floor = processes.LoopWatch(f"http://127.0.0.1:{self.world.floor_port}/readyz")
        async with processes.LoopWatch(leader.probe_url).watching() as loop, floor.watching():
            await asyncio.sleep(self.patience.quiet)
        seconds = time.time() - begun
        for name, watch in watches.items():
            self._note_use(name, watch.end())
        self._note_loop("quiet", loop)
        self.note("quiet", "longest answer of a loop that does nothing", floor.longest, "ms",
                  note=f"p99 {floor.quantile(0.99) * 1000:.0f} ms, {floor.stalls()} over 50 ms:"
                  " the machine's own noise")  # fmt: skip
        self._note_requests(asked, await self.world.requests(), seconds)
        passes = self._note_passes("quiet", before, await leader.measured())
        self._note_share("operator: processor time a pass", "operator", passes)
        written = self.world.audit.since(begun)
        self.note("quiet", "writes", len(written) / seconds, "/s", 25.0,
                  listed(writes.counted(written)))  # fmt: skip
        altered = dict(self.world.seen.altered.most_common(12))
        self.note("quiet", "parts of statuses written anew", len(altered), "",
                  note=listed(altered))  # fmt: skip
        devices = sum(write.resource == "devices" for write in written)
        self.note("quiet", "writes of devices", devices / seconds, "/s", 0.0)
        after = await self.world.agents_figures()
        self._note_agents(agents, after, seconds)
        reports = after["counts"].get("report", 0) - agents["counts"].get("report", 0)
        self._note_share("hub: processor time a report", "hub", reports)

    async def restart(self) -> None:
        """End all operators and start them again."""
        self.world.end_operators()
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
        self.note("restart", "it leads", leading, "s")
        self.note("restart", "its first pass has acted", acted, "s")
        self.note("restart", "settled: the last write", max(acted, last - begun), "s", 60.0,
                  f"{len(written)} writes: {listed(writes.counted(written))}")  # fmt: skip

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
        note = (
            f"{node} held {held} devices and {replicas} replicas; {listed(writes.counted(moved))}"
        )
        made_at = last_of(made) - lost if made else None
        moved_at = max(rights) - lost if rights else None
        moments = f"{len(rights)} devices, {len(set(rights))} moments"
        self.note("node", "lost → last replica made", made_at, "s", note=f"{len(made)} pods")
        self.note("node", "lost → last right moved", moved_at, "s", note=moments)
        self.note("node", "lost → first urgent write", first(urgent) - lost, "s")
        self.note("node", "lost → last urgent write", last_of(urgent) - lost, "s", note=note)
        self.note("node", "Lease stale → last urgent write", last_of(urgent) - stale, "s")
        self._note_passes("node", before, await leader.measured())

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
        self.note("site", "devices moved", moved, "", 0)
        self.note("site", "pods made or deleted", len(pods), "", 0)
        self.note("site", "lost → its Site says so", first(told) - lost if told else None, "s")
        self.note("site", "writes in a minute", len(written), "",
                  note=listed(writes.counted(written)))  # fmt: skip

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
        self.note("leader", "killed → next write", first(written) - killed, "s", 8.0)
        own = [write for write in written if write.name == wanted]
        self.note("leader", "killed → a new device's first write", first(own) - killed, "s")

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
            self.note(trial, "where its time goes", None, "", note=shares)

    # -- what they share ---------------------------------------------------------------------

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
        self.note(trial, "Ready when patience ended", None, "", note=self._states())
        raise process.HarnessError(
            f"not settled within {self.patience.settle:.0f} s: {self._states()}"
        )

    async def _silence_of_writes(self, seconds: float) -> float:
        """Wait until nothing was written for a while; the moment of the last write."""
        begun = time.time()

        async def silent() -> bool:
            return time.time() - max(begun - SILENT / 2, self.world.audit.last()) >= SILENT

        await self.world.until(silent, what="nothing is written", seconds=max(SILENT * 2, seconds))
        return self.world.audit.last()

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

    def _note_use(self, name: str, use: processes.Use) -> None:
        limits = (300.0, 0.3) if name == "operator" else (None, None)
        self.note("quiet", f"{name}: memory (RSS)", use.rss, "MB", limits[0],
                  f"PSS {use.pss:.0f}, at most {use.peak:.0f}")  # fmt: skip
        self.spent[name] = use.processor_seconds
        self.note("quiet", f"{name}: cores", use.cores, "", limits[1],
                  f"of them the loop {use.loop_cores:.2f}, which waited for a processor for"
                  f" {use.queued:.0%} of the time")  # fmt: skip

    def _note_loop(self, trial: str, loop: processes.LoopWatch) -> None:
        wanted = 50.0 if trial == "quiet" else None
        asked = len(loop.answers)
        self.note(trial, "longest answer of the operator's loop", loop.longest, "ms", wanted,
                  f"p99 {loop.quantile(0.99) * 1000:.0f} ms, {loop.stalls()} of {asked} over 50 ms,"
                  f" {loop.failures} unanswered")  # fmt: skip

    def _note_passes(
        self, trial: str, before: processes.Samples, after: processes.Samples
    ) -> float:
        """Say how many passes there were, and return that."""
        name = names.OPERATOR_PASS_SECONDS.name
        count = after.total(f"{name}_count") - before.total(f"{name}_count")
        seconds = after.total(f"{name}_sum") - before.total(f"{name}_sum")
        mean = seconds / count if count else None
        self.note(trial, "passes", count, "", note="" if mean is None else f"mean {mean:.3f} s")
        stalls = after.beginning(processes.STALL_METRIC)
        if stalls:
            earlier = before.beginning(processes.STALL_METRIC)
            moved = {key: value - earlier.get(key, 0) for key, value in stalls.items()}
            self.note(trial, "the product's own watchdog", None, "", note=str(moved))
        else:
            self.note(trial, "the product's own watchdog", None, "", note="it has none")
        return count

    def _note_share(self, what: str, name: str, count: float) -> None:
        spent = self.spent.get(name)
        value = spent * 1000 / count if spent is not None and count else None
        self.note("quiet", what, value, "ms", note="all that the process did, divided")

    def _note_requests(self, before: Requests, after: Requests, seconds: float) -> None:
        risen = {
            f"{verb} {resource}": round(count - before.get((resource, verb), 0))
            for (resource, verb), count in after.items()
        }
        moved = {what: count for what, count in risen.items() if count > 0}
        others = {what: count for what, count in moved.items() if "leases" not in what}
        self.note("quiet", "writes of anybody, Leases apart", sum(others.values()) / seconds, "/s",
                  note=listed(others))  # fmt: skip
        leases = sum(moved.values()) - sum(others.values())
        self.note("quiet", "writes of Leases", leases / seconds, "/s")

    def _note_agents(self, before: Any, after: Any, seconds: float) -> None:
        earlier = before.get("counts", {})
        for what, count in sorted(after.get("counts", {}).items()):
            times = after.get("seconds", {}).get(what)
            note = (
                f"p50 {times['p50'] * 1000:.0f} ms, p99 {times['p99'] * 1000:.0f} ms"
                if times
                else ""
            )
            rate = (count - earlier.get(what, 0)) / seconds
            if rate or times:
                self.note("quiet", f"agents: {what}", rate, "/s", note=note)


async def is_filled(replica: processes.OperatorReplica) -> bool:
    """Whether a replica's mirrors are filled."""
    return bool((await replica.measured()).lines) and replica.child.poll() is None


def first(written: list[writes.Write]) -> float:
    """The moment of the first write; HarnessError where there is none."""
    if not written:
        raise process.HarnessError("nothing was written")
    return written[0].at


def last_of(written: list[writes.Write]) -> float:
    """The moment of the last write."""
    return written[-1].at if written else 0.0


def listed(counts: dict[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def line(figure: Figure) -> str:
    """A figure in words."""
    value = (
        "–"
        if figure.value is None
        else f"{figure.value:.3g}"
        if figure.value < 100
        else f"{figure.value:.0f}"
    )
    wanted = "" if figure.wanted is None else f"  (≤ {figure.wanted:g}: {figure.verdict})"
    note = f"  {figure.note}" if figure.note else ""
    return f"{figure.trial:8} {figure.what}: {value} {figure.unit}{wanted}{note}"


def one_line(error: Exception) -> str:
    """An error as one line."""
    return " ".join(str(error).split())[:600] or type(error).__name__


def shown(figures: list[Figure]) -> Iterator[str]:
    """All figures, one a line."""
    yield from map(line, figures)
