from typing import Any

import pytest

from builders import room
from foreshore_agent import adoption
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment
from foreshore_decision import assignment as compiling

NAME = ("hq", "ventilate-when-occupied")
KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}


def assigned(**policy: Any) -> assignment.Assignment:
    """The room's assignment, with parts of the policy changed."""
    documents = [
        room.site(),
        room.profile(),
        room.device(),
        room.model(),
        room.version(),
        room.changed(room.policy(), **policy),
    ]
    found: list[meta.Resource] = [KINDS[one["kind"]].read(one) for one in documents]
    return compiling.compile(
        compiling.Resources.of(found), "edge-1", site="hq", given=compiling.Given()
    ).assignment


def counted(found: assignment.Assignment, lineage: str, generation: int) -> assignment.Assignment:
    return found.model_copy(update={"lineage": lineage, "generation": generation})


RULE = {"name": "occupied", "effect": "Permit", "expression": "nonsense >", "reason": "Occupied"}


def test_a_policy_whose_model_is_rejected_stays_as_it_was() -> None:
    before, fresh = assigned(), assigned(spec__latencyBudget="300ms")
    kept = adoption.without(fresh, {NAME}, before)
    assert kept.policies == before.policies
    assert adoption.without(fresh, (), before) == fresh


def test_the_version_that_stays_acts_in_no_higher_mode_than_the_new_one_asks_for() -> None:
    lowered = adoption.without(assigned(spec__mode="Shadow"), {NAME}, assigned())
    raised = adoption.without(assigned(), {NAME}, assigned(spec__mode="Shadow"))
    assert lowered.policies[0].spec.mode == raised.policies[0].spec.mode == "Shadow"


def test_a_rejected_policy_that_is_new_stays_in_the_assignment() -> None:
    fresh = assigned()
    assert adoption.without(fresh, {NAME}, None) == fresh


def test_a_version_that_stays_keeps_no_device_that_is_gone() -> None:
    fresh = assigned().model_copy(update={"devices": ()})
    assert adoption.without(fresh, {NAME}, assigned()).policies[0].devices == ()


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
