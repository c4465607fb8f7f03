"""What measurements say of a command: whether they count, and whether they are near what it set.

Asked by `life` and `table`, which know what follows from it.
"""

from math import isclose
from typing import Any

from foreshore_agent.engine.state import CommandState, DeviceState, Intent
from foreshore_agent.engine.turn import Turn
from foreshore_decision.policy import compiled


def confirmation(device: DeviceState, intent: Intent) -> compiled.Confirmation | None:
    """Return how the command is confirmed, where its policy is still bound and says so."""
    binding = device.bindings.get(intent.policy)
    return None if binding is None else binding.compiled.confirmation


def measured(device: DeviceState, intent: Intent) -> dict[str, float | None]:
    """Return the newest measurement of everything that the command sets."""
    values: dict[str, float | None] = {}
    for name in intent.properties.values():
        reading = device.readings.get(name)
        value = None if reading is None else reading.value
        values[name] = None if value is None or isinstance(value, str) else float(value)
    return values


def is_counting(
    turn: Turn, device: DeviceState, intent: Intent, properties: frozenset[str]
) -> bool:
    """Whether a measurement of these properties, just taken, says anything about a command."""
    if intent.state is CommandState.UNKNOWN:
        return not properties.isdisjoint(intent.properties.values())
    rule = confirmation(device, intent)
    if intent.state is not CommandState.CONFIRMATION or rule is None:
        return False
    return rule.property in properties and turn.at.monotonic >= intent.settles


def is_near(device: DeviceState, intent: Intent) -> bool:
    """Whether what is measured is what was commanded."""
    values = measured(device, intent)
    rule = confirmation(device, intent)
    if rule is None:
        return all(
            _is_same(values[name], intent.values.get(key))
            for key, name in intent.properties.items()
        )
    value, wanted = values.get(rule.property), intent.values.get(rule.input)
    if value is None or wanted is None:
        return False
    bindings = rule.environment.bind({"difference": abs(value - float(wanted))})
    return rule.expression.is_true(bindings) is True


def _is_same(value: float | None, wanted: Any) -> bool:
    if value is None or isinstance(wanted, str) or wanted is None:
        return False
    return isclose(value, float(wanted), rel_tol=1e-6, abs_tol=1e-9)
