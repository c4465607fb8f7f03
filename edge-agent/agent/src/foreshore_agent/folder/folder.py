"""Folder mode: the assignment is compiled here, from the same YAML and by the same function.

    folder ──read──► resources ──compile──► assignment ──► children serve ──► runtime
      ▲                                                          │
      └── names, times, sizes, models that serve at last looked at every second ──┘

An assignment takes effect as it is written, with those servers as endpoints that serve its models
or what is in force (`models`): whether a policy waits for its new model is the engine's to decide,
as under a hub.

The one agent grants itself each device, under a number above all earlier ones, durable before it is
used. What was last right is durable too, and so is the last assignment, to which references stay
resolved whose object is gone from the folder: neither a mistake in a file nor a file that is
deleted while others refer to it stops anything, not even over a restart. The rule is
`foreshore_decision.in_force`. An object whose own file is deleted is withdrawn; what is written
anew under its name is another.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from foreshore_agent import clocks, durable, inspection, journal, manifests
from foreshore_agent.hosting import hosts, models
from foreshore_api import conditions, hints, v1alpha1
from foreshore_api.wire import assignment, report
from foreshore_decision import assignment as compiling
from foreshore_decision import fencing, in_force, resources

LOOK_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 0.1
"""A folder that is the same for so long is not in the middle of being written."""
MAXIMUM_SETTLING: Final = 10
"""How often it is waited for that: something may be written there all the time."""
NOT_DURABLE_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 20.0
"""How long a start waits for what nothing is served for yet, before it assigns it all the same."""
_EPOCH: Final = "folder/epoch"
_KEPT: Final = "folder/resources"
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Places:
    """Where folder mode finds things, and who the agent is."""

    resources: Path
    credentials: Path | None
    node: str
    site: str | None = None
    models: Path | None = None
    is_broker_used: bool = False
    """Whether the Site's own broker is connected to, so that its credential must be there."""


class FolderError(Exception):
    """The folder cannot be worked from at all; the text says why."""


@dataclass(frozen=True, slots=True)
class FolderCalls:
    """What a folder asks of the runtime."""

    take: Callable[[assignment.Assignment], Awaitable[None]]
    """Let an assignment take effect."""
    in_force: models.InForce
    inspected: Callable[[], None] = lambda: None
    """Called when `problems` says what is wrong with a fresh reading, before it is worked by."""


