"""A cold store whose door speaks only when it moves, on an engine's bench.

store = ColdStore()
store.says(contact=True); store.loses_telemetry(); ...
store.believed("contact")
"""

from datetime import timedelta
from typing import Any

from builders import room
from builders.engine_rig import DEVICE, Rig
from foreshore_agent.engine import effects, events, presence
from foreshore_decision import expr
from foreshore_decision.chain import facts, readings

CONTACT = {"name": "contact", "type": "Boolean", "retained": "State"}
AVAILABILITY = {"topic": "{site}/{device}/availability"}


def profile(*, has_availability: bool = True, contact: room.Json = CONTACT) -> room.Json:
    """The room's profile with a door contact that is kept by the broker."""
    document = room.profile()
    document["spec"]["properties"].append(contact)
    if has_availability:
        document["spec"]["mqtt"]["availability"] = AVAILABILITY
    return document


def policy(**contact: str) -> room.Json:
    """Rules without a model: the door is closed and it is warm."""
    inputs = [
        {"name": "contact", "property": "contact", "type": "Boolean", "maximumAge": "24h"},
        {"name": "temperature", "property": "temperature", "maximumAge": "10m"},
    ]
    inputs[0].update(contact)
    permit = {"name": "warm", "expression": "contact && temperature > 20.0", "reason": "Warm"}
    document = room.changed(
        room.policy(),
        spec__inputs=inputs,
        spec__rules=[permit],
        spec__inference={},
        spec__trigger={"properties": ["temperature"]},
        spec__action__input=[{"name": "value", "expression": "300.0"}],
    )
    del document["spec"]["modelRef"]
    return document


class ColdStore:
    """An engine that hears one door."""

    def __init__(self, *documents: room.Json, is_virtual: bool = False) -> None:
        self.rig = Rig(documents or (profile(), policy()), is_virtual=is_virtual)

    def says(self, *, retained: bool = False, ago: float | None = None, **values: Any) -> None:
        """Let the device say something, or the broker what it had kept; `ago` by its own time."""
        moment = None if ago is None else self.rig.at.now - timedelta(seconds=ago)
        stamps = {} if moment is None else dict.fromkeys(values, moment)
        self.rig.feed(
            events.Sample, device=DEVICE, values=values, sampled_at=stamps, retained=retained
        )

    def loses_telemetry(self) -> None:
        """The connection goes."""
        self.rig.feed(events.TelemetryChanged, connected=False)

    def hears_again(self) -> None:
        """The connection is up, and subscribed."""
        self.rig.feed(events.TelemetryChanged, connected=True)

    def is_online(self, is_online: bool, *, retained: bool = False) -> None:
        """It is said whether the device is there."""
        self.rig.feed(events.Availability, device=DEVICE, is_online=is_online, retained=retained)

    @property
    def results(self) -> list[str]:
        """What became of each sample."""
        return [
            effect.labels[0]
            for effect in self.rig.seen
            if isinstance(effect, effects.Count)
            and effect.metric == "foreshore_telemetry_messages_total"
        ]

    def input(self, name: str) -> facts.Input:
        """Return an input as a decision of now would see it."""
        device = self.rig.state.devices[DEVICE]
        [binding] = device.bindings.values()
        source = next(known for known in binding.compiled.inputs if known.name == name)
        reading = presence.aged(device).get(source.property)
        seconds = self.rig.state.identity.seconds(self.rig.at)
        return readings.input_of(source, reading, binding.last_good.get(name), seconds)

    def believed(self, name: str) -> expr.Value | None:
        """Return the value that a decision of now would go by, the last good one included."""
        seen = self.input(name)
        return seen.value if seen.problem is None or seen.substituted == "LastGood" else None

    def problem(self, name: str) -> str | None:
        """Why a decision of now would not believe an input."""
        return self.input(name).problem
