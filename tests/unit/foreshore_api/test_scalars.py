"""Durations, decimals, quantities, names: what is read, what is refused with a word of advice."""

import datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from foreshore_api import scalars


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("200ms", 0.2), ("1.5s", 1.5), ("1h30m", 5400.0), ("0s", 0.0), ("1m1s1ms", 61.001)],
)
def test_a_duration_in_seconds(written: str, seconds: float) -> None:
    assert scalars.seconds(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    ["", "5", "s", "1 s", "-1s", "1d", "1S", "1h 30m", "1us", "1.s", "1s\n", "1" * 16 + "s"],
)
def test_what_is_no_duration(written: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        scalars.seconds(written)


@pytest.mark.parametrize(("written", "value"), [(600, 600.0), ("81.5", 81.5), ("-0.25", -0.25)])
def test_a_decimal_as_a_number(written: int | str, value: float) -> None:
    assert scalars.number(written) == value


@pytest.mark.parametrize("written", ["NaN", "inf", "1e3", "1,5", "+1", ".5", "", " 1", "٣"])
def test_a_decimal_is_plain_digits_and_always_finite(written: str) -> None:
    with pytest.raises(ValueError, match="is not a decimal"):
        scalars.number(written)


def test_a_float_from_yaml_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(ValidationError, match=r'write "81\.5" in quotes'):
        TypeAdapter(scalars.Decimal).validate_python(81.5)


def test_yes_is_no_number() -> None:
    with pytest.raises(ValidationError, match="integer or a string"):
        TypeAdapter(scalars.Decimal).validate_python(True)


@given(st.integers(-(10**15), 10**15), st.integers(0, 999))
def test_digits_survive_the_way_through_text(whole: int, part: int) -> None:
    written = f"{whole}.{part:03d}"
    assert scalars.number(TypeAdapter(scalars.Decimal).validate_python(written)) == float(written)


@pytest.mark.parametrize(
    ("written", "value"),
    [("100m", 0.1), ("128Mi", 134217728.0), (2, 2.0), ("1.5", 1.5), ("2k", 2000.0)],
)
def test_a_quantity_in_base_units(written: int | str, value: float) -> None:
    assert scalars.quantity(written) == pytest.approx(value)


@pytest.mark.parametrize("written", ["-1", "1e3", "1Kb", "Mi", "1 Mi"])
def test_what_is_no_quantity(written: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        scalars.quantity(written)


@pytest.mark.parametrize(
    ("written", "type_", "value"),
    [
        (120, "Number", 120.0),
        ("81.5", "Number", 81.5),
        ("7", "Integer", 7),
        ("true", "Boolean", True),
        ("false", "Boolean", False),
        ("Open", "String", "Open"),
    ],
)
def test_a_literal_as_its_declared_type(written: int | str, type_: str, value: object) -> None:
    read = scalars.literal(written, type_)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("written", "type_"),
    [("1.5", "Integer"), ("yes", "Boolean"), (1, "Boolean"), (1, "String"), ("x", "Number"),
     ("1", "Complex")],
)  # fmt: skip
def test_a_literal_of_another_type_is_refused(written: int | str, type_: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|invalid literal"):
        scalars.literal(written, type_)


@pytest.mark.parametrize("word", ["ON", "off", "yes", "true"])
def test_a_word_that_yaml_takes_for_a_boolean_is_refused_with_the_remedy(word: str) -> None:
    """What a device says is often ON, and `from: ON` is the Boolean true to YAML."""
    with pytest.raises(ValidationError, match="the word in quotes"):
        TypeAdapter(scalars.Literal).validate_python(yaml.safe_load(word))


@pytest.mark.parametrize("name", ["co2", "co2Slope", "x1"])
def test_a_name_that_expressions_read(name: str) -> None:
    assert TypeAdapter(scalars.Identifier).validate_python(name) == name


@pytest.mark.parametrize("name", ["CO2", "co-2", "co_2", "2co", "in", "raised", "parameters", ""])
def test_a_name_that_expressions_could_not_read(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(scalars.Identifier).validate_python(name)


@pytest.mark.parametrize("topic", ["{site}/{device}/telemetry", "a", "a/b c"])
def test_a_topic(topic: str) -> None:
    assert TypeAdapter(scalars.Topic).validate_python(topic) == topic


@pytest.mark.parametrize(
    "topic", ["", "a/#", "+/a", "{room}/a", "{site/a", "a}", "a\nuser b", "a\x00", "a\r"]
)
def test_a_topic_without_wildcards_and_with_the_two_placeholders_only(topic: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(scalars.Topic).validate_python(topic)


@pytest.mark.parametrize("pointer", ["/co2", "/values/0/a~1b", "/a~0b"])
def test_a_json_pointer(pointer: str) -> None:
    assert TypeAdapter(scalars.JsonPointer).validate_python(pointer) == pointer


@pytest.mark.parametrize("pointer", ["", "co2", "/a~2"])
def test_what_is_no_json_pointer(pointer: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(scalars.JsonPointer).validate_python(pointer)


def test_bounds_of_a_duration_hold_without_an_api_server() -> None:
    assert TypeAdapter(scalars.PositiveDuration).validate_python("1ms") == "1ms"
    with pytest.raises(ValidationError, match=r"0s is not between 1ms and 8760h"):
        TypeAdapter(scalars.PositiveDuration).validate_python("0s")


def test_a_moment_is_written_as_kubernetes_writes_it_and_read_back() -> None:
    east = datetime.timezone(datetime.timedelta(hours=2))
    moment = datetime.datetime(2026, 3, 1, 12, 0, 0, 999, tzinfo=east)
    assert scalars.timestamp(moment) == "2026-03-01T10:00:00Z"
    assert scalars.instant("2026-03-01T10:00:00Z") == moment.replace(microsecond=0)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="names no time zone"):
        scalars.instant("2026-03-01T10:00:00")
