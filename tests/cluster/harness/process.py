"""Running other programs: progress on long steps, errors that say what is missing.

Everything the harness starts goes through here, so that no command runs without a time limit,
none through a shell, and a failure carries the end of its output.
"""

import atexit
import contextlib
import functools
import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from harness import programs

T = TypeVar("T")

TAIL = 4000  # characters of output an error carries
HEARTBEAT = 20.0  # seconds between two signs of life of a long step
LOOPBACK = "127.0.0.1"
BLOCK = 200
BLOCKS = range(16_000, 32_000, BLOCK)
"""First ports of blocks, each for one process; Linux gives clients ports from 32768 on."""


class HarnessError(Exception):
    """Something the harness needs could not be done; the message says what, and what to do."""


class MissingRequirementError(HarnessError):
    """The machine lacks something; `how` says how to get it."""

    def __init__(self, what: str, how: str) -> None:
        super().__init__(f"{what} is missing. {how}")


class CommandError(HarnessError):
    """A command ended with another code than 0, or not in time."""

    def __init__(self, args: Sequence[str], outcome: str, output: str) -> None:
        shown = " ".join(args)
        super().__init__(f"{shown[:400]}: {outcome}\n{output[-TAIL:]}")
        self.output = output


def say(text: str) -> None:
    """One line of progress for a person."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str, *, last: Callable[[], str] = str) -> Iterator[None]:
    """Tell that a long step begins, that it still runs, and how long it took.

    `last` says what it did last, for those signs of life.
    """
    say(text)
    begun = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT):
            say(f"  … {text}: {time.monotonic() - begun:.0f} s  {last()}".rstrip())

    thread = threading.Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    taken = time.monotonic() - begun
    if taken >= 1:
        say(f"  {text}: done in {taken:.0f} s")


def run(
    args: Sequence[str | Path],
    *,
    timeout: float = 60,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | Path | None = None,
) -> str:
    """Run one command to its end; its standard output. CommandError holds both outputs' end."""
    command = [str(arg) for arg in args]
    try:
        with open_input(stdin) as source:
            done = subprocess.run(
                command,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=source,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
    except FileNotFoundError:
        raise MissingRequirementError(command[0], programs.how_to_get(command[0])) from None
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"") + (late.stderr or b"")
        raise CommandError(command, f"not done in {timeout:.0f} s", decode(output)) from None
    if done.returncode != 0:
        raise CommandError(
            command, f"exit code {done.returncode}", decode(done.stdout + done.stderr)
        )
    return decode(done.stdout)


@contextlib.contextmanager
def open_input(stdin: bytes | Path | None) -> Iterator[IO[bytes] | int]:
    """What a command reads: a file, the given bytes, or nothing."""
    if stdin is None:
        yield subprocess.DEVNULL
    elif isinstance(stdin, Path):
        with stdin.open("rb") as file:
            yield file
    else:
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            yield file


def succeeds(args: Sequence[str | Path], *, timeout: float = 60) -> bool:
    """Whether a command exists and ends with 0; for probes whose failure is an answer."""
    try:
        run(args, timeout=timeout)
    except HarnessError:
        return False
    return True


def start(
    args: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a long-running child that dies with this process, its output in `log`.

    `env` is its whole environment, else it has this process' own.

    util-linux' setpriv sets the parent-death signal, so that a test run that is killed leaves
    nothing behind; it is the starting *thread* whose end counts, so start from one that stays.
    """
    guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [*guard, *(str(arg) for arg in args)],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def end(child: subprocess.Popen[bytes], *, kill: bool = False, patience: float = 20) -> None:
    """Stop a child: ask first unless `kill`, insist after `patience` seconds."""
    if child.poll() is None:
        child.kill() if kill else child.terminate()
    try:
        child.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(timeout=patience)


def eventually(
    probe: Callable[[], T | None], *, what: str, timeout: float, interval: float = 0.2
) -> T:
    """Ask until the probe answers something truthy; HarnessError with `what` when time is up."""
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise HarnessError(f"not within {timeout:.0f} s: {what}")
        time.sleep(interval)


def free_port() -> int:
    """A TCP port on loopback that nothing listens on right now, and nobody else is given.

    A port of the kernel's choice would be free only at this moment: until a server listens there,
    and whenever it restarts, another process may be given the same, or a client its own end.
    """
    _, numbers = _block()
    for number in itertools.islice(numbers, BLOCK):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, number))
            return number
    raise HarnessError(f"this process uses all of its {BLOCK} ports")


@functools.cache
def _block() -> tuple[socket.socket, Iterator[int]]:
    """This process' own block of ports, and the socket that keeps others off while it lives."""
    for first in random.sample(BLOCKS, len(BLOCKS)):
        claim = socket.socket()
        try:
            claim.bind((LOOPBACK, first))
        except OSError:
            claim.close()
        else:
            atexit.register(claim.close)
            # in no order: clients keep things by address, as kubectl does what a server serves
            return claim, itertools.cycle(random.sample(range(first + 1, first + BLOCK), BLOCK - 1))
    raise HarnessError(f"every block of {BLOCK} ports of {BLOCKS} is taken")


def listens(host: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def tail(path: Path) -> str:
    """The end of a log file, for an error message."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - TAIL))
            return decode(log.read(TAIL))
    except OSError as error:
        return f"({path}: {error})"


def decode(output: bytes) -> str:
    """Text of a program's output, whatever bytes are in it."""
    return output.decode("utf-8", errors="replace")
