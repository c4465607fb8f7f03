"""The command line as a person meets it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(*words: str) -> tuple[int, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FORESHORE_")}
    done = subprocess.run(
        [sys.executable, "-m", "foreshore_agent.main", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    return done.returncode, done.stdout + done.stderr


def test_help_names_every_verb() -> None:
    code, said = run("--help")
    assert code == 0
    for verb in ("run", "play", "rehearse", "records", "why", "verify"):
        assert f" {verb} " in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param((), "--resources", id="no source"),
        pytest.param(("--hub", "https://hub"), "--node", id="a hub and no node"),
        pytest.param(("--resources", "/nowhere/at/all"), "/nowhere/at/all", id="no such folder"),
    ],
)
def test_wrong_usage_says_what_is_missing(
    tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    code, said = run("run", "--state", str(tmp_path / "state"), "--port", "0", *words)
    assert code == 2
    assert complaint in said
    assert "Traceback" not in said


def test_an_empty_folder_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "resources").mkdir()
    code, said = run(
        *("run", "--state", str(tmp_path / "state"), "--port", "0"),
        *("--resources", str(tmp_path / "resources")),
    )
    assert code == 2
    assert "one Site" in said


def test_a_state_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = run(
        *("run", "--state", str(tmp_path / "file" / "state"), "--port", "0"),
        *("--resources", str(tmp_path)),
    )
    assert code == 1
    assert "Not a directory" in said
    assert "Traceback" not in said
