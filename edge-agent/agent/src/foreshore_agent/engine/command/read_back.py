"""What measurements say of a command: whether they count, and whether they are near what it set.

Asked by `life` and `table`, which know what follows from it.
"""

from collections.abc import Iterable, Mapping

from foreshore_agent.engine.events import Value
from foreshore_agent.engine.state import CommandState, DeviceState, Intent
from foreshore_agent.engine.turn import Turn
from foreshore_decision.chain import facts, nearness
from foreshore_decision.instant import is_beyond
from foreshore_decision.policy import compiled


def confirmation(device: DeviceState, intent: Intent) -> compiled.Confirmation | None:
    """Return how the command is confirmed, where its policy is still bound and says so."""
    binding = device.bindings.get(intent.policy)
    return None if binding is None else binding.compiled.confirmation


def echo(device: DeviceState, intent: Intent) -> compiled.CompiledEcho | None:
    """Return whose report tells of the command, where its policy is still bound and says so."""
    binding = device.bindings.get(intent.policy)
    return None if binding is None else binding.compiled.acknowledgement.echo


def measured(device: DeviceState, properties: Iterable[str]) -> dict[str, Value | None]:
    """Return the newest report of each property."""
    readings = {name: device.readings.get(name) for name in properties}
    return {name: None if reading is None else reading.value for name, reading in readings.items()}


def is_counting(
    turn: Turn, device: DeviceState, intent: Intent, properties: frozenset[str]
) -> bool:
    """Whether a report of these properties, just taken, says anything about a command."""
    if intent.state is CommandState.ECHO:
        awaited = intent.acknowledgement.echo
        return awaited is not None and awaited.property in properties and is_echo(device, intent)
    if intent.state is CommandState.UNKNOWN:
        compared = set(_compared(device, intent).values())
        is_new = not properties.isdisjoint(compared)
        return is_new and all(is_after_sending(device, intent, name) for name in compared)
    rule = confirmation(device, intent)
    if intent.state is not CommandState.CONFIRMATION or rule is None:
        return False
    is_live = is_after_sending(device, intent, rule.property)
    return is_live and rule.property in properties and turn.at.monotonic >= intent.settles


def is_echo(device: DeviceState, intent: Intent) -> bool:
    """Whether the newest report of what a command's echo is awaited of can be that echo."""
    awaited = intent.acknowledgement.echo
    return awaited is not None and is_after_sending(device, intent, awaited.property)


def is_early_echo(device: DeviceState, intent: Intent) -> bool:
    """Whether the echo of a command has come before the word that the command has left.

    What came in the moment of the decision is what it was made on, also on a clock that stands.
    """
    awaited = intent.acknowledgement.echo
    reading = None if awaited is None else device.readings.get(awaited.property)
    received = None if reading is None else reading.received
    is_later = received is not None and received > intent.issued
    return is_later and is_echo(device, intent) and is_near(device, intent)


def is_after_sending(device: DeviceState, intent: Intent, name: str) -> bool:
    """Whether the newest report of a property is the device's own word since the command left.

    What the broker had kept may be of any time, and what waited unread may be of before.
    """
    reading = device.readings.get(name)
    return reading is not None and _is_live(reading) and _is_since(reading, intent)


def _is_live(reading: facts.Reading) -> bool:
    return reading.is_live


def _is_since(reading: facts.Reading, intent: Intent) -> bool:
    return reading.received is not None and reading.received >= intent.sent


def is_near(device: DeviceState, intent: Intent) -> bool:
    """Whether what is measured is what was commanded."""
    values = measured(device, intent.properties.values())
    rule = confirmation(device, intent)
    if rule is not None:
        value, wanted = values.get(rule.property), intent.values.get(rule.input)
        if not nearness.is_number(value) or not nearness.is_number(wanted):
            return False
        bindings = rule.environment.bind({"difference": abs(float(value) - float(wanted))})
        return rule.expression.is_true(bindings) is True
    return all(
        nearness.is_near(values.get(name), intent.values.get(key), _tolerance(device, intent, key))
        for key, name in _compared(device, intent).items()
    )


def _compared(device: DeviceState, intent: Intent) -> Mapping[str, str]:
    """Return the properties that tell of a command, by the inputs that set them."""
    rule, awaited = confirmation(device, intent), echo(device, intent)
    if rule is not None:
        return {rule.input: rule.property}
    return intent.properties if awaited is None else {awaited.input: awaited.property}


def _tolerance(device: DeviceState, intent: Intent, key: str) -> float:
    binding = device.bindings.get(intent.policy)
    bounds = () if binding is None else binding.compiled.action.bounds
    return next((bound.tolerance for bound in bounds if bound.name == key), 0.0)


def is_already(
    turn: Turn,
    device: DeviceState,
    action: compiled.CompiledAction,
    wanted: Mapping[str, Value],
) -> bool:
    """Whether the device's own fresh reports are what it would be told.

    Only where every input sets a property: of what cannot be read nobody knows what it is.
    """
    return all(_is_present(turn, device, bound, wanted.get(bound.name)) for bound in action.bounds)


def _is_present(
    turn: Turn, device: DeviceState, bound: compiled.Bound, wanted: Value | None
) -> bool:
    reading = device.readings.get(bound.property or "")
    if reading is None or not _is_live(reading) or reading.problem is not None:
        return False
    if reading.received is None:
        return False
    is_fresh = not is_beyond(reading.received, bound.present_age, turn.seconds)
    return is_fresh and nearness.is_near(reading.value, wanted, bound.tolerance)
