"""A decision's latency against a C echo over one broker, its shares, and the memory it takes."""

import contextlib
import hashlib
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench import resources
from builders import onnx_models
from harness import cache, mosquitto, process

SOURCE = Path(__file__).with_name("calibrator.c")
TELEMETRY = f"{resources.SITE}/{resources.DEVICE}/telemetry"
COMMAND = f"{resources.SITE}/{resources.DEVICE}/command"
ACKNOWLEDGEMENT = f"{resources.SITE}/{resources.DEVICE}/ack"
LIMIT_P50, LIMIT_P99 = 4.0, 8.0
LIMIT_MEMORY = 220.0
UNANSWERED = 1_000_000
"""Stands for the microseconds of a sample without an answer."""
SATURATED = 0.01
"""Share of samples without an answer above which the agent does not keep up."""
LIGHT_RATE, LIGHT_SAMPLES = 100, 2000
HTTP = 18981


@dataclass(frozen=True)
class Run:
    """What one run at one rate gave; durations in microseconds, sorted, `UNANSWERED` included."""

    rate: int
    echoed: list[int]
    decided: list[int]
    stages: dict[str, float]
    """Mean milliseconds by stage, from the agent's own metrics."""
    processor: dict[str, float]
    """Milliseconds of processor time a decision, by thread of the agent and by child."""
    memory: float
    sync: float

    @property
    def answered(self) -> list[int]:
        """Samples that a command followed; of the others newer ones took the place."""
        return [value for value in self.decided if value < UNANSWERED]

    @property
    def is_saturated(self) -> bool:
        """Whether the agent did not keep up: its latency is then that of a queue."""
        return len(self.decided) - len(self.answered) > len(self.decided) * SATURATED


def report(folder: Path, *, samples: int, rate: int) -> None:
    """Measure at the rate and, if it is more than the agent can do, at one that it can."""
    asked = measure(folder / "asked", samples=samples, rate=rate)
    show(asked)
    if asked.is_saturated and rate > LIGHT_RATE:
        show(measure(folder / "light", samples=min(samples, LIGHT_SAMPLES), rate=LIGHT_RATE))


def measure(folder: Path, *, samples: int, rate: int) -> Run:
    """Run echo, agent, echo."""
    calibrator = compiled()
    folder.mkdir()
    with mosquitto.Broker(folder / "broker") as broker:
        before = echo(calibrator, broker.port, rate, samples)
        with agent(folder, broker.port) as process_id:
            used = processor(process_id)
            decided = drive(calibrator, broker.port, rate, samples)
            count = max(1, sum(1 for value in decided if value < UNANSWERED))
            spent = {
                name: (value - used.get(name, 0.0)) / count
                for name, value in processor(process_id).items()
            }
            stages = measured(f"http://127.0.0.1:{HTTP}/metrics")
            memory = resident(process_id)
        after = echo(calibrator, broker.port, rate, samples)
    return Run(
        rate, sorted([*before, *after]), sorted(decided), stages, spent, memory, synced(folder)
    )


def compiled() -> Path:
    """The calibrator, compiled once for each version of its source."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    program = cache.binaries() / f"calibrator-{digest}"
    if not program.exists():
        libraries = ("-lmosquitto", "-lpthread")
        process.run(["cc", "-O2", "-o", program, SOURCE, *libraries], timeout=120)
    return program


def echo(calibrator: Path, port: int, rate: int, samples: int) -> list[int]:
    """Round trips in microseconds through the C echo."""
    arguments = ["echo", "127.0.0.1", str(port), "echo/in", "echo/out"]
    with running([str(calibrator), *arguments]):
        time.sleep(0.3)
        return trips(calibrator, port, ("echo/in", "echo/out", "-"), rate, samples)


def drive(calibrator: Path, port: int, rate: int, samples: int) -> list[int]:
    """Sample to command in microseconds through the agent."""
    topics = (TELEMETRY, COMMAND, ACKNOWLEDGEMENT)
    return trips(calibrator, port, topics, rate, samples)


def trips(
    calibrator: Path, port: int, topics: tuple[str, str, str], rate: int, samples: int
) -> list[int]:
    """Run the device, sample to answer in microseconds."""
    arguments = ["device", "127.0.0.1", str(port), *topics, str(rate), str(samples)]
    done = subprocess.run(
        [str(calibrator), *arguments], check=True, capture_output=True, text=True, timeout=300
    )
    found = [int(line) for line in done.stdout.split()]
    return [value if value >= 0 else UNANSWERED for value in found]


@contextlib.contextmanager
def agent(folder: Path, port: int) -> Iterator[int]:
    """An agent in folder mode, ready to decide; its process id."""
    home = folder / "resources"
    home.mkdir()
    body = onnx_models.model()
    (home / "tiny-v1.onnx").write_bytes(body)
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    documents = resources.documents(port, digest, home / "tiny-v1.onnx")
    (home / "bench.yaml").write_text(yaml.safe_dump_all(documents))
    program = Path(sys.executable).with_name("foreshore-agent")
    command = [str(program), "run", "--resources", str(home), "--state", str(folder / "state")]
    with (
        (folder / "agent.log").open("w") as log,
        running([*command, "--port", str(HTTP)], log) as child,
    ):
        process.eventually(
            lambda: answers(f"http://127.0.0.1:{HTTP}/readyz"),
            what=f"the agent is ready (its log: {folder / 'agent.log'})",
            timeout=60,
        )
        yield child.pid


@contextlib.contextmanager
def running(
    command: Sequence[str], log: object = subprocess.DEVNULL
) -> Iterator["subprocess.Popen[bytes]"]:
    """A child process for as long as the block lasts."""
    child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # type: ignore[call-overload]
    try:
        yield child
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(15)
        if child.poll() is None:
            child.kill()
            child.wait()


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def measured(url: str) -> dict[str, float]:
    """Mean milliseconds a stage, from the agent's own metrics."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        lines = answer.read(4 << 20).decode().splitlines()
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for line in lines:
        for suffix, into in (("_sum", sums), ("_count", counts)):
            if line.startswith(f"foreshore_decision_stage_seconds{suffix}{{"):
                stage = line.split('stage="')[1].split('"')[0]
                into[stage] = into.get(stage, 0.0) + float(line.rsplit(" ", 1)[1])
    return {stage: sums[stage] / counts[stage] * 1000 for stage in sums if counts.get(stage)}


