"""How a placement is shown of which nothing is planned: what runs stays, and is not made anew.

Its policy is not accepted as it stands, or none of its devices at the site is. Agents go on with
what was, so that roles, phases and endpoints must be as true as ever: they are told from the pods
and their own marks. Nothing of this creates, moves or removes a pod. Called by `plan`; the rule is
`foreshore_decision.in_force`.
"""

from collections.abc import Mapping, Sequence

from foreshore_api import conditions, v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_decision import in_force
from foreshore_planner import binding, health, snapshot
from foreshore_planner.placement import case, choose, figures, in_agents, serving, troubles

Site = tuple[str, str, str]
"""(namespace, policy, site)."""


def all_of(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    planned: Sequence[case.PlacementPlan],
) -> tuple[case.PlacementPlan, ...]:
    """Return how every placement is shown that stays and is not planned; without any pods."""
    names = {(plan.namespace, plan.name) for plan in planned}
    plans = []
    for placement in sorted(seen.placements, key=binding.key):
        namespace, site = binding.key(placement)[0], placement.spec.site
        policy = bound.policies.get((namespace, placement.spec.policy_ref.name))
        status = placement.status
        is_shown = bool(status.replicas or status.agents)
        if policy is None or binding.key(placement) in names or not is_shown:
            continue
        if policy.is_retained or (policy.is_placed and site in policy.suspended):
            of_it = seen.index.replicas_at.get((namespace, policy.key[1], site), ())
            plans.append(
                kept(case.Sight(seen, verdicts, placement, of_it), placement, _why(policy))
            )
    return tuple(plans)


def _why(policy: binding.BoundPolicy) -> str:
    if policy.problem is not None:
        return f"the policy is not accepted ({policy.problem.reason})"
    return "no device of the policy at the site is accepted"


def kept(sight: case.Sight, before: v1alpha1.InferencePlacement, why: str) -> case.PlacementPlan:
    """Return how one placement is shown as it was, with its pods as they are."""
    shown = {
        replica.slot: (replica, _answering(sight, replica)) for replica in before.status.replicas
    }
    replicas = _roles(sight, [_replica(sight, replica, pod) for replica, pod in shown.values()])
    agents = _agents(before)
    return case.PlacementPlan(
        namespace=before.metadata.namespace or "",
        name=before.metadata.name,
        policy=before.spec.policy_ref.name,
        site=before.spec.site,
        pods=(),
        replicas=replicas,
        standing_in=(),
        yielding=None,
        budget=before.status.budget,
        candidates=before.status.candidates
        or inferenceplacement.Candidates(total=len(sight.seen.nodes)),
        moves=before.status.moves,
        findings=_findings(sight, before, replicas, why),
        agents=agents,
        needs=_needs(agents, replicas),
    )


def _needs(
    agents: in_agents.AgentReplicas | None, replicas: Sequence[inferenceplacement.ReplicaStatus]
) -> in_agents.PodNeed:
    """Return what is shown: pods where there are any, else that agents run it, or are to."""
    if agents is None or replicas:
        return in_agents.PodNeed.ALL
    return in_agents.PodNeed.NOTHING if agents.is_whole else in_agents.PodNeed.KEPT


def _agents(before: v1alpha1.InferencePlacement) -> in_agents.AgentReplicas | None:
    """Return the agents as they were shown last: what is asked of them now is not accepted."""
    listed = before.status.agents
    if not listed:
        return None
    return in_agents.AgentReplicas(listed[0].version, before.spec.site, replicas=listed)


def _answering(
    sight: case.Sight, replica: inferenceplacement.ReplicaStatus
) -> snapshot.Replica | None:
    """Return the pod to show in a slot: a successor that answers, or the one shown before."""
    next_ = replica.successor
    of_slot = [pod for pod in sight.replicas if pod.slot == replica.slot]

    def key(pod: snapshot.Replica) -> tuple[bool, bool, str]:
        is_next = next_ is not None and (pod.node, pod.version) == (next_.node, next_.version)
        return (not is_next, not _is_shown(replica, pod), pod.name)

    def option(pod: snapshot.Replica) -> in_force.Option[snapshot.Replica]:
        if serving.answers(sight, pod):
            return in_force.good(pod)
        shown = pod if _is_shown(replica, pod) else None
        return in_force.Option(shown, serving.STARTING)

    return in_force.choose(option(pod) for pod in sorted(of_slot, key=key)).value


