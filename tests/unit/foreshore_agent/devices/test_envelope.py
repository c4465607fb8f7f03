"""Commands and advice as a device reads them, held to the wire's documents."""

import math
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import engine_rig
from builders.engine_rig import Rig
from foreshore_agent.devices.codecs import envelope
from foreshore_agent.engine import effects
from foreshore_api.wire import command

VALUES = st.dictionaries(
    st.sampled_from(("value", "mode", "on")),
    st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text("abc", max_size=8),
)


def a_command(**fields: Any) -> effects.SendCommand:
    rest: dict[str, Any] = {
        "command_id": "d/1",
        "attempt": 1,
        "policy": engine_rig.POLICY,
        "device": engine_rig.DEVICE,
        "action": "setAirflow",
        "values": {"value": 300.0},
        "holder": "edge-1",
        "epoch": 7,
        "priority": 8,
        "issued_at": engine_rig.START,
        "not_after": engine_rig.START + timedelta(seconds=5),
        "time_to_live": 5.0,
        "deadline": 100.0,
    }
    return effects.SendCommand(**{**rest, **fields})


@given(VALUES, st.integers(0, 2**53), st.integers(1, 16), st.floats(0.001, 86_400))
def test_a_device_reads_what_the_engine_meant(
    values: dict[str, Any], epoch: int, priority: int, seconds: float
) -> None:
    not_after = engine_rig.START + timedelta(seconds=seconds)
    meant = a_command(values=values, epoch=epoch, priority=priority, not_after=not_after)
    read = command.Command.decode(envelope.encode(meant))
    assert dict(read.input) == values
    assert [type(each) for each in read.input.values()] == [type(each) for each in values.values()]
    assert (read.command_id, read.attempt, read.action) == ("d/1", 1, "setAirflow")
    assert (read.holder, read.epoch, read.priority) == ("edge-1", epoch, priority)
    assert (read.issued_at, read.not_after) == (engine_rig.START, not_after)


def test_the_record_of_a_command_is_what_the_device_gets() -> None:
    rig = Rig()
    rig.sample()
    [sent] = [each for each in rig.seen if isinstance(each, effects.SendCommand)]
    assert rig.decisions[0]["command"] == orjson.loads(envelope.encode(sent))


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_json_has_not_is_no_command_that_a_device_takes(number: float) -> None:
    body = envelope.encode(a_command(values={"value": number}))
    with pytest.raises(ValueError, match="value"):
        command.Command.decode(body)


def test_advice_is_what_the_wire_says() -> None:
    advised = effects.Advise(
        engine_rig.POLICY,
        engine_rig.DEVICE,
        "setAirflow",
        {"value": 300.0},
        "RoomOccupied",
        "d",
        engine_rig.START,
    )
    read = command.Advice.decode(envelope.advice(advised))
    assert read == command.Advice(
        decision_id="d",
        policy=str(engine_rig.POLICY),
        action="setAirflow",
        input={"value": 300.0},
        reason="RoomOccupied",
        time=engine_rig.START,
    )
