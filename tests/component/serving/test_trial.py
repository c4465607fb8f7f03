"""`foreshore-serving try`: what it leaves of a model that an agent may run itself, and what not."""

import subprocess
import sys
from pathlib import Path

import pytest

from builders import onnx_models
from foreshore_api.wire import serving
from foreshore_serving import contract, evidence, models, supervise

BODY = onnx_models.model()


def try_out(
    home: Path, body: bytes, *flags: str, config: serving.ModelConfig | None = None
) -> tuple[int, serving.Ending | None]:
    """Exit code, and why it ended if it says so."""
    (home / "m.onnx").write_bytes(body)
    (home / "model.json").write_bytes((config or onnx_models.config(body)).encode())
    (home / "ending").touch()
    run = subprocess.run(
        [
            *(sys.executable, "-m", "foreshore_serving.main", "try"),
            *("--model-config", str(home / "model.json"), "--models", str(home)),
            *("--into", str(home / "into"), "--termination-log", str(home / "ending"), *flags),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    left = (home / "ending").read_bytes()
    return run.returncode, serving.Ending.decode(left) if left else None


def test_bytes_and_evidence_are_left_of_a_model_that_runs(tmp_path: Path) -> None:
    assert try_out(tmp_path, BODY) == (0, None)
    name = models.digest_of(BODY).removeprefix("sha256:")
    assert {path.name for path in (tmp_path / "into").iterdir()} == {f"{name}.onnx", f"{name}.json"}
    assert (tmp_path / "into" / f"{name}.onnx").read_bytes() == BODY
    shown = evidence.decode((tmp_path / "into" / f"{name}.json").read_bytes())
    assert shown.is_bounded
    assert 0 < shown.session_bytes < 64 << 20
    assert 1 << 20 < shown.runtime_bytes < 256 << 20
    declared = onnx_models.config(BODY)
    assert (
        shown.contract
        == contract.Contract(
            "another name",
            "another version",
            declared.digest,
            contract.specs(declared.inputs),
            contract.specs(declared.outputs),
            *(0, 0, 0, 0, 0),
        ).fingerprint()
    )


def test_two_trials_show_the_same_answers_and_another_model_others(tmp_path: Path) -> None:
    bodies = (BODY, BODY, onnx_models.not_a_number())
    answers = []
    for number, body in enumerate(bodies):
        (home := tmp_path / str(number)).mkdir()
        assert try_out(home, body)[0] == 0
        (left,) = (home / "into").glob("*.json")
        answers.append(evidence.decode(left.read_bytes()).answers)
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(onnx_models.custom_operator(), "UnknownDomain", id="a vendor's operator"),
        pytest.param(onnx_models.memory_bomb(), "LoadFailed", id="more memory than may be"),
        pytest.param(onnx_models.endless(), "LoadTimeout", id="no end at warm-up"),
        pytest.param(onnx_models.endless_on_request(), "LoadTimeout", id="no end on seeded inputs"),
    ],
)
def test_nothing_is_left_of_a_model_that_is_refused_in_its_trial(
    tmp_path: Path, body: bytes, reason: str
) -> None:
    code, ending = try_out(tmp_path, body, "--load-seconds", "3")
    assert ending is not None
    assert (code, ending.reason) in {
        (supervise.EXIT_REFUSED, reason),
        (supervise.EXIT_REFUSED, "WarmUpFailed"),
    }
    assert not (tmp_path / "into").exists()


def test_other_bytes_than_declared_are_not_tried(tmp_path: Path) -> None:
    config = onnx_models.config(b"others").model_copy(
        update={"source": serving.Source(file=serving.FileSource(path=str(tmp_path / "m.onnx")))}
    )
    code, ending = try_out(tmp_path, BODY, config=config)
    assert ending is not None
    assert (code, ending.reason) == (supervise.EXIT_REFUSED, "DigestMismatch")


def test_a_trial_by_another_provider_than_the_required_one_is_none(tmp_path: Path) -> None:
    config = onnx_models.config(BODY).model_copy(
        update={"providers": ("CUDA", "CPU"), "is_first_required": True}
    )
    code, ending = try_out(tmp_path, BODY, config=config)
    assert ending is not None
    assert (code, ending.reason) == (supervise.EXIT_TRANSIENT, "ProviderMissing")
    assert not (tmp_path / "into").exists()
