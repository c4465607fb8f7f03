"""Start the child, watch it, replace it: the parent's life once the artefact is there.

`main` becomes this by exec:

    python -I -m foreshore_serving.supervise <orders>

It lives as long as the pod, so it imports little: the command line, validation and TLS of `main`
are gone with the exec (20 MB). A child that fails before it was ever ready ends the process with
its reason: the same bytes would fail again, and whoever started us (kubelet, the agent) backs off
better than we could. One that served before is replaced, after a pause that doubles while it keeps
dying.
"""

import dataclasses
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final, NoReturn

from foreshore_api import printable
from foreshore_serving import contract as contracts
from foreshore_serving import providers, standin
from foreshore_serving.refusal import TRANSIENT, Reason, Refused

FIRST_PAUSE_SECONDS: Final = 0.1
LAST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A child that served for so long starts again without a pause."""

SLICE_SECONDS: Final = 0.5
DRAIN_SECONDS: Final = 8.0
MAXIMUM_MESSAGE_BYTES: Final = 65536


EXIT_REFUSED: Final = 3
EXIT_TRANSIENT: Final = 4

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclasses.dataclass(frozen=True, slots=True)
class Orders:
    """What `main` hands over."""

    listening: int
    """Descriptor of the listening socket."""
    model: int
    """Descriptor of the sealed artefact."""
    contract: contracts.Contract
    socket: str | None
    """Path of the Unix socket, to remove at the end."""
    termination_log: str


class StopRequested(Exception):  # noqa: N818 - nobody's error
    """SIGTERM or SIGINT came."""


def stop_on_signals() -> None:
    """Raise `StopRequested` in the main thread at the first SIGTERM or SIGINT; ignore the next."""

    def stop(_number: int, _frame: object) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise StopRequested

    for number in SIGNALS:
        signal.signal(number, stop)


def become(orders: Orders) -> NoReturn:
    """Replace this process by the supervisor; SIGTERM waits until that one handles it."""
    for descriptor in (orders.listening, orders.model):
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - its only name
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    encoded = json.dumps(dataclasses.asdict(orders))
    os.execv(sys.executable, [sys.executable, "-I", "-m", "foreshore_serving.supervise", encoded])  # noqa: S606


def main(encoded: str) -> int:
    """Serve until told to stop; returns the exit code."""
    fields = json.loads(encoded)
    orders = Orders(**{**fields, "contract": contracts.of(fields["contract"])})
    stop_on_signals()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        listening = socket.socket(fileno=orders.listening)
        instead = standin.Standin(listening)
        instead.start(Reason.LOADING, f"{orders.contract.version} is being loaded")
        keep_serving(listening, instead, orders.model, orders.contract)
    except StopRequested:
        return 0
    except Refused as refused:
        return end(refused, Path(orders.termination_log))
    finally:
        if orders.socket is not None:
            Path(orders.socket).unlink(missing_ok=True)


def end(refused: Refused, termination_log: Path) -> int:
    """Say why, to the log and in the container's termination message; returns the exit code.

    The message is a `foreshore_api.wire.serving.Ending`, written without its model: that would cost
    13 MB.
    """
    say(f"{refused.reason}: {refused.message}")
    if termination_log.exists():
        ending = {"reason": refused.reason, "message": refused.message}
        termination_log.write_text(json.dumps(ending))
    return EXIT_TRANSIENT if refused.reason in TRANSIENT else EXIT_REFUSED


def keep_serving(
    listening: socket.socket, instead: standin.Standin, model: int, contract: contracts.Contract
) -> NoReturn:
    """Keep a child serving until `StopRequested` is raised.

    Raises:
        Refused: the first child could not load the model.
        StopRequested: asked to end; the child has been drained.
    """
    pause = FIRST_PAUSE_SECONDS
    served_before = False
    while True:
        child = ServingChild(listening.fileno(), model, contract)
        try:
            child.await_ready(contract.load_seconds)
            instead.stop()
            served_before, began = True, time.monotonic()
            reason = child.await_end(contract.stall_seconds)
        except Refused as refused:
            if not served_before:
                raise
            reason, began = str(refused), time.monotonic()
        finally:
            child.close()
        instead.start(Reason.CRASHED, reason)
        pause = (
            FIRST_PAUSE_SECONDS
            if time.monotonic() - began > STEADY_SECONDS
            else min(2 * pause, LAST_PAUSE_SECONDS)
        )
        say(f"{reason}; starting another in {pause:.1f} s")
        time.sleep(pause)


def try_once(model: int, contract: contracts.Contract) -> bytes:
    """Have a child load the model and run it; return the `evidence.TrialEvidence`, as JSON.

    Raises:
        Refused: the child refuses the model, ended, or took too long.
        StopRequested: asked to end.
    """
    child = ServingChild(contracts.NO_LISTENER, model, contract)
    try:
        return child.await_evidence(contract.load_seconds)
    finally:
        child.close()


def say(line: str) -> None:
    """Write one line to the log, fit for a terminal: a refusal quotes names of the model's."""
    sys.stderr.write(f"foreshore-serving: {printable.logged(line)}\n")
    sys.stderr.flush()


