"""The example's model, its resources and its recording hold together."""

import csv
import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import TypeVar

import pytest

from builders import serving_process
from foreshore_agent import manifests
from foreshore_api import declared, support, v1alpha1
from foreshore_api.wire import serving
from foreshore_decision import policy, resources

pytestmark = pytest.mark.component

ROOT = Path(__file__).parents[3]
T = TypeVar("T")

EXAMPLE = ROOT / "examples" / "01-ventilate-a-room"
DATA = ROOT.parent / "shared" / "data" / "occupancy"


@pytest.fixture(scope="module")
def reading() -> resources.FolderReading:
    return resources.read(manifests.read(EXAMPLE), {})


def one(reading: resources.FolderReading, kind: type[T]) -> T:
    (found,) = (each for each in reading.resources if isinstance(each, kind))
    return found


def test_every_resource_is_read_and_acted_on(reading: resources.FolderReading) -> None:
    assert reading.problems == ()
    assert len(reading.resources) == 6
    assert [support.unsupported(each) for each in reading.resources] == [()] * 6


def test_the_policy_compiles_for_its_device(reading: resources.FolderReading) -> None:
    problems = policy.check(
        one(reading, v1alpha1.DecisionPolicy).spec,
        one(reading, v1alpha1.DeviceProfile).spec,
        one(reading, v1alpha1.Device).spec,
        one(reading, v1alpha1.Model).spec,
        clock=time.thread_time,
    )
    assert problems == ()


def test_the_version_names_the_digest_of_the_committed_model(
    reading: resources.FolderReading,
) -> None:
    body = (EXAMPLE / "occupancy-v1.onnx").read_bytes()
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert one(reading, v1alpha1.ModelVersion).spec.digest == digest
    assert digest in (EXAMPLE / "README.md").read_text()


def test_the_served_model_knows_when_the_room_is_occupied(reading: resources.FolderReading) -> None:
    model = one(reading, v1alpha1.Model)
    config = serving.ModelConfig(
        name=model.metadata.name,
        version="occupancy-v1",
        digest=one(reading, v1alpha1.ModelVersion).spec.digest,
        source=serving.Source(https=serving.HttpsSource(url="https://nowhere.invalid/")),
        inputs=declared.inputs(model.spec),
        outputs=declared.outputs(model.spec),
    )
    with (EXAMPLE / "occupancy.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # Found by digest in the example's own folder: the https source cannot answer.
    with serving_process.serving_process(b"", "--models", str(EXAMPLE), config=config) as running:
        running.await_ready()
        right = 0
        for row in rows[::10]:
            numbers = [float(row[column]) for column in ("Light", "CO2", "Temperature")]
            status, answer = running.infer(*numbers)
            assert status == 200
            right += (answer["outputs"][0]["data"][1] >= 0.8) == (row["Occupancy"] == "1")
    assert right / len(rows[::10]) > 0.95


def test_the_recording_has_both_classes_and_a_midnight() -> None:
    with (EXAMPLE / "occupancy.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["Occupancy"] for row in rows} == {"0", "1"}
    assert len({row["Date"][:10] for row in rows}) == 2
    assert "CC-BY-4.0" in (EXAMPLE / "occupancy.csv.license").read_text()


@pytest.mark.skipif(not DATA.exists(), reason="the full recording is not at hand")
def test_training_again_writes_the_same_bytes(tmp_path: Path) -> None:
    output = tmp_path / "m.onnx"
    command = [
        *(sys.executable, str(EXAMPLE / "train.py"), str(DATA / "datatraining.csv")),
        *("--test", str(DATA / "datatest.csv"), "--output", str(output)),
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert output.read_bytes() == (EXAMPLE / "occupancy-v1.onnx").read_bytes()
    assert "datatest.csv: 94.9% of 2665 rows right" in said
    excerpt = (EXAMPLE / "occupancy.csv").read_text().splitlines()
    assert (DATA / "datatest.csv").read_text().splitlines()[1021:2221] == excerpt[1:]