class Folder:
    """One folder of resources, followed."""

    def __init__(
        self,
        places: Places,
        values: durable.Values,
        hosted: hosts.Hosts,
        calls: FolderCalls,
        last: assignment.Assignment | None,
        lineage: str,
    ) -> None:
        self._places: Final = places
        self._values: Final = values
        self._lineage: Final = lineage
        self._last = last
        stores = models.Stores(places.resources, places.credentials)
        self._models: Final = models.HostedModels(hosted, stores, calls.in_force)
        self._calls: Final = calls
        self._epoch = 0
        self._seen: manifests.Fingerprint | None = None
        self._kept: Mapping[resources.ObjectIdentity, resources.Kept] = {}
        self._problems: tuple[report.Problem, ...] = ()
        self._written = assignment.Assignment(node=places.node)
        """What the folder says, without endpoints."""
        self._unworkable = ""
        """Why the folder as it is now cannot be worked from, if it cannot."""
        self.is_adopting = False
        """Whether `problems` speaks of a reading that is not in effect yet."""

    def problems(self) -> tuple[report.Problem, ...]:
        """Return what is wrong with the folder and its models, as of now."""
        unworkable = inspection.unworkable(self._unworkable)
        return (*unworkable, *self._problems, *self._models.problems())

    async def start(self) -> None:
        """Take a fresh number for this agent's grants, and read the folder once.

        Raises:
            FolderError: the folder cannot be read, or holds no site for this agent.
            journal.JournalFull: nothing can be made durable, so nothing can be granted.
        """
        self._kept = _thaw(await self._values.get(_KEPT))
        last = int(await self._values.get(_EPOCH) or b"0")
        self._epoch = fencing.next_epoch(last, clocks.unix_seconds())
        await self._values.keep(_EPOCH, str(self._epoch).encode())
        await self._adopt(PATIENCE_SECONDS)

    async def follow(self) -> None:
        """Read the folder again when it changes, name what serves by now, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await self._fingerprint() != self._seen:
                    await self._settle()
                    await self._adopt()
                elif not self._models.is_named:
                    await self._hand_over()
            except FolderError as error:
                self._unworkable = str(error)
            except journal.JournalFull as error:
                _LOG.warning("%s; what was assigned stays in force", error)
                self._seen = None  # the edit is good: try again
                await asyncio.sleep(NOT_DURABLE_SECONDS)
            finally:
                self.is_adopting = False

    async def _settle(self) -> None:
        """Wait until nobody is writing.

        A file that is emptied first, or taken away and put back, would withdraw what stands in it.
        """
        before = await self._fingerprint()
        for _ in range(MAXIMUM_SETTLING):
            await asyncio.sleep(SETTLE_SECONDS)
            after = await self._fingerprint()
            if after == before:
                return
            before = after

    def _supplies(self) -> inspection.Supplies:
        places = self._places
        return inspection.Supplies(
            places.resources, places.models, places.credentials, places.is_broker_used
        )

    async def _fingerprint(self) -> manifests.Fingerprint | None:
        try:
            return await asyncio.to_thread(manifests.fingerprint, self._places.resources)
        except manifests.UnreadableError:
            return None

    async def _adopt(self, patience: float = 0.0) -> None:
        """Read, compile, have the models served, and hand over what the folder says.

        Without patience once something is in effect: a lock waits for no other policy's model.
        """
        self._seen = await self._fingerprint()  # before reading: an edit meanwhile is seen again
        reading = await asyncio.to_thread(self._read)
        inspected = await asyncio.to_thread(self._inspect, reading)
        compiled = self._compile(reading)
        beyond = inspection.beyond(compiled.problems, inspected)
        self._problems = (*self._with_what_stays(inspected, reading, compiled), *beyond)
        self.is_adopting = True
        self._calls.inspected()
        self._written = compiled.assignment
        self._models.start(self._written)
        if patience:
            await self._models.settle(patience)
        await self._values.keep(_KEPT, _freeze(reading.kept))
        self._kept = reading.kept
        await self._hand_over()
        self._unworkable, self.is_adopting = "", False

    async def _hand_over(self) -> None:
        """Let the assignment take effect with the servers that answer now; stop those not needed.

        A model's server is named once it has served: until then what was in force decides.
        """
        answering = self._models.answering()
        assigned = self._sealed(self._written, answering)
        if self._last is None or assigned.digest != self._last.digest:
            await self._calls.take(assigned)
            self._last = assigned
        self._models.name(answering)

    def _read(self) -> resources.FolderReading:
        try:
            return resources.read(manifests.read(self._places.resources), self._kept, _new_uid)
        except manifests.UnreadableError as error:
            raise FolderError(str(error)) from error

    def _inspect(self, reading: resources.FolderReading) -> tuple[report.Problem, ...]:
        """Return all that is wrong with a reading; in a thread, for meanwhile the agent decides."""
        unsupplied = inspection.unsupplied(reading, self._supplies())
        return (*inspection.inspect(reading), *unsupplied)

    def _compile(self, reading: resources.FolderReading) -> compiling.Compilation:
        snapshot = compiling.Resources.of(reading.resources)
        grants = {
            (device.namespace, device.name): (self._places.node, self._epoch)
            for device in snapshot.devices
        }
        try:
            site = _site(snapshot, self._places).name
        except FolderError as error:
            lines = (str(error), *map(inspection.line, reading.problems))
            raise FolderError("\n  ".join(lines)) from error
        given = compiling.LocalStatuses(grants=grants)
        last = () if self._last is None else (self._last,)
        try:
            made = compiling.compile(snapshot, self._places.node, site=site, given=given, last=last)
        except compiling.BeyondBoundsError as error:
            raise FolderError(f"{self._places.resources}: {error}") from error
        for denial in compiling.denials(made.assignment):
            _LOG.warning("%s", denial)
        return made

    def _with_what_stays(
        self,
        inspected: Iterable[report.Problem],
        reading: resources.FolderReading,
        compiled: compiling.Compilation,
    ) -> Iterator[report.Problem]:
        """Yield what the inspection found, with what stays in force of devices and policies.

        The reading's own problems say it already.
        """
        dangling = {_about(problem) for problem in compiled.problems}
        devices = {
            (v1alpha1.Device.kind, device.namespace, device.name)
            for device in compiled.assignment.devices
        }
        asked = {
            (policy.namespace, policy.name, policy.metadata.uid or "")
            for policy in reading.resources
            if isinstance(policy, v1alpha1.DecisionPolicy)
        }
        decides = {
            (v1alpha1.DecisionPolicy.kind, version.namespace, version.name)
            for version in self._calls.in_force()
            if (version.namespace, version.name, version.uid) in asked  # else of a namesake
        }
        stays = (decides | devices & dangling) - set(map(_about, reading.problems))
        for problem in inspected:
            if _about(problem) in stays and problem.reason != conditions.Reason.NO_DEVICES:
                message = in_force.staying(problem.message, resources.LAST_GOOD)
                yield problem.model_copy(update={"message": message})
            else:
                yield problem

    def _sealed(
        self, written: assignment.Assignment, answering: models.Models
    ) -> assignment.Assignment:
        """Return it with the endpoints of what answers, counted if it differs from the last."""
        policies = tuple(
            policy.model_copy(
                update={"endpoints": self._models.endpoints(policy, answering, self._places.node)}
            )
            for policy in written.policies
        )
        content = written.model_copy(
            update={"policies": policies, "digest": "", "lineage": "", "generation": 0}
        )
        digest = compiling.digest(content.model_dump(mode="json", by_alias=True, exclude_none=True))
        last = self._last
        generation = 1 if last is None else last.generation + (digest != last.digest)
        counted = {"digest": digest, "lineage": self._lineage, "generation": generation}
        return content.model_copy(update=counted)


def _new_uid() -> str:
    return str(uuid.uuid4())


def _about(problem: report.Problem) -> tuple[str, str, str]:
    return problem.kind, problem.namespace, problem.name


def _site(snapshot: compiling.Resources, places: Places) -> v1alpha1.Site:
    """Return the site this agent belongs to: the one that was named, or the only one there is."""
    if places.site is not None:
        site = compiling.find_site(snapshot, places.site)
        if site is None:
            hint = hints.among(places.site, (other.name for other in snapshot.sites))
            raise FolderError(f"{places.resources} holds no Site {places.site}; {hint}")
        return site
    if len(snapshot.sites) != 1:
        names = ", ".join(site.name for site in snapshot.sites) or "none"
        raise FolderError(
            f"{places.resources} must hold one Site, or --site must name one; found: {names}"
            f" ({inspection.overview(places.resources)})"
        )
    return snapshot.sites[0]


def _freeze(kept: Mapping[resources.ObjectIdentity, resources.Kept]) -> bytes:
    return orjson.dumps([[*identity, last.place, last.document] for identity, last in kept.items()])


def _thaw(body: bytes | None) -> dict[resources.ObjectIdentity, resources.Kept]:
    """Return what was right when the agent last ran; nothing of what cannot be read."""
    try:
        return {
            resources.ObjectIdentity(kind, namespace, name): resources.Kept(place, dict(document))
            for kind, namespace, name, place, document in orjson.loads(body or b"[]")
        }
    except (ValueError, TypeError) as error:
        _LOG.warning(
            "what was right in the folder last cannot be read (%s): only what is right now is in"
            " force",
            type(error).__name__,
        )
        return {}