class ServingChild:
    """One child process and the pipe on which it speaks."""

    def __init__(self, listening: int, model: int, contract: contracts.Contract) -> None:
        """Start it, with what it listens on, or to try the model (`contract.NO_LISTENER`)."""
        self._control, theirs = os.pipe()
        passed = tuple(number for number in (model, listening, theirs) if number >= 0)
        numbers = [str(number) for number in (model, listening, theirs, os.getpid())]
        command = [sys.executable, "-I", "-m", "foreshore_serving.child", *numbers]
        try:
            with _sheet(contract.encode()) as sheet:
                self._process = subprocess.Popen(
                    command,
                    stdin=sheet,
                    stdout=sys.stderr,
                    pass_fds=passed,
                    env=environment(contract, os.environ),
                )
        finally:
            os.close(theirs)
        self._poll = select.poll()
        self._poll.register(self._control, select.POLLIN)

    def await_ready(self, seconds: float) -> None:
        """Wait until the child serves. Raises Refused, as `_await_message`."""
        message = self._await_message(seconds)
        took = f"{message['inferSeconds'] * 1e6:.0f} µs"
        say(f"ready; one inference takes {took}, computed by {message['computed']}")
        if message["note"]:
            say(f"warning: {message['note']}")

    def await_evidence(self, seconds: float) -> bytes:
        """Wait until the model is tried; return the `evidence.TrialEvidence`, as JSON.

        Raises Refused, as `_await_message`.
        """
        return json.dumps(self._await_message(seconds)["tried"]).encode()

    def _await_message(self, seconds: float) -> dict[str, Any]:
        """Return the first thing that the child says.

        Raises:
            Refused: it refuses the model, ended, or took longer than `seconds`.
        """
        line = self._line(seconds)
        if line is None:
            raise Refused(
                Reason.LOAD_TIMEOUT,
                f"loading and warm-up took longer than {seconds:g} s and were killed",
            )
        if line == b"":
            raise self._ended_while_loading(seconds)
        message: dict[str, Any] = json.loads(line)
        if "refused" in message:
            raise Refused(Reason(message["refused"]), message["cause"], message["remedy"])
        return message

    def await_end(self, stall_seconds: float) -> str:
        """Wait until the child ends, or kill it when it is silent; returns what happened."""
        while self._speaks_within(stall_seconds):
            if not os.read(self._control, MAXIMUM_MESSAGE_BYTES):
                return f"the child ended with {_ending(self._process.wait())}"
        self._process.kill()
        self._process.wait()
        return f"the child showed no life for {stall_seconds:g} s and was killed"

    def close(self) -> None:
        """End the child: let it finish what it serves, then kill it."""
        self._process.terminate()
        try:
            self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._control)

    def _line(self, seconds: float) -> bytes | None:
        """Return the child's line: empty if it ended, None if it was late (it is killed then)."""
        received = b""
        while not received.endswith(b"\n"):
            if not self._speaks_within(seconds):
                self._process.kill()
                return None
            chunk = os.read(self._control, MAXIMUM_MESSAGE_BYTES)
            received += chunk
            if not chunk or len(received) > MAXIMUM_MESSAGE_BYTES:
                return b""
        return received

    def _speaks_within(self, seconds: float) -> bool:
        """Wait for the child's next word, counting only time in which this process runs itself.

        A node that was paused for a while wakes both: the child must not be killed for that.
        """
        waited = 0.0
        while waited < seconds:
            if self._poll.poll(SLICE_SECONDS * 1000):
                return True
            waited += SLICE_SECONDS
        return False

    def _ended_while_loading(self, seconds: float) -> Refused:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return Refused(
                Reason.LOAD_TIMEOUT,
                f"loading and warm-up took more than {seconds:g} s of CPU time and were killed",
            )
        return Refused(Reason.CRASHED, f"the child ended with {_ending(code)} while loading")


def _sheet(body: bytes) -> IO[bytes]:
    """Return a file in memory, to be read from its start: a pipe could fill up or break."""
    sheet = os.fdopen(os.memfd_create("contract"), "w+b")
    sheet.write(body)
    sheet.seek(0)
    return sheet


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


DRIVERS: Final = (
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ONEAPI_DEVICE_SELECTOR",
)
"""Variables by which images and device plug-ins say where drivers are, and which devices."""


def environment(contract: contracts.Contract, ours: Mapping[str, str]) -> dict[str, str]:
    """One thread, one arena: a second would take 64 MB of address space and serve nobody.

    Of ours nothing goes on, but where the drivers are, if another provider than CPU is wanted.
    """
    is_plain = providers.is_plain(contract.providers)
    drivers = {} if is_plain else {name: ours[name] for name in DRIVERS if name in ours}
    return drivers | {
        "LANG": "C.UTF-8",
        "MALLOC_ARENA_MAX": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
