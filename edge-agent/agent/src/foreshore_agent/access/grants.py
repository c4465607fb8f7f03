"""Which topics are whose: grants of a broker's users, from Sites, DeviceProfiles and Devices.

Three roles. A device writes its telemetry and answers and reads its commands and advice. The agents
of a site read and write the other way round, and among each other. Whoever is neither is a
stranger, who is granted nothing.

A topic is one user's: profiles are written by those who may edit a namespace, and a profile that
names another device's topics, or those on which agents speak, would turn a device into more.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foreshore_agent import manifests
from foreshore_api import v1alpha1
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import beat
from foreshore_decision import assignment as compiling
from foreshore_decision import resources, topics

AGENT_USER: Final = "{credential}"
"""The harness, the demo and the docs name an agent's certificate after the Site's credential."""
DEVICE_USER: Final = "{site}/{device}"
_USER: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._@=/: ]*[A-Za-z0-9])?")


class AccessError(ValueError):
    """No list can be written; each of `lines` says what is wrong and what to do."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines: Final = tuple(lines)
        super().__init__("; ".join(self.lines))


@dataclass(frozen=True, slots=True)
class NameTemplates:
    """How the broker names whom: templates of a site's agents and of a device."""

    agents: str = AGENT_USER
    device: str = DEVICE_USER


@dataclass(frozen=True, slots=True)
class User:
    """One user of the broker and what is granted to them."""

    name: str
    roles: tuple[str, ...]
    """Who it is, for people: `agents of Site hq/hq`, `Device hq/room-301`."""
    writes: frozenset[str]
    reads: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Grant:
    """What one role gives one user."""

    user: str
    role: str
    writes: frozenset[str]
    reads: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A device, its site and its topics."""

    device: v1alpha1.Device
    site: v1alpha1.Site
    spoken: frozenset[str]
    """Topics on which it speaks."""
    heard: frozenset[str]
    """Topics on which it is spoken to."""

    @classmethod
    def of(
        cls, device: v1alpha1.Device, site: v1alpha1.Site, profile: deviceprofile.DeviceProfileSpec
    ) -> "_Placed":
        """Fill in the profile's topics. Raises topics.TopicError."""

        def rendered(templates: Iterable[str]) -> frozenset[str]:
            return frozenset(topics.of_device(template, device) for template in templates)

        spoken, heard = topics.spoken(profile), topics.heard(profile)
        return cls(device, site, rendered(spoken), rendered(heard))

    @property
    def role(self) -> str:
        """Who it is, for people."""
        return f"Device {self.device.namespace}/{self.device.name}"


def find(folder: Path, names: NameTemplates, site: str | None = None) -> tuple[User, ...]:
    """Return the users of a folder's broker. Raises AccessError."""
    try:
        reading = resources.read(manifests.read(folder), {})
    except manifests.UnreadableError as error:
        raise AccessError([str(error)]) from error
    if reading.problems:
        raise AccessError(
            f"{problem.kind} {problem.namespace}/{problem.name}: {problem.reason}:"
            f" {problem.message}"
            for problem in reading.problems
        )
    return users(compiling.Resources.of(reading.resources), names, site)


def users(
    snapshot: compiling.Resources, names: NameTemplates, site: str | None = None
) -> tuple[User, ...]:
    """Return every user, the agents of each site first. Raises AccessError."""
    sites = [place for place in snapshot.sites if site in (place.name, None)]
    faults: list[str] = []
    if not sites:
        faults.append(f"there is no Site{f' {site}' * (site is not None)} in the folder")
    placed = list(_placed(snapshot, site, faults))
    faults += _topic_faults(placed)
    agents = [_agents(place, placed, _agent_name(names, place, faults)) for place in sites]
    devices = [
        _Grant(
            _device_name(names, placement, faults),
            placement.role,
            placement.spoken,
            placement.heard,
        )
        for placement in placed
    ]
    faults += _clashes(agents, devices)
    if faults:
        raise AccessError(faults)
    return _united((*agents, *devices))


