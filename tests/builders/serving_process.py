"""A real `foreshore-serving` on a Unix socket or a port, and a plain HTTP client for it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from http import client
from pathlib import Path
from typing import Any, Self

from builders import onnx_models, patience
from foreshore_api import addresses
from foreshore_api.wire import serving

INFER = "/v2/models/occupancy/infer"


def features(*numbers: float) -> bytes:
    """Return an inference request of one row."""
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 3], "data": numbers}
    return json.dumps({"inputs": [tensor]}).encode()


class UnixConnection(client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float = 10) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def exchanged(
    connection: client.HTTPConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, Any]:
    """Return the status and the JSON of the one answer of a connection."""
    with contextlib.closing(connection):
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


class Serving:
    """One process, its socket, and what it left behind."""

    def __init__(
        self, folder: Path, config: serving.ModelConfig, flags: Sequence[str], listen: str | None
    ) -> None:
        self.socket = folder / "serving.sock"
        self.place = None if listen is None else addresses.split(listen)
        self.termination_log = folder / "termination-log"
        self.termination_log.touch()
        self._log_path = folder / "serving.log"
        (folder / "model.json").write_bytes(config.encode())
        command = [
            *(sys.executable, "-m", "foreshore_serving.main", "run"),
            *("--model-config", str(folder / "model.json")),
            *(("--socket", str(self.socket)) if listen is None else ("--listen", listen)),
            *("--termination-log", str(self.termination_log), *flags),
        ]
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        """What the process and its child have said."""
        return self._log_path.read_text()

    def connection(self, timeout: float = 10, host: str = "127.0.0.1") -> client.HTTPConnection:
        """A connection to it, by an address of this machine where it listens on a port."""
        if self.place is None:
            return UnixConnection(self.socket, timeout)
        return client.HTTPConnection(host, self.place[1], timeout=timeout)

    def request(
        self, method: str, path: str, body: bytes | None = None, timeout: float = 10
    ) -> tuple[int, Any]:
        """Return the status and the JSON of one answer."""
        return exchanged(self.connection(timeout), method, path, body)

    def infer(self, *numbers: float, timeout: float = 10) -> tuple[int, Any]:
        """Return the status and the JSON of one inference."""
        return self.request("POST", INFER, features(*numbers), timeout)

    def await_ready(self, seconds: float = patience.SECONDS) -> Self:
        """Wait until it serves."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            with contextlib.suppress(OSError, client.HTTPException):
                if self.request("GET", "/v2/health/ready")[0] == 200:
                    return self
            time.sleep(0.02)
        raise AssertionError(self.log)

    def await_end(self, seconds: float = patience.SECONDS) -> serving.Ending:
        """Wait until it ends by itself; returns its termination message."""
        self.process.wait(seconds)
        return serving.Ending.decode(self.termination_log.read_bytes())

    def child(self) -> int:
        """Return the process ID of the present child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children.split()[0])

    def stop(self) -> int:
        """Ask it to end; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextlib.contextmanager
def serving_process(
    body: bytes,
    *flags: str,
    config: serving.ModelConfig | None = None,
    listen: str | None = None,
) -> Iterator[Serving]:
    """Run a server for a model found by digest in a folder; `listen` on a port, as in a Pod."""
    with tempfile.TemporaryDirectory(prefix="fs-") as name:  # short: a socket's path has 107 bytes
        folder = Path(name)
        (folder / "m.onnx").write_bytes(body)
        served = Serving(
            folder, config or onnx_models.config(body), ["--models", name, *flags], listen
        )
        try:
            yield served
        finally:
            served.process.kill()
            served.process.wait()
            assert not _is_alive_child_of(served)


def _is_alive_child_of(served: Serving) -> bool:
    """Tell whether a child outlived its killed parent (it is given a moment to die)."""
    for _ in range(100):
        users = [
            pid
            for pid in os.listdir("/proc")
            if pid.isdigit() and _mentions(pid, "foreshore_serving.child", str(served.process.pid))
        ]
        if not users:
            return False
        time.sleep(0.02)
    return True


def _mentions(pid: str, module: str, parent: str) -> bool:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return module in words and parent in words[-2:]
    return False
