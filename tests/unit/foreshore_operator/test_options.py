"""What the operator's command line makes of its options."""

from collections.abc import Coroutine
from typing import Any

import pytest
from typer.testing import CliRunner

from foreshore_operator import main, settings
from foreshore_planner import hysteresis

REQUIRED = ("run", "--serving-image=foreshore-edge:dev", "--identity=operator-0")
MIN_READY = "--returns-min-ready-seconds"
WINDOW = "--returns-stabilization-window-seconds"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[settings.OperatorSettings]:
    """The settings of every operator that was started; none of them runs."""
    chosen: list[settings.OperatorSettings] = []

    def run(operator: Coroutine[Any, Any, None]) -> None:
        chosen.append(operator.cr_frame.f_locals["chosen"])  # type: ignore[attr-defined]
        operator.close()

    monkeypatch.setattr("uvloop.run", run)
    return chosen


def test_what_moves_wait_for_that_nothing_forces_is_an_option(
    started: list[settings.OperatorSettings],
) -> None:
    for options in ((), (f"{MIN_READY}=15", f"{WINDOW}=120")):
        assert CliRunner().invoke(main.application, [*REQUIRED, *options]).exit_code == 0
    assert [chosen.stabilization for chosen in started] == [
        hysteresis.DEFAULT,
        hysteresis.Stabilization(min_ready=15.0, window=120.0),
    ]


@pytest.mark.parametrize("option", [MIN_READY, WINDOW])
@pytest.mark.parametrize("value", ["9", "3601", "nan", "10m"])
def test_a_wait_out_of_bounds_is_refused_with_its_option(
    started: list[settings.OperatorSettings], option: str, value: str
) -> None:
    result = CliRunner().invoke(main.application, [*REQUIRED, f"{option}={value}"])
    assert result.exit_code == 2
    assert option in result.output
    assert started == []
