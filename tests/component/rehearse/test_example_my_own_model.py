"""From a classifier of one's own to a rehearsed policy: the commands as the pages write them."""

import csv
import hashlib
import re
import shlex
import shutil
import subprocess
import sys
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
SECTION = re.findall(
    r"^## My own model\n.*?(?=^## )", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
)[0]


def commands(page: str) -> list[list[str]]:
    """Return the words of a page's commands, in their order."""
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", "").removeprefix("$ ").split("\n$ ")
    return list(map(shlex.split, lines))


def shown(page: str) -> list[str]:
    """Return the lines that a page shows of what its commands print."""
    blocks = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    return [line.rstrip() for line in "".join(blocks).splitlines() if line.strip()]


def run(words: list[str], folder: Path) -> str:
    """Run a command of a page beside a copy of the example; return what it prints."""
    assert words[0] == "foreshore-agent"
    words = [str(folder / "state") if word == "/tmp/office" else word for word in words[1:]]
    command = [sys.executable, "-m", "foreshore_agent.main", *words]
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=200, check=False
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
    session = onnxruntime.InferenceSession(zipmap.unwrapped(model.read_bytes()).body)
    return session.run(["output_probability"], {"X": np.array(rows, np.float32)})[0]


def test_the_version_names_the_digest_of_the_committed_model() -> None:
    reading = resources.read(manifests.read(EXAMPLE), {})
    assert reading.problems == ()
    (version,) = (each for each in reading.resources if isinstance(each, v1alpha1.ModelVersion))
    body = (EXAMPLE / "room.onnx").read_bytes()
    assert version.spec.digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert f"{len(body):,} bytes" in README


@pytest.mark.parametrize(("page", "count"), [(README, 6), (SECTION, 5)], ids=["example", "README"])
def test_the_commands_run_as_written_and_print_what_is_shown(
    tmp_path: Path, page: str, count: int
) -> None:
    copy = tmp_path / "examples" / EXAMPLE.name
    shutil.copytree(EXAMPLE, copy)
    printed = "".join(run(words, tmp_path) for words in commands(page))
    lines = [line.rstrip() for line in printed.splitlines()]
    assert len(commands(page)) == count
    for line in shown(page):
        assert line in lines
    assert ": 0 errors, 0 warnings, 0 notes" in printed
    assert "busy = 0." in printed, "why names what the model said"
    assert undated(copy) == undated(EXAMPLE), "what is committed is what --write writes"


def undated(folder: Path) -> list[str]:
    """Return the lines of the draft but that with the time that an inference took."""
    lines = (folder / "room-model.yaml").read_text().splitlines()
    return [line for line in lines if not line.startswith("# One inference took")]


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
