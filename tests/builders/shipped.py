"""The profiles that ship under examples/profiles/: their resources, and messages read by them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from foreshore_agent.devices.codecs import formats
from foreshore_agent.devices.mqtt import availability, channel, topics, translate
from foreshore_agent.engine import events
from foreshore_api import v1alpha1
from foreshore_api.wire import assignment
from foreshore_decision import narrowing

PROFILES = Path(__file__).parents[2] / "examples" / "profiles"
DIALECTS = tuple(sorted(path.name for path in PROFILES.iterdir() if path.is_dir()))
NOW = datetime(2026, 3, 1, 13, 21, tzinfo=UTC)
"""A moment after every message of the fixtures."""

Json = dict[str, Any]


def documents(dialect: str) -> list[Json]:
    """The resources of a dialect's folder, as they are written."""
    files = ("profile.yaml", "device.yaml")
    return [
        document
        for name in files
        for document in yaml.safe_load_all((PROFILES / dialect / name).read_text())
    ]


def fixture(dialect: str, name: str) -> bytes:
    """A recorded message; an editor may have ended it with a line end, which no device sends."""
    return (PROFILES / dialect / "fixtures" / name).read_bytes().removesuffix(b"\n")


def read(
    dialect: str, topic: str, body: bytes, *, is_retained: bool = False
) -> dict[str, list[events.Sample] | str]:
    """What an agent makes of a message, by each device of the folder that it is for."""
    site, devices = _assigned(dialect)
    routes = topics.routes(devices, site.spec.time_zone)
    message = channel.MqttMessage(topic, body, is_retained, redelivered=False)
    at = events.Instant(NOW, 1000.0, 1000.0)
    return {
        route.device.name: translate.telemetry(
            message, formats.Contents(body), route, events.EventStamp(lambda: at, lambda: "fresh")
        )
        for route in routes.telemetry.get(topic, ())
    }


def announced(dialect: str, topic: str, body: bytes) -> dict[str, bool | str]:
    """Whether a message says that a device is there, by each device of the folder that it is of."""
    _, devices = _assigned(dialect)
    routes = availability.lay_out(devices).routes.get(topic, ())
    return {route.device.name: route.read(body) for route in routes}


def _assigned(dialect: str) -> tuple[v1alpha1.Site, list[assignment.AssignedDevice]]:
    written = documents(dialect)
    (site,) = (v1alpha1.Site.model_validate(each) for each in written if each["kind"] == "Site")
    profiles = {
        each["metadata"]["name"]: v1alpha1.DeviceProfile.model_validate(each)
        for each in written
        if each["kind"] == "DeviceProfile"
    }
    devices = [v1alpha1.Device.model_validate(each) for each in written if each["kind"] == "Device"]
    return site, [
        assignment.AssignedDevice(
            namespace=device.namespace,
            name=device.name,
            uid=device.name,
            generation=1,
            digest="sha256:" + "0" * 64,
            spec=device.spec,
            profile=narrowing.narrow(profiles[device.spec.profile_ref.name].spec, device.spec),
        )
        for device in devices
    ]
