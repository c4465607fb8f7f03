"""A cell that live telemetry would refuse is refused in rehearsal too, and decides the same."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import engine_rig, rehearsed, room
from foreshore_agent.devices.codecs import formats, payload
from foreshore_agent.devices.mqtt import channel, topics, translate
from foreshore_agent.engine import events
from foreshore_agent.play import cells, recording
from foreshore_agent.play import device as played_device
from foreshore_agent.rehearse import driver
from foreshore_api.v1alpha1 import deviceprofile, telemetry

POLICY = room.changed(
    room.policy(),
    spec__modelRef=None,
    spec__inference=None,
    spec__record={"routineSampleRate": "1"},
    spec__rules=[{"name": "due", "effect": "Permit", "reason": "Due", "expression": "co2 > 500.0"}],
)
SHADOWED = room.changed(POLICY, spec__mode="Shadow")
"""Decides without changing what the device is set to."""
HEADER = "time,co2,light,temperature"
GOOD = "900,400,21"


def recorded(tmp_path: Path, *cells: str) -> recording.Recording:
    path = tmp_path / "recording.csv"
    lines = (f"2026-03-01T10:{minute:02}:00Z,{row}" for minute, row in enumerate(cells))
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    properties = rehearsed.staged(POLICY).profile.properties
    return recording.read(path, properties, recording.Wanted(needs_time=True))


async def rehearse(tmp_path: Path, *cells: str, policy: room.Json = POLICY) -> rehearsed.Rehearsed:
    return await rehearsed.rehearse(recorded(tmp_path, *cells), policy)


def decided(decisions: list[dict[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    """Verdict, reason, and the problem of each input, of every decision."""
    return [
        (
            each["verdict"]["result"],
            each["verdict"]["reason"],
            {line["name"]: line.get("problem") for line in each["inputs"]},
        )
        for each in decisions
    ]


def live(*messages: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """What the agent decides when these documents arrive, a minute between two."""
    rig = engine_rig.Rig((SHADOWED,))
    profile = rig.state.devices[engine_rig.DEVICE].assigned.profile
    route = topics.DeviceRoute(engine_rig.DEVICE, payload.Decoder(profile.properties))
    for document in messages:
        body = orjson.dumps(document)
        message = channel.MqttMessage("t", body, retained=False, redelivered=False)
        contents = formats.Contents(body)
        samples = translate.telemetry(
            message, contents, route, events.EventStamp(lambda: rig.at, lambda: "fresh")
        )
        for sample in samples if isinstance(samples, list) else ():
            rig.feed(
                events.Sample,
                device=engine_rig.DEVICE,
                values=sample.values,
                refused=sample.refused,
            )
        rig.seconds += 60
    return decided(rig.decisions)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("450", 450),
        ("broken", "broken"),
        ("ERR", "ERR"),
        ("21.5 ppm", "21.5 ppm"),
        ("1_000", "1_000"),
        ("٣", "٣"),
        ("0x1F", "0x1F"),
        ("true", "true"),
        ("", None),
        ("NA", None),
        ("null", None),
        ("NaN", None),
        ("99999", 99999),
        ("-1", -1),
    ],
)
async def test_a_row_decides_as_the_same_message_does_on_a_live_device(
    tmp_path: Path, cell: str, value: Any
) -> None:
    """Regression: an empty or broken cell was decided on the value before it, and commanded."""
    done = await rehearse(tmp_path, GOOD, f"{cell},400,21", policy=SHADOWED)
    good = {"co2": 900, "light": 400, "temperature": 21, **done.device.values}
    assert decided(done.of("decision")) == live(good, {**good, "co2": value})


async def test_a_text_where_a_number_belongs_is_never_commanded_on(tmp_path: Path) -> None:
    done = await rehearse(tmp_path, GOOD, "broken,400,21", GOOD)
    assert [verdict for _, verdict in done.verdicts] == ["Commanded", "NotApplicable", "Commanded"]
    assert done.device.tally.commands == {"Accepted": 2}
    assert done.score.summary({}, None).skipped["cells not readable"] == 1


async def test_a_row_of_nothing_but_broken_cells_is_a_no_on_record(tmp_path: Path) -> None:
    done = await rehearse(tmp_path, GOOD, "broken,broken,broken")
    assert decided(done.of("decision"))[-1][:2] == ("NotApplicable", "InputRefused")


async def test_an_empty_cell_says_nothing_and_is_counted(tmp_path: Path) -> None:
    done = await rehearse(tmp_path, GOOD, ",,", GOOD)
    assert [verdict for _, verdict in done.verdicts] == ["Commanded", "Commanded"]
    assert done.score.summary({}, None).skipped["cells empty"] == 3


async def test_the_reason_is_the_cells_own(tmp_path: Path) -> None:
    rows = recorded(tmp_path, GOOD, "inf,400,21")
    last = list(rows)[-1]
    assert last.refused == {"co2": ("inf", "NonFinite")}
    assert last.message["co2"] == "inf"


def test_a_played_device_says_what_stands_in_the_cell(tmp_path: Path) -> None:
    """Over MQTT the agent refuses it itself, and null ages."""
    _, last = recorded(tmp_path, GOOD, "broken,,21")
    staged = rehearsed.staged(POLICY)
    device = played_device.PlayedDevice(staged, played_device.DeviceLog(None))
    document = orjson.loads(device.measure(last.message, rehearsed.START))
    assert document == {"co2": "broken", "light": None, "temperature": 21.0, **device.values}
    (reading,) = payload.Decoder(driver.as_recorded(staged.profile).properties).decode(
        orjson.dumps(document)
    )
    assert reading.refused == {"co2": "WrongType"}
    assert reading.silent == ["light"]


@given(
    st.one_of(
        st.text(max_size=30),
        st.from_regex(r"\s?[+-]?\d{1,20}(\.\d{0,20})?([eE][+-]?\d{1,4})?\s?"),
        st.floats().map(repr),
    ),
    st.sampled_from(deviceprofile.DataType),
)
def test_a_cell_is_read_as_a_message_that_is_the_same_text(
    text: str, kind: deviceprofile.DataType
) -> None:
    declared = deviceprofile.Property(name="value", type=kind, payload=telemetry.Payload.TEXT)
    if text.strip().casefold() in {*cells.SILENT, "yes", "t", "1.0", "no", "f", "0.0"}:
        return  # words of files, which no device says
    (live,) = payload.Decoder([declared], is_alone=True).decode(text.encode()) or (None,)
    assert live is not None
    reader = cells.CellReader(declared, ",")
    if live.refused:
        with pytest.raises(cells.PayloadError) as refused:
            reader.read(text)
        assert live.refused == {"value": refused.value.reason}
    else:
        value = reader.read(text)
        assert live.values == {"value": value}
        assert type(live.values["value"]) is type(value)
