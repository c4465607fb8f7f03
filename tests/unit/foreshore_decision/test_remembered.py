"""What is remembered of objects goes when they go, and is never another object's."""

import gc
import weakref
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builders import room
from foreshore_api import v1alpha1
from foreshore_decision import remembered
from foreshore_decision.policy import acceptance
from foreshore_planner import binding


class Thing:
    """Something with an identity, equal to all of its value."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and other.value == self.value

    def __hash__(self) -> int:
        return 0


def test_an_answer_is_worked_out_once_and_for_each_object() -> None:
    asked: list[Thing] = []

    @remembered.while_alive
    def answer(thing: Thing, *, name: str) -> tuple[int, str]:
        asked.append(thing)
        return thing.value, name

    first, equal = Thing(1), Thing(1)
    assert [answer(first, name="a"), answer(first, name="a")] == [(1, "a")] * 2
    assert answer(equal, name="b") == (1, "b")
    assert [thing is first for thing in asked] == [True, False]


def test_devices_of_one_spec_are_judged_by_their_own_names() -> None:
    """Topics hold the name: one that brokers refuse passed with the answer of another device."""
    profile = v1alpha1.DeviceProfile.read(room.profile("hq"))
    sound = v1alpha1.Device.read(room.device("hq", "room-301"))
    named = sound.metadata.model_copy(update={"name": "room/#"})
    copied = sound.model_copy(update={"metadata": named})
    assert copied.spec is sound.spec
    for accept in (acceptance.of_device, acceptance.of_reading):
        assert accept(profile, sound) == ()
        assert accept(profile, copied) != ()
        assert accept(profile, sound) == ()


def test_what_raises_is_asked_again() -> None:
    @remembered.while_alive
    def answer(_: Thing) -> int:
        raise ValueError("no")

    thing = Thing(1)
    for _ in range(2):
        try:
            answer(thing)
        except ValueError:
            continue
        raise AssertionError("it was remembered")
    assert len(answer) == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 4)), max_size=40))
def test_an_answer_is_of_the_objects_that_are_there(steps: list[tuple[bool, int, int]]) -> None:
    """Whatever comes and goes between: an identity that is used again is another object."""

    @remembered.while_alive
    def together(left: Thing, right: Thing) -> tuple[int, int]:
        return left.value, right.value

    number = 5
    things = [Thing(value) for value in range(number)]
    for is_replaced, one, other in steps:
        if is_replaced:
            things[one] = Thing(number)
            number += 1
        assert together(things[one], things[other]) == (things[one].value, things[other].value)
    alive = {id(thing) for thing in things}
    assert len(together) <= len(alive) ** 2
    things.clear()
    assert len(together) == 0


def device(version: int, generation: int = 1) -> v1alpha1.Device:
    document: Any = room.changed(
        room.device("hq", "room-301"),
        metadata__uid="u",
        metadata__generation=generation,
        metadata__resourceVersion=str(version),
    )
    return v1alpha1.Device.read(document)


def test_earlier_states_of_a_device_are_not_kept() -> None:
    """Ten thousand devices with a few statuses each took more than the whole fleet."""
    profile = v1alpha1.DeviceProfile.read(room.profile("hq"))
    sizes = len(binding._own_problem), len(acceptance._of_device)
    before: list[weakref.ref[v1alpha1.Device]] = []
    kept = device(0)
    for version in range(1, 50):
        before.append(weakref.ref(kept))
        kept = device(version).succeeding(kept)
        acceptance.of_device(profile, kept)
        acceptance.of_reading(profile, kept)
        assert binding.own_problem(kept) is None
    gc.collect()
    assert [ref() for ref in before] == [None] * 49
    assert (len(binding._own_problem) - sizes[0], len(acceptance._of_device) - sizes[1]) == (1, 1)


def test_a_state_has_the_spec_of_the_one_before_until_it_is_edited() -> None:
    first = device(1)
    second = device(2).succeeding(first)
    assert second.spec is first.spec
    assert second.metadata.resource_version == "2"
    edited = locked(device(3, generation=2))
    assert edited.succeeding(second) is edited


def test_another_spec_under_the_same_generation_is_taken() -> None:
    """After a restored etcd, or with a new default, the spec before stayed until a restart."""
    before = device(1)
    restored = locked(device(2))
    assert restored.metadata.generation == before.metadata.generation
    assert restored.succeeding(before).spec.lock is v1alpha1.device.Lock.LOCKED


def locked(resource: v1alpha1.Device) -> v1alpha1.Device:
    spec = resource.spec.model_copy(update={"lock": v1alpha1.device.Lock.LOCKED})
    return resource.model_copy(update={"spec": spec})
