"""The command line as a person meets it."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import process

pytestmark = pytest.mark.component


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


EXAMPLE = Path(__file__).parents[3] / "examples" / "01-ventilate-a-room"


def broken(tmp_path: Path, change: Callable[[dict[str, dict[str, Any]]], None]) -> Path:
    """The example with a broker that is not there, changed by kind."""
    folder = tmp_path / "resources"
    shutil.copytree(EXAMPLE, folder)
    path = folder / "room.yaml"
    documents = {each["kind"]: each for each in yaml.safe_load_all(path.read_text())}
    documents["Site"]["spec"]["broker"] = {"host": "127.0.0.1", "port": 1, "transport": "Plain"}
    change(documents)
    path.write_text(yaml.safe_dump_all(documents.values()))
    return folder


@contextmanager
def running(tmp_path: Path, folder: Path, *more: str) -> Iterator[tuple[str, Path]]:
    """An agent on a folder: where it says whether it is ready, and its log."""
    port, log = process.free_port(), tmp_path / "agent.log"
    verb = (sys.executable, "-m", "foreshore_agent.main", "run", "--port", str(port))
    state = ("--state", str(tmp_path / "state"), "--resources", str(folder))
    with log.open("wb") as file:
        agent = subprocess.Popen([*verb, *state, *more], stderr=file)
        try:
            yield f"http://127.0.0.1:{port}/readyz", log
        finally:
            agent.terminate()
            agent.wait(30)


def unready(url: str, *words: str) -> str:
    """What /readyz says once it says all words."""
    deadline = time.monotonic() + 60
    said = ""
    while not said or not all(word in said for word in words):
        assert time.monotonic() < deadline, said
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                said = f"{answer.status}"
        except urllib.error.HTTPError as error:
            said = f"{error.code}\n{error.read().decode()}"
        except OSError:
            said = ""
        time.sleep(0.1)
    return said


def test_a_folder_that_is_not_all_in_force_is_not_ready_and_says_what_is_wrong(
    tmp_path: Path,
) -> None:
    def change(documents: dict[str, dict[str, Any]]) -> None:
        selector = {"matchLabels": {"zone": "wset"}}
        documents["DecisionPolicy"]["spec"]["deviceSelector"] = selector
        documents["Model"]["spec"]["formt"] = "ONNX"

    selected = "room.yaml#7: spec.deviceSelector: selects no Device"
    refused = "room.yaml#5: spec.formt"
    with running(tmp_path, broken(tmp_path, change)) as (url, log):
        said = unready(url, selected, refused)
        assert said.startswith("503")
        assert "did you mean zone=west?" in said
        assert "(DecisionPolicy hq/ventilate-when-occupied, NoDevices)" in said
        text = log.read_text()
    assert text.index(refused) < text.index("assignment 1:"), "problems are said first"
    assert selected in text


def test_a_policy_that_does_not_compile_is_said_once_with_its_file(tmp_path: Path) -> None:
    def change(documents: dict[str, dict[str, Any]]) -> None:
        documents["DecisionPolicy"]["spec"]["inputs"][1]["property"] = "c02"

    with running(tmp_path, broken(tmp_path, change)) as (url, _):
        said = unready(url, "room.yaml#7: spec.inputs[co2].property")
        assert said.count("the profile has no property c02") == 1


def test_a_credential_that_is_not_there_is_named(tmp_path: Path) -> None:
    def change(documents: dict[str, dict[str, Any]]) -> None:
        broker = {"host": "127.0.0.1", "port": 1, "credential": "hq-broker"}
        documents["Site"]["spec"]["broker"] = broker

    with running(tmp_path, broken(tmp_path, change)) as (url, _):
        unready(url, "room.yaml#2: spec.broker.credential: credential 'hq-broker' is needed")


def test_what_is_mended_is_ready_again_and_said_in_the_log(tmp_path: Path) -> None:
    def change(documents: dict[str, dict[str, Any]]) -> None:
        documents["DecisionPolicy"]["spec"]["inputs"][0]["unit"] = "lm"

    folder = broken(tmp_path, change)
    with running(tmp_path, folder) as (url, log):
        unready(url, "is lm, but the property is in lx")
        path = folder / "room.yaml"
        path.write_text(path.read_text().replace("unit: lm", "unit: lx"))
        deadline = time.monotonic() + 60
        while "no more: room.yaml#7" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        # the log speaks of the folder, /readyz of what is in force: that follows in a moment
        while "is lm" in unready(url, "broker"):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def test_a_site_that_is_refused_is_said_with_the_reason(tmp_path: Path) -> None:
    folder = broken(tmp_path, lambda each: each["Site"]["spec"].update(timezone="Europe/Brussels"))
    code, said = run(
        *("run", "--state", str(tmp_path / "state"), "--port", "0", "--resources", str(folder))
    )
    assert code == 2
    assert "must hold one Site" in said
    assert "room.yaml#2: spec.timezone" in said
    assert "did you mean timeZone?" in said


def test_every_verb_says_the_exit_codes_in_its_help() -> None:
    for verb in ("run", "play", "rehearse", "records", "why", "verify"):
        _, said = run(verb, "--help")
        plain = " ".join(said.split())
        assert "Exit codes: 0 done" in plain
        assert "; 1 begun" in plain
        assert "; 2 not begun" in plain
