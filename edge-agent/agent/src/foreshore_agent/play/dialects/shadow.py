"""A thing with a classic device shadow, and the shadow service itself, as AWS IoT runs it.

https://docs.aws.amazon.com/iot/latest/developerguide/device-shadow-mqtt.html. Quirks that are
played: `desired` is kept for a thing that is away; every update, of `desired` too, sends the whole
document again, so that only the metadata says how old a reported value is.
"""

import copy
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from foreshore_agent.play.dialects import speech
from foreshore_agent.play.dialects.speech import DialectHabits, DialectReaction, SpokenMessage

_SECONDS: Final = 0.5


class ShadowThing:
    """A closet with a fan."""

    will: SpokenMessage | None = None

    def __init__(self, name: str, habits: DialectHabits) -> None:
        self.temperature = 28.9
        self.is_on = False
        self._place: Final = f"$aws/things/{name}/shadow"
        self._habits: Final = habits
        self._version = 411
        self._state: dict[str, dict[str, Any]] = {"desired": {}, "reported": {}}
        self._times: dict[str, dict[str, Any]] = {"desired": {}, "reported": {}}

    @property
    def heard(self) -> tuple[str, ...]:
        """Updates of the shadow, by whoever may."""
        return (f"{self._place}/update", f"{self._place}/get")

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """The thing reports everything."""
        return self._update("reported", {"temperature": self.temperature, "fan": self.is_on}, now)

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Take an update of `desired`; answer what is asked."""
        if topic.endswith("/get"):
            whole = {"state": self._state, "metadata": self._times, "version": self._version}
            return DialectReaction((speech.document(f"{self._place}/get/accepted", whole),))
        update = speech.read_document(body)
        state = update.get("state") if isinstance(update, dict) else None
        desired = state.get("desired") if isinstance(state, dict) else None
        if not isinstance(desired, dict) or not isinstance(desired.get("fan"), bool):
            refusal = {"code": 400, "message": "Missing required node: state"}
            return DialectReaction((speech.document(f"{self._place}/update/rejected", refusal),))
        messages = self._update("desired", {"fan": desired["fan"]}, now)
        return DialectReaction(messages, self._habits.follow(_SECONDS).settles_in)

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """The thing has fetched what is desired, and reports."""
        self.is_on = bool(self._state["desired"].get("fan", self.is_on))
        return self._update("reported", {"fan": self.is_on}, now)

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Measure and report."""
        self.temperature = round(self.temperature + (-0.7 if self.is_on else 0.6), 1)
        return self._update("reported", {"temperature": self.temperature}, now)

    def _update(
        self, section: str, values: dict[str, Any], now: datetime
    ) -> tuple[SpokenMessage, ...]:
        before = self._document()
        second = int(now.timestamp())
        self._state[section].update(values)
        self._times[section].update({name: {"timestamp": second} for name in values})
        self._version += 1
        accepted = {"state": {section: values}, "version": self._version, "timestamp": second}
        documents = {"previous": before, "current": self._document(), "timestamp": second}
        return (
            speech.document(f"{self._place}/update/accepted", accepted),
            speech.document(f"{self._place}/update/documents", documents),
        )

    def _document(self) -> dict[str, Any]:
        return copy.deepcopy(
            {"state": self._state, "metadata": self._times, "version": self._version}
        )