def _placed(
    snapshot: compiling.Resources, site: str | None, faults: list[str]
) -> Iterator[_Placed]:
    """Find each device's site and profile."""
    profiles = {(profile.namespace, profile.name): profile for profile in snapshot.profiles}
    sites = {(place.namespace, place.name): place for place in snapshot.sites}
    for device in snapshot.devices:
        if site not in (device.spec.site, None):
            continue
        place = sites.get((device.namespace, device.spec.site))
        profile = profiles.get((device.namespace, device.spec.profile_ref.name))
        who = f"Device {device.namespace}/{device.name}"
        if place is None:
            faults.append(
                f"{who}: the folder lacks the Site {device.spec.site} of its namespace; add it"
            )
        elif profile is None:
            faults.append(
                f"{who}: the folder lacks its DeviceProfile {device.spec.profile_ref.name}; add it"
            )
        else:
            try:
                yield _Placed.of(device, place, profile.spec)
            except topics.TopicError as error:
                faults.append(f"{who}: {error}")


def _agents(site: v1alpha1.Site, placed: Iterable[_Placed], user: str) -> _Grant:
    mine = [placement for placement in placed if placement.site is site]
    among = {beat.beat_topic(site.name), beat.renew_topic(site.name), beat.renewed_topic(site.name)}
    return _Grant(
        user,
        f"agents of Site {site.namespace}/{site.name}",
        writes=frozenset(among).union(*(placement.heard for placement in mine)),
        reads=frozenset(among).union(*(placement.spoken for placement in mine)),
    )


def _agent_name(names: NameTemplates, site: v1alpha1.Site, faults: list[str]) -> str:
    credential = site.spec.broker.credential
    if credential is None and "{credential}" in names.agents:
        faults.append(
            f"Site {site.namespace}/{site.name} names no credential; say --agent-user NAME"
        )
    values = {"site": site.name, "namespace": site.namespace, "credential": credential or "none"}
    return _named(names.agents, "--agent-user", values, faults)


def _device_name(names: NameTemplates, placement: _Placed, faults: list[str]) -> str:
    values = {
        "site": placement.site.name,
        "namespace": placement.device.namespace,
        "device": placement.device.name,
    }
    return _named(names.device, "--device-user", values, faults)


def _named(template: str, option: str, values: Mapping[str, str], faults: list[str]) -> str:
    name = template
    for key, value in values.items():
        name = name.replace(f"{{{key}}}", value)
    if not _USER.fullmatch(name):
        fault = (
            f"{option} {template!r} gives {name!r}, which is no user's name; letters, digits and"
            f" -._@=/: are, and {', '.join(f'{{{key}}}' for key in values)} are replaced"
        )
        if fault not in faults:
            faults.append(fault)
    return name


def _topic_faults(placed: Iterable[_Placed]) -> Iterator[str]:
    """Name topics that no device may have, and those of two."""
    for placement in placed:
        for topic in sorted(placement.spoken | placement.heard):
            why = _forbidden(topic)
            if why:
                yield f"{placement.role}: topic {topic!r} {why}; change its DeviceProfile"


def _forbidden(topic: str) -> str:
    if not topic.isprintable() or topic != topic.strip():
        return "has a control character, or a space at an end"
    return ""


def _clashes(agents: Iterable[_Grant], devices: Iterable[_Grant]) -> Iterator[str]:
    """Name users that are both agents and device, and topics that two devices' users share."""
    ours = {grant.user: grant.role for grant in agents}
    owners: dict[str, _Grant] = {}
    for grant in devices:
        if grant.user in ours:
            yield f"{grant.role} and the {ours[grant.user]} would have one user, {grant.user!r}"
        for topic in sorted(grant.writes | grant.reads):
            first = owners.setdefault(topic, grant)
            if first.user != grant.user:
                yield (
                    f"{first.role} and {grant.role} both have topic {topic!r}: give each its own in"
                    " its DeviceProfile, or one user with --device-user if one machine is both"
                )


def _united(grants: Iterable[_Grant]) -> tuple[User, ...]:
    """Put together what one user has by several roles."""
    united: dict[str, User] = {}
    for grant in grants:
        before = united.get(grant.user, User(grant.user, (), frozenset(), frozenset()))
        united[grant.user] = User(
            grant.user,
            (*before.roles, grant.role),
            before.writes | grant.writes,
            before.reads | grant.reads,
        )
    return tuple(united.values())
