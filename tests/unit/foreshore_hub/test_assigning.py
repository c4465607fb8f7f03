"""An assignment that cannot be compiled or kept: what is tried again, and what is said of it."""

import asyncio
import dataclasses
import gzip
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import patience, resources
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment as wire
from foreshore_hub import assigning, by_site, packed, store, world
from foreshore_kube import informer

NODES = ("edge-1", "edge-2")


class Kept:
    """A store that may be full."""

    lineage = "l"

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.attempts = 0
        self.assigned: dict[str, packed.PackedAssignment] = {}

    async def assign(self, fresh: packed.PackedAssignment) -> None:
        self.attempts += 1
        if self.failure is not None:
            raise self.failure
        self.assigned[fresh.node] = fresh

    async def generation(self, node: str) -> int:
        return self.assigned[node].generation if node in self.assigned else 0

    async def assignments(self) -> dict[str, packed.PackedAssignment]:
        return dict(self.assigned)


class Rig:
    """Assignments of two nodes of one site; timers go off when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mirrors: dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]] = {
            kind: {} for kind in world.KINDS
        }
        for each in resources.everything():
            mirrors[type(each)][informer.ObjectKey(each.namespace, each.name)] = each
        self.mirrors = mirrors
        labels = {meta.LABEL_SITE: "hq"}
        self.nodes = {
            informer.ObjectKey("", name): world.LabelledNode(name, labels) for name in NODES
        }
        self.world = world.World(self.nodes, mirrors, {}, "foreshore-agent")
        self.world.is_synced = True
        self.kept = Kept()
        self.assigning = assigning.Assigning(cast(store.RecordStore, self.kept), self.world)
        self.timers: list[Callable[[], None]] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", self._later)

    def _later(self, _: float, callback: Callable[..., None], *args: Any, **__: Any) -> Any:
        self.timers.append(lambda: callback(*args))
        return asyncio.TimerHandle(0.0, lambda: None, (), asyncio.get_running_loop())

    async def restart(self) -> None:
        """A new process of the hub, with the same store."""
        self.assigning = assigning.Assigning(cast(store.RecordStore, self.kept), self.world)
        await self.assigning.load()

    async def look(self, *nodes: str) -> None:
        """One look at nodes, as `run` takes it."""
        for node in nodes:
            await self.assigning.attend(node)

    def document(self, node: str) -> wire.Assignment:
        """What a node works by."""
        current = self.assigning.current(node)
        assert current is not None
        return current.document()


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch)


async def test_a_node_that_fails_again_and_again_has_one_retry_ahead(rig: Rig) -> None:
    """Every failure had a timer of its own, and each of those failed and had the next."""
    rig.kept.failure = store.StoreUnavailableError("OperationalError")
    for _ in range(5):
        await rig.look(*NODES)
    assert len(rig.timers) == len(NODES)
    for each in [rig.timers.pop() for _ in NODES]:
        each()
    await rig.look(*NODES)
    assert len(rig.timers) == len(NODES), "the next retry follows the last"


async def test_a_store_that_is_full_is_said_as_such_with_what_to_do(rig: Rig) -> None:
    rig.kept.failure = store.StoreUnavailableError("OperationalError")
    await rig.look("edge-1")
    (problem,) = rig.assigning.problems()
    assert problem.reason == "StoreUnavailable"
    assert problem.message == (
        "its newest assignment is held back: it cannot be kept: the hub's store cannot be written"
        " (OperationalError); nothing is in force; free room on the store's volume, or"
        " mend its database"
    )
    assert "report" not in problem.message


async def test_what_cannot_be_compiled_is_a_defect_to_report(rig: Rig) -> None:
    rig.kept.failure = KeyError("x")
    await rig.look("edge-1")
    (problem,) = rig.assigning.problems()
    assert problem.reason == "InternalError"
    assert "cannot be compiled (KeyError)" in problem.message
    assert "please report" in problem.message


async def test_a_store_that_has_room_again_ends_the_problem(rig: Rig) -> None:
    rig.kept.failure = store.StoreUnavailableError("OperationalError")
    await rig.look("edge-1")
    rig.kept.failure = None
    await rig.look("edge-1")
    assert rig.assigning.problems() == ()
    assert rig.assigning.current("edge-1") is not None


@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
@pytest.mark.parametrize("gone", [v1alpha1.DeviceProfile, v1alpha1.ModelVersion, v1alpha1.Model])
async def test_what_is_deleted_while_it_is_used_stays_in_the_assignment(
    rig: Rig, gone: type[meta.Resource], restarts: bool
) -> None:
    """A deleted DeviceProfile took every device that names it out of force."""
    await rig.look("edge-1")
    before = rig.assigning.current("edge-1")
    rig.mirrors[gone].clear()
    if restarts:
        await rig.restart()
    await rig.look("edge-1")
    assert rig.assigning.current("edge-1") == before
    assert rig.document("edge-1").devices


@pytest.mark.parametrize(
    ("gone", "decodings"),
    [(None, 0), (v1alpha1.DeviceProfile, 1)],
    ids=["nothing dangles", "a reference dangles"],
)
async def test_a_document_is_decoded_only_where_a_reference_dangles(
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    gone: type[meta.Resource] | None,
    decodings: int,
) -> None:
    """The hub held every assignment decoded: half of its memory, nearly all after a restart."""
    await rig.look(*NODES)
    packed._decoded.cache_clear()
    decoded: list[bytes | str] = []
    decode = wire.Assignment.decode

    def counted(body: bytes | str) -> wire.Assignment:
        decoded.append(body)
        return decode(body)

    monkeypatch.setattr(wire.Assignment, "decode", counted)
    if gone is not None:
        rig.mirrors[gone].clear()
    await rig.look("edge-1")
    assert len(decoded) == decodings


async def test_an_assignment_that_is_not_read_again_stops_nobody_and_is_said(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Its node was said to have too much at its site, and nothing that a person could do helped."""
    await rig.look(*NODES)
    current = rig.assigning._current
    current["edge-1"] = dataclasses.replace(
        current["edge-1"], digest="other", compressed=gzip.compress(b"{}")
    )
    rig.mirrors[v1alpha1.DeviceProfile].clear()
    await rig.look("edge-1")
    assert rig.assigning.problems() == ()
    assert rig.document("edge-1").devices, "its neighbours have what it resolved to"
    assert "what edge-1 was assigned last is not read again" in caplog.text