def _is_shown(replica: inferenceplacement.ReplicaStatus, pod: snapshot.Replica) -> bool:
    """Whether a pod is the one a slot was shown as; pods of releases that marked none may be."""
    marks = (pod.version, pod.digest)
    return pod.node == replica.node and marks in ((replica.version, replica.digest), (None, None))


def _replica(
    sight: case.Sight, replica: inferenceplacement.ReplicaStatus, pod: snapshot.Replica | None
) -> inferenceplacement.ReplicaStatus:
    node = pod.node if pod is not None else replica.node
    phase = figures.phase(sight, replica.slot, node, pod)
    changes: dict[str, object] = {
        "node": node,
        "phase": phase,
        "endpoint": figures.endpoint(sight, replica.slot, pod, phase),
    }
    if pod is not None and not _is_shown(replica, pod):
        changes |= {
            "version": pod.version,
            "digest": pod.digest,
            "policy_generation": pod.policy_generation,
            "provider": None,
            "successor": None,
        }
    return replica.model_copy(update=changes)


def _roles(
    sight: case.Sight, replicas: Sequence[inferenceplacement.ReplicaStatus]
) -> tuple[inferenceplacement.ReplicaStatus, ...]:
    """Give the roles anew, to as many as had them: a ready standby is promoted at once."""
    listed = {replica.slot: serving.listed(sight, replica.slot) for replica in replicas}
    active = {
        slot
        for slot, replica in listed.items()
        if replica is not None and replica.role is inferenceplacement.Role.ACTIVE
    }
    given = choose.roles(
        [
            choose.IncumbentReplica(
                slot=replica.slot,
                node=replica.node,
                is_ready=replica.phase is inferenceplacement.ReplicaPhase.READY,
                is_wanted=True,
                is_well=True,
                was_active=replica.slot in active,
            )
            for replica in replicas
        ],
        (),
        len(active),
    )
    roles: Mapping[bool, inferenceplacement.Role] = {
        True: inferenceplacement.Role.ACTIVE,
        False: inferenceplacement.Role.STANDBY,
    }
    return tuple(
        replica.model_copy(update={"role": roles[given[replica.slot]]}) for replica in replicas
    )


def _findings(
    sight: case.Sight,
    before: v1alpha1.InferencePlacement,
    replicas: Sequence[inferenceplacement.ReplicaStatus],
    why: str,
) -> case.Findings:
    lost = [
        replica for replica in replicas if replica.phase is inferenceplacement.ReplicaPhase.LOST
    ]
    waiting = [
        f"{replica.slot} is lost with {replica.node} and not made anew: {why}"
        for replica in lost[:1]
    ]
    earlier = {condition.type: condition for condition in before.status.conditions}
    met = earlier.get(conditions.Type.BUDGET_MET)
    redundant = earlier.get(conditions.Type.REDUNDANT)
    is_known = met is not None and met.status is not conditions.Status.UNKNOWN
    return case.Findings(
        wanted=len(replicas),
        unplaced=0,
        waiting=waiting[0] if waiting else None,
        waiting_reason=conditions.Reason.REPLICA_LOST if waiting else None,
        nearest=met.message if met is not None else None,
        summary=why,
        is_within_budget=met.status is conditions.Status.TRUE if met and is_known else None,
        shares_domain=redundant is not None and redundant.reason == conditions.Reason.SHARED_DOMAIN,
        trouble=_trouble(sight, replicas),
        progress=None,
        complaint=None,
        refusal=None,
    )


def _trouble(
    sight: case.Sight, replicas: Sequence[inferenceplacement.ReplicaStatus]
) -> case.Trouble | None:
    """Return what a person has to look at, of the first replica that has any."""
    silent = {replica.slot: replica.node for replica in replicas if replica.endpoint is None}
    for pod in sorted(sight.replicas, key=lambda pod: pod.name):
        fault = troubles.of(pod) if silent.get(pod.slot) == pod.node else None
        if fault is not None:
            message = f"{pod.slot}: {pod.version} on {pod.node} does not serve: {fault[1]}"
            return case.Trouble(fault[0], message)
    return None
