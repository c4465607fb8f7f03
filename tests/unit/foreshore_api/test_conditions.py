"""Conditions: times that move only with the status, and a table that explains every reason."""

import datetime

import pytest

from foreshore_api import conditions
from foreshore_api.conditions import Condition, Reason, Status, Type

EARLIER = "2026-03-01T10:00:00Z"
NOW = datetime.datetime(2026, 3, 1, 11, tzinfo=datetime.UTC)


def condition(type_: str, status: Status, reason: str = "Accepted", message: str = "") -> Condition:
    return Condition(
        type=type_, status=status, reason=reason, message=message, last_transition_time=EARLIER
    )


@pytest.mark.parametrize("word", [*Reason, *Type])
def test_types_and_reasons_are_camel_case(word: str) -> None:
    assert word.isalnum()
    assert word[0].isupper()


def test_a_new_reason_alone_does_not_move_the_time() -> None:
    before = condition(Type.READY, Status.FALSE, Reason.PROGRESSING)
    after = condition(Type.READY, Status.FALSE, Reason.REFERENCE_NOT_FOUND, "no Model m")
    (merged,) = conditions.merge([before], [after], NOW)
    assert (merged.reason, merged.last_transition_time) == ("ReferenceNotFound", EARLIER)


def test_a_new_status_moves_the_time() -> None:
    before = condition(Type.READY, Status.FALSE)
    (merged,) = conditions.merge([before], [condition(Type.READY, Status.TRUE)], NOW)
    assert merged.last_transition_time == "2026-03-01T11:00:00Z"


def test_what_is_no_longer_true_goes_away_and_the_rest_is_in_order() -> None:
    before = [condition(Type.STALLED, Status.TRUE)]
    wanted = [condition(Type.READY, Status.TRUE), condition(Type.CONNECTED, Status.UNKNOWN)]
    assert [each.type for each in conditions.merge(before, wanted, NOW)] == ["Connected", "Ready"]


def test_unknown_is_not_true() -> None:
    said = [condition(Type.READY, Status.UNKNOWN)]
    assert not conditions.is_true(said, Type.READY)
    assert not conditions.is_true(said, Type.CONNECTED)
    assert conditions.find(said, Type.READY) == said[0]
