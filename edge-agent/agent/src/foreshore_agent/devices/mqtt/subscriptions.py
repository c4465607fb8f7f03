"""Filters that a session asks for, and the broker's word on each: SUBSCRIBE and SUBACK.

One of a `connection`, as `outstanding` is for what it publishes.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from foreshore_agent.devices.mqtt import client as clients
from foreshore_agent.devices.mqtt import denials
from foreshore_agent.devices.mqtt.session import ConnectionFailedError

AT_ONCE: Final = 100
"""Filters of one packet."""

Codes = list[ReasonCode]


class Subscriptions:
    """What one session asked to hear, by packet number, until the broker has answered."""

    def __init__(self, client: clients.Client, denied: denials.Denials) -> None:
        self._client: Final = client
        self._denied: Final = denied
        self._loop: Final = asyncio.get_running_loop()
        self._waiting: Final[dict[int, asyncio.Future[Codes]]] = {}

    def ask(self, filters: Sequence[str], qos: int) -> asyncio.Future[Codes]:
        """Ask for some filters; the future gives the broker's code for each.

        Raises:
            ConnectionFailedError: the session has ended.
        """
        options = SubscribeOptions(qos=qos)
        is_v5 = self._client.protocol == paho.MQTTv5
        code, number = self._client.subscribe(
            [(topic, options) for topic in filters]
            if is_v5
            else [(topic, qos) for topic in filters]
        )
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or number is None:
            raise ConnectionFailedError("the session has ended")
        answer = self._waiting[number] = self._loop.create_future()
        return answer

    def settle(self, number: int, codes: Codes) -> None:
        """Take the broker's answer; called while the client holds its lock."""
        answer = self._waiting.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(codes)

    def refused(self, filters: Sequence[str], codes: Codes) -> tuple[str, ...]:
        """Return the filters that the broker refuses, and note its word on each."""
        refused: list[str] = []
        for topic, code in zip(filters, codes, strict=True):
            if code.is_failure:
                refused.append(topic)
                self._denied.note(denials.TopicUse.LISTEN, topic, code)
            else:
                self._denied.allow(denials.TopicUse.LISTEN, topic)
        return tuple(refused)
