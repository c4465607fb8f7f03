"""What is compared: the echo in C, the agent with its model here or there, a script, Node-RED.

Each is started for one round, alone, and is ready once a sample was answered: what that took since
its start is its start-up. It is stopped before the next begins, so that none shares processor time
or memory with another.
"""

import contextlib
import hashlib
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from bench import latency, resources, usage
from builders import onnx_models
from harness import cache, process, programs

PEERS: Final = Path(__file__).with_name("peers")
METRICS_SECONDS: Final = 30
"""An agent that is offered more than it can do answers late."""
SETTLE_SECONDS: Final = 1.5
"""After the first answer, until memory is what it stays."""


class NotMeasuredError(Exception):
    """A subject could not be measured here; the text says why, and what to do."""


FAILURES: Final = (NotMeasuredError, process.HarnessError, OSError)
"""What may go wrong with one subject: it costs its own figures, and no other's."""


@dataclass(frozen=True, slots=True)
class Running:
    """A subject that answers."""

    process_id: int
    topics: latency.Topics
    start_seconds: float
    metrics_port: int | None = None
    """Where an agent's port listens."""


class Subject(Protocol):
    """Something that answers samples."""

    @property
    def name(self) -> str:
        """As the table calls it."""
        ...

    def run(self, folder: Path, port: int) -> contextlib.AbstractContextManager[Running]:
        """Start it on a broker; the folder is empty and its own. Raises NotMeasuredError."""
        ...


@dataclass(frozen=True, slots=True)
class Echo:
    """The calibrator's echo."""

    name: str = "C echo"

    @contextlib.contextmanager
    def run(self, folder: Path, port: int) -> Iterator[Running]:
        """Start it."""
        begun = time.monotonic()
        with latency.echo(port) as child:
            yield answered(self.name, child, port, latency.OF_THE_ECHO, begun, folder)


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent in folder mode, intent durable before the command."""

    isolation: str
    policy: Mapping[str, Any] = field(default_factory=resources.policy)
    devices: int = 0

    @property
    def name(self) -> str:
        """As the table calls it."""
        return f"Foreshore, isolation {self.isolation}"

    @contextlib.contextmanager
    def run(self, folder: Path, port: int) -> Iterator[Running]:
        """Start it on an empty state directory, as after its installation."""
        home = self.written(folder, port)
        program = Path(sys.executable).with_name("foreshore-agent")
        command = [str(program), "run", "--resources", str(home), "--state", str(folder / "state")]
        topics = latency.OF_THE_FLEET if self.devices else latency.OF_THE_AGENT
        log, http = folder / "log", process.free_port()
        begun = time.monotonic()
        with (
            log.open("w") as output,
            latency.running([*command, "--port", str(http)], output) as child,
        ):
            if self.policy["mode"] == "Shadow" or self.policy == resources.never():
                self._await_ready(child, http, log)
                yield Running(child.pid, topics, time.monotonic() - begun, http)
                return
            ready = answered(self.name, child, port, topics, begun, folder)
            self._check(child.pid, log)
            yield Running(ready.process_id, topics, ready.start_seconds, http)

    def written(self, folder: Path, port: int) -> Path:
        """Write the folder of resources and the model."""
        home = folder / "resources"
        home.mkdir(parents=True)
        body = onnx_models.model()
        (home / "tiny-v1.onnx").write_bytes(body)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        documents = resources.documents(
            port,
            digest,
            home / "tiny-v1.onnx",
            isolation=self.isolation,
            devices=self.devices,
        )
        documents[-1]["spec"] = dict(self.policy)
        (home / "bench.yaml").write_text(yaml.safe_dump_all(documents))
        return home

    def _await_ready(self, child: "subprocess.Popen[bytes]", http: int, log: Path) -> None:
        """Wait for readiness, where no sample is ever answered."""

        def is_ready() -> bool:
            if child.poll() is not None:
                raise process.HarnessError(f"the agent ended with {child.poll()}")
            return answers(f"http://{latency.ADDRESS}:{http}/readyz")

        try:
            process.eventually(
                is_ready,
                what=f"{self.name} is ready",
                timeout=latency.START_SECONDS,
            )
        except process.HarnessError as error:
            raise NotMeasuredError(f"{error}; {process.tail(log)[-400:]}") from error

    def _check(self, process_id: int, log: Path) -> None:
        """Whoever says Agent and asks a child all the same is not measured as what it is not."""
        if self.isolation != resources.AGENT:
            return
        try:
            process.eventually(
                lambda: len(usage.family(process_id)) == 1,
                what="the agent runs the model itself; a child serves it",
                timeout=10,
            )
        except process.HarnessError as error:
            raise NotMeasuredError(f"{error}; {process.tail(log)[-400:]}") from error


@dataclass(frozen=True, slots=True)
class Script:
    """What people would write themselves: `peers/script.py`."""

    name: str = "script: aiomqtt, ONNX Runtime, SQLite FULL"

    @contextlib.contextmanager
    def run(self, folder: Path, port: int) -> Iterator[Running]:
        """Start it with this Python."""
        folder.mkdir(parents=True, exist_ok=True)
        model = folder / "model.onnx"
        model.write_bytes(onnx_models.model())
        topics = latency.Topics("script/in", "script/out")
        command = [sys.executable, str(PEERS / "script.py"), latency.ADDRESS, str(port)]
        files = [str(model), str(folder / "decisions.sqlite")]
        begun = time.monotonic()
        with (
            (folder / "log").open("w") as output,
            latency.running([*command, *files, topics.telemetry, topics.command], output) as child,
        ):
            yield answered(self.name, child, port, topics, begun, folder)


@dataclass(frozen=True, slots=True)
class NodeRed:
    """Node-RED with a flow of JSON and a threshold: no model, no record, default sockets."""

    name: str = "Node-RED 4: JSON, JS threshold"

    @contextlib.contextmanager
    def run(self, folder: Path, port: int) -> Iterator[Running]:
        """Start it from the cache, where npm puts it once."""
        program = node_red()
        node = programs.find("node")
        if node is None:
            raise NotMeasuredError(f"node is missing. {programs.how_to_get('node')}")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("flow.json", "settings.js"):
            shutil.copy(PEERS / "node-red" / name, folder / name)
        topics = latency.Topics("node-red/in", "node-red/out")
        places = {"BENCH_PORT": str(port), "BENCH_IN": topics.telemetry}
        command = [node, str(program), "--userDir", str(folder), "--port", str(process.free_port())]
        begun = time.monotonic()
        with (
            (folder / "log").open("w") as output,
            latency.running(command, output, **places, BENCH_OUT=topics.command) as child,
        ):
            yield answered(self.name, child, port, topics, begun, folder)


def node_red() -> Path:
    """Node-RED's program, installed from `package-lock.json` into the cache."""
    pins = [PEERS / "node-red" / name for name in ("package.json", "package-lock.json")]
    folder = cache.root() / f"node-red-{cache.key(pins)}"
    program = folder / "node_modules/node-red/red.js"
    with cache.lock("node-red"):
        if not (folder / "complete").exists():
            folder.mkdir(exist_ok=True)
            for pin in pins:
                shutil.copy(pin, folder / pin.name)
            quiet = ("--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund")
            try:
                with process.step("installing Node-RED from npm (cached afterwards)"):
                    process.run(["npm", "ci", *quiet], cwd=folder, timeout=600)
            except process.HarnessError as error:
                raise NotMeasuredError(
                    f"Node-RED cannot be installed ({str(error)[-300:].strip()}); npm needs its"
                    " registry once"
                ) from error
            (folder / "complete").touch()
    return program


