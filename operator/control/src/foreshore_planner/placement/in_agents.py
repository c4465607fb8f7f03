"""A model that the agents run themselves: who does, who cannot, and whether pods are needed beside.

It is wanted of every agent that may hold a device of the policy, so that a successor is warm. No
pod stands for it; what is known is what the agents report, and what was shown stays shown while one
does not report: missing data neither makes pods nor takes them away.

    Pending ──heard of──► Starting ──answers──► Ready
                             └──cannot, or bad for long──► Failed

    every one Ready          no pods: those that are there drain
    some Failed              pods, as with isolation Child: they answer for those that cannot
    otherwise                what is there stays; pods of the very version are looked after

Whether it is asked and allowed at all is `foreshore_decision.assignment.isolation`'s to say. Called
by `placing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from foreshore_api import printable, v1alpha1
from foreshore_api.reasons import serving
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_api.wire import assignment as wire
from foreshore_api.wire import report
from foreshore_decision import assignment
from foreshore_planner import binding, health, latency, snapshot
from foreshore_planner.placement import callers, troubles

PATIENCE = 30.0
"""Seconds of bad calls of a loaded model after which pods are made for it: an agent that gets over
it sooner would have been quicker than they."""

Phase = inferenceplacement.ReplicaPhase
AgentReplica = inferenceplacement.AgentReplica


class HeardReplica(NamedTuple):
    """How the replica in one agent is, as that says."""

    phase: Phase
    reason: str | None = None
    message: str = ""
    provider: str | None = None


class PodNeed(StrEnum):
    """What the agents that run a model leave to pods."""

    ALL = "All"
    """Everything, as with isolation Child."""
    KEPT = "Kept"
    """Nothing new; what is there stays until the agents can do without."""
    NOTHING = "Nothing"
    """Every agent does it alone."""


@dataclass(frozen=True, slots=True)
class AgentReplicas:
    """How it stands with a model that its version wants run by the agents of one site."""

    version: str
    site: str
    denial: str = ""
    """Why it may not run there; empty where it may."""
    replicas: tuple[AgentReplica, ...] = ()
    """One for each agent that may hold a device, by name."""
    is_held_back: bool = False
    """Whether an agent goes on with an older generation of the policy, and says why."""

    @property
    def alive(self) -> tuple[AgentReplica, ...]:
        """Those whose nodes are not lost."""
        return tuple(replica for replica in self.replicas if replica.phase is not Phase.LOST)

    @property
    def is_whole(self) -> bool:
        """Whether every agent that may hold a device runs it."""
        return bool(self.alive) and all(replica.phase is Phase.READY for replica in self.alive)

    @property
    def failed(self) -> tuple[AgentReplica, ...]:
        """Agents that cannot run it, for now or for good."""
        return tuple(replica for replica in self.replicas if replica.phase is Phase.FAILED)

    @property
    def shown(self) -> tuple[AgentReplica, ...]:
        """As many as status has room for: first those that are not well."""
        ordered = sorted(self.replicas, key=lambda replica: replica.phase is Phase.READY)
        kept = ordered[: inferenceplacement.AGENTS]
        return tuple(sorted(kept, key=lambda replica: replica.node))


def of(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    policy: binding.BoundPolicy,
    site: str,
) -> AgentReplicas | None:
    """Return how it stands at one site; None where the version asks no such thing."""
    version = policy.version
    if version is None or version.spec.runtime.isolation is not v1alpha1.Isolation.AGENT:
        return None
    place = seen.index.sites.get((policy.key[0], site))
    if place is None:
        return None
    denial = assignment.denial(version.name, version.spec, site, place.spec)
    if denial:
        return AgentReplicas(version.name, site, denial)
    before = _shown_before(seen, policy.key, site)
    reports = health.agent_reports(seen)
    holders = {node for key in policy.sites[site] for node in bound.devices[key].reachable_from}
    replicas = []
    for node in sorted(holders):
        last = before.get(node)
        if last is not None and (last.version, last.digest) != _identity(version):
            last = None
        if verdicts.of(node).is_lost:
            heard = HeardReplica(Phase.LOST)
        else:
            heard = _heard(reports.get(node), policy.key, version, last)
        replicas.append(_replica(node, version, heard))
    held_back = (
        node in reports and _is_held_back(reports[node], policy.policy) for node in holders
    )
    return AgentReplicas(
        version.name,
        site,
        replicas=tuple(replicas),
        is_held_back=any(held_back),
    )


def _replica(node: str, version: v1alpha1.ModelVersion, heard: HeardReplica) -> AgentReplica:
    """Show one; an agent's words are those of a stranger, and status takes what fits."""
    name, digest = _identity(version)
    return AgentReplica(
        node=node,
        phase=heard.phase,
        version=name,
        digest=digest,
        provider=troubles.written(heard.provider),
        reason=troubles.written(heard.reason),
        message=printable.clean(heard.message, 256),
    )


