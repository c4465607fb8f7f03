"""The processes of the product: what each takes, how its loop answers, what it counts.

`OperatorReplica` and `hub_process.HubProcess` are started as charts start them, with their own
accounts. A loop that hangs does not answer its probe: `LoopWatch` asks all the time and keeps how
long each answer took, which is the product's own watchdog seen from outside.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client import parser

from bench import usage
from foreshore_api.wire import metrics as names
from harness import process, tools

STALL: Final = 0.050
"""Seconds that nothing may hold a loop for."""
ASK_EVERY: Final = 0.05
PROFILER: Final = "py-spy==0.4.3"
STALL_METRIC: Final = "foreshore_operator_loop_stall_seconds"
WORK_METRIC: Final = "foreshore_operator_loop_work_seconds"


@dataclass(frozen=True)
class Reach:
    """How an operator reaches the API server and the hub."""

    kubeconfig: Path
    namespace: str
    hub_url: str
    hub_ca: Path
    hub_token: Path


class OperatorReplica:
    """One `foreshore-operator run`."""

    def __init__(self, name: str, reach: Reach, folder: Path) -> None:
        self.name = name
        self.port = process.free_port()
        self.log = folder / f"operator-{name}.log"
        self.started = time.time()
        flags = {
            "--kubeconfig": reach.kubeconfig,
            "--namespace": reach.namespace,
            "--identity": name,
            "--serving-image": "foreshore-edge:scale",
            "--metrics-port": self.port,
            "--hub-url": reach.hub_url,
            "--hub-ca": reach.hub_ca,
            "--hub-token-file": reach.hub_token,
        }
        arguments = [str(part) for flag in flags.items() for part in flag]
        self.child: subprocess.Popen[bytes] = process.start(
            [sys.executable, "-m", "foreshore_operator.main", "run", *arguments], log=self.log
        )

    @property
    def process_id(self) -> int:
        """Its own."""
        return self.child.pid

    @property
    def probe_url(self) -> str:
        """Answered by the loop that does all else."""
        return f"http://127.0.0.1:{self.port}/readyz"

    async def measured(self) -> "Samples":
        """What it counts; empty while it does not answer."""
        return await scraped(f"http://127.0.0.1:{self.port}/metrics")

    async def leads(self) -> bool:
        """Whether it may write."""
        return (await self.measured()).total(names.OPERATOR_LEADER.name) == 1

    def kill(self) -> None:
        """End it without warning."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(timeout=20)

    def end(self) -> None:
        """Ask it to end."""
        process.end(self.child)


@dataclass(frozen=True)
class Samples:
    """One scrape."""

    lines: tuple[tuple[str, dict[str, str], float], ...] = ()

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric over all labels but those that are named."""
        return sum(
            value for line, of, value in self.lines if line == name and labels.items() <= of.items()
        )

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """A metric by some of its labels."""
        totals: dict[tuple[str, ...], float] = {}
        for line, of, value in self.lines:
            if line == name:
                key = tuple(of.get(label, "") for label in labels)
                totals[key] = totals.get(key, 0.0) + value
        return totals

    def beginning(self, name: str) -> dict[str, float]:
        """All lines of a metric and its parts, summed over labels but for buckets."""
        totals: dict[str, float] = {}
        for line, of, value in self.lines:
            if line.startswith(name) and not line.endswith("_created"):
                key = f"{line}{{le={of['le']}}}" if "le" in of else line
                totals[key] = totals.get(key, 0.0) + value
        return totals


async def scraped(url: str, *, ssl: Any = True, seconds: float = 5) -> Samples:
    """Read the metrics of an address."""
    try:
        async with (
            aiohttp.ClientSession() as client,
            client.get(url, ssl=ssl, timeout=aiohttp.ClientTimeout(total=seconds)) as answer,
        ):
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Samples()
    return Samples(tuple(lines(text)))


def lines(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Every sample of an exposition."""
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, dict(sample.labels), sample.value


@dataclass(frozen=True)
class ProcessUse:
    """What a process took over some time."""

    seconds: float
    cores: float
    loop_cores: float
    queued: float
    """Share of the time in which its first thread, the loop, was ready and had no processor."""
    rss: float
    pss: float
    peak: float

    @property
    def processor_seconds(self) -> float:
        """Processor time of all its threads and children."""
        return self.cores * self.seconds


