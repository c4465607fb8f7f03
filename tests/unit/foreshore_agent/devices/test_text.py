"""The bare value as text: what is a number, a Boolean, nothing, and what is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.devices.codecs import leaf, text
from foreshore_agent.devices.codecs.leaf import PayloadError
from foreshore_api.v1alpha1 import DataType, telemetry

POINT, COMMA = telemetry.DecimalMark


def number(written: str, mark: telemetry.DecimalMark = POINT, suffix: str | None = None) -> object:
    return text.typed(written, DataType.NUMBER, mark, suffix)


def refusal(written: str, kind: DataType = DataType.NUMBER, **more: telemetry.DecimalMark) -> str:
    with pytest.raises(PayloadError) as caught:
        text.typed(written, kind, more.get("mark", POINT), None)
    return caught.value.reason


@pytest.mark.parametrize(
    ("written", "value"),
    [("21.5", "21.5"), ("47", "47"), ("-3", "-3"), ("+.5", "0.5"), ("5.", "5"), ("1e3", "1000")],
)
def test_digits_are_a_number(written: str, value: str) -> None:
    assert number(written) == Decimal(value)


@pytest.mark.parametrize("written", ["21.5 °C", "21.5°C", " 21.5  °C "])
def test_a_declared_suffix_may_follow(written: str) -> None:
    assert number(written, suffix="°C") == Decimal("21.5")
    assert number("21.5", suffix="°C") == Decimal("21.5")


def test_a_decimal_comma_is_read_where_it_is_declared_and_nowhere_else() -> None:
    assert number("21,5", COMMA) == Decimal("21.5")
    assert refusal("21,5") == "WrongType"


@pytest.mark.parametrize("written", ["1.234,5", "1,234,5", "1.5"])
def test_with_a_comma_a_point_may_group_thousands_so_it_is_refused(written: str) -> None:
    assert refusal(written, mark=COMMA) == "WrongType"


@pytest.mark.parametrize("written", ["nan", "NaN", "-inf", "Infinity", "INF"])
def test_what_is_not_finite_is_said_to_be_so(written: str) -> None:
    assert refusal(written) == "NonFinite"


@pytest.mark.parametrize(
    "written",
    ["ON", "21.5 °C", "1_000", "0x10", "١٢", "1 000", "1\x000", "\ufeff1", "--1", "e5", "1e99999"],
)
def test_what_two_readers_could_take_for_two_numbers_is_none(written: str) -> None:
    assert refusal(written) == "WrongType"


def test_a_long_number_is_refused() -> None:
    assert refusal("1" * 1025) == "TooLong"


@pytest.mark.parametrize("written", ["true", "on", "1", "ON", "True", " On "])
def test_words_of_a_boolean(written: str) -> None:
    assert text.typed(written, DataType.BOOLEAN, POINT, None) is True


@pytest.mark.parametrize("written", ["false", "off", "0", "OFF", "False"])
def test_words_of_the_other_boolean(written: str) -> None:
    assert text.typed(written, DataType.BOOLEAN, POINT, None) is False


@pytest.mark.parametrize("written", ["2", "maybe", "nan", "1.0"])
def test_another_word_is_no_boolean(written: str) -> None:
    assert refusal(written, DataType.BOOLEAN) == "WrongType"


@pytest.mark.parametrize("written", ["", "  ", "null"])
def test_silence(written: str) -> None:
    assert text.is_silent(written)


def test_a_message_is_read_without_the_space_around_it() -> None:
    assert text.read(" 21,5 °C\r\n".encode()) == "21,5 °C"


@pytest.mark.parametrize(
    ("body", "reason"), [(b"\xff", "InvalidUTF8"), (b"x" * (leaf.MAXIMUM_BYTES + 1), "TooLarge")]
)
def test_a_message_that_is_no_text_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        text.read(body)
    assert caught.value.reason == reason


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_a_program_prints_is_read_as_it_is(value: float) -> None:
    written = number(repr(value))
    assert isinstance(written, Decimal)
    assert float(written) == value
    assert number(repr(value).replace(".", ","), COMMA) == written
