"""`kubectl foreshore why-placed`: why a policy infers where it does, and not elsewhere.

placements.look (one policy) ─► PlacementExplanation of each placement ─► text | document

From the placements' status alone: the operator wrote down what it compared, this puts it in words.
Where the status does not name a node that is asked about, that is said, with what is known.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rich.text
import rich.tree

from foreshore_api import scalars, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_cli import api, errors, options, placements, terminal

Json = dict[str, Any]

BRIEF: Final = 3
"""Nodes and moves that are told; `-o wide` tells all that status has."""


@dataclass(frozen=True, slots=True)
class PlacementQuestion:
    """What is asked about the placements of a policy."""

    policy: str
    site: str | None = None
    slot: str | None = None
    node: str | None = None
    at: datetime.datetime | None = None
    """A moment in the past; None for now."""


@dataclass(frozen=True, slots=True)
class PlacementExplanation:
    """What one placement's status answers."""

    placement: v1alpha1.InferencePlacement
    replicas: tuple[inferenceplacement.ReplicaStatus, ...]
    """As they are now; none where a moment in the past is asked about."""
    chosen: Mapping[str, inferenceplacement.ChosenNode]
    """By node."""
    passed: tuple[inferenceplacement.PassedNode, ...]
    moves: tuple[inferenceplacement.Move, ...]
    unnamed: str = ""
    """What is known of a node that was asked about and that status does not name."""

    def document(self) -> Json:
        """The same for programs."""
        return {
            "namespace": self.placement.namespace,
            "policy": self.placement.spec.policy_ref.name,
            "site": self.placement.spec.site,
            "replicas": [replica.document() for replica in self.replicas],
            "chosen": [node.document() for _, node in sorted(self.chosen.items())],
            "passed": [node.document() for node in self.passed],
            "moves": [move.document() for move in self.moves],
            **({"unnamed": self.unnamed} if self.unnamed else {}),
        }


def moment(written: str) -> datetime.datetime:
    """The moment that a person wrote. Raises UsageError."""
    try:
        return scalars.instant(written)
    except ValueError:
        hint = "such as 2026-03-01T10:00:00Z"
        raise errors.UsageError(f"--at takes a moment, {hint}, and not {written!r}") from None


def run(target: options.Target, output: options.OutputFormat, question: PlacementQuestion) -> int:
    """Read, explain, show; return the exit code."""
    server = api.connect(target)
    explanations = explain(server, question)
    is_wide = output is options.OutputFormat.WIDE
    if output.is_document:
        items = [explanation.document() for explanation in explanations]
        terminal.document({"placements": items}, output)
    else:
        terminal.show(
            *(drawn(it, question, is_wide=is_wide) for it in explanations), is_wide=is_wide
        )
    return errors.EXIT_WELL


def explain(server: api.Reads, question: PlacementQuestion) -> list[PlacementExplanation]:
    """Explain every placement that is asked about. Raises CommandError where there is none."""
    seen = placements.look(server, placements.Filter(question.policy))
    for unreadable in seen.unreadable:
        terminal.say(f"{unreadable.name}: {unreadable.problem}")
    listed = [
        placement
        for branch in seen.branches
        for placement in branch.placements
        if question.site in (None, placement.spec.site)
    ]
    if not listed:
        where = f" at site {question.site}" if question.site else ""
        hint = f"`kubectl foreshore placements {question.policy}` says why"
        raise errors.CommandError(f"nothing is placed for {question.policy!r}{where}: {hint}")
    slots = {replica.slot for placement in listed for replica in placement.status.replicas}
    if question.slot is not None and question.slot not in slots:
        raise errors.CommandError(f"no placement of {question.policy!r} has a slot {question.slot}")
    return [explained(placement, question) for placement in listed]


