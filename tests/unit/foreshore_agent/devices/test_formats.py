"""A message is decoded once, whoever reads it; another format is a module and a row."""

import json
from collections import Counter

import pytest

from builders import site_side, toy_codec
from builders.site_wire import SITE, Wire
from foreshore_agent.devices.codecs import document, formats
from foreshore_agent.engine import events
from foreshore_api.v1alpha1 import deviceprofile


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a message was decoded, by format."""
    counts = Counter[str]()

    def counted(row: formats.Format) -> formats.Format:
        def read(body: bytes) -> object:
            counts[row.name] += 1
            return row.read(body)

        return row._replace(read=read)

    monkeypatch.setattr(formats, "FORMATS", tuple(map(counted, formats.FORMATS)))
    return counts


def samples(wire: Wire) -> list[events.Sample]:
    return [arrival for arrival in wire.arrived if isinstance(arrival, events.Sample)]


def test_sixty_four_properties_on_one_topic_cost_one_decode(reads: Counter[str]) -> None:
    names = [f"p{number}" for number in range(64)]
    wire = Wire()
    properties = [{"name": name, "path": f"/deep/{name}"} for name in names]
    wire.devices.assign(SITE, [site_side.speaking("a", *properties)])
    wire.measure("hq/a", json.dumps({"deep": dict.fromkeys(names, 1.5)}).encode())
    [sample] = samples(wire)
    assert sample.values == dict.fromkeys(names, 1.5)
    assert reads == {"JSON": 1}


def test_devices_of_different_profiles_on_one_topic_share_the_decode(reads: Counter[str]) -> None:
    """A gateway's topic: a decode for each of its devices would be what the loop does all day."""
    wire = Wire()
    assigned = [
        site_side.speaking(
            f"d{number}",
            {"name": f"v{number % 7}", "pick": {"key": "id", "equals": number, "value": "v"}},
            telemetryTopic="{site}/all",
        )
        for number in range(50)
    ]
    wire.devices.assign(SITE, assigned)
    wire.measure("hq/all", json.dumps([{"id": n, "v": n} for n in range(50)]).encode())
    assert [sample.values[f"v{n % 7}"] for n, sample in enumerate(samples(wire))] == list(range(50))
    assert reads == {"JSON": 1}


def test_a_message_that_is_none_is_tried_once_for_all(reads: Counter[str]) -> None:
    wire = Wire()
    two = ({"name": "a"}, {"name": "b"})
    wire.devices.assign(
        SITE, [site_side.speaking(f"d{n}", *two, telemetryTopic="{site}/all") for n in range(5)]
    )
    wire.measure("hq/all", b"{")
    assert wire.counts == ["InvalidJSON"] * 5
    assert reads == {"JSON": 1}


def test_a_topic_of_two_formats_is_decoded_once_in_each(reads: Counter[str]) -> None:
    wire = Wire()
    texts = [
        {"name": f"t{number}", "type": "String", "topic": "{site}/all", "payload": "Text"}
        for number in range(3)
    ]
    numbers = [{"name": f"n{number}", "topic": "{site}/all"} for number in range(3)]
    wire.devices.assign(SITE, [site_side.speaking("a", *texts, *numbers)])
    wire.measure("hq/all", b"5")
    text, number = samples(wire)
    assert text.values == {"t0": "5", "t1": "5", "t2": "5"}
    assert number.values == {"n0": 5.0, "n1": 5.0, "n2": 5.0}
    assert reads == {"Text": 1, "JSON": 1}


def test_another_format_is_a_module_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMATS", (toy_codec.FORMAT, *formats.FORMATS))
    wire = Wire()
    toy = {"topic": "{site}/{device}/toy"}
    wire.devices.assign(
        SITE, [site_side.speaking("a", {"name": "co2", **toy}, {"name": "light", **toy})]
    )
    wire.measure("hq/a/toy", b"co2=700;light=3")
    wire.measure("hq/a/toy", b"co2")
    [sample] = samples(wire)
    assert sample.values == {"co2": 700.0, "light": 3.0}
    assert wire.counts == ["NotToy"]


def test_every_property_has_a_format() -> None:
    assert formats.choose(deviceprofile.Property(name="co2")).read is document.read
