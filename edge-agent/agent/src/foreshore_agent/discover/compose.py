"""From drafts to resources: names, profiles that alike devices share, comments where was guessed.

    drafts ──► profile and Device of each ──lint──► objects as they can be used
                                             └─ refused ──► left, with what lint says

What lint would refuse is no draft: strangers wrote the topics and the documents behind it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from foreshore_agent.discover import drafts, layouts, words
from foreshore_agent.discover.observations import Heard, Observations
from foreshore_api import meta, v1alpha1
from foreshore_api.v1alpha1 import DataType, commanding, telemetry
from foreshore_decision import lint, manifests

Json = dict[str, Any]

MAXIMUM_DEVICES: Final = 1000
"""Devices that are drafted."""
ECHO_WITHIN: Final = "3s"
"""How long an echo is awaited in a draft: radios of batteries take a second or two."""
_ANYWHERE: Final = lint.Surroundings(clock=lambda: 0.0)
_OWN: Final = "foreshore/"
_SPARKPLUG: Final = "spBv1.0/"
_TOLD: Final = ("/set", "/get", "/command", "/cmd")
"""Ends of topics on which devices are told."""
_FENCE: Final = (
    "Actions stay at Advise as they are, for nobody is named who fences: `guards: {fence: None}`"
    " below spec lets policies of hazard Low command it, and risks that for a moment two agents"
    " command it at once"
)
_BOUNDS: Final = (
    "minimum and maximum are left out: set them for numbers, so that what cannot be is not believed"
)


@dataclass(frozen=True, slots=True)
class DraftObject:
    """One resource, with what a person should know of it."""

    document: Json
    comments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Draft:
    """One profile and its devices."""

    profile: DraftObject
    devices: tuple[DraftObject, ...]


@dataclass(frozen=True, slots=True)
class Discovery:
    """Everything that was made of what was heard."""

    drafts: tuple[Draft, ...]
    left: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Topics that nothing was made of, by the reason."""


def compose(observations: Observations, *, site: str, namespace: str) -> Discovery:
    """Return the resources of everything that some layout understands."""
    left: dict[str, list[str]] = defaultdict(list)
    devices = _recognised(observations, left)
    made = _drafts(devices[:MAXIMUM_DEVICES], site, namespace)
    if len(devices) > MAXIMUM_DEVICES:
        beyond = [topic for device in devices[MAXIMUM_DEVICES:] for topic in device.topics]
        left[f"beyond the first {MAXIMUM_DEVICES} devices: give a narrower --filter"] += beyond
    usable = tuple(_usable(made, site, namespace, left))
    return Discovery(usable, {reason: tuple(topics) for reason, topics in left.items()})


def _recognised(observations: Observations, left: dict[str, list[str]]) -> list[drafts.DraftDevice]:
    """Return the drafts of all layouts, and note what none of them accounts for."""
    devices: list[drafts.DraftDevice] = []
    sparkplug = [heard.topic for heard in observations if heard.topic.startswith(_SPARKPLUG)]
    if sparkplug:
        left["Sparkplug B: this release drafts nothing of it"] += sparkplug
    taken = {heard.topic for heard in observations if heard.topic.startswith(_OWN)}.union(sparkplug)
    for layout in layouts.LAYOUTS:
        if layout.name == layouts.GUESSING:
            taken |= {h.topic for h in observations if h.topic.endswith(_TOLD)}
        recognised = layout.recognise(layouts.Scene(observations, frozenset(taken)))
        devices += recognised.devices
        for reason, topics in recognised.left.items():
            left[reason] += topics
            taken |= set(topics)
        taken |= recognised.topics.union(*(device.topics for device in recognised.devices))
    for heard in observations:
        if heard.topic not in taken:
            left[_unread(heard)].append(heard.topic)
    return devices


def _unread(heard: Heard) -> str:
    if heard.document is not None:
        return "JSON without a value that could be a property"
    return "neither JSON nor a short text"


@dataclass(frozen=True, slots=True)
class _Names:
    """Names that are given already."""

    profiles: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)


def _drafts(
    devices: Iterable[drafts.DraftDevice], site: str, namespace: str
) -> Iterator[tuple[Draft, tuple[drafts.DraftDevice, ...]]]:
    """Yield each profile with its devices; what is laid out alike shares one."""
    groups: dict[str, list[drafts.DraftDevice]] = defaultdict(list)
    for device in devices:
        groups[json.dumps(_spec(device), sort_keys=True)].append(device)
    names = _Names()
    for members in groups.values():
        first = members[0]
        profile = words.object_name(first.model, names.profiles)
        names.profiles.add(profile)
        objects = []
        for member in members:
            name = words.object_name(member.label, names.devices)
            names.devices.add(name)
            parameters = [{"name": key, "value": value} for key, value in member.parameters.items()]
            spec: Json = {"profileRef": {"name": profile}, "site": site}
            if parameters:
                spec["parameters"] = parameters
            comments = (f"{member.layout} device {member.label}", *member.notes)
            objects.append(DraftObject(_resource("Device", name, namespace, spec), comments))
        document = _resource("DeviceProfile", profile, namespace, _spec(first))
        yield Draft(DraftObject(document, tuple(_comments(first))), tuple(objects)), tuple(members)