def explained(
    placement: v1alpha1.InferencePlacement, question: PlacementQuestion
) -> PlacementExplanation:
    """Pick from one placement's status what was asked."""
    moves = _moves(placement, question)
    if question.at is not None:  # how it is now is no answer
        return PlacementExplanation(placement, (), {}, (), moves)
    status, node = placement.status, question.node
    considered = status.candidates
    chosen = {of.node: of for of in considered.chosen} if considered else {}
    passed = considered.passed if considered else ()
    if node is not None:
        in_use = tuple(replica for replica in status.replicas if node in _nodes(replica))
        passed = tuple(other for other in passed if other.node == node)
        chosen = {name: of for name, of in chosen.items() if name == node}
        unnamed = "" if passed or in_use else _unnamed(node, considered)
        return PlacementExplanation(placement, in_use, chosen, passed, moves, unnamed)
    replicas = status.replicas
    if question.slot is not None:
        replicas = tuple(replica for replica in replicas if replica.slot == question.slot)
        names = {name for replica in replicas for name in _nodes(replica)}
        chosen = {name: of for name, of in chosen.items() if name in names}
    return PlacementExplanation(placement, replicas, chosen, passed, moves)


def _nodes(replica: inferenceplacement.ReplicaStatus) -> set[str]:
    """The nodes of a replica: its own, and its successor's."""
    return {replica.node} | ({replica.successor.node} if replica.successor else set())


def _moves(
    placement: v1alpha1.InferencePlacement, question: PlacementQuestion
) -> tuple[inferenceplacement.Move, ...]:
    """The moves that were asked about, newest first."""
    moves = placement.status.moves
    if question.slot is not None:
        of_slot = (of for of in placement.status.replicas if of.slot == question.slot)
        nodes = {name for replica in of_slot for name in _nodes(replica)}
        moves = tuple(_moves_to(nodes, moves))
    if question.at is not None:
        moves = tuple(_until(question.at, moves))
    if question.node is None:
        return moves
    return tuple(move for move in moves if question.node in (move.from_, move.to))


def _moves_to(
    nodes: set[str], moves: Sequence[inferenceplacement.Move]
) -> Iterator[inferenceplacement.Move]:
    """Moves that led to these nodes, newest first: each leads to where the next one began."""
    for move in moves:
        if move.to in nodes:
            yield move
            nodes = nodes | ({move.from_} if move.from_ else set())


def _until(
    at: datetime.datetime, moves: Sequence[inferenceplacement.Move]
) -> Iterator[inferenceplacement.Move]:
    """Moves that had been made by then; one whose time cannot be read is left out."""
    for move in moves:
        try:
            is_earlier = scalars.instant(move.time) <= at
        except ValueError:
            continue
        if is_earlier:
            yield move


def _unnamed(node: str, considered: inferenceplacement.Candidates | None) -> str:
    """What is known of a node that status does not name."""
    if considered is None:
        return f"the operator has not compared any nodes yet, {node} neither"
    counted = ", ".join(f"{of.count} {of.reason}" for of in considered.rejected)
    others = f": of {considered.total} nodes, {counted}" if counted else ""
    return f"{node} is none of the {inferenceplacement.PASSED} nodes that are named{others}"


def drawn(
    explanation: PlacementExplanation, question: PlacementQuestion, *, is_wide: bool
) -> rich.tree.Tree:
    """One placement as a tree: why here, why not there, how it came here."""
    placement = explanation.placement
    head = (placement.spec.policy_ref.name, "bold")
    tree = rich.tree.Tree(
        terminal.text(head, " at site ", (placement.spec.site, "bold"), _as_of(question)),
        guide_style="dim",
    )
    if question.at is None:
        _draw_replicas(tree, explanation, question)
        _draw_budget(tree, placement.status.budget)
        _draw_passed(tree, explanation.passed if is_wide else explanation.passed[:BRIEF])
        _draw_rest(tree, explanation, is_wide=is_wide)
    if explanation.unnamed:
        tree.add(terminal.text(terminal.clean(explanation.unnamed)))
    _draw_moves(tree, explanation.moves if is_wide else explanation.moves[:BRIEF], question)
    if not is_wide and len(explanation.moves) > BRIEF:
        more = f"{len(explanation.moves) - BRIEF} more moves with -o wide"
        tree.add(terminal.text((more, "dim")))
    return tree


def _as_of(question: PlacementQuestion) -> str:
    return f" at {scalars.timestamp(question.at)}" if question.at is not None else ""


