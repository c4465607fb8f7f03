"""Which pod answers in a slot, and which one is to take its place.

    one pod ──edit or move──► the old one answers, the new one starts ──ready──► the new one answers
                                                                                 the old one drains

    the new one finds no room for long ──others serve, it fits──► the old one goes first

A slot is shown as the pod that answers, with the version that it serves. What it should be instead
is its `successor`. So agents never lose an address that works to one that does not work yet: the
rule is `foreshore_decision.in_force`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from foreshore_api.conditions import Reason
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_decision import in_force
from foreshore_planner import snapshot
from foreshore_planner.placement import troubles
from foreshore_planner.placement.case import Case, PodIntent, Sight

SETTLED = 120.0
"""Seconds after which agents have turned to a replica that serves."""


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """What ModelVersion a pod serves, and by which generation of the policy."""

    version: str | None
    digest: str | None
    generation: int | None


@dataclass(frozen=True, slots=True)
class Occupant:
    """Who has a slot: the pod that is wanted there, and another that answers until it does."""

    intent: PodIntent
    pod: snapshot.Replica | None
    """The wanted pod, if it exists."""
    old: snapshot.Replica | None
    """The pod that answers because the wanted one does not."""
    is_ready: bool
    """Whether either of them answers."""
    refusal: str | None = None
    """Why the API server does not let the wanted pod in; None once it answers."""

    @property
    def answering(self) -> snapshot.Replica | None:
        """The pod that is shown."""
        return self.pod if self.old is None else self.old

    @property
    def node(self) -> str:
        """The node of the pod that is shown."""
        return self.intent.node if self.old is None else self.old.node


def occupants(case: Case, intents: Mapping[str, PodIntent]) -> dict[str, Occupant]:
    """Return who has each slot."""
    existing = {pod.name: pod for pod in case.replicas}
    holders: dict[str, Occupant] = {}
    for slot, intent in intents.items():
        pod = existing.get(intent.name)
        chosen = in_force.choose(_able(case, intent, pod))
        held = chosen.held_back
        holders[slot] = Occupant(
            intent,
            pod,
            old=chosen.value if held is not None else None,
            is_ready=chosen.value is not None,
            refusal=held.cause if held is not None and held.reason == Reason.POD_REFUSED else None,
        )
    return holders


def _able(
    case: Case, intent: PodIntent, pod: snapshot.Replica | None
) -> Iterator[in_force.Option[snapshot.Replica]]:
    """Yield who can have a slot: the wanted pod, then those that answer instead of it."""
    if pod is not None and answers(case, pod):
        yield in_force.good(pod)
    refusal = case.seen.refusals.get((intent.namespace, intent.name))
    if refusal is not None:
        yield in_force.Option(None, in_force.Obstacle(Reason.POD_REFUSED, refusal))
    else:
        yield in_force.Option(None, STARTING)
    yield from map(in_force.good, _stand_ins(case, intent))


STARTING: Final = in_force.Obstacle(
    Reason.REPLICA_STARTING, "its pod to serve", "see the pod", is_waiting=True
)
"""Of a pod that does not answer, or not yet."""


def answers(case: Sight, pod: snapshot.Replica) -> bool:
    """Whether agents can infer at a pod, as far as anybody can tell."""
    if pod.address is None or case.verdicts.of(pod.node).is_lost:
        return False
    if pod.phase is snapshot.PodPhase.READY:
        return True
    return pod.phase is snapshot.PodPhase.UNREADY and case.is_out_of_sight(pod)


def is_settled_in(case: Case, pod: snapshot.Replica) -> bool:
    """Whether a pod is what its slot is shown as, ready, and no successor is on its way."""
    shown = listed(case, pod.slot)
    return (
        pod.phase is snapshot.PodPhase.READY
        and pod.template == case.template
        and shown is not None
        and shown.node == pod.node
        and shown.successor is None
    )


def is_served_by_another(case: Case, pod: snapshot.Replica) -> bool:
    """Whether a slot is served although this pod of it does not."""
    return any(
        other.slot == pod.slot and other.name != pod.name and answers(case, other)
        for other in case.replicas
    )


def yields(case: Case, occupants: Mapping[str, Occupant], active: Mapping[str, bool]) -> str | None:
    """Return the name of the one old pod that goes before its successor serves, for its room.

    Its successor has waited for long, has nowhere else to go, and would fit if the old one went.
    Every other slot answers, and agents have had time to turn to it. A standby goes first.
    """
    able = [
        slot
        for slot, occupant in occupants.items()
        if _is_without_surge(case, occupant)
        and len(occupants) > 1
        and all(_is_settled(other) for name, other in occupants.items() if name != slot)
    ]
    chosen = min(able, key=lambda slot: (active[slot], slot), default=None)
    old = occupants[chosen].old if chosen is not None else None
    return old.name if old is not None else None


def _is_settled(occupant: Occupant) -> bool:
    pod = occupant.answering
    is_ready = pod is not None and pod.phase is snapshot.PodPhase.READY
    return pod is not None and occupant.is_ready and is_ready and pod.phase_age >= SETTLED


def _is_without_surge(case: Case, occupant: Occupant) -> bool:
    """Whether a successor waits in vain for the room that its own predecessor has."""
    new, old = occupant.pod, occupant.old
    if new is None or old is None or new.node != old.node:
        return False
    is_waiting = new.phase is snapshot.PodPhase.PENDING and new.reason == Reason.UNSCHEDULABLE
    if not is_waiting or new.phase_age < troubles.SERVED_FOR:
        return False
    view = case.view(old.node)
    asked = case.demand.requests
    if view is None or view.free.has_room_for(asked):
        return False
    return (view.free + old.requests).has_room_for(asked)


def served(case: Case, pod: snapshot.Replica | None) -> ServedVersion:
    """Return what a pod serves.

    A pod of the version that is asked for serves the present generation, whatever generation it was
    made for. Another serves the generation that it was last shown with, else the one it was made
    for. Pods of releases that marked none are known by their template.
    """
    if pod is None:
        return ServedVersion(None, None, None)
    wanted = case.version.spec.digest, case.version.metadata.name
    is_wanted = (pod.digest, pod.version) == wanted
    if is_wanted or (pod.version is None and pod.template == case.template):
        shown = listed(case, pod.slot)
        generation = case.bound.policy.metadata.generation or 0
        if case.bound.problem is not None and shown is not None:
            generation = shown.policy_generation or generation
        return ServedVersion(wanted[1], wanted[0], generation)
    shown = listed(case, pod.slot)
    was = shown is not None and (shown.version, shown.digest) == (pod.version, pod.digest)
    last = shown.policy_generation if shown is not None and was else None
    return ServedVersion(pod.version, pod.digest, last or pod.policy_generation)


def listed(case: Sight, slot: str) -> inferenceplacement.ReplicaStatus | None:
    """Return how a slot was shown before."""
    before = case.before.status.replicas if case.before is not None else ()
    return next((replica for replica in before if replica.slot == slot), None)


def _stand_ins(case: Case, intent: PodIntent) -> list[snapshot.Replica]:
    """Return the pods that answer in a slot instead of the wanted one, the one shown before first.

    One that serves the very bytes that are asked for comes before it; one that has their version's
    name alone may be of long ago, and nobody works by it any more. After it come others with its
    bytes, then those that were made for the newest generation: an older one drains.
    """
    shown = listed(case, intent.slot)
    before = (shown.node, shown.version, shown.digest) if shown is not None else (None, None, None)
    wanted = case.version.metadata.name, case.version.spec.digest
    able = [
        pod
        for pod in case.replicas
        if pod.slot == intent.slot and pod.name != intent.name and answers(case, pod)
    ]
    return sorted(
        able,
        key=lambda pod: (
            (pod.version, pod.digest) != wanted,
            (pod.node, pod.version, pod.digest) != before,
            (pod.version, pod.digest) != before[1:],
            -(pod.policy_generation or 0),
            pod.name,
        ),
    )
