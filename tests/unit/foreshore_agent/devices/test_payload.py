"""Telemetry read strictly: recorded payloads, and every way a document can lie."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.devices.codecs import document, leaf, payload
from foreshore_api.v1alpha1 import deviceprofile

Property = deviceprofile.Property
Type = deviceprofile.DataType

ROOM = payload.Decoder(
    (
        Property(name="co2", path="/values/co2", timestamp_path="/time"),
        Property(name="airflow"),
        Property(name="people", type=Type.INTEGER),
        Property(name="windowOpen", type=Type.BOOLEAN),
        Property(name="state", type=Type.STRING),
    )
)


def decoded(body: bytes, decoder: payload.Decoder = ROOM) -> payload.DecodedTelemetry:
    """The one sample of a message, or an empty one."""
    [sample] = decoder.decode(body) or [payload.DecodedTelemetry.empty()]
    return sample


def refusal(body: bytes) -> str:
    with pytest.raises(leaf.PayloadError) as caught:
        ROOM.decode(body)
    return caught.value.reason


def test_a_recorded_document_of_every_type() -> None:
    body = (
        b'{"time":"2026-03-01T10:00:00.5+01:00","values":{"co2":749.2,"other":{"deep":[1]}},'
        b'"airflow":300,"people":2,"windowOpen":false,"state":"Auto"}'
    )
    reading = decoded(body)
    assert reading.values == {
        "co2": 749.2,
        "airflow": 300.0,
        "people": 2,
        "windowOpen": False,
        "state": "Auto",
    }
    assert isinstance(reading.values["airflow"], float)
    assert reading.refused == {}
    assert reading.sampled_at == {"co2": datetime(2026, 3, 1, 9, 0, 0, 500000, UTC)}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "InvalidJSON"),
        (b'{"co2":', "InvalidJSON"),
        (b"{'co2': 1}", "InvalidJSON"),
        (b'{"co2": 1} trailing', "InvalidJSON"),
        (b"\xef\xbb\xbf{}", "InvalidJSON"),
        (b'{"co2": "\xff"}', "InvalidUTF8"),
        (b'{"airflow": nan}', "InvalidJSON"),
        (b'{"airflow": NaN, "airflow": 1}', "DuplicateKey"),
        (b'{"a":' * 9 + b"NaN" + b"}" * 9, "TooDeep"),
        (b'{"airflow": 1, "airflow": 2}', "DuplicateKey"),
        (b'{"values": {"co2": 1, "co2": 2}}', "DuplicateKey"),
        (b"[1, 2]", "NotAnObject"),
        (b"12", "NotAnObject"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "TooDeep"),
        (b'{"a":' + b"[" * 20000 + b"]" * 20000 + b"}", "TooDeep"),
        (b'{"a":"' + b"x" * leaf.MAXIMUM_BYTES + b'"}', "TooLarge"),
        (b'{"a":' + b"9" * 5000 + b"}", "InvalidJSON"),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else value,
)
def test_a_document_that_lies_is_refused_as_a_whole(body: bytes, reason: str) -> None:
    assert refusal(body) == reason


def test_eight_levels_are_read() -> None:
    assert decoded(b'{"a":' * 8 + b"1" + b"}" * 8).values == {}


@pytest.mark.parametrize(
    ("body", "name", "reason"),
    [
        (b'{"airflow": NaN}', "airflow", "NonFinite"),
        (b'{"airflow": Infinity}', "airflow", "NonFinite"),
        (b'{"airflow": -Infinity}', "airflow", "NonFinite"),
        (b'{"airflow": 1e999}', "airflow", "NonFinite"),
        (b'{"people": NaN}', "people", "NonFinite"),
        (b'{"windowOpen": NaN}', "windowOpen", "WrongType"),
        (b'{"state": NaN}', "state", "WrongType"),
        (b'{"values":{"co2":NaN}}', "co2", "NonFinite"),
        (b'{"airflow": ' + b"9" * 400 + b"}", "airflow", "NonFinite"),
        (b'{"airflow": "300"}', "airflow", "WrongType"),
        (b'{"airflow": true}', "airflow", "WrongType"),
        (b'{"people": 1.5}', "people", "WrongType"),
        (b'{"people": 9223372036854775808}', "people", "OutOfRange"),
        (b'{"windowOpen": 1}', "windowOpen", "WrongType"),
        (b'{"state": 1}', "state", "WrongType"),
        (b'{"state": "' + b"x" * 1025 + b'"}', "state", "TooLong"),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else value,
)
def test_one_bad_property_is_refused_alone(body: bytes, name: str, reason: str) -> None:
    reading = decoded(body[:-1] + b',"extra":1}')
    assert reading.refused == {name: reason}
    assert name not in reading.values
    assert name not in reading.sampled_at


def test_a_whole_number_written_as_a_fraction_is_an_integer() -> None:
    assert decoded(b'{"people": 2.0}').values == {"people": 2}


def test_unix_seconds_are_a_time() -> None:
    reading = decoded(b'{"values":{"co2":1},"time":1767225600.25}')
    assert reading.sampled_at["co2"] == datetime(2026, 1, 1, 0, 0, 0, 250000, UTC)


def test_pointers_unescape_and_count_elements_where_the_profile_says_so() -> None:
    fixed = payload.Decoder((Property(name="a", path="/x~1y/1/~0z", position="Fixed"),))
    assert decoded(b'{"x/y":[0,{"~z":7}]}', fixed).values == {"a": 7.0}
    assert decoded(b'{"x/y":[0]}', fixed).values == {}
    assert decoded(b'{"x/y":5}', fixed).values == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_but_a_reading_or_a_reason_comes_out(body: bytes) -> None:
    try:
        reading = decoded(body)
    except leaf.PayloadError:
        return
    assert not set(reading.values) & set(reading.refused)


@given(st.floats(), st.floats(), st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_a_number_that_is_not_finite_costs_its_property_and_no_other(
    airflow: float, co2: float, other: dict[str, Any]
) -> None:
    """What stands elsewhere in the document, finite or not, costs nothing."""
    body = json.dumps({"airflow": airflow, "values": {"co2": co2, "other": other}}).encode()
    reading = decoded(body)
    given = {"airflow": airflow, "co2": co2}
    assert reading.values == {
        name: number for name, number in given.items() if math.isfinite(number)
    }
    assert reading.refused == {
        name: "NonFinite" for name, number in given.items() if not math.isfinite(number)
    }


def outcome(read: Callable[[bytes], Any], body: bytes) -> str:
    """What became of a body, spelled so that 0.0, -0.0 and 0 differ."""
    try:
        return repr(read(body))
    except leaf.PayloadError as error:
        return error.reason


NUMBERS = st.floats() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-0.0, 5e-324, 1e23])
KEYS = st.sampled_from(["co2", "co2 ", "a", "", "é", '"', "\\"])
DOCUMENTS = st.recursive(
    NUMBERS | st.text(max_size=4) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(DOCUMENTS, st.booleans(), st.integers(0, 9))
def test_the_fast_reader_reads_what_the_strict_one_does(
    content: Any, is_ascii: bool, depth: int
) -> None:
    for _ in range(depth):
        content = {"a": content}
    body = json.dumps(content, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    assert outcome(document.read, body) == outcome(document._read_strictly, body)


@given(st.lists(st.tuples(KEYS, NUMBERS | st.text(max_size=3)), max_size=4), st.booleans())
def test_no_key_that_stands_twice_is_lost(pairs: list[tuple[str, Any]], is_nested: bool) -> None:
    body = "{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs) + "}"
    body = f'{{"values": [{body}]}}' if is_nested else body
    is_double = len({key for key, _ in pairs}) < len(pairs)
    result = outcome(document.read, body.encode())
    assert (result == "DuplicateKey") is is_double
    assert result == outcome(document._read_strictly, body.encode())


@pytest.mark.parametrize("digits", [20, 60, 400])
def test_a_longer_integer_than_any_of_ours_is_read_as_before(digits: int) -> None:
    body = b'{"airflow": %s, "people": %s}' % ((b"9" * digits,) * 2)
    reading, strict = decoded(body), document._read_strictly(body)
    assert reading.refused["people"] in ("OutOfRange", "NonFinite")
    if digits < 400:
        assert reading.values == {"airflow": float(strict["airflow"])}
    else:
        assert reading.refused["airflow"] == "NonFinite"


def test_a_document_that_is_too_deep_and_without_a_text_is_refused() -> None:
    assert refusal(b'{"a":' + b"[" * 8 + b"]" * 8 + b"}") == "TooDeep"
    assert document.read(b'{"a":' + b"[" * 7 + b"]" * 7 + b"}")
