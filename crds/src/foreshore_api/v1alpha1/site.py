"""Site: a place with a broker and nodes.

A lost uplink silences all of it at once, so a site is the domain of silence.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

import pydantic
from pydantic import StringConstraints

from foreshore_api import addresses, meta, scalars
from foreshore_api.contract import Document, Rule
from foreshore_api.v1alpha1.isolation import Isolation
from foreshore_api.v1alpha1.judging import Judged

Host = Annotated[
    str,
    StringConstraints(pattern=r"^[-.:\[\]A-Za-z0-9]+$", max_length=253),
    pydantic.AfterValidator(addresses.dialled),
    Rule(rule=f"self.matches('{addresses.HOST_PATTERN}')", message=addresses.WRONG_HOST),
]
"""The pattern lets more pass than the rule, whose message says what to write instead."""


class Protocol(StrEnum):
    """MQTT version."""

    V5 = "V5"
    V311 = "V311"


class Transport(StrEnum):
    """How the broker is reached."""

    TLS = "TLS"
    PLAIN = "Plain"


class Broker(Document):
    """The MQTT broker that the site's devices and agents meet on."""

    host: Host
    """Name or IP address of the broker; an IPv6 address without brackets (`fd42::9`). An IP address
    keeps the site independent of DNS. Example: `172.18.0.9`."""

    port: Annotated[int, pydantic.Field(ge=1, le=65535)]
    """TCP port of the broker. Example: `8883`."""

    protocol: Protocol = Protocol.V5
    """MQTT version: V5, or V311 for brokers that know no better. With V5 the broker keeps messages
    above 160 KiB from agents; with V311 such a message ends the agent's session, which it opens
    again after a pause: set the broker's own limit too (Mosquitto: `max_packet_size`). Example:
    `V5`."""

    transport: Transport = Transport.TLS
    """TLS, or Plain for a broker on a network that is trusted. Example: `TLS`."""

    credential: scalars.ObjectName | None = None
    """Name of the credential that agents show: a folder or Secret with ca.crt, tls.crt and tls.key
    for TLS, username and password, or all of them. Absent: none, which only Plain allows. Example:
    `hq-broker`."""

    server_name: Host | None = None
    """Name or IP address that the broker's certificate must carry. Absent: `host`. Example:
    `broker.hq.example`."""

    validations = (
        Rule(
            rule="self.transport != 'TLS' || has(self.credential)",
            message="transport TLS needs a credential with the broker's CA",
            field_path=".credential",
            reason="FieldValueRequired",
        ),
        Rule(
            rule="self.transport == 'TLS' || !has(self.serverName)",
            message="serverName is checked with transport TLS only",
            field_path=".serverName",
        ),
    )


class SiteSpec(Document):
    """Desired state of a Site."""

    broker: Broker
    """The MQTT broker of the site."""

    time_zone: scalars.ZoneName | None = None
    """Time zone (IANA name) of times that name none: of devices, and of recordings that `play` and
    `rehearse` read. Absent: such times of devices are not read, recordings are in UTC. Example:
    `Europe/Brussels`."""

    isolation: Isolation = Isolation.CHILD
    """Agent: agents of the site may run models in their own process, where a ModelVersion asks it;
    such a model can do all that the agent can, with its credentials and its journal. Child: none
    may; taking Agent back holds at once, and pods are made only then. Example: `Child`."""


class SiteStatus(Judged):
    """What the operator knows of a Site."""

    nodes: scalars.Count | None = None
    """Nodes that carry the site's label. Absent: not counted yet. Example: `3`."""

    agents: scalars.Count | None = None
    """Agents of the site that report. Absent: not counted yet. Example: `3`."""

    held_since: scalars.Timestamp | None = None
    """Since when nothing moves at the site, whether or not a person has ended that hold. Absent: it
    is not held. Example: `2026-03-01T10:00:00Z`."""


class Site(meta.Resource):
    """A place: its broker, its nodes, its time zone. Node label foreshore.dev/site names it."""

    kind: ClassVar[str] = "Site"
    plural: ClassVar[str] = "sites"
    short_name: ClassVar[str] = "fssite"
    longest_name: ClassVar[int] = 32

    spec: SiteSpec
    """Desired state."""

    status: SiteStatus = SiteStatus()
    """Observed state, written by the operator."""
