"""What is said of models that agents are to run themselves: the condition InAgent.

It is there where a ModelVersion asks isolation Agent, and is no part of health: where it is not
True, pods answer. Of a placement it speaks of one site, of a policy and a version of all that use
it, the worst first. Called by `status` and `placement_conditions`.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from foreshore_api import conditions
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import phrases
from foreshore_planner.placement import case, in_agents

TRUE, FALSE, UNKNOWN = conditions.Status.TRUE, conditions.Status.FALSE, conditions.Status.UNKNOWN
IN_AGENT, Reason = conditions.Type.IN_AGENT, conditions.Reason

_WORST_FIRST: Final = (FALSE, UNKNOWN, TRUE)


def of_placement(agents: in_agents.AgentReplicas) -> phrases.Said:
    """Say how one site's agents stand with a model that its version wants run by them."""
    if agents.denial:
        return (IN_AGENT, FALSE, Reason.ISOLATION_NOT_ALLOWED, phrases.fitted(agents.denial))
    hidden = len(agents.replicas) - len(agents.shown)
    more = f"; {hidden} agents that run it are not listed in status.agents" if hidden else ""
    if agents.failed:
        first = agents.failed[0]
        nodes = phrases.listed(replica.node for replica in agents.failed)
        message = f"not run by the agents of {nodes}: {_why(first)}; pods answer for them{more}"
        return (IN_AGENT, FALSE, _reason(first), phrases.fitted(message))
    if agents.is_whole:
        message = f"every agent that may hold its devices runs {agents.version} itself{more}"
        return (IN_AGENT, TRUE, Reason.RUNS_IN_AGENTS, message)
    if not agents.alive:
        message = "no node may hold its devices, so that no agent can run it"
        return (IN_AGENT, UNKNOWN, Reason.NO_AGENT, message)
    waiting = [replica for replica in agents.alive if replica.phase is not in_agents.Phase.READY]
    nodes = phrases.listed(replica.node for replica in waiting)
    message = f"not yet run by the agents of {nodes}: {_why(waiting[0])}{more}"
    return (IN_AGENT, UNKNOWN, Reason.AGENT_LOADING, phrases.fitted(message))


def of_many(plans: Iterable[case.PlacementPlan]) -> Iterator[phrases.Said]:
    """Say the worst of several placements, with whose it is; nothing where none is asked."""
    asked = sorted(
        (
            (_WORST_FIRST.index(statement[1]), plan.name, statement)
            for plan in plans
            if plan.agents is not None
            for statement in (of_placement(plan.agents),)
        ),
        key=lambda row: row[:2],
    )
    if not asked:
        return
    rank, name, (type_, status, reason, message) = asked[0]
    others = sum(row[0] == rank for row in asked) - 1
    if reason is not Reason.ISOLATION_NOT_ALLOWED and status is not TRUE:
        message = f"{name}: {message}"
    noun = "placement" if others == 1 else "placements"
    more = f"; the same of {others} more {noun}" if others and status is not TRUE else ""
    yield (type_, status, reason, phrases.fitted(message + more))


def _why(replica: inferenceplacement.AgentReplica) -> str:
    parts = (replica.reason, replica.message)
    return ": ".join(part for part in parts if part) or "it has not said why"


def _reason(replica: inferenceplacement.AgentReplica) -> conditions.Reason:
    """Return the condition's reason: the agent's own where it has a row, else the general one."""
    rows = {reason.value: reason for reason in SPECIFIC}
    return rows.get(replica.reason or "", Reason.NOT_IN_AGENT)


SPECIFIC: Final = (Reason.NO_MODEL_MEMORY, Reason.MODEL_QUARANTINED, Reason.TRIAL_FAILED)
"""What an agent may say that has a row of its own among the reasons of conditions."""
