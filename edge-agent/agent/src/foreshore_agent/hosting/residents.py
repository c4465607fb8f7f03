"""The models in this process: which are loaded, and why one that should be is not.

    wanted ──quarantined?──► evidence kept? ──no──► trial in a limited child
                                  └────────yes──┬───────┘    marked, durable, meanwhile
                     room? ──► marked, durable ──► loaded ──► answers as in its trial? ──► answers
                                                     └── otherwise: tried anew, once

Whoever may not be loaded raises with its reason, and `hosts` puts a child in its place.
"""

import asyncio
import contextlib
import functools
import importlib.util
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foreshore_agent import journal
from foreshore_agent.hosting import marks, room, store, trials
from foreshore_agent.inference.local import port, runner, worker
from foreshore_api.reasons import Reason
from foreshore_api.reasons import inference as reasons
from foreshore_api.wire import serving
from foreshore_decision import served
from foreshore_serving import evidence

RUNTIME: Final = "onnxruntime"
FOLDER: Final = "models"
"""Of the state directory."""
_LOG: Final = logging.getLogger(__name__)


class NotResidentError(Exception):
    """A model cannot be in this process, and why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Final = reason
        self.message: Final = message


@dataclass(frozen=True, slots=True, eq=False)
class Resident:
    """One model that is loaded: whoever had it loaded lets go of it, and of nothing else."""

    config: serving.ModelConfig
    runner: runner.ModelRunner
    thread: worker.ModelWorker
    place: object
    """What its room was taken for."""


class Residents:
    """The models that are loaded in this process."""

    def __init__(
        self,
        kept: store.ModelStore,
        tries: trials.ModelTrials,
        ends: marks.UncleanEnds,
        space: room.ModelRoom,
    ) -> None:
        self._store: Final = kept
        self._trials: Final = tries
        self._marks: Final = ends
        self._room: Final = space
        self._runners: Final[dict[served.Served, runner.ModelRunner]] = {}
        self._tidying: Final = asyncio.Lock()
        self._tidied: frozenset[str] | None = None
        self.freed = asyncio.Event()
        """Set, and replaced, whenever room was given back."""

    def runner(self, model: served.Served) -> runner.ModelRunner | None:
        """Return a model that is loaded here."""
        return self._runners.get(model)

    async def keep_only(self, wanted: Callable[[], frozenset[str]]) -> None:
        """Throw away the bytes of all other models than those wanted once it comes to it."""
        async with self._tidying:
            digests = wanted()
            if digests == self._tidied:
                return
            try:
                await asyncio.to_thread(self._store.keep_only, digests)
            except OSError as error:
                _LOG.warning("models that are not wanted cannot be thrown away: %s", error)
            else:
                self._tidied = digests

    async def load(self, config: serving.ModelConfig) -> Resident:
        """Load a model, so that `runner` returns it.

        Raises:
            NotResidentError: it cannot be here.
            trials.TrialError: the bytes are refused, or cannot be had.
            OSError, journal.JournalFull: the state directory cannot be written to.
        """
        self._check_standing(config)
        async with self._tidying:  # what is thrown away meanwhile may be what is to be loaded
            self._tidied = None
        shown = await asyncio.to_thread(self._store.evidence, config.digest)
        if shown is not None:
            try:
                return await self._enter(config, shown)
            except (port.StaleEvidenceError, port.OutputsDifferError):
                _LOG.info("model %s is tried anew", config.version)
        await self._try(config)
        shown = await asyncio.to_thread(self._store.evidence, config.digest)
        if shown is None:
            raise _not_resident(reasons.TRIAL_FAILED, detail="it left no evidence")
        try:
            return await self._enter(config, shown)
        except (port.StaleEvidenceError, port.OutputsDifferError) as error:
            raise _not_resident(reasons.OUTPUTS_DIFFER) from error

    async def unload(self, resident: Resident) -> None:
        """Let go of a model."""
        model = _served(resident.config)
        if self._runners.get(model) is resident.runner:
            del self._runners[model]
        resident.thread.close()
        self._give_back(resident.place)
        with contextlib.suppress(OSError, journal.JournalFull):  # then it counts as unclean
            await self._marks.end(resident.config.digest)

    def _check_standing(self, config: serving.ModelConfig) -> None:
        """Raise NotResidentError if a model must not, or cannot, even be tried."""
        ends = self._marks.count(config.digest)
        if ends >= marks.MAXIMUM_UNCLEAN:
            raise _not_resident(reasons.MODEL_QUARANTINED, ends=ends)
        if not self._room.total_bytes:  # nor for its trial, perhaps
            message = f"no memory is given to models; {reasons.NO_MODEL_MEMORY.remedy}"
            raise NotResidentError(reasons.NO_MODEL_MEMORY, message)
        if importlib.util.find_spec(RUNTIME) is None:
            raise _not_resident(reasons.RUNTIME_MISSING, detail=f"there is no {RUNTIME}")

    async def _try(self, config: serving.ModelConfig) -> None:
        """Have a model tried, marked: the kernel ends a container whole that a child fills."""
        try:
            async with self._marked(config.digest):
                await self._trials.run(config)
        except trials.TrialError as error:
            if error.is_lasting or error.is_unfetched:
                raise
            raise _not_resident(reasons.TRIAL_FAILED, detail=str(error)) from error

    @contextlib.asynccontextmanager
    async def _marked(self, digest: str) -> AsyncIterator[None]:
        await self._marks.begin(digest)
        try:
            yield
        finally:
            await self._marks.end(digest)

    async def _enter(self, config: serving.ModelConfig, shown: evidence.TrialEvidence) -> Resident:
        """Take room, mark the digest, load: in this order. Raises as `load`."""
        place = object()
        needed, left = self._room.needed_bytes(shown), self._room.left_bytes
        if not self._room.take(place, shown):
            if all(model.digest != config.digest for model in self._runners):
                await asyncio.to_thread(self._store.drop_body, config.digest)
            mebibytes = {"needed": needed, "left": left, "room": self._room.total_bytes}
            rounded = {name: -(-size // room.MEBIBYTE) for name, size in mebibytes.items()}
            raise _not_resident(reasons.NO_MODEL_MEMORY, **rounded)
        try:
            body = await self._body(config)
            await self._marks.begin(config.digest)
            try:
                return await self._load(config, body, shown, place)
            except BaseException:
                await self._marks.end(config.digest)
                raise
        except BaseException:
            self._give_back(place)
            raise

    async def _body(self, config: serving.ModelConfig) -> bytes:
        """Return the bytes that were tried. Raises StaleEvidenceError if they are lost."""
        body = await asyncio.to_thread(self._store.body, config.digest, config.maximum_bytes)
        if body is None:
            raise port.StaleEvidenceError
        return body

    async def _load(
        self,
        config: serving.ModelConfig,
        body: bytes,
        shown: evidence.TrialEvidence,
        place: object,
    ) -> Resident:
        thread = worker.ModelWorker(f"model-{config.version}"[:15])
        try:
            loaded = await thread.submit(functools.partial(_loaded, body, config, shown))
        except BaseException:
            thread.close()
            raise
        made = runner.ModelRunner(
            loaded,
            thread,
            shown.usual_seconds,
            is_bounded=shown.is_bounded,
            name=config.version,
        )
        self._runners[_served(config)] = made
        _LOG.info(
            "model %s version %s is in the agent's process; one inference takes %.0f µs",
            config.name,
            config.version,
            shown.usual_seconds * 1e6,
        )
        return Resident(config, made, thread, place)

    def _give_back(self, place: object) -> None:
        self._room.give_back(place)
        freed, self.freed = self.freed, asyncio.Event()
        freed.set()


def _loaded(
    body: bytes, config: serving.ModelConfig, shown: evidence.TrialEvidence
) -> port.LoadedModel:
    """Load a model in its thread; the first brings the runtime into the process."""
    try:
        from foreshore_agent.inference.local import session
    except ImportError as error:
        raise _not_resident(reasons.RUNTIME_MISSING, detail=str(error)) from error
    try:
        return session.load(body, config, shown)
    except port.NotLoadedError as error:
        raise _not_resident(reasons.TRIAL_FAILED, detail=str(error)) from error


def _served(config: serving.ModelConfig) -> served.Served:
    return served.Served(config.name, config.version, config.digest)


def _not_resident(reason: Reason, **facts: object) -> NotResidentError:
    message = f"{reason.message.format(**facts)}; {reason.remedy}"
    return NotResidentError(reason, message)


def prepared(state: Path, models: Path | None, room_mib: int, ends: marks.UncleanEnds) -> Residents:
    """Return the residents of an agent, none yet.

    Args:
        state: its state directory.
        models: folder of artefacts that is asked by digest before a source.
        room_mib: memory that models may take in its process, in MiB.
        ends: how often it ended uncleanly.
    """
    kept = store.ModelStore(state.absolute() / FOLDER)
    tries = trials.ModelTrials(kept, models)
    return Residents(kept, tries, ends, room.ModelRoom(room_mib * room.MEBIBYTE))
