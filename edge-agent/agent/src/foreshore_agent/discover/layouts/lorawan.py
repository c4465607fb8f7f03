"""LoRaWAN network servers: uplinks of ChirpStack and of The Things Stack, decoded by their codec.

    application/<id>/device/<devEui>/event/up         ChirpStack v4: `object`
    v3/<application>@<tenant>/devices/<id>/up         The Things Stack: `uplink_message`

Downlinks are queued there until the device speaks: such commands arrive late, so that none is
drafted.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from foreshore_agent.discover import drafts, words
from foreshore_agent.discover.layouts.scene import Recognised, Scene, properties_of


class _LorawanServer(NamedTuple):
    name: str
    topic: re.Pattern[str]
    """Groups: what stands before the device, the device, what stands behind it."""
    parameter: str
    payload: tuple[str, ...]
    """Keys of the decoded payload."""
    time: str


_SERVERS: Final = (
    _LorawanServer(
        "ChirpStack",
        re.compile(r"(application/[^/]+/device/)([^/]+)(/event/up)"),
        "devEui",
        ("object",),
        "/time",
    ),
    _LorawanServer(
        "The Things Stack",
        re.compile(r"(v3/[^/]+/devices/)([^/]+)(/up)"),
        "deviceId",
        ("uplink_message", "decoded_payload"),
        "/received_at",
    ),
)
_RELATED: Final = re.compile(
    r"(application/[^/]+/device/[^/]+/(event|command)|v3/[^/]+/devices)/.+"
)


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every device whose payload the server decodes."""
    devices: list[drafts.DraftDevice] = []
    left: list[str] = []
    for heard in scene:
        for server in _SERVERS:
            match = server.topic.fullmatch(heard.topic)
            if match is None or not words.is_literal(match[1]):
                continue
            made = tuple(_device(heard.document, server, match, heard.topic))
            devices += made
            left += [] if made else [heard.topic]
    drafted = {topic for device in devices for topic in device.topics}
    others = frozenset(t.topic for t in scene if _RELATED.fullmatch(t.topic)) - drafted
    reason = "an uplink that its server does not decode: give the device's profile there a codec"
    return Recognised(
        tuple(devices), others - frozenset(left), {reason: tuple(left)} if left else {}
    )


def _device(
    document: object, server: _LorawanServer, match: re.Match[str], topic: str
) -> Iterator[drafts.DraftDevice]:
    decoded = document
    for key in server.payload:
        decoded = decoded.get(key) if isinstance(decoded, dict) else None
    properties = tuple(properties_of(decoded, below=server.payload))
    if not properties or not isinstance(document, dict):
        return
    info = document.get("deviceInfo")
    label = info.get("deviceName") if isinstance(info, dict) else None
    profile = info.get("deviceProfileName") if isinstance(info, dict) else None
    yield drafts.DraftDevice(
        layout=server.name,
        label=str(label or match[2]),
        model=str(profile or server.name),
        parameters={server.parameter: match[2]},
        properties=properties,
        mqtt={
            "telemetryTopic": f"{match[1]}{{parameters.{server.parameter}}}{match[3]}",
            "time": {"path": server.time, "format": "RFC3339"},
        },
        notes=(
            "a downlink waits until the device speaks: with delivery Stored it stays at Advise",
        ),
        topics=frozenset({topic}),
    )
