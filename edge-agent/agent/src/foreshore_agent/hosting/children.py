"""The agent's inference servers: one `foreshore-serving` child a model version, on a Unix socket.

    wanted ──► Starting ──ready──► Serving ──ends──► Waiting ──backoff──► Starting
                  └──exit code 3: this model is refused──► Refused, until another is wanted

A child ends with the agent, also when the agent is killed. What it says goes to the agent's own
standard error; why it refused a model it leaves in a file, as it does for kubelet.
"""

import asyncio
import hashlib
import itertools
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import pydantic

from foreshore_agent import backoff
from foreshore_agent.inference.oip import call, connection, line
from foreshore_api.reasons.serving import ServingReason
from foreshore_api.wire import serving

REFUSED: Final = 3
"""Exit code of a child whose model is refused until the ModelVersion changes."""

_MAXIMUM_SOCKET_PATH: Final = 100
_STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 2.0
_STEADY_SECONDS: Final = 30.0
_LOG: Final = logging.getLogger(__name__)


class ChildPhase(StrEnum):
    """Where one child stands."""

    STARTING = "Starting"
    SERVING = "Serving"
    WAITING = "Waiting"
    REFUSED = "Refused"

    @property
    def is_settled(self) -> bool:
        """Whether waiting on would tell nothing new soon."""
        return self in (ChildPhase.SERVING, ChildPhase.REFUSED)


@dataclass(frozen=True, slots=True)
class ServingTrouble:
    """Why a model is not served."""

    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def trouble(reason: ServingReason, cause: str) -> ServingTrouble:
    """Return a trouble that no server worded: its remedy is that of the reason."""
    return ServingTrouble(reason, f"{cause}; {reason.remedy}")


class Child:
    """One supervised inference server."""

    def __init__(
        self,
        config: serving.ModelConfig,
        place: Path,
        models: Path | None,
        changed: Callable[[], None],
    ) -> None:
        """Take a place of its own: one that ends slowly must not end what is at the same path.

        `changed` is called whenever its phase has changed.
        """
        self.config: Final = config
        self.phase = ChildPhase.STARTING
        self.trouble: ServingTrouble | None = None
        self.has_served = False
        """Whether it was ready once: it loads, whatever ends it now and then."""
        self._changed: Final = changed
        self.socket: Final = place.with_suffix(".sock")
        self._config_file: Final = place.with_suffix(".json")
        self._ending_file: Final = place.with_suffix(".ending")
        self._models = models

    @property
    def url(self) -> str:
        """The endpoint's address."""
        return f"unix:{self.socket}"

    async def supervise(self) -> None:
        """Start it, and again whenever it ends, until it is refused or this is cancelled."""
        try:
            await self._supervise()
        finally:
            for file in (self.socket, self._config_file, self._ending_file):
                file.unlink(missing_ok=True)

    async def _supervise(self) -> None:
        wait = backoff.Backoff()
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            self.phase = ChildPhase.STARTING
            try:
                code = await self._live()
            except OSError as error:
                self._set(ChildPhase.WAITING, trouble(ServingReason.CANNOT_START, str(error)))
            else:
                is_refused = code == REFUSED
                why = why_ended(code, self._ending_file)
                self._set(ChildPhase.REFUSED if is_refused else ChildPhase.WAITING, why)
                if is_refused:
                    return
            if loop.time() - started > _STEADY_SECONDS:
                wait.reset()
            await asyncio.sleep(wait.next())

    async def _live(self) -> int:
        """Run one process from start to end; returns its exit code."""
        await asyncio.to_thread(self._prepare)
        process = await asyncio.create_subprocess_exec(
            *command("run", self._config_file, self._ending_file, self._models),
            *("--socket", str(self.socket)),
            stdin=asyncio.subprocess.DEVNULL,
            env=environment(),
        )
        watch = asyncio.create_task(self._await_ready())
        try:
            return await process.wait()
        finally:
            watch.cancel()
            await stop(process)

    def _prepare(self) -> None:
        self._config_file.write_bytes(self.config.encode())
        self._ending_file.write_bytes(b"")
        self.socket.unlink(missing_ok=True)

    async def _await_ready(self) -> None:
        server = line.Line(self.url)
        question = call.ModelCalls(self.config.name, server.host_header).ready
        while not await _is_ready(server, question):  # noqa: ASYNC110 - another process, nothing wakes us
            await asyncio.sleep(_POLL_SECONDS)
        self._set(ChildPhase.SERVING, None)

    def _set(self, phase: ChildPhase, trouble: ServingTrouble | None) -> None:
        self.phase, self.trouble = phase, trouble
        self.has_served = self.has_served or phase is ChildPhase.SERVING
        log = _LOG.info if trouble is None else _LOG.warning
        what = "serving" if trouble is None else f"{trouble.reason}: {trouble.message}"
        log("model %s version %s: %s", self.config.name, self.config.version, what)
        self._changed()


