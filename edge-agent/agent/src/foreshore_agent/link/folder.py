"""Folder mode: the assignment is compiled here, from the same YAML and by the same function.

    folder ──read──► resources ──compile──► assignment ──► children serve ──► runtime
      ▲                                                          │
      └── names, times, sizes, refusals looked at every second ──┘

A model that is slow to load is assigned before it is known to be any good: until it serves, the
server of the one before stays, and what worked returns when the new model is refused after all.

The one agent grants itself each device, under a number above all earlier ones, durable before it is
used. What was last right is durable too, so that a mistake in a file stops nothing, not even over
a restart.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from foreshore_agent import adoption, clocks, journal, manifests, resources
from foreshore_agent.link import children
from foreshore_api import conditions, v1alpha1
from foreshore_api.v1alpha1 import modelversion
from foreshore_api.wire import assignment, report, serving
from foreshore_decision import assignment as compiling
from foreshore_decision import fencing

LOOK_SECONDS: Final = 1.0
NOT_DURABLE_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 20.0
"""How long a new model may take to be served before its policy is assigned all the same."""
SLOT: Final = "a0"
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


class FolderError(Exception):
    """The folder cannot be worked from at all; the text says why."""


Take = Callable[[assignment.Assignment], Awaitable[None]]


class Folder:
    """One folder of resources, followed."""

    def __init__(
        self,
        places: Places,
        values: Values,
        servers: children.Children,
        take: Take,
        last: assignment.Assignment | None,
        lineage: str,
    ) -> None:
        self._places: Final = places
        self._values: Final = values
        self._lineage: Final = lineage
        self._last = last
        self._proven = last
        """The last assignment, with each policy as it was when its model last served."""
        self._servers: Final = servers
        self._take: Final = take
        self._epoch = 0
        self._seen: manifests.Fingerprint | None = None
        self._kept: Mapping[resources.Identity, resources.Kept] = {}
        self._problems: tuple[report.Problem, ...] = ()
        self._serving: Mapping[serving.ModelConfig, children.Child] = {}
        self._refused: frozenset[serving.ModelConfig] = frozenset()
        """Models whose refusal was taken into account."""
        self._said: set[report.Problem] = set()

    def problems(self) -> tuple[report.Problem, ...]:
        """Return what is wrong with the folder and its models, as of now."""
        refused = (
            report.Problem(
                kind=v1alpha1.ModelVersion.kind,
                namespace="",
                name=config.version,
                reason=conditions.Reason.MODEL_REJECTED,
                message=f"{child.trouble.reason}: {child.trouble.message}"[:1024],
            )
            for config, child in self._serving.items()
            if child.trouble is not None
        )
        return (*self._problems, *refused)

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
        await self._adopt()

    async def follow(self) -> None:
        """Read the folder again when it changes or a model is refused late, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await self._fingerprint() != self._seen or self._refusals() - self._refused:
                try:
                    await self._adopt()
                except FolderError as error:
                    _LOG.warning("%s; what was assigned stays in force", error)
                except journal.JournalFull as error:
                    _LOG.warning("%s; what was assigned stays in force", error)
                    self._seen = None  # the edit is good: try again
                    await asyncio.sleep(NOT_DURABLE_SECONDS)
            self._retire()
            self._say()

    async def _fingerprint(self) -> manifests.Fingerprint | None:
        try:
            return await asyncio.to_thread(manifests.fingerprint, self._places.resources)
        except manifests.UnreadableError:
            return None

    async def _adopt(self) -> None:
        """Read, compile, have the models served, and hand over what takes effect."""
        self._refused = self._refusals()
        self._seen = await self._fingerprint()  # before reading: an edit meanwhile is seen again
        reading = await asyncio.to_thread(self._read)
        compiled = self._compile(reading)
        adopted = compiled.assignment
        await self._serve(adopted)
        rejected = self._rejected(adopted)
        self._refused = self._refusals()
        if rejected:
            asked = frozenset(self._serving)
            adopted = adoption.without(adopted, rejected, self._proven)
            await self._serve(adopted)
            self._refused |= self._refusals() - asked  # of those asked before, one is news
        self._problems = (*reading.problems, *compiled.problems, *rejected.values())
        self._say()
        await self._values.put(_KEPT, _freeze(reading.kept))
        self._kept = reading.kept
        assigned = self._sealed(adopted)
        if self._last is None or assigned.digest != self._last.digest:
            await self._take(assigned)
            self._last = assigned
        self._retire()

    def _retire(self) -> None:
        """Stop servers that neither the assignment needs nor what it may fall back to."""
        if self._last is None:
            return
        before = {
            (one.namespace, one.name): one
            for one in (self._proven.policies if self._proven is not None else ())
        }
        wanted = _wanted(self._last, self._places)
        policies = tuple(
            one
            if not self._is_starting(wanted.get((one.namespace, one.name)))
            else before.get((one.namespace, one.name), one)
            for one in self._last.policies
        )
        self._proven = self._last.model_copy(update={"policies": policies})
        needed = _wanted(self._proven, self._places)
        self._servers.keep_only((*wanted.values(), *needed.values()))

    def _is_starting(self, config: serving.ModelConfig | None) -> bool:
        """Whether it is open yet if a policy's model will serve.

        One that has crashed is tried again, maybe for want of the memory that the one before holds.
        """
        child = None if config is None else self._serving.get(config)
        return child is not None and child.phase is children.Phase.STARTING

    def _refusals(self) -> frozenset[serving.ModelConfig]:
        """Return the models that are refused, of those that are to be served."""
        return frozenset(
            config
            for config, child in self._serving.items()
            if child.phase is children.Phase.REFUSED
        )

    def _read(self) -> resources.Reading:
        try:
            return resources.read(manifests.read(self._places.resources), self._kept)
        except manifests.UnreadableError as error:
            raise FolderError(str(error)) from error

    def _compile(self, reading: resources.Reading) -> compiling.Compilation:
        found = compiling.Resources.of(reading.resources)
        grants = {
            (device.namespace, device.name): (self._places.node, self._epoch)
            for device in found.devices
        }
        site = _site(found, self._places).name
        given = compiling.Given(grants=grants)
        return compiling.compile(found, self._places.node, site=site, given=given)

    async def _serve(self, assigned: assignment.Assignment) -> None:
        wanted = _wanted(assigned, self._places)
        self._serving = await self._servers.settle(wanted.values(), PATIENCE_SECONDS)

    def _rejected(self, assigned: assignment.Assignment) -> dict[compiling.Name, report.Problem]:
        """Return the policies whose model was refused."""
        return {
            policy: _model_rejected(policy, self._serving[config])
            for policy, config in _wanted(assigned, self._places).items()
            if self._serving[config].phase is children.Phase.REFUSED
        }

    def _sealed(self, adopted: assignment.Assignment) -> assignment.Assignment:
        """Return it with the children's endpoints, counted if it differs from the last."""
        wanted = _wanted(adopted, self._places)
        policies = tuple(
            policy.model_copy(
                update={"endpoints": self._endpoints(wanted.get((policy.namespace, policy.name)))}
            )
            for policy in adopted.policies
        )
        content = adopted.model_copy(
            update={"policies": policies, "digest": "", "lineage": "", "generation": 0}
        )
        digest = compiling.digest(content.model_dump(mode="json", by_alias=True, exclude_none=True))
        last = self._last
        generation = 1 if last is None else last.generation + (digest != last.digest)
        counted = {"digest": digest, "lineage": self._lineage, "generation": generation}
        return content.model_copy(update=counted)

    def _endpoints(self, config: serving.ModelConfig | None) -> tuple[assignment.Endpoint, ...]:
        child = None if config is None else self._serving.get(config)
        if child is None or child.phase is children.Phase.REFUSED:
            return ()
        node = self._places.node
        return (
            assignment.Endpoint(slot=SLOT, role=assignment.Role.ACTIVE, node=node, url=child.url),
        )

    def _say(self) -> None:
        """Log each problem once, when it appears."""
        problems = set(self.problems())
        for problem in problems - self._said:
            _LOG.warning(
                "%s %s/%s: %s: %s",
                problem.kind,
                problem.namespace,
                problem.name,
                problem.reason,
                problem.message,
            )
        self._said = problems