def _draw_replicas(
    tree: rich.tree.Tree, explanation: PlacementExplanation, question: PlacementQuestion
) -> None:
    for replica in explanation.replicas:
        next_ = replica.successor
        if question.node in (None, replica.node):
            words = f" is on {replica.node}: {replica.role}, {replica.phase}"
            branch = tree.add(terminal.text((replica.slot, "bold"), words))
            if next_ is None or next_.node == replica.node:
                _draw_reasons(branch, explanation.chosen.get(replica.node))
        if next_ is not None and next_.node != replica.node and question.node in (None, next_.node):
            words = f" moves to {next_.node}: its successor there is {next_.phase}"
            branch = tree.add(terminal.text((replica.slot, "bold"), words))
            _draw_reasons(branch, explanation.chosen.get(next_.node))


def _draw_reasons(branch: rich.tree.Tree, node: inferenceplacement.ChosenNode | None) -> None:
    """What spoke for a node in use."""
    if node is None:
        branch.add(terminal.text(("why is not known: the operator has not said it yet", "dim")))
        return
    if node.why:
        branch.add(terminal.text(terminal.clean(node.why)))
    branch.add(terminal.text(_figures(node)))


def _figures(node: inferenceplacement.ChosenNode | inferenceplacement.PassedNode) -> str:
    """What is predicted of a node, how busy it is, what it costs."""
    parts = [
        f"predicted {node.predicted}" if node.predicted else "nothing predicted",
        f"{node.busy} % busy" if node.busy is not None else "",
        f"{node.price} an hour" if node.price is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _draw_budget(tree: rich.tree.Tree, budget: inferenceplacement.Budget | None) -> None:
    """The prediction's parts, and how far it is off."""
    if budget is None:
        return
    split = ", ".join(f"{share.stage} {share.p99}" for share in budget.split)
    of = f" ({split})" if split else ""
    measured = budget.measured or "not yet"
    line = (
        f"budget {budget.limit}: predicted {budget.predicted or 'nothing'}{of}, measured {measured}"
    )
    branch = tree.add(terminal.text(line))
    if budget.model_error is not None:
        error = budget.model_error
        side = "above" if error.percent > 0 else "below"
        text = (
            f"measured {abs(error.percent)} % {side} what the stages add up to, since {error.since}"
        )
        branch.add(terminal.text((text, "yellow")))
    if budget.margin is not None:
        branch.add(terminal.text(f"predictions here are raised by {budget.margin} % for that"))


def _draw_passed(tree: rich.tree.Tree, passed: Sequence[inferenceplacement.PassedNode]) -> None:
    for node in passed:
        message = f": {terminal.clean(node.message)}" if node.message else ""
        branch = tree.add(
            terminal.text("not on ", (node.node, "bold"), ": ", (node.reason, "yellow"), message)
        )
        branch.add(terminal.text(_figures(node)))
        if node.change:
            branch.add(terminal.text(f"what would change it: {terminal.clean(node.change)}"))


def _draw_rest(tree: rich.tree.Tree, explanation: PlacementExplanation, *, is_wide: bool) -> None:
    """How many nodes are not told of, and why each kind was none."""
    considered = explanation.placement.status.candidates
    left = 0 if is_wide else len(explanation.passed) - BRIEF
    if left > 0:
        tree.add(terminal.text((f"{left} more nodes with -o wide", "dim")))
    if considered is not None and is_wide:
        for of in considered.rejected:
            tree.add(terminal.text(f"{of.count} nodes: ", (of.reason, "yellow")))


def _draw_moves(
    tree: rich.tree.Tree, moves: Sequence[inferenceplacement.Move], question: PlacementQuestion
) -> None:
    """How it came here, newest first: cause, evidence, what else was possible."""
    if not moves:
        by_then = "by then" if question.at is not None else "that status still knows"
        tree.add(terminal.text((f"no move {by_then}", "dim")))
    for move in moves:
        path = f"from {move.from_} to {move.to}" if move.from_ else f"placed on {move.to}"
        row = reasons.TABLE.get(move.cause)
        meaning = f" ({row.meaning.rstrip('.')})" if row is not None else ""
        branch = tree.add(
            terminal.text((move.time, "dim"), f" {path}: ", (move.cause, "bold"), meaning)
        )
        if move.evidence:
            branch.add(terminal.text(f"seen: {terminal.clean(move.evidence)}"))
        if move.others:
            branch.add(terminal.text(f"possible too: {terminal.clean(move.others)}"))
