from typing import Any

import pytest

from builders import room
from foreshore_agent import adoption
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment, report
from foreshore_decision import assignment as compiling

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


def test_what_compiles_is_taken_as_it_is() -> None:
    fresh = assigned()
    adopted = adoption.adopt(fresh, None)
    assert adopted.assignment == fresh
    assert adopted.problems == ()


def test_an_edit_that_does_not_compile_leaves_the_last_version_in_force() -> None:
    before = assigned()
    fresh = assigned(spec__rules=[RULE])
    adopted = adoption.adopt(fresh, before)
    assert adopted.assignment.policies == before.policies
    assert adopted.assignment.digest == fresh.digest, "what was asked for is what is referred to"
    (problem,) = adopted.problems
    assert problem.kind == "DecisionPolicy"
    assert problem.reason == "CompileFailed"


def test_with_no_version_that_compiles_nothing_decides() -> None:
    adopted = adoption.adopt(assigned(spec__rules=[RULE]), None)
    assert adopted.assignment.policies == ()
    assert len(adopted.problems) == 1


def test_a_kept_version_stays_kept_over_the_next_assignment() -> None:
    before = assigned()
    first = adoption.adopt(assigned(spec__rules=[RULE]), before).assignment
    again = adoption.adopt(assigned(spec__rules=[RULE]), first)
    assert again.assignment.policies == before.policies


def test_a_policy_that_is_deleted_is_gone() -> None:
    before = assigned()
    fresh = before.model_copy(update={"policies": ()})
    assert adoption.adopt(fresh, before).assignment.policies == ()


def test_a_rejected_model_leaves_the_last_version_in_force() -> None:
    before = assigned()
    fresh = assigned(spec__latencyBudget="300ms")
    problem = report.Problem(
        kind="DecisionPolicy", namespace="hq", name="x", reason="ModelRejected", message=""
    )
    name = (fresh.policies[0].namespace, fresh.policies[0].name)
    adopted = adoption.adopt(fresh, before, {name: problem})
    assert adopted.assignment.policies == before.policies
    assert adopted.problems == (problem,)


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
