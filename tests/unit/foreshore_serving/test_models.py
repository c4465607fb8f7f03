import os
from pathlib import Path

import pytest

from builders import onnx_models
from foreshore_api.wire import serving
from foreshore_serving import models
from foreshore_serving.refusal import Reason, Refused

BODY = b"the artefact"


def obtain(config: serving.ModelConfig, folder: Path | None) -> bytes:
    descriptor, size = models.obtain(config, folder, 0)
    with open(descriptor, "rb") as file:
        file.seek(0)
        body = file.read()
    assert len(body) == size
    return body


def from_file(path: Path, **changes: object) -> serving.ModelConfig:
    source = serving.Source(file=serving.FileSource(path=str(path)))
    return onnx_models.config(BODY).model_copy(update={"source": source, **changes})


def test_a_folder_is_asked_by_digest_before_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"another")
    (tmp_path / "b.onnx").write_bytes(BODY)

    assert obtain(onnx_models.config(BODY), tmp_path) == BODY


def test_a_file_source_is_read_where_the_folder_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(BODY)
    assert obtain(from_file(tmp_path / "model"), tmp_path) == BODY


def test_other_bytes_than_declared_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"another")
    with pytest.raises(Refused) as caught:
        obtain(from_file(tmp_path / "model"), None)
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert models.digest_of(b"another") in caught.value.message


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param("absent", Reason.NOT_FOUND, id="no such file"),
        pytest.param(".", Reason.NOT_FOUND, id="a folder"),
        pytest.param("/dev/zero", Reason.NOT_FOUND, id="a device that never ends"),
    ],
)
def test_only_regular_files_are_read(tmp_path: Path, target: str, expected: Reason) -> None:
    with pytest.raises(Refused) as caught:
        obtain(from_file(tmp_path / target), None)
    assert caught.value.reason is expected


def test_a_pipe_that_nobody_writes_does_not_hold_the_start_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model")
    with pytest.raises(Refused) as caught:
        obtain(from_file(tmp_path / "model"), None)
    assert caught.value.reason is Reason.NOT_FOUND


def test_more_bytes_than_allowed_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(BODY)
    with pytest.raises(Refused) as caught:
        obtain(from_file(tmp_path / "model", maximum_bytes=len(BODY) - 1), None)
    assert caught.value.reason is Reason.TOO_LARGE


def test_what_was_verified_cannot_change_before_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(BODY)
    descriptor, _ = models.obtain(onnx_models.config(BODY), tmp_path, 0)
    try:
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"X", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
