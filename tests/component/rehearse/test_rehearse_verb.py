"""`foreshore-agent rehearse` on the example: the same engine, nothing real touched."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import neighbours, room

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).parents[3] / "examples" / "01-ventilate-a-room"
ROWS = slice(20, 60)
"""Forty minutes in which people come."""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    lines = (EXAMPLE / "occupancy.csv").read_text().splitlines()
    short = tmp_path / "recording.csv"
    short.write_text("\n".join([lines[0], *lines[1:][ROWS]]) + "\n")
    return short


def agent(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foreshore_agent.main", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, **environment},
    )


def rehearse(
    *more: object, resources: Path = EXAMPLE, **environment: str
) -> subprocess.CompletedProcess[str]:
    what = ("--resources", resources, "--device", "room-301")
    return agent("rehearse", *what, *more, **environment)


def summary(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_the_example_decides_on_the_recording_and_every_row_is_recorded(
    tmp_path: Path, recording: Path
) -> None:
    state = tmp_path / "state"
    run = rehearse("--state", state, "--csv", recording, "--truth", "Occupancy", "-o", "json")
    found = summary(run)
    assert found["rows"] == found["decisions"] == 40
    assert found["verdicts"]["Commanded"] > 5
    assert found["verdicts"]["NotTriggered"] > 2
    truth = found["truth"]
    assert (
        truth["rightToAct"] + truth["rightToRest"] + truth["wrongToAct"] + truth["wrongToRest"]
        == 40
    )
    assert truth["accuracy"] == (truth["rightToAct"] + truth["rightToRest"]) / 40
    assert truth["precision"] > 0.5
    assert truth["baseRate"] == pytest.approx(occupied(recording) / 40)
    assert found["records"] >= found["decisions"]
    assert found["outcomes"]["Confirmed"] > 5
    assert found["recordingSeconds"] > 2000
    assert "measured" not in found


def occupied(recording: Path) -> int:
    return sum(line.endswith(",1") for line in recording.read_text().splitlines())


def test_two_rehearsals_give_the_same_bytes_wherever_they_run(
    tmp_path: Path, recording: Path
) -> None:
    said: list[tuple[str, ...]] = []
    for seed, name in (("1", "here"), ("2", "there/deeper")):
        state = tmp_path / name
        given = ("--state", state, "--csv", recording, "--truth", "Occupancy")
        text = rehearse(*given, PYTHONHASHSEED=seed)
        document = rehearse(*given, "-o", "json", PYTHONHASHSEED=seed)
        assert (text.returncode, document.returncode) == (0, 0), text.stderr
        records = agent("records", "--state", state)
        why = agent("why", "--last", "--state", state)
        log = (state / "device.jsonl").read_text()
        said.append((text.stdout, document.stdout, records.stdout, why.stdout, log))
    assert said[0] == said[1]
    assert "Confirmed" in said[0][2]


@pytest.fixture
def in_agent(tmp_path: Path) -> Path:
    """The example, with the model in the agent's own process."""
    home = tmp_path / "in-agent"
    home.mkdir()
    shutil.copy(EXAMPLE / "occupancy-v1.onnx", home)
    for path in EXAMPLE.glob("*.yaml"):
        documents = list(yaml.safe_load_all(path.read_text()))
        for document in documents:
            if document["kind"] == "Site":
                document["spec"]["isolation"] = "Agent"
            if document["kind"] == "ModelVersion":
                document["spec"]["runtime"] = {"isolation": "Agent"}
        (home / path.name).write_text(yaml.safe_dump_all(documents))
    return home


def test_a_model_in_the_agents_process_gives_the_same_bytes_twice_and_decides_as_in_a_child(
    tmp_path: Path, recording: Path, in_agent: Path
) -> None:
    said: list[tuple[str, str]] = []
    for state in (tmp_path / "first", tmp_path / "second"):
        given = ("--state", state, "--csv", recording, "-o", "json")
        run = rehearse(*given, resources=in_agent)
        assert run.returncode == 0, run.stderr
        assert list((state / "models").glob("*.onnx"))
        assert not (state / "serving").exists(), "no child was started"
        said.append((run.stdout, agent("records", "--state", state).stdout))
    assert said[0] == said[1]
    child = rehearse("--state", tmp_path / "child", "--csv", recording, "-o", "json")
    assert child.stdout == said[0][0]


