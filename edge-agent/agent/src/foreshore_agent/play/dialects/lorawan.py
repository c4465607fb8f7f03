"""LoRaWAN behind a network server: uplinks as events, downlinks that wait for the next uplink.

ChirpStack v4: https://www.chirpstack.io/docs/chirpstack/integrations/mqtt.html. The Things Stack
v3: https://www.thethingsindustries.com/docs/integrations/mqtt/. Quirks that are played: a downlink
is stored until the valve sends (class A), and seen in the uplink after that; times have nine
decimals.
"""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from foreshore_agent.play.dialects import speech
from foreshore_agent.play.dialects.speech import DialectHabits, DialectReaction, SpokenMessage

APPLICATION: Final = "7f5c0c14-5e0b-4f0c-9a35-0c9a1d6f3b52"
"""Of the played ChirpStack."""
TENANT: Final = "garden@ttn"
"""Application and tenant of the played Things Stack."""
_WAITING: Final = 8
"""Downlinks that a network server keeps for one device."""


class LorawanValve:
    """An irrigation valve with a soil probe, whatever network carries it."""

    def __init__(self, name: str, habits: DialectHabits) -> None:
        self.is_open = False
        self.moisture = 23.0
        self._name: Final = name
        self._habits: Final = habits
        self._waiting: Final[deque[bool]] = deque(maxlen=_WAITING)
        self._count = 0

    will: SpokenMessage | None = None
    """A network server says nothing of a valve that is silent."""

    def rise(self, now: datetime) -> Sequence[SpokenMessage]:
        """Nothing: the valve sleeps."""
        del now
        return ()

    def settle(self, now: datetime) -> Sequence[SpokenMessage]:
        """Nothing: what it was told waits for its next uplink."""
        del now
        return ()

    def store(self, word: object) -> bool:
        """Store a downlink; whether it was understood."""
        if word not in ("open", "closed"):
            return False
        if not self._habits.is_deaf:
            self._waiting.append(word == "open")
        return True

    def pass_time(self) -> dict[str, Any]:
        """Dry up or get wet, then send; return what is sent, and fetch what waits."""
        self._count += 1
        self.moisture = round(self.moisture + (4.0 if self.is_open else -1.5), 1)
        sent = {
            "soil_moisture": self.moisture,
            "temperature": 19.2,
            "valve": "open" if self.is_open else "closed",
        }
        if self._waiting:
            self.is_open = self._waiting.popleft()
        return sent


class ChirpstackValve(LorawanValve):
    """The valve behind ChirpStack; its name is its EUI."""

    @property
    def heard(self) -> tuple[str, ...]:
        """Downlinks to be queued."""
        return (f"{self._place}/command/down",)

    @property
    def _place(self) -> str:
        return f"application/{APPLICATION}/device/{self._name}"

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Queue a downlink whose `devEui` is the valve's own."""
        del topic, now
        order = speech.read_document(body)
        if isinstance(order, dict) and order.get("devEui") == self._name:
            content = order.get("object")
            self.store(content.get("valve") if isinstance(content, dict) else None)
        return DialectReaction()

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Send an uplink."""
        content = {
            "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
            "time": _nanoseconds(now, "+00:00"),
            "deviceInfo": {"applicationId": APPLICATION, "devEui": self._name},
            "fCnt": self._count,
            "fPort": 2,
            "confirmed": False,
            "data": "EQEAwBQ=",
            "object": self.pass_time(),
            "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -57, "snr": 10}],
        }
        return (speech.document(f"{self._place}/event/up", content),)


class ThingsStackValve(LorawanValve):
    """The valve behind The Things Stack; its name is its device id."""

    @property
    def heard(self) -> tuple[str, ...]:
        """Downlinks to be queued."""
        return (f"{self._place}/down/push",)

    @property
    def _place(self) -> str:
        return f"v3/{TENANT}/devices/{self._name}"

    def take(self, topic: str, body: bytes, now: datetime) -> DialectReaction:
        """Queue downlinks, and say that they are queued."""
        del topic, now
        order = speech.read_document(body)
        links = order.get("downlinks") if isinstance(order, dict) else None
        queued: list[SpokenMessage] = []
        for link in links[:_WAITING] if isinstance(links, list) else ():
            content = link.get("decoded_payload") if isinstance(link, dict) else None
            if isinstance(content, dict) and self.store(content.get("valve")):
                queued.append(speech.document(f"{self._place}/down/queued", {"downlink": link}))
        return DialectReaction(tuple(queued))

    def tick(self, now: datetime) -> Sequence[SpokenMessage]:
        """Send an uplink."""
        application = TENANT.partition("@")[0]
        content = {
            "end_device_ids": {
                "device_id": self._name,
                "application_ids": {"application_id": application},
            },
            "received_at": _nanoseconds(now, "Z"),
            "uplink_message": {
                "f_port": 2,
                "f_cnt": self._count,
                "frm_payload": "EQEAwBQ=",
                "decoded_payload": self.pass_time(),
                "received_at": _nanoseconds(now, "Z"),
            },
        }
        return (speech.document(f"{self._place}/up", content),)


def _nanoseconds(now: datetime, zone: str) -> str:
    text = now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"{text}242{zone}"
