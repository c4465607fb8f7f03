"""A plug behind Zigbee2MQTT, as its documentation says it speaks. It fences nobody.

    zigbee2mqtt/<name>/set           {"state": "ON"} switches it
    zigbee2mqtt/<name>               says all its values, on every change and twice a second
    zigbee2mqtt/<name>/availability  {"state": "online"}, kept by the broker

It knows neither epoch nor command id, obeys whoever may publish, and answers with its state only.
It writes down whatever it hears. Independent of the product and its profiles on purpose.
"""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

PERIOD = 0.5
"""Seconds between two reports without a change."""
RADIO = 0.03
"""Seconds that a command takes to the plug and its state back."""
SWING = 2.0
"""Seconds until its temperature goes from cold to warm or back, so that there is always something
to decide."""
COLD, WARM = 20.0, 30.0


@dataclass(frozen=True)
class HeardCommand:
    """One message on the plug's command topic."""

    time: datetime
    state: str | None
    """ON, OFF, or None for a message that says neither."""


class Plug:
    """It lives as long as `plugged_in` lasts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[HeardCommand] = []
        self.state = "OFF"
        self._reports = 0
        self._unplugged = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_message = self._received

    @property
    def topic(self) -> str:
        """Where it says its values."""
        return f"zigbee2mqtt/{self.name}"

    @contextlib.contextmanager
    def plugged_in(
        self, host: str, port: int, user: str, password: str, authority: Path
    ) -> Iterator["Plug"]:
        """Connect with a password, and report until the block ends."""
        self._client.tls_set(str(authority), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self._client.username_pw_set(user, password)
        self._client.connect(host, port)
        self._client.loop_start()
        reporting = threading.Thread(target=self._report_on, daemon=True)
        reporting.start()
        try:
            yield self
        finally:
            self._unplugged.set()
            reporting.join(5)
            self._client.disconnect()
            self._client.loop_stop()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(f"{self.topic}/set", qos=1)
        client.publish(f"{self.topic}/availability", '{"state":"online"}', qos=1, retain=True)

    def _received(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        state = asked(message.payload)
        self.heard.append(HeardCommand(datetime.now(UTC), state))
        if state is not None:
            threading.Timer(RADIO, self._switch, [state]).start()

    def _switch(self, state: str) -> None:
        self.state = state
        self._report()

    def _report_on(self) -> None:
        while not self._unplugged.wait(PERIOD):
            self._reports += 1
            self._report()

    def _report(self) -> None:
        is_warm = int(self._reports * PERIOD / SWING) % 2 == 1
        values = {
            "state": self.state,
            "device_temperature": WARM if is_warm else COLD,
            "power": 41.5 if self.state == "ON" else 0,
            "linkquality": 102,
            "update": {"state": "idle"},
        }
        self._client.publish(self.topic, json.dumps(values), qos=0)


def asked(payload: bytes | bytearray) -> str | None:
    """The state that a message asks for."""
    try:
        state = json.loads(payload)["state"]
    except (ValueError, KeyError, TypeError):
        return None
    return state if state in ("ON", "OFF") else None
