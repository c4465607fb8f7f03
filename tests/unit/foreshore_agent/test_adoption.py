import pytest

from builders import room
from foreshore_agent import adoption
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment
from foreshore_decision import assignment as compiling

KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}


def assigned() -> assignment.Assignment:
    """The room's assignment."""
    documents = [
        room.site(),
        room.profile(),
        room.device(),
        room.model(),
        room.version(),
        room.policy(),
    ]
    found: list[meta.Resource] = [KINDS[one["kind"]].read(one) for one in documents]
    return compiling.compile(
        compiling.Resources.of(found), "edge-1", site="hq", given=compiling.Given()
    ).assignment


def counted(found: assignment.Assignment, lineage: str, generation: int) -> assignment.Assignment:
    return found.model_copy(update={"lineage": lineage, "generation": generation})


@pytest.mark.parametrize(
    ("last", "is_stale"),
    [
        pytest.param(("store", 6), True, id="older within a lineage"),
        pytest.param(("store", 5), False, id="the same again"),
        pytest.param(("store", 4), False, id="newer"),
        pytest.param(("another", 9), False, id="another hub store counts anew"),
        pytest.param(None, False, id="the first"),
    ],
)
def test_only_an_older_generation_of_the_same_lineage_is_refused(
    last: tuple[str, int] | None, is_stale: bool
) -> None:
    fresh = counted(assigned(), "store", 5)
    before = None if last is None else counted(assigned(), *last)
    assert adoption.is_stale(fresh, before) is is_stale
