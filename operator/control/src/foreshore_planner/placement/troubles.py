"""What keeps a pod from serving, as codes for conditions, and how long it is waited for.

Two questions with two answers. *Would it be the same on every node?* Then moving helps nobody, and
the placement says what a person has to mend. *Is it only slow?* A successor whose slot is served
meanwhile, and a pod whose image is being pulled, are waited for much longer than one that nobody
stands in for.
"""

import re

from foreshore_api import conditions
from foreshore_api.reasons import serving
from foreshore_planner import snapshot

Reason = conditions.Reason

MODEL_FAULTS = frozenset({*serving.LASTING, Reason.MODEL_REJECTED})
"""Reasons of a pod that lie in the model version; the last one if its words cannot be read."""

EVERYWHERE = MODEL_FAULTS | {Reason.SECRET_MISSING}
"""Reasons of a pod that would be the same on every node: moving it would help nobody."""

CONTAINER_CREATING = "ContainerCreating"
"""Reason of a pod that has its node, while its volumes are mounted and its image is pulled."""

STARTING_FOR = 60.0
"""Seconds after which a pod that does not become ready is given up where it is."""

CREATING_FOR = 300.0
"""The same while its container is being created: an image may come over a thin uplink."""

SERVED_FOR = 600.0
"""The same for a successor, while the pod that it is to replace serves on."""

_REASON = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")


def patience(pod: snapshot.Replica, *, is_served: bool) -> float:
    """Return how many seconds a pod has to become ready; `is_served` says that another serves."""
    if is_served:
        return SERVED_FOR
    return CREATING_FOR if pod.reason == CONTAINER_CREATING else STARTING_FOR


def is_hopeless(pod: snapshot.Replica, *, is_served: bool) -> bool:
    """Whether another node would do it no good.

    An image that cannot be pulled may lie on another node: that is tried where nobody serves.
    """
    return pod.reason in EVERYWHERE or (is_served and pod.reason == Reason.IMAGE_PULL)


def of(pod: snapshot.Replica) -> tuple[Reason, str] | None:
    """Return (reason, message) of what a person has to look at; None where it only needs time."""
    message = f"{pod.reason}: {pod.message}" if pod.message else str(pod.reason)
    if pod.reason == Reason.DIGEST_MISMATCH:
        return Reason.DIGEST_MISMATCH, message
    if pod.reason in MODEL_FAULTS:
        return Reason.MODEL_REJECTED, message
    if pod.reason in (Reason.IMAGE_PULL, Reason.SECRET_MISSING, Reason.PROVIDER_MISSING):
        return Reason(pod.reason), pod.message or message
    if pod.phase is snapshot.PodPhase.FAILED:
        return Reason.REPLICA_FAILED, pod.message or pod.reason or "the pod failed"
    is_restarting = pod.phase is snapshot.PodPhase.UNREADY and pod.restarts > 0
    return (Reason.REPLICA_FAILED, message) if is_restarting and pod.reason else None


def code(pod: snapshot.Replica | None) -> str | None:
    """Return a pod's reason where it has the form of one; others are in the message."""
    return written(pod.reason if pod is not None else None)


def written(reason: str | None) -> str | None:
    """Return what somebody gave as a reason where it has the form of one, else None."""
    return reason if reason is not None and _REASON.fullmatch(reason) else None
