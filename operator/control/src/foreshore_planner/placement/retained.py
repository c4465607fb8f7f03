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
from foreshore_planner.placement import case, choose, figures, serving, troubles

Site = tuple[str, str, str]
"""(namespace, policy, site)."""


def all_of(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    planned: Sequence[case.PlacementPlan],
) -> tuple[case.PlacementPlan, ...]:
    """Return how every placement is shown that stays and is not planned; without any pods."""
    known = {(plan.namespace, plan.name) for plan in planned}
    pods: dict[Site, list[snapshot.Replica]] = {}
    for pod in seen.replicas:
        pods.setdefault((pod.namespace, pod.policy, pod.site), []).append(pod)
    found = []
    for one in sorted(seen.placements, key=binding.key):
        namespace, site = binding.key(one)[0], one.spec.site
        policy = bound.policies.get((namespace, one.spec.policy_ref.name))
        if policy is None or binding.key(one) in known or not one.status.replicas:
            continue
        if policy.is_retained or (policy.is_placed and site in policy.suspended):
            of_it = pods.get((namespace, policy.key[1], site), [])
            found.append(_kept(case.Sight(seen, verdicts, one, tuple(of_it)), one, _why(policy)))
    return tuple(found)


def _why(policy: binding.BoundPolicy) -> str:
    if policy.problem is not None:
        return f"the policy is not accepted ({policy.problem.reason})"
    return "no device of the policy at the site is accepted"


def _kept(sight: case.Sight, before: v1alpha1.InferencePlacement, why: str) -> case.PlacementPlan:
    shown = {one.slot: (one, _answering(sight, one)) for one in before.status.replicas}
    replicas = _roles(sight, [_replica(sight, one, pod) for one, pod in shown.values()])
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
    )


def _answering(
    sight: case.Sight, said: inferenceplacement.ReplicaStatus
) -> snapshot.Replica | None:
    """Return the pod to show in a slot: a successor that answers, or the one shown before."""
    next_ = said.successor
    of_slot = [one for one in sight.replicas if one.slot == said.slot]

    def key(one: snapshot.Replica) -> tuple[bool, bool, str]:
        is_next = next_ is not None and (one.node, one.version) == (next_.node, next_.version)
        return (not is_next, not _is_shown(said, one), one.name)

    def option(pod: snapshot.Replica) -> in_force.Option[snapshot.Replica]:
        if serving.answers(sight, pod):
            return in_force.good(pod)
        shown = pod if _is_shown(said, pod) else None
        return in_force.Option(shown, serving.STARTING)

    return in_force.choose(option(pod) for pod in sorted(of_slot, key=key)).value


def _is_shown(said: inferenceplacement.ReplicaStatus, pod: snapshot.Replica) -> bool:
    """Whether a pod is the one a slot was shown as; pods of releases that marked none may be."""
    marks = (pod.version, pod.digest)
    return pod.node == said.node and marks in ((said.version, said.digest), (None, None))


def _replica(
    sight: case.Sight, said: inferenceplacement.ReplicaStatus, pod: snapshot.Replica | None
) -> inferenceplacement.ReplicaStatus:
    node = pod.node if pod is not None else said.node
    phase = figures.phase(sight, said.slot, node, pod)
    changes: dict[str, object] = {
        "node": node,
        "phase": phase,
        "endpoint": figures.endpoint(sight, said.slot, pod, phase),
    }
    if pod is not None and not _is_shown(said, pod):
        changes |= {
            "version": pod.version,
            "digest": pod.digest,
            "policy_generation": pod.policy_generation,
            "successor": None,
        }
    return said.model_copy(update=changes)


def _roles(
    sight: case.Sight, replicas: Sequence[inferenceplacement.ReplicaStatus]
) -> tuple[inferenceplacement.ReplicaStatus, ...]:
    """Give the roles anew, to as many as had them: a ready standby is promoted at once."""
    listed = {one.slot: serving.listed(sight, one.slot) for one in replicas}
    active = {
        slot
        for slot, one in listed.items()
        if one is not None and one.role is inferenceplacement.Role.ACTIVE
    }
    given = choose.roles(
        [
            choose.IncumbentReplica(
                slot=one.slot,
                node=one.node,
                is_ready=one.phase is inferenceplacement.ReplicaPhase.READY,
                is_wanted=True,
                is_well=True,
                was_active=one.slot in active,
            )
            for one in replicas
        ],
        (),
        len(active),
    )
    roles: Mapping[bool, inferenceplacement.Role] = {
        True: inferenceplacement.Role.ACTIVE,
        False: inferenceplacement.Role.STANDBY,
    }
    return tuple(one.model_copy(update={"role": roles[given[one.slot]]}) for one in replicas)


def _findings(
    sight: case.Sight,
    before: v1alpha1.InferencePlacement,
    replicas: Sequence[inferenceplacement.ReplicaStatus],
    why: str,
) -> case.Findings:
    lost = [one for one in replicas if one.phase is inferenceplacement.ReplicaPhase.LOST]
    waiting = [f"{one.slot} is lost with {one.node} and not made anew: {why}" for one in lost[:1]]
    said = {one.type: one for one in before.status.conditions}
    met, redundant = said.get(conditions.Type.BUDGET_MET), said.get(conditions.Type.REDUNDANT)
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
    silent = {one.slot: one.node for one in replicas if one.endpoint is None}
    for pod in sorted(sight.replicas, key=lambda one: one.name):
        found = troubles.of(pod) if silent.get(pod.slot) == pod.node else None
        if found is not None:
            message = f"{pod.slot}: {pod.version} on {pod.node} does not serve: {found[1]}"
            return case.Trouble(found[0], message)
    return None
