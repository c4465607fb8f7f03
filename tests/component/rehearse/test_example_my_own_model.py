"""From a classifier of one's own to a rehearsed policy: the commands of the example as written."""

import csv
import hashlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshore_agent import manifests
from foreshore_api import v1alpha1
from foreshore_decision import resources
from foreshore_serving import zipmap

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "02-my-own-model"
README = (EXAMPLE / "README.md").read_text()


def commands(verb: str) -> Iterator[list[str]]:
    """Yield the words of the README's commands of a verb of the agent, in their order."""
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for command in block.replace("\\\n", "").removeprefix("$ ").split("\n$ "):
            words = shlex.split(command)
            assert words[0] == "foreshore-agent"
            if words[1] == verb:
                yield words[1:]


def run(words: list[str], state: Path) -> str:
    """Run a command of the README with a state directory of its own; return what it prints."""
    words = [str(state) if word == "/tmp/office" else word for word in words]
    command = [sys.executable, "-m", "foreshore_agent.main", *words]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def probabilities(model: Path) -> Any:
    """Return what a file answers to the whole recording, [rows, classes]."""
    import onnxruntime

    with (EXAMPLE / "recording.csv").open(newline="") as file:
        rows = [
            [row[name] for name in ("light", "co2", "temperature")] for row in csv.DictReader(file)
        ]
    session = onnxruntime.InferenceSession(zipmap.unwrapped(model.read_bytes()))
    return session.run(["output_probability"], {"X": np.array(rows, np.float32)})[0]


def test_the_version_names_the_digest_of_the_committed_model() -> None:
    reading = resources.read(manifests.read(EXAMPLE), {})
    assert reading.problems == ()
    (version,) = (each for each in reading.resources if isinstance(each, v1alpha1.ModelVersion))
    body = (EXAMPLE / "room.onnx").read_bytes()
    assert version.spec.digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert f"{len(body):,} bytes" in README


def test_the_resources_are_clean(tmp_path: Path) -> None:
    (words,) = commands("lint")
    assert ": 0 errors, 0 warnings, 0 notes" in run(words, tmp_path)


def test_the_rehearsal_says_what_the_readme_shows_and_why_explains_it(tmp_path: Path) -> None:
    (rehearse,), (why,) = commands("rehearse"), commands("why")
    printed = run(rehearse, tmp_path / "state")
    (shown,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    for line in shown.splitlines():
        assert line in printed.splitlines()
    assert "busy = 0." in run(why, tmp_path / "state")


def test_training_again_gives_a_model_that_answers_alike(tmp_path: Path) -> None:
    fresh = tmp_path / "room.onnx"
    ended = subprocess.run(
        [sys.executable, str(EXAMPLE / "train_room.py"), "--output", str(fresh)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "classes busy, empty" in ended.stdout
    np.testing.assert_allclose(
        probabilities(fresh), probabilities(EXAMPLE / "room.onnx"), atol=0.02
    )


def test_the_recordings_name_their_licence() -> None:
    for name in ("training.csv", "recording.csv"):
        assert "CC-BY-4.0" in (EXAMPLE / f"{name}.license").read_text()
