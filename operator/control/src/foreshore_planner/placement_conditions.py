"""What the status of a placement says of its plan: conditions, without their times.

Ready: every active replica serves what is asked for, or what was until its successor does. Where a
person has to mend something first, Ready is False for that reason, and Degraded True while what was
serves on. Called by `status`.
"""

from collections import Counter
from collections.abc import Iterator

from foreshore_api import conditions
from foreshore_planner import agent_conditions, phrases
from foreshore_planner.placement import case, in_agents

Said = phrases.Said

TRUE, FALSE, UNKNOWN = conditions.Status.TRUE, conditions.Status.FALSE, conditions.Status.UNKNOWN
Type, Reason = conditions.Type, conditions.Reason


def of(plan: case.PlacementPlan) -> list[Said]:
    """Return every condition of one placement, without its times."""
    findings = plan.findings
    statements: list[Said] = [_placed(plan), _budget_met(plan), _redundant(plan)]
    statements += [*_readiness(plan), *_degraded(plan)]
    if plan.agents is not None:
        statements.append(agent_conditions.of_placement(plan.agents))
    if findings.is_too_low is not None:
        statements.append(_model_error(is_too_low=findings.is_too_low))
    if findings.waiting is not None and findings.waiting_reason in HELD_BY:
        statements.append((Type.HELD, TRUE, Reason(findings.waiting_reason), findings.waiting))
    return statements


HELD_BY = frozenset(
    {Reason.SITE_SILENT, Reason.FLEET_SILENT, Reason.MOVE_LIMIT, Reason.QUARANTINED}
)
"""Why a placement is held still by us, not by its policy."""


def _readiness(plan: case.PlacementPlan) -> Iterator[Said]:
    """Say whether it serves what is asked for, what is waited for, and what has to be mended."""
    findings, placed = plan.findings, _placed(plan)
    active = [replica for replica in plan.replicas if replica.role.value == "Active"]
    if findings.trouble is not None:
        reason, message = findings.trouble.reason, findings.trouble.message
        yield (Type.READY, FALSE, reason, message)
        if reason in (Reason.DIGEST_MISMATCH, Reason.MODEL_REJECTED):
            yield (Type.STALLED, TRUE, reason, message)
    elif _is_run_by_agents(plan):
        message = "every agent that may hold its devices runs it"
        yield (Type.READY, TRUE, Reason.DELIVERED, message)
    elif active and all(replica.phase.value == "Ready" for replica in active):
        more = f"; {findings.shortfall}" if findings.shortfall else ""
        yield (Type.READY, TRUE, Reason.DELIVERED, f"every active replica serves{more}")
        if findings.progress is not None:
            yield (Type.RECONCILING, TRUE, findings.progress.reason, findings.progress.message)
    elif placed[1] is FALSE and (
        not active or any(replica.phase.value == "Lost" for replica in active)
    ):
        yield (Type.READY, FALSE, placed[2], placed[3])
    else:
        message = "a replica has a node and does not serve yet"
        if not active and _is_left_to_agents(plan):
            message = plan.findings.summary
        yield (Type.READY, FALSE, Reason.REPLICA_STARTING, message)
        yield (Type.RECONCILING, TRUE, Reason.PROGRESSING, message)


def _is_run_by_agents(plan: case.PlacementPlan) -> bool:
    """Whether the agents do without pods; not where such as are kept for others."""
    return plan.needs is in_agents.PodNeed.NOTHING


def _is_left_to_agents(plan: case.PlacementPlan) -> bool:
    """Whether agents run it, or are to, and no pod is shown."""
    return plan.needs is not in_agents.PodNeed.ALL and not plan.replicas


def _degraded(plan: case.PlacementPlan) -> Iterator[Said]:
    """Say what is wrong although something serves."""
    trouble = plan.findings.trouble or plan.findings.complaint or _unprotected(plan)
    if trouble is not None and any(replica.phase.value == "Ready" for replica in plan.replicas):
        yield (Type.DEGRADED, TRUE, trouble.reason, trouble.message)


def _unprotected(plan: case.PlacementPlan) -> case.Trouble | None:
    """Say that an eviction of its pods waits for nobody; whatever else is wrong comes first."""
    refusal = plan.findings.unprotected
    if refusal is None:
        return None
    reason = Reason.EVICTIONS_UNPROTECTED
    message = f"evictions of its pods do not wait for their successors: {refusal}{_hint(reason)}"
    return case.Trouble(reason, message)


def _placed(plan: case.PlacementPlan) -> Said:
    type_, state, reason, message = _whether_placed(plan)
    unheeded = plan.findings.unheeded
    return (type_, state, reason, message if unheeded is None else f"{message}; {unheeded}")


