import asyncio
from collections.abc import MutableMapping
from typing import Any, cast

import prometheus_client
import pytest
import uvicorn
from uvicorn import server as uvicorn_server

from foreshore_agent import health


async def ask(
    path: str,
    *missing: str,
    remarks: tuple[str, ...] = (),
    method: str = "GET",
    registry: prometheus_client.CollectorRegistry | None = None,
) -> tuple[int, str]:
    """Status and text of one answer."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing here needs a body")

    served = health.application(
        registry or prometheus_client.CollectorRegistry(), lambda: missing, lambda: remarks
    )
    await served({"type": "http", "path": path, "method": method}, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


async def readyz(*missing: str, remarks: tuple[str, ...] = ()) -> tuple[int, str]:
    return await ask("/readyz", *missing, remarks=remarks)


async def test_nothing_missing_is_ready() -> None:
    assert await readyz() == (200, "ok\n")


async def test_what_to_look_at_is_said_and_keeps_nobody_from_being_ready() -> None:
    broken = "the journal is broken at record 4 (Truncated)"
    assert await readyz(remarks=(broken,)) == (200, f"ok\n{broken}\n")
    assert await readyz("no assignment yet", remarks=(broken,)) == (
        503,
        f"no assignment yet\n{broken}\n",
    )


async def test_what_is_missing_forges_no_line_and_moves_no_cursor() -> None:
    tensor = "no input x\nok\r\x1b]0;all is well\x07 of a model"
    status, text = await readyz("no assignment yet", tensor)
    assert status == 503
    assert text == "no assignment yet\nno input x ok \ufffd]0;all is well\ufffd of a model\n"


async def test_what_is_missing_is_said_whole() -> None:
    _, text = await readyz("x" * 1024 + " (DecisionPolicy hq/ventilate, ModelRejected)")
    assert text.endswith("ModelRejected)\n")


async def test_a_peer_is_answered_whatever_is_missing() -> None:
    assert await ask("/echo", "no assignment yet") == (204, "")


async def test_metrics_are_those_of_the_registry() -> None:
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("rooms", "Rooms seen", registry=registry).inc()
    status, text = await ask("/metrics", registry=registry)
    assert (status, "rooms_total 1.0" in text) == (200, True)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        pytest.param("/echo/", "GET", 404, id="no such path"),
        pytest.param("/readyz", "POST", 405, id="no such method"),
        pytest.param("/healthz", "HEAD", 200, id="a head is asked for as a whole is"),
    ],
)
async def test_what_is_not_served_is_refused(path: str, method: str, status: int) -> None:
    assert (await ask(path, method=method))[0] == status


class Wire(asyncio.Transport):
    """A connection that only remembers what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        self.is_aborted = True


async def connected(
    to: uvicorn_server.ServerState | None = None,
) -> tuple[health.TimedProtocol, Wire]:
    """A connection of a port, and its other side."""
    served = health.application(prometheus_client.CollectorRegistry(), tuple)
    config = uvicorn.Config(cast(Any, served), lifespan="off", log_config=None)
    protocol = health.TimedProtocol(config, to or uvicorn_server.ServerState(), {})
    wire = Wire()
    protocol.connection_made(wire)
    return protocol, wire


@pytest.mark.looptime
async def test_a_connection_that_asks_nothing_does_not_stay() -> None:
    _, wire = await connected()
    await asyncio.sleep(health.REQUEST_SECONDS + 0.1)
    assert wire.is_aborted


@pytest.mark.looptime
async def test_a_head_that_comes_byte_by_byte_is_not_waited_for() -> None:
    protocol, wire = await connected()
    for byte in b"GET /healthz HTTP/1.1":
        protocol.data_received(bytes([byte]))
        await asyncio.sleep(1)
    assert wire.is_aborted


@pytest.mark.looptime
async def test_a_peer_that_asks_once_a_second_keeps_its_connection() -> None:
    protocol, wire = await connected()
    for _ in range(60):
        protocol.data_received(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(1)
    assert not wire.is_aborted
    assert wire.written.count(b"HTTP/1.1 204") == 60


@pytest.mark.looptime
async def test_strangers_who_keep_all_places_do_not_keep_kubelet_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused an answer, kubelet would end the agent."""
    monkeypatch.setattr(health, "MAXIMUM_CONNECTIONS", 3)
    port = uvicorn_server.ServerState()
    made = []
    for _ in range(3):
        made.append(await connected(port))
        await asyncio.sleep(0.1)
    made[0][0].data_received(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(0.1)
    kubelet, wire = await connected(port)
    kubelet.data_received(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(0.1)
    assert b"HTTP/1.1 200" in wire.written
    assert [other.is_aborted for _, other in made] == [False, True, False]
    assert not wire.is_aborted


@pytest.mark.looptime
async def test_a_flood_of_one_moment_leaves_as_many_as_there_is_room_for_and_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "MAXIMUM_CONNECTIONS", 3)
    port = uvicorn_server.ServerState()
    wires = [(await connected(port))[1] for _ in range(10)]
    assert [wire.is_aborted for wire in wires].count(False) == 3
    assert not wires[-1].is_aborted
