"""`foreshore-agent model inspect` over exports: what it says of a file is what serving does."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer import testing

from builders.zoo import catalogue
from builders.zoo.exported import Entry
from foreshore_agent.main import application

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is said of every file of the zoo, by its name, in one call."""
    folder = tmp_path_factory.mktemp("zoo")
    for entry in catalogue.ENTRIES:
        (folder / f"{entry.name}.onnx").write_bytes(catalogue.made(entry.name).body)
    words = ["model", "inspect", *map(str, sorted(folder.iterdir())), "-o", "json"]
    result = testing.CliRunner().invoke(application, words)
    assert result.exit_code == 1, "some are refused"
    return {Path(model["file"]).stem: model for model in json.loads(result.stdout)["models"]}


@pytest.mark.parametrize("entry", catalogue.ENTRIES, ids=str)
def test_a_file_is_supported_as_it_is_served(entry: Entry, inspected: dict[str, Any]) -> None:
    model = inspected[entry.name]
    if entry.name in catalogue.MISDECLARED:
        assert model["isSupported"]
        assert "can be declared as [-1, -1]" in "".join(model["notes"])
        return
    assert model["isSupported"] is (entry.refused is None), model["findings"]
    if entry.refused is not None:
        (finding,) = model["findings"]
        assert finding["reason"] == entry.refused.reason
        assert entry.refused.remedy in json.dumps(finding, ensure_ascii=False).replace('\\"', '"')


@pytest.mark.parametrize("entry", catalogue.WORKING, ids=str)
def test_what_is_declared_is_what_is_shown(entry: Entry, inspected: dict[str, Any]) -> None:
    shown = {
        tensor["name"]: (tensor["dataType"], len(tensor["shape"]))
        for tensor in (*inspected[entry.name]["inputs"], *inspected[entry.name]["outputs"])
    }
    for declared in (*entry.inputs, *entry.outputs):
        assert shown[declared.name] == (declared.data_type, len(declared.shape))
