"""What a profile says of reading that can only give silence or a wrong number is not accepted."""

from typing import Any

import pytest

from builders import room, stock
from builders.room import Json, changed
from foreshore_api import resources, v1alpha1
from foreshore_decision.policy import acceptance


def problems(profile: Json, device: Json | None = None) -> dict[str, str]:
    """What is wrong with a profile, or with a device of it that is given, by path."""
    shared = resources.parse(profile, strict=True)
    assert isinstance(shared, v1alpha1.DeviceProfile)
    if device is None:
        noted = acceptance.of_profile(shared)
    else:
        own = resources.parse(device, strict=True)
        assert isinstance(own, v1alpha1.Device)
        noted = acceptance.of_device(shared, own)
    return {problem.path: problem.message for problem in noted}


def test_stock_devices_are_accepted_as_they_are() -> None:
    assert problems(stock.plug()) == {}
    assert problems(stock.plug(), stock.friendly()) == {}
    assert problems(stock.gateway()) == {}
    assert problems(room.profile(), room.device()) == {}


def of(**fields: Any) -> Json:
    """A profile of one property."""
    spec = {
        "mqtt": {"telemetryTopic": "t"},
        "properties": [{"name": "co2", **fields}],
    }
    return room.resource("DeviceProfile", "hq", "one", spec)


TEXT = {"payload": "Text"}
SPOKEN = {"type": "String", "payload": "Text"}
READING = {
    "a mapped value of another type": (
        of(type="Boolean", values=[{"from": "ON", "to": "on"}]),
        ("spec.properties[co2].values[ON].to", "is not a Boolean"),
    ),
    "a mapped value that the property does not believe": (
        of(maximum=1, values=[{"from": "ON", "to": 2}]),
        ("spec.properties[co2].values[ON].to", "outside its bounds"),
    ),
    "a value that means two things": (
        of(values=[{"from": 1, "to": 1}, {"from": "1", "to": 2}]),
        ("spec.properties[co2].values[1]", "keep one"),
    ),
    "a mapped value that is scaled once more": (
        of(values=[{"from": "ON", "to": 1}], offset=1),
        ("spec.properties[co2].offset", "leave it out"),
    ),
    "a scale that makes all values one": (
        of(scale="0.0"),
        ("spec.properties[co2].scale", "leave it out"),
    ),
    "a decimal comma of a word": (
        of(**SPOKEN, decimal="Comma"),
        ("spec.properties[co2].decimal", "a String has none"),
    ),
    "a suffix of a word": (
        of(**SPOKEN, suffix="!"),
        ("spec.properties[co2].suffix", "a String has none"),
    ),
    "a suffix of a number that is none in text": (
        of(suffix="ppm"),
        ("spec.properties[co2].suffix", "say payload Text"),
    ),
    "a suffix of words that are mapped": (
        of(**TEXT, suffix="ppm", values=[{"from": "low", "to": 1}]),
        ("spec.properties[co2].suffix", "leave it out"),
    ),
    "a quality beside a bare value": (
        of(**TEXT, quality={"path": "q", "good": ["ok"]}),
        ("spec.properties[co2].quality", "nothing beside it"),
    ),
    "a time beside a bare value": (
        of(**TEXT, time={"path": "t"}),
        ("spec.properties[co2].time", "nothing beside it"),
    ),
    "a timestamp beside a bare value": (
        of(**TEXT, timestampPath="/t"),
        ("spec.properties[co2].timestampPath", "nothing beside it"),
    ),
    "a batch of bare values": (
        of(**TEXT, batch="/samples"),
        ("spec.properties[co2].batch", "nothing beside it"),
    ),
    "a place that is fixed nowhere": (
        of(path="/values/co2", position="Fixed"),
        ("spec.properties[co2].position", "leave it out"),
    ),
    "a time zone that is none": (
        of(time={"path": "t", "zone": "Europe/Bruxelles"}),
        ("spec.properties[co2].time.zone", "write its IANA name"),
    ),
    "a folder of time zones": (
        of(time={"path": "t", "zone": "Europe"}),
        ("spec.properties[co2].time.zone", "write its IANA name"),
    ),
    "a time zone of a count of seconds": (
        of(time={"path": "t", "format": "Unix", "zone": "Europe/Brussels"}),
        ("spec.properties[co2].time.zone", "leave it out"),
    ),
    "a time zone of all that does not exist": (
        changed(of(), spec__mqtt__time={"path": "t", "zone": "Mars/Olympus"}),
        ("spec.mqtt.time.zone", "write its IANA name"),
    ),
    "a topic that is a value and a document": (
        changed(
            of(), spec__properties=[{"name": "co2"}, {"name": "door", "type": "String", **TEXT}]
        ),
        ("spec.properties[door].payload", "a topic of its own"),
    ),
    "a topic of the agents": (
        of(topic="foreshore/v1/x"),
        ("spec.properties[co2].topic", "agents speak"),
    ),
    "a topic of the broker": (
        changed(of(), spec__mqtt__availability={"topic": "$SYS/broker/uptime"}),
        ("spec.mqtt.availability.topic", "the broker's own"),
    ),
    "a device that hears its own command": (
        changed(of(), spec__mqtt__commandTopic="t"),
        ("spec.mqtt.telemetryTopic", "give each its own"),
    ),
    "a device that hears what it is advised": (
        changed(of(topic="t"), spec__mqtt__adviceTopic="t"),
        ("spec.properties[co2].topic", "give each its own"),
    ),
    "an echo that comes too late": (
        changed(stock.plug(), spec__properties=[
            {"name": "state", "type": "Boolean", "settlingTime": "3s", "access": "ReadWrite"},
        ]),
        ("spec.actions[switch].acknowledgement.echo.within", "settling time"),
    ),
    "an echo of what nobody reports": (
        changed(stock.plug(), spec__properties=[
            {"name": "state", "type": "Boolean", "access": "Write"},
        ]),
        ("spec.actions[switch].acknowledgement.echo.property", "nothing reports it"),
    ),
    "an echo of another type": (
        changed(stock.plug(), spec__properties=[{"name": "state", "type": "String"}]),
        ("spec.actions[switch].acknowledgement.echo.property", "state is a String"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READING)
def test_a_profile_is_not_accepted_for(name: str) -> None:
    document, (path, message) = READING[name]
    noted = problems(document)
    assert set(noted) == {path}
    assert message in noted[path]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"path": "/data/0"}, id="a member that is called 0"),
        pytest.param({"path": "/data/0", "position": "Fixed"}, id="the first element"),
        pytest.param(
            {"pick": {"key": "/0", "equals": 1, "value": "v"}, "position": "Fixed"},
            id="an element that names itself first",
        ),
        pytest.param({**TEXT, "decimal": "Comma", "suffix": "°C"}, id="a number in a text"),
        pytest.param({**TEXT, "path": "/v", "batch": "/all"}, id="a text in a batch"),
        pytest.param({"time": {"path": "t", "zone": "Asia/Tokyo"}}, id="a time without a zone"),
    ],
)
def test_what_can_be_meant_is_accepted(fields: Json) -> None:
    assert problems(of(**fields)) == {}


