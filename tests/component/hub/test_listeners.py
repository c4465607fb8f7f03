"""TLS listeners: who gets in, renewed certificates, heads that never end."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme
from starlette import applications, requests, responses, routing

from builders import families, patience
from component.hub import hub_under_test
from foreshore_api import addresses
from foreshore_hub import front_proxy, listeners

pytestmark = pytest.mark.component


async def _who(request: requests.Request) -> responses.Response:
    is_proxy = request.scope["state"].get("is_front_proxy")
    return responses.PlainTextResponse(f"front proxy: {is_proxy}")


APP = applications.Starlette(routes=[routing.Route("/", _who)])


async def get(url: str, context: ssl.SSLContext) -> str:
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
        return await answer.text()


async def serial(url: str, context: ssl.SSLContext) -> str:
    """The serial number of the certificate that a new connection is shown."""
    port = int(url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.transport.abort()
    del reader
    return str(found)


@pytest.mark.parametrize("host", families.LOOPBACKS)
@pytest.mark.parametrize("listens", ["::", "loopback"])
async def test_the_door_is_open_to_agents_of_either_family(
    host: str, listens: str, tmp_path: Path
) -> None:
    """Where it listens on every address, those of IPv4 are among them."""
    authority = trustme.CA()
    folder = hub_under_test.key_pair(tmp_path, authority, host)
    context = hub_under_test.client_context(authority)
    place = host if listens == "loopback" else listens
    async with hub_under_test.serving(APP, place, pair=listeners.KeyPair(folder)) as url:
        port = int(url.rsplit(":", 1)[1])
        address = f"https://{addresses.joined(host, port)}"
        assert "front proxy" in await get(address, context)


async def test_without_ipv6_in_the_kernel_the_door_is_open_to_ipv4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    async with hub_under_test.serving(APP, "::") as url:
        port = int(url.rsplit(":", 1)[1])
        assert "front proxy" in await get(
            addresses.http(families.V4, port), ssl.create_default_context()
        )


async def test_a_port_that_is_taken_is_an_error_at_start() -> None:
    async with hub_under_test.serving(APP) as url:
        taken = listeners.Listener(APP, host="127.0.0.1", port=int(url.rsplit(":", 1)[1]))
        with pytest.raises(OSError, match="in use"):
            await taken.serve()


async def test_a_renewed_certificate_is_taken_over_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "RELOAD_SECONDS", 0.05)
    authority = trustme.CA()
    folder = hub_under_test.key_pair(tmp_path, authority, "127.0.0.1")
    context = hub_under_test.client_context(authority)
    async with hub_under_test.serving(APP, pair=listeners.KeyPair(folder)) as url:
        before = await serial(url, context)
        (folder / "tls.crt").write_bytes(b"half written")
        await asyncio.sleep(0.2)
        assert await serial(url, context) == before, "a broken one changes nothing"
        hub_under_test.key_pair(tmp_path, authority, "127.0.0.1")
        await asyncio.sleep(0.3)
        assert await serial(url, context) != before
        assert "front proxy" in await get(url, context)


async def test_only_the_front_proxys_certificate_opens_the_aggregated_api(tmp_path: Path) -> None:
    server_ca, proxy_ca = trustme.CA(), trustme.CA()
    pair = listeners.KeyPair(hub_under_test.key_pair(tmp_path / "s", server_ca, "127.0.0.1"))
    proxy = front_proxy.FrontProxy(proxy_ca.cert_pem.bytes().decode(), frozenset({"front"}))
    right = hub_under_test.key_pair(tmp_path / "r", proxy_ca, "x.invalid", common="front")
    other = hub_under_test.key_pair(tmp_path / "o", proxy_ca, "x.invalid", common="somebody")
    foreign = hub_under_test.key_pair(tmp_path / "f", trustme.CA(), "x.invalid", common="front")
    async with hub_under_test.serving(
        APP,
        pair=pair,
        client_authority=proxy.authority,
        protocol=listeners.protocol_admitting(proxy.admits),
    ) as url:
        assert (
            await get(url, hub_under_test.client_context(server_ca, right)) == "front proxy: True"
        )
        assert (
            await get(url, hub_under_test.client_context(server_ca, other)) == "front proxy: False"
        )
        for context in (
            hub_under_test.client_context(server_ca),
            hub_under_test.client_context(server_ca, foreign),
        ):
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await get(url, context)


async def _drip(chunks: AsyncIterator[bytes], port: int) -> float:
    """Send a head piece by piece; the seconds until the server hung up."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    closed = asyncio.create_task(reader.read())
    try:
        async for chunk in chunks:
            if closed.done():
                break
            writer.write(chunk)
            await asyncio.sleep(0.02)
        await asyncio.wait_for(asyncio.gather(closed, return_exceptions=True), patience.SECONDS)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return loop.time() - begun


async def _endless() -> AsyncIterator[bytes]:
    yield b"GET / HTTP/1.1\r\nhost: x\r\n"
    for _ in range(200):
        yield b"a: b\r\n"


async def _huge() -> AsyncIterator[bytes]:
    yield b"GET / HTTP/1.1\r\nhost: x\r\n"
    for number in range(100):
        yield f"x{number}: {'y' * 1000}\r\n".encode()


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


@pytest.mark.parametrize("chunks", [_endless, _huge, _nothing], ids=["drips", "huge", "silent"])
async def test_a_head_that_never_ends_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, chunks: type[AsyncIterator[bytes]]
) -> None:
    monkeypatch.setattr(listeners, "HEAD_SECONDS", 0.5)
    async with hub_under_test.serving(APP) as url:
        assert await _drip(chunks(), int(url.rsplit(":", 1)[1])) < 4
