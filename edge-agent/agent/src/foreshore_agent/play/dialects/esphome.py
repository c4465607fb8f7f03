"""ESPHome over MQTT: every value bare on `PREFIX/COMPONENT/ID/state`, commands on `…/command`.

https://esphome.io/components/mqtt and https://esphome.io/components/climate/. Quirks that are
played: states are retained, and those that only change are said only then; numbers are texts with
as many decimals as the component says; a sensor that fails says `nan`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from foreshore_agent.play.dialects import appliances, speech
from foreshore_agent.play.dialects.speech import DialectHabits, DialectReaction, SpokenMessage

_SECONDS: Final = 0.1
_MODES: Final = ("off", "heat", "auto")
_LOWEST: Final = 5.0
_HIGHEST: Final = 30.0
_FAILS_EVERY: Final = 7
_MOVED_EVERY: Final = 5


class EsphomeClimate:
    """A thermostat with the object id `thermostat`."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        self.room: Final = appliances.PlayedRoom()
        self._habits: Final = habits
        self._status: Final = f"{name}/status"
        self._place: Final = f"{name}/climate/thermostat"
        self._setpoint = self.room.setpoint
        self._mode = self.room.mode

    @property
    def heard(self) -> tuple[str, ...]:
        """Commands for mode and target."""
        return (f"{self._place}/mode/command", f"{self._place}/target_temperature/command")

    @property
    def will(self) -> SpokenMessage | None:
        """`offline`, retained."""
        return speech.bare(self._status, "offline", is_retained=True)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """It is online, and says everything."""
        del now
        return (speech.bare(self._status, "online", is_retained=True), *self._settings())

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Take a mode or a target; what it cannot read it only logs."""
        del now
        word = speech.read_word(body)
        if topic.endswith("/mode/command"):
            if word.lower() not in _MODES:
                return DialectReaction()
            self._mode = word.lower()
        else:
            target = _number(word)
            if target is None:
                return DialectReaction()
            self._setpoint = min(max(target, _LOWEST), _HIGHEST)
        return self._habits.follow(_SECONDS)

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """Follow, and say all settings."""
        del now
        self.room.setpoint, self.room.mode = self._setpoint, self._mode
        return self._settings()

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Measure; settings are said when they change."""
        del now
        self.room.tick()
        return (self._state("current_temperature", f"{self.room.temperature:.1f}"),)

    def _settings(self) -> tuple[SpokenMessage, ...]:
        return (
            self._state("mode", self.room.mode),
            self._state("current_temperature", f"{self.room.temperature:.1f}"),
            self._state("target_temperature", f"{self.room.setpoint:.1f}"),
            self._state("action", "heating" if self.room.is_heating else "idle"),
        )

    def _state(self, name: str, value: str) -> SpokenMessage:
        return speech.bare(f"{self._place}/{name}/state", value, is_retained=True)


class EsphomeSensor(speech.UntoldDialect):
    """Temperature and humidity, a window, and a sensor that fails now and then."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        del habits  # it takes no commands
        self._name: Final = name
        self._is_open = False
        self._ticks = 0

    @property
    def will(self) -> SpokenMessage | None:
        """`offline`, retained."""
        return speech.bare(f"{self._name}/status", "offline", is_retained=True)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """It is online, and says how the window stands."""
        del now
        online = speech.bare(f"{self._name}/status", "online", is_retained=True)
        return (online, self._window())

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Measure, and say the window where it moved."""
        del now
        self._ticks += 1
        is_failing = self._ticks % _FAILS_EVERY == 0
        temperature = "nan" if is_failing else f"{18.0 + self._ticks % 4 * 0.5:.1f}"
        spoken = [self._sensor("temperature", temperature), self._sensor("humidity", "47.0")]
        if self._ticks % _MOVED_EVERY == 1:
            self._is_open = not self._is_open
            spoken.append(self._window())
        return tuple(spoken)

    def _sensor(self, name: str, value: str) -> SpokenMessage:
        return speech.bare(f"{self._name}/sensor/{name}/state", value, is_retained=True)

    def _window(self) -> SpokenMessage:
        word = "ON" if self._is_open else "OFF"
        topic = f"{self._name}/binary_sensor/window/state"
        return speech.bare(topic, word, is_retained=True)


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if abs(number) < 1e6 else None
