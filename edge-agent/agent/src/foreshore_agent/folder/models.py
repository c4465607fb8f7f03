"""Folder mode's models: which servers are needed, and which are named to the engine.

    asked for ──► started ──served once──► named, whole ──► what it replaces is needed no more
                     └── refused, slow ──► held back: what is in force goes on being served

A server of what is in force goes on until nothing is decided by it any more, also when the new one
is slow, is refused, or is not there: the rule is `foreshore_decision.in_force`. Called by `folder`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foreshore_agent import inspection
from foreshore_agent.folder import children
from foreshore_api import conditions, v1alpha1
from foreshore_api.v1alpha1 import model as model_kind
from foreshore_api.v1alpha1 import modelversion
from foreshore_api.wire import assignment, report, serving
from foreshore_decision import assignment as compiling
from foreshore_decision import in_force

InForce = Callable[[], Iterable[assignment.AssignedPolicy]]
"""Returns the versions of all policies that are in force, or were when the agent last ran."""
Models = Mapping[compiling.Name, tuple[serving.ModelConfig, ...]]
"""Model versions by policy."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The folders that models and what they need to be fetched come from."""

    resources: Path
    credentials: Path | None

    def config(self, model: assignment.AssignedModel) -> serving.ModelConfig:
        """Return what a server of a model is to serve."""
        return serving.ModelConfig(
            name=model.name,
            version=model.version,
            digest=model.artefact.digest,
            source=self._source(model.artefact.source),
            inputs=tuple(map(_tensor, model.model.inputs)),
            outputs=tuple(map(_tensor, model.model.outputs)),
        )

    def _source(self, source: modelversion.SourceSpec) -> serving.Source:
        if source.https is None:
            path = source.file.path if source.file is not None else ""
            return serving.Source(file=serving.FileSource(path=str(self.resources / path)))
        reference = source.https.ca_secret_ref
        ca_file = None
        if reference is not None:
            folder = self.credentials or self.resources / "credentials"
            ca_file = str(folder / reference.name / "ca.crt")
        return serving.Source(https=serving.HttpsSource(url=source.https.url, ca_file=ca_file))


def _tensor(declared: model_kind.ModelTensor) -> serving.DeclaredTensor:
    return serving.DeclaredTensor(
        name=declared.name, data_type=declared.data_type, shape=tuple(declared.shape)
    )


class FolderModels:
    """The model servers of one folder's policies."""

    def __init__(self, servers: children.Children, stores: Stores, deciding: InForce) -> None:
        self._servers: Final = servers
        self._stores: Final = stores
        self._deciding: Final = deciding
        self._policies: tuple[assignment.AssignedPolicy, ...] = ()
        self._running: Mapping[serving.ModelConfig, children.Child] = {}
        self._named: Models = {}
        """What the last assignment names endpoints of."""

    async def start(self, policies: tuple[assignment.AssignedPolicy, ...], patience: float) -> None:
        """Start every server that is needed; where nothing answers for a policy yet, wait so long.

        For what was in force before the new model: after a restart it decides first.
        """
        self._policies = policies
        needed = self._needed()
        self._running = self._servers.start(_every(needed))
        if not patience:
            return
        answering, wanted = self.answering(), self._wanted()
        silent = {policy: models for policy, models in needed.items() if not answering.get(policy)}
        awaited = {
            policy: tuple(model for model in models if model != wanted.get(policy)) or models
            for policy, models in silent.items()
        }
        await self._servers.settle(_every(awaited), patience)

    def answering(self) -> Models:
        """Return what serves, by policy, in the order in which it is to be asked."""
        wanted = self._wanted()
        return {
            policy: self._chosen(policy, models, wanted.get(policy))
            for policy, models in self._needed().items()
        }

    @property
    def is_named(self) -> bool:
        """Whether the last assignment names what answers now."""
        return self.answering() == self._named

    def name(self, answering: Models) -> None:
        """An assignment names these servers: stop those that are neither named nor needed."""
        self._named = answering
        needed = {*_every(self._needed()), *_every(answering)}
        self._servers.keep_only(needed)
        self._running = {model: child for model, child in self._running.items() if model in needed}

    def url(self, model: serving.ModelConfig) -> str:
        """Return where a model is served."""
        return self._running[model].url

    def problems(self) -> Iterator[report.Problem]:
        """Yield the policies that ask for a refused model, then the models in trouble."""
        for policy, model in self._wanted().items():
            child = self._running.get(model)
            if child is not None and child.phase is children.ChildPhase.REFUSED:
                yield self._rejected(policy, child)
        for model, child in self._running.items():
            if child.trouble is not None:
                yield report.Problem(
                    kind=v1alpha1.ModelVersion.kind,
                    namespace="",
                    name=model.version,
                    reason=conditions.Reason.MODEL_REJECTED,
                    message=inspection.refusal(child.trouble.reason, child.trouble.message)[:1024],
                )

    def _rejected(self, policy: compiling.Name, child: children.Child) -> report.Problem:
        trouble = child.trouble
        why = "" if trouble is None else inspection.refusal(trouble.reason, trouble.message)
        others = [model.version for model in self._needed()[policy] if model != child.config]
        return report.Problem(
            kind=v1alpha1.DecisionPolicy.kind,
            namespace=policy[0],
            name=policy[1],
            reason=conditions.Reason.MODEL_REJECTED,
            message=in_force.staying(f"{child.config.version}: {why}", ", ".join(others[:3])),
        )

    def _wanted(self) -> dict[compiling.Name, serving.ModelConfig]:
        """Return what the folder asks for, by policy."""
        return {
            (policy.namespace, policy.name): self._stores.config(policy.model)
            for policy in self._policies
            if policy.model is not None
        }

    def _needed(self) -> Models:
        """Return what is asked for and what is in force, by policy, the former first."""
        wanted = self._wanted()
        deciding: dict[tuple[str, str, str], list[serving.ModelConfig]] = {}
        for version in self._deciding():
            if version.model is not None:
                key = (version.namespace, version.name, version.uid)
                deciding.setdefault(key, []).append(self._stores.config(version.model))
        needed: dict[compiling.Name, tuple[serving.ModelConfig, ...]] = {}
        for policy in self._policies:
            name = (policy.namespace, policy.name)
            asked = (wanted[name],) if name in wanted else ()
            needed[name] = tuple(dict.fromkeys((*asked, *deciding.get((*name, policy.uid), ()))))
        return needed

    def _chosen(
        self,
        policy: compiling.Name,
        needed: tuple[serving.ModelConfig, ...],
        wanted: serving.ModelConfig | None,
    ) -> tuple[serving.ModelConfig, ...]:
        """Return which models of a policy are named: what was, stays until the new one serves."""
        serves = tuple(filter(self._is_answering, needed))
        before = filter(self._is_answering, self._named.get(policy, ()))
        with_named = tuple(dict.fromkeys((*serves, *before)))
        newest = in_force.Option(serves if wanted in serves else None, None)
        return in_force.choose((newest, in_force.good(with_named))).value or ()

    def _is_answering(self, model: serving.ModelConfig) -> bool:
        child = self._running.get(model)
        is_refused = child is not None and child.phase is children.ChildPhase.REFUSED
        return child is not None and child.has_served and not is_refused


def _every(models: Models) -> tuple[serving.ModelConfig, ...]:
    return tuple(dict.fromkeys(model for configs in models.values() for model in configs))