@dataclass
class UseWatch:
    """Processor time and memory of a process and all it started, from now until `end`."""

    process_id: int
    begun: float = field(default_factory=time.monotonic)
    before: dict[str, float] = field(default_factory=dict)
    queued_before: float = 0.0

    def __post_init__(self) -> None:
        self.before = dict(usage.processor(self.process_id))
        self.queued_before = queued(self.process_id)

    def end(self) -> ProcessUse:
        """What it took since then."""
        spent = usage.since(self.before, usage.processor(self.process_id))
        seconds = max(0.001, time.monotonic() - self.begun)
        status = memory(self.process_id)
        return ProcessUse(
            seconds=seconds,
            queued=(queued(self.process_id) - self.queued_before) / seconds,
            cores=sum(spent.values()) / 1000 / seconds,
            loop_cores=spent.get("loop", 0.0) / 1000 / seconds,
            rss=status.get("VmRSS", 0.0),
            pss=usage.resident(self.process_id),
            peak=status.get("VmHWM", 0.0),
        )


def queued(process_id: int) -> float:
    """Seconds for which a process' first thread has waited for a processor since its start."""
    with contextlib.suppress(OSError):
        spent = Path(f"/proc/{process_id}/task/{process_id}/schedstat").read_text().split()
        return int(spent[1]) / 1e9
    return 0.0


def memory(process_id: int) -> dict[str, float]:
    """Resident memory of one process now and at most, in MB."""
    with contextlib.suppress(OSError):
        rows = Path(f"/proc/{process_id}/status").read_text().splitlines()
        fields = (row.split() for row in rows if row.startswith(("VmRSS", "VmHWM")))
        return {row[0].rstrip(":"): int(row[1]) * 1024 / 1e6 for row in fields}
    return {}


@dataclass
class LoopWatch:
    """How long a loop takes to answer, asked every twentieth of a second."""

    url: str
    answers: list[float] = field(default_factory=list)
    failures: int = 0

    async def run(self) -> None:
        """Ask until cancelled."""
        limit = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=limit) as client:
            while True:
                begun = time.monotonic()
                try:
                    async with client.get(self.url) as answer:
                        await answer.read()
                    self.answers.append(time.monotonic() - begun)
                except (aiohttp.ClientError, TimeoutError, OSError):
                    self.failures += 1
                await asyncio.sleep(ASK_EVERY)

    @contextlib.asynccontextmanager
    async def watching(self) -> Any:
        """Ask while inside."""
        task = asyncio.create_task(self.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    def quantile(self, share: float) -> float:
        """A quantile of the answers, in seconds; 0 without any."""
        return (
            sorted(self.answers)[min(len(self.answers) - 1, int(len(self.answers) * share))]
            if (self.answers)
            else 0.0
        )

    @property
    def longest(self) -> float:
        """The longest answer in milliseconds."""
        return max(self.answers, default=0.0) * 1000

    def stalls(self) -> int:
        """How many answers took longer than a loop may be held."""
        return sum(seconds > STALL for seconds in self.answers)


def sample(process_id: int, file: Path) -> subprocess.Popen[bytes]:
    """Start py-spy on a process; every sample is a line of its stacks with their number."""
    return process.start(
        [
            tools.uv(), "tool", "run", "--quiet", PROFILER, "record", "--nonblocking",
            "--pid", str(process_id), "--rate", "20", "--duration", "3600", "--format", "raw",
            "--output", file,
        ],
        log=file.with_suffix(".log"),
    )  # fmt: skip


def end_sampling(sampler: subprocess.Popen[bytes]) -> None:
    """Let py-spy write what it has."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(sampler.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        sampler.wait(timeout=60)
    process.end(sampler, kill=True)


def hottest(file: Path, most: int = 12) -> Iterator[str]:
    """The product's functions by the share of samples in which they are on the stack."""
    if not file.exists():
        return
    counts: dict[str, int] = {}
    total = 0
    for row in file.read_text().splitlines():
        stack, _, number = row.rpartition(" ")
        total += int(number)
        names_ = {
            frame.rpartition(":")[0]
            for frame in stack.split(";")
            if "foreshore_" in frame and "<" not in frame and "foreshore_operator/main" not in frame
        }
        for name in names_:
            counts[name] = counts.get(name, 0) + int(number)
    for name, count in sorted(counts.items(), key=lambda item: -item[1])[:most]:
        yield f"{count / total:.0%} {name}"


def load() -> str:
    """The machine's load now, and how much of the last minute somebody waited for a processor."""
    averages = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    with contextlib.suppress(OSError):
        waited = re.search(r"some .*avg60=(\S+)", Path("/proc/pressure/cpu").read_text())
        if waited is not None:
            return f"{averages}; {waited[1]} % of the last minute somebody waited for a processor"
    return averages
