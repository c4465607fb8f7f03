"""An echo in Python by one MQTT client: what comes on one topic goes back on another, QoS 1.

    python echo_client.py ours|paho|gmqtt PORT IN OUT

Each as its users write it; ours as the agent does, over one session instead of two. It says
`ready` when it is subscribed, and runs until it is killed.
"""

import asyncio
import socket
import sys
from collections.abc import Callable

import uvloop


def main() -> None:
    """Run the client that is asked for."""
    name, port, topic_in, topic_out = sys.argv[1:]
    CLIENTS[name](int(port), topic_in, topic_out)


def ours(port: int, topic_in: str, topic_out: str) -> None:
    """The agent's own connection, under uvloop."""
    from foreshore_agent.devices.mqtt import connection
    from foreshore_api.v1alpha1 import site

    async def run() -> None:
        links: list[connection.BrokerConnection] = []

        def echo(message: connection.MqttMessage) -> None:
            links[0].publish(topic_out, message.payload, qos=1, within=5.0)

        address = connection.Address("127.0.0.1", port, site.Protocol.V311)
        link = await connection.BrokerConnection.open(
            address, name="echo", received=echo, is_aside=True, carries_commands=True
        )
        links.append(link)
        await link.subscribe([topic_in])
        print("ready", flush=True)
        await link.closed

    uvloop.run(run())


def paho(port: int, topic_in: str, topic_out: str) -> None:
    """The client that the agent had before, in its own loop; TCP_NODELAY, which it leaves off."""
    import paho.mqtt.client as library
    from paho.mqtt.enums import CallbackAPIVersion

    client = library.Client(CallbackAPIVersion.VERSION2, protocol=library.MQTTv311)

    def echo(_: object, __: object, message: library.MQTTMessage) -> None:
        client.publish(topic_out, message.payload, 1)

    client.on_message = echo
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    raw = client.socket()
    if isinstance(raw, socket.socket):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.subscribe(topic_in, 1)
    client.loop_forever()


def gmqtt(port: int, topic_in: str, topic_out: str) -> None:
    """The nearest other client for asyncio, under uvloop."""
    import gmqtt as library
    from gmqtt.mqtt.constants import MQTTv311

    async def run() -> None:
        client = library.Client("bench-gmqtt")

        def echo(_: object, __: str, payload: bytes, ___: int, ____: object) -> int:
            client.publish(topic_out, payload, qos=1)
            return 0

        client.on_message = echo
        client.on_subscribe = lambda *_: print("ready", flush=True)
        await client.connect("127.0.0.1", port, version=MQTTv311)
        client.subscribe(topic_in, qos=1)
        await asyncio.Event().wait()

    uvloop.run(run())


CLIENTS: dict[str, Callable[[int, str, str], None]] = {"ours": ours, "paho": paho, "gmqtt": gmqtt}


if __name__ == "__main__":
    main()
