"""Commands in a device's own dialect, as the bytes that it gets; and what it answers."""

import math
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import plug, site_side
from foreshore_agent.devices.codecs import dialect, leaf, registry, reply
from foreshore_api import v1alpha1
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import commanding, deviceprofile
from foreshore_decision.policy import templates
from foreshore_decision.policy.problems import Problems


def told(expression: str, value: Any = True, form: str = "JSON", kind: str = "Boolean") -> bytes:
    [declared] = plug.profile()["spec"]["actions"]
    declared["input"] = [{"name": "value", "type": kind}]
    declared["mqtt"] = {**plug.TOLD, "payload": form, "expression": expression}
    declared["acknowledgement"] = {"type": "None"}
    action = deviceprofile.Action.model_validate(declared)
    problems = Problems()
    message = templates.message(action, {"topic": "12"}, problems, "")
    assert problems.noted == []
    codec = registry.choose(v1alpha1.DeviceProfile.read(plug.profile()).spec, action)
    assert codec.name == form
    return codec.encode(site_side.command()._replace(values={"value": value}), message)


@pytest.mark.parametrize(
    ("expression", "value", "kind", "body"),
    [
        ('{"state": value ? "ON" : "OFF"}', True, "Boolean", b'{"state":"ON"}'),
        ('{"id": int(parameters.topic), "on": value}', False, "Boolean", b'{"id":12,"on":false}'),
        ("[value]", 21.5, "Number", b"[21.5]"),
        ('{"t": value}', 21.0, "Number", b'{"t":21}'),
        ('{"t": value}', 21, "Integer", b'{"t":21}'),
        ('{"t": value}', -0.0, "Number", b'{"t":0}'),
        ("value", 'a "b"', "String", b'"a \\"b\\""'),
    ],
)
def test_json_is_the_value_of_the_expression(
    expression: str, value: Any, kind: str, body: bytes
) -> None:
    assert told(expression, value, kind=kind) == body


@pytest.mark.parametrize(
    ("expression", "value", "kind", "body"),
    [
        ('value ? "ON" : "OFF"', True, "Boolean", b"ON"),
        ("value", True, "Boolean", b"true"),
        ("value", False, "Boolean", b"false"),
        ("value", 21.0, "Number", b"21"),
        ("value", 21.5, "Number", b"21.5"),
        ("value", 0.00001, "Number", b"0.00001"),
        ("value", 1e22, "Number", b"10000000000000000000000"),
        ("value", -7, "Integer", b"-7"),
        ('"#" + value', "fröhlich", "String", "#fröhlich".encode()),
    ],
)
def test_text_is_the_bare_value(expression: str, value: Any, kind: str, body: bytes) -> None:
    assert told(expression, value, "Text", kind) == body


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_number_in_both(value: float) -> None:
    body = told("value", value, "Text", "Number")
    assert float(body) == value
    assert b"e" not in body.lower()
    assert Decimal(body.decode()) == Decimal(repr(value)) or value.is_integer()
    [written] = orjson.loads(told("[value]", value, kind="Number"))
    assert float(written) == value


def test_what_has_no_value_or_is_too_long_has_no_message() -> None:
    with pytest.raises(dialect.MessageError):
        told("[value / 0.0]", 1.0, kind="Number")
    with pytest.raises(dialect.MessageError, match="4096 are allowed"):
        told("[value, value, value, value, value]", "x" * 1000, kind="String")
    with pytest.raises(dialect.MessageError, match="no message"):
        dialect.document(site_side.command(), None)


def spec(form: str = "JSON", kind: str = "String", path: str | None = "POWER") -> Any:
    return commanding.ReplySpec.model_validate(
        {
            "topic": "t",
            "payload": form,
            "path": path,
            "type": kind,
            "match": "true",
            "within": "1s",
        }
    )


@pytest.mark.parametrize(
    ("body", "declared", "value"),
    [
        (b'{"POWER":"ON"}', spec(), "ON"),
        (b'{"a":{"b":3}}', spec(kind="Integer", path="/a/b"), 3),
        (b'{"POWER":true}', spec(kind="Boolean"), True),
        (b" ON\n", spec("Text"), "ON"),
        (b"21.5", spec("Text", "Number"), 21.5),
        (b"21", spec("Text", "Integer"), 21),
        (b"true", spec("Text", "Boolean"), True),
    ],
)
def test_a_reply_is_read_as_its_declared_type(body: bytes, declared: Any, value: Any) -> None:
    assert reply.read(body, declared) == value


@pytest.mark.parametrize(
    ("body", "declared", "reason"),
    [
        (b'{"other":"ON"}', spec(), reasons.WRONG_TYPE),
        (b'{"POWER":1}', spec(), reasons.WRONG_TYPE),
        (b'{"POWER":', spec(), reasons.INVALID_JSON),
        (b"\xff", spec("Text"), reasons.INVALID_UTF8),
        (b"x" * 2000, spec("Text"), reasons.TOO_LARGE),
        (b"nan", spec("Text", "Number"), reasons.NON_FINITE),
        (b"1_0", spec("Text", "Integer"), reasons.WRONG_TYPE),
        (b"yes", spec("Text", "Boolean"), reasons.WRONG_TYPE),
        (b"9" * 30, spec("Text", "Integer"), reasons.OUT_OF_RANGE),
    ],
)
def test_what_is_no_reply_is_refused(body: bytes, declared: Any, reason: str) -> None:
    with pytest.raises(leaf.PayloadError) as error:
        reply.read(body, declared)
    assert error.value.reason == reason


@given(st.binary(max_size=64), st.sampled_from(["JSON", "Text"]), st.sampled_from(list("NIBS")))
def test_no_reply_ends_the_process(body: bytes, form: str, kind: str) -> None:
    kinds = {"N": "Number", "I": "Integer", "B": "Boolean", "S": "String"}
    try:
        value = reply.read(body, spec(form, kinds[kind]))
    except leaf.PayloadError:
        return
    assert not isinstance(value, float) or math.isfinite(value)
