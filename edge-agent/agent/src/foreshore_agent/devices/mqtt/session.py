"""What a connection is asked to be: address, will, greeting; and how its socket is opened."""

import asyncio
import secrets
import socket
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

from foreshore_agent.devices.mqtt import credentials
from foreshore_agent.devices.mqtt.codec import decode, encode
from foreshore_api import addresses
from foreshore_api.v1alpha1 import site

CONNECT_SECONDS: Final = 5.0
KEEPALIVE_SECONDS: Final = 5
"""A broker that is silent for twice this long is gone: half-open connections are noticed."""

_OPENERS: Final = futures.ThreadPoolExecutor(4, "mqtt-open")
"""Two for each of an agent's connections, so that one attempt may hang and the next does not."""


class ConnectionFailedError(Exception):
    """The broker cannot be reached or does not want us; the text says why."""

    def __init__(self, why: str, reason: str | None = None) -> None:
        super().__init__(why)
        self.reason: Final = reason
        """The broker's own reason as a code, where it gave one: `NotAuthorized`."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a site's broker is, and how it is spoken to."""

    host: str
    port: int
    protocol: site.Protocol = site.Protocol.V5
    credential: str | None = None
    """Name of the credential to show; with it TLS is spoken, unless it is plain."""
    credentials: Path | None = None
    """Folder of credentials by name."""
    server_name: str | None = None
    is_plain: bool = False
    """Whether TCP is spoken although there is a credential, for its user name and password."""

    @classmethod
    def of(cls, broker: site.Broker, folder: Path | None) -> Self:
        """Read the address of a Site's broker."""
        is_tls = broker.transport is site.Transport.TLS
        return cls(
            host=broker.host,
            port=broker.port,
            protocol=broker.protocol,
            credential=(broker.credential or "") if is_tls else broker.credential,
            credentials=folder,
            server_name=broker.server_name,
            is_plain=not is_tls,
        )

    @property
    def is_tls(self) -> bool:
        """Whether TLS is spoken."""
        return self.credential is not None and not self.is_plain

    @property
    def is_revealing(self) -> bool:
        """Whether a user name and a password go over the network as they are."""
        return self.credential is not None and self.is_plain

    @property
    def is_v5(self) -> bool:
        """Whether MQTT 5 is spoken; else it is 3.1.1."""
        return self.protocol is site.Protocol.V5


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says when this connection breaks."""

    topic: str
    payload: bytes
    is_retained: bool = False


class OpenedSocket(NamedTuple):
    """A socket that is connected, and what CONNECT has to show on it."""

    raw: socket.socket
    login: credentials.Login | None


def greeting(
    name: str, will: Will | None, login: credentials.Login | None = None
) -> encode.Greeting:
    """Return what CONNECT says; no two sessions have one identifier, or one would end the other."""
    return encode.Greeting(
        client=f"{name[:40]}-{secrets.token_hex(4)}",
        keep_alive=KEEPALIVE_SECONDS,
        maximum_packet=decode.MAXIMUM_PACKET,
        will=None if will is None else (will.topic, will.payload),
        is_will_retained=will is not None and will.is_retained,
        user=None if login is None else login.user,
        password=None if login is None else login.password,
    )


async def connected(address: Address) -> OpenedSocket:
    """Open the socket and shake hands, in a thread: names, addresses and keys take their time.

    A thread that waits for a name server cannot be stopped, and the next attempt needs another:
    they are our own, or the files and models of others would wait for them.

    Raises:
        CredentialError: the credential cannot be used.
        OSError: nobody answers, or the certificate is not the broker's.
    """
    opening = _OPENERS.submit(_connected, address)
    try:
        return await asyncio.shield(asyncio.wrap_future(opening))
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)  # the thread cannot be stopped, the loop may be
        raise


def _connected(address: Address) -> OpenedSocket:
    tls, login = None, None
    if address.credential is not None:
        shown = credentials.read(address.credentials, address.credential, is_tls=address.is_tls)
        tls, login = shown.tls, shown.login
    raw = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
    if tls is None:
        return OpenedSocket(raw, login)
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped = tls.wrap_socket(raw, server_hostname=address.server_name or address.host)
        return OpenedSocket(wrapped, login)
    except BaseException:
        raw.close()
        raise


def _close_late(opening: "futures.Future[OpenedSocket]") -> None:
    """Close a socket that nobody waits for any more, in the thread that opened it."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().raw.close()


def describe(error: Exception, address: Address) -> str:
    """Say for people what went wrong with which broker."""
    what = str(error) or "it did not answer in time"
    return f"{addresses.joined(address.host, address.port)}: {what}"


def unaccepted(error: ConnectionFailedError, address: Address) -> str:
    """Say which broker ended a session before it accepted it, and what it was shown.

    With TLS 1.3 a broker that does not take a certificate only hangs up: it names no reason.
    """
    shown = f"the credential {address.credential}" if address.credential else "no credential"
    return f"{describe(error, address)} (before it accepted the session; it was shown {shown})"
