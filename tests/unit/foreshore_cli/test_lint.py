"""`kubectl foreshore lint`: files in, findings and an exit code out, no cluster asked."""

import io
import json
import sys
from pathlib import Path

import pytest
import yaml

from builders import room
from foreshore_cli import errors, lint, options

TABLE, JSON = options.OutputFormat.TABLE, options.OutputFormat.JSON


def write(path: Path, *documents: dict[str, object]) -> str:
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return str(path)


def test_what_is_right_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "room.yaml", *room.all_of())
    assert lint.run([str(tmp_path)], TABLE, is_strict=True) == errors.EXIT_WELL
    assert capsys.readouterr().out == (
        "6 resources in 6 documents: 0 errors, 0 warnings, 0 notes\n"
    )


def test_a_mistake_is_told_with_its_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write(tmp_path / "site.yaml", room.changed(room.site(), spec__brokr={}))
    assert lint.run([name], TABLE, is_strict=False) == errors.EXIT_UNWELL
    said = capsys.readouterr().out
    assert f"error: {name}#1: spec.brokr" in said
    assert f"{name}:12; remedy: " in said


def test_files_of_several_options_are_looked_at_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = room.all_of()
    names = [write(tmp_path / "a.yaml", *every[:3]), write(tmp_path / "b.yaml", *every[3:])]
    assert lint.run(names, JSON, is_strict=True) == errors.EXIT_WELL
    assert json.loads(capsys.readouterr().out)["counts"] == {"Error": 0, "Warning": 0, "Note": 0}


def test_standard_input_is_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = yaml.safe_dump(room.changed(room.device(), sepc={})).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert lint.run(["-"], JSON, is_strict=True) == errors.EXIT_UNWELL
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert findings[0]["path"] == "sepc"
    assert findings[0]["document"] == "-#1"


def test_what_only_a_folder_of_an_agent_acts_on_is_refused_for_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = room.changed(room.version(), spec__source={"file": {"path": "occupancy-v1.onnx"}})
    name = write(tmp_path / "version.yaml", version)
    assert lint.run([name], TABLE, is_strict=False) == errors.EXIT_UNWELL
    assert "NotSupported" in capsys.readouterr().out


def test_a_folder_without_documents_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "room.txt").write_text("kind: Site")
    with pytest.raises(errors.UsageError, match="no document"):
        lint.run([str(tmp_path)], TABLE, is_strict=False)


def test_a_file_that_is_no_yaml_is_told_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text("a: [1\n")
    write(tmp_path / "b.yaml", room.site())
    assert lint.run([str(tmp_path)], TABLE, is_strict=False) == errors.EXIT_UNWELL
    said = capsys.readouterr().out
    assert "a.yaml: while parsing" in said
    assert "1 resource in 1 document: 1 error" in said