def answered(
    name: str,
    child: "subprocess.Popen[bytes]",
    port: int,
    topics: latency.Topics,
    begun: float,
    folder: Path,
) -> Running:
    """Wait for the first answer. Raises NotMeasuredError with the end of the subject's log."""
    try:
        latency.knock(port, topics, child)
    except process.HarnessError as error:
        ending = process.tail(folder / "log")[-600:].strip()
        raise NotMeasuredError(f"{name}: {error}; its log ends: {ending}") from error
    took = time.monotonic() - begun
    time.sleep(SETTLE_SECONDS)
    return Running(child.pid, topics, took)


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def metric(port: int, name: str) -> Mapping[str, float]:
    """Every sample of one metric of a running agent, by its labels."""
    url = f"http://{latency.ADDRESS}:{port}/metrics"
    with urllib.request.urlopen(url, timeout=METRICS_SECONDS) as answer:
        exposed = answer.read(8 << 20).decode().splitlines()
    return {
        line[len(name) :].rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
        for line in exposed
        if line.startswith((f"{name}{{", f"{name} "))
    }


def stages(port: int) -> Mapping[str, float]:
    """Mean milliseconds a stage, from the agent's own metrics."""
    sums = metric(port, "foreshore_decision_stage_seconds_sum")
    counts = metric(port, "foreshore_decision_stage_seconds_count")
    return {
        labels.split('stage="')[1].split('"')[0]: total / counts[labels] * 1000
        for labels, total in sums.items()
        if counts.get(labels)
    }
