"""What measurements say of a command: whether they count, and whether they are near what it set.

Asked by `commanding` only, which decides what follows from it.
"""

from math import isclose
from typing import Any

from foreshore_agent.engine.events import Instant
from foreshore_agent.engine.state import Binding, Device, Intent, Phase
from foreshore_decision.policy import compiled


def confirmation(device: Device, intent: Intent) -> compiled.Confirmation | None:
    """Return how the command is confirmed, where its policy is still bound and says so."""
    binding: Binding | None = device.bindings.get(intent.policy)
    return None if binding is None else binding.compiled.confirmation


def measured(device: Device, intent: Intent) -> dict[str, float | None]:
    """Return the newest measurement of everything that the command sets."""
    values: dict[str, float | None] = {}
    for name in intent.properties.values():
        reading = device.readings.get(name)
        value = None if reading is None else reading.value
        values[name] = None if value is None or isinstance(value, str) else float(value)
    return values


def counts(device: Device, intent: Intent, properties: frozenset[str], at: Instant) -> bool:
    """Whether a measurement of these properties, just taken, says anything about a command."""
    if intent.phase is Phase.UNKNOWN:
        return not properties.isdisjoint(intent.properties.values())
    how = confirmation(device, intent)
    if intent.phase is not Phase.CONFIRMATION or how is None:
        return False
    return how.property in properties and at.monotonic >= intent.settles


def is_near(device: Device, intent: Intent) -> bool:
    """Whether what is measured is what was commanded."""
    values = measured(device, intent)
    how = confirmation(device, intent)
    if how is None:
        return all(
            _is_same(values[name], intent.values.get(key))
            for key, name in intent.properties.items()
        )
    value, wanted = values.get(how.property), intent.values.get(how.input)
    if value is None or wanted is None:
        return False
    bindings = how.environment.bind({"difference": abs(value - float(wanted))})
    return how.expression.is_true(bindings) is True


def _is_same(measured: float | None, wanted: Any) -> bool:
    if measured is None or isinstance(wanted, str) or wanted is None:
        return False
    return isclose(measured, float(wanted), rel_tol=1e-6, abs_tol=1e-9)
