"""A tick that looks only at what is due does what one does that looks at every device."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import neighbours, room
from builders.engine_rig import OCCUPIED, Rig
from foreshore_agent.engine import agenda, authority, effects, events, step, triggers
from foreshore_agent.engine import turn as turns
from foreshore_agent.engine.agenda import Agenda
from foreshore_agent.engine.command import life
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import Binding, DeviceState, State
from foreshore_agent.engine.turn import Change, Turn
from foreshore_api.wire import beat

KEYS: Final = tuple(Key("hq", f"room-{number}") for number in (301, 302, 303))
DEVICES: Final = tuple(room.changed(room.device(), metadata__name=key.name) for key in KEYS)
POLICIES: Final = {
    "every sample": room.policy(),
    "at intervals": room.changed(
        room.policy(), spec__trigger={"properties": ["co2"], "minimumInterval": "7s"}
    ),
    "after silence": room.changed(
        room.policy(), spec__trigger={"properties": ["co2"], "afterSilence": "3s"}
    ),
    "at intervals and after silence": room.changed(
        room.policy(),
        spec__trigger={"properties": ["co2"], "minimumInterval": "1s", "afterSilence": "2s"},
    ),
}
FRESH: Final = "01900000-0000-7000-8000-000000000001"
WAITS: Final = (0.0, 1e-6, 0.01, 0.049999, 0.05, 0.3, 1.0, 2.0, 3.0, 6.999999, 7.0, 30.0, 400.0)


def ticks_at_everybody(turn: Turn, state: State, _: events.Tick) -> Change[State]:
    """The oracle: a tick that looks at every device, whatever is booked."""
    state = step._look_for_pause(turn, state)._replace(ticked=turn.at.boot)
    done: list[effects.Effect] = []
    for key in sorted(state.devices):
        device = state.devices[key]
        change: Change[DeviceState] = Change(device)
        if device.open:
            change = life.expire(turn, device)
        state, more = step._put(state, change.then(triggers.ticked, turn))
        done += more
    return Change(state, tuple(done)).then(authority.sweep, turn)


class Watched(Rig):
    """An engine with three devices, and what may happen to it; each tick is held to the oracle."""

    def feed(self, kind: type, **fields: Any) -> None:
        if kind is events.Tick:
            tick = events.Tick(self.at, FRESH)
            expected = ticks_at_everybody(turns.begin(self.state, tick), self.state, tick)
            change = step.step(self.state, tick)
            assert change.value.devices == expected.value.devices
            assert change.effects == expected.effects
        super().feed(kind, **fields)

    def take(self, act: tuple[Any, ...]) -> None:
        getattr(self, str(act[0]))(*act[1:])

    def speak(self, device: int, co2: float, is_followed: bool) -> None:
        values = {**OCCUPIED, "co2": co2}
        self.feed(events.Sample, device=KEYS[device], values=values, is_followed=is_followed)

    def go_on(self, seconds: float) -> None:
        self.seconds += seconds

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def tick(self) -> None:
        self.feed(events.Tick)

    def edit(self, policy: str) -> None:
        self.assign(*DEVICES, POLICIES[policy])

    def supersede(self, epoch: int) -> None:
        held = (beat.Held(namespace="hq", device=KEYS[1].name, epoch=epoch),)
        heard = beat.Beat.model_construct(
            node="edge-2", boot_id="b", sequence=1, has_hub=True, held=held
        )
        self.feed(events.PeerBeat, beat=heard)

    def telemetry(self, is_up: bool) -> None:
        self.feed(events.TelemetryChanged, connected=is_up)

    def broker(self, is_up: bool) -> None:
        self.feed(events.BrokerChanged, connected=is_up)


ACTS: Final = st.one_of(
    st.tuples(
        st.just("speak"),
        st.integers(0, 2),
        st.sampled_from([500.0, 900.0, 1200.0]),
        st.booleans(),
    ),
    st.tuples(st.just("go_on"), st.sampled_from(WAITS)),
    st.tuples(st.just("sleep"), st.sampled_from([0.05, 4.0, 100.0])),
    st.just(("tick",)),
    st.just(("tick",)),
    st.just(("release",)),
    st.tuples(st.just("edit"), st.sampled_from(sorted(POLICIES))),
    st.tuples(st.just("supersede"), st.integers(6, 9)),
    st.tuples(st.just("telemetry"), st.booleans()),
    st.tuples(st.just("broker"), st.booleans()),
)


def run(
    policy: str, held: tuple[type, ...], acknowledges: bool, acts: list[tuple[Any, ...]]
) -> None:
    """Let these things happen; each tick is compared."""
    watched = Watched((*DEVICES, POLICIES[policy]), hold=held, acknowledges=acknowledges)
    for act in acts:
        watched.take(act)


HELD: Final = st.sampled_from([(), (effects.Infer,), (effects.AppendRecords,)])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(POLICIES)), HELD, st.booleans(), st.lists(ACTS, max_size=40))
def test_a_tick_does_what_one_does_that_looks_at_everybody(
    policy: str, held: tuple[type, ...], acknowledges: bool, acts: list[tuple[Any, ...]]
) -> None:
    run(policy, held, acknowledges, acts)


class Neighboured(Watched):
    """A room that is decided on what its window says too; each tick is held to the oracle."""

    def speak(self, device: int, co2: float, is_followed: bool) -> None:
        if device == 0:
            self.sample(**{**OCCUPIED, "co2": co2})
            return
        open_ = {"open": co2 > 1000.0, "tilt": 0.0}
        self.feed(events.Sample, device=neighbours.WINDOW, values=open_, is_followed=is_followed)


BESIDE: Final = ("speak", "go_on", "sleep", "tick", "release", "telemetry", "broker")
"""What may happen to two devices of which one reads the other."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(
        [{}, {"minimumInterval": "7s"}, {"minimumInterval": "1s", "afterSilence": "2s"}]
    ),
    st.lists(ACTS.filter(lambda act: act[0] in BESIDE), max_size=40),
)
def test_nor_does_it_forget_who_reads_another_device(
    trigger: room.Json, acts: list[tuple[Any, ...]]
) -> None:
    timed = room.changed(neighbours.policy(), spec__trigger=trigger)
    watched = Neighboured(neighbours.documents(timed))
    for act in acts:
        watched.take(act)


