"""Zigbee2MQTT: one JSON document a device with all of its values, `/set` to command, `/get` to ask.

https://www.zigbee2mqtt.io/guide/usage/mqtt_topics_and_messages.html. Quirks that are played: every
value is null on the first report; keys come in the order of the alphabet; a command has no answer
but the state, after the device has taken it, or before (`optimistic`); the bridge's own death is
said on `bridge/state` only, and not by its devices.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from foreshore_agent.play.dialects import appliances, exposes, speech
from foreshore_agent.play.dialects.speech import DialectHabits, DialectReaction, SpokenMessage

_BASE: Final = "zigbee2mqtt"
_BRIDGE: Final = f"{_BASE}/bridge/state"
_PLUG_SECONDS: Final = 0.3
_VALVE_SECONDS: Final = 0.8
"""A valve on a battery takes a command when it wakes up."""
_MOVED_EVERY: Final = 5
"""Ticks between two moves of a door, or of somebody in a hall."""


class ZigbeeDevice:
    """What all devices behind the bridge have in common."""

    is_retained = False
    """Whether the bridge is asked to retain this device's state: `retain: true`."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        self._habits: Final = habits
        self._name: Final = name
        self._topic: Final = f"{_BASE}/{name}"

    @property
    def heard(self) -> tuple[str, ...]:
        """Where the bridge listens for this device."""
        return (f"{self._topic}/set", f"{self._topic}/get")

    @property
    def will(self) -> SpokenMessage | None:
        """The bridge's."""
        return speech.document(_BRIDGE, {"state": "offline"}, is_retained=True)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """The bridge is there, the device is, and nothing is known of its values yet."""
        unknown = dict.fromkeys(self.values(now))
        return (
            speech.document(_BRIDGE, {"state": "online"}, is_retained=True),
            speech.document(f"{_BASE}/bridge/devices", [self._listed()], is_retained=True),
            speech.document(f"{self._topic}/availability", {"state": "online"}, is_retained=True),
            self._report({**unknown, "linkquality": 27}),
        )

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Take a message on `/set` or `/get`."""
        if topic.endswith("/get"):
            return DialectReaction((self.report(now),))
        orders = speech.read_document(body)
        if not isinstance(orders, dict) or not self.order(orders):
            return DialectReaction((_complaint(topic, body),))
        reaction = self._habits.follow(self.seconds)
        if not self._habits.is_optimistic:
            return reaction
        hoped = self._report({**self.values(now), **self.hopes()})
        return reaction._replace(messages=(hoped,))

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """Follow the orders that were taken."""
        self.follow()
        return (self.report(now),)

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Measure."""
        self.pass_time()
        return (self.report(now),)

    def report(self, now: datetime) -> SpokenMessage:
        """Return the device's document."""
        return self._report(self.values(now))

    def _listed(self) -> dict[str, Any]:
        """Return how the bridge lists the device; each played device has a bridge of its own."""
        return {
            "ieee_address": "0x00158d0001a2b3c4",
            "type": "EndDevice",
            "supported": True,
            "friendly_name": self._name,
            "interview_completed": True,
            "definition": self.definition,
        }

    def _report(self, values: Mapping[str, Any]) -> SpokenMessage:
        ordered = dict(sorted(values.items()))
        return speech.document(self._topic, ordered, is_retained=self.is_retained)

    # What differs from device to device.

    definition: Mapping[str, Any] = exposes.PLUG
    """What the bridge knows of the model."""
    seconds = _PLUG_SECONDS
    """Until an order has been followed."""

    def values(self, now: datetime) -> Mapping[str, Any]:
        """Return what the device says of itself."""
        raise NotImplementedError

    def order(self, orders: Mapping[str, Any]) -> bool:
        """Note orders; whether any was understood."""
        del orders
        return False

    def hopes(self) -> Mapping[str, Any]:
        """Return what the device will say once it has followed."""
        return {}

    def follow(self) -> None:
        """Follow the orders that were noted."""

    def pass_time(self) -> None:
        """Let some time pass."""


