"""Which device is played, from a folder of resources; shared by `play` and `rehearse`."""

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from foreshore_agent import inspection, manifests
from foreshore_api import hints, v1alpha1
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_decision import assignment as compiling
from foreshore_decision import narrowing, resources, topics


class StageError(ValueError):
    """The folder does not hold what is needed; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class PlayedStage:
    """One device of a folder, with all that it takes to be it."""

    site: v1alpha1.Site
    device: v1alpha1.Device
    profile: deviceprofile.DeviceProfileSpec
    """Narrowed by the device."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the site, in which recordings without a zone are read."""
        try:
            return ZoneInfo(self.site.spec.time_zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise StageError(f"time zone {self.site.spec.time_zone} is not known here") from error

    def topic(self, template: str) -> str:
        """Fill in one of the profile's topics. Raises StageError."""
        try:
            return topics.of_device(template, self.device)
        except topics.TopicError as error:
            raise StageError(f"Device {self.device.name}: {error}") from error


def read(folder: Path) -> resources.FolderReading:
    """Read a folder of YAML. Raises StageError."""
    try:
        return resources.read(manifests.read(folder), {})
    except manifests.UnreadableError as error:
        raise StageError(str(error)) from error


def find(folder: Path, name: str) -> PlayedStage:
    """Find a device by name (or `namespace/name`) in a folder of YAML. Raises StageError."""
    return choose(read(folder), folder, name)


def choose(reading: resources.FolderReading, folder: Path, name: str) -> PlayedStage:
    """Find a device by name (or `namespace/name`) among resources. Raises StageError."""
    snapshot = compiling.Resources.of(reading.resources)
    named = [
        device
        for device in snapshot.devices
        if name in (device.name, f"{device.namespace}/{device.name}")
    ]
    if len(named) != 1:
        raise StageError(_unknown(folder, name, snapshot.devices, len(named)))
    device = named[0]
    profile = next(
        (
            profile
            for profile in snapshot.profiles
            if (profile.namespace, profile.name) == (device.namespace, device.spec.profile_ref.name)
        ),
        None,
    )
    site = compiling.find_site(snapshot, device.spec.site)
    if profile is None or site is None:
        missing = (
            f"DeviceProfile {device.spec.profile_ref.name}"
            if profile is None
            else f"Site {device.spec.site}"
        )
        raise StageError(f"{folder} does not hold the {missing} of Device {device.name}")
    staged = PlayedStage(site, device, narrowing.narrow(profile.spec, device.spec))
    for row in topics.templates(staged.profile):
        staged.topic(row.template)  # said now, and not in the middle of a play
    return staged


def _unknown(folder: Path, name: str, devices: tuple[v1alpha1.Device, ...], count: int) -> str:
    message = f"{folder} must hold one Device {name}"
    if not devices:
        return f"{message}; it holds no Device at all ({inspection.overview(folder)})"
    whole = count > 0 or "/" in name
    candidates = (
        f"{device.namespace}/{device.name}" if whole else device.name for device in devices
    )
    return f"{message}; {hints.among(name, candidates)}"