def _whether_placed(plan: case.PlacementPlan) -> Said:
    findings = plan.findings
    if findings.waiting is not None and findings.waiting_reason is not None:
        return (Type.PLACED, FALSE, Reason(findings.waiting_reason), findings.waiting)
    lost = [replica for replica in plan.replicas if replica.phase.value == "Lost"]
    if lost:
        message = f"{lost[0].slot} is lost with {lost[0].node} and no other node can serve"
        return (Type.PLACED, FALSE, Reason.REPLICA_LOST, f"{message}: {_why_none(findings)}")
    if _is_left_to_agents(plan):
        return _placed_in_agents(plan)
    if findings.cannot_leave is not None:
        message = f"{findings.cannot_leave}: {findings.summary}"
        return (Type.PLACED, FALSE, Reason.CANNOT_LEAVE, message)
    if findings.unplaced == 0:
        more = f"; {findings.delay.message}" if findings.delay is not None else ""
        return (Type.PLACED, TRUE, Reason.PLACED, f"every replica has a node{more}")
    reason = Reason.NO_CANDIDATE if not plan.replicas else Reason.INSUFFICIENT_ROOM
    return (Type.PLACED, FALSE, reason, _why_none(findings))


def _why_none(findings: case.Findings) -> str:
    """Say why no node is free for a slot, and what was left untried."""
    if findings.cut_short is None:
        return findings.summary
    return f"{findings.summary}; {findings.cut_short}"


def _placed_in_agents(plan: case.PlacementPlan) -> Said:
    if plan.agents is None or not plan.agents.alive:
        message = f"no node may hold its devices: {plan.findings.summary}"
        return (Type.PLACED, FALSE, Reason.NO_AGENT, message)
    message = "agents that may hold its devices run it themselves, so that it needs no pod"
    return (Type.PLACED, TRUE, Reason.PLACED, message)


def _budget_met(plan: case.PlacementPlan) -> Said:
    match plan.findings.is_within_budget:
        case True:
            message = "the measured p99 is within the latency budget"
            return (Type.BUDGET_MET, TRUE, Reason.WITHIN_BUDGET, message)
        case False:
            message = plan.findings.nearest or "the end-to-end p99 is above the latency budget"
            return (Type.BUDGET_MET, FALSE, Reason.OVER_BUDGET, message)
        case None:
            message = "fewer than twenty samples end to end"
            return (Type.BUDGET_MET, UNKNOWN, Reason.NOT_MEASURED, message)


def _model_error(*, is_too_low: bool) -> Said:
    reason = Reason.PREDICTED_TOO_LOW if is_too_low else Reason.PREDICTED_TOO_HIGH
    side = "above" if is_too_low else "below"
    message = f"the measured p99 is more than 15 % {side} what its stages add up to"
    return (Type.MODEL_ERROR, TRUE, reason, f"{message}{_hint(reason)}")


def _hint(reason: conditions.Reason) -> str:
    return f"; {reason.remedy}" if reason.remedy else ""


def _redundant(plan: case.PlacementPlan) -> Said:
    if _is_left_to_agents(plan):
        return _redundant_in_agents(plan)
    if plan.findings.wanted < 2:
        message = "the policy asks for one replica and no standby"
        return (Type.REDUNDANT, FALSE, Reason.NO_STANDBY, message)
    by_version = Counter(
        replica.version for replica in plan.replicas if replica.phase.value == "Ready"
    )
    if max(by_version.values(), default=0) < 2:
        return (Type.REDUNDANT, FALSE, *_missing_replica(plan))
    if plan.findings.shares_domain:
        message = f"two replicas share a failure domain{_while_shared(plan)}"
        return (Type.REDUNDANT, FALSE, Reason.SHARED_DOMAIN, message)
    return (Type.REDUNDANT, TRUE, Reason.SPREAD, "no two replicas share a failure domain")


def _while_shared(plan: case.PlacementPlan) -> str:
    """Say why two replicas still share a failure domain, as far as it was looked at."""
    delay = plan.findings.delay
    if delay is not None:
        return f"; {delay.message}" if delay.is_pending else " because no other has room"
    moving = [replica for replica in plan.replicas if replica.successor is not None]
    if moving and moving[0].successor is not None:
        return f"; {moving[0].slot} moves to {moving[0].successor.node}"
    return ""


def _redundant_in_agents(plan: case.PlacementPlan) -> Said:
    """Say whether another agent that may hold the devices runs the model too."""
    agents = plan.agents.alive if plan.agents is not None else ()
    if len(agents) < 2:
        return (Type.REDUNDANT, FALSE, Reason.NO_STANDBY, "one agent alone may hold its devices")
    if sum(replica.phase is in_agents.Phase.READY for replica in agents) < 2:
        return (Type.REDUNDANT, FALSE, Reason.AGENT_LOADING, plan.findings.summary)
    message = "more than one agent that may hold its devices runs it"
    return (Type.REDUNDANT, TRUE, Reason.SPREAD, message)


def _missing_replica(plan: case.PlacementPlan) -> tuple[conditions.Reason, str]:
    """Say why fewer than two replicas serve the same version."""
    phases = {replica.phase.value: replica for replica in reversed(plan.replicas)}
    if "Lost" in phases:
        message = f"{phases['Lost'].slot} is lost with {phases['Lost'].node}"
        return Reason.REPLICA_LOST, f"{message}; fewer than two replicas serve"
    if plan.findings.trouble is not None:
        return plan.findings.trouble.reason, plan.findings.trouble.message
    if "Failed" in phases:
        message = f"{phases['Failed'].slot} has failed on {phases['Failed'].node}"
        return Reason.REPLICA_FAILED, f"{message}; fewer than two replicas serve"
    if len(plan.replicas) < 2:
        return _placed(plan)[2:]
    return Reason.REPLICA_STARTING, "fewer than two replicas serve the same version"