class ZigbeePlug(ZigbeeDevice):
    """A plug that measures."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        super().__init__(name, habits)
        self.load: Final = appliances.PlayedLoad()
        self._wanted = True

    def values(self, now: datetime) -> Mapping[str, Any]:
        """State and measurements."""
        del now
        return {
            "state": "ON" if self.load.is_on else "OFF",
            "power": self.load.watts,
            "current": self.load.amperes,
            "voltage": self.load.volts,
            "energy": self.load.energy,
            "linkquality": 102,
        }

    def order(self, orders: Mapping[str, Any]) -> bool:
        """`{"state": "ON"}`, `OFF` or `TOGGLE`."""
        wanted = speech.switched(orders.get("state"), is_on=self.load.is_on)
        if wanted is None:
            return False
        self._wanted = wanted
        return True

    def hopes(self) -> Mapping[str, Any]:
        """The state that was ordered."""
        return {"state": "ON" if self._wanted else "OFF"}

    def follow(self) -> None:
        """Switch."""
        self.load.switch(is_on=self._wanted)

    def pass_time(self) -> None:
        """Draw power."""
        self.load.tick()


class ZigbeeContact(ZigbeeDevice):
    """A door contact, with `retain: true` and `last_seen: ISO_8601`."""

    is_retained = True
    definition = exposes.CONTACT

    def __init__(self, name: str, habits: DialectHabits) -> None:
        super().__init__(name, habits)
        self.is_closed = True
        self._moved: datetime | None = None
        self._ticks = 0

    def values(self, now: datetime) -> Mapping[str, Any]:
        """How the door stands, and when it said so."""
        seen = (self._moved or now).astimezone(UTC).isoformat(timespec="milliseconds")
        return {
            "contact": self.is_closed,
            "battery": 100,
            "voltage": 3015,
            "linkquality": 72,
            "last_seen": seen.replace("+00:00", "Z"),
        }

    def move(self, now: datetime, *, is_closed: bool) -> SpokenMessage:
        """Open or close the door, and return what the contact says of it."""
        self.is_closed, self._moved = is_closed, now
        return self.report(now)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """The bridge has its state in a file, and says it again after a start."""
        *born, _ = super().rise(now)
        self._moved = self._moved or now
        return (*born, self.report(now))

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Nothing, unless the door moves."""
        self._ticks += 1
        if self._ticks % _MOVED_EVERY:
            return ()
        return (self.move(now, is_closed=not self.is_closed),)


class ZigbeeMotion(ZigbeeDevice):
    """A motion sensor in a hall that gets dark."""

    definition = exposes.MOTION

    def __init__(self, name: str, habits: DialectHabits) -> None:
        super().__init__(name, habits)
        self._is_occupied = False
        self._ticks = 0

    def values(self, now: datetime) -> Mapping[str, Any]:
        """Whether somebody moves, and how light it is."""
        del now
        return {
            "occupancy": self._is_occupied,
            "illuminance": 12,
            "battery": 97,
            "voltage": 2995,
            "linkquality": 86,
        }

    def pass_time(self) -> None:
        """Somebody comes and goes."""
        self._ticks += 1
        self._is_occupied = bool(self._ticks // _MOVED_EVERY % 2 == 0)


class ZigbeeClimate(ZigbeeDevice):
    """A radiator valve, whose set point goes in steps of half a degree."""

    seconds = _VALVE_SECONDS
    definition = exposes.CLIMATE

    def __init__(self, name: str, habits: DialectHabits) -> None:
        super().__init__(name, habits)
        self.room: Final = appliances.PlayedRoom()
        self._setpoint = self.room.setpoint
        self._mode = self.room.mode

    def values(self, now: datetime) -> Mapping[str, Any]:
        """Temperature, set point, mode."""
        del now
        return {
            "local_temperature": self.room.temperature,
            "occupied_heating_setpoint": self.room.setpoint,
            "system_mode": self.room.mode,
            "running_state": "heat" if self.room.is_heating else "idle",
            "pi_heating_demand": 80 if self.room.is_heating else 0,
            "battery": 74,
            "linkquality": 91,
        }

    def order(self, orders: Mapping[str, Any]) -> bool:
        """A set point, a mode, or both."""
        setpoint, mode = orders.get("occupied_heating_setpoint"), orders.get("system_mode")
        is_point = type(setpoint) in (int, float) and 5 <= setpoint <= 30  # type: ignore[operator]
        is_mode = mode in ("off", "heat", "auto")
        if is_point:
            self._setpoint = round(float(setpoint) * 2) / 2  # type: ignore[arg-type]
        if is_mode:
            self._mode = str(mode)
        return is_point or is_mode

    def hopes(self) -> Mapping[str, Any]:
        """The settings that were ordered."""
        return {"occupied_heating_setpoint": self._setpoint, "system_mode": self._mode}

    def follow(self) -> None:
        """Turn the valve."""
        self.room.setpoint, self.room.mode = self._setpoint, self._mode

    def pass_time(self) -> None:
        """Warm up, or cool down."""
        self.room.tick()


def _complaint(topic: str, body: bytes) -> SpokenMessage:
    """Return the bridge's log line about what it could not read."""
    text = speech.read_word(body)
    line = {"level": "error", "message": f"z2m: Invalid message '{text}' on '{topic}', skipping..."}
    return speech.document(f"{_BASE}/bridge/logging", line)
