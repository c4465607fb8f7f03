"""Objects as they were read, and how each stands by the rules that kubectl and GitOps tools use.

The verbs read with `read` and judge with `standing`; both are pure. An object that this version
cannot read (written by a newer one) is kept as `Unreadable`, so that one stranger does not take the
whole screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

import pydantic

from foreshore_api import conditions, meta
from foreshore_api.v1alpha1 import statuses


class Observable(Protocol):
    """An object of the group, with the part of its status that every kind shares."""

    @property
    def metadata(self) -> meta.ObjectMeta:
        """Standard object metadata."""

    @property
    def status(self) -> statuses.Observed:
        """What the operator said."""


R = TypeVar("R", bound=meta.Resource)

NOT_SEEN: Final = "NotSeen"
"""Our own reason, where the operator has not given one yet."""


class ObjectState(StrEnum):
    """How an object stands, worst first."""

    STALLED = "Stalled"
    UNREADABLE = "Unreadable"
    NOT_READY = "NotReady"
    UNKNOWN = "Unknown"
    TERMINATING = "Terminating"
    PROGRESSING = "Progressing"
    READY = "Ready"


@dataclass(frozen=True, slots=True)
class ObjectStanding:
    """How an object stands and what it says about that."""

    state: ObjectState
    reason: str = ""
    message: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing is left to wait for or to mend."""
        return self.state is ObjectState.READY


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that does not have the shape this version knows."""

    namespace: str
    name: str
    problem: str


def read(
    kind: type[R], documents: Iterable[Mapping[str, Any]]
) -> tuple[tuple[R, ...], tuple[Unreadable, ...]]:
    """The objects of documents by namespace and name, and those that cannot be read."""
    resources: list[R] = []
    strange: list[Unreadable] = []
    for document in documents:
        try:
            resources.append(kind.read(document))
        except pydantic.ValidationError as error:
            metadata = document.get("metadata") or {}
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            strange.append(
                Unreadable(
                    namespace=str(metadata.get("namespace", "")),
                    name=str(metadata.get("name", "")),
                    problem=f"this version of the command cannot read {place}: {first['msg']}",
                )
            )
    resources.sort(key=lambda resource: (resource.namespace, resource.name))
    return tuple(resources), tuple(strange)


def standing(resource: Observable) -> ObjectStanding:
    """How an object stands: kstatus, in the order in which it looks."""
    reported = resource.status.conditions
    ready = conditions.find(reported, conditions.Type.READY)
    stalled = conditions.find(reported, conditions.Type.STALLED)
    if resource.metadata.deletion_timestamp is not None:
        return ObjectStanding(ObjectState.TERMINATING, "Deleted", "it is being deleted")
    if resource.status.observed_generation < (resource.metadata.generation or 0) or ready is None:
        return ObjectStanding(
            ObjectState.PROGRESSING, NOT_SEEN, "the operator has not looked at it yet"
        )
    if stalled is not None and stalled.status is conditions.Status.TRUE:
        return ObjectStanding(ObjectState.STALLED, stalled.reason, stalled.message)
    if conditions.is_true(reported, conditions.Type.RECONCILING):
        return ObjectStanding(ObjectState.PROGRESSING, ready.reason, ready.message)
    state = {
        conditions.Status.TRUE: ObjectState.READY,
        conditions.Status.FALSE: ObjectState.NOT_READY,
        conditions.Status.UNKNOWN: ObjectState.UNKNOWN,
    }[ready.status]
    return ObjectStanding(state, ready.reason, ready.message)


def says(resource: Observable, type_: conditions.Type) -> str | None:
    """The status of a condition, `True`, `False` or `Unknown`; None where it is absent."""
    condition = conditions.find(resource.status.conditions, type_)
    return None if condition is None else condition.status.value
