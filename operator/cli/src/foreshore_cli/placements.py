"""`kubectl foreshore placements`: where each policy infers, what that takes of its budget, and why.

look (policies, placements) ─► tree policy → site → replicas, budget, candidates,
                                 proposals, moves | documents

Everything shown is in the placement's status: the operator explains itself there, this draws it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rich.text
import rich.tree

from foreshore_api import conditions, meta, scalars, v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_api.wire import assignment
from foreshore_cli import api, errors, objects, options, terminal

Json = dict[str, Any]

MOVES: Final = 3
"""Moves that are shown; `-o wide` shows all that are kept."""
BAR: Final = 20
"""Cells that a whole budget fills."""

PHASES: Final[Mapping[inferenceplacement.ReplicaPhase, terminal.Mark]] = {
    inferenceplacement.ReplicaPhase.PENDING: terminal.Mark.BUSY,
    inferenceplacement.ReplicaPhase.STARTING: terminal.Mark.BUSY,
    inferenceplacement.ReplicaPhase.READY: terminal.Mark.GOOD,
    inferenceplacement.ReplicaPhase.FAILED: terminal.Mark.BAD,
    inferenceplacement.ReplicaPhase.LOST: terminal.Mark.BAD,
}
SHOWN: Final = (
    conditions.Type.READY,
    conditions.Type.PLACED,
    conditions.Type.BUDGET_MET,
    conditions.Type.REDUNDANT,
    conditions.Type.DEGRADED,
    conditions.Type.HELD,
    conditions.Type.STALLED,
    conditions.Type.IN_AGENT,
    conditions.Type.MODEL_ERROR,
)
"""Conditions of a placement, in the order in which they are told."""
TROUBLE: Final = frozenset(
    {
        conditions.Type.DEGRADED,
        conditions.Type.HELD,
        conditions.Type.STALLED,
        conditions.Type.MODEL_ERROR,
    }
)
"""Conditions that are good news when they are absent."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which placements are meant."""

    policy: str | None = None
    site: str | None = None
    selector: str | None = None

    def takes(self, placement: v1alpha1.InferencePlacement) -> bool:
        """Whether a placement is one of those; by its own name too."""
        names = (placement.spec.policy_ref.name, placement.name)
        is_named = self.policy is None or self.policy in names
        return is_named and self.site in (None, placement.spec.site)


