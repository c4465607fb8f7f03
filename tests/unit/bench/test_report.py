"""A bench takes a quarter of an hour: what goes wrong in one part must cost no other."""

import contextlib
import os
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from bench import __main__ as bench
from bench import kills, latency, pairs, subjects
from harness import mosquitto, process


def test_a_report_that_fails_is_said_and_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Path, **__: int) -> NoReturn:
        raise RuntimeError("the disk stood still")

    monkeypatch.setattr(kills, "report", fail)
    assert bench.report(tmp_path, ["kills"]) == ["kills"]
    assert "kills failed: the disk stood still" in capsys.readouterr().err


class Subject:
    """A subject that runs, and whose measurement fails."""

    name = "fails"

    @contextlib.contextmanager
    def run(self, folder: Path, port: int) -> Iterator[subjects.Running]:
        yield subjects.Running(os.getpid(), latency.OF_THE_ECHO, 0.0)


def test_a_subject_whose_device_fails_has_no_figures_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> NoReturn:
        raise process.CommandError(["device"], "exit code 1", "no broker")

    broker = contextlib.nullcontext(types.SimpleNamespace(port=1))
    monkeypatch.setattr(mosquitto, "Broker", lambda *_, **__: broker)
    monkeypatch.setattr(latency, "trips", fail)
    result = pairs.measure(tmp_path, (Subject(),), pairs.Plan(1, {100: 10}))["fails"]
    assert result.rounds == []
    assert "no broker" in result.cause