async def test_what_is_kept_of_an_assignment_is_its_facts_and_few_bytes(rig: Rig) -> None:
    await rig.look("edge-1")
    kept, document = rig.kept.assigned["edge-1"], rig.document("edge-1")
    assert (kept.node, kept.generation, kept.digest) == ("edge-1", 1, document.digest)
    assert (kept.site, kept.device_count) == (("hq", "hq"), len(document.devices))
    assert kept.json() == document.encode()
    assert len(kept.compressed) < len(kept.json()) / 2
    assert packed.PackedAssignment.of(document) == kept


async def test_a_node_that_comes_later_gets_what_its_neighbours_have(rig: Rig) -> None:
    await rig.look("edge-1")
    for gone in (v1alpha1.DeviceProfile, v1alpha1.ModelVersion):
        rig.mirrors[gone].clear()
    await rig.look("edge-2")
    first, second = (rig.document(node) for node in NODES)
    assert second.devices == first.devices
    assert second.policies == first.policies


async def test_of_many_neighbours_those_are_asked_that_reach_the_devices(rig: Rig) -> None:
    """The first three that had asked the hub were looked at, whatever they reached."""
    far = {meta.LABEL_SITE: "hq", "zone": "b"}
    for name, labels in {"edge-3": {meta.LABEL_SITE: "hq"}, "edge-4": far, "edge-5": far}.items():
        rig.nodes[informer.ObjectKey("", name)] = world.LabelledNode(name, labels)
    reachable = v1alpha1.device.ReachableFrom(node_selector={"zone": "b"})
    for key, device in rig.mirrors[v1alpha1.Device].items():
        assert isinstance(device, v1alpha1.Device)
        spec = device.spec.model_copy(update={"reachable_from": reachable})
        rig.mirrors[v1alpha1.Device][key] = device.model_copy(update={"spec": spec})
    await rig.look(*NODES, "edge-3", "edge-4")
    rig.mirrors[v1alpha1.DeviceProfile].clear()
    await rig.look("edge-5")
    first, second = (rig.document(node) for node in ("edge-4", "edge-5"))
    assert second.devices == first.devices != ()


async def test_a_site_of_this_name_in_another_namespace_is_no_neighbour(rig: Rig) -> None:
    await rig.look("edge-1")
    theirs = rig.kept.assigned["edge-1"].document()
    assert theirs.site is not None
    site = theirs.site.model_copy(update={"namespace": "another-tenant"})
    moved = theirs.model_copy(update={"site": site})
    rig.kept.assigned["edge-1"] = packed.PackedAssignment.of(moved)
    await rig.restart()
    rig.mirrors[v1alpha1.DeviceProfile].clear()
    await rig.look("edge-2")
    assert rig.document("edge-2").devices == ()


