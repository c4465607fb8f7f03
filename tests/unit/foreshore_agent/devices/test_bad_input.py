"""Every kind of message with every defect: what becomes of it, and that nothing else does.

The table is generated: a kind renders a value into a message, a defect spoils value or message. The
verdict is what the engine gets (a value, a reason of one property) or what is counted.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from builders import site_side
from builders.site_wire import SITE, Wire
from foreshore_agent.devices.codecs import leaf
from foreshore_agent.engine import events


class Kind(NamedTuple):
    """A shape of messages, with the property that is read from it."""

    fields: dict[str, Any]
    render: Callable[[str], str]
    """Puts JSON of a value into a message."""
    is_json: bool = True
    is_alone: bool = True


OTHER = {"name": "other"}
KINDS = {
    "object": Kind({}, lambda value: f'{{"value": {value}, "more": "m"}}', is_alone=False),
    "own topic": Kind({"topic": "hq/a"}, lambda value: f'{{"value": {value}, "more": "m"}}'),
    "bare": Kind({"topic": "hq/a"}, lambda value: value),
    "text": Kind({"payload": "Text"}, lambda value: value.strip('"'), is_json=False),
    "pick": Kind(
        {"pick": {"array": "/v", "key": "id", "equals": "a", "value": "v"}},
        lambda value: f'{{"v": [{{"id": "b", "v": 9}}, {{"id": "a", "v": {value}}}]}}',
    ),
    "batch": Kind({}, lambda value: f'[{{"value": {value}}}]'),
}


class Verdict(NamedTuple):
    """What became of a message."""

    values: tuple[Any, ...] = ()
    refused: str | None = None
    """Of the property; it is counted as well."""
    counted: str | None = None
    """Of the message as a whole."""


def good(value: float = 1.5) -> Verdict:
    return Verdict((value,))


def wire_of(kind: Kind) -> Wire:
    wire = Wire()
    properties = [{"name": "value", **kind.fields}] + ([] if kind.is_alone else [OTHER])
    wire.devices.assign(SITE, [site_side.speaking("a", *properties)])
    return wire


def verdict(wire: Wire, body: bytes, **flags: bool) -> Verdict:
    wire.arrived.clear()
    wire.counts.clear()
    wire.measure("hq/a", body, **flags)
    samples = [sample for sample in wire.arrived if isinstance(sample, events.Sample)]
    values = tuple(sample.values["value"] for sample in samples if "value" in sample.values)
    reasons = {sample.refused["value"] for sample in samples if "value" in sample.refused}
    [counted] = set(wire.counts) or {None}
    if reasons:
        assert reasons == {counted}
        return Verdict(values, counted)
    return Verdict(values, None, counted)


# A value that is none, in a message that is one.

VALUES: dict[str, tuple[str, str, str]] = {
    # value as JSON: the reason in a document, the reason of a text
    "wrong type": ('"hot"', "WrongType", "WrongType"),
    "a list": ("[1, 2]", "WrongType", "WrongType"),
    "NaN": ("NaN", "NonFinite", "NonFinite"),
    "Infinity": ("-Infinity", "NonFinite", "NonFinite"),
    "1e999": ("1e999", "NonFinite", "NonFinite"),
    "a huge integer": ("9" * 400, "NonFinite", "NonFinite"),
    "a number as text": ('"1.5"', "WrongType", ""),
    "hostile text": ('"\\u0000\\u001b[2J$(reboot)"', "WrongType", "WrongType"),
    "a lone surrogate": ('"\\ud800"', "WrongType", "WrongType"),
    "too long": ('"' + "x" * 2000 + '"', "WrongType", "TooLong"),
    "a boolean": ("true", "WrongType", "WrongType"),
}


@pytest.mark.parametrize("defect", VALUES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_is_none_is_the_reason_of_its_property(kind: str, defect: str) -> None:
    written, in_document, in_text = VALUES[defect]
    row = KINDS[kind]
    if kind in ("bare", "batch") and defect == "a list":
        pytest.skip("there it is a batch, or a sample that is none")
    reason = in_document if row.is_json else in_text
    expected = Verdict(refused=reason) if reason else good()
    assert verdict(wire_of(row), row.render(written).encode()) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_null_says_nothing(kind: str) -> None:
    row = KINDS[kind]
    assert verdict(wire_of(row), row.render("null").encode()) == Verdict(counted="Null")


# A message that is none.


def spoilt(row: Kind) -> dict[str, tuple[bytes, str, str]]:
    """By defect: the message, why it is no JSON, and why no text."""
    message = row.render("1.5").encode()
    deep = b"[" * 9 + b"1" + b"]" * 9
    return {
        "truncated": (message[:-1] if len(message) > 3 else b'"1.', "InvalidJSON", "WrongType"),
        "too large": (message + b" " * leaf.MAXIMUM_BYTES, "TooLarge", "TooLarge"),
        "too deep": (b'{"value": ' + deep + b"}", "TooDeep", "WrongType"),
        "very deep": (b"[" * 30_000, "TooDeep", "TooLong"),
        "no UTF-8": (message + b"\xff", "InvalidUTF8", "InvalidUTF8"),
        "a byte order mark": (b"\xef\xbb\xbf" + message, "InvalidJSON", "WrongType"),
        "NUL": (message + b"\x00", "InvalidJSON", "WrongType"),
        "a key twice": (b'{"value": 1, "value": 2}', "DuplicateKey", "WrongType"),
        "many digits": (b"1" * 5000, "InvalidJSON", "TooLong"),
        "UTF-16": ("1.5".encode("utf-16"), "InvalidUTF8", "InvalidUTF8"),
    }


@pytest.mark.parametrize("defect", spoilt(KINDS["object"]))
@pytest.mark.parametrize("kind", KINDS)
def test_a_message_that_is_none_is_refused_as_a_whole(kind: str, defect: str) -> None:
    row = KINDS[kind]
    body, in_json, in_text = spoilt(row)[defect]
    reason = in_json if row.is_json else in_text
    expected = Verdict(refused=reason) if row.is_alone else Verdict(counted=reason)
    assert verdict(wire_of(row), body) == expected


@pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if row.is_json])
def test_an_array_of_ten_thousand_elements_is_read_or_refused_at_once(kind: str) -> None:
    body = ("[" + ",".join(["1"] * 10_000) + "]").encode()
    row = KINDS[kind]
    assert verdict(wire_of(row), body) in (
        Verdict(refused="TooMany"), Verdict(counted="TooMany"), Verdict(counted="NoProperty")
    )  # fmt: skip


# A message that is well formed and comes as it should not.


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_broker_kept_says_nothing_about_now(kind: str) -> None:
    row = KINDS[kind]
    body = row.render("1.5").encode()
    assert verdict(wire_of(row), body, retained=True) == Verdict(counted="Retained")


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_that_is_sent_again_is_marked_for_the_engine(kind: str) -> None:
    wire = wire_of(KINDS[kind])
    wire.measure("hq/a", KINDS[kind].render("1.5").encode(), redelivered=True)
    [sample] = wire.arrived
    assert isinstance(sample, events.Sample)
    assert sample.redelivered


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_message_is_read_as_if_nothing_had_been(kind: str) -> None:
    row = KINDS[kind]
    wire = wire_of(row)
    for body, _, _ in spoilt(row).values():
        verdict(wire, body)
    assert verdict(wire, row.render("1.5").encode()) == good()
    assert json.loads(json.dumps(wire.counts)) == []
