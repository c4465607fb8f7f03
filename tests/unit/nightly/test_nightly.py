"""`make nightly`: a part that fails stops no other, and is named."""

import importlib
import sys
from typing import Any

import pytest

nightly: Any = importlib.import_module("nightly.__main__")

FINE = nightly.Part("fine", "ends well", ("-c", ""), hours=1)
BROKEN = nightly.Part("broken", "ends with 3", ("-c", "raise SystemExit(3)"), hours=1)
ENDLESS = nightly.Part("endless", "never ends", ("-c", "import signal; signal.pause()"), hours=0)


def test_a_part_that_fails_or_does_not_end_stops_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert nightly.main([], (BROKEN, ENDLESS, FINE)) == 1
    lines = capsys.readouterr().out.splitlines()
    summary = {line.split()[0]: line for line in lines[-4:]}
    assert summary["broken"].endswith("FAILED: ended with 3")
    assert summary["endless"].endswith("FAILED: not ended after 0 s")
    assert summary["fine"].endswith("passed")


def test_parts_are_chosen_by_name() -> None:
    assert nightly.main(["--only", "fine"], (BROKEN, FINE)) == 0
    assert nightly.main(["--only", "none"], (BROKEN, FINE)) == 2


def test_every_part_is_there() -> None:
    """A row that names a file which is gone would fail every night, and nobody by day."""
    for part in nightly.PARTS:
        (script,) = [
            word for word in part.arguments if word.startswith("tests/") or "builders." in word
        ]
        path = part.folder / script.replace("builders.mutated_models", "builders/mutated_models.py")
        assert path.exists(), f"{part.name}: {sys.executable} {script}"
