"""Messages that wait undecoded: what may be passed over, what not, and that all are counted."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import site_side
from builders.site_wire import AT, SITE, Wire
from foreshore_agent.devices.mqtt import devices, unread
from foreshore_agent.engine import events
from foreshore_agent.engine.events import Key
from foreshore_api.reasons import telemetry
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import assignment

A = "hq/a/telemetry"
ROOM = Key("hq", "a")


def two_properties(name: str) -> assignment.AssignedDevice:
    made = site_side.device(name)
    properties = tuple(
        deviceprofile.Property(name=each, path=f"/{each}") for each in ("co2", "light")
    )
    return made.model_copy(
        update={"profile": made.profile.model_copy(update={"properties": properties})}
    )


def body(**values: float) -> bytes:
    return json.dumps(values).encode()


def alike(windowed: frozenset[Key] = frozenset()) -> Wire:
    """A device whose messages were all alike so far, and taken."""
    wire = Wire()
    wire.devices.assign(SITE, [two_properties("a")], windowed)
    for number in range(unread.ALIKE):
        wire.measure(A, body(co2=number, light=1))
    wire.arrived.clear()
    return wire


def take(wire: Wire, most: int = 64) -> list[events.Sample]:
    taken = list(wire.devices.measured(most))
    wire.arrived += taken
    return taken


def test_of_messages_that_are_alike_only_the_newest_is_decoded_and_it_names_the_others() -> None:
    wire = alike()
    for number in range(100, 105):
        wire.put(A, body(co2=number, light=2))
    [sample] = take(wire)
    assert sample.values["co2"] == 104
    assert sample.replaced == ((telemetry.NEWER_ON_TOPIC, 4),)
    assert wire.counts == [telemetry.NEWER_ON_TOPIC] * 4


def test_until_messages_are_known_to_be_alike_each_is_decoded() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [two_properties("a")])
    for number in range(5):
        wire.put(A, body(co2=number, light=2))
    assert len(take(wire)) == 5
    assert wire.counts == []


def test_what_a_device_says_seldom_is_never_passed_over_again() -> None:
    wire = alike()
    wire.measure(A, body(co2=1))
    for number in range(20):
        wire.put(A, body(co2=number, light=2))
    assert len(take(wire)) == 20


def test_windows_want_every_value() -> None:
    wire = alike(frozenset({ROOM}))
    for number in range(5):
        wire.put(A, body(co2=number, light=2))
    assert len(take(wire)) == 5


def test_devices_that_share_a_topic_replace_nothing_of_each_other() -> None:
    wire = Wire()
    shared = [site_side.device(name, telemetry_topic="{site}/all") for name in ("a", "b")]
    wire.devices.assign(SITE, shared)
    for number in range(unread.ALIKE * 3):
        wire.put("hq/all", body(co2=number))
    assert len(take(wire)) == unread.ALIKE * 3 * 2


def test_garbage_takes_the_place_of_no_message_before_it() -> None:
    wire = alike()
    for number in range(3):
        wire.put(A, body(co2=number, light=2))
    wire.put(A, b"garbage")
    [sample] = take(wire)
    assert sample.values["co2"] == 2
    assert sample.replaced == ((telemetry.NEWER_ON_TOPIC, 2),)
    assert Counter(wire.counts) == {telemetry.NEWER_ON_TOPIC: 2, telemetry.INVALID_JSON: 1}


def test_what_is_passed_over_before_garbage_alone_is_told_by_the_next_sample() -> None:
    wire = alike()
    wire.put(A, body(co2=1, light=2))
    wire.put(A, b"garbage")
    wire.put(A, b"more garbage")
    assert take(wire) == []
    wire.put(A, body(co2=3, light=2))
    [sample] = take(wire)
    assert sample.replaced == ((telemetry.NEWER_ON_TOPIC, 1),)


def test_too_many_in_all_the_oldest_give_way_and_are_told_by_the_next_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unread, "MAXIMUM_MESSAGES", 3)
    wire = Wire()
    wire.devices.assign(SITE, [two_properties("a")])
    for number in range(10):
        wire.put(A, body(co2=number, light=2))
    taken = take(wire)
    assert [sample.values["co2"] for sample in taken] == [6, 7, 8, 9]
    assert [sample.replaced for sample in taken] == [((telemetry.DROPPED, 6),), (), (), ()]
    assert wire.counts == [telemetry.DROPPED] * 6


def test_bytes_that_wait_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "MAXIMUM_BYTES", 100)
    wire = alike()
    for number in range(10):
        wire.put(A, body(co2=number, light=2) + b" " * 30)
    [sample] = take(wire)
    assert sample.values["co2"] == 9
    assert sum(count for _, count in sample.replaced) == 9


def test_a_device_that_speaks_too_much_costs_no_other_its_newest_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unread, "MAXIMUM_MESSAGES", 3)
    wire = Wire()
    wire.devices.assign(SITE, [two_properties(name) for name in ("a", "b")])
    wire.put("hq/b/telemetry", body(co2=100, light=1))
    for number in range(20):
        wire.put(A, body(co2=number, light=1))
    assert "b" in [sample.device.name for sample in take(wire)]


def test_topics_take_turns_so_that_a_loud_device_delays_no_quiet_one() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [two_properties(name) for name in ("a", "b")])
    for number in range(9):
        wire.put(A, body(co2=number, light=1))
    wire.put("hq/b/telemetry", body(co2=100, light=1))
    assert [sample.device.name for sample in take(wire, most=2)] == ["a", "b"]


def test_another_assignment_forgets_nothing_that_waits_on_a_topic_that_stays() -> None:
    wire = alike()
    wire.put(A, body(co2=1, light=2))
    wire.put(A, body(co2=2, light=2))
    wire.devices.assign(SITE, [two_properties("a"), two_properties("b")])
    assert [sample.values["co2"] for sample in take(wire)] == [1, 2]


def test_another_assignment_keeps_the_order_and_the_count_of_what_was_passed_over() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [two_properties("a")])
    for number in range(unread.ALIKE - 1):
        wire.measure(A, body(co2=number, light=1))
    for number in (100, 101, 102):
        wire.put(A, body(co2=number, light=2))
    take(wire, most=1)
    for number in (103, 104):
        wire.put(A, body(co2=number, light=2))
    wire.devices.assign(SITE, [two_properties("a"), two_properties("b")])
    samples = take(wire)
    assert [sample.values["co2"] for sample in samples] == [101, 103, 104]
    assert [dict(sample.replaced) for sample in samples] == [{}, {}, {telemetry.NEWER_ON_TOPIC: 1}]


def test_what_gives_way_to_another_assignment_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = alike()
    wire.put(A, body(co2=1, light=2))
    wire.put(A, body(co2=2, light=2))
    monkeypatch.setattr(unread, "MAXIMUM_MESSAGES", 0)
    wire.devices.assign(SITE, [two_properties("a")])
    [sample] = take(wire)
    assert dict(sample.replaced) == {telemetry.DROPPED: 1}
    assert wire.counts == [telemetry.DROPPED]


def test_a_message_of_a_device_that_left_is_nobodys() -> None:
    wire = alike()
    wire.put(A, body(co2=1, light=2))
    wire.devices.assign(SITE, [two_properties("b")])
    assert take(wire) == []


def test_what_waits_when_telemetry_comes_back_is_taken_before_the_gap_ends() -> None:
    """Taken after it, a value from before would end the gap of every window."""
    wire = alike()
    wire.put(A, body(co2=1, light=2))
    wire.users[0].changed(True)
    first, second = wire.arrived
    assert isinstance(first, events.Sample)
    assert second == events.TelemetryChanged(AT, "f", connected=True)


def test_what_has_waited_too_long_is_dropped_and_not_taken_for_fresh() -> None:
    """It is decided on as of when it came: its values would look as fresh as then."""
    wire = alike()
    for number in range(3):
        wire.put(A, body(co2=number, light=2))
    wire.now = AT._replace(monotonic=AT.monotonic + devices.LONGEST_WAIT + 0.1)
    assert take(wire) == []
    assert Counter(wire.counts) == {telemetry.NEWER_ON_TOPIC: 2, telemetry.DROPPED: 1}
    wire.put(A, body(co2=9, light=2))
    [sample] = take(wire)
    assert dict(sample.replaced) == {telemetry.NEWER_ON_TOPIC: 2, telemetry.DROPPED: 1}


def test_a_turn_ends_however_long_messages_are() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [two_properties("a")])
    large = body(co2=1, light=2).ljust(devices.READ_BYTES // 2)
    for _ in range(5):
        wire.put(A, large)
    assert [len(take(wire, most=32)) for _ in range(4)] == [2, 2, 1, 0]


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["whole", "part", "garbage"]).map(lambda kind: ("put", kind)),
        st.integers(1, 4).map(lambda most: ("take", most)),
        st.just(("assign", None)),
    ),
    max_size=60,
)


BODIES = {"whole": body(co2=1, light=2), "part": body(co2=1), "garbage": b"garbage"}


def act(wire: Wire, step: tuple[str, Any], windowed: frozenset[Key]) -> None:
    kind, argument = step
    if kind == "put":
        wire.put(A, BODIES[argument])
    elif kind == "assign":
        wire.devices.assign(SITE, [two_properties("a")], windowed)
    else:
        take(wire, argument)


@given(steps=STEPS, is_windowed=st.booleans(), is_known=st.booleans(), most=st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_every_message_is_decoded_passed_over_dropped_or_refused_once(
    steps: list[tuple[str, Any]], is_windowed: bool, is_known: bool, most: int
) -> None:
    windowed = frozenset({ROOM}) if is_windowed else frozenset[Key]()
    wire = alike(windowed) if is_known else Wire()
    if not is_known:
        wire.devices.assign(SITE, [two_properties("a")], windowed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unread, "MAXIMUM_MESSAGES", most)
        for step in steps:
            act(wire, step, windowed)
        take(wire, 1000)
    sent = [kind for kind, _ in steps].count("put")
    samples = [each for each in wire.arrived if isinstance(each, events.Sample)]
    counts = Counter(wire.counts)
    assert sent == len(samples) + sum(counts.values())
    told = Counter[str]()
    for sample in samples:
        told.update(dict(sample.replaced))
    for reason in (telemetry.NEWER_ON_TOPIC, telemetry.DROPPED):
        assert told[reason] <= counts[reason]
        if samples and not is_last_garbage(steps):
            assert told[reason] == counts[reason]
    if is_windowed:
        assert counts[telemetry.NEWER_ON_TOPIC] == 0


def is_last_garbage(steps: list[tuple[str, Any]]) -> bool:
    """Whether what came last told of nothing: what was passed over waits for the next sample."""
    kinds = [argument for step, argument in steps if step == "put"]
    return not kinds or kinds[-1] == "garbage"
