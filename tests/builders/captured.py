"""`foreshore-agent capture` as a process of its own, and what speaks while it listens."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from paho.mqtt import publish

from builders import room
from harness import mosquitto, process


class Capture:
    """One run; `end` it, or wait for it."""

    def __init__(self, resources: Path, device: str, output: object, *words: object) -> None:
        what = ("--resources", resources, "--device", device, "--output", output)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "foreshore_agent.main", "capture", *map(str, (*what, *words))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output = self.words = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def listens(self, broker: mosquitto.Broker, times: int = 1) -> None:
        """Wait until the broker has answered its subscription for this time."""

        def has_subscribed() -> bool:
            return broker.log.read_text().count("Sending SUBACK to capture-") >= times

        process.eventually(has_subscribed, what="it listens", timeout=30, interval=0.05)

    def hears(self, broker: mosquitto.Broker, number: int) -> None:
        """Wait until it has the message of this number, and a moment longer: till it worked by it.

        What it gets at once with the next it takes in as one moment.
        """

        def has_heard() -> bool:
            acknowledged = (
                line for line in broker.log.read_text().splitlines() if "PUBACK from" in line
            )
            return any("capture-" in line and f"(Mid: {number}," in line for line in acknowledged)

        process.eventually(has_heard, what="it has heard", timeout=30, interval=0.05)
        time.sleep(0.2)

    def until_rows(self, path: Path, count: int) -> None:
        """Wait until so many rows are in a file."""

        def are_there() -> bool:
            return path.exists() and path.read_bytes().count(b"\n") > count

        process.eventually(are_there, what=f"{count} rows", timeout=30, interval=0.05)

    def wait(self) -> int:
        """Wait for its own end."""
        self.output, self.words = self.process.communicate(timeout=60)
        return self.process.returncode

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, or kill it."""
        self.process.send_signal(number)
        return self.wait()


def write(folder: Path, documents: Iterable[room.Json]) -> Path:
    """Write resources, each into a file of its own."""
    folder.mkdir(exist_ok=True)
    for document in documents:
        name = f"{document['kind']}-{document['metadata']['name']}.json"
        (folder / name).write_text(json.dumps(document))
    return folder


def room_of(folder: Path, broker: mosquitto.Broker, **changes: Any) -> Path:
    """Write the room for a broker on loopback."""
    address = {"host": broker.host, "port": broker.port, "transport": "Plain", **changes}
    documents = [room.changed(room.site(), spec__broker=address), room.profile(), room.device()]
    return write(folder, documents)


def measure(broker: mosquitto.Broker, *bodies: object, **shown: Any) -> None:
    """Let the room say something, in order."""
    messages: list[Any] = [
        ("hq/room-301/telemetry", body if isinstance(body, bytes) else json.dumps(body), 1, False)
        for body in bodies
    ]
    publish.multiple(messages, hostname=broker.host, port=broker.port, **shown)
