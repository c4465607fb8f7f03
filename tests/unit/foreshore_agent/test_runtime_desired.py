"""Which assignment an agent works by, and what it says of one that it holds back."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.runtime import desired
from foreshore_api.wire import assignment


class Values:
    """Durable values, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def keep(self, key: str, value: bytes) -> None:
        self.kept[key] = value

    async def get(self, key: str) -> bytes | None:
        return self.kept.get(key)


class Rig:
    """One agent's desired state; `restart` begins anew from what is durable."""

    def __init__(self) -> None:
        self.values = Values()
        self.effects: list[assignment.Assignment] = []
        self.desired = self._made()

    def _made(self) -> desired.Desired:
        return desired.Desired("edge-1", self.values, self.effects.append)

    def take(self, fresh: assignment.Assignment) -> None:
        asyncio.run(self.desired.take(fresh))

    def restart(self) -> None:
        self.desired = self._made()
        recalled = asyncio.run(self.desired.recall())
        if recalled is not None:
            self.desired.resume(recalled)

    @property
    def said(self) -> str:
        return "".join(problem.message for problem in self.desired.problems())


def counted(generation: int, lineage: str = "store", node: str = "edge-1") -> assignment.Assignment:
    return assignment.Assignment(node=node, lineage=lineage, generation=generation)


@pytest.fixture
def rig() -> Rig:
    made = Rig()
    made.take(counted(6))
    return made


@pytest.mark.parametrize(
    "fresh", [counted(7), counted(6), counted(1, "another")], ids=["newer", "same", "other store"]
)
def test_a_newer_one_or_one_of_another_store_is_taken(
    rig: Rig, fresh: assignment.Assignment
) -> None:
    rig.take(fresh)
    assert rig.desired.present == fresh
    assert rig.said == ""


def test_an_older_one_of_the_same_store_is_held_back_and_said(rig: Rig) -> None:
    """Only the log said it, and a person looked at a hub that seemed to be obeyed."""
    rig.take(counted(5))
    assert rig.desired.present == counted(6)
    assert rig.said == (
        "assignment 5 is held back: the hub's store has counted further before: it is an older"
        " copy; assignment 6 stays in force; give the hub the newest copy of its store, or an"
        " empty one"
    )


def test_another_nodes_is_held_back_and_said(rig: Rig) -> None:
    rig.take(counted(7, node="edge-2"))
    assert rig.desired.present == counted(6)
    assert "it is for node edge-2, not for edge-1; assignment 6 stays in force" in rig.said


def test_a_recalled_one_of_another_node_does_not_take_effect_and_is_said(rig: Rig) -> None:
    """It commanded another node's devices until the hub answered."""
    rig.values.kept[desired.KEY] = counted(6, node="edge-2").encode()
    rig.effects.clear()
    rig.restart()
    assert (rig.effects, rig.desired.present) == ([], None)
    assert "it is for node edge-2, not for edge-1; nothing is in force" in rig.said
    rig.take(counted(5))
    assert rig.desired.present == counted(5)
    assert rig.said == ""


def test_the_next_good_one_ends_it(rig: Rig) -> None:
    rig.take(counted(5))
    rig.take(counted(7))
    assert rig.said == ""


def test_the_present_one_sent_again_ends_it_too(rig: Rig) -> None:
    rig.take(counted(5))
    rig.take(counted(6))
    assert rig.said == ""


def test_one_that_makes_this_release_fail_is_not_tried_again(rig: Rig) -> None:
    rig.desired.set_aside(counted(6))
    rig.take(counted(6))
    assert rig.desired.present is None
    assert len(rig.effects) == 1
    assert "assignment 6 is held back: this release fails on it; nothing is in force" in rig.said
    rig.take(counted(7))
    assert rig.said == ""


def test_one_that_this_release_cannot_read_is_said_until_another_comes(rig: Rig) -> None:
    rig.values.kept[desired.KEY] = b'{"node": 7}'
    rig.restart()
    assert "the last assignment is held back: this release cannot read it" in rig.said
    rig.take(counted(7))
    assert rig.said == ""


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["a", "b"]), st.booleans())))
def test_within_a_store_nothing_older_is_ever_in_force_and_nothing_good_is_ever_lost(
    sent: list[tuple[int, str, bool]],
) -> None:
    rig = Rig()
    for generation, lineage, restarts in sent:
        before = rig.desired.present
        rig.take(counted(generation, lineage))
        if restarts:
            rig.restart()
        after = rig.desired.present
        assert after is not None
        if before is not None and before.lineage == after.lineage:
            assert after.generation >= before.generation