def _resource(kind: str, name: str, namespace: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": meta.API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def site(name: str, namespace: str, broker: v1alpha1.site.Broker) -> DraftObject:
    """Return the Site of the broker that was listened to."""
    document = _resource(v1alpha1.Site.kind, name, namespace, {"broker": broker.document()})
    comments = [
        "The broker as it was reached from here; agents reach it from their nodes",
        "timeZone is left out: set it where devices write local times",
    ]
    if broker.credential is not None:
        comments.append(
            f"credential {broker.credential}: agents need a folder or a Secret of this name, best"
            " with a user of their own"
        )
    return DraftObject(document, tuple(comments))


def _named(device: drafts.DraftDevice) -> list[tuple[str, drafts.DraftProperty]]:
    """Return the properties with the names that they have in the profile."""
    named: dict[str, drafts.DraftProperty] = {}
    for prop in device.properties[: drafts.MAXIMUM_PROPERTIES]:
        named[words.identifier(prop.name, named)] = prop
    return list(named.items())


def _spec(device: drafts.DraftDevice) -> Json:
    """Return the spec of a device's profile."""
    named = _named(device)
    settable = {id(action.property) for action in device.actions}
    properties = [_property(name, prop, is_settable=id(prop) in settable) for name, prop in named]
    spec: Json = {"mqtt": dict(device.mqtt), "properties": properties}
    actions = [
        _action(name, prop, action)
        for name, prop in named
        for action in device.actions
        if action.property is prop
    ]
    if actions:
        spec["actions"] = actions[: drafts.MAXIMUM_ACTIONS]
    return spec


def _property(name: str, prop: drafts.DraftProperty, *, is_settable: bool) -> Json:
    written: Json = {"name": name, "type": prop.type.value}
    order = ("unit", "topic", "payload", "path", "pick")
    fields = {**prop.fields, **({"topic": prop.topic} if prop.topic is not None else {})}
    if fields.get("path") == f"/{name}":
        del fields["path"]  # what holds without it
    written |= {key: fields[key] for key in order if key in fields}
    written |= {key: value for key, value in fields.items() if key not in order}
    if is_settable:
        written["access"] = "ReadWrite"
    return written


def _action(name: str, prop: drafts.DraftProperty, action: drafts.DraftAction) -> Json:
    taken: Json = {"name": "value", "property": name, "type": prop.type.value}
    if "unit" in prop.fields:
        taken["unit"] = prop.fields["unit"]
    return {
        "name": f"set{name[0].upper()}{name[1:]}"[:63],
        "idempotency": "Idempotent",
        "input": [{**taken, **action.fields}],
        "mqtt": {
            "topic": action.topic,
            "payload": action.payload,
            "expression": action.expression,
        },
        "acknowledgement": {
            "type": commanding.AcknowledgementKind.ECHO.value,
            "echo": {"property": name, "within": ECHO_WITHIN},
        },
    }


def _comments(device: drafts.DraftDevice) -> Iterator[str]:
    """Yield what was guessed for a profile."""
    yield f"Drafted from {device.layout} as {device.label} is laid out; look at it before use"
    named = _named(device)
    if any(prop.type is DataType.NUMBER for _, prop in named):
        yield _BOUNDS
    for name, prop in named:
        yield from (f"{name}: {note}" for note in prop.notes)
        if prop.fields.get("retained") == telemetry.Retained.STATE:
            yield f"{name}: the broker keeps it, so that it is taken for the device's last word"
    left = [prop.name for prop in device.properties[drafts.MAXIMUM_PROPERTIES :]]
    if left:
        yield f"left out, for a profile has {drafts.MAXIMUM_PROPERTIES} properties: {left[:20]}"
    yield from (f"{act.property.name}: {note}" for act in device.actions for note in act.notes)
    if device.actions:
        yield _FENCE
        yield f"every echo is awaited for {ECHO_WITHIN}: see how long the device takes"


def _usable(
    made: Iterable[tuple[Draft, tuple[drafts.DraftDevice, ...]]],
    site_name: str,
    namespace: str,
    left: dict[str, list[str]],
) -> Iterator[Draft]:
    """Yield the drafts that lint takes; of the others note what it says."""
    pairs = list(made)
    refused = _refused([draft for draft, _ in pairs], site_name, namespace)
    for draft, members in pairs:
        why = refused.get(("DeviceProfile", draft.profile.name))
        kept: list[DraftObject] = []
        for written, member in zip(draft.devices, members, strict=True):
            fault = why or refused.get(("Device", written.name))
            if fault is None:
                kept.append(written)
            else:
                left[f"its draft would be refused: {fault}"] += sorted(member.topics)
        if kept:
            yield Draft(draft.profile, tuple(kept))


def _refused(
    written: Sequence[Draft], site_name: str, namespace: str
) -> dict[tuple[str, str], str]:
    """Return what lint says of objects that it refuses, by kind and name."""
    broker = v1alpha1.site.Broker(
        host="127.0.0.1", port=1883, transport=v1alpha1.site.Transport.PLAIN
    )
    documents = [site(site_name, namespace, broker).document]
    for draft in written:
        documents += [draft.profile.document, *(device.document for device in draft.devices)]
    numbered = [manifests.Manifest(f"draft#{at}", item) for at, item in enumerate(documents, 1)]
    report = lint.check(numbered, _ANYWHERE)
    return {
        (finding.kind, finding.name): finding.message
        for finding in report.findings
        if finding.severity is lint.Severity.ERROR
        and "is refused, see there" not in finding.message
    }
