"""`kubectl foreshore move`: what waits for a person, and their word for one of it.

look (placements, their proposals) ─► shown ─► asked ─► still proposed? ─► annotation confirmed-move

The operator proposes and moves; this writes nothing but the id of the proposal that a person read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import rich.text

from foreshore_api import meta, v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement, placing
from foreshore_cli import api, asking, errors, objects, options, placements, terminal

Json = dict[str, Any]

KIND: Final = v1alpha1.InferencePlacement


@dataclass(frozen=True, slots=True)
class Choice:
    """Which proposal is meant, and whether a person has said yes already."""

    policy: str | None = None
    site: str | None = None
    slot: str | None = None
    is_confirmed: bool = False

    @property
    def is_of_any(self) -> bool:
        """Whether nothing is named: then all are listed."""
        return self.policy is None and self.site is None and self.slot is None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal and the placement that it is of."""

    placement: v1alpha1.InferencePlacement
    proposal: inferenceplacement.ProposedMove

    @property
    def words(self) -> str:
        """What would move."""
        arrow = "→" if terminal.speaks_unicode() else "->"
        proposal = self.proposal
        return f"{proposal.slot} of {self.placement.name}: {proposal.from_} {arrow} {proposal.to}"


def run(target: options.Target, output: options.OutputFormat, choice: Choice) -> int:
    """List what is proposed, or confirm the one that is meant; return the exit code."""
    server = api.connect(target)
    waiting = look(server, choice)
    if output.is_document:
        terminal.document({"proposals": [written(entry) for entry in waiting]}, output)
    elif choice.is_of_any:
        _list(waiting, server.namespace)
    is_listed = choice.is_of_any or (output.is_document and bool(waiting))
    if is_listed and not choice.is_confirmed:
        return errors.EXIT_WELL
    entry = only(server, waiting, choice)
    if not output.is_document:
        terminal.show(*told(server, entry))
    if asking.confirmer(is_sure=choice.is_confirmed)("Move it?"):
        confirm(server, entry)
        return errors.EXIT_WELL
    terminal.say("Nothing was confirmed.")
    return errors.EXIT_UNWELL


def look(server: api.Reads, choice: Choice) -> tuple[Waiting, ...]:
    """Read what is proposed, by placement and slot."""
    documents = server.list(meta.API_VERSION, KIND.plural, {})
    readable, strange = objects.read(KIND, documents)
    for unreadable in strange:
        terminal.say(f"{unreadable.name}: {unreadable.problem}")
    chosen = placements.Filter(choice.policy, choice.site)
    return tuple(
        Waiting(placement, proposal)
        for placement in readable
        if chosen.takes(placement)
        for proposal in placement.status.proposals
        if choice.slot in (None, proposal.slot)
    )


def only(server: api.Reads, waiting: Sequence[Waiting], choice: Choice) -> Waiting:
    """Return the one that is meant. Raises CommandError where none is, or more than one."""
    if not waiting:
        raise errors.CommandError(_nothing(server, choice))
    if len(waiting) > 1:
        named = "; ".join(entry.words for entry in waiting[:5])
        more = f" and {len(waiting) - 5} more" if len(waiting) > 5 else ""
        raise errors.UsageError(
            f"{len(waiting)} moves are proposed ({named}{more}): name one with its placement and"
            " --slot"
        )
    return waiting[0]


def _nothing(server: api.Reads, choice: Choice) -> str:
    """Say why nothing is proposed, and what would help."""
    place = f"namespace {server.namespace}" if server.namespace else "any namespace"
    if choice.policy is None:
        return f"nothing is proposed in {place}: only policies with failover Manual wait for you"
    seen = placements.look(server, placements.Filter(choice.policy, choice.site))
    policy = next((branch.policy for branch in seen.branches if branch.policy is not None), None)
    if policy is not None and policy.spec.placement.failover is not placing.Failover.MANUAL:
        failover = policy.spec.placement.failover
        return (
            f"nothing is proposed of {choice.policy}: its failover is {failover}, and only Manual"
            " waits for a person; to empty a node yourself, cordon it"
        )
    return (
        f"nothing is proposed of {choice.policy}, or not any more; see"
        f" kubectl foreshore placements {choice.policy}"
    )