def pods_needed(replicas: AgentReplicas | None, *, is_begun: bool, is_older_there: bool) -> PodNeed:
    """Say what is left to pods.

    `is_begun` says that pods of the very version are there, `is_older_there` that others are: an
    agent that cannot take the newest generation of the policy goes on with those.
    """
    if replicas is None or replicas.denial or replicas.failed:
        return PodNeed.ALL
    if replicas.is_whole and not (replicas.is_held_back and is_older_there):
        return PodNeed.NOTHING
    return PodNeed.ALL if is_begun else PodNeed.KEPT


def _is_held_back(agent: report.AgentEvidence, policy: v1alpha1.DecisionPolicy) -> bool:
    newest = (policy.kind, *binding.key(policy), policy.metadata.generation or 0)
    return any(
        (problem.kind, problem.namespace, problem.name, problem.generation) == newest
        for problem in agent.report.problems
    )


_UNHEARD: Final = HeardReplica(Phase.PENDING, message="the agent has not said anything of it yet")


def _heard(
    agent: report.AgentEvidence | None,
    policy: binding.Key,
    version: v1alpha1.ModelVersion,
    last: AgentReplica | None,
) -> HeardReplica:
    """Return what an agent says of its own replica; what it said last while it does not report.

    Lost is what a node was, not what its agent said.
    """
    if agent is None:
        if last is None or last.phase is Phase.LOST:
            return _UNHEARD
        return HeardReplica(last.phase, last.reason, last.message, last.provider)
    problem = _problem(agent, policy[0], version.name)
    if problem is not None:
        return HeardReplica(Phase.FAILED, problem.reason, problem.message)
    line = _line(agent, policy, version.spec.digest)
    if line is None:
        return HeardReplica(Phase.STARTING, message="the agent does not have it yet")
    bad = callers.bad_for(line)
    if bad is None:
        return HeardReplica(Phase.READY, provider=line.provider)
    phase = Phase.FAILED if bad >= PATIENCE else Phase.STARTING
    message = "its calls fail or are late" if latency.has_called(line) else ""
    return HeardReplica(phase, line.reason, message, line.provider)


def _line(
    agent: report.AgentEvidence, policy: binding.Key, digest: str
) -> report.EndpointReport | None:
    """Return what an agent reports of the replica in its own process, once it is loaded."""
    url = wire.in_agent(digest)
    return next(
        (
            line
            for line in agent.report.endpoints
            if (line.namespace, line.policy) == policy and line.url == url
        ),
        None,
    )


def _problem(agent: report.AgentEvidence, namespace: str, version: str) -> report.Problem | None:
    """Return why an agent cannot run a version, for now or for good; that it loads is no reason."""
    about = [
        problem
        for problem in agent.report.problems
        if (problem.kind, problem.name) == (v1alpha1.ModelVersion.kind, version)
        and problem.namespace in ("", namespace)
        and problem.reason not in serving.STATES
    ]
    return min(about, key=lambda problem: problem.reason, default=None)


def _identity(version: v1alpha1.ModelVersion) -> tuple[str, str]:
    return version.name, version.spec.digest


def _shown_before(
    seen: snapshot.Snapshot, policy: binding.Key, site: str
) -> Mapping[str, AgentReplica]:
    placement = seen.index.placements.get((policy[0], f"{policy[1]}.{site}"))
    agents = placement.status.agents if placement is not None else ()
    return {replica.node: replica for replica in agents}
