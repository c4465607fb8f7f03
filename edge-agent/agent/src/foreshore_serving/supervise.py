"""Start the child, watch it, replace it: the life of the parent once the artefact is there. Called by `main`.

A child that fails before it was ever ready ends the process with its reason: the same bytes would fail again, and whoever
started us (kubelet, the agent) backs off better than we could. One that served before is replaced, after a pause that doubles
while it keeps dying.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from foreshore_api.wire import serving

from foreshore_serving import contract as contracts
from foreshore_serving import standin
from foreshore_serving.refusal import Reason, Refused
from foreshore_serving.settings import Settings

FIRST_PAUSE_SECONDS: Final = 0.1
LAST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A child that served for so long starts again without a pause."""

DRAIN_SECONDS: Final = 8.0
BACKLOG: Final = 128
MAXIMUM_MESSAGE_BYTES: Final = 65536


class Stopping(Exception):  # noqa: N818 - nobody's error
    """SIGTERM or SIGINT came."""


def stop_on_signals() -> None:
    """Raise `Stopping` in the main thread at the first SIGTERM or SIGINT, and ignore the next ones."""

    def stop(_number: int, _frame: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise Stopping

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def bind(settings: Settings) -> socket.socket:
    """Return the listening socket.

    Raises:
        OSError: the address is taken, or the path of the Unix socket is too long or not writable.
    """
    if settings.socket is not None:
        return _bind_unix(settings.socket)
    assert settings.listen is not None
    host, port = settings.listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(BACKLOG)
    return listening


def _bind_unix(path: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        if path.is_socket():
            path.unlink()  # a stale one of a killed process; a live one belongs to the same owner, who wants this
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen(BACKLOG)
    return listening


def contract(config: serving.ModelConfig, model_bytes: int, settings: Settings) -> contracts.Contract:
    """Return what the child is told."""
    return contracts.Contract(
        name=config.name,
        version=config.version,
        digest=config.digest,
        inputs=tuple(contracts.TensorSpec(t.name, t.data_type, t.shape) for t in config.inputs),
        outputs=tuple(contracts.TensorSpec(t.name, t.data_type, t.shape) for t in config.outputs),
        model_bytes=model_bytes,
        memory_bytes=settings.memory_bytes(model_bytes),
        load_seconds=settings.load_seconds,
        stall_seconds=settings.stall_seconds,
        maximum_body_bytes=settings.maximum_body_bytes,
    )


def run(listening: socket.socket, instead: standin.Standin, model: int, told: contracts.Contract) -> None:
    """Keep a child serving until `Stopping` is raised.

    Raises:
        Refused: the first child could not load the model.
        Stopping: asked to end; the child has been drained.
    """
    pause = FIRST_PAUSE_SECONDS
    served_before = False
    while True:
        child = Child(listening, model, told)
        try:
            child.await_ready(told.load_seconds)
            instead.stop()
            served_before, began = True, time.monotonic()
            reason = child.await_end(told.stall_seconds)
        except Refused as refused:
            if not served_before:
                raise
            reason, began = str(refused), time.monotonic()
        finally:
            child.close()
        instead.start(Reason.CRASHED, reason)
        pause = FIRST_PAUSE_SECONDS if time.monotonic() - began > STEADY_SECONDS else min(2 * pause, LAST_PAUSE_SECONDS)
        say(f"{reason}; starting another in {pause:.1f} s")
        time.sleep(pause)


def say(line: str) -> None:
    """Write one line to the log."""
    print(f"foreshore-serving: {line}", file=sys.stderr, flush=True)


class Child:
    """One child process and the pipe on which it speaks."""

    def __init__(self, listening: socket.socket, model: int, told: contracts.Contract) -> None:
        self._control, theirs = os.pipe()
        passed = (model, listening.fileno(), theirs)
        command = [sys.executable, "-I", "-m", "foreshore_serving.child", *map(str, passed), str(os.getpid())]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr, pass_fds=passed, env=_environment())
        finally:
            os.close(theirs)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(told.encode())
        self._poll = select.poll()
        self._poll.register(self._control, select.POLLIN)

    def await_ready(self, seconds: float) -> None:
        """Wait until the child serves.

        Raises:
            Refused: it refuses the model, ended, or took longer than `seconds`.
        """
        line = self._line(time.monotonic() + seconds)
        if line is None:
            raise Refused(Reason.LOAD_TIMEOUT, f"loading and warm-up took longer than {seconds:g} s and were killed")
        if line == b"":
            raise self._ended_while_loading(seconds)
        message: dict[str, Any] = json.loads(line)
        if "refused" in message:
            raise Refused(Reason(message["refused"]), message["message"])
        say(f"ready; one inference takes {message['inferSeconds'] * 1e6:.0f} µs")

    def await_end(self, stall_seconds: float) -> str:
        """Wait until the child ends, or kill it once it is silent for `stall_seconds`; returns what happened."""
        while True:
            if not self._poll.poll(stall_seconds * 1000):
                self._process.kill()
                self._process.wait()
                return f"the child showed no life for {stall_seconds:g} s and was killed"
            if not os.read(self._control, MAXIMUM_MESSAGE_BYTES):
                return f"the child ended with {_ending(self._process.wait())}"

    def close(self) -> None:
        """End the child: let it finish what it serves, then kill it."""
        self._process.terminate()
        try:
            self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._control)

    def _line(self, deadline: float) -> bytes | None:
        """Return the child's next line, empty if it ended, None if the deadline passed first (it is killed then)."""
        received = b""
        while not received.endswith(b"\n"):
            if not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                self._process.kill()
                return None
            chunk = os.read(self._control, MAXIMUM_MESSAGE_BYTES)
            received += chunk
            if not chunk or len(received) > MAXIMUM_MESSAGE_BYTES:
                return b""
        return received

    def _ended_while_loading(self, seconds: float) -> Refused:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return Refused(Reason.LOAD_TIMEOUT, f"loading and warm-up took more than {seconds:g} s of CPU time and were killed")
        return Refused(Reason.CRASHED, f"the child ended with {_ending(code)} while loading")


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _environment() -> dict[str, str]:
    """One thread, one allocator arena: a second would take 64 MB of address space and serve nobody."""
    return {
        "LANG": "C.UTF-8",
        "MALLOC_ARENA_MAX": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
