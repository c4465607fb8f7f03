"""Home Assistant discovery: `<prefix>/<component>/[<node>/]<object>/config` announces an entity.

Also `<prefix>/device/<id>/config`, which announces all entities of a device at once. Names may be
abbreviated, and `~` in a topic stands for the base. Source: home-assistant.io, "MQTT", "Discovery".
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from foreshore_agent.discover import drafts, words
from foreshore_agent.discover.layouts.scene import Recognised, Scene, state
from foreshore_api.v1alpha1 import DataType

Json = dict[str, Any]

_CONFIG: Final = re.compile(r"([^/]+)/([a-z_]+)/(?:([^/]+)/)?([^/]+)/config")
_COMPONENTS: Final = frozenset(
    [
        "alarm_control_panel",
        "binary_sensor",
        "button",
        "camera",
        "climate",
        "cover",
        "device",
        "device_automation",
        "event",
        "fan",
        "humidifier",
        "image",
        "lawn_mower",
        "light",
        "lock",
        "notify",
        "number",
        "scene",
        "select",
        "sensor",
        "siren",
        "switch",
        "tag",
        "text",
        "update",
        "vacuum",
        "valve",
        "water_heater",
    ]
)
_DRAFTED: Final = frozenset(
    {"sensor", "binary_sensor", "switch", "number", "select", "light", "fan"}
)
"""Components whose state is one value."""
_PARTS: Final[Mapping[str, tuple[tuple[str, str, Mapping[str, str]], ...]]] = {
    "climate": (
        (
            "mode",
            "select",
            {
                "mode_state_topic": "state_topic",
                "mode_state_template": "value_template",
                "mode_command_topic": "command_topic",
                "mode_command_template": "command_template",
                "modes": "options",
            },
        ),
        (
            "target temperature",
            "number",
            {
                "temperature_state_topic": "state_topic",
                "temperature_state_template": "value_template",
                "temperature_command_topic": "command_topic",
                "temperature_command_template": "command_template",
                "temperature_unit": "unit_of_measurement",
                "min_temp": "min",
                "max_temp": "max",
            },
        ),
        (
            "current temperature",
            "number",
            {
                "current_temperature_topic": "state_topic",
                "current_temperature_template": "value_template",
                "temperature_unit": "unit_of_measurement",
            },
        ),
        ("action", "select", {"action_topic": "state_topic", "action_template": "value_template"}),
    ),
}
"""Components of several values: of each its title, as which component it is read, its fields."""
_SHARED: Final[tuple[str, ...]] = (
    "availability",
    "availability_topic",
    "availability_template",
    "payload_available",
    "payload_not_available",
    "device",
    "~",
)
"""Fields that hold for every value of a component."""
_ABBREVIATIONS: Final = {
    "act_t": "action_topic",
    "act_tpl": "action_template",
    "avty": "availability",
    "avty_t": "availability_topic",
    "avty_tpl": "availability_template",
    "cmd_t": "command_topic",
    "cmd_tpl": "command_template",
    "cmps": "components",
    "curr_temp_t": "current_temperature_topic",
    "curr_temp_tpl": "current_temperature_template",
    "dev": "device",
    "dev_cla": "device_class",
    "max": "max",
    "min": "min",
    "mode_cmd_t": "mode_command_topic",
    "mode_cmd_tpl": "mode_command_template",
    "mode_stat_t": "mode_state_topic",
    "mode_stat_tpl": "mode_state_template",
    "ops": "options",
    "p": "platform",
    "pl_avail": "payload_available",
    "pl_not_avail": "payload_not_available",
    "pl_on": "payload_on",
    "pl_off": "payload_off",
    "stat_cla": "state_class",
    "stat_on": "state_on",
    "stat_off": "state_off",
    "stat_t": "state_topic",
    "stat_val_tpl": "state_value_template",
    "t": "topic",
    "temp_cmd_t": "temperature_command_topic",
    "temp_cmd_tpl": "temperature_command_template",
    "temp_stat_t": "temperature_state_topic",
    "temp_stat_tpl": "temperature_state_template",
    "temp_unit": "temperature_unit",
    "uniq_id": "unique_id",
    "unit_of_meas": "unit_of_measurement",
    "val_tpl": "value_template",
    "ids": "identifiers",
    "cns": "connections",
    "mdl": "model",
    "mf": "manufacturer",
}
"""Abbreviations of the fields that are read here."""
_PATH: Final = re.compile(
    r"\{\{\s*value_json((?:\.[A-Za-z_]\w*|\[\s*(?:'[^']+'|\"[^\"]+\")\s*\])+)\s*(?:\|\s*is_defined\s*)?\}\}"
)
_STEP: Final = re.compile(r"\.(\w+)|\[\s*['\"]([^'\"]+)['\"]\s*\]")
_WHOLE: Final = re.compile(r"\{\{\s*value\s*\}\}")
_PARAMETER: Final = "name"
_ROLES: Final = frozenset(
    [
        "available",
        "availability",
        "cmd",
        "cmnd",
        "command",
        "get",
        "lwt",
        "off",
        "on",
        "output",
        "power",
        "set",
        "stat",
        "state",
        "status",
        "tele",
        "value",
    ]
)
"""Parts of topics that say what is spoken of, and never whose topic it is; in lower case."""
MAXIMUM_ENTITIES: Final = 5000
"""Announced entities that are looked at."""


@dataclass(frozen=True, slots=True)
class _Entity:
    """One announced entity."""

    title: str
    component: str
    config: Json

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it names."""
        named = (self.config.get("state_topic"), self.config.get("command_topic"))
        return tuple(topic for topic in named if isinstance(topic, str))

    @property
    def device(self) -> Mapping[str, Any]:
        """What it announces of its device."""
        device = self.config.get("device")
        return device if isinstance(device, dict) else {}

    def text(self, key: str, default: str) -> str:
        """Return a word that the announcement gives, or the one that holds without it."""
        value = self.config.get(key, default)
        return value if isinstance(value, str) else json.dumps(value)


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every announced device of which somebody else has made none."""
    announced: dict[str, list[_Entity]] = defaultdict(list)
    own: set[str] = set()
    left: list[str] = []
    for heard in scene:
        match = _CONFIG.fullmatch(heard.topic)
        if match is None or match[2] not in _COMPONENTS:
            continue
        own |= {heard.topic, f"{match[1]}/status"}
        for key, entity in _entities(match, heard.document):
            parts = tuple(_parts(entity))
            if not parts:
                left.append(heard.topic)
            announced[key] += (part for part in parts if _is_open(scene, part))
        if len(own) > MAXIMUM_ENTITIES:
            break
    devices = _devices(scene, {key: parts for key, parts in announced.items() if parts})
    heard_topics = {heard.topic for heard in scene}
    reason = "an announced component whose state is more than one value"
    return Recognised(
        tuple(devices),
        frozenset(own & heard_topics) - frozenset(left),
        {reason: tuple(left)} if left else {},
    )


def _entities(match: re.Match[str], document: object) -> Iterator[tuple[str, _Entity]]:
    """Yield the entities of one announcement, each with what its device is known by."""
    config = _expanded(document)
    if config is None:
        return
    device = _expanded(config.get("device")) or {}
    key = _key(device) or match[3] or match[4]
    if match[2] != "device":
        yield key, _Entity(_title(config, match[4]), match[2], {**config, "device": device})
        return
    components = config.get("components")
    shared = {name: value for name, value in config.items() if name not in ("components", "device")}
    for title, component in list(components.items())[:100] if isinstance(components, dict) else ():
        inner = _expanded(component)
        if inner is not None:
            merged = _based({**shared, **inner, "device": device}, config.get("~"))
            platform = str(inner.get("platform"))
            yield _key(device) or match[4], _Entity(_title(merged, str(title)), platform, merged)


def _parts(entity: _Entity) -> Iterator[_Entity]:
    """Yield an entity of one value as it is, one of several as an entity for each that it names."""
    if entity.component in _DRAFTED:
        yield entity
    shared = {key: entity.config[key] for key in _SHARED if key in entity.config}
    for title, component, fields in _PARTS.get(entity.component, ()):
        own = {new: entity.config[old] for old, new in fields.items() if old in entity.config}
        if "state_topic" in own:
            yield _Entity(f"{entity.title} {title}", component, {**shared, **own})


def _is_open(scene: Scene, entity: _Entity) -> bool:
    """Whether an entity names topics, and none of a device that is drafted already."""
    return bool(entity.topics) and not scene.taken.intersection(entity.topics)


def _expanded(document: object) -> Json | None:
    """Return an object with whole names and whole topics; None if it is none."""
    if not isinstance(document, dict):
        return None
    config = {_ABBREVIATIONS.get(str(key), str(key)): value for key, value in document.items()}
    return _based(config, config.get("~"))


def _based(config: Json, base: object) -> Json:
    """Return an object whose topics have their base."""
    if not isinstance(base, str):
        return config

    def whole(key: str, value: object) -> object:
        if not isinstance(value, str) or not key.endswith("topic"):
            return value
        if value.startswith("~"):
            return base + value[1:]
        return value[:-1] + base if value.endswith("~") else value

    return {key: whole(key, value) for key, value in config.items()}


def _key(device: Mapping[str, Any]) -> str:
    identifiers = device.get("identifiers") or device.get("connections")
    return json.dumps(identifiers, sort_keys=True)[:256] if identifiers else ""


def _title(config: Mapping[str, Any], otherwise: str) -> str:
    name = config.get("name")
    return name if isinstance(name, str) and name else otherwise


def _devices(scene: Scene, announced: Mapping[str, list[_Entity]]) -> Iterator[drafts.DraftDevice]:
    devices = Counter(
        part
        for entities in announced.values()
        for part in {part for entity in entities for t in entity.topics for part in t.split("/")}
    )
    several = {part for part, number in devices.items() if number > 1}
    for entities in announced.values():
        draft = _device(scene, entities, several)
        if draft.properties:
            yield draft


def _device(scene: Scene, entities: list[_Entity], several: set[str]) -> drafts.DraftDevice:
    own = _own_part(entities, several)
    properties: list[drafts.DraftProperty] = []
    actions: list[drafts.DraftAction] = []
    notes: list[str] = []
    for entity in entities:
        made = _property(scene, entity, own)
        if isinstance(made, str):
            notes.append(made)
            continue
        properties.append(made)
        actions += _action(entity, made, own)
    device = {key: value for entity in entities for key, value in entity.device.items()}
    label = str(device.get("name") or own or entities[0].title)
    return drafts.DraftDevice(
        layout="Home Assistant discovery",
        label=label,
        model=str(device.get("model") or label),
        parameters={} if own is None else {_PARAMETER: own},
        properties=tuple(properties),
        mqtt=_availability(entities[0].config, own),
        actions=tuple(actions),
        notes=tuple(notes),
        topics=frozenset(
            topic
            for entity in entities
            for topic in (*entity.topics, str(entity.config.get("availability_topic")))
            if scene.find(topic) is not None
        ),
    )


def _own_part(entities: Iterable[_Entity], several: set[str]) -> str | None:
    """Return the part of the topics that is this device's alone: the last that all of them have.

    None of `several`, which more than one device has, and none that names a role.
    """
    topics = [topic.split("/") for entity in entities for topic in entity.topics]
    shared = [part for part in topics[0] if all(part in other for other in topics)]
    names = [part for part in shared if part not in several and part.lower() not in _ROLES]
    own = [part for part in names if 0 < len(part) <= drafts.MAXIMUM_VALUE]
    return own[-1] if own else None


def _template(topic: str, own: str | None) -> str:
    parts = (f"{{parameters.{_PARAMETER}}}" if part == own else part for part in topic.split("/"))
    return "/".join(parts)


def _property(scene: Scene, entity: _Entity, own: str | None) -> drafts.DraftProperty | str:
    """Return the property of an entity, or why it has none."""
    topic = entity.config.get("state_topic")
    if not isinstance(topic, str):
        return f"{entity.title}: it announces no topic of its state"
    template = entity.config.get("value_template") or entity.config.get("state_value_template")
    keys = ("state",) if entity.config.get("schema") == "json" else _keys(template)
    if keys is None:
        return f"{entity.title} on {topic}: value_template {template} is not translated"
    kind, fields, notes = _typed(scene, entity, topic, keys)
    heard = scene.find(topic)
    kept = state(kind, is_retained=heard is not None and heard.was_retained)
    return drafts.DraftProperty(
        entity.title, kind, _template(topic, own), {**fields, **kept}, notes
    )


def _keys(template: object) -> tuple[str, ...] | None:
    """Return the keys of a template's value, none for a bare value; None if it says more."""
    if template is None or (isinstance(template, str) and _WHOLE.fullmatch(template.strip())):
        return ()
    match = _PATH.fullmatch(template.strip()) if isinstance(template, str) else None
    if match is None:
        return None
    return tuple(dotted or quoted for dotted, quoted in _STEP.findall(match[1]))


