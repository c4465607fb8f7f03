"""Round trips over one broker: the device and the echo written in C, and a process while it runs.

The device sends samples at a rate and times each until its answer; the echo is the shortest way
that an answer can take, so that everything else is a ratio to it.
"""

import contextlib
import hashlib
import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench import figures, resources
from harness import cache, process

SOURCE = Path(__file__).with_name("calibrator.c")
ADDRESS = "127.0.0.1"
MOST_WARM_UP = 200
"""The device warms up with one second of samples, but no more than these."""
START_SECONDS = 90


class Topics(NamedTuple):
    """Where a device publishes samples, where it is answered, where it acknowledges (`-`: not)."""

    telemetry: str
    command: str
    acknowledgement: str = "-"


OF_THE_AGENT = Topics(
    f"{resources.SITE}/{resources.DEVICE}/telemetry",
    f"{resources.SITE}/{resources.DEVICE}/command",
    f"{resources.SITE}/{resources.DEVICE}/ack",
)
OF_THE_FLEET = Topics(
    f"{resources.SITE}/{{device}}/telemetry",
    f"{resources.SITE}/+/command",
    f"{resources.SITE}/{{device}}/ack",
)
OF_THE_ECHO = Topics("echo/in", "echo/out")


def compiled() -> Path:
    """The calibrator, compiled once for each version of its source."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    program = cache.binaries() / f"calibrator-{digest}"
    if not program.exists():
        libraries = ("-lmosquitto", "-lpthread")
        process.run(["cc", "-O2", "-o", program, SOURCE, *libraries], timeout=120)
    return program


def device(port: int, topics: Topics, rate: int, samples: int, devices: int = 1) -> list[str]:
    """The command of a device, or of several in one process."""
    numbers = (str(rate), str(samples), str(devices))
    return [str(compiled()), "device", ADDRESS, str(port), *topics, *numbers]


def trips(port: int, topics: Topics, rate: int, samples: int) -> figures.Trips:
    """Run the device: sample to answer, sample by sample. Raises HarnessError."""
    came = process.run(device(port, topics, rate, samples), timeout=600)
    took = (int(line) for line in came.split())
    microseconds = tuple(trip if trip >= 0 else None for trip in took)
    return figures.Trips(rate, microseconds, min(rate, MOST_WARM_UP))


def knock(port: int, topics: Topics, subject: "subprocess.Popen[bytes]") -> None:
    """Publish samples until the first answer. Raises HarnessError if none comes."""
    command = [str(compiled()), "knock", ADDRESS, str(port), *topics, str(START_SECONDS)]
    with running(command) as device:
        while device.poll() is None and subject.poll() is None:
            time.sleep(0.005)
        if device.poll() != 0:
            ended = "" if subject.poll() is None else f"; it ended with {subject.poll()}"
            raise process.HarnessError(f"no answer in {START_SECONDS} s{ended}")


@contextlib.contextmanager
def echo(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The echo, as long as the block lasts."""
    topics = [OF_THE_ECHO.telemetry, OF_THE_ECHO.command]
    with running([str(compiled()), "echo", ADDRESS, str(port), *topics]) as child:
        yield child


@contextlib.contextmanager
def listener(port: int, topics: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A listener in C that reads one number of each message, as long as the block lasts."""
    with running([str(compiled()), "listen", ADDRESS, str(port), topics]) as child:
        yield child


@contextlib.contextmanager
def running(
    command: Sequence[str], log: object = subprocess.DEVNULL, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A child process for as long as the block lasts."""
    env = {**os.environ, **environment}
    child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env)  # type: ignore[call-overload]
    try:
        yield child
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(15)
        if child.poll() is None:
            child.kill()
            child.wait()


def synced(folder: Path) -> float:
    """Median microseconds of writing a page and fdatasync, where the journals lie."""
    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(500):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - start) * 1e6)
    return statistics.median(took)
