"""The placement of every (policy, site): which pods should be, where, in which role, and why.

Steady state is repair in place: a replica stays until its node is lost, its pod has failed, agents
agree that its endpoint is bad, its node no longer fits the policy, or it is measurably over the
budget while another node is predicted well within it, or until it returns (`returns`). Forced moves
obey the policy's `failover`, the site's hold, and a cap for each site and minute. A replica of an
older template is replaced where it stands. What is replaced goes when its successor serves: see
`leaving`.

    case_of ──► turns.wants ──► turns.allow ──► waves ──► matching, for all at once
                 ──► proposals ──► returns ──► planned

Each step but the matching and the returns is for one placement. `place_all` is for all of a pass,
`place` for those that may have changed. Where the agents run the model themselves (`in_agents`), no
pod is made unless some agent cannot.
"""

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from foreshore_api import conditions, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_planner import binding, health, latency, snapshot
from foreshore_planner.placement import (
    assembly,
    callers,
    candidates,
    case,
    creep,
    explain,
    in_agents,
    matching,
    podless,
    proposals,
    returns,
    slots,
    supply,
    turns,
    waves,
)


def place_all(
    seen: snapshot.Snapshot, verdicts: health.Health, bound: binding.BoundSnapshot
) -> tuple[case.PlacementPlan, ...]:
    """Plan every placement, by (namespace, policy, site)."""
    stock = supply.Supply(seen, verdicts, bound)
    for site in seen.index.placements_at:
        stock.pace(site)  # read though nothing may move: `containment` looks for whose fault it is
    cases = [case_of(stock, policy, site) for policy, site in asked(bound)]
    return place(stock, [inputs for inputs in cases if inputs is not None])


def asked(bound: binding.BoundSnapshot) -> Iterator[tuple[binding.BoundPolicy, str]]:
    """Yield every policy that asks for replicas, with each of its sites."""
    for policy in bound.policies.values():
        if policy.is_placed and policy.version is not None:
            for site in policy.sites:
                yield policy, site


def case_of(stock: supply.Supply, policy: binding.BoundPolicy, site: str) -> case.Case | None:
    """Gather all that one placement depends on; None where nothing may be planned for it.

    Replicas of a policy that is not accepted any more are kept alive; none are begun for it.
    """
    version = policy.version
    if version is None:
        return None
    seen, reports = stock.seen, stock.reports(site)
    before = seen.index.placements.get((policy.key[0], f"{policy.key[1]}.{site}"))
    replicas = seen.index.replicas_at.get((*policy.key, site), ())
    template = stock.template(policy, version)
    if policy.problem is not None and not _is_begun(replicas, template):
        return None
    demand = stock.demand(policy, version, site)
    evidence = latency.gather(*policy.key, reports, seen.priors)
    views, counted = stock.views(demand, evidence, _holders(replicas, before))
    endpoints = reports.endpoints(policy.key)
    return case.Case(
        seen=seen,
        verdicts=stock.verdicts,
        bound=policy,
        version=version,
        site=site,
        demand=demand,
        evidence=evidence,
        views=views,
        counted=counted,
        before=before,
        replicas=replicas,
        template=template,
        complaints=callers.complaints(endpoints),
        providers=callers.providers(line for _, line in endpoints),
        agents=in_agents.of(seen, stock.verdicts, stock.bound, policy, site),
        prices=stock.prices,
    )


def _is_begun(replicas: Sequence[snapshot.Replica], template: str) -> bool:
    """Whether replicas of this very model run already."""
    return any(replica.template == template for replica in replicas)


def _holders(
    replicas: Sequence[snapshot.Replica], before: v1alpha1.InferencePlacement | None
) -> list[str]:
    """Return the nodes that have a replica of a placement, or that status says it of."""
    listed = before.status.replicas if before is not None else ()
    names = {replica.node for replica in replicas} | {replica.node for replica in listed}
    names |= {replica.successor.node for replica in listed if replica.successor is not None}
    return sorted(names)


def place(stock: supply.Supply, cases: Sequence[case.Case]) -> tuple[case.PlacementPlan, ...]:
    """Plan these placements, by (namespace, policy, site), in one choice for all of them.

    Others are planned with them where a replica of theirs makes room.
    """
    plans: list[case.PlacementPlan] = []
    asking: list[turns.Wants] = []
    for inputs in cases:
        agents, needs = inputs.agents, pods_needed(inputs)
        if agents is not None and needs is not in_agents.PodNeed.ALL:
            plans.append(podless.plan(inputs, agents, needs))
        else:
            asking.append(turns.wants(stock, inputs))
    allowed = [
        turns.allow(stock, want, proposals.confirmed)
        for want in sorted(asking, key=lambda it: it.precedence)
    ]
    allowed = [waves.begun(stock, turn) for turn in allowed]

    def find(key: snapshot.At) -> turns.PermittedWants | None:
        return _neighbour(stock, key)

    matched = matching.match(stock, allowed, find)
    keys = {turn.key for turn in allowed}
    proposed = list(proposals.among(stock, matched))
    plans += [planned(stock, *turn) for turn in returns.among(stock, proposed, keys)]
    return tuple(sorted(plans, key=lambda plan: (plan.namespace, plan.policy, plan.site)))


