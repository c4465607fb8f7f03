"""Shelly, both generations: values bare on topics of their own, and documents of components.

Gen1: https://shelly-api-docs.shelly.cloud/gen1/#mqtt-support. Gen2+:
https://shelly-api-docs.shelly.cloud/gen2/ComponentsAndServices/Mqtt. Quirks that are played: Gen1
writes numbers as texts, retains everything and counts energy in watt-minutes; Gen2 says its status
in one document whose `source` names who switched, and answers RPC on a topic that the caller names.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from foreshore_agent.play.dialects import appliances, speech
from foreshore_agent.play.dialects.speech import DialectHabits, DialectReaction, SpokenMessage

_SECONDS: Final = 0.1
_WATT_MINUTES: Final = 60000
"""In a kilowatt-hour."""


class ShellyFirst:
    """A plug of the first generation."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        self.load: Final = appliances.PlayedLoad()
        self._habits: Final = habits
        self._name: Final = name
        self._place: Final = f"shellies/{name}"
        self._wanted = True

    @property
    def heard(self) -> tuple[str, ...]:
        """Commands for the relay, for the device, and for all of them."""
        return (f"{self._place}/relay/0/command", f"{self._place}/command", "shellies/command")

    @property
    def will(self) -> SpokenMessage | None:
        """`false` on `online`, retained."""
        return speech.bare(f"{self._place}/online", "false", is_retained=True)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """It is online, announces itself, and says everything."""
        del now
        online = speech.bare(f"{self._place}/online", "true", is_retained=True)
        return (online, *self._announcement(), *self._values())

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Take `on`, `off` or `toggle`; or `announce` and `update`."""
        del now
        word = speech.read_word(body)
        if not topic.endswith("/relay/0/command"):
            words = {"announce": self._announcement, "update": self._values}
            return DialectReaction(tuple(words[word]()) if word in words else ())
        wanted = speech.switched(word, is_on=self.load.is_on) if word.islower() else None
        if wanted is None:
            return DialectReaction()
        self._wanted = wanted
        return self._habits.follow(_SECONDS)

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """Switch, and say so."""
        del now
        self.load.switch(is_on=self._wanted)
        return self._values()

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """What every 30 seconds bring: all values, changed or not."""
        del now
        self.load.tick()
        return self._values()

    def _values(self) -> tuple[SpokenMessage, ...]:
        values = {
            "relay/0": "on" if self.load.is_on else "off",
            "relay/0/power": f"{self.load.watts:.2f}",
            "relay/0/energy": str(round(self.load.energy * _WATT_MINUTES)),
            "temperature": "34.12",
            "overtemperature": "0",
        }
        return tuple(
            speech.bare(f"{self._place}/{name}", value, is_retained=True)
            for name, value in values.items()
        )

    def _announcement(self) -> tuple[SpokenMessage, ...]:
        about = {"id": self._name, "model": "SHPLG-S", "mac": "C82B966A5E21", "new_fw": False}
        return (
            speech.document("shellies/announce", about),
            speech.document(f"{self._place}/announce", about),
        )


class ShellySecond:
    """A plug of the second generation or later, with status over MQTT and control enabled."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        self.load: Final = appliances.PlayedLoad()
        self._habits: Final = habits
        self._name: Final = name
        self._wanted = True
        self._source = "init"

    @property
    def heard(self) -> tuple[str, ...]:
        """Bare commands for the switch, for the device, and RPC."""
        place = self._name
        return (f"{place}/command/switch:0", f"{place}/command", f"{place}/rpc")

    @property
    def will(self) -> SpokenMessage | None:
        """`false` on `online`, retained."""
        return speech.bare(f"{self._name}/online", "false", is_retained=True)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """It is online and says how its switch stands."""
        online = speech.bare(f"{self._name}/online", "true", is_retained=True)
        return (online, self._status(now))

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Take `on`, `off` or `toggle`, `status_update`, or a call of `Switch.Set`."""
        if topic.endswith("/rpc"):
            return self._call(speech.read_document(body))
        word = speech.read_word(body)
        if topic.endswith("/command"):
            return DialectReaction((self._status(now),) if word == "status_update" else ())
        wanted = speech.switched(word.partition(",")[0], is_on=self.load.is_on)
        return DialectReaction() if wanted is None else self._follow(wanted)

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """Switch, say so, and notify."""
        self.load.switch(is_on=self._wanted)
        self._source = "MQTT"
        change = {"switch:0": {"id": 0, "output": self.load.is_on, "source": self._source}}
        event = {
            "src": self._name,
            "dst": f"{self._name}/events",
            "method": "NotifyStatus",
            "params": {"ts": round(now.timestamp(), 2), **change},
        }
        return (speech.document(f"{self._name}/events/rpc", event), self._status(now))

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Measure."""
        self.load.tick()
        return (self._status(now),)

    def _follow(self, wanted: bool) -> DialectReaction:  # noqa: FBT001 - a value of the device
        self._wanted = wanted
        return self._habits.follow(_SECONDS)

    def _call(self, call: Any) -> DialectReaction:
        """Answer an RPC frame on the topic of its `src`."""
        if not isinstance(call, dict) or not isinstance(call.get("src"), str):
            return DialectReaction()
        frame = {"id": call.get("id"), "src": self._name, "dst": call["src"]}
        params = call.get("params")
        if call.get("method") != "Switch.Set" or not isinstance(params, dict):
            frame["error"] = {"code": 404, "message": f"No handler for {call.get('method')}"}
        elif not isinstance(params.get("on"), bool):
            frame["error"] = {"code": -103, "message": "Argument 'on', value: not a bool!"}
        else:
            frame["result"] = {"was_on": self.load.is_on}
        topic = f"{call['src'][:64]}/rpc".replace("+", "").replace("#", "").replace("\0", "")
        answer = (speech.document(topic, frame),)
        if "result" not in frame or not isinstance(params, dict):
            return DialectReaction(answer)
        return DialectReaction(answer, self._follow(params["on"]).settles_in)

    def _status(self, now: datetime) -> SpokenMessage:
        minute = int(now.timestamp()) // 60 * 60
        return speech.document(
            f"{self._name}/status/switch:0",
            {
                "id": 0,
                "source": self._source,
                "output": self.load.is_on,
                "apower": self.load.watts,
                "voltage": self.load.volts,
                "current": self.load.amperes,
                "aenergy": {
                    "total": round(self.load.energy * 1000, 3),
                    "by_minute": [1030.2, 1031.7, 1029.9],
                    "minute_ts": minute,
                },
                "temperature": {"tC": 39.4, "tF": 102.9},
            },
        )
