"""What is void: readings from before a gap in the connection, or before a device went offline.

    heard ──telemetry lost──► kept properties void ──the device's word, kept or live──► heard
    heard ──device offline──► all properties void ──the device's word───────────────► heard

A measurement that nobody heard for a minute is a minute old, and ages. What a device says only when
it changes is no such thing: in the gap it may have said the opposite. So it is void until the word
has come again, and nothing that was said before stands in for it.

Called by `step` and `assigning`; `sampling` and `deciding` ask.
"""

from collections.abc import Mapping

from foreshore_agent.engine import events
from foreshore_agent.engine.state import Binding, DeviceState, Presence
from foreshore_api.reasons.decision import GateReason
from foreshore_api.v1alpha1 import device as devices
from foreshore_api.v1alpha1 import telemetry
from foreshore_api.wire import assignment
from foreshore_decision.chain import facts

LastWord = tuple[object, ...]
"""What makes a word another word: how it is read, and where."""


def last_words(assigned: assignment.AssignedDevice) -> dict[str, LastWord]:
    """Return, by name, the properties whose last word the broker keeps, and where it stands.

    Where it differs from what it was, the broker must be asked for it anew: `devices.mqtt` does so,
    and the reading is void until it has come.
    """
    mqtt, parameters = assigned.profile.mqtt, assigned.spec.parameters
    return {
        declared.name: (declared, mqtt.telemetry_topic, mqtt.time, parameters)
        for declared in assigned.profile.properties
        if declared.retained is telemetry.Retained.STATE
    }


def availability(
    assigned: assignment.AssignedDevice,
) -> tuple[telemetry.AvailabilitySpec, tuple[devices.DeviceParameter, ...]] | None:
    """Return where it is said whether a device is there; None: nowhere."""
    declared = assigned.profile.mqtt.availability
    return None if declared is None else (declared, assigned.spec.parameters)


def redeclared(
    before: assignment.AssignedDevice, after: assignment.AssignedDevice
) -> frozenset[str]:
    """Return the properties whose last word is another one in a new assignment, or none."""
    old, new = last_words(before), last_words(after)
    declared = (property_.name for property_ in after.profile.properties)
    return frozenset(name for name in declared if old.get(name) != new.get(name))


def voided(
    device: DeviceState, names: frozenset[str], problem: GateReason, seconds: float
) -> DeviceState:
    """Let nothing count that was said of these properties until now, neither as the last good."""
    if not names:
        return device
    void = {
        name: reading._replace(value=None, problem=str(problem), rate=None)
        for name, reading in device.readings.items()
        if name in names
    }
    return unbelieved(device, names)._replace(
        readings={**device.readings, **void},
        voids={**device.voids, **dict.fromkeys(names, seconds)},
    )


def unbelieved(device: DeviceState, names: frozenset[str]) -> DeviceState:
    """Forget the last good values of these properties, which stand in for nothing any more."""
    bindings = {key: _without(binding, names) for key, binding in device.bindings.items()}
    return device._replace(bindings=bindings)


def reads(binding: Binding, names: frozenset[str]) -> bool:
    """Whether a policy takes one of these properties as an input."""
    return any(source.property in names for source in binding.compiled.inputs)


def noted(device: DeviceState, event: events.Availability, seconds: float) -> DeviceState:
    """Take in whether a device is there."""
    return device._replace(presence=Presence(event.is_online, seconds))


def is_leaving(device: DeviceState, event: events.Availability) -> bool:
    """Whether the device went, so that nothing counts that it said.

    One that was offline may have come and gone unheard: only the copy that the broker had kept, of
    what is known, is no news.
    """
    is_known = device.presence is not None and not device.presence.is_online
    return not event.is_online and not (event.retained and is_known)


def everything(device: DeviceState) -> frozenset[str]:
    """Return every property of a device."""
    return frozenset(declared.name for declared in device.assigned.profile.properties)


def is_before_gap(device: DeviceState, name: str, seconds: float) -> bool:
    """Whether a value that came then is from before the newest gap of its property.

    Messages wait before they are taken: what was read from the broker in the very moment counts as
    before it.
    """
    return name in device.voids and seconds <= device.voids[name]


def aged(device: DeviceState) -> Mapping[str, facts.Reading]:
    """Return the readings, where a kept word of no known age is as old as the last `online`.

    A device that is there would have said by now that it changed.
    """
    presence = device.presence
    if presence is None or not presence.is_online:
        return device.readings
    young = {
        name: reading._replace(received=presence.since)
        for name, reading in device.readings.items()
        if reading.received is None
    }
    return {**device.readings, **young} if young else device.readings


def _without(binding: Binding, names: frozenset[str]) -> Binding:
    if not binding.last_good or not reads(binding, names):
        return binding
    void = {source.name for source in binding.compiled.inputs if source.property in names}
    good = {name: value for name, value in binding.last_good.items() if name not in void}
    return binding._replace(last_good=good)