def book_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Agenda, "book", lambda booked, *_: booked)


def forget_questions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(triggers, "timeout_due", triggers._command_due)


def never_fall_silent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(triggers, "timer_due", lambda _: agenda.NEVER)


def trust_the_first_booking(patch: pytest.MonkeyPatch) -> None:
    book = Agenda.book
    patch.setattr(
        Agenda, "book", lambda made, key, at: made if key in made.booked else book(made, key, at)
    )


def look_too_late(patch: pytest.MonkeyPatch) -> None:
    look = Agenda.look
    patch.setattr(Agenda, "look", lambda made, now: look(made, now - 2 * agenda.SLOT_SECONDS))


SILENCE: Final = [("speak", 0, 900.0, False), ("go_on", 3.0), ("tick",)]


@pytest.mark.parametrize(
    ("mutant", "policy", "held", "acts"),
    [
        (book_nothing, "after silence", (), SILENCE),
        (never_fall_silent, "after silence", (), SILENCE),
        (look_too_late, "after silence", (), [*SILENCE, *SILENCE[1:]]),
        (
            forget_questions,
            "every sample",
            (effects.Infer,),
            [("speak", 0, 900.0, False), ("go_on", 30.0), ("tick",)],
        ),
        (
            trust_the_first_booking,
            "at intervals and after silence",
            (),
            [
                ("go_on", 3.0),
                ("tick",),
                ("go_on", 0.3),
                ("speak", 0, 900.0, False),
                ("go_on", 0.7),
                ("tick",),
            ],
        ),
    ],
)
def test_it_would_be_seen_if_it_did_not(
    mutant: Callable[[pytest.MonkeyPatch], None],
    policy: str,
    held: tuple[type, ...],
    acts: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(policy, held, True, acts)
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        run(policy, held, True, acts)


def test_a_tick_with_nothing_due_looks_at_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Watched((*DEVICES, POLICIES["at intervals"]))
    for _ in range(2):
        for number in range(len(KEYS)):
            rig.speak(number, 900.0, is_followed=False)
    looked_at: list[Key] = []
    monkeypatch.setattr(step, "_looked_at", lambda _, device: looked_at.append(device.key))
    for _ in range(5):
        rig.go_on(0.3)
        Rig.feed(rig, events.Tick)
    assert looked_at == []
    assert all(binding.pending for binding in bindings(rig)), "each waits for its interval"


def bindings(rig: Rig) -> list[Binding]:
    return [bound for device in rig.state.devices.values() for bound in device.bindings.values()]


MOMENTS: Final = st.one_of(
    st.floats(-10.0, 100.0), st.sampled_from([agenda.AT_ONCE, agenda.NEVER, 0.05, 0.15, 1e9])
)


@given(st.lists(st.tuples(st.sampled_from(KEYS), MOMENTS, st.floats(0.0, 100.0)), max_size=30))
def test_every_key_is_given_once_its_moment_has_come_and_no_earlier_than_a_slot(
    steps: list[tuple[Key, float, float]],
) -> None:
    made, waiting, newest = Agenda(), dict[Key, float](), 0.0
    for key, moment, now in steps:
        made = made.book(key, moment)
        if moment < agenda.NEVER:
            waiting[key] = min(moment, waiting.get(key, moment))
        newest = max(newest, now)
        keys, made = made.look(newest)
        assert {key for key, moment in waiting.items() if moment <= newest} <= set(keys)
        slot = agenda.SLOT_SECONDS
        assert all(waiting.pop(key) < newest + slot + agenda.EARLIER for key in keys)
        assert set(made.booked) == set(waiting)
        assert sorted(key for keys in made.slots.values() for key in keys) == sorted(waiting)


def test_a_look_with_nothing_due_reads_one_slot() -> None:
    made = Agenda().look(1000.0).agenda
    for number in range(5000):
        made = made.book(Key("hq", f"room-{number}"), 2000.0 + number)
    read: list[int] = []
    slots = SlotsRead(made.slots, read)
    made._replace(slots=slots).look(1000.06)
    assert len(read) <= 2


class SlotsRead(Mapping[int, Any]):
    """Slots that note which are looked at."""

    def __init__(self, slots: Mapping[int, Any], read: list[int]) -> None:
        self.slots, self.read = slots, read

    def __getitem__(self, slot: int) -> Any:
        return self.slots[slot]

    def __contains__(self, slot: object) -> bool:
        self.read.append(0)
        return slot in self.slots

    def __iter__(self) -> Iterator[int]:
        for slot in self.slots:
            self.read.append(slot)
            yield slot

    def __len__(self) -> int:
        return len(self.slots)
