"""Which policies' pods no eviction takes before their successors serve, and whether that still is.

    act makes a policy's disruption budget ──► kept here
    every few minutes, as the leader ────────► all are listed ──► one is gone ──► act makes it again

Somebody deleted one that is gone: with its policy it goes by itself. A list in a while costs one
read; a watch would hold the budgets of a fleet in memory for what hardly ever happens. Called by
`act`, which writes them; `main` runs the look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from foreshore_api import v1alpha1
from foreshore_kube import api, apply, kinds
from foreshore_operator import manifests, store
from foreshore_planner import protection

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 120.0
"""Between two looks at whether what was made is still there."""

Key = protection.Key


@dataclass(slots=True)
class ProtectedPolicies:
    """Policies by uid, as this leader knows them; a new one begins with none."""

    _protected: dict[str, Key] = field(default_factory=dict)
    """Those whose budget is there, with (namespace, name)."""
    _tried: set[str] = field(default_factory=set)
    """Those for which this pass has tried to make one."""
    _lost: dict[str, Key] = field(default_factory=dict)
    """Those whose budget was there and is gone."""

    def begin_pass(self) -> None:
        """Let each be tried once more."""
        self._tried.clear()

    def forget(self) -> None:
        """Know nothing: another leads."""
        self._protected.clear()
        self._lost.clear()

    def needs(self, policy: v1alpha1.DecisionPolicy) -> bool:
        """Whether a policy's budget is to be made now; once a pass."""
        uid = policy.metadata.uid or ""
        if uid in self._protected or uid in self._tried:
            return False
        self._tried.add(uid)
        return True

    def note(self, policy: v1alpha1.DecisionPolicy, outcome: apply.WriteResult) -> bool:
        """Keep what became of it; whether one that was gone has been made again."""
        uid = policy.metadata.uid or ""
        if outcome not in (apply.WriteResult.WRITTEN, apply.WriteResult.MOVED_ON):
            return False
        self._protected[uid] = (policy.metadata.namespace or "", policy.metadata.name)
        was_lost = self._lost.pop(uid, None) is not None
        return was_lost and outcome is apply.WriteResult.WRITTEN

    def unprotected(self, seen: store.ClusterMirrors) -> Iterator[v1alpha1.DecisionPolicy]:
        """Yield those whose budget is to be made again; what is gone itself is forgotten."""
        for uid, key in sorted(self._lost.items()):
            policy = seen.find(v1alpha1.DecisionPolicy, *key)
            if policy is None or policy.metadata.uid != uid:
                del self._lost[uid]
            else:
                yield policy

    def protected(self) -> Mapping[str, Key]:
        """Return those whose budget is there, as far as this leader knows."""
        return dict(self._protected)

    def miss(self, uid: str) -> None:
        """Note that a budget which was there is gone."""
        policy = self._protected.pop(uid, None)
        if policy is not None:
            self._lost[uid] = policy


@dataclass(frozen=True, slots=True)
class BudgetLook:
    """Looks whether the budgets that were made are still there."""

    kube: api.KubeApi
    leadership: apply.Leadership
    policies: ProtectedPolicies
    on_missing: Callable[[], None]
    """Asks for a pass."""

    async def run(self) -> None:
        """Look every few minutes, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.leadership.may_write():
                await self.look()

    async def look(self) -> None:
        """Look once; what was made after the list began is not missed in it."""
        before = self.policies.protected()
        if not before:
            return
        try:
            present = await self._listed()
        except api.ApiError as error:
            remedy = (
                ", remedy: the ClusterRole of this release's chart" if error.status == 403 else ""
            )
            log.warning(
                "whether disruption budgets are still there is not known: %s%s", error, remedy
            )
            return
        missing = [uid for uid, policy in before.items() if protection.key(*policy) not in present]
        for uid in missing:
            self.policies.miss(uid)
        if missing:
            self.on_missing()

    async def _listed(self) -> set[Key]:
        present: set[Key] = set()
        async for page in self.kube.pages(
            kinds.DISRUPTION_BUDGETS, label_selector=manifests.MANAGED, accept=api.METADATA
        ):
            names = (item["metadata"] for item in page.items)
            present |= {(name.get("namespace", ""), name["name"]) for name in names}
        return present
