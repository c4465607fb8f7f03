"""Folder mode: the assignment is compiled here, from the same YAML and by the same function.

    folder ──read──► resources ──compile──► assignment ──► children serve ──► runtime
      ▲                                                          │
      └── names, times, sizes, models that serve at last looked at every second ──┘

An assignment takes effect as it is written, with those servers as endpoints that serve its models
or what is in force: whether a policy waits for its new model is the engine's to decide, as under a
hub. So the server of a model that is in force goes on until nothing is decided by it any more, also
when the new one is slow, is refused, or is not there.

The one agent grants itself each device, under a number above all earlier ones, durable before it is
used. What was last right is durable too, so that a mistake in a file stops nothing, not even over
a restart.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import orjson

from foreshore_agent import clocks, inspection, journal, manifests, resources
from foreshore_agent.folder import children, configs
from foreshore_api import conditions, hints, v1alpha1
from foreshore_api.wire import assignment, report, serving
from foreshore_decision import assignment as compiling
from foreshore_decision import fencing

LOOK_SECONDS: Final = 1.0
NOT_DURABLE_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 20.0
"""How long a start waits for what nothing is served for yet, before it assigns it all the same."""
_EPOCH: Final = "folder/epoch"
_KEPT: Final = "folder/resources"
_LOG: Final = logging.getLogger(__name__)


class Values(Protocol):
    """The durable values of the journal."""

    def put(self, key: str, value: bytes) -> Awaitable[None]:
        """Keep a value durably."""
        ...

    def get(self, key: str) -> Awaitable[bytes | None]:
        """Return a value, or None."""
        ...


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
class Calls:
    """What a folder asks of the runtime."""

    take: Callable[[assignment.Assignment], Awaitable[None]]
    """Let an assignment take effect."""
    in_force: Callable[[], Iterable[assignment.AssignedPolicy]]
    """Return the versions of all policies that are in force, or were when the agent last ran."""
    inspected: Callable[[], None] = lambda: None
    """Called when `problems` says what is wrong with a fresh reading, before it is worked by."""


Models = Mapping[compiling.Name, tuple[serving.ModelConfig, ...]]
"""Model versions by policy."""


class Folder:
    """One folder of resources, followed."""

    def __init__(
        self,
        places: Places,
        values: Values,
        servers: children.Children,
        calls: Calls,
        last: assignment.Assignment | None,
        lineage: str,
    ) -> None:
        self._places: Final = places
        self._values: Final = values
        self._lineage: Final = lineage
        self._last = last
        self._servers: Final = servers
        self._calls: Final = calls
        self._epoch = 0
        self._seen: manifests.Fingerprint | None = None
        self._kept: Mapping[resources.Identity, resources.Kept] = {}
        self._problems: tuple[report.Problem, ...] = ()
        self._written = assignment.Assignment(node=places.node)
        """What the folder says, without endpoints."""
        self._running: Mapping[serving.ModelConfig, children.Child] = {}
        self._listed: Models = {}
        """What the last assignment names endpoints of."""
        self._unworkable = ""
        """Why the folder as it is now cannot be worked from, if it cannot."""
        self.is_adopting = False
        """Whether `problems` speaks of a reading that is not in effect yet."""

    def problems(self) -> tuple[report.Problem, ...]:
        """Return what is wrong with the folder and its models, as of now."""
        told = inspection.unworkable(self._unworkable)
        return (*told, *self._problems, *self._rejected(), *self._troubles())

    def _troubles(self) -> Iterator[report.Problem]:
        for config, child in self._running.items():
            if child.trouble is not None:
                yield report.Problem(
                    kind=v1alpha1.ModelVersion.kind,
                    namespace="",
                    name=config.version,
                    reason=conditions.Reason.MODEL_REJECTED,
                    message=inspection.refusal(child.trouble.reason, child.trouble.message)[:1024],
                )

    def _rejected(self) -> Iterator[report.Problem]:
        """Yield the policies that ask for a model that is refused."""
        for policy, config in self._wanted().items():
            child = self._running.get(config)
            if child is not None and child.phase is children.Phase.REFUSED:
                yield _model_rejected(policy, child)

    async def start(self) -> None:
        """Take a fresh number for this agent's grants, and read the folder once.

        Raises:
            FolderError: the folder cannot be read, or holds no site for this agent.
            journal.JournalFull: nothing can be made durable, so nothing can be granted.
        """
        self._kept = _thaw(await self._values.get(_KEPT))
        last = int(await self._values.get(_EPOCH) or b"0")
        self._epoch = fencing.next_epoch(last, clocks.unix_seconds())
        await self._values.put(_EPOCH, str(self._epoch).encode())
        await self._adopt(PATIENCE_SECONDS)

    async def follow(self) -> None:
        """Read the folder again when it changes, name what serves by now, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await self._fingerprint() != self._seen:
                    await self._adopt()
                elif self._answering() != self._listed:
                    await self._hand_over()
            except FolderError as error:
                self._unworkable = str(error)
            except journal.JournalFull as error:
                _LOG.warning("%s; what was assigned stays in force", error)
                self._seen = None  # the edit is good: try again
                await asyncio.sleep(NOT_DURABLE_SECONDS)
            finally:
                self.is_adopting = False

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
        self._problems = (*inspected, *inspection.beyond(compiled.problems, inspected))
        self.is_adopting = True
        self._calls.inspected()
        self._written = compiled.assignment
        await self._serve(patience)
        await self._values.put(_KEPT, _freeze(reading.kept))
        self._kept = reading.kept
        await self._hand_over()
        self._unworkable, self.is_adopting = "", False

    async def _serve(self, patience: float) -> None:
        """Start every server that is needed; where nothing answers for a policy yet, wait so long.

        For what was in force before the new model: after a restart it decides first.
        """
        needed = self._needed()
        self._running = self._servers.start(_each(needed))
        if not patience:
            return
        answering, wanted = self._answering(), self._wanted()
        silent = {name: found for name, found in needed.items() if not answering.get(name)}
        awaited = {
            name: tuple(one for one in found if one != wanted.get(name)) or found
            for name, found in silent.items()
        }
        await self._servers.settle(_each(awaited), patience)

    async def _hand_over(self) -> None:
        """Let the assignment take effect with the servers that answer now; stop those not needed.

        A model's server is named once it has served: until then what was in force decides.
        """
        answering = self._answering()
        assigned = self._sealed(self._written, answering)
        if self._last is None or assigned.digest != self._last.digest:
            await self._calls.take(assigned)
            self._last = assigned
        self._listed = answering
        needed = {*_each(self._needed()), *_each(answering)}
        self._servers.keep_only(needed)
        self._running = {one: child for one, child in self._running.items() if one in needed}

    def _wanted(self) -> dict[compiling.Name, serving.ModelConfig]:
        """Return what the folder asks for, by policy."""
        return {
            (policy.namespace, policy.name): self._config(policy.model)
            for policy in self._written.policies
            if policy.model is not None
        }

    def _config(self, model: assignment.AssignedModel) -> serving.ModelConfig:
        return configs.of(model, self._places.resources, self._places.credentials)

    def _needed(self) -> Models:
        """Return what is asked for and what is in force, by policy, the former first."""
        wanted = self._wanted()
        in_force: dict[tuple[str, str, str], list[serving.ModelConfig]] = {}
        for one in self._calls.in_force():
            if one.model is not None:
                key = (one.namespace, one.name, one.uid)
                in_force.setdefault(key, []).append(self._config(one.model))
        found: dict[compiling.Name, tuple[serving.ModelConfig, ...]] = {}
        for policy in self._written.policies:
            name = (policy.namespace, policy.name)
            first = (wanted[name],) if name in wanted else ()
            known = in_force.get((*name, policy.uid), ())
            found[name] = tuple(dict.fromkeys((*first, *known)))
        return found

    def _answering(self) -> Models:
        """Return what of it serves, by policy; what was named stays named until the new one is."""
        wanted = self._wanted()
        found: dict[compiling.Name, tuple[serving.ModelConfig, ...]] = {}
        for name, needed in self._needed().items():
            serves = tuple(filter(self._is_answering, needed))
            if wanted.get(name) not in serves:
                named = filter(self._is_answering, self._listed.get(name, ()))
                serves = tuple(dict.fromkeys((*serves, *named)))
            found[name] = serves
        return found

    def _is_answering(self, config: serving.ModelConfig) -> bool:
        child = self._running.get(config)
        return child is not None and child.has_served and child.phase is not children.Phase.REFUSED

    def _read(self) -> resources.Reading:
        try:
            return resources.read(manifests.read(self._places.resources), self._kept)
        except manifests.UnreadableError as error:
            raise FolderError(str(error)) from error

    def _inspect(self, reading: resources.Reading) -> tuple[report.Problem, ...]:
        """Return all that is wrong with a reading; in a thread, for meanwhile the agent decides."""
        unsupplied = inspection.unsupplied(reading, self._supplies())
        return (*inspection.inspect(reading), *unsupplied)

    def _compile(self, reading: resources.Reading) -> compiling.Compilation:
        found = compiling.Resources.of(reading.resources)
        grants = {
            (device.namespace, device.name): (self._places.node, self._epoch)
            for device in found.devices
        }
        try:
            site = _site(found, self._places).name
        except FolderError as error:
            lines = (str(error), *map(inspection.line, reading.problems))
            raise FolderError("\n  ".join(lines)) from error
        given = compiling.Given(grants=grants)
        return compiling.compile(found, self._places.node, site=site, given=given)

    def _sealed(self, written: assignment.Assignment, answering: Models) -> assignment.Assignment:
        """Return it with the children's endpoints, counted if it differs from the last."""
        policies = tuple(
            policy.model_copy(
                update={
                    "endpoints": tuple(
                        self._endpoint(position, config, policy.generation)
                        for position, config in enumerate(
                            answering.get((policy.namespace, policy.name), ())
                        )
                    )
                }
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

    def _endpoint(
        self, position: int, config: serving.ModelConfig, generation: int
    ) -> assignment.Endpoint:
        return assignment.Endpoint(
            slot=f"a{position}",
            role=assignment.Role.ACTIVE,
            node=self._places.node,
            url=self._running[config].url,
            policy_generation=generation,
            version=config.version,
            digest=config.digest,
        )


def _site(found: compiling.Resources, places: Places) -> v1alpha1.Site:
    """Return the site this agent belongs to: the one that was named, or the only one there is."""
    if places.site is not None:
        site = compiling.find_site(found, places.site)
        if site is None:
            known = hints.among(places.site, (each.name for each in found.sites))
            raise FolderError(f"{places.resources} holds no Site {places.site}; {known}")
        return site
    if len(found.sites) != 1:
        names = ", ".join(site.name for site in found.sites) or "none"
        raise FolderError(
            f"{places.resources} must hold one Site, or --site must name one; found: {names}"
            f" ({inspection.overview(places.resources)})"
        )
    return found.sites[0]


def _each(models: Models) -> tuple[serving.ModelConfig, ...]:
    return tuple(dict.fromkeys(one for found in models.values() for one in found))


def _model_rejected(policy: compiling.Name, child: children.Child) -> report.Problem:
    trouble = child.trouble
    message = "" if trouble is None else inspection.refusal(trouble.reason, trouble.message)
    return report.Problem(
        kind=v1alpha1.DecisionPolicy.kind,
        namespace=policy[0],
        name=policy[1],
        reason=conditions.Reason.MODEL_REJECTED,
        message=f"{child.config.version}: {message}"[:1024],
    )


def _freeze(kept: Mapping[resources.Identity, resources.Kept]) -> bytes:
    return orjson.dumps([[*identity, one.place, one.document] for identity, one in kept.items()])


def _thaw(body: bytes | None) -> dict[resources.Identity, resources.Kept]:
    rows = orjson.loads(body) if body else []
    return {
        resources.Identity(kind, namespace, name): resources.Kept(place, document)
        for kind, namespace, name, place, document in rows
    }
