"""When each node fell silent lately: not Ready, its Lease stale, or gone and back under its name.

A site that goes dark as a whole says nothing of its nodes: what it silenced is withdrawn. So it is
with the nodes of no site together: it is the API server that is away, or slow, when most of them
fall silent.

    heard ──(falls silent)──────────────────────────────► counted
    counted ──(most of its site dark for DARK_AFTER)────► withdrawn
    withdrawn ──(alone silent for ALONE_AFTER)──────────► counted, of the moment since it is alone
    any ──(heard)──► heard

`hosts` tells it what is heard and asks it to `settle` each second. Every replica of the operator
observes, so that who takes over knows what its predecessor knew. The planner reads the ages
(`foreshore_planner.quarantine`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from foreshore_planner import quarantine

KEPT: Final = 8
"""Moments of one node, the newest; by more than two nothing is decided."""

DARK_AFTER: Final = 5.0
"""Seconds for which most of a site must be silent together to be taken for one fault.

Two nodes that take turns seem silent together for as long as one is seen later than the other.
"""

SPREAD: Final = 30.0
"""Seconds before that within which its nodes fall silent one by one, as each Lease runs out."""

ALONE_AFTER: Final = 12.0
"""Seconds after a site is back, in which its nodes return one by one."""

GONE_KEPT: Final = 10_000
"""Nodes that are gone and of which moments are kept; the first that went are forgotten first."""

PRUNED_EVERY: Final = 60.0
"""Seconds between two looks for what is older than it is kept."""

NO_SITE: Final = ""
"""Stands for the site of nodes of none."""


class FlapState(Enum):
    """What a silence that lasts counts for."""

    COUNTED = "Counted"
    WITHDRAWN = "Withdrawn"
    NEVER_HEARD = "NeverHeard"
    """It was silent when it was first seen: a node that joins is not Ready at once."""


@dataclass(slots=True)
class Silence:
    """A silence that lasts."""

    at: float
    """The moment that counts."""
    state: FlapState


@dataclass(slots=True)
class SiteSilence:
    """Since when most of a site is silent, or is not any more; None where it is otherwise."""

    dark_since: float | None = None
    lit_since: float | None = None


class NodeFlaps:
    """The moments at which nodes fell silent, by node, by the observer's own clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._moments: dict[str, tuple[float, ...]] = {}
        """Newest first."""
        self._silent: dict[str, Silence] = {}
        self._site_of: dict[str, str] = {}
        """Nodes that are there."""
        self._nodes_of: dict[str, set[str]] = {}
        self._sites: dict[str, SiteSilence] = {}
        """Sites with a silent node."""
        self._gone: dict[str, float] = {}
        self._forgotten = 0
        self._pruned_at = clock()

    def ages(self, name: str) -> tuple[float, ...]:
        """Return for how many seconds each moment is past, the newest first."""
        now = self._clock()
        every = (now - moment for moment in self._moments.get(name, ()))
        return tuple(age for age in every if age < quarantine.WINDOW)

    def all_ages(self) -> Mapping[str, tuple[float, ...]]:
        """Return the same of every node that ever fell silent, as of now."""
        return {name: self.ages(name) for name in self._moments}

    def is_silent(self, name: str) -> bool:
        """Whether a node has fallen silent and was not heard since."""
        return name in self._silent

    def fell(self, name: str, site: str | None) -> None:
        """A node is silent."""
        site = site or NO_SITE
        is_known = name in self._site_of
        is_back = self._gone.pop(name, None) is not None
        self._put(name, site)
        if name not in self._silent and (is_known or is_back):
            self._count(name, self._clock())
        self._silent.setdefault(name, Silence(self._clock(), FlapState.NEVER_HEARD))
        self._look(site)

    def heard(self, name: str, site: str | None) -> None:
        """A node is heard."""
        site = site or NO_SITE
        self._gone.pop(name, None)
        self._put(name, site)
        self._silent.pop(name, None)
        self._look(site)

    def gone(self, name: str) -> None:
        """A node is no more; where it comes back, it had fallen silent."""
        if name not in self._site_of:
            return
        if name not in self._silent:
            self._count(name, self._clock())
        self._gone[name] = self._clock()
        self._leave(name)
        while len(self._gone) > GONE_KEPT:
            self._forget(next(iter(self._gone)))
            self._forgotten += 1

    def take_forgotten(self) -> int:
        """Return how many nodes that are gone were forgotten early since somebody asked last."""
        count, self._forgotten = self._forgotten, 0
        return count

    def settle(self) -> frozenset[str]:
        """Withdraw and count what time has decided; the nodes of which other moments count now."""
        changed: set[str] = set()
        for site in tuple(self._sites):
            changed.update(self._settle(site))
            self._look(site)
        if self._clock() - self._pruned_at >= PRUNED_EVERY:
            self._prune()
        return frozenset(changed)

    def _put(self, name: str, site: str) -> None:
        if self._site_of.get(name, site) != site:
            self._leave(name)
        self._site_of[name] = site
        self._nodes_of.setdefault(site, set()).add(name)

    def _leave(self, name: str) -> None:
        site = self._site_of.pop(name)
        self._nodes_of[site].discard(name)
        self._look(site)

    def _count(self, name: str, moment: float) -> None:
        self._silent[name] = Silence(moment, FlapState.COUNTED)
        self._moments[name] = (moment, *self._moments.get(name, ()))[:KEPT]

    def _look(self, site: str) -> None:
        """Note whether most of a site is silent."""
        members = self._nodes_of.get(site, set())
        silent = sum(name in self._silent for name in members)
        if not silent:
            self._sites.pop(site, None)
            return
        seen = self._sites.setdefault(site, SiteSilence())
        now, is_dark = self._clock(), silent * 2 > len(members)
        seen.dark_since = (seen.dark_since or now) if is_dark else None
        seen.lit_since = None if is_dark else (seen.lit_since or now)

    def _settle(self, site: str) -> Iterator[str]:
        seen, now = self._sites[site], self._clock()
        is_dark = seen.dark_since is not None and now - seen.dark_since >= DARK_AFTER
        is_back = seen.lit_since is not None and now - seen.lit_since >= ALONE_AFTER
        for name in sorted(self._nodes_of.get(site, ())):
            silence = self._silent.get(name)
            if silence is None:
                continue
            if is_dark and self._is_of_site(silence, seen.dark_since or now):
                self._withdraw(name, silence)
                yield name
            elif is_back and silence.state is FlapState.WITHDRAWN:
                self._count(name, seen.lit_since or now)
                yield name

    def _is_of_site(self, silence: Silence, dark_since: float) -> bool:
        """Whether a silence is part of its site's."""
        return silence.state is FlapState.COUNTED and silence.at >= dark_since - SPREAD

    def _withdraw(self, name: str, silence: Silence) -> None:
        moments = self._moments.get(name, ())
        self._moments[name] = tuple(moment for moment in moments if moment != silence.at)
        silence.state = FlapState.WITHDRAWN

    def _prune(self) -> None:
        now = self._pruned_at = self._clock()
        for name in [name for name, at in self._gone.items() if now - at >= quarantine.WINDOW]:
            self._forget(name)
        for name, moments in tuple(self._moments.items()):
            if not moments or now - moments[0] >= quarantine.WINDOW:
                del self._moments[name]
        for site in [site for site, members in self._nodes_of.items() if not members]:
            del self._nodes_of[site]

    def _forget(self, gone: str) -> None:
        del self._gone[gone]
        self._moments.pop(gone, None)
        self._silent.pop(gone, None)
