"""Which models of a cluster's assignment this agent answers for: those of isolation Agent.

The assignment names the agent itself before all other replicas of such a model, as far as it can.
So before the assignment takes effect those endpoints are taken out, and what answers here now is
put in: the model in this process, or the child in its place. When that changes, it takes effect
anew. What others serve stays as it is named, and where it is named a model that cannot be here gets
no child. Called by `runtime.life`.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from foreshore_agent.hosting import hosts, models
from foreshore_api.v1alpha1 import Isolation
from foreshore_api.wire import assignment, report


class HubModels:
    """The models of an assignment of the hub that this agent answers for."""

    def __init__(
        self, node: str, hosted: hosts.Hosts, stores: models.Stores, deciding: models.InForce
    ) -> None:
        self._node: Final = node
        self._stores: Final = stores
        self._models: Final = models.HostedModels(hosted, stores, deciding, _is_in_agent)
        self._applied: models.Models = {}

    def applied(self, taken: assignment.Assignment) -> assignment.Assignment:
        """Return an assignment with the endpoints that this agent can answer at, from now on."""
        self._models.start(taken, frozenset(self._accompanied(taken.policies)))
        answering = self._applied = self._models.answering()
        policies = tuple(self._answered(policy, answering) for policy in taken.policies)
        return taken.model_copy(update={"policies": policies})

    def _answered(
        self, policy: assignment.AssignedPolicy, answering: models.Models
    ) -> assignment.AssignedPolicy:
        """Return a policy with its endpoints here as they are now."""
        here = self._models.endpoints(policy, answering, self._node)
        endpoints = (*here, *_elsewhere(policy))
        if endpoints == policy.endpoints:
            return policy
        return policy.model_copy(update={"endpoints": endpoints})

    def taken(self) -> None:
        """An applied assignment is in effect: stop what is neither named nor needed."""
        self._models.name(self._applied)

    @property
    def is_applied(self) -> bool:
        """Whether the assignment in effect names what answers now."""
        return self._models.is_named

    def problems(self) -> Iterator[report.Problem]:
        """Yield why models are not in this process, or not served."""
        return self._models.problems()

    def starting(self) -> Iterator[str]:
        """Name the models that are on their way, as sentences."""
        return self._models.starting()

    def _accompanied(
        self, policies: Iterable[assignment.AssignedPolicy]
    ) -> Iterator[hosts.WantedModel]:
        """Yield the models that every policy which asks them has other replicas of."""
        alone: set[hosts.WantedModel] = set()
        others: set[hosts.WantedModel] = set()
        for policy in policies:
            if policy.model is not None:
                wanted = self._stores.wanted(policy.model)
                version = policy.model.version
                has_others = any(
                    endpoint.version in ("", version) for endpoint in _elsewhere(policy)
                )
                (others if has_others else alone).add(wanted)
        return iter(others - alone)


def _is_in_agent(model: hosts.WantedModel) -> bool:
    return model.isolation is Isolation.AGENT


def _elsewhere(policy: assignment.AssignedPolicy) -> tuple[assignment.Endpoint, ...]:
    return tuple(endpoint for endpoint in policy.endpoints if not endpoint.is_in_agent)