def test_a_wish_that_the_site_does_not_allow_is_said_and_keeps_nobody_from_trying(
    tmp_path: Path, recording: Path
) -> None:
    resources = tmp_path / "resources"
    shutil.copytree(EXAMPLE, resources)
    documents = list(yaml.safe_load_all((resources / "room.yaml").read_text()))
    for document in documents:
        if document["kind"] == "ModelVersion":
            document["spec"]["runtime"] = {"isolation": "Agent"}
    (resources / "room.yaml").write_text(yaml.safe_dump_all(documents))
    run = rehearse("--state", tmp_path / "state", "--csv", recording, resources=resources)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("ModelVersion occupancy-v1 asks isolation Agent") == 1
    assert "set isolation: Agent in Site hq" in run.stderr


def test_what_the_machine_took_is_shown_where_it_is_asked_for(
    tmp_path: Path, recording: Path
) -> None:
    state = tmp_path / "state"
    run = rehearse("--state", state, "--csv", recording, "-o", "json", "--latencies")
    measured = summary(run)["measured"]
    assert measured["rowsPerSecond"] > 1
    assert {each["stage"] for each in measured["stages"]} == {"Decide", "Network", "Inference"}
    assert all(each["count"] == 40 and each["p99"] > 0 for each in measured["stages"])


def test_live_it_runs_over_a_broker_and_measures_what_that_takes(
    tmp_path: Path, recording: Path
) -> None:
    state = tmp_path / "state"
    run = rehearse("--state", state, "--csv", recording, "-o", "json", "--live")
    found = summary(run)
    assert found["rows"] == found["decisions"] == 40
    assert found["outcomes"]["Confirmed"] > 5
    stages = {each["stage"] for each in found["measured"]["stages"]}
    assert stages == {"Decide", "Network", "Inference", "Actuate", "EndToEnd"}


def test_a_second_rehearsal_replaces_the_first_and_a_strangers_directory_is_left_alone(
    tmp_path: Path, recording: Path
) -> None:
    state = tmp_path / "state"
    summary(rehearse("--state", state, "--csv", recording, "-o", "json"))
    leftover = state / "device.jsonl"
    first = leftover.read_text()
    summary(rehearse("--state", state, "--csv", recording, "-o", "json"))
    assert leftover.read_text() == first
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "journal.db").write_text("somebody's")
    refused = rehearse("--state", stranger, "--csv", recording)
    assert refused.returncode == 2
    assert "no rehearsal's" in refused.stderr
    assert (stranger / "journal.db").read_text() == "somebody's"


def test_the_sites_broker_is_never_contacted_and_windows_follow_the_recording(
    tmp_path: Path, recording: Path
) -> None:
    resources = tmp_path / "resources"
    shutil.copytree(EXAMPLE, resources)
    documents = list(yaml.safe_load_all((EXAMPLE / "room.yaml").read_text()))
    for each in documents:
        if each["kind"] == "DecisionPolicy":
            each["spec"]["mode"] = "Shadow"
            each["spec"]["rateLimit"] = {"minimumInterval": "10m"}
    (resources / "room.yaml").write_text(yaml.safe_dump_all(documents))
    state = tmp_path / "state"
    found = summary(
        rehearse("--state", state, "--csv", recording, "-o", "json", resources=resources)
    )
    assert found["verdicts"]["Shadowed"] == 4, "one in ten minutes of the recording"
    assert found["reasons"]["Suppressed/MinimumInterval"] > 10
    assert found["outcomes"] == {}


