"""What values of the engine promise: they never change, and copies share what did not."""

import gc
from types import MappingProxyType

import pytest

from foreshore_decision.frozen import Frozen


class Point(Frozen, frozen=True):
    """A value of two fields."""

    across: float
    up: float = 0.0
    names: MappingProxyType[str, str] = MappingProxyType({})


def test_a_copy_changes_what_it_is_asked_to_and_nothing_of_the_original() -> None:
    point = Point(1.0, names=MappingProxyType({"a": "b"}))
    moved = point._replace(up=2.0)
    assert (moved.across, moved.up) == (1.0, 2.0)
    assert point.up == 0.0
    assert moved.names is point.names


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="sideways"):
        Point(1.0)._replace(sideways=2.0)


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Point(1.0).up = 2.0  # type: ignore[misc]


def test_values_are_equal_by_their_fields() -> None:
    assert Point(1.0) == Point(1.0, 0.0)
    assert Point(1.0) != Point(1.0, 1.0)


def test_the_garbage_collector_does_not_walk_over_values() -> None:
    assert not gc.is_tracked(Point(1.0))
