"""A turn's identifiers and changes: what does not depend on anything else."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.engine_rig import OCCUPIED, Rig
from foreshore_agent.engine import effects
from foreshore_agent.engine.events import Tick
from foreshore_agent.engine.turn import Change, Identifiers, Turn, begin

KEEP = tuple(effects.Keep(name, b"") for name in "abc")
FRESH = st.integers(0, (1 << 122) - 1).map(
    lambda bits: str(
        uuid.UUID(
            int=(bits >> 74 << 80)
            | (0x7 << 76)
            | ((bits >> 62 & 0xFFF) << 64)
            | (0b10 << 62)
            | (bits & ((1 << 62) - 1))
        )
    )
)


@given(FRESH, st.integers(1, 40))
def test_identifiers_of_one_event_are_its_own_then_others_of_the_same_moment(
    fresh: str, count: int
) -> None:
    identifiers = Identifiers(fresh)
    taken = [identifiers.take() for _ in range(count)]
    assert taken[0] == fresh
    assert len(set(taken)) == count
    assert {uuid.UUID(each).version for each in taken} == {7}
    assert {each[:13] for each in taken} == {fresh[:13]}, "the time stays as it is"


def turn() -> Turn:
    rig = Rig()
    return begin(rig.state, Tick(rig.at, "fresh"))


def test_effects_follow_in_the_order_of_the_steps() -> None:
    def doubled(_turn: Turn, value: int, *, by: int) -> Change[int]:
        return Change(value * by, (KEEP[1],))

    change = Change(2, (KEEP[0],)).then(doubled, turn(), by=3).also(KEEP[2])
    assert change == (6, KEEP)


def test_an_effect_more_does_not_rename_the_decisions_after_it() -> None:
    """The first policy commands, or only would: the second one's decision keeps its identifier."""
    second = room.policy(name="ventilate-zone")
    names = []
    for mode in ("Autonomous", "Shadow", "Disabled"):
        first = room.changed(room.policy(), spec__mode=mode)
        rig = Rig((first, second), hold=(effects.Infer, effects.AppendRecords))
        rig.sample(**OCCUPIED)
        names.append(
            [
                each.decision_id
                for each in rig.waiting
                if isinstance(each, effects.Infer) and each.policy != engine_rig.POLICY
            ]
        )
    assert names[0] == names[1] == names[2]
    assert len(names[0]) == 1
