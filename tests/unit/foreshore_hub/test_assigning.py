"""An assignment that cannot be compiled or kept: what is tried again, and what is said of it."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from builders import resources
from foreshore_api import meta
from foreshore_hub import assigning, store, world
from foreshore_kube import informer

NODES = ("edge-1", "edge-2")


class Kept:
    """A store that may be full."""

    lineage = "l"

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.attempts = 0

    async def assign(self, _: Any) -> None:
        self.attempts += 1
        if self.failure is not None:
            raise self.failure

    async def generation(self, _: str) -> int:
        return 0


class Rig:
    """Assignments of two nodes of one site; timers go off when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mirrors: dict[type[meta.Resource], dict[informer.Key, meta.Resource]] = {
            kind: {} for kind in world.KINDS
        }
        for each in resources.everything():
            mirrors[type(each)][informer.Key(each.namespace, each.name)] = each
        labels = {meta.LABEL_SITE: "hq"}
        nodes = {informer.Key("", name): world.Node(name, labels) for name in NODES}
        self.world = world.World(nodes, mirrors, {}, "foreshore-agent")
        self.world.is_synced = True
        self.kept = Kept()
        self.assigning = assigning.Assigning(cast(store.Store, self.kept), self.world)
        self.timers: list[Callable[[], None]] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", self._later)

    def _later(self, _: float, callback: Callable[..., None], *args: Any, **__: Any) -> Any:
        self.timers.append(lambda: callback(*args))
        return asyncio.TimerHandle(0.0, lambda: None, (), asyncio.get_running_loop())

    async def look(self, *nodes: str) -> None:
        """One look at nodes, as `run` takes it."""
        for node in nodes:
            await self.assigning.attend(node)


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch)


async def test_a_node_that_fails_again_and_again_has_one_retry_ahead(rig: Rig) -> None:
    """Every failure had a timer of its own, and each of those failed and had the next."""
    rig.kept.failure = store.UnavailableError("OperationalError")
    for _ in range(5):
        await rig.look(*NODES)
    assert len(rig.timers) == len(NODES)
    for each in [rig.timers.pop() for _ in NODES]:
        each()
    await rig.look(*NODES)
    assert len(rig.timers) == len(NODES), "the next retry follows the last"


async def test_a_store_that_is_full_is_said_as_such_with_what_to_do(rig: Rig) -> None:
    rig.kept.failure = store.UnavailableError("OperationalError")
    await rig.look("edge-1")
    (problem,) = rig.assigning.problems()
    assert problem.reason == "StoreUnavailable"
    assert "cannot be kept" in problem.message
    assert "free room" in problem.message
    assert "report" not in problem.message


async def test_what_cannot_be_compiled_is_a_defect_to_report(rig: Rig) -> None:
    rig.kept.failure = KeyError("x")
    await rig.look("edge-1")
    (problem,) = rig.assigning.problems()
    assert problem.reason == "InternalError"
    assert "cannot be compiled (KeyError)" in problem.message
    assert "please report" in problem.message


async def test_a_store_that_has_room_again_ends_the_problem(rig: Rig) -> None:
    rig.kept.failure = store.UnavailableError("OperationalError")
    await rig.look("edge-1")
    rig.kept.failure = None
    await rig.look("edge-1")
    assert rig.assigning.problems() == ()
    assert rig.assigning.current("edge-1") is not None
