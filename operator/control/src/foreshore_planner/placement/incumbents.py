"""Who fills each slot now, and which nodes a placement left lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from foreshore_api import scalars, v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_planner import snapshot


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The node that a slot was put on, and the pod there if it is seen.

    Another pod may answer in the slot meanwhile: see `serving`.
    """

    slot: str
    node: str
    pod: snapshot.Replica | None
    was_active: bool

    @property
    def is_ready(self) -> bool:
        """Whether its pod serves."""
        return self.pod is not None and self.pod.phase is snapshot.PodPhase.READY


def find(
    replicas: Sequence[snapshot.Replica],
    before: v1alpha1.InferencePlacement | None,
    slots: Sequence[str],
    template: str,
) -> dict[str, Incumbent]:
    """Return who has each slot: by the placement's status, else by the pods themselves.

    A status can be lost, or not be written yet when the operator starts again.

    Of several pods that claim a slot, those of the present template come first, then ready ones,
    then names.
    """
    listed = {} if before is None else {replica.slot: replica for replica in before.status.replicas}
    held: dict[str, Incumbent] = {}
    for slot in slots:
        claims = [replica for replica in replicas if replica.slot == slot and _is_alive(replica)]
        shown = listed.get(slot)
        was_active = shown is not None and shown.role is inferenceplacement.Role.ACTIVE
        if shown is not None:
            node = shown.node if shown.successor is None else shown.successor.node
            here = [claim for claim in claims if claim.node == node]
            held[slot] = Incumbent(slot, node, _best(here, template), was_active)
        elif claims:
            best = _best(claims, template)
            if best is not None:
                held[slot] = Incumbent(slot, best.node, best, was_active)
    return held


def departures(
    past: Sequence[inferenceplacement.Move], since: datetime
) -> list[inferenceplacement.Move]:
    """Return the moves off a node since then; one whose time cannot be read says nothing."""
    return [move for move in past if move.from_ is not None and _is_since(move.time, since)]


def _is_since(time: str, since: datetime) -> bool:
    try:
        return scalars.instant(time) >= since
    except ValueError:
        return False


def _is_alive(replica: snapshot.Replica) -> bool:
    return replica.phase is not snapshot.PodPhase.TERMINATING


def _best(claims: Sequence[snapshot.Replica], template: str) -> snapshot.Replica | None:
    ordered = sorted(
        claims,
        key=lambda claim: (
            claim.template != template,
            claim.phase is not snapshot.PodPhase.READY,
            claim.name,
        ),
    )
    return ordered[0] if ordered else None