class Children:
    """Where children are: each has files of its own."""

    def __init__(self, state: Path, models: Path | None) -> None:
        """Prepare; `models` is a folder of artefacts that is asked by digest before a source."""
        self._state = state
        self._models = models
        self._home: Path | None = None
        self._places: Final[set[Path]] = set()
        """Of the children that run, and of those that are about to end."""

    async def supervise(
        self,
        config: serving.ModelConfig,
        made: Callable[[Child], None],
        changed: Callable[[], None],
    ) -> None:
        """Run a child until it is refused or this is cancelled; `made` is handed the child."""
        place = self._take_place(config)
        child = Child(config, place, self._models, changed)
        made(child)
        try:
            await child.supervise()
        finally:
            self._places.discard(place)

    def _take_place(self, config: serving.ModelConfig) -> Path:
        """Return where a child's files are: the same in each life of the agent, if it is free."""
        home = self._home = self._home or _home(self._state)
        names = (b"%d %s" % (number, config.encode()) for number in itertools.count())
        places = (home / hashlib.sha256(name).hexdigest()[:12] for name in names)
        place = next(place for place in places if place not in self._places)
        self._places.add(place)
        return place


def command(verb: str, config: Path, end: Path, models: Path | None) -> tuple[str, ...]:
    """Return how `foreshore-serving` is started, so that it ends with this process.

    Args:
        verb: `run` or `try`.
        config: file with the model's configuration.
        end: file in which it leaves why it ended.
        models: folder of artefacts that is asked by digest before a source.
    """
    return (
        sys.executable,
        *("-m", "foreshore_serving.attached", str(os.getpid()), verb),
        *("--model-config", str(config)),
        *("--termination-log", str(end)),
        *(() if models is None else ("--models", str(models))),
    )


def why_ended(code: int, file: Path) -> ServingTrouble:
    """Return why a process of serving ended with a code: as it left it, else what the code says."""
    try:
        with file.open("rb") as stream:
            left = serving.Ending.decode(stream.read(16384))
    except (OSError, pydantic.ValidationError):
        reason = ServingReason.MODEL_REFUSED if code == REFUSED else ServingReason.CRASHED
        return trouble(reason, f"exit code {code}; see the log")
    return ServingTrouble(left.reason, left.message)


def environment() -> dict[str, str]:
    """Return the environment without our own settings, which would be the child's too."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FORESHORE_")}


async def _is_ready(server: line.Line, question: bytes) -> bool:
    """Ask the child as the pool will ask it."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            made = await server.open()
            try:
                answer = await made.call(question)
            finally:
                made.close()
    except (OSError, connection.LostError):
        return False
    return answer.status == 200


async def stop(process: asyncio.subprocess.Process) -> None:
    """Ask a process to end, then have it ended; one that has ended is left alone."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _home(state: Path) -> Path:
    """Return the folder of sockets: in the state directory, unless its path is too long for one."""
    home = state.absolute() / "serving"
    if len(str(home)) + len("/0123456789ab.sock") > _MAXIMUM_SOCKET_PATH:
        return Path(tempfile.mkdtemp(prefix="foreshore-"))
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home