def _neighbour(stock: supply.Supply, key: snapshot.At) -> turns.PermittedWants | None:
    """Return a placement that nobody has asked about, if it has pods and is planned at all."""
    policy = stock.bound.policies.get(key[:2])
    if policy is None or not policy.is_placed or key[2] not in policy.sites:
        return None
    inputs = case_of(stock, policy, key[2])
    if inputs is None or pods_needed(inputs) is not in_agents.PodNeed.ALL:
        return None
    return turns.allow(stock, turns.wants(stock, inputs), proposals.confirmed)


def pods_needed(inputs: case.Case) -> in_agents.PodNeed:
    """Return what the agents of a placement leave to pods."""
    older = any(replica.template != inputs.template for replica in inputs.replicas)
    begun = _is_begun(inputs.replicas, inputs.template)
    return in_agents.pods_needed(inputs.agents, is_begun=begun, is_older_there=older)


def planned(
    stock: supply.Supply, turn: turns.PermittedWants, chosen: Mapping[str, candidates.Candidate]
) -> case.PlacementPlan:
    """Return the plan of one placement, of which `chosen` are the nodes of new replicas."""
    asking, held = turn.wants, turn.wants.held
    layout = {slot: incumbent.node for slot, incumbent in turn.staying.items()}
    layout |= {slot: held[slot].node for slot in turn.allowed if slot not in chosen}
    layout |= {slot: candidate.node.name for slot, candidate in chosen.items()}
    inputs = _afterwards(stock, asking.case, chosen)
    is_fresh = asking.offers is not None and inputs is asking.case
    offers = asking.offers if is_fresh and asking.offers else turns.offers(stock, inputs)
    moves = slots.moves(inputs, held, chosen, asking.causes, turn.confirmed)
    history = explain.alternatives(moves, asking.offers or offers, chosen)
    plan = assembly.assemble(inputs, layout, history, offers, turn.waiting)
    findings = dataclasses.replace(
        plan.findings,
        delay=turn.delay,
        unheeded=turn.unheeded,
        cannot_leave=_cannot_leave(turn, chosen),
        cut_short=turn.cut_short,
    )
    if turn.later:
        findings = dataclasses.replace(findings, progress=_progress(inputs, turn.later))
    pods = tuple(pod for pod in plan.pods if pod.slot not in turn.later)
    plan = dataclasses.replace(plan, pods=pods, findings=findings, proposals=turn.proposals)
    is_content = asking.is_content and not turn.moves_unforced
    is_near = creep.is_near(asking.case)  # any node may be what it waits for
    return dataclasses.replace(plan, is_settled=is_content and not is_near and _is_sound(plan))


def _progress(inputs: case.Case, later: Collection[str]) -> case.Trouble:
    """Say which replicas wait for their turn in a rollout; what they have serves on."""
    waits = f"{', '.join(sorted(later))} of {inputs.name}"
    message = f"{waits} goes to {inputs.version.metadata.name} in a later wave"
    message = f"{message}: when standbys serve it and its node has room; what is there serves on"
    return case.Trouble(conditions.Reason.PROGRESSING, message)


def _cannot_leave(
    turn: turns.PermittedWants, chosen: Mapping[str, candidates.Candidate]
) -> str | None:
    """Say which replica stays on a node that a person wants empty: a drain waits for it."""
    for slot, (cause, evidence) in sorted(turn.allowed.items()):
        held = turn.wants.held[slot]
        if slot in chosen or cause not in reasons.BY_PERSON or held.pod is None:
            continue
        stays = f"{slot} is to leave {held.node} ({cause}: {evidence}), and no other node has room"
        return f"{stays}; a drain waits for it: free room, or delete pod {held.pod.name}"
    return None


def _afterwards(
    stock: supply.Supply, inputs: case.Case, chosen: Mapping[str, candidates.Candidate]
) -> case.Case:
    """Return the case with the room that others leave in this pass: that is what is explained."""
    if stock.taken.keys().isdisjoint(view.node.name for view in inputs.views):
        return inputs
    own = Counter(candidate.node.name for candidate in chosen.values())
    requests = inputs.demand.requests

    def free(node: snapshot.Node) -> snapshot.ComputeResources:
        left = stock.free(node)
        for _ in range(own[node.name]):
            left += requests
        return left

    views = tuple(
        view if (left := free(view.node)) == view.free else dataclasses.replace(view, free=left)
        for view in inputs.views
    )
    if all(new is old for new, old in zip(views, inputs.views, strict=True)):
        return inputs
    return dataclasses.replace(inputs, views=views)


def _is_sound(plan: case.PlacementPlan) -> bool:
    """Whether nothing is wrong with a placement, nor waited for."""
    findings = plan.findings
    wrongs = (findings.waiting, findings.trouble, findings.progress, findings.complaint)
    is_well = all(wrong is None for wrong in wrongs) and findings.refusal is None
    is_whole = findings.unplaced == 0 and not findings.shares_domain
    is_pending = findings.delay is not None and findings.delay.is_pending
    return is_well and is_whole and not is_pending and findings.is_within_budget is not False
