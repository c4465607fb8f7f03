from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.hosting import room
from foreshore_serving import evidence

SIZES = st.integers(0, 1000)


def shown(session_bytes: int, runtime_bytes: int = 0) -> evidence.TrialEvidence:
    """What a trial measured."""
    return evidence.TrialEvidence(
        "c", "r", "CPU", "a", 1e-6, session_bytes, runtime_bytes, is_bounded=True
    )


@given(
    total=SIZES,
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 3), SIZES, SIZES), max_size=20),
)
def test_models_never_take_more_than_the_room(
    total: int, steps: list[tuple[bool, int, int, int]]
) -> None:
    space = room.ModelRoom(total)
    taken: dict[int, int] = {}
    runtime = 0
    for is_taking, key, session_bytes, runtime_bytes in steps:
        if not is_taking:
            space.give_back(key)
            taken.pop(key, None)
        elif key not in taken and space.take(key, shown(session_bytes, runtime_bytes)):
            taken[key] = session_bytes
            runtime = max(runtime, runtime_bytes)
        assert runtime + sum(taken.values()) <= total
        assert space.left_bytes == total - runtime - sum(taken.values())


def test_the_runtime_is_counted_once_and_stays() -> None:
    space = room.ModelRoom(100)
    assert space.take("a", shown(10, 50))
    assert space.needed_bytes(shown(10, 50)) == 10
    assert space.take("b", shown(10, 50))
    space.give_back("a")
    space.give_back("b")
    assert space.left_bytes == 50


def test_what_does_not_fit_takes_nothing() -> None:
    space = room.ModelRoom(100)
    assert not space.take("a", shown(60, 50))
    assert space.left_bytes == 100
