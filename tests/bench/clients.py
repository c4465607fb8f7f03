"""What the agent's MQTT client costs, beside two that could stand in its place.

Each echoes what a device publishes, QoS 1, in a process of its own (`echo_client`), over one
Mosquitto; the C echo of the same run is the calibrator. Runs are interleaved, medians are shown.
With Mosquitto as it is shipped Nagle's algorithm is on at the broker: it costs whoever does not
look after it 40 ms a message.

This is why the agent has a codec of its own (`foreshore_agent.devices.mqtt.codec`).
"""

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import latency, usage
from harness import mosquitto

PROGRAM = Path(__file__).with_name("echo_client.py")
CALIBRATOR = "C echo"
NAMES = ("ours", "paho", "gmqtt")
TOPICS = latency.OF_THE_ECHO[:2]
ROUNDS = {False: 3, True: 1}
"""Runs of each client, without and with Nagle's algorithm at the broker."""
RATES = {100: 300, 1000: 3000}
"""Samples of a run, by samples a second."""


@dataclass(frozen=True)
class EchoRun:
    """One client's run: microseconds of a round trip, and of processor time a message."""

    p50: float
    p99: float
    processor: float


def report(folder: Path) -> None:
    """Measure all clients at all rates, with Nagle's algorithm off at the broker and on."""
    print("MQTT clients: an echo of each over one Mosquitto, QoS 1, MQTT 3.1.1")
    for is_default in (False, True):
        title = "as it is shipped (Nagle on)" if is_default else "with set_tcp_nodelay"
        for rate, samples in RATES.items():
            print(f"  broker {title}, {rate}/s, medians of {ROUNDS[is_default]} × {samples}")
            place = folder / f"clients-{rate}-{int(is_default)}"
            show(measure(place, rate=rate, samples=samples, is_default=is_default))


def measure(folder: Path, *, rate: int, samples: int, is_default: bool) -> dict[str, list[EchoRun]]:
    """Run each client in turn, several times."""
    program = latency.compiled()
    runs: dict[str, list[EchoRun]] = {name: [] for name in (CALIBRATOR, *NAMES)}
    with mosquitto.Broker(folder, nodelay=not is_default) as broker:
        for _ in range(ROUNDS[is_default]):
            for name, kept in runs.items():
                with client(name, program, broker.port) as process_id:
                    before = spent(process_id)
                    trips = latency.trips(broker.port, latency.OF_THE_ECHO, rate, samples)
                    used = spent(process_id) - before
                p50, p99 = (trips.milliseconds(q) * 1000 for q in (0.5, 0.99))
                kept.append(EchoRun(p50, p99, used / len(trips.microseconds)))
    return runs


@contextlib.contextmanager
def client(name: str, program: Path, port: int) -> Iterator[int]:
    """An echo for as long as the block lasts; its process id."""
    own = [sys.executable, str(PROGRAM), name, str(port), *TOPICS]
    calibrator = [str(program), "echo", "127.0.0.1", str(port), *TOPICS]
    is_calibrator = name == CALIBRATOR
    with subprocess.Popen(
        calibrator if is_calibrator else own, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        try:
            if not is_calibrator and child.stdout is not None:
                child.stdout.readline()
            yield child.pid
        finally:
            child.kill()


def spent(process_id: int) -> float:
    """Microseconds of processor time of a process, all its threads."""
    return 1000 * sum(usage.processor(process_id).values())


def show(runs: dict[str, list[EchoRun]]) -> None:
    """Print a line for each client, with its ratios to the C echo."""
    base = median(runs[CALIBRATOR])
    for name, kept in runs.items():
        run = median(kept)
        print(
            f"    {name:<7} p50 {run.p50:>7.0f} µs ({run.p50 / base.p50:5.2f} ×)"
            f"   p99 {run.p99:>7.0f} µs ({run.p99 / base.p99:5.2f} ×)"
            f"   processor {run.processor:5.0f} µs a message"
        )


def median(runs: list[EchoRun]) -> EchoRun:
    """The median of each figure."""
    return EchoRun(
        statistics.median(run.p50 for run in runs),
        statistics.median(run.p99 for run in runs),
        statistics.median(run.processor for run in runs),
    )
