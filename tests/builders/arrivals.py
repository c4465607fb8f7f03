"""What comes over a session with a broker, for tests that wait for it."""

import asyncio

from builders import patience
from foreshore_agent.devices.mqtt import connection


class Arrivals:
    """What came, in order."""

    def __init__(self) -> None:
        self.messages: list[connection.MqttMessage] = []
        self._news = asyncio.Event()

    def __call__(self, message: connection.MqttMessage) -> None:
        self.messages.append(message)
        self._news.set()

    async def until(self, count: int) -> list[connection.MqttMessage]:
        async with asyncio.timeout(patience.SECONDS):
            while len(self.messages) < count:
                self._news.clear()
                await self._news.wait()
        return self.messages


def nothing(message: connection.MqttMessage) -> None:
    raise AssertionError(f"nothing should come: {message}")
