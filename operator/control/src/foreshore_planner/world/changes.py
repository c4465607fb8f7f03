"""What a delta and the time since the last one changed, thing by thing.

`seen` and `hearing` note it, the steps of the fold read it.
"""

from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from foreshore_planner import named, snapshot

T = TypeVar("T")


class Alteration(NamedTuple, Generic[T]):
    """One thing before and after; None where it was not, or is no more."""

    old: T | None
    new: T | None


@dataclass(slots=True)
class Changes:
    """Everything that changed, by what it is about."""

    objects: dict[str, dict[named.Key, Alteration[Any]]] = field(default_factory=dict)
    """By kind."""
    nodes: dict[str, Alteration[snapshot.Node]] = field(default_factory=dict)
    """Also those that only crossed a limit of age."""
    replicas: dict[named.Key, Alteration[snapshot.Replica]] = field(default_factory=dict)
    agents: set[str] = field(default_factory=set)
    """Nodes of agents that say something else, fell silent, or are back."""
    freshness: set[str] = field(default_factory=set)
    """Nodes of agents that grew late, or report in time again, and were heard all the while."""
    words: set[str] = field(default_factory=set)
    """Those of them whose problems or caps changed, or that are heard or not heard any more."""
    figures: set[str] = field(default_factory=set)
    """Nodes of agents of which only figures changed."""
    rights: set[named.Key] = field(default_factory=set)
    """Devices for which the hub's renewals do not just go on."""
    hub: bool = False
    """Whether the hub came or went, or has been up for long enough to be believed."""
    parts: set[str] = field(default_factory=set)
    """Nodes whose agent's pod changed."""
    hub_parts: bool = False
    problems: set[str] = field(default_factory=set)
    """Nodes with which the hub has other problems than before."""
    refusals: set[named.Key] = field(default_factory=set)
    compiled: set[named.Key] = field(default_factory=set)
    serving_image: bool = False
    stabilization: bool = False
    due: set[Any] = field(default_factory=set)
    """What asked to be looked at by now, of those that do not age themselves."""
