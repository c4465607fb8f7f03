"""Which successors of replicas that serve are begun now, so that a rollout goes in waves.

A version edit wants a successor beside every replica at once, over a whole fleet. Begun are those
that their nodes have room for, and of a placement the standbys first: a version that cannot serve
is then met by nobody's active replica. The others keep the pod that they have, and their turn comes
when what was begun on their node has finished. Where nothing is under way on a node one is begun
although it has no room: it waits and says so (`Unschedulable`), and may take its predecessor's
place in the end (`serving.yields`). Called by `placing`, scarcest placements first.
"""

import dataclasses
from collections import Counter

from foreshore_planner import snapshot
from foreshore_planner.placement import incumbents, serving, supply, troubles, turns
from foreshore_planner.placement.case import Case


def begun(stock: supply.Supply, turn: turns.PermittedWants) -> turns.PermittedWants:
    """Take the room of pods that are made anew where their predecessors stand, or let them wait."""
    case, later = turn.wants.case, set[str]()
    present = {(pod.slot, pod.node) for pod in case.replicas if pod.template == case.template}
    anew = {slot: held for slot, held in turn.staying.items() if (slot, held.node) not in present}
    for slot, held in sorted(anew.items(), key=lambda item: (item[1].was_active, item[0])):
        is_served = _is_served(case, slot)
        if is_served and (_waits_for_standby(case, turn, held) or not _has_turn(stock, case, held)):
            later.add(slot)
        else:
            stock.take(held.node, case.demand.requests)
    return dataclasses.replace(turn, later=frozenset(later)) if later else turn


def _is_served(case: Case, slot: str) -> bool:
    """Whether some pod answers in a slot, of whichever template."""
    return any(pod.slot == slot and serving.answers(case, pod) for pod in case.replicas)


def _waits_for_standby(case: Case, turn: turns.PermittedWants, held: incumbents.Incumbent) -> bool:
    """Whether a standby that can be made anew does not serve yet."""
    if not held.was_active:
        return False
    made = {
        pod.slot
        for pod in case.replicas
        if pod.template == case.template and serving.answers(case, pod)
    }
    return any(
        not other.was_active and slot not in made and not case.verdicts.of(other.node).is_lost
        for slot, other in turn.wants.held.items()  # also one that is to go and cannot
    )


def _has_turn(stock: supply.Supply, case: Case, held: incumbents.Incumbent) -> bool:
    """Whether a successor fits on its node, or nothing under way there would make room for it."""
    node = case.seen.index.nodes.get(held.node)
    if node is None or stock.free(node).has_room_for(case.demand.requests):
        return True
    return held.node not in stock.taken and not _is_busy(case.seen, held.node)


def _is_busy(seen: snapshot.Snapshot, node: str) -> bool:
    """Whether a pod starts or goes on a node: it is not ready, or one of two in a slot there.

    What has not come to an end for long is not waited for.
    """
    pods = seen.index.replicas_on.get(node, ())
    slots = Counter((pod.namespace, pod.policy, pod.site, pod.slot) for pod in pods)
    moving = (
        pod
        for pod in pods
        if pod.phase is not snapshot.PodPhase.READY
        or slots[(pod.namespace, pod.policy, pod.site, pod.slot)] > 1
    )
    return any(pod.phase_age < troubles.SERVED_FOR for pod in moving)