def test_a_topic_of_documents_and_texts_in_documents_is_one_kind_of_message() -> None:
    both = [{"name": "co2", "path": "/co2"}, {"name": "door", **SPOKEN, "path": "/door"}]
    assert problems(changed(of(), spec__properties=both)) == {}


def test_a_device_is_asked_once_for_a_parameter_that_many_topics_need() -> None:
    lacking = changed(stock.friendly(), spec__parameters=None)
    noted = problems(stock.plug(), lacking)
    assert set(noted) == {"spec.parameters[friendlyName]"}
    assert "add it to spec.parameters of the Device" in noted["spec.parameters[friendlyName]"]


@pytest.mark.parametrize("called", ["a/+", "#", "$share", "a\x00", "a\x9f", "\ufffe"])
def test_a_parameter_that_would_be_the_topics_of_others_is_not_accepted(called: str) -> None:
    assert set(problems(stock.plug(), stock.friendly(called=called))) == {
        "spec.parameters[friendlyName]"
    }


def test_a_device_whose_name_makes_a_topic_that_of_the_agents_is_not_accepted() -> None:
    named = changed(of(), spec__mqtt__telemetryTopic="{device}/v1/hq/beat/x")
    device = changed(room.device(name="foreshore"), spec__profileRef={"name": "one"})
    assert set(problems(named, device)) == {"spec.mqtt.telemetryTopic"}


def test_a_device_that_ignores_what_its_profile_fences_by_is_not_accepted() -> None:
    fenced = changed(room.profile(), spec__guards__fence="Device")
    loose = changed(room.device(), spec__guards={"duplicates": "Ignored"})
    assert set(problems(fenced, loose)) == {"spec.guards.duplicates"}
    assert problems(room.profile(), loose) == {}, "it is capped, and says so"


def test_a_device_does_not_read_back_what_an_echo_confirms() -> None:
    confirmation = {"property": "power", "expression": "difference <= 5", "timeout": "5s"}
    device = changed(stock.friendly(), spec__confirmation=confirmation)
    assert set(problems(stock.plug(), device)) == {"spec.confirmation"}


def test_a_message_lists_the_first_and_counts_the_rest() -> None:
    many = [{"name": name, "scale": 0, "time": {"path": "t", "zone": "No/Where"}} for name in "abc"]
    document = changed(of(), spec__properties=many)
    shared = resources.parse(document, strict=True)
    assert isinstance(shared, v1alpha1.DeviceProfile)
    assert acceptance.message(acceptance.of_profile(shared)).endswith("; and 3 more")