def told(server: api.Reads, entry: Waiting) -> Iterator[rich.text.Text]:
    """Say what would be done, what it costs, and what would be lost."""
    proposal, placement = entry.proposal, entry.placement
    yield terminal.text((entry.words, "bold"))
    evidence = f": {terminal.clean(proposal.evidence)}" if proposal.evidence else ""
    yield terminal.text(f"  why    {proposal.cause}", evidence, f" (since {proposal.since})")
    yield terminal.text(f"  costs  {_price(server, placement)} on {proposal.to}")
    others = [
        f"{replica.slot} on {replica.node}"
        for replica in placement.status.replicas
        if replica.slot != proposal.slot and replica.phase is inferenceplacement.ReplicaPhase.READY
    ]
    if others:
        yield terminal.text(f"  lost   nothing: {', '.join(others[:3])} serves meanwhile")
    else:
        lost = "no other replica serves: until the new one does, only agents that still reach"
        yield terminal.text(f"  lost   {lost} {proposal.from_} infer")


def _price(server: api.Reads, placement: v1alpha1.InferencePlacement) -> str:
    """Say what a replica asks for, as far as its version can be read."""
    versions = sorted(filter(None, (replica.version for replica in placement.status.replicas)))
    namespace, plural = placement.metadata.namespace or "", v1alpha1.ModelVersion.plural
    try:
        documents = [server.one_of(meta.API_VERSION, plural, (namespace, versions[0]))]
    except (IndexError, errors.CommandError):  # it may be gone: what it asked for is then unknown
        return "one more pod"
    readable, _ = objects.read(v1alpha1.ModelVersion, documents)
    if not readable:
        return "one more pod"
    asked = readable[0].spec.resources
    return f"one more pod of {asked.cpu} CPU and {asked.memory} memory"


def confirm(server: api.Writes, entry: Waiting) -> None:
    """Write the id of what was read. Raises CommandError where it is not proposed any more."""
    proposal, metadata = entry.proposal, entry.placement.metadata
    key = (metadata.namespace or "", metadata.name)
    readable, _ = objects.read(KIND, [server.one_of(meta.API_VERSION, KIND.plural, key)])
    proposed = {now.id for placement in readable for now in placement.status.proposals}
    if proposal.id not in proposed:
        raise errors.CommandError(
            f"{proposal.id} is not proposed any more: look again with kubectl foreshore move"
            f" {metadata.name} -n {metadata.namespace}"
        )
    server.annotate(readable[0], {meta.ANNOTATION_CONFIRMED: proposal.id})
    terminal.say(
        f"Confirmed {proposal.id}: the operator moves {entry.words}; follow it with"
        f" kubectl foreshore placements {metadata.name} -n {metadata.namespace}"
    )


def _list(waiting: Sequence[Waiting], namespace: str) -> None:
    if not waiting:
        place = f"namespace {namespace}" if namespace else "any namespace"
        terminal.say(f"No move waits for a person in {place}.")
        return
    rows = [
        [
            terminal.text((entry.placement.name, "bold")),
            terminal.text(entry.words.partition(": ")[2]),
            terminal.text(entry.proposal.slot),
            terminal.text((entry.proposal.since, "dim")),
            terminal.text((entry.proposal.cause, "bold")),
            terminal.text(entry.proposal.id),
        ]
        for entry in waiting
    ]
    terminal.show(*terminal.aligned(rows))


def written(entry: Waiting) -> Json:
    """One proposal as a document."""
    metadata = entry.placement.metadata
    return {
        "namespace": metadata.namespace or "",
        "placement": metadata.name,
        **entry.proposal.document(),
    }
