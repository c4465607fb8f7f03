"""Rules of a turn, each with the mutant of the host that it must catch."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from builders import room
from builders.host import Host
from foreshore_agent.devices.mqtt import unread
from foreshore_agent.engine import effects, events
from foreshore_agent.runtime import core, intake

BOUND = core.TURN_SECONDS
EVERY_RECORD = room.changed(room.policy(), spec__record={"routineSampleRate": "1"})


async def nothing_leaves_before_its_intent_is_durable_in_a_turn_of_many() -> None:
    rooms = [room.changed(room.device(), metadata__name=f"room-{each}") for each in range(4)]
    host = Host((room.policy(), *rooms), is_durable_at_once=False)
    host.score = 0.9
    for number in range(4):
        host.measure(device=f"room-{number}")
    await host.rest()
    assert host.sent == []
    host.write()
    await host.rest()
    assert {command.device.name for command in host.sent} == {f"room-{each}" for each in range(4)}


async def only_the_newest_of_a_turn_is_decided_on() -> None:
    host = Host((EVERY_RECORD,))
    host.measure(900.0)
    host.measure(901.0)
    await host.rest()
    assert len(host.decided) == 1


async def what_must_not_wait_goes_before_samples() -> None:
    host = Host((EVERY_RECORD,))
    host.measure()
    host.core.offer(events.HubChanged(*host.core.stamp(), connected=True))
    seen: list[bool] = []
    host.watch = lambda _: seen.append(host.core.state.hub_connected)
    await host.rest()
    assert all(seen)


async def a_turn_ends_in_time_whatever_models_take() -> None:
    rooms = [room.changed(room.device(), metadata__name=f"room-{each}") for each in range(9)]
    host = Host((EVERY_RECORD, *rooms), model_seconds=BOUND / 2)
    for number in range(9):
        host.measure(device=f"room-{number}")
    began = host.clock.seconds
    await host.round()
    assert host.clock.seconds - began <= BOUND + host.model_seconds


async def what_is_left_of_a_turn_is_taken_without_another_message() -> None:
    rooms = [room.changed(room.device(), metadata__name=f"room-{each}") for each in range(9)]
    host = Host((EVERY_RECORD, *rooms), model_seconds=core.TURN_SECONDS * 2)
    for number in range(9):
        host.measure(device=f"room-{number}")
    await host.rest()
    assert len(host.decided) == 9


async def all_that_came_is_counted() -> None:
    host = Host((EVERY_RECORD,))
    for number in range(unread.ALIKE + 5):
        host.measure(900.0 + number)
        if number < unread.ALIKE:
            await host.rest()
    await host.rest()
    replaced = sum(sum(each.get("replaced", {}).values()) for each in host.decisions)
    assert len(host.decided) + replaced == unread.ALIKE + 5


def _durable_at_once(patch: pytest.MonkeyPatch) -> None:
    written = core.Core._journal

    def hasty(host: core.Core, effect: effects.AppendRecords) -> None:
        written(host, effect)
        if effect.intent is not None:
            at, fresh = host.stamp()
            host.offer(events.IntentDurable(at, fresh, *effect.intent))

    patch.setattr(core.Core, "_journal", hasty)


def _of_equal_age(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake.Intake, "_in_turn", lambda _, sample: sample)


def _samples_first(patch: pytest.MonkeyPatch) -> None:
    take_all = core.Core._take_all

    def eager(host: core.Core) -> None:
        for sample in host._ports.devices.measured(core.SAMPLES_A_TURN):
            host._take_event(sample)
        take_all(host)

    def late(host: core.Core, event: events.Event) -> None:
        host._intake.put(event)
        host.wake()

    patch.setattr(core.Core, "_take_all", eager)
    patch.setattr(core.Core, "offer", late)


def _without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(core, "TURN_SECONDS", 1e9)


def _without_another(patch: pytest.MonkeyPatch) -> None:
    turn, wake = core.Core._turn, core.Core.wake

    def lazy(host: core.Core, work: Callable[[], None]) -> None:
        patch.setattr(core.Core, "wake", lambda _: None)
        turn(host, work)
        patch.setattr(core.Core, "wake", wake)

    patch.setattr(core.Core, "_turn", lazy)


def _uncounted(patch: pytest.MonkeyPatch) -> None:
    take = unread.Unread.take

    def forgetful(waiting: unread.Unread) -> unread.UnreadMessage | None:
        taken = take(waiting)
        return None if taken is None else taken._replace(passed=0)

    patch.setattr(unread.Unread, "take", forgetful)


Mutant = Callable[[pytest.MonkeyPatch], None]
PAIRS: dict[str, tuple[Callable[[], Awaitable[None]], Mutant]] = {
    "takes an intent for durable when it is handed over": (
        nothing_leaves_before_its_intent_is_durable_in_a_turn_of_many,
        _durable_at_once,
    ),
    "decides on each sample of a turn": (only_the_newest_of_a_turn_is_decided_on, _of_equal_age),
    "takes samples first": (what_must_not_wait_goes_before_samples, _samples_first),
    "asks on and on": (a_turn_ends_in_time_whatever_models_take, _without_end),
    "leaves what is left": (
        what_is_left_of_a_turn_is_taken_without_another_message,
        _without_another,
    ),
    "does not count what it passes over": (all_that_came_is_counted, _uncounted),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_rule_holds_and_catches_a_host_that(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    holds, mutate = PAIRS[name]

    async def held() -> None:
        await holds()

    asyncio.run(held())
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        asyncio.run(held())
