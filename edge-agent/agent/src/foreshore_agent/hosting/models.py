"""Which models this agent has to answer for, and which are named to the engine.

    asked for ──► started ──served once──► named, whole ──► what it replaces is needed no more
                     └── refused, slow ──► held back: what is in force goes on being served

What is in force goes on being served until nothing is decided by it any more, also when the new
model is slow, is refused, or is not there: the rule is `foreshore_decision.in_force`. Called by
`folder` for all models, by `hosting.hub` for those of isolation Agent.
"""

import dataclasses
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foreshore_agent.hosting import children, hosts
from foreshore_api import conditions, declared, v1alpha1
from foreshore_api.v1alpha1 import Isolation, modelversion
from foreshore_api.wire import assignment, report, serving
from foreshore_decision import assignment as compiling
from foreshore_decision import in_force, served

InForce = Callable[[], Iterable[assignment.AssignedPolicy]]
"""Returns the versions of all policies that are in force, or were when the agent last ran."""
Models = Mapping[compiling.Name, tuple[hosts.WantedModel, ...]]
"""Model versions by policy."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The folders that models and what they need to be fetched come from."""

    resources: Path | None
    """Of folder mode: what files of sources count from."""
    credentials: Path | None

    def wanted(self, model: assignment.AssignedModel) -> hosts.WantedModel:
        """Return a model as it is to be hosted."""
        return hosts.WantedModel(self.config(model), model.isolation)

    def config(self, model: assignment.AssignedModel) -> serving.ModelConfig:
        """Return what a server of a model is to serve."""
        return serving.ModelConfig(
            name=model.name,
            version=model.version,
            digest=model.artefact.digest,
            source=self._source(model.artefact.source),
            inputs=declared.inputs(model.model),
            outputs=declared.outputs(model.model),
            providers=tuple(model.artefact.runtime.providers),
            is_first_required=served.is_first_required(model.artefact.runtime),
        )

    def _source(self, source: modelversion.SourceSpec) -> serving.Source:
        if source.https is None:
            path = source.file.path if source.file is not None else ""
            return serving.Source(file=serving.FileSource(path=str(self._home / path)))
        reference = source.https.ca_secret_ref
        ca_file = None
        if reference is not None:
            folder = self.credentials or self._home / "credentials"
            ca_file = str(folder / reference.name / "ca.crt")
        return serving.Source(https=serving.HttpsSource(url=source.https.url, ca_file=ca_file))

    @property
    def _home(self) -> Path:
        return self.resources or Path()


