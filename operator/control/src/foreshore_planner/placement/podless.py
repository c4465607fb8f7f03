"""The plan of a placement for which no pod is made, because agents run the model themselves.

Pods that are there, of the version before or of a time when some agent could not, stay and are
shown as they are until every agent can do without; then they drain (`leaving`). Called by
`placing`.
"""

import dataclasses

from foreshore_api import conditions
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import latency, phrases, snapshot
from foreshore_planner.placement import (
    assembly,
    candidates,
    case,
    explain,
    figures,
    in_agents,
    retained,
)


def plan(
    inputs: case.Case, agents: in_agents.AgentReplicas, needs: in_agents.PodNeed
) -> case.PlacementPlan:
    """Return the plan of one placement whose agents run its model, or are about to."""
    before = inputs.before
    is_alone = needs is in_agents.PodNeed.NOTHING
    if is_alone or before is None or not before.status.replicas:
        return _without(inputs, agents, needs)
    why = f"{loading(agents)}, and what was goes when they run it"
    shown = retained.kept(inputs, before, why)
    progress = case.Trouble(conditions.Reason.PROGRESSING, why)
    return dataclasses.replace(
        shown,
        standing_in=_staying(inputs),
        findings=dataclasses.replace(shown.findings, progress=progress),
        agents=agents,
        needs=needs,
    )


def loading(agents: in_agents.AgentReplicas) -> str:
    """Say which agents are still to run a version."""
    nodes = [replica.node for replica in agents.alive if replica.phase is not in_agents.Phase.READY]
    if agents.is_whole:
        return f"every agent runs {agents.version}, and not all have taken the newest generation"
    if not nodes:
        return f"no agent can be asked to run {agents.version}"
    return f"{agents.version} is not yet run by the agents of {phrases.listed(nodes)}"


def _without(
    inputs: case.Case, agents: in_agents.AgentReplicas, needs: in_agents.PodNeed
) -> case.PlacementPlan:
    predictions = {replica.node: _prediction(inputs, replica.node) for replica in agents.alive}
    before = inputs.before
    return case.PlacementPlan(
        namespace=inputs.demand.namespace,
        name=inputs.name,
        policy=inputs.demand.policy,
        site=inputs.site,
        pods=(),
        replicas=(),
        standing_in=() if needs is in_agents.PodNeed.NOTHING else _staying(inputs),
        yielding=None,
        budget=figures.budget(inputs, list(predictions.values())),
        candidates=inferenceplacement.Candidates(total=len(agents.replicas)),
        moves=before.status.moves if before is not None else (),
        findings=case.Findings(
            wanted=len(agents.alive),
            unplaced=0,
            waiting=None,
            waiting_reason=None,
            nearest=explain.nearest(_offered(inputs, predictions), inputs.demand.budget),
            summary=loading(agents),
            is_within_budget=assembly.within(inputs, list(predictions.values())),
            shares_domain=False,
            trouble=None,
            progress=None,
            complaint=None,
            refusal=None,
        ),
        agents=agents,
        needs=needs,
    )


def _staying(inputs: case.Case) -> tuple[str, ...]:
    """Return the names of the pods that are there: none of them goes before agents can."""
    terminating = snapshot.PodPhase.TERMINATING
    return tuple(sorted(pod.name for pod in inputs.replicas if pod.phase is not terminating))


def _prediction(inputs: case.Case, node: str) -> latency.Prediction:
    demand = inputs.demand
    return latency.predict(
        inputs.evidence, node, demand.expected_inference, demand.budget, latency.WITHOUT_NETWORK
    )


def _offered(
    inputs: case.Case, predictions: dict[str, latency.Prediction]
) -> list[candidates.Candidate]:
    nodes = (view.node for view in inputs.views if view.node.name in predictions)
    return [candidates.Candidate(node, predictions[node.name], 0.0) for node in nodes]