@dataclass(frozen=True, slots=True)
class Branch:
    """One policy and its placements; either may be missing while the other is there."""

    namespace: str
    name: str
    policy: v1alpha1.DecisionPolicy | None
    placements: tuple[v1alpha1.InferencePlacement, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read: branches to draw, the documents they come from, what cannot be read."""

    branches: tuple[Branch, ...]
    documents: tuple[Json, ...]
    unreadable: tuple[objects.Unreadable, ...]


def run(target: options.Target, output: options.OutputFormat, chosen: Filter) -> int:
    """Read, draw, return the exit code."""
    server = api.connect(target)
    seen = look(server, chosen)
    for unreadable in seen.unreadable:
        terminal.say(f"{unreadable.name}: {unreadable.problem}")
    if output.is_document:
        listed = {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": [*seen.documents]}
        terminal.document(listed, output)
    elif not seen.branches:
        place = f"namespace {server.namespace}" if server.namespace else "any namespace"
        terminal.say(f"No placement in {place}.")
    else:
        is_wide = output is options.OutputFormat.WIDE
        terminal.show(
            *(drawn(branch, is_wide=is_wide, on=server.namespace) for branch in seen.branches),
            is_wide=is_wide,
        )
    return errors.EXIT_WELL


def look(server: api.Reads, chosen: Filter) -> Seen:
    """Read placements and their policies. Raises CommandError when what is named is not there."""
    query = {"labelSelector": chosen.selector} if chosen.selector else {}
    kind = v1alpha1.InferencePlacement
    listed = server.list(meta.API_VERSION, kind.plural, query)
    readable, strange = objects.read(kind, listed)
    placements = tuple(placement for placement in readable if chosen.takes(placement))
    documents = server.list(meta.API_VERSION, v1alpha1.DecisionPolicy.plural, {})
    policies, odd = objects.read(v1alpha1.DecisionPolicy, documents)
    names = {(placement.namespace, placement.name) for placement in placements}
    seen = Seen(
        branches=tuple(branches(policies, placements, chosen)),
        documents=tuple(document for document in listed if _key(document) in names),
        unreadable=(*strange, *odd),
    )
    if chosen.policy is not None and not seen.branches:
        where = f"namespace {server.namespace}" if server.namespace else "any namespace"
        raise errors.CommandError(f"no policy or placement {chosen.policy!r} in {where}")
    return seen


def branches(
    policies: Sequence[v1alpha1.DecisionPolicy],
    placements: Sequence[v1alpha1.InferencePlacement],
    chosen: Filter,
) -> Iterator[Branch]:
    """Placements under their policies, by namespace and name.

    A policy without a placement is told as well, unless only placements of a site or with a label
    are asked for: that nothing was placed is the answer that is looked for then.
    """
    named = {(policy.namespace, policy.name): policy for policy in policies}
    under: dict[tuple[str, str], list[v1alpha1.InferencePlacement]] = {}
    for placement in placements:
        under.setdefault((placement.namespace, placement.spec.policy_ref.name), []).append(
            placement
        )
    wanted = set(under)
    if chosen.site is None and chosen.selector is None:
        wanted |= {key for key in named if chosen.policy in (None, key[1])}
    for key in sorted(wanted):
        yield Branch(*key, policy=named.get(key), placements=tuple(under.get(key, ())))


def drawn(branch: Branch, *, is_wide: bool, on: str) -> rich.tree.Tree:
    """One policy as a tree."""
    name = branch.name if on else f"{branch.namespace}/{branch.name}"
    tree = rich.tree.Tree(terminal.text((name, "bold"), *_policy(branch)), guide_style="dim")
    for placement in branch.placements:
        site = tree.add(_site(placement))
        for line in _troubles(placement):
            site.add(line)
        _draw_replicas(site, placement, is_wide=is_wide)
        if placement.status.budget is not None:
            _draw_budget(site, placement.status.budget)
        if placement.status.candidates is not None:
            _draw_candidates(site, placement.status.candidates, is_wide=is_wide)
        if placement.status.proposals:
            _draw_proposals(site, placement.status.proposals)
        if placement.status.moves:
            _draw_moves(site, placement.status.moves if is_wide else placement.status.moves[:MOVES])
    if not branch.placements:
        tree.add(_nothing_placed(branch))
    return tree


def _policy(branch: Branch) -> Iterator[str | tuple[str, str]]:
    if branch.policy is None:
        yield ("  the policy is gone", "yellow")
        return
    spec, force = branch.policy.spec, branch.policy.status.effective_mode
    capped = f" ({force} is in force)" if force is not None and force is not spec.mode else ""
    model = spec.model_ref.version if spec.model_ref is not None else None
    asks = f", asks {model}" if model else ""
    yield f"  {spec.mode}{capped}, within {spec.latency_budget} at p99{asks}"


def _nothing_placed(branch: Branch) -> rich.text.Text:
    if branch.policy is None or branch.policy.spec.model_ref is None:
        return terminal.text(("rules only: no model to place", "dim"))
    stands = objects.standing(branch.policy)
    if stands.is_well and stands.reason in (
        conditions.Reason.NO_DEVICES,
        conditions.Reason.DISABLED,
    ):
        return terminal.text(f"nothing to place: {terminal.clean(stands.message)}")
    mark = terminal.Mark.BUSY if stands.is_well else terminal.Mark.BAD
    return terminal.text(
        mark.beside("nothing placed"), f"  {stands.reason}: {terminal.clean(stands.message)}"
    )


def _site(placement: v1alpha1.InferencePlacement) -> rich.text.Text:
    line = terminal.text("site ", (placement.spec.site, "bold"))
    stands = objects.standing(placement)
    if stands.reason == objects.NOT_SEEN:
        return terminal.text(line, "  ", terminal.Mark.BUSY.beside(stands.message))
    for type_ in SHOWN:
        condition = conditions.find(placement.status.conditions, type_)
        if condition is not None:
            line.append("  ")
            line.append_text(_mark(condition, stands).beside(_word(condition)))
    return line


def _word(condition: conditions.Condition) -> str:
    is_true = condition.status is conditions.Status.TRUE
    return condition.type if is_true else f"{condition.type}={condition.status}"


def _is_good(condition: conditions.Condition) -> bool:
    return (condition.status is conditions.Status.TRUE) is not (condition.type in TROUBLE)


def _mark(condition: conditions.Condition, stands: objects.ObjectStanding) -> terminal.Mark:
    if _is_good(condition):
        return terminal.Mark.GOOD
    if condition.type == conditions.Type.READY and stands.state is objects.ObjectState.PROGRESSING:
        return terminal.Mark.BUSY
    is_asked_for = condition.reason == conditions.Reason.NO_STANDBY
    is_unknown = condition.status is conditions.Status.UNKNOWN
    return terminal.Mark.ODD if is_asked_for or is_unknown else terminal.Mark.BAD


def _troubles(placement: v1alpha1.InferencePlacement) -> Iterator[rich.text.Text]:
    """Why a condition is not as one would wish; the same sentence only once."""
    messages: set[str] = set()
    for type_ in SHOWN:
        condition = conditions.find(placement.status.conditions, type_)
        if condition is not None and not _is_good(condition) and condition.message not in messages:
            messages.add(condition.message)
            yield terminal.text(
                (condition.reason, "yellow"), f": {terminal.clean(condition.message)}"
            )


def _draw_replicas(
    site: rich.tree.Tree, placement: v1alpha1.InferencePlacement, *, is_wide: bool
) -> None:
    """One line a replica: slot, role, node, phase, version, endpoint; below, what is to replace it.

    A successor has the same columns, so that one sees what differs; so has a model in an agent.
    """
    agents = placement.status.agents
    if not (placement.status.replicas or agents):
        return
    branch = site.add("replicas")
    arrow = "→" if terminal.speaks_unicode() else "->"
    has_version = bool(agents) or any(replica.version for replica in placement.status.replicas)
    rows = [_in_agent(replica, is_wide=is_wide) for replica in agents]
    for replica in placement.status.replicas:
        rows.append(
            [
                terminal.text((replica.slot, "bold")),
                terminal.text(replica.role),
                *([terminal.text(replica.cluster)] if is_wide else []),
                terminal.text(replica.node),
                PHASES[replica.phase].beside(replica.phase),
                *([terminal.text(replica.version or "")] if has_version else []),
                terminal.text(
                    (replica.endpoint or "no endpoint", "" if replica.endpoint else "dim"),
                    *_provider(replica.provider),
                ),
            ]
        )
        if replica.successor is not None:
            rows.append(
                [
                    terminal.text((arrow, "dim")),
                    terminal.text(("next", "dim")),
                    *([terminal.text(replica.cluster)] if is_wide else []),
                    terminal.text(replica.successor.node),
                    PHASES[replica.successor.phase].beside(replica.successor.phase),
                    *([terminal.text(replica.successor.version or "")] if has_version else []),
                    _why(replica.successor),
                ]
            )
    for line in terminal.aligned(rows):
        branch.add(line)


def _in_agent(replica: inferenceplacement.AgentReplica, *, is_wide: bool) -> list[rich.text.Text]:
    """The line of a model in an agent's own process: no pod, so that it has no endpoint."""
    is_ready = replica.phase is inferenceplacement.ReplicaPhase.READY
    return [
        terminal.text((assignment.OWN_SLOT, "bold")),
        terminal.text("Agent"),
        *([terminal.text("local")] if is_wide else []),
        terminal.text(replica.node),
        PHASES[replica.phase].beside(replica.phase),
        terminal.text(replica.version),
        terminal.text(("in the agent", "dim"), *_provider(replica.provider))
        if is_ready
        else _why(replica),
    ]


def _provider(name: str | None) -> tuple[tuple[str, str], ...]:
    """What computes a replica, to stand after where it is."""
    return () if name is None else ((f", {name}", "dim"),)


def _why(
    waited_for: inferenceplacement.SuccessorPod | inferenceplacement.AgentReplica,
) -> rich.text.Text:
    """Why a replica is not ready, in the operator's words."""
    if waited_for.reason is None:
        return terminal.text((terminal.clean(waited_for.message) or "starting", "dim"))
    message = f": {terminal.clean(waited_for.message)}" if waited_for.message else ""
    return terminal.text((waited_for.reason, "yellow"), message)


def _draw_budget(site: rich.tree.Tree, budget: inferenceplacement.Budget) -> None:
    """The budget, and what each stage takes of it. Tails do not add up: p99s are not a sum."""
    limit = scalars.seconds(budget.limit)
    start = "sample" if budget.from_ is inferenceplacement.CountedFrom.SAMPLE else "receipt"
    line = terminal.text("budget ", (budget.limit, "bold"), f" at p99, counted from {start}:")
    line.append_text(_figure("measured", budget.measured, limit))
    line.append_text(terminal.text(","))
    line.append_text(_figure("predicted", budget.predicted, limit))
    branch = site.add(line)
    rows = [
        [
            terminal.text(share.stage),
            terminal.text(share.p99.rjust(max(len(other.p99) for other in budget.split))),
            terminal.text(f"{_share(share.p99, limit):.1%}".rjust(6)),
            _bar(_share(share.p99, limit)),
            terminal.text((share.basis or "", "dim")),
        ]
        for share in budget.split
    ]
    for stage in terminal.aligned(rows) if rows else ():
        branch.add(stage)


def _figure(word: str, figure: str | None, limit: float) -> rich.text.Text:
    if figure is None:
        return terminal.text((f" not {word} yet", "dim"))
    share = _share(figure, limit)
    style = terminal.Mark.BAD.style if share > 1 else terminal.Mark.GOOD.style
    return terminal.text(f" {word} ", (figure, style), f" ({share:.0%})")


def _share(figure: str, limit: float) -> float:
    return scalars.seconds(figure) / limit if limit > 0 else 0.0


def _bar(share: float) -> rich.text.Text:
    """A budget's share as cells; a full one says that it is over."""
    cells = min(BAR, round(share * BAR))
    sign = "█" if terminal.speaks_unicode() else "#"
    style = terminal.Mark.BAD.style if share > 1 else terminal.Mark.GOOD.style
    return terminal.text((sign * cells, style), (" over" if share > 1 else "", style))


def _draw_candidates(
    site: rich.tree.Tree, candidates: inferenceplacement.Candidates, *, is_wide: bool
) -> None:
    """How many nodes were looked at, and why some were not taken; wide: what would change it."""
    rejected = sum(rejection.count for rejection in candidates.rejected)
    branch = site.add(f"candidates: {candidates.total} looked at, {rejected} rejected")
    rows = [
        [
            terminal.text(
                f"{rejection.count} ×" if terminal.speaks_unicode() else f"{rejection.count} x"
            ),
            terminal.text((rejection.reason, "bold")),
            terminal.text(("such as ", "dim"), terminal.clean(rejection.example)),
        ]
        for rejection in candidates.rejected
    ]
    for line in terminal.aligned(rows) if rows else ():
        branch.add(line)
    if is_wide:
        for node in candidates.chosen:
            site.add(terminal.text("on ", (node.node, "bold"), f": {terminal.clean(node.why)}"))
        for passed in candidates.passed:
            head = ("not on ", (passed.node, "bold"), ": ", (passed.reason, "yellow"))
            change = f"; it would take {terminal.clean(passed.change)}" if passed.change else ""
            site.add(terminal.text(*head, f": {terminal.clean(passed.message)}{change}"))


def _draw_proposals(
    site: rich.tree.Tree, proposals: Sequence[inferenceplacement.ProposedMove]
) -> None:
    """What waits for a person, who confirms it with `kubectl foreshore move`."""
    branch = site.add("waits for a person (kubectl foreshore move)")
    arrow = "→" if terminal.speaks_unicode() else "->"
    rows = [
        [
            terminal.text((proposal.slot, "bold")),
            terminal.text(f"{proposal.from_} {arrow} {proposal.to}"),
            terminal.text((proposal.since, "dim")),
            terminal.text((proposal.cause, "bold"), f": {terminal.clean(proposal.evidence)}"),
        ]
        for proposal in proposals
    ]
    for line in terminal.aligned(rows):
        branch.add(line)


def _draw_moves(site: rich.tree.Tree, moves: Sequence[inferenceplacement.Move]) -> None:
    """What went where, newest first, with what was seen."""
    branch = site.add("last moves")
    arrow = "→" if terminal.speaks_unicode() else "->"
    rows = [
        [
            terminal.text((move.time, "dim")),
            terminal.text(f"{move.from_ or '(new)'} {arrow} {move.to}"),
            terminal.text(
                (move.cause, "bold"),
                f": {terminal.clean(move.evidence)}",
                (", confirmed by a person" if move.confirmed else "", "dim"),
            ),
        ]
        for move in moves
    ]
    for line in terminal.aligned(rows):
        branch.add(line)


def _key(document: Mapping[str, Any]) -> tuple[str, str]:
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))
