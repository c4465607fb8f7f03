"""Commands on the wire."""

from datetime import UTC, datetime

import pytest

from foreshore_api.wire import command


@pytest.mark.parametrize("value", [True, 1, 1.5, "Open"])
def test_an_inputs_type_survives_the_wire(value: command.Scalar) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    sent = command.Command(
        command_id="a/1",
        action="set",
        input={"value": value},
        holder="edge-1",
        epoch=1,
        priority=12,
        issued_at=now,
        not_after=now,
    )
    read = command.Command.decode(sent.encode()).input["value"]
    assert (read, type(read)) == (value, type(value))