def processor(process_id: int) -> dict[str, float]:
    """Milliseconds of processor time: the agent's loop, its journal's thread, what serves."""
    spent = {"loop": 0.0, "journal": 0.0, "serving": 0.0}
    for each in family(process_id):
        for task in Path(f"/proc/{each}/task").glob("[0-9]*"):
            name = "serving" if each != process_id else "journal"
            name = "loop" if task.name == str(process_id) else name
            with contextlib.suppress(OSError):
                fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                ticks = int(fields[11]) + int(fields[12])
                spent[name] += ticks * 1000 / os.sysconf("SC_CLK_TCK")
    return spent


def resident(process_id: int) -> float:
    """Proportional set size in MB of a process and everything it started."""
    total = 0
    for one in family(process_id):
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
            total += int(line.split()[1])
    return total / 1000


def family(process_id: int) -> list[int]:
    """A process and everything it started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = list[int](), [process_id]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children.get(one, [])
    return found


def synced(folder: Path) -> float:
    """Median microseconds of writing a page and fdatasync, where the journal lies."""
    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(500):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - start) * 1e6)
    return statistics.median(took)


def show(run: Run) -> None:
    """Print what was measured, each figure beside its limit."""
    print(f"at {run.rate}/s: sample → command, QoS 1, intent durable before the command")
    base = (quantile(run.echoed, 0.5), quantile(run.echoed, 0.99))
    print(f"  C echo      p50 {base[0]:>7} µs   p99 {base[1]:>7} µs   n {len(run.echoed)}")
    if run.answered:
        compare(run, base)
    else:
        print("  decision    no sample was answered: ratios MISSED")
    if run.is_saturated:
        count, whole = len(run.answered), len(run.decided)
        print(f"  saturated: {whole - count} of {whole} samples without a command", end="")
        print(f" (newer ones took their place), {count * run.rate / whole:.0f} decisions/s")
    print(f"  mean stages of the agent: {listed(run.stages)}; fdatasync p50 {run.sync:.0f} µs")
    print(f"  processor time a decision: {listed(run.processor)}")
    print("  resident memory, agent and serving with one model (PSS): ", end="")
    print(f"{run.memory:.0f} MB   (limit {LIMIT_MEMORY:g})   {verdict(run.memory, LIMIT_MEMORY)}\n")


def compare(run: Run, base: tuple[int, int]) -> None:
    """Print what the answered samples took over the echo's p50 and p99; saturated is MISSED."""
    found = run.answered
    ours = (quantile(found, 0.5), quantile(found, 0.99))
    print(f"  decision    p50 {ours[0]:>7} µs   p99 {ours[1]:>7} µs   ", end="")
    print(f"n {len(found)} answered of {len(run.decided)}")
    for name, value, limit in (
        ("p50", ours[0] / base[0], LIMIT_P50),
        ("p99", ours[1] / base[1], LIMIT_P99),
    ):
        held = "MISSED" if run.is_saturated else verdict(value, limit)
        print(f"  ratio {name}   {value:.2f}   (limit {limit:g})   {held}")
    inference = (run.stages.get("Inference", 0.0) + run.stages.get("Network", 0.0)) * 1000
    print("  shares of p50: ", end="")
    print(f"echo {share(base[0], ours[0])}, fdatasync {share(run.sync, ours[0])}", end="")
    print(f", inference {share(inference, ours[0])}")


def quantile(values: list[int], q: float) -> int:
    """Nearest-rank quantile of sorted values."""
    return values[max(0, int(len(values) * q + 0.5) - 1)]


def verdict(value: float, limit: float) -> str:
    """Whether a figure holds its limit."""
    return "holds" if value <= limit else "MISSED"


def share(part: float, whole: float) -> str:
    """A part in percent."""
    return f"{part / whole * 100:.0f} %"


def listed(milliseconds: dict[str, float]) -> str:
    """Name and milliseconds of each, to two digits."""
    return ", ".join(f"{name} {value:.2g} ms" for name, value in sorted(milliseconds.items()))
