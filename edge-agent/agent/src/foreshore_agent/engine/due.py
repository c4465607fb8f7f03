"""Devices are stored here, so that each is looked at by the tick at which it has something to do.

    stored ──► book the moment at which time alone moves it    (`timers`: engine seconds;
    tick   ──► take those whose moment has come                 `timeouts`: monotonic ones)

A tick comes twenty times a second; to look at a thousand devices each time took half of what it
takes to read a message of each. Called by whatever of the engine replaces devices.
"""

from collections.abc import Mapping

import immutables

from foreshore_agent.engine import agenda, triggers
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import DeviceState, State
from foreshore_agent.engine.turn import Turn


def put(state: State, device: DeviceState) -> State:
    """Store a device, and when to look at it."""
    devices = state.devices.set(device.key, device)
    timer, timeout = triggers.timer_due(device), triggers.timeout_due(device)
    if timer == timeout == agenda.NEVER:
        return state._replace(devices=devices)
    timers = state.timers.book(device.key, timer)
    timeouts = state.timeouts.book(device.key, timeout)
    return state._replace(devices=devices, timers=timers, timeouts=timeouts)


def put_all(state: State, devices: Mapping[Key, DeviceState]) -> State:
    """Store devices of which many have changed, and when to look at each."""
    timers, timeouts = state.timers, state.timeouts
    stored = state.devices.mutate()
    for key, device in devices.items():
        stored[key] = device
        timers = timers.book(key, triggers.timer_due(device))
        timeouts = timeouts.book(key, triggers.timeout_due(device))
    return state._replace(devices=stored.finish(), timers=timers, timeouts=timeouts)


def begin_anew(state: State, devices: Mapping[Key, DeviceState]) -> State:
    """Store the devices of a new assignment, and forget the others."""
    timers, timeouts = state.timers.emptied(), state.timeouts.emptied()
    emptied = state._replace(devices=immutables.Map(), timers=timers, timeouts=timeouts)
    return put_all(emptied, devices)


def take(turn: Turn, state: State) -> tuple[State, tuple[Key, ...]]:
    """Return the devices to be looked at now, in order; whoever looks stores each again."""
    timed, timers = state.timers.look(turn.seconds)
    late, timeouts = state.timeouts.look(turn.at.monotonic)
    keys = tuple(sorted({*timed, *late})) if timed and late else timed or late
    return state._replace(timers=timers, timeouts=timeouts), keys
