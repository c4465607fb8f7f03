"""Tasmota: commands on `cmnd/TOPIC/…`, answers on `stat/TOPIC/…`, measurements on `tele/TOPIC/…`.

https://tasmota.github.io/docs/MQTT/. Quirks that are played: times are local and name no zone; the
relay's state and the measurements come on different topics; the first thing a device does is to ask
itself for its own state, on its own command topic; an unknown command gets an answer too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from foreshore_agent.play.dialects import appliances, speech
from foreshore_agent.play.dialects.speech import DialectHabits, DialectReaction, SpokenMessage

_SECONDS: Final = 0.05


class TasmotaPlug:
    """A plug that measures, with PowerRetain 1 and the default FullTopic."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        self.load: Final = appliances.PlayedLoad()
        self._habits: Final = habits
        self._name: Final = name
        self._wanted = True
        self._lwt: Final = f"tele/{name}/LWT"

    @property
    def heard(self) -> tuple[str, ...]:
        """Commands for this device, and for all of its kind."""
        return (f"cmnd/{self._name}/#", "cmnd/tasmotas/#")

    @property
    def will(self) -> SpokenMessage | None:
        """`Offline`, retained."""
        return speech.bare(self._lwt, "Offline", is_retained=True)

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """`Online`, the question to itself, and what it is."""
        info = {"Module": "Sonoff S31", "Version": "14.4.1(tasmota)"}
        return (
            speech.bare(self._lwt, "Online", is_retained=True),
            speech.bare(f"cmnd/{self._name}/POWER", ""),
            speech.document(f"tele/{self._name}/INFO1", {"Info1": info}),
            *self._power(),
        )

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Take a command; its name is the end of its topic, capitals or not."""
        del now
        name, word = topic.rpartition("/")[2].upper(), speech.read_word(body)
        if name not in ("POWER", "POWER1"):
            return DialectReaction((self._result({"Command": "Unknown"}),))
        if not word:
            return DialectReaction(self._power())
        wanted = speech.switched(word, is_on=self.load.is_on)
        if wanted is None:
            return DialectReaction((self._result({"Command": "Error"}),))
        self._wanted = wanted
        return self._habits.follow(_SECONDS)

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """Switch, and say so."""
        del now
        self.load.switch(is_on=self._wanted)
        return self._power()

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """What TelePeriod brings: STATE and SENSOR."""
        self.load.tick()
        local = now.astimezone(self._habits.zone).replace(tzinfo=None)
        time = local.isoformat(timespec="seconds")
        state = {"Time": time, "Uptime": "0T00:10:11", "UptimeSec": 611, "POWER": self._word}
        energy = {
            "TotalStartTime": "2025-11-02T09:12:44",
            "Total": self.load.energy,
            "Period": 0,
            "Power": round(self.load.watts),
            "Voltage": round(self.load.volts),
            "Current": self.load.amperes,
        }
        return (
            speech.document(f"tele/{self._name}/STATE", state),
            speech.document(f"tele/{self._name}/SENSOR", {"Time": time, "ENERGY": energy}),
        )

    @property
    def _word(self) -> str:
        return "ON" if self.load.is_on else "OFF"

    def _power(self) -> tuple[SpokenMessage, ...]:
        return (
            self._result({"POWER": self._word}),
            speech.bare(f"stat/{self._name}/POWER", self._word, is_retained=True),
        )

    def _result(self, content: Any) -> SpokenMessage:
        return speech.document(f"stat/{self._name}/RESULT", content)
