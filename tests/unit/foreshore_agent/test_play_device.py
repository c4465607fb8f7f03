"""What a played device remembers from its own log when it is started again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foreshore_agent.play import device, machine
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import command

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROFILE = deviceprofile.DeviceProfileSpec(
    mqtt=deviceprofile.Mqtt(telemetry_topic="t"), properties=(deviceprofile.Property(name="co2"),)
)


def order(number: int = 1, *, holder: str = "edge-1", epoch: int = 10) -> command.Command:
    return command.Command(
        command_id=f"d{number}/1",
        action="setAirflow",
        input={"value": 300.0},
        holder=holder,
        epoch=epoch,
        priority=12,
        issued_at=NOW,
        not_after=NOW + timedelta(seconds=2),
    )


def logged(path: Path, given: command.Command, result: str, reason: str | None = None) -> None:
    """Write the line of one command, as the device does."""
    facts = {"result": result} if reason is None else {"result": result, "reason": reason}
    log = device.DeviceLog(path)
    document = given.model_dump(mode="json", by_alias=True, exclude_none=True)
    log.write("Command", NOW, **facts, command=document)
    log.close()


def remembered(path: Path) -> machine.DeviceMemory:
    log = device.DeviceLog(path)
    log.close()
    return log.remembered


def take(state: machine.DeviceMemory, given: command.Command) -> machine.TakenCommand:
    return machine.Machine(PROFILE).take(state, given.encode(), NOW)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (order(2, holder="edge-2"), "OtherHolder"),
        (order(2, holder="edge-2", epoch=9), "LowerEpoch"),
    ],
    ids=["of the same epoch", "of an older one"],
)
def test_a_holder_that_it_refused_is_not_its_holder_after_a_restart(
    tmp_path: Path, refused: command.Command, reason: str
) -> None:
    log = tmp_path / "device.jsonl"
    logged(log, order(), "Accepted")
    logged(log, refused, "Rejected", reason)
    state = remembered(log)
    assert (state.epoch, state.holder) == (10, "edge-1")
    assert take(state, order(3, holder="edge-2")).reason == "OtherHolder"


def test_a_log_whose_tail_holds_nothing_but_a_refused_holder_names_nobody(tmp_path: Path) -> None:
    log = tmp_path / "device.jsonl"
    logged(log, order(2, holder="edge-2"), "Rejected", "OtherHolder")
    assert remembered(log) == machine.DeviceMemory()


def test_a_command_accepted_before_a_restart_hears_its_first_answer_and_does_nothing(
    tmp_path: Path,
) -> None:
    log = tmp_path / "device.jsonl"
    logged(log, order(), "Accepted")
    logged(log, order(), "Done")
    taken = take(remembered(log), order())
    assert taken.reason == "Duplicate"
    assert taken.changes == {}
    assert taken.answer is not None
    assert taken.answer.result is command.Result.ACCEPTED


def test_a_higher_epoch_counts_as_seen_also_when_its_command_was_refused_for_its_value(
    tmp_path: Path,
) -> None:
    log = tmp_path / "device.jsonl"
    logged(log, order(2, holder="edge-2", epoch=11), "Rejected", "OutOfBounds")
    assert take(remembered(log), order()).reason == "LowerEpoch"
