"""How the socket of a session is opened."""

import asyncio
import socket
import threading

import pytest

from foreshore_agent.devices.mqtt import session


async def test_name_servers_that_hang_take_no_thread_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The threads of asyncio read files and models: with none left, nothing else goes on."""
    answer = threading.Event()

    def hang(*_: object) -> socket.socket:
        answer.wait(10)
        raise OSError("no such host")

    monkeypatch.setattr(socket, "create_connection", hang)
    address = session.Address("broker.example", 1883)
    attempts = [asyncio.ensure_future(session.connected(address)) for _ in range(40)]
    try:
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(threading.active_count) > 1
    finally:
        answer.set()
        ended = await asyncio.gather(*attempts, return_exceptions=True)
    assert {str(error) for error in ended} == {"no such host"}
