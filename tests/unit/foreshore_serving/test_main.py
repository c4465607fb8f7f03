import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders import onnx_models
from foreshore_api.wire import serving
from foreshore_serving import child, main, settings, supervise
from foreshore_serving import contract as contracts
from foreshore_serving.refusal import STATUS, Fault, Reason, Refused, Rejected


def test_the_contract_survives_the_way_to_the_child(tmp_path: Path) -> None:
    config = onnx_models.config(b"x")
    told = main.contract(config, 1, settings.ServingSettings(tmp_path, ("127.0.0.1", 0)))

    assert contracts.decode(told.encode()) == told
    assert told.inputs[0].shape == (-1, 3)


def test_a_fatal_reason_reaches_the_termination_message(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()

    code = supervise.end(Refused(Reason.DIGEST_MISMATCH, "the bytes are others" * 1000), log)

    assert code == supervise.EXIT_REFUSED
    ending = serving.Ending.decode(log.read_bytes())
    assert ending.reason == "DigestMismatch"
    assert len(log.read_bytes()) < 4096, "kubelet cuts the message there, within the JSON"


def test_a_models_own_text_forges_no_line_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "the model has no input x; it has y\nfine\x1b]0;title\x07"
    supervise.end(Refused(Reason.SCHEMA_MISMATCH, said), tmp_path / "absent")
    [line] = capsys.readouterr().err.splitlines()
    assert "it has y fine\ufffd]0;title\ufffd; correct the Model" in line


def fail(said: str) -> None:
    raise ValueError(said)


def test_a_line_of_the_child_is_one_line_and_a_traceback_keeps_its_own() -> None:
    try:
        fail("a\x1b[2J")
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "of %s", ("a\nb\x1b",), caught)
    first, *others = child.ChildFormatter(child.FORMAT).format(record).split("\n")
    assert first == "ERROR x: of a b\ufffd"
    assert others[0].startswith("Traceback")
    assert others[-1] == "ValueError: a\ufffd[2J"


def test_no_termination_log_is_made_where_kubelet_made_none(tmp_path: Path) -> None:
    code = supervise.end(Refused(Reason.FETCH_FAILED, "no route"), tmp_path / "absent")
    assert code == supervise.EXIT_TRANSIENT
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("document", "arguments"),
    [
        pytest.param({}, ["--listen", "127.0.0.1:0"], id="model.json says nothing"),
        pytest.param(None, ["--listen", "127.0.0.1:0"], id="no model.json"),
        pytest.param("valid", [], id="nowhere to listen"),
        pytest.param("valid", ["--listen", "a:1", "--socket", "b"], id="two places to listen"),
        pytest.param("http", ["--listen", "127.0.0.1:0"], id="a source in the clear"),
    ],
)
def test_wrong_usage_exits_2(tmp_path: Path, document: object, arguments: list[str]) -> None:
    valid = onnx_models.config(b"x").encode()
    if document is not None:
        written = {
            "valid": valid,
            "http": valid.replace(b"https://", b"http://"),
        }.get(str(document), json.dumps(document).encode())
        (tmp_path / "model.json").write_bytes(written)

    result = CliRunner().invoke(
        main.application, ["run", "--model-config", str(tmp_path / "model.json"), *arguments]
    )

    assert result.exit_code == main.EXIT_USAGE


def test_every_fault_has_a_status_that_says_whose_it_is() -> None:
    assert {Rejected(fault, "").status // 100 for fault in Fault} == {4, 5}
    assert all(status != 400 for status in STATUS.values()), "400 is the default"
