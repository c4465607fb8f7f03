"""What the engine takes of samples, as rows: values, reasons, times, and what is no row."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import site_side
from foreshore_agent.capture import columns, intake
from foreshore_agent.devices.codecs import payload
from foreshore_agent.engine import events
from foreshore_agent.play import device, layout, marks, recording
from foreshore_api.reasons import telemetry
from foreshore_api.v1alpha1 import site
from foreshore_api.wire import assignment

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
DEVICE = site_side.speaking(
    "room",
    {"name": "co2", "unit": "[ppm]"},
    {"name": "people", "type": "Integer"},
    {"name": "window", "type": "Boolean", "retained": "State"},
    {"name": "mode", "type": "String"},
    {"name": "heater", "access": "Write"},
    availability={"topic": "{site}/{device}/there"},
)
OTHER = site_side.speaking("hall", {"name": "co2"})
KEY = events.Key("hq", "room")
SITE = assignment.AssignedSite(
    namespace="hq", name="hq", spec=site.SiteSpec(broker=site.Broker(host="h", port=1))
)


def at(seconds: float, *, set_by: float = 0.0) -> events.Instant:
    """A moment so many seconds after the start, on a machine whose clock was set meanwhile."""
    return events.Instant(START + timedelta(seconds=seconds + set_by), seconds, seconds)


class Bench:
    """An intake, and everything that it gave."""

    def __init__(self, *devices: assignment.AssignedDevice, **options: Any) -> None:
        self.devices = devices or (DEVICE,)
        self.columns = columns.arrange(self.devices)
        self.intake = intake.RowIntake(SITE, self.devices, self.columns, (at(0), "f"), **options)
        self.rows: list[intake.CapturedRow] = []
        self.take(events.TelemetryChanged(at(0), "f", connected=True))

    def take(self, event: events.Event) -> None:
        row = self.intake.take(event)
        if row is not None:
            self.rows.append(row)
            self.intake.tally.add(row)

    def sample(self, seconds: float, values: Mapping[str, events.Value], **fields: Any) -> None:
        when = fields.pop("at", at(seconds))
        self.take(events.Sample(when, "f", fields.pop("device", KEY), values, **fields))

    @property
    def body(self) -> bytes:
        return self.columns.header + b"".join(row.line for row in self.rows)

    @property
    def cells(self) -> list[list[str]]:
        """Every line, its time left out."""
        return [line[1:] for line in csv.reader(io.StringIO(self.body.decode(), newline=""))]


def test_a_row_says_what_its_sample_said_and_nothing_of_the_rest() -> None:
    bench = Bench()
    bench.sample(1.5, {"co2": 640.25, "window": True})
    bench.sample(2, {"people": 3, "mode": "eco, quiet"})
    assert bench.cells == [
        ["co2", "people", "window", "mode"],
        ["640.25", "", "true", ""],
        ["", "3", "", "eco, quiet"],
    ]
    assert bench.rows[0].line.startswith(b"2026-03-01T10:00:01.500000Z,")


def test_a_refused_value_says_why_and_is_counted() -> None:
    bench = Bench()
    bench.sample(1, {"people": 2}, refused={"co2": "NonFinite"})
    assert bench.cells[1] == ["!NonFinite", "2", "", ""]
    assert bench.intake.tally.refused == {("co2", "NonFinite"): 1}
    assert bench.intake.tally.cells == {"people": 1}


def test_a_sample_that_the_engine_takes_for_the_last_one_twice_is_no_row() -> None:
    bench = Bench()
    stamp = {"co2": START}
    bench.sample(1, {"co2": 640.0}, sampled_at=stamp)
    bench.sample(2, {"co2": 640.0}, sampled_at=stamp)
    bench.sample(3, {"co2": 630.0}, sampled_at={"co2": START - timedelta(seconds=9)})
    assert len(bench.rows) == 1
    assert bench.intake.tally.results == {"Accepted": 1, "Duplicate": 1, "Late": 1}


def test_a_kept_word_is_a_row_of_states_alone_and_only_before_a_live_one() -> None:
    bench = Bench()
    bench.sample(1, {"window": True}, retained=True)
    bench.sample(2, {"window": False})
    bench.sample(3, {"window": True}, retained=True)
    assert [row[2] for row in bench.cells[1:]] == ["true", "false"]
    assert bench.intake.tally.kept == 1
    assert bench.intake.tally.results["Retained"] == 1


def test_the_word_that_the_broker_kept_over_a_gap_is_a_row_again() -> None:
    bench = Bench()
    bench.sample(1, {"window": True}, retained=True)
    bench.take(events.TelemetryChanged(at(5), "f", connected=False))
    bench.take(events.TelemetryChanged(at(9), "f", connected=True))
    bench.sample(10, {"window": True}, retained=True)
    assert bench.intake.tally.kept == 2
    assert bench.intake.tally.gaps == 1
    assert bench.intake.tally.longest == (START + timedelta(seconds=5), 4.0)


def test_a_broker_that_was_never_there_made_no_gap_and_one_that_stays_away_does() -> None:
    arranged = columns.arrange([DEVICE])
    made = intake.RowIntake(SITE, (DEVICE,), arranged, (at(0), "f"))
    made.take(events.TelemetryChanged(at(1), "f", connected=False))
    made.take(events.TelemetryChanged(at(2), "f", connected=True))
    made.close(at(3))
    assert made.tally.gaps == 0
    made.take(events.TelemetryChanged(at(4), "f", connected=False))
    made.take(events.TelemetryChanged(at(5), "f", connected=False))
    made.close(at(10))
    assert (made.tally.gaps, made.tally.away) == (1, 6.0)


def test_that_a_device_went_is_counted() -> None:
    bench = Bench()
    bench.take(events.Availability(at(1), "f", KEY, is_online=False))
    bench.take(events.Availability(at(2), "f", KEY, is_online=True))
    assert bench.intake.tally.departures == {"hq/room": 1}


def test_times_of_receipt_are_never_equal_and_go_on_evenly_when_the_clock_is_set() -> None:
    bench = Bench()
    bench.sample(1, {"co2": 1.0})
    bench.sample(1, {"co2": 2.0})
    bench.sample(2, {"co2": 3.0}, at=at(2, set_by=-3600))
    assert [(row.time - START).total_seconds() for row in bench.rows] == [1, 1.000001, 2]
    assert bench.intake.tally.drift == -3600


def test_a_file_that_goes_on_has_later_times_than_its_last_row() -> None:
    after = START + timedelta(seconds=1.2)
    bench = Bench(after=after)
    bench.sample(1, {"co2": 1.0})
    assert bench.rows[0].time == after + timedelta(microseconds=1)


def test_a_device_whose_times_lie_before_the_last_row_of_a_file_that_goes_on_is_counted() -> None:
    """Regression: the first row was held against no other."""
    bench = Bench(after=START + timedelta(days=1), device_times=True)
    bench.sample(1, {"co2": 1.0}, sampled_at={"co2": START})
    assert bench.intake.tally.earlier == 1


def test_rows_may_have_the_devices_own_time() -> None:
    bench = Bench(device_times=True)
    own = START + timedelta(seconds=40)
    bench.sample(1, {"co2": 1.0}, sampled_at={"co2": own})
    bench.sample(2, {"people": 1})
    assert [row.time for row in bench.rows] == [own, START + timedelta(seconds=2)]
    assert (bench.intake.tally.device_times, bench.intake.tally.earlier) == (1, 1)


def test_another_device_has_columns_by_its_name() -> None:
    bench = Bench(DEVICE, OTHER)
    bench.sample(1, {"co2": 1.0})
    bench.sample(2, {"co2": 2.0}, device=events.Key("hq", "hall"))
    assert bench.cells == [
        ["co2", "people", "window", "mode", "hall.co2"],
        ["1", "", "", "", ""],
        ["", "", "", "", "2"],
    ]


def test_a_row_that_no_reader_would_take_has_no_texts() -> None:
    texts = [{"name": f"text{number}", "type": "String"} for number in range(64)]
    sensor = site_side.speaking("room", *texts)
    bench = Bench(sensor)
    bench.sample(1, {each["name"]: '"' * 1024 for each in texts})
    assert len(bench.rows[0].line) < layout.MAXIMUM_LINE
    assert set(bench.cells[1]) == {"!TooLong"}
    assert sum(bench.intake.tally.refused.values()) == 64


def test_properties_that_no_header_tells_apart_are_refused() -> None:
    sensor = site_side.speaking("room", {"name": "airFlow"}, {"name": "airflow"})
    with pytest.raises(columns.ColumnError, match="differ in capitals only"):
        columns.arrange([sensor])


def test_the_time_has_a_name_that_no_property_has() -> None:
    sensor = site_side.speaking("room", {"name": "time"}, {"name": "timeStamp"})
    assert columns.arrange([sensor]).header == b"date_time,time,timeStamp\n"


def test_a_device_that_reports_nothing_cannot_be_captured() -> None:
    sensor = site_side.speaking("room", {"name": "heater", "access": "Write"})
    with pytest.raises(columns.ColumnError, match="nothing can be captured"):
        columns.arrange([sensor])


FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "co2": FINITE,
        "people": st.integers(-(1 << 63), (1 << 63) - 1),
        "window": st.booleans(),
        "mode": TEXT.map(str.strip),
    },
).filter(bool)


@given(st.lists(VALUES, min_size=1, max_size=8))
def test_every_value_reads_back_from_its_cell(samples: list[dict[str, events.Value]]) -> None:
    bench = Bench()
    for number, values in enumerate(samples, start=1):
        bench.sample(number, values)
    names, *lines = bench.cells
    for values, line in zip(samples, lines, strict=True):
        cells = {name: cell for name, cell in zip(names, line, strict=True) if cell}
        assert cells.keys() == values.keys()
        for name, value in values.items():
            cell = cells[name]
            match value:
                case bool():
                    assert cell == str(value).lower()
                case str():
                    assert marks.text(cell) == value
                case _:
                    assert type(value)(cell) == value


REFUSALS = st.dictionaries(
    st.sampled_from(["co2", "people", "window", "mode"]),
    st.sampled_from([telemetry.WRONG_TYPE, telemetry.UNKNOWN_VALUE, telemetry.NON_FINITE]),
)


@given(st.lists(st.tuples(VALUES, REFUSALS), min_size=1, max_size=8))
def test_a_recording_of_it_reads_as_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory,
    samples: list[tuple[dict[str, events.Value], dict[str, str]]],
) -> None:
    path: Path = tmp_path_factory.mktemp("captured") / "room.csv"
    everything: dict[str, events.Value] = {"co2": 1.0, "people": 1, "window": True, "mode": "x"}
    told = [(everything, {}), *(({**values}, refused) for values, refused in samples)]
    for values, refused in told:
        for name in refused:
            values.pop(name, None)
    bench = Bench()
    for number, (values, refused) in enumerate(told, start=1):
        bench.sample(number, values, refused=refused)
    path.write_bytes(bench.body)
    wanted = recording.Wanted(time_column=bench.columns.time, needs_time=True)
    rows = list(recording.read(path, DEVICE.profile.properties, wanted))
    assert [row.time for row in rows] == [row.time for row in bench.rows]
    assert [row.values for row in rows] == [values for values, _ in told]
    reasons = [{name: cell.reason for name, cell in row.refused.items()} for row in rows]
    assert reasons == [refused for _, refused in told]


@given(REFUSALS.filter(bool))
def test_what_is_played_of_a_refused_value_is_refused_again(
    tmp_path_factory: pytest.TempPathFactory, refused: dict[str, str]
) -> None:
    path: Path = tmp_path_factory.mktemp("captured") / "room.csv"
    bench = Bench()
    bench.sample(1, {"co2": 1.0, "people": 1, "window": True, "mode": "x"})
    bench.sample(2, {}, refused=refused)
    path.write_bytes(bench.body)
    _, row = recording.read(path, DEVICE.profile.properties, recording.Wanted())
    (reading,) = payload.Decoder(DEVICE.profile.properties).decode(
        device.document(DEVICE.profile.properties, row.message, START)
    )
    assert reading.values == {}
    assert reading.refused.keys() == refused.keys()
