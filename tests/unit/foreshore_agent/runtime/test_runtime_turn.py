"""A turn of the engine's host: the newest decides, nothing is late, nothing is lost unsaid."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.engine_rig import DEVICE, OCCUPIED, POLICY
from builders.host import START, Host
from foreshore_agent.devices.mqtt import devices, unread
from foreshore_agent.engine import effects, events, state
from foreshore_agent.engine.events import Key
from foreshore_agent.runtime import core, intake
from foreshore_api.reasons import agent, telemetry

EVERY_RECORD = room.changed(room.policy(), spec__record={"routineSampleRate": "1"})
COMMANDING = room.changed(EVERY_RECORD, spec__rateLimit={"minimumInterval": "0s"})


def values(host: Host) -> list[float]:
    """Of each decision, the value of the sample that it was taken on."""
    return [
        next(each["value"] for each in one["inputs"] if each["name"] == "co2")
        for one in host.decisions
    ]


async def test_of_what_comes_together_the_newest_is_decided_on_once() -> None:
    host = Host((EVERY_RECORD,))
    for number in range(5):
        host.measure(900.0 + number)
    await host.rest()
    assert values(host) == [904.0]
    assert host.decisions[0]["replaced"] == {"NewerInTurn": 4}
    assert host.happened.count("ask") == 1


async def test_models_are_asked_when_the_samples_of_the_turn_are_taken() -> None:
    """A model that answers at once would else hold up the samples of every other device."""
    host = Host((EVERY_RECORD, *rooms(1)))
    host.measure()
    host.measure(device="room-0")
    await host.rest()
    assert host.happened == [
        *("measured", "accepted", "accepted"),
        *("ask", "append", "ask", "append", "flush"),
    ]


async def test_a_turn_ends_with_one_hand_over_to_the_journal() -> None:
    host = Host((EVERY_RECORD,))
    host.measure()
    await host.round(2)
    assert host.happened.count("append") == 1
    assert host.happened.count("flush") == 1


async def test_nothing_is_sent_before_its_intent_is_durable_however_much_comes_together() -> None:
    host = Host((COMMANDING,), is_durable_at_once=False)
    host.score = 0.9
    for number in range(8):
        host.measure(900.0 + number)
        await host.round()
    await host.rest()
    assert host.sent == []
    host.write()
    await host.rest()
    assert host.sent


async def test_what_must_not_wait_comes_before_samples() -> None:
    host = Host((EVERY_RECORD,), answers_at_once=False)
    host.measure()
    await host.rest()
    host.measure(950.0)
    host.answer()
    await host.rest()
    assert values(host) == [OCCUPIED["co2"]]
    assert len(host.questions) == 1


async def test_while_questions_are_left_samples_stay_where_newer_ones_replace_them() -> None:
    slow = core.TURN_SECONDS * 1.5
    host = Host((EVERY_RECORD, *rooms(3)), model_seconds=slow)
    for name in ("room-301", "room-0", "room-1", "room-2"):
        host.measure(device=name)
    await host.round()
    assert host.happened.count("ask") == 1
    host.measure()
    await host.round()
    assert host.happened.count("ask") == 2
    assert host.happened.count("measured") == 1
    await host.rest()
    assert host.happened.count("ask") == 5


def rooms(number: int) -> list[room.Json]:
    """More rooms beside the one."""
    return [room.changed(room.device(), metadata__name=f"room-{each}") for each in range(number)]


async def test_a_tick_is_never_later_than_a_turn_however_much_is_offered() -> None:
    host = Host((EVERY_RECORD, *rooms(8)), model_seconds=core.TURN_SECONDS / 3)
    due, late = host.clock.seconds, 0.0
    for _ in range(200):
        for name in range(8):
            host.measure(device=f"room-{name}")
        if host.clock.seconds >= due:
            late = max(late, host.clock.seconds - due)
            due = host.clock.seconds + 0.05
            host.tick()
        await host.round()
    assert late <= core.TURN_SECONDS + host.model_seconds


async def test_samples_that_take_long_end_a_turn_as_models_do() -> None:
    """Expressions may take up to the budget of a policy: 32 such samples would take half a second.

    What was decoded and not taken yet comes in the next turns, and is not asked for again.
    """
    host = Host((EVERY_RECORD, *rooms(8)))

    def take_long(effect: effects.Effect) -> None:
        if isinstance(effect, effects.Count) and effect.labels == (telemetry.ACCEPTED,):
            host.clock.seconds += core.TURN_SECONDS / 3

    host.watch = take_long
    for name in range(8):
        host.measure(device=f"room-{name}")
    before, turns = host.clock.seconds, 0
    while len(host.decisions) < 8:
        turns += 1
        await host.round()
        assert host.clock.seconds - before <= core.TURN_SECONDS * 4 / 3
        before = host.clock.seconds
    assert turns >= 3
    assert host.happened.count("measured") == 1


async def test_records_that_wait_for_the_disk_make_samples_wait_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "MAXIMUM_UNWRITTEN", 0)
    host = Host((EVERY_RECORD,), is_durable_at_once=False)
    host.write()
    await host.rest()
    host.measure()
    await host.rest()
    host.happened.clear()
    host.measure()
    host.tick()
    await host.rest()
    assert "measured" not in host.happened
    host.clock.seconds += 2.0
    host.tick()
    strain = host.core.pressure.strain(host.clock.seconds)
    assert strain is not None
    assert strain.reason == agent.DISK_BEHIND
    host.clock.seconds -= 2.0
    host.write()
    await host.round(2)
    host.tick()
    await host.rest()
    assert len(host.decisions) == 2


async def test_no_model_is_asked_between_the_engines_assignment_and_that_of_the_ports() -> None:
    """Asked then, the pool had no endpoint yet for the version that the engine worked by already.

    Regression: an edited model cost a decision (`NoEndpoint`).
    """
    host = Host((EVERY_RECORD,))
    host.measure()
    epoch = int(host.clock.now().timestamp())
    taken = engine_rig.assign(EVERY_RECORD, room.policy(), epoch=epoch)
    host.core.take(events.Assigned(*host.core.stamp(), taken, is_self_granted=True))
    assert {"measured", "ask"}.isdisjoint(host.happened)
    await host.rest()
    assert host.happened.count("ask") == 1


async def test_a_defect_in_a_turn_of_the_loop_is_told_to_whoever_ends_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = Host((EVERY_RECORD,))

    def broken(_: effects.Infer) -> None:
        raise ZeroDivisionError

    host.core.carriers = {**host.core.carriers, effects.Infer: broken}  # type: ignore[misc]
    host.measure()
    await host.rest()
    assert [type(error) for error in host.failures] == [ZeroDivisionError]


async def test_what_was_dropped_before_a_reconnection_is_strain_too() -> None:
    """What waits then is taken before telemetry begins anew, and not by a turn of its own."""
    host = Host((EVERY_RECORD,))
    host.measure()
    host.clock.seconds += devices.LONGEST_WAIT + 0.1
    host.measure()
    host.topics[0].changed(True)
    for _ in range(2):
        host.tick()
        await host.rest()
        host.clock.seconds += 1.1
    strain = host.core.pressure.strain(host.clock.seconds)
    assert strain is not None
    assert "1 were dropped" in strain.message


async def test_after_a_defect_no_command_leaves_any_more() -> None:
    """What the failed turn left undone nobody knows: what is durable is where to begin again."""
    host = Host((COMMANDING, *rooms(1)), is_durable_at_once=False)
    host.score = 0.9
    host.measure()
    await host.rest()

    def broken(_: effects.Infer) -> None:
        raise ZeroDivisionError

    host.core.carriers = {**host.core.carriers, effects.Infer: broken}  # type: ignore[misc]
    host.measure(device="room-0")
    await host.rest()
    host.write()
    await host.rest()
    assert host.sent == []
    assert len(host.failures) == 1


async def test_three_times_what_can_be_done_is_decided_newest_first_and_adds_up() -> None:
    """Offered three samples for each that the model has time for: as many decisions as it can."""
    host = Host((EVERY_RECORD,), model_seconds=0.003)
    for number in range(unread.ALIKE):
        host.measure(800.0 + number)
        await host.round(3)
    began, before = host.clock.seconds, len(host.decided)
    received, latest = unread.ALIKE, 0.0
    while host.clock.seconds < began + 3.0:
        already = host.clock.seconds
        for _ in range(3):
            received += 1
            host.measure(900.0 + received / 100)
        await host.round(2)
        assert values(host)[-1] == 900.0 + received / 100
        latest = max(latest, host.clock.seconds - already)
    await host.rest()
    rate = (len(host.decided) - before) / (host.clock.seconds - began)
    assert rate >= 0.9 / host.model_seconds
    replaced = sum(sum(each.get("replaced", {}).values()) for each in host.decisions)
    assert received == len(host.decided) + replaced
    assert host.counted(telemetry.ACCEPTED) + host.counted(telemetry.NEWER_ON_TOPIC) == received


WINDOW = {"name": "co2Mean", "input": "co2", "aggregate": "Mean", "window": "60s"}
DOCUMENTS = {
    "newest values": EVERY_RECORD,
    "a window": room.changed(EVERY_RECORD, spec__features=[WINDOW]),
    "an interval": room.changed(EVERY_RECORD, spec__trigger__minimumInterval="50ms"),
}
STEPS = st.lists(
    st.sampled_from(["sample", "quiet", "garbage", "tick", "answer", "round"]), max_size=50
)


class Story:
    """What came of a device, and what has become of it."""

    def __init__(self, document: room.Json, *, answers_at_once: bool) -> None:
        self.host = Host((document,), answers_at_once=answers_at_once)
        self.sent = 0
        self.garbage = 0

    async def take(self, step: str) -> None:
        """Let one thing happen, and after all but `quiet` let the loop go round."""
        self.host.clock.seconds += 0.01
        happen: dict[str, Callable[[], None]] = {
            "sample": self.sample,
            "quiet": self.sample,
            "garbage": self.litter,
            "tick": self.host.tick,
            "answer": self.answer,
        }
        if step in happen:
            happen[step]()
        if step != "quiet":
            await self.host.round(2)

    def sample(self) -> None:
        self.sent += 1
        self.host.measure(self.newest)

    def litter(self) -> None:
        self.garbage += 1
        self.host.put(DEVICE.name, b"garbage")

    def answer(self) -> None:
        if self.host.questions:
            self.host.answer()

    async def come_to_an_end(self) -> None:
        for _ in range(4):
            self.host.clock.seconds += 0.05
            self.host.tick()
            await self.host.rest()
            self.answer()
            await self.host.rest()

    @property
    def newest(self) -> float:
        return 900.0 + self.sent / 100

    @property
    def binding(self) -> state.Binding:
        return self.host.core.state.devices[DEVICE].bindings[POLICY]

    @property
    def replaced(self) -> int:
        recorded = sum(sum(each.get("replaced", {}).values()) for each in self.host.decisions)
        return recorded + sum(self.binding.replaced.values())


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
@given(steps=STEPS, answers_at_once=st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_comes_when_the_newest_is_decided_on_once_and_all_is_counted(
    document: room.Json, steps: list[str], answers_at_once: bool
) -> None:
    asyncio.run(_whatever(document, steps, answers_at_once=answers_at_once))


async def _whatever(document: room.Json, steps: list[str], *, answers_at_once: bool) -> None:
    story = Story(document, answers_at_once=answers_at_once)
    host = story.host
    for step in (*["sample"] * (unread.ALIKE + 1), *steps, "sample"):
        await story.take(step)
        assert len(host.questions) <= 1
        if step == "sample":
            reading = host.core.state.devices[DEVICE].readings["co2"]
            assert reading.value == story.newest, "no sample waits longer than a turn"
            assert story.binding.pending is not None or newest(host) == story.newest
    await story.come_to_an_end()
    assert (story.binding.pending, story.binding.flight) == (None, None)
    moments = [one.triggered_at for one in host.decided]
    assert len(set(moments)) == len(moments)
    assert values(host) == sorted(values(host))
    assert values(host)[-1] == story.newest
    passed_garbage = story.garbage - host.counted(telemetry.INVALID_JSON)
    assert story.sent + passed_garbage == len(host.decided) + story.replaced
    assert host.failures == []


def newest(host: Host) -> object:
    """The value that the newest question, or decision, was about."""
    if host.questions:
        device = host.core.state.devices[DEVICE]
        flight = device.bindings[POLICY].flight
        assert flight is not None
        return flight.before.given.readings["co2"].value
    return values(host)[-1]


def sample(device: str, number: int) -> events.Sample:
    at = events.Instant(START, float(number), float(number))
    return events.Sample(at, str(number), Key("hq", device), {"co2": number})


def test_a_sample_says_whether_another_of_its_device_follows() -> None:
    waiting = intake.Intake()
    for device, number in (("a", 1), ("b", 2), ("a", 3)):
        waiting.put(sample(device, number))
    taken = [waiting.take_measured() for _ in range(4)]
    assert [
        (each.is_followed, each.is_last) for each in taken if isinstance(each, events.Sample)
    ] == [(True, False), (False, False), (False, True)]
    assert taken[-1] is None


def test_telemetry_keeps_its_own_order() -> None:
    waiting = intake.Intake()
    lost = events.TelemetryChanged(sample("a", 1).at, "f", connected=False)
    for event in (sample("a", 1), lost, sample("a", 2)):
        waiting.put(event)
    kinds = [type(waiting.take_measured()) for _ in range(3)]
    assert kinds == [events.Sample, events.TelemetryChanged, events.Sample]
    assert waiting.take_first() is None
