"""What was made durable, spoilt: the agent starts, says so, and errs on the safe side."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.engine_rig import DEVICE, NODE, Rig
from foreshore_agent.engine import durable, effects, state
from foreshore_agent.engine.command import ledger

DEVICE_VALUE = f"{durable.DEVICE}{DEVICE}"


def restored(rig: Rig) -> state.State:
    who = state.Identity(NODE, rig.boot_id, "journal-1", "0.1.0")
    return durable.restore(who, dict(rig.values), rig.at)


def limited() -> Rig:
    rig = Rig((room.changed(room.policy(), spec__rateLimit={"minimumInterval": "10m"}),))
    rig.sample()
    assert len(rig.sent) == 1
    return rig


BROKEN = {
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe",
    "another shape": b"[1, 2]",
    "nothing in it": b"{}",
    "too deep": b"[" * 100_000,
    "a number of 400 digits": b'{"hq/room-301": {"epoch": 1' + b"0" * 400 + b"}}",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("name", [DEVICE_VALUE, durable.AUTHORITIES, "engine/policy/hq/x"])
def test_a_spoilt_value_does_not_keep_the_agent_from_starting(name: str, body: bytes) -> None:
    rig = limited()
    rig.values[name] = body
    rig.boot()
    rig.wait(4)
    rig.sample()
    assert len(rig.sent) == 1, "the limit still holds"


def test_a_spoilt_value_is_named_with_its_cause() -> None:
    rig = limited()
    rig.values[DEVICE_VALUE] = b"{"
    [(name, why)] = restored(rig).unreadable
    assert name == DEVICE_VALUE
    assert "JSONDecodeError" in why


def test_a_last_good_policy_that_is_no_longer_valid_is_named() -> None:
    rig = limited()
    rig.values["engine/policy/hq/x"] = b'[{"namespace": "hq"}]'
    [(name, why)] = restored(rig).unreadable
    assert name == "engine/policy/hq/x"
    assert "ValidationError" in why


def test_a_device_whose_ledger_is_spoilt_begins_with_its_limits_spent() -> None:
    rig = limited()
    rig.values[DEVICE_VALUE] = b"{}"
    rig.boot()
    rig.wait(598)
    rig.sample()
    assert len(rig.sent) == 1
    rig.wait(4)
    rig.sample()
    assert len(rig.sent) == 2


def test_a_spoilt_ledger_is_spent_also_after_a_second_restart() -> None:
    rig = limited()
    rig.values[DEVICE_VALUE] = b"{}"
    rig.boot()
    assert not restored(rig).unreadable, "what is spent is durable"
    rig.boot()
    rig.wait(4)
    rig.sample()
    assert len(rig.sent) == 1


def absurd(rig: Rig, **fields: Any) -> None:
    known = orjson.loads(rig.values[durable.AUTHORITIES])
    known[str(DEVICE)] |= fields
    rig.values[durable.AUTHORITIES] = orjson.dumps(known)


@pytest.mark.parametrize(
    "fields",
    [
        {"highest_seen": 1 << 62, "is_superseded": True},
        {"epoch": 1 << 62},
        {"epoch": "many"},
        {"renewed_at": "NaN"},
        {"renewed_at": 1e300},
        {"pending": [[1]]},
        {"node": None},
    ],
    ids=str,
)
def test_an_absurd_right_from_an_older_release_is_forgotten_and_the_hub_grants_anew(
    fields: dict[str, Any],
) -> None:
    rig = Rig()
    absurd(rig, **fields)
    assert [name for name, _ in restored(rig).unreadable] == [f"engine/authorities/{DEVICE}"]
    rig.boot()
    rig.wait(4)
    rig.sample()
    assert len(rig.sent) == 1


def test_a_hold_for_ever_ends() -> None:
    rig = limited()
    value = orjson.loads(rig.values[DEVICE_VALUE])
    value["held"] = {str(engine_rig.POLICY): 1e300}
    rig.values[DEVICE_VALUE] = orjson.dumps(value)
    [memory] = restored(rig).remembered.values()
    assert memory.held[engine_rig.POLICY] - rig.seconds <= durable.LONGEST_HOLD


CHANGES: dict[str, Callable[[state.DeviceState, state.Intent], state.DeviceState]] = {
    "a token taken": lambda device, intent: ledger.charged(device, intent.policy, 1234.5),
    "a token given back": ledger.refunded,
    "a hold": lambda device, intent: ledger.held(device, intent.policy, 9999.0),
    "the end of a hold": ledger.let_go,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_written_of_a_ledger_counts_no_more_after(
    change: Callable[[state.DeviceState, state.Intent], state.DeviceState],
) -> None:
    rig = Rig(hold=(effects.SendCommand,))
    rig.sample()
    device = rig.state.devices[DEVICE]
    [intent] = device.open.values()
    held = device._replace(held={intent.policy: 2000.0}, logged=b"")
    changed = change(durable.logged(held), intent)
    assert durable.logged(changed).logged == durable.logged(changed._replace(logged=b"")).logged
    assert durable.logged(changed).logged != durable.logged(held).logged


def of_the_last_release(phase: str) -> bytes:
    """What release 0.1.0 wrote of a device with an open command, field by field."""
    names = {"namespace": "hq", "uid": "", "digest": "sha256:" + "89" * 32}
    modes = {"mode": "Autonomous", "effectiveMode": "Autonomous"}
    return orjson.dumps(
        {
            "boot": "boot-1",
            "seconds": 1001.1,
            "actuators": {"airflow": [1001.1]},
            "policies": {"hq/ventilate-when-occupied": [1001.1]},
            "held": {"hq/ventilate-when-occupied": 1008.1} if phase == "Unknown" else {},
            "open": [
                {
                    "decision": "01900000-0000-7000-8000-000000001b58",
                    "policy": "hq/ventilate-when-occupied",
                    "action": "setAirflow",
                    "values": {"value": 300.0},
                    "properties": {"value": "airflow"},
                    "phase": phase,
                    "timeToLive": 5.0,
                    "settling": 2.0,
                    "issued": 1001.1,
                    "identity": {
                        "policy": {**names, "name": "ventilate", "generation": 0, **modes},
                        "device": {**names, "name": "room-301"},
                    },
                }
            ],
        }
    )


@pytest.mark.parametrize("phase", ["Intent", "Sending", "Answer", "Confirmation", "Unknown"])
def test_a_command_that_the_last_release_left_open_is_held_and_read_back(phase: str) -> None:
    rig = limited()
    rig.values[DEVICE_VALUE] = of_the_last_release(phase)
    rig.records.clear()
    rig.boot()
    assert not rig.state.unreadable
    assert rig.outcomes == ([] if phase == "Unknown" else [("Unknown", "Restarted")])
    rig.sample(**{**engine_rig.OCCUPIED, "airflow": 100.0})
    assert rig.counted[-1] == ("Suppressed", "ActuatorHeld")
    rig.sample(airflow=300.0)
    assert rig.outcomes[-1] == ("Confirmed", "ReadBackNear")
    assert len(rig.sent) == 1, "nothing is sent again"


@pytest.mark.parametrize("phase", ["Over", "Elsewhere"])
def test_a_command_in_a_state_that_cannot_be_open_is_set_aside(phase: str) -> None:
    rig = limited()
    rig.values[DEVICE_VALUE] = of_the_last_release(phase)
    assert [name for name, _ in restored(rig).unreadable] == [DEVICE_VALUE]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8), each, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_one_field_says_the_agent_starts(data: st.DataObject) -> None:
    rig = limited()
    name = data.draw(st.sampled_from([DEVICE_VALUE, durable.AUTHORITIES]))
    value = orjson.loads(rig.values[name])
    document = value[str(DEVICE)] if name == durable.AUTHORITIES else value
    field = data.draw(st.sampled_from(sorted(document)))
    document[field] = data.draw(json_values)
    try:
        rig.values[name] = orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        return
    rig.boot()
    rig.wait(2)
    rig.sample()