async def test_more_than_an_assignment_holds_is_said_as_such_and_leaves_the_one_before(
    rig: Rig,
) -> None:
    """It was said to be a defect of ours."""
    await rig.look("edge-1")
    before = rig.assigning.current("edge-1")
    (policy,) = rig.mirrors[v1alpha1.DecisionPolicy].values()
    for number in range(wire.POLICIES):
        metadata = policy.metadata.model_copy(update={"name": f"p-{number}"})
        key = informer.ObjectKey(policy.namespace, metadata.name)
        copied = policy.model_copy(update={"metadata": metadata})
        rig.mirrors[v1alpha1.DecisionPolicy][key] = copied
    await rig.look("edge-1")
    (problem,) = rig.assigning.problems()
    assert problem.reason == "Invalid"
    assert "more than one agent can be assigned: Assignment.policies" in problem.message
    assert "the one before stays in force; divide the site" in problem.message
    assert rig.assigning.current("edge-1") == before


async def test_what_cannot_be_resolved_is_logged_once_with_its_cause(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """The log said how many problems there were, and nothing what they were."""
    rig.mirrors[v1alpha1.DeviceProfile].clear()
    for _ in range(2):
        await rig.look("edge-1")
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(said) == len(set(said)) == len(rig.mirrors[v1alpha1.Device])
    assert "assignment of edge-1: Device " in said[0]
    assert "does not exist in namespace" in said[0]


async def test_what_belongs_to_a_site_has_its_nodes_compiled_and_no_others(rig: Rig) -> None:
    await rig.look(*NODES)
    for node in NODES:
        await rig.assigning.wait(node, None, 0.0)
    rig.assigning._take()
    rig.assigning.touch(world.Touched(sites=frozenset({by_site.SitePlace("hq", "annex")})))
    assert rig.assigning._take() == []
    rig.assigning.touch(world.Touched(sites=frozenset({by_site.SitePlace("hq", "hq")})))
    assert rig.assigning._take() == sorted(NODES)
    rig.nodes[informer.ObjectKey("", NODES[0])] = world.LabelledNode(NODES[0], {})
    rig.assigning.touch(world.Touched(sites=frozenset({by_site.SitePlace("hq", "hq")})))
    assert rig.assigning._take() == sorted(NODES), "what was assigned last is of that site too"


async def test_a_right_that_moves_does_not_wait_for_a_whole_fleet(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy's edit had a thousand nodes compiled first, for seconds."""
    fleet = [f"n-{number:03}" for number in range(100)]
    attended: list[str] = []

    async def attend(node: str) -> None:
        attended.append(node)
        if len(attended) == 10:
            rig.assigning.touch(world.Touched(nodes=frozenset({"n-090"})))

    for node in fleet:
        await rig.assigning.wait(node, None, 0.0)
    rig.assigning._take()
    monkeypatch.setattr(rig.assigning, "attend", attend)
    monkeypatch.setattr(assigning, "QUIET_SECONDS", 0.0)
    await rig.assigning._attend_all(fleet)
    assert attended.index("n-090") == 11
    assert sorted(attended) == fleet


async def test_a_fleet_that_waits_has_its_turns_though_others_are_touched_all_the_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    attended: list[str] = []

    async def attend(node: str) -> None:
        attended.append(node)
        if "n-009" not in attended:
            rig.assigning.touch(world.Touched(nodes=frozenset({"a", "b", "c"})))

    fleet = [f"n-{number:03}" for number in range(10)]
    for node in ("a", "b", "c", *fleet):
        await rig.assigning.wait(node, None, 0.0)
    rig.assigning._take()
    monkeypatch.setattr(rig.assigning, "attend", attend)
    monkeypatch.setattr(assigning, "QUIET_SECONDS", 0.0)
    async with asyncio.timeout(patience.SECONDS):
        await rig.assigning._attend_all(fleet)
    assert set(attended) == {"a", "b", "c", *fleet}


names = st.lists(st.sampled_from("abcdef"), unique=True)


@given(names, names)
def test_turns_hold_everybody_once_and_nobody_waits_for_long(
    older: list[str], newer: list[str]
) -> None:
    turns = assigning.alternating(older, newer)
    assert sorted(turns) == sorted({*newer, *older})
    assert all(turns.index(node) <= 2 * place for place, node in enumerate(older))
    assert all(turns.index(node) <= 2 * place + 1 for place, node in enumerate(newer))
