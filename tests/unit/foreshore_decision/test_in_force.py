"""The one rule of what stays: properties, and the words that a person reads."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_decision import in_force
from foreshore_decision.in_force import Obstacle, Option

BAD = Obstacle("CompileFailed", "it does not compile")
WAITS = Obstacle("AwaitingReplica", "a replica of v2", is_waiting=True)


def candidates() -> st.SearchStrategy[list[Option[int]]]:
    """Candidates, newest first, each with a value of its own."""
    kinds = st.lists(st.sampled_from(["good", "waiting", "bad"]), max_size=8)
    return kinds.map(lambda names: [_candidate(kind, at) for at, kind in enumerate(names)])


def _candidate(kind: str, value: int) -> Option[int]:
    match kind:
        case "good":
            return in_force.good(value)
        case "waiting":
            return in_force.waiting(value, WAITS._replace(cause=f"replica {value}"))
        case _:
            return Option(None, BAD._replace(cause=f"mistake {value}"))


@given(candidates())
def test_something_is_in_force_while_anything_can_be_worked_by(
    given_: list[Option[int]],
) -> None:
    chosen = in_force.choose(given_)
    assert (chosen.value is None) == all(one.value is None for one in given_)


@given(candidates())
def test_it_is_the_newest_good_one_else_the_newest_that_waits(
    given_: list[Option[int]],
) -> None:
    able = [one for one in given_ if one.value is not None and one.obstacle is None]
    waits = [one for one in given_ if one.value is not None]
    wanted = (able or waits or [Option(None)])[0]
    assert in_force.choose(given_).value == wanted.value


@given(candidates())
def test_what_is_held_back_is_the_newest_with_its_own_reason(given_: list[Option[int]]) -> None:
    chosen = in_force.choose(given_)
    is_newest = bool(given_) and chosen.value is not None and chosen.position == 0
    assert chosen.held_back == (given_[0].obstacle if given_ and not is_newest else None)


@given(candidates())
def test_choosing_again_with_what_was_chosen_as_the_only_older_one_changes_nothing(
    given_: list[Option[int]],
) -> None:
    """An agent that restarts has kept only what was in force."""
    chosen = in_force.choose(given_)
    older = [in_force.good(chosen.value)] if chosen.position and chosen.value is not None else []
    again = in_force.choose([*given_[:1], *older])
    assert (again.value, again.held_back) == (chosen.value, chosen.held_back)


@given(candidates(), st.integers(0, 7))
def test_a_good_edit_ends_the_wait_whatever_was_before(
    given_: list[Option[int]], value: int
) -> None:
    assert in_force.choose([in_force.good(value), *given_]) == (value, 0, None)


def test_what_is_withdrawn_leaves_nothing_and_nothing_to_say() -> None:
    assert in_force.choose([]) == (None, 0, None)


def test_older_candidates_are_not_even_made_where_a_newer_one_is_good() -> None:
    """An older one is a compilation that nobody needs."""

    def lazily() -> Iterator[Option[int]]:
        yield in_force.good(1)
        pytest.fail("an older candidate was asked for")

    assert in_force.choose(lazily()).value == 1


@given(st.text(max_size=3000), st.text(max_size=40), st.text(max_size=40))
def test_a_message_is_bounded_and_loses_of_the_cause_not_of_the_remedy(
    cause: str, newest: str, kept: str
) -> None:
    obstacle = Obstacle("Invalid", cause, "mend the file")
    said = in_force.message(obstacle, newest, kept)
    assert len(said) <= in_force.MAXIMUM_MESSAGE
    assert said.endswith("mend the file")


@pytest.mark.parametrize(
    ("obstacle", "newest", "kept", "expected"),
    [
        (
            WAITS,
            "generation 4",
            "generation 3",
            "generation 4 waits for a replica of v2; generation 3 stays in force",
        ),
        (
            BAD._replace(remedy="mend it"),
            "generation 4",
            "",
            "generation 4 is held back: it does not compile; nothing is in force; mend it",
        ),
        (
            in_force.dangling("Model", "m", "hq"),
            "",
            "what was in force",
            "held back: Model m does not exist in namespace hq; what was in force stays in force;"
            " create it, or refer to another",
        ),
    ],
    ids=["waits", "nothing before", "dangles"],
)
def test_a_message_says_what_why_what_stays_and_what_helps(
    obstacle: Obstacle, newest: str, kept: str, expected: str
) -> None:
    assert in_force.message(obstacle, newest, kept) == expected