def _typed(
    scene: Scene, entity: _Entity, topic: str, keys: tuple[str, ...]
) -> tuple[DataType, Json, tuple[str, ...]]:
    """Return type, fields and notes of an entity's value."""
    place: Json = {"path": words.pointer(*keys)} if keys else {"payload": "Text"}
    heard = scene.find(topic)
    value: object = None if heard is None else heard.document
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if entity.component in ("binary_sensor", "switch", "light", "fan"):
        on = entity.text("state_on", entity.text("payload_on", "ON"))
        off = entity.text("state_off", entity.text("payload_off", "OFF"))
        return DataType.BOOLEAN, {**_truth(value, on, off), **place}, ()
    if entity.component == "select":
        return DataType.STRING, place, ()
    measures = ("unit_of_measurement", "state_class")
    if entity.component == "number" or any(entity.config.get(name) for name in measures):
        unit, notes = words.unit_fields(entity.config.get("unit_of_measurement"))
        if keys and isinstance(value, str):
            place = {"payload": "Text", **place}
        return DataType.NUMBER, {**unit, **place}, notes
    return _guessed(value, None if heard is None else heard.text, place, is_bare=not keys)


def _truth(value: object, on: str, off: str) -> Json:
    """Return the two words of a Boolean; JSON's own say what they mean."""
    return {} if isinstance(value, bool) else words.truth_fields(on, off)