def _site(found: compiling.Resources, places: Places) -> v1alpha1.Site:
    """Return the site this agent belongs to: the one that was named, or the only one there is."""
    if places.site is not None:
        site = compiling.find_site(found, places.site)
        if site is None:
            raise FolderError(f"{places.resources} holds no Site {places.site}")
        return site
    if len(found.sites) != 1:
        names = ", ".join(site.name for site in found.sites) or "none"
        raise FolderError(
            f"{places.resources} must hold one Site, or --site must name one; found: {names}"
        )
    return found.sites[0]


def _wanted(
    compiled: assignment.Assignment, places: Places
) -> dict[compiling.Name, serving.ModelConfig]:
    """Return what must be served, by policy."""
    return {
        (policy.namespace, policy.name): _config(policy.model, places)
        for policy in compiled.policies
        if policy.model is not None
    }


def _config(model: assignment.AssignedModel, places: Places) -> serving.ModelConfig:
    return serving.ModelConfig(
        name=model.name,
        version=model.version,
        digest=model.artefact.digest,
        source=_source(model.artefact.source, places),
        inputs=tuple(map(_tensor, model.model.inputs)),
        outputs=tuple(map(_tensor, model.model.outputs)),
    )


def _source(source: modelversion.Source, places: Places) -> serving.Source:
    if source.https is None:
        path = source.file.path if source.file is not None else ""
        return serving.Source(file=serving.FileSource(path=str(places.resources / path)))
    reference = source.https.ca_secret_ref
    ca_file = None
    if reference is not None:
        folder = places.credentials or places.resources / "credentials"
        ca_file = str(folder / reference.name / "ca.crt")
    return serving.Source(https=serving.HttpsSource(url=source.https.url, ca_file=ca_file))


def _tensor(declared: Any) -> serving.DeclaredTensor:
    return serving.DeclaredTensor(
        name=declared.name, data_type=declared.data_type, shape=tuple(declared.shape)
    )


def _model_rejected(policy: compiling.Name, child: children.Child) -> report.Problem:
    trouble = child.trouble
    message = "" if trouble is None else f"{trouble.reason}: {trouble.message}"
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
