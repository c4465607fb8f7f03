"""One model that this agent answers for, wherever it runs; and all of them.

    isolation Agent ──► Residents ──loaded──► answers here, until it is not wanted any more
                            ├── refused, as a server would: Refused, until another is wanted
                            ├── not fetched: asked again
                            └── cannot be here: a child in its place, if nobody else answers
                                    └── room was given back ──► tried again, the child meanwhile
    isolation Child ──► a child

Called by `models`, which names what answers. What cannot be here, and why, stays as `obstacle`.
"""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from foreshore_agent import backoff, journal
from foreshore_agent.hosting import children, residents, trials
from foreshore_api.reasons import inference as reasons
from foreshore_api.reasons.serving import ServingReason
from foreshore_api.v1alpha1 import Isolation
from foreshore_api.wire import assignment, serving

GRACE_SECONDS: Final = 5.0
"""A child whose place was taken goes on so long: it may have been asked just now."""
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WantedModel:
    """A model version, and where it is to run."""

    config: serving.ModelConfig
    isolation: Isolation = Isolation.CHILD


class HostedModel:
    """One model of this agent; `live` is its life."""

    def __init__(
        self,
        wanted: WantedModel,
        here: residents.Residents,
        servers: children.Children,
        changed: Callable[[], None],
        *,
        is_confined: bool,
    ) -> None:
        self.wanted: Final = wanted
        self.obstacle: residents.NotResidentError | None = None
        """Why it is not in this process, although it should be."""
        self.settled: Final = asyncio.Event()
        """Set once waiting on would tell nothing new soon."""
        self._here: Final = here
        self._servers: Final = servers
        self._changed: Final = changed
        self._is_confined: Final = is_confined
        self._resident: residents.Resident | None = None
        self._refusal: children.ServingTrouble | None = None
        self._waits_for: children.ServingTrouble | None = None
        self._child: children.Child | None = None
        self._is_alone = True
        self._is_asked_again: Final = asyncio.Event()
        """Set whenever it may have changed whether a child is needed."""

    @property
    def config(self) -> serving.ModelConfig:
        """What is served."""
        return self.wanted.config

    @property
    def url(self) -> str:
        """Where it answers."""
        if self._resident is not None or self._child is None:
            return assignment.in_agent(self.config.digest)
        return self._child.url

    @property
    def phase(self) -> children.ChildPhase:
        """Where it stands."""
        if self._resident is not None:
            return children.ChildPhase.SERVING
        if self._refusal is not None:
            return children.ChildPhase.REFUSED
        if self._child is not None:
            return self._child.phase
        is_waiting = self._waits_for is not None or self.obstacle is not None
        return children.ChildPhase.WAITING if is_waiting else children.ChildPhase.STARTING

    @property
    def trouble(self) -> children.ServingTrouble | None:
        """Why it is not served at all."""
        if self._resident is not None:
            return None
        of_child = None if self._child is None else self._child.trouble
        return self._refusal or self._waits_for or of_child

    @property
    def has_served(self) -> bool:
        """Whether it was ready once where it runs now."""
        return self._resident is not None or (self._child is not None and self._child.has_served)

    def set_alone(self, *, is_alone: bool) -> None:
        """Note whether nobody else answers: then it needs a child where it cannot be here."""
        if is_alone != self._is_alone:
            self._is_alone = is_alone
            self._is_asked_again.set()

    async def live(self) -> None:
        """Serve until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_child(tasks))
                if self.wanted.isolation is Isolation.AGENT:
                    tasks.create_task(self._reside())
        finally:
            resident, self._resident = self._resident, None
            if resident is not None:
                await self._here.unload(resident)

    # In this process.

    async def _reside(self) -> None:
        """Load it, and again while it may help; then it stays."""
        wait = backoff.Backoff()
        while self._resident is None and self._refusal is None:
            freed = self._here.freed
            try:
                self._resident = await self._here.load(self.config)
            except residents.NotResidentError as error:
                self._note_obstacle(error)
                if error.reason != reasons.NO_MODEL_MEMORY:
                    return
                await freed.wait()
            except (trials.TrialError, OSError, journal.JournalFull) as error:
                self._note_failure(error)
                await asyncio.sleep(wait.next())
            else:
                self.obstacle = self._waits_for = None
                self._note()

    def _note_failure(self, error: Exception) -> None:
        """Note why it was not even tried: refused for good, or to be asked again."""
        if not isinstance(error, trials.TrialError):
            self._waits_for = children.trouble(ServingReason.CANNOT_START, str(error))
        elif error.is_lasting:
            self._refusal = error.trouble
        else:
            self._waits_for = error.trouble
        trouble = self._refusal or self._waits_for
        _LOG.warning("model %s: %s", self.config.version, trouble)
        self._note()

    def _note_obstacle(self, error: residents.NotResidentError) -> None:
        self._waits_for = None
        if self.obstacle is None or self.obstacle.message != error.message:
            _LOG.warning("model %s: %s", self.config.version, error.message)
        self.obstacle = error
        self._note()
        if not self._needs_child:
            self.settled.set()

    # In a child.

    @property
    def _needs_child(self) -> bool:
        if self.wanted.isolation is Isolation.CHILD:
            return True
        if self.obstacle is None or not self._is_alone:
            return False
        return self.obstacle.reason != reasons.NO_MODEL_MEMORY or not self._is_confined

    async def _keep_child(self, tasks: asyncio.TaskGroup) -> None:
        """Have a child while one is needed."""
        while True:
            while not self._needs_child:
                await self._next_change()
            child = tasks.create_task(
                self._servers.supervise(self.config, self._take_child, self._note)
            )
            while self._needs_child:
                await self._next_change()
            await asyncio.sleep(GRACE_SECONDS)
            child.cancel()  # once: cancelled again, it would not wait for its process
            await asyncio.wait((child,))
            self._child = None

    def _take_child(self, child: children.Child) -> None:
        self._child = child

    async def _next_change(self) -> None:
        self._is_asked_again.clear()
        await self._is_asked_again.wait()

    def _note(self) -> None:
        if self.phase.is_settled or self._waits_for is not None:
            self.settled.set()
        self._is_asked_again.set()
        self._changed()


class Hosts:
    """All models that this agent answers for."""

    def __init__(
        self,
        here: residents.Residents,
        servers: children.Children,
        tasks: asyncio.TaskGroup,
        changed: Callable[[], None] = lambda: None,
        *,
        is_confined: bool = False,
    ) -> None:
        """Host nothing yet.

        Args:
            here: the models in this process.
            servers: children beside it.
            tasks: runs what is hosted.
            changed: called when something began or ceased to answer.
            is_confined: whether children share the memory of a container with this process: then
                what has no room here has none in a child either, and is left to pods.
        """
        self._here: Final = here
        self._servers: Final = servers
        self._tasks: Final = tasks
        self._changed: Final = changed
        self._is_confined: Final = is_confined
        self._hosted: Final[dict[WantedModel, tuple[HostedModel, asyncio.Task[None]]]] = {}

    def start(
        self, wanted: Iterable[WantedModel], accompanied: Container[WantedModel] = ()
    ) -> Mapping[WantedModel, HostedModel]:
        """Start what is wanted and not there; return all that is wanted.

        For what is `accompanied`, somebody else answers too: where such a model cannot be in this
        process, there is no child in its place.
        """
        started: dict[WantedModel, HostedModel] = {}
        for model in wanted:
            if model not in self._hosted:
                hosted = HostedModel(
                    model,
                    self._here,
                    self._servers,
                    self._changed,
                    is_confined=self._is_confined,
                )
                name = f"serving-{model.config.version}"
                self._hosted[model] = hosted, self._tasks.create_task(hosted.live(), name=name)
            hosted, _ = self._hosted[model]
            hosted.set_alone(is_alone=model not in accompanied)
            started[model] = hosted
        return started

    async def settle(self, awaited: Iterable[WantedModel], patience: float) -> None:
        """Return once all of these serve or refuse, or time is up."""
        waits = [asyncio.ensure_future(self._hosted[model][0].settled.wait()) for model in awaited]
        if waits:
            _, late = await asyncio.wait(waits, timeout=patience)
            for wait in late:
                wait.cancel()

    def keep_only(self, wanted: Iterable[WantedModel]) -> None:
        """Stop every other model, and forget the bytes of those that were in this process."""
        for model in set(self._hosted) - set(wanted):
            _, task = self._hosted.pop(model)
            task.cancel()
        self._tasks.create_task(self._here.keep_only(self._digests), name="tidy-models")

    def _digests(self) -> frozenset[str]:
        kept = (model for model in self._hosted if model.isolation is Isolation.AGENT)
        return frozenset(model.config.digest for model in kept)

    def stop(self) -> None:
        """Stop all, for good; their bytes are kept for the next start."""
        for _, task in self._hosted.values():
            if not task.cancelling():  # cancelled again, it would not wait for its process
                task.cancel()
