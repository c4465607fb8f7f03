"""`foreshore-agent lint`: the same findings, from the folder that an agent works from."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from builders import room
from foreshore_agent import inspection, main, manifests
from foreshore_decision import resources

EXAMPLES = Path(__file__).parents[3] / "examples"

PLUG = {
    "apiVersion": "foreshore.dev/v1alpha1",
    "kind": "DeviceProfile",
    "metadata": {"name": "fan-plug", "namespace": "shop"},
    "spec": {
        "mqtt": {
            "telemetryTopic": "zigbee2mqtt/{device}",
            "commandTopic": "zigbee2mqtt/{device}/set",
        },
        "commandFormat": "Raw",
        "properties": [
            {"name": "state", "type": "String", "access": "ReadWrite"},
            {"name": "power", "unit": "W", "minimum": 0, "maximum": 4000},
        ],
        "actions": [
            {
                "name": "setState",
                "idempotency": "Idempotent",
                "input": [{"name": "value", "property": "state", "type": "String"}],
            }
        ],
    },
}
"""A plug as people wrote it before actions could say how they are told."""


def lint(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main.application, ["lint", str(folder), *words])


def write(folder: Path, *documents: dict[str, Any]) -> Path:
    (folder / "room.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return folder


@pytest.mark.parametrize(
    "folder", [path for path in sorted(EXAMPLES.iterdir()) if list(path.glob("*.yaml"))], ids=str
)
def test_every_example_is_clean(folder: Path) -> None:
    result = lint(folder, "--strict")
    assert result.exit_code == 0, result.output


HALL = {
    "apiVersion": "foreshore.dev/v1alpha1",
    "kind": "DeviceProfile",
    "metadata": {"name": "hall-motion-2", "namespace": "shop"},
    "spec": {
        "mqtt": {"telemetryTopic": "zigbee2mqtt/Hall Motion 2"},
        "properties": [
            {"name": "occupancy", "type": "Boolean"},
            {"name": "illuminance", "unit": "lx", "minimum": 0, "maximum": 100000},
        ],
    },
}
METER = {
    **HALL,
    "metadata": {"name": "plug-3c91a0", "namespace": "shop"},
    "spec": {
        "mqtt": {"telemetryTopic": "tele/plug_3C91A0/SENSOR"},
        "properties": [{"name": "power", "path": "/ENERGY/Power", "timestampPath": "/Time"}],
    },
}


def test_profiles_of_stock_devices_that_only_say_something_are_clean(tmp_path: Path) -> None:
    result = lint(write(tmp_path, HALL, METER), "--strict")
    assert result.exit_code == 0, result.output


def test_a_mistake_ends_with_code_one_and_a_line_that_names_it(tmp_path: Path) -> None:
    result = lint(write(tmp_path, PLUG))
    assert result.exit_code == 1
    assert "error: room.yaml#1: spec.commandFormat: " in result.output
    assert "there is no such field" in result.output
    assert "room.yaml:10; remedy: " in result.output


def test_a_program_reads_the_same(tmp_path: Path) -> None:
    result = lint(write(tmp_path, PLUG), "-o", "json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.output)["findings"]
    assert (finding["path"], finding["line"]) == ("spec.commandFormat", 10)


def test_the_sentence_is_that_of_play_rehearse_and_run(tmp_path: Path) -> None:
    documents = [
        room.changed(document, spec__trigger__properties=["co3"])
        if document["kind"] == "DecisionPolicy"
        else document
        for document in room.all_of()
    ]
    folder = write(tmp_path, *documents)
    reading = resources.read(manifests.read(folder), {})
    (sentence,) = map(inspection.line, inspection.inspect(reading))
    assert f"error: {sentence}\n" in lint(folder).output


def test_a_warning_fails_only_strictly(tmp_path: Path) -> None:
    folder = write(tmp_path, *room.all_of()[:-1], room.changed(room.policy(), sepc={}))
    assert lint(folder).exit_code == 0
    assert lint(folder, "--strict").exit_code == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["/nowhere"], "/nowhere cannot be read"),
        (["{folder}"], "holds no document"),
        (["{folder}", "-o", "xml"], "text or json"),
    ],
)
def test_wrong_usage_ends_with_code_two(tmp_path: Path, words: list[str], text: str) -> None:
    filled = [word.format(folder=tmp_path) for word in words]
    result = CliRunner().invoke(main.application, ["lint", *filled])
    assert result.exit_code == 2
    assert text in result.output
