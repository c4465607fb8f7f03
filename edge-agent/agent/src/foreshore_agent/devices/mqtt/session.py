"""What a connection is asked to be: address, will, limits; and the client library set up for it."""

import functools
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from foreshore_agent.devices.mqtt import client as bounded
from foreshore_agent.devices.mqtt import credentials
from foreshore_api.v1alpha1 import site

CONNECT_SECONDS: Final = 5.0
KEEPALIVE_SECONDS: Final = 5
"""A broker that is silent for twice this long is gone: half-open connections are noticed."""

_NEVER_QUEUED: Final = 65535
"""Of so many outstanding publications the client would begin to queue: more than we let be
outstanding.
"""


class ConnectionFailedError(Exception):
    """The broker cannot be reached or does not want us; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a site's broker is, and how it is spoken to."""

    host: str
    port: int
    protocol: site.Protocol = site.Protocol.V5
    credential: str | None = None
    """Name of the credential to show; None for plain TCP."""
    credentials: Path | None = None
    """Folder of credentials by name."""
    server_name: str | None = None

    @classmethod
    def of(cls, broker: site.Broker, folder: Path | None) -> Self:
        """Read the address of a Site's broker."""
        is_tls = broker.transport is site.Transport.TLS
        return cls(
            host=broker.host,
            port=broker.port,
            protocol=broker.protocol,
            credential=(broker.credential or "") if is_tls else None,
            credentials=folder,
            server_name=broker.server_name,
        )


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says when this connection breaks."""

    topic: str
    payload: bytes


def client(address: Address, name: str, will: Will | None) -> bounded.Client:
    """Make a client that never reconnects and never queues. Raises CredentialError."""
    is_v5 = address.protocol is site.Protocol.V5
    made = bounded.Client(
        CallbackAPIVersion.VERSION2,
        client_id=f"{name[:40]}-{secrets.token_hex(4)}",
        clean_session=None if is_v5 else True,
        protocol=paho.MQTTv5 if is_v5 else paho.MQTTv311,
        reconnect_on_failure=False,
    )
    made.connect_timeout = CONNECT_SECONDS
    made.max_inflight_messages = _NEVER_QUEUED
    if address.credential is not None:
        made.tls_set_context(
            credentials.context(address.credentials, address.credential, address.server_name)
        )
    if will is not None:
        made.will_set(will.topic, will.payload, qos=1, retain=False)
    return made


@functools.lru_cache(maxsize=64)
def expiring(seconds: int) -> Properties:
    """Return the properties of a message that expires; they are dear to make, and there are few."""
    made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    made.MessageExpiryInterval = max(1, seconds)
    return made


def connect(client: paho.Client, address: Address) -> None:
    """Open the socket, shake hands and send CONNECT; it blocks, so a thread runs it."""
    if address.protocol is site.Protocol.V5:
        client.connect(
            address.host,
            address.port,
            KEEPALIVE_SECONDS,
            clean_start=True,
            properties=bounded.limits(),
        )
    else:
        client.connect(address.host, address.port, KEEPALIVE_SECONDS)


def describe(error: Exception, address: Address) -> str:
    """Say for people what went wrong with which broker."""
    what = str(error) or "it did not answer in time"
    return f"{address.host}:{address.port}: {what}"


def unaccepted(error: ConnectionFailedError, address: Address) -> str:
    """Say which broker ended a session before it accepted it, and what it was shown.

    With TLS 1.3 a broker that does not take a certificate only hangs up: it names no reason.
    """
    shown = f"the credential {address.credential}" if address.credential else "no credential"
    return f"{describe(error, address)} (before it accepted the session; it was shown {shown})"
