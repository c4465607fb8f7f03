"""An OPC gateway that publishes arrays of tags, as the IoT Gateway of KEPServerEX does.

Its manual, "MQTT Client Agent": standard template `timestamp` and `values` of `id`, `v`, `q`, `t`;
writes on `TOPIC/write` as an array of `id` and `v`. Quirks that are played: only what has changed
is published, in the order of the scan; a tag whose source fails is `q: false` with the value 0; a
write has no answer but the tag, at the next scan.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from foreshore_agent.play.dialects import speech
from foreshore_agent.play.dialects.speech import DialectHabits, DialectReaction, SpokenMessage

_SCAN_SECONDS: Final = 0.5
_PLACE: Final = "Line1.Cabinet"
_FAILS_EVERY: Final = 9


class GatewayFan:
    """A cabinet whose fan follows its set point, and whose temperature follows the fan."""

    will: SpokenMessage | None = None

    def __init__(self, name: str, habits: DialectHabits) -> None:
        self.setpoint = 30.0
        self.temperature = 38.5
        self._speed = 30.0
        self._wanted = self.setpoint
        self._topic: Final = name
        self._habits: Final = habits
        self._scanned: dict[str, Any] = {}
        self._ticks = 0

    @property
    def heard(self) -> tuple[str, ...]:
        """Writes."""
        return (f"{self._topic}/write",)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """Every tag once."""
        self._scanned.clear()
        return self._scan(now)

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Take writes of the set point; other tags are not writable."""
        del topic, now
        writes = speech.read_document(body)
        taken = [
            float(write["v"])
            for write in (writes if isinstance(writes, list) else ())
            if isinstance(write, dict)
            and write.get("id") == f"{_PLACE}.FanSetpoint"
            and type(write.get("v")) in (int, float)
        ]
        if not taken:
            return DialectReaction()
        self._wanted = min(max(taken[-1], 0.0), 100.0)
        return self._habits.follow(_SCAN_SECONDS)

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """The scan after the write."""
        self.setpoint = self._wanted
        return self._scan(now)

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """A scan: warm up, or cool down while the fan is fast."""
        self._ticks += 1
        uneven = 0.4 if self._ticks % 2 else -0.4
        self._speed = round((self._speed + self.setpoint) / 2 + uneven, 1)
        self.temperature = round(self.temperature + (1.1 if self._speed < 50 else -1.3), 1)
        return self._scan(now)

    def _scan(self, now: datetime) -> tuple[SpokenMessage, ...]:
        is_failing = self._ticks % _FAILS_EVERY == _FAILS_EVERY - 1
        values = {
            "Temperature": 0 if is_failing else self.temperature,
            "FanSpeed": self._speed,
            "FanSetpoint": self.setpoint,
        }
        changed = [name for name, value in values.items() if self._scanned.get(name) != value]
        self._scanned = values
        if not changed:
            return ()
        shift = self._ticks % len(changed)
        at = speech.milliseconds(now)
        tags = [
            {
                "id": f"{_PLACE}.{name}",
                "v": values[name],
                "q": not (is_failing and name == "Temperature"),
                "t": at,
            }
            for name in (*changed[shift:], *changed[:shift])
        ]
        return (speech.document(self._topic, {"timestamp": at, "values": tags}),)