def _guessed(
    value: object, text: str | None, place: Json, *, is_bare: bool
) -> tuple[DataType, Json, tuple[str, ...]]:
    """Return what a last message suggests of a sensor that announces no unit."""
    if is_bare and text is not None:
        kind, fields, notes = words.bare(text)
        return kind, fields, (*notes, "its type is guessed from a message")
    made = None if is_bare else words.typed(value)
    if made is None:
        return DataType.STRING, place, ("it announces no unit: taken for a text",)
    kind, fields, notes = made
    return kind, {**fields, **place}, (*notes, "its type is guessed from a message")


def _action(
    entity: _Entity, made: drafts.DraftProperty, own: str | None
) -> Iterator[drafts.DraftAction]:
    """Yield what an entity can be told, if its announcement says where and how."""
    topic = entity.config.get("command_topic")
    if not isinstance(topic, str) or entity.component in ("sensor", "binary_sensor"):
        return
    if entity.config.get("command_template") is not None:
        return
    payload, expression = "Text", "value"
    if made.type is DataType.BOOLEAN:
        on = json.dumps(entity.text("payload_on", "ON"))
        off = json.dumps(entity.text("payload_off", "OFF"))
        expression = f"value ? {on} : {off}"
        if entity.config.get("schema") == "json":
            payload, expression = "JSON", f'{{"state": {expression}}}'
    bounds = {
        name: words.decimal(entity.config[key])
        for name, key in (("minimum", "min"), ("maximum", "max"))
        if entity.component == "number" and words.decimal(entity.config.get(key)) is not None
    }
    options = entity.config.get("options")
    notes = (f"takes {', '.join(map(str, options[:16]))}",) if isinstance(options, list) else ()
    yield drafts.DraftAction(made, _template(topic, own), payload, expression, bounds, notes)


def _availability(config: Mapping[str, Any], own: str | None) -> Json:
    """Return where an entity says whether its device is there; the first, if there are several."""
    listed = config.get("availability")
    first = _expanded(listed[0]) if isinstance(listed, list) and listed else None
    first = first or _expanded(listed)
    first = None if first is None else _based(first, config.get("~"))
    topic = config.get("availability_topic") if first is None else first.get("topic")
    words_of = config if first is None else first
    template = config.get("availability_template") if first is None else first.get("value_template")
    keys = _keys(template)
    if not isinstance(topic, str) or keys is None:
        return {}
    path = {"path": words.pointer(*keys)} if keys else {}
    return {
        "availability": {
            "topic": _template(topic, own),
            **path,
            "online": str(words_of.get("payload_available", "online")),
            "offline": str(words_of.get("payload_not_available", "offline")),
        }
    }
