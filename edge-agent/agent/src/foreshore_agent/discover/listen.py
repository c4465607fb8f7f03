"""Listening on a broker for a while: what comes is kept, and nothing is ever said.

The connection is the agent's own, without a will; it subscribes with QoS 0 and publishes nothing.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Final

import uvloop

from foreshore_agent.devices.mqtt import channel, connection
from foreshore_agent.discover.observations import Observations

FILTERS: Final = ("#", "homeassistant/#")
"""What is listened to unless somebody says so; a broker may refuse the first and not the second."""
_LOOK_SECONDS: Final = 5.0
"""Between two words on how far it is."""


class ListeningError(Exception):
    """The broker cannot be listened to; the text says why."""


def listen(
    address: connection.Address,
    filters: Sequence[str],
    seconds: float,
    say: Callable[[str], None],
) -> Observations:
    """Return what was heard, after so many seconds or at Ctrl-C. Raises ListeningError."""
    return uvloop.run(hear(address, filters, seconds, say))


async def hear(
    address: connection.Address,
    filters: Sequence[str],
    seconds: float,
    say: Callable[[str], None],
) -> Observations:
    """Listen; see `listen`."""
    heard = Observations()

    def take(message: channel.MqttMessage) -> None:
        heard.take(message.topic, message.payload, is_retained=message.retained)

    try:
        session = await connection.BrokerConnection.open(address, name="discover", received=take)
    except connection.ConnectionFailedError as error:
        raise ListeningError(str(error)) from error
    try:
        await _subscribe(session, filters, say)
        await _wait(session, heard, seconds, say)
    except connection.ConnectionFailedError as error:
        raise ListeningError(str(error)) from error
    finally:
        await session.close()
    return heard


async def _subscribe(
    session: connection.BrokerConnection, filters: Sequence[str], say: Callable[[str], None]
) -> None:
    """Subscribe to every filter; those that the broker refuses are named."""
    refused = await session.subscribe(filters, qos=0)
    if len(refused) == len(filters):
        message = f"the broker refuses to let us listen on {', '.join(refused)}: give a --filter"
        raise ListeningError(message)
    for topic_filter in refused:
        say(f"the broker refuses to let us listen on {topic_filter}")


async def _wait(
    session: connection.BrokerConnection,
    heard: Observations,
    seconds: float,
    say: Callable[[str], None],
) -> None:
    """Wait until the time is over, somebody stops it, or the session ends."""
    loop = asyncio.get_running_loop()
    stopped = loop.create_future()
    loop.add_signal_handler(signal.SIGINT, stopped.cancel)
    until = loop.time() + seconds
    try:
        while (left := until - loop.time()) > 0:
            waiting = (stopped, session.closed)
            await asyncio.wait(
                waiting, timeout=min(left, _LOOK_SECONDS), return_when=asyncio.FIRST_COMPLETED
            )
            if stopped.done():
                return
            if session.closed.done():
                say(f"the session ended early: {session.closed.result()}")
                return
            if until - loop.time() > 0:
                say(f"{heard.messages} messages on {len(heard)} topics so far")
    finally:
        loop.remove_signal_handler(signal.SIGINT)