def test_what_waits_for_the_interval_of_its_trigger_is_decided_between_rows_when_due(
    tmp_path: Path, recording: Path
) -> None:
    resources = tmp_path / "resources"
    shutil.copytree(EXAMPLE, resources)
    documents = list(yaml.safe_load_all((EXAMPLE / "room.yaml").read_text()))
    for each in documents:
        if each["kind"] == "DecisionPolicy":
            each["spec"]["mode"] = "Shadow"
            each["spec"].setdefault("trigger", {})["minimumInterval"] = "90s"
    (resources / "room.yaml").write_text(yaml.safe_dump_all(documents))
    recording.write_text("\n".join(recording.read_text().splitlines()[:21]) + "\n")
    state = tmp_path / "state"
    found = summary(
        rehearse("--state", state, "--csv", recording, "-o", "json", resources=resources)
    )
    assert found["rows"] == 20, "one a minute"
    assert found["decisions"] == 14, "one in 90 seconds, and the last row's after the recording"


def test_a_rehearsal_that_is_asked_to_end_leaves_no_process_behind(
    tmp_path: Path, recording: Path
) -> None:
    state = tmp_path / "state"
    verb = (sys.executable, "-m", "foreshore_agent.main", "rehearse", "--state", str(state))
    what = ("--resources", str(EXAMPLE), "--device", "room-301", "--csv", str(recording))
    child = subprocess.Popen(
        [*verb, *what, "--speed", "60"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FORESHORE_TEST_MARK": str(tmp_path)},
    )
    assert child.stderr is not None
    while "rehearsing" not in child.stderr.readline():
        assert child.poll() is None, "it ended before it began"
    child.send_signal(signal.SIGTERM)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 2
    assert "ended before the recording did" in said
    assert marked(str(tmp_path)) == []


def marked(mark: str) -> list[str]:
    """Commands of processes that carry a mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"FORESHORE_TEST_MARK={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
    return found


def test_an_absent_mosquitto_is_said_with_the_way_to_get_it(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foreshore_agent.rehearse import mosquitto

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mosquitto, "_PLACES", str(tmp_path))
    with pytest.raises(mosquitto.NoMosquittoError, match="apt install mosquitto"):
        mosquitto.find()


def broken(tmp_path: Path, **spec: dict[str, Any]) -> Path:
    """The example with parts of some specs replaced, by kind."""
    resources = tmp_path / "resources"
    shutil.copytree(EXAMPLE, resources)
    documents = list(yaml.safe_load_all((EXAMPLE / "room.yaml").read_text()))
    for each in documents:
        each.get("spec", {}).update(spec.get(each["kind"], {}))
    (resources / "room.yaml").write_text(yaml.safe_dump_all(documents))
    return resources


def test_a_model_that_is_refused_ends_it_before_the_first_row(
    tmp_path: Path, recording: Path
) -> None:
    source = {"file": {"path": "occupancy-v1.onnx"}}
    version = {"source": source, "digest": "sha256:" + "ab" * 32}
    resources = broken(tmp_path, ModelVersion=version)
    run = rehearse("--state", tmp_path / "state", "--csv", recording, resources=resources)
    assert run.returncode == 2
    assert "DigestMismatch" in run.stderr
    assert "declare the digest of this one" in run.stderr
    assert "rehearsing" not in run.stderr


def test_a_provider_that_this_machine_has_not_is_not_waited_for(
    tmp_path: Path, recording: Path
) -> None:
    runtime = {"providers": ["CUDA", "CPU"], "require": "First"}
    resources = broken(tmp_path, ModelVersion={"runtime": runtime})
    run = rehearse("--state", tmp_path / "state", "--csv", recording, resources=resources)
    assert run.returncode == 2
    end = run.stderr[run.stderr.index("a model cannot be served") :]
    assert "ProviderMissing: only CUDA is required, and this ONNX Runtime has CPU" in end
    assert "require: Any" in end
    assert "rehearsing" not in run.stderr


def test_any_provider_will_do_where_that_is_asked_and_records_name_it(
    tmp_path: Path, recording: Path
) -> None:
    runtime = {"providers": ["CUDA", "CPU"], "isolation": "Agent"}
    resources = broken(tmp_path, ModelVersion={"runtime": runtime}, Site={"isolation": "Agent"})
    state = tmp_path / "state"
    run = rehearse("--state", state, "--csv", recording, "-o", "json", resources=resources)
    assert summary(run)["verdicts"]["Commanded"] > 5
    assert "warning: CUDA is not in this ONNX Runtime or did not start" in run.stderr
    assert run.stderr.count("and CUDA, which agents have not: it runs in processes of its own") == 1
    decisions = [
        line["data"]
        for line in map(json.loads, agent("records", "--state", state).stdout.splitlines())
        if line["data"].get("inference")
    ]
    assert decisions
    assert {decision["inference"]["provider"] for decision in decisions} == {"CPU"}
    identity = decisions[0]["decisionId"]
    assert "(computed by CPU)" in agent("why", identity, "--state", state).stdout


def test_a_recording_on_which_nothing_is_decided_is_no_success_and_says_why(
    tmp_path: Path, recording: Path
) -> None:
    night = {"matchConditions": [{"name": "dark", "expression": "light < -1.0"}]}
    resources = broken(tmp_path, DecisionPolicy=night)
    state = tmp_path / "state"
    run = rehearse("--state", state, "--csv", recording, "-o", "json", resources=resources)
    assert run.returncode == 1
    assert json.loads(run.stdout)["verdicts"] == {"NotApplicable": 40}
    assert "no row of 40 came as far as a decision: 40 NotApplicable/ConditionFalse" in run.stderr
    assert "light < -1.0" in run.stderr


def test_it_begins_with_which_rows_of_which_time_it_plays(tmp_path: Path, recording: Path) -> None:
    run = rehearse("--state", tmp_path / "state", "--csv", recording)
    assert run.returncode == 0, run.stderr
    assert "40 rows of recording.csv, 2015-02-03 07:38 to 2015-02-03 08:18" in run.stderr


def paired(folder: Path) -> Path:
    """A room and its window, whose policy reads both, in a folder of YAML."""
    folder.mkdir()
    parts = (room.site(), room.profile(), room.device(), *neighbours.documents())
    (folder / "room.yaml").write_text(yaml.safe_dump_all(parts))
    return folder


PAIRED_ROWS = (
    "date,CO2,Shutter\n"
    "2015-02-02 14:00:00,900,yes\n"
    "2015-02-02 14:01:00,900,no\n"
    "2015-02-02 14:02:00,700,no\n"
)


def test_a_column_is_what_another_device_reports(tmp_path: Path) -> None:
    resources, csv = paired(tmp_path / "resources"), tmp_path / "rows.csv"
    csv.write_text(PAIRED_ROWS)
    what = ("--state", tmp_path / "state", "--csv", csv, "-o", "json")
    found = summary(rehearse(*what, "--map", "Shutter=window-301.open", resources=resources))
    assert (found["rows"], found["decisions"]) == (3, 3)
    assert found["verdicts"] == {"Commanded": 1, "NotTriggered": 2}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            (),
            "DecisionPolicy ventilate-when-occupied reads window-301.open"
            " (spec.inputs[windowOpen]), and no column is: it will be missing; --map"
            " COLUMN=window-301.open gives it",
        ),
        (
            ("--map", "Shutter=window-301.opn"),
            "the device has no property 'window-301.opn'; did you mean window-301.open?",
        ),
        (
            ("--map", "Shutter=window-301.open", "--live"),
            "an input reads window-301.open, of another Device, and --live plays Device room-301"
            " alone: rehearse without --live, where a column may be mapped to it",
        ),
    ],
    ids=["no column", "another property", "over a broker"],
)
def test_a_recording_that_does_not_feed_another_device_is_refused(
    tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    resources, csv = paired(tmp_path / "resources"), tmp_path / "rows.csv"
    csv.write_text(PAIRED_ROWS)
    run = rehearse("--state", tmp_path / "state", "--csv", csv, *more, resources=resources)
    assert run.returncode == 2
    assert message in run.stderr
