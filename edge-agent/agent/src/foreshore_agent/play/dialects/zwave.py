"""Z-Wave JS UI with `ValueId topics` and the payload `JSON Time-Value`.

https://zwave-js.github.io/zwave-js-ui/#/usage/setup?id=gateway. Quirks that are played: the gateway
repeats what it was told on `targetValue` at once, which proves nothing; the node's own word is
`currentValue`, some time later; values are retained, with the time when the node said them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from foreshore_agent.play.dialects import appliances, speech
from foreshore_agent.play.dialects.speech import DialectHabits, DialectReaction, SpokenMessage

_PREFIX: Final = "zwave"
_SECONDS: Final = 0.4
_SWITCH: Final = "37/0"
"""Command class Binary Switch, at the root of the node."""


class ZwaveSwitch:
    """A switch that measures power."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        self.load: Final = appliances.PlayedLoad()
        self._habits: Final = habits
        self._name: Final = name
        self._wanted = True

    @property
    def heard(self) -> tuple[str, ...]:
        """The value that is set."""
        return (f"{_PREFIX}/{self._name}/{_SWITCH}/targetValue/set",)

    @property
    def will(self) -> SpokenMessage | None:
        """The gateway's."""
        return _gateway(is_there=False)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """The gateway is there, the node lives, and its last value is known."""
        return (
            _gateway(is_there=True),
            _status(self._name, "Alive", 4, now),
            self._value(f"{_SWITCH}/currentValue", self.load.is_on, now),
        )

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Take a bare value or `{"value": …}`, and repeat it."""
        del topic
        given = speech.read_document(body)
        wanted = given.get("value") if isinstance(given, dict) else given
        if not isinstance(wanted, bool):
            return DialectReaction()
        self._wanted = wanted
        repeated = self._value(f"{_SWITCH}/targetValue", wanted, now)
        return DialectReaction((repeated,), self._habits.follow(_SECONDS).settles_in)

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """Switch, and report."""
        self.load.switch(is_on=self._wanted)
        return (self._value(f"{_SWITCH}/currentValue", self.load.is_on, now), self._power(now))

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Measure."""
        self.load.tick()
        return (self._power(now),)

    def _power(self, now: datetime) -> SpokenMessage:
        return self._value("50/0/value/66049", self.load.watts, now)

    def _value(self, place: str, value: Any, now: datetime) -> SpokenMessage:
        return _time_value(f"{_PREFIX}/{self._name}/{place}", value, now)


class ZwaveSensor(speech.UntoldDialect):
    """A multisensor on a battery."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        del habits  # it takes no commands
        self._name: Final = name
        self._ticks = 0

    @property
    def will(self) -> SpokenMessage | None:
        """The gateway's."""
        return _gateway(is_there=False)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """The gateway is there; the node sleeps."""
        return (
            _gateway(is_there=True),
            _status(self._name, "Asleep", 7, now),
        )

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Wake up and report."""
        self._ticks += 1
        humidity = 50 + self._ticks * 6 % 30
        values = {"49/0/Air_temperature": 21.5, "49/0/Humidity": humidity, "128/0/level": 83}
        return tuple(
            _time_value(f"{_PREFIX}/{self._name}/{place}", value, now)
            for place, value in values.items()
        )


def _time_value(topic: str, value: Any, now: datetime) -> SpokenMessage:
    content = {"time": speech.milliseconds(now), "value": value}
    return speech.document(topic, content, is_retained=True)


def _status(name: str, status: str, node: int, now: datetime) -> SpokenMessage:
    content = {"time": speech.milliseconds(now), "value": True, "status": status, "nodeId": node}
    return speech.document(f"{_PREFIX}/{name}/status", content, is_retained=True)


def _gateway(*, is_there: bool) -> SpokenMessage:
    topic = f"{_PREFIX}/_CLIENTS/ZWAVE_GATEWAY-shop/status"
    return speech.document(topic, {"value": is_there}, is_retained=True)