class HostedModels:
    """The models of the policies that this agent answers for itself."""

    def __init__(
        self,
        hosted: hosts.Hosts,
        stores: Stores,
        deciding: InForce,
        is_ours: Callable[[hosts.WantedModel], bool] = lambda _: True,
    ) -> None:
        """Answer for nothing yet; `is_ours` says for which models this agent has to."""
        self._hosts: Final = hosted
        self._stores: Final = stores
        self._deciding: Final = deciding
        self._is_ours: Final = is_ours
        self._policies: tuple[assignment.AssignedPolicy, ...] = ()
        self._is_allowed_here = False
        """Whether the site allows models in the agent's process."""
        self._running: Mapping[hosts.WantedModel, hosts.HostedModel] = {}
        self._named: Models = {}
        """What the last assignment names endpoints of."""
        self._named_urls: Mapping[hosts.WantedModel, str] = {}

    def start(
        self,
        assigned: assignment.Assignment,
        accompanied: Container[hosts.WantedModel] = (),
    ) -> None:
        """Start all that is needed; for what is `accompanied`, others answer too.

        What the site allows holds for all, also for what was in force while it allowed more.
        """
        site = assigned.site
        self._is_allowed_here = site is not None and site.spec.isolation is Isolation.AGENT
        self._policies = assigned.policies
        self._running = self._hosts.start(_every(self._needed()), accompanied)

    async def settle(self, patience: float) -> None:
        """Where nothing answers for a policy yet, wait so long.

        For what was in force before the new model: after a restart it decides first.
        """
        needed, answering, wanted = self._needed(), self.answering(), self._wanted()
        silent = {policy: models for policy, models in needed.items() if not answering.get(policy)}
        awaited = {
            policy: tuple(model for model in models if model != wanted.get(policy)) or models
            for policy, models in silent.items()
        }
        await self._hosts.settle(_every(awaited), patience)

    def answering(self) -> Models:
        """Return what serves, by policy, in the order in which it is to be asked."""
        wanted = self._wanted()
        return {
            policy: self._chosen(policy, models, wanted.get(policy))
            for policy, models in self._needed().items()
        }

    @property
    def is_named(self) -> bool:
        """Whether the last assignment names what answers now, where it answers."""
        return self.answering() == self._named and self._urls(self._named) == self._named_urls

    def name(self, answering: Models) -> None:
        """An assignment names these models: stop those that are neither named nor needed."""
        self._named, self._named_urls = answering, self._urls(answering)
        needed = {*_every(self._needed()), *_every(answering)}
        self._hosts.keep_only(needed)
        self._running = {model: host for model, host in self._running.items() if model in needed}

    def _urls(self, models: Models) -> dict[hosts.WantedModel, str]:
        return {model: self._running[model].url for model in _every(models)}

    def endpoints(
        self, policy: assignment.AssignedPolicy, answering: Models, node: str
    ) -> tuple[assignment.Endpoint, ...]:
        """Return the endpoints of what answers for a policy on this agent's node."""
        models = answering.get((policy.namespace, policy.name), ())
        return tuple(
            self._endpoint(position, model, policy.generation, node)
            for position, model in enumerate(models)
        )

    def _endpoint(
        self, position: int, model: hosts.WantedModel, generation: int, node: str
    ) -> assignment.Endpoint:
        url = self._running[model].url
        is_here = assignment.is_in_agent(url)
        return assignment.Endpoint(
            slot=assignment.OWN_SLOT if is_here else f"a{position}",
            role=assignment.Role.ACTIVE,
            node=node,
            url=url,
            policy_generation=generation,
            version=model.config.version,
            digest=model.config.digest,
        )

    def starting(self) -> Iterator[str]:
        """Name the models that are on their way, as sentences."""
        for model, host in self._running.items():
            if host.phase is children.ChildPhase.STARTING:
                yield f"model {model.config.version} is being loaded"

    def problems(self) -> Iterator[report.Problem]:
        """Yield the policies that ask for a refused model, then the models in trouble."""
        for policy, model in self._wanted().items():
            host = self._running.get(model)
            if host is not None and host.phase is children.ChildPhase.REFUSED:
                yield self._rejected(policy, host)
        namespaces = {
            model: policy[0] for policy, models in self._needed().items() for model in models
        }
        for model, host in self._running.items():
            namespace = namespaces.get(model, "")
            if host.trouble is not None:
                why = str(host.trouble)
                yield _problem(model, namespace, conditions.Reason.MODEL_REJECTED, why)
            if host.obstacle is not None:
                version = model.config.version
                why = f"{version} does not run in the agent's process: {host.obstacle.message}"
                yield _problem(model, namespace, host.obstacle.reason, why)

    def _rejected(self, policy: compiling.Name, host: hosts.HostedModel) -> report.Problem:
        trouble = host.trouble
        why = "" if trouble is None else str(trouble)
        needed = self._needed()[policy]
        others = [model.config.version for model in needed if model != host.wanted]
        return report.Problem(
            kind=v1alpha1.DecisionPolicy.kind,
            namespace=policy[0],
            name=policy[1],
            reason=conditions.Reason.MODEL_REJECTED,
            message=in_force.staying(f"{host.config.version}: {why}", ", ".join(others[:3])),
        )

    def _wanted(self) -> dict[compiling.Name, hosts.WantedModel]:
        """Return what is asked for, by policy."""
        return {
            (policy.namespace, policy.name): model
            for policy in self._policies
            if (model := self._hosted(policy.model)) is not None
        }

    def _hosted(self, model: assignment.AssignedModel | None) -> hosts.WantedModel | None:
        """Return a model as it is to be hosted, if this agent has to answer for it."""
        if model is None:
            return None
        wanted = self._stores.wanted(model)
        if not self._is_allowed_here:
            wanted = dataclasses.replace(wanted, isolation=Isolation.CHILD)
        return wanted if self._is_ours(wanted) else None

    def _needed(self) -> Models:
        """Return what is asked for and what is in force, by policy, the former first."""
        wanted = self._wanted()
        deciding: dict[tuple[str, str, str], list[hosts.WantedModel]] = {}
        for version in self._deciding():
            model = self._hosted(version.model)
            if model is not None:
                key = (version.namespace, version.name, version.uid)
                deciding.setdefault(key, []).append(model)
        needed: dict[compiling.Name, tuple[hosts.WantedModel, ...]] = {}
        for policy in self._policies:
            name = (policy.namespace, policy.name)
            asked = (wanted[name],) if name in wanted else ()
            needed[name] = tuple(dict.fromkeys((*asked, *deciding.get((*name, policy.uid), ()))))
        return needed

    def _chosen(
        self,
        policy: compiling.Name,
        needed: tuple[hosts.WantedModel, ...],
        wanted: hosts.WantedModel | None,
    ) -> tuple[hosts.WantedModel, ...]:
        """Return which models of a policy are named: what was, stays until the new one serves."""
        serves = tuple(filter(self._is_answering, needed))
        before = filter(self._is_answering, self._named.get(policy, ()))
        with_named = tuple(dict.fromkeys((*serves, *before)))
        newest = in_force.Option(serves if wanted in serves else None, None)
        return in_force.choose((newest, in_force.good(with_named))).value or ()

    def _is_answering(self, model: hosts.WantedModel) -> bool:
        host = self._running.get(model)
        is_refused = host is not None and host.phase is children.ChildPhase.REFUSED
        return host is not None and host.has_served and not is_refused


def _problem(model: hosts.WantedModel, namespace: str, reason: str, message: str) -> report.Problem:
    return report.Problem(
        kind=v1alpha1.ModelVersion.kind,
        namespace=namespace,
        name=model.config.version,
        reason=reason,
        message=message[:1024],
    )


def _every(models: Models) -> tuple[hosts.WantedModel, ...]:
    return tuple(dict.fromkeys(model for wanted in models.values() for model in wanted))
