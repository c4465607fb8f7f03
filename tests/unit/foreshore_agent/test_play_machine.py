"""What a played device takes and refuses: the fence that failover is tested against."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.play import machine
from foreshore_api.v1alpha1 import deviceprofile, protection
from foreshore_api.wire import command

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def profile(*, with_safe_state: bool = True) -> deviceprofile.DeviceProfileSpec:
    call = protection.ActionCall(
        action="setAirflow", input=(protection.ActionValue(name="value", value=120),)
    )
    return deviceprofile.DeviceProfileSpec(
        mqtt=deviceprofile.Mqtt(telemetry_topic="t", command_topic="c", acknowledgement_topic="a"),
        properties=(
            deviceprofile.Property(name="co2"),
            deviceprofile.Property(
                name="airflow", access=deviceprofile.Access.READ_WRITE, settling_time="2s"
            ),
        ),
        actions=(
            deviceprofile.Action(
                name="setAirflow",
                idempotency=protection.Idempotency.IDEMPOTENT,
                input=(
                    deviceprofile.ActionInput(
                        name="value", property="airflow", minimum=50, maximum=800
                    ),
                ),
            ),
        ),
        safe_state=call if with_safe_state else None,
    )


def order(**changes: object) -> command.Command:
    given = {
        "command_id": "d/1",
        "action": "setAirflow",
        "input": {"value": 300.0},
        "holder": "edge-1",
        "epoch": 10,
        "priority": 12,
        "issued_at": NOW,
        "not_after": NOW + timedelta(seconds=2),
    }
    return command.Command.model_validate({**given, **changes})


def take(
    state: machine.DeviceMemory, given: command.Command, now: datetime = NOW, patience: float = 1.0
) -> machine.TakenCommand:
    return machine.Machine(profile(), patience).take(state, given.encode(), now)


SEEN = take(machine.DeviceMemory(), order()).state


def test_a_good_command_is_accepted_and_settles() -> None:
    taken = take(machine.DeviceMemory(), order())
    assert taken.result is command.Result.ACCEPTED
    assert taken.changes == {"airflow": 300.0}
    assert taken.settling == 2.0
    assert taken.answer == command.Acknowledgement(
        command_id="d/1", result=command.Result.ACCEPTED, time=NOW
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (order(command_id="d/2", epoch=9), "LowerEpoch"),
        (order(command_id="d/2", holder="edge-2"), "OtherHolder"),
        (order(command_id="d/2", holder="edge-2", epoch=9), "LowerEpoch"),
        (order(command_id="d/2", not_after=NOW - timedelta(microseconds=1)), "Expired"),
        (order(command_id="d/2", action="explode"), "UnknownAction"),
        (order(command_id="d/2", input={}), "InvalidInput"),
        (order(command_id="d/2", input={"value": "high"}), "InvalidInput"),
        (order(command_id="d/2", input={"value": 300.0, "extra": 1}), "InvalidInput"),
        (order(command_id="d/2", input={"value": 801}), "OutOfBounds"),
        (order(command_id="d/2", input={"value": 49.9}), "OutOfBounds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals(given: command.Command, reason: str) -> None:
    taken = take(SEEN, given)
    assert (taken.result, taken.reason) == (command.Result.REJECTED, reason)
    assert taken.changes == {}
    assert taken.answer is not None
    assert (taken.answer.result, taken.answer.reason) == (command.Result.REJECTED, reason)


def test_a_repeated_command_does_nothing_and_hears_its_first_answer() -> None:
    taken = take(SEEN, order(attempt=2))
    assert (taken.result, taken.reason) == (command.Result.REJECTED, "Duplicate")
    assert taken.changes == {}
    assert taken.answer is not None
    assert taken.answer.result is command.Result.ACCEPTED


def test_the_successor_of_the_epoch_is_obeyed_and_the_old_holder_never_again() -> None:
    taken = take(SEEN, order(command_id="d/2", holder="edge-2", epoch=11))
    assert taken.result is command.Result.ACCEPTED
    late = take(taken.state, order(command_id="d/3"))
    assert late.reason == "LowerEpoch"


def test_a_higher_epoch_counts_as_seen_even_if_its_command_came_too_late() -> None:
    expired = order(command_id="d/2", holder="edge-2", epoch=11, not_after=NOW - timedelta(1))
    assert take(take(SEEN, expired).state, order(command_id="d/3")).reason == "LowerEpoch"


def test_on_a_clock_a_thousand_times_as_fast_the_network_is_not_too_slow() -> None:
    late = NOW + timedelta(seconds=1999)
    assert take(machine.DeviceMemory(), order(), late, 1000.0).result is command.Result.ACCEPTED
    assert (
        take(machine.DeviceMemory(), order(), late + timedelta(seconds=2), 1000.0).reason
        == "Expired"
    )


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[]", b'{"commandId": NaN}'])
def test_what_is_no_command_is_not_answered(body: bytes) -> None:
    taken = machine.Machine(profile()).take(machine.DeviceMemory(), body, NOW)
    assert (taken.result, taken.reason, taken.answer) == (None, "Malformed", None)


def test_values_begin_at_the_safe_state_else_at_the_least_allowed() -> None:
    assert machine.Machine(profile()).initial() == {"airflow": 120.0}
    assert machine.Machine(profile(with_safe_state=False)).initial() == {"airflow": 50.0}


def test_the_oldest_keys_are_forgotten_first() -> None:
    state = machine.DeviceMemory()
    for number in range(machine.REMEMBERED + 2):
        state = take(state, order(command_id=f"d/{number}")).state
    assert len(state.answers) == machine.REMEMBERED
    assert "d/1" not in state.answers


ORDERS = st.builds(
    lambda key, holder, epoch: order(command_id=f"d/{key}", holder=holder, epoch=epoch),
    st.integers(0, 3),
    st.sampled_from(["edge-1", "edge-2", "edge-3"]),
    st.integers(0, 4),
)


@given(st.lists(ORDERS, max_size=30))
def test_obeyed_epochs_never_fall_each_has_one_holder_and_no_key_acts_twice(
    orders: list[command.Command],
) -> None:
    state, obeyed = machine.DeviceMemory(), list[command.Command]()
    for each in orders:
        taken = take(state, each)
        state = taken.state
        if taken.result is command.Result.ACCEPTED:
            obeyed.append(each)
    epochs = [each.epoch for each in obeyed]
    assert epochs == sorted(epochs)
    assert len({each.command_id for each in obeyed}) == len(obeyed)
    holders: dict[int, str] = {}
    for each in obeyed:
        assert holders.setdefault(each.epoch, each.holder) == each.holder
