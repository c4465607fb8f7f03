"""A real serving process and whatever it must survive, or refuse with a reason."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import onnx_models, serving_process
from foreshore_api.wire import serving
from foreshore_serving import main, settings, supervise

pytestmark = pytest.mark.component


@pytest.fixture(scope="module")
def served() -> Iterator[serving_process.Serving]:
    with serving_process.serving_process(onnx_models.model()) as running:
        yield running.await_ready()


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        pytest.param(b"", 400, "Malformed", id="empty body"),
        pytest.param(b"\x80" * 100, 400, "Malformed", id="junk"),
        pytest.param(b"[" * 100_000, 400, "Malformed", id="nested without end"),
        pytest.param(
            serving_process.features(1, 2, 3).replace(b"FP32", b"INT8"),
            400,
            "WrongType",
            id="wrong type",
        ),
        pytest.param(serving_process.features(1, 2), 400, "WrongShape", id="wrong shape"),
        pytest.param(
            serving_process.features(1, 2, 3).replace(b"3]}", b"NaN]}"), 400, "Malformed", id="NaN"
        ),
        pytest.param(serving_process.features(1, 2, 1e39), 400, "OutOfRange", id="infinite"),
        pytest.param(b" " * (5 * 1024 * 1024), 413, "BodyTooLarge", id="oversized"),
    ],
)
def test_a_bad_request_gets_a_reason_and_the_process_stays_up(
    served: serving_process.Serving, body: bytes, status: int, error: str
) -> None:
    child = served.child()

    answer = served.request("POST", serving_process.INFER, body)

    assert answer[0] == status
    assert answer[1]["error"] == error
    assert served.infer(1, 2, 3)[0] == 200
    assert served.child() == child


def test_a_good_request_is_answered(served: serving_process.Serving) -> None:
    status, answer = served.infer(0, 0, 0)
    assert status == 200
    assert answer["outputs"][0]["data"] == [0.5, 0.5]


def test_a_head_without_end_is_cut_off(served: serving_process.Serving) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(served.socket))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012 - in any round
            connection.sendall(b"GET /v2 HTTP/1.1\r\n")
            for _ in range(10_000):
                connection.sendall(b"x-filler: " + b"x" * 1000 + b"\r\n")
    assert served.infer(0, 0, 0)[0] == 200


def test_a_body_that_never_comes_leaves_others_alone(served: serving_process.Serving) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(served.socket))
        head = f"POST {serving_process.INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
        connection.sendall(head.encode())
        assert served.infer(0, 0, 0)[0] == 200


def test_only_the_owner_may_connect(served: serving_process.Serving) -> None:
    assert served.socket.stat().st_mode & 0o777 == 0o600


def test_the_parent_knows_no_onnxruntime(served: serving_process.Serving) -> None:
    parent = Path(f"/proc/{served.process.pid}/maps").read_text()
    child = Path(f"/proc/{served.child()}/maps").read_text()
    assert "onnxruntime" not in parent
    assert "numpy" not in parent
    assert "onnxruntime" in child


def test_the_child_is_limited(served: serving_process.Serving) -> None:
    limits = Path(f"/proc/{served.child()}/limits").read_text()
    status = Path(f"/proc/{served.child()}/status").read_text()
    bounds = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert int(bounds["Max address space"][1]) < 1024**3
    assert bounds["Max core file size"] == ["0", "0"]
    assert bounds["Max open files"] == ["1024", "1024"]
    assert "NoNewPrivs:\t1" in status


def test_two_processes_fit_an_edge_node(served: serving_process.Serving) -> None:
    served.infer(1, 2, 3)
    kilobytes = sum(_proportional_set(pid) for pid in (served.process.pid, served.child()))
    assert kilobytes < 120 * 1024, f"{kilobytes / 1024:.0f} MiB"


def _proportional_set(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.split("Pss:")[1].split()[0])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"this is no model", "NotONNX", id="no ONNX"),
        pytest.param(onnx_models.custom_operator(), "UnknownDomain", id="a vendor's operator"),
        pytest.param(onnx_models.external_weights(), "ExternalData", id="external data"),
        pytest.param(
            onnx_models.external_constant("/etc/passwd"), "ExternalData", id="external attribute"
        ),
        pytest.param(onnx_models.local_function(), "LocalFunctions", id="its own operators"),
        pytest.param(onnx_models.memory_bomb(), "WarmUpFailed", id="a memory bomb"),
        pytest.param(
            onnx_models.model(onnx_models.CLASSIFY, []), "LoadFailed", id="an edge from nowhere"
        ),
    ],
)
def test_a_model_that_is_not_served_ends_the_process_with_the_reason(
    body: bytes, reason: str
) -> None:
    with serving_process.serving_process(body) as running:
        ending = running.await_end()

        assert ending.reason == reason
        assert running.process.returncode == supervise.EXIT_REFUSED
        assert reason in running.log
        assert not running.socket.exists()


def test_an_endless_model_is_killed_at_warm_up_and_is_not_ready_meanwhile() -> None:
    with serving_process.serving_process(onnx_models.endless(), "--load-seconds", "3") as running:
        while not running.socket.exists() or b"child" not in _children(running):
            time.sleep(0.01)
        assert running.request("GET", "/v2/health/live")[0] == 200
        status, answer = running.request("GET", "/v2/health/ready")
        assert (status, answer["error"]) == (503, "Loading")

        ending = running.await_end()

        assert ending.reason == "LoadTimeout"
        assert running.process.returncode == supervise.EXIT_REFUSED


def _children(running: serving_process.Serving) -> bytes:
    try:
        return Path(f"/proc/{running.child()}/cmdline").read_bytes()
    except (IndexError, OSError):
        return b""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"name": "other"}, "no input other", id="another name"),
        pytest.param({"data_type": "FP64"}, "declared FP64", id="another type"),
        pytest.param({"shape": (-1, 4)}, "declared [-1, 4]", id="another width"),
        pytest.param({"shape": (-1, -1)}, "declared [-1, -1]", id="wider than the model"),
        pytest.param({"shape": (3,)}, "declared [3]", id="another rank"),
    ],
)
def test_a_model_that_is_not_what_was_declared_is_refused(
    change: dict[str, object], said: str
) -> None:
    body = onnx_models.model()
    config = onnx_models.config(body).model_copy(
        update={"inputs": (onnx_models.INPUT.model_copy(update=change),)}
    )
    with serving_process.serving_process(body, config=config) as running:
        ending = running.await_end()
        assert ending.reason == "SchemaMismatch"
        assert said in ending.message


def test_a_wrong_digest_is_refused_before_anything_reads_the_model() -> None:
    config = onnx_models.config(b"another").model_copy(
        update={"source": serving.Source(file=serving.FileSource(path=__file__))}
    )
    with serving_process.serving_process(b"", config=config) as running:
        ending = running.await_end()
        assert ending.reason == "DigestMismatch"
        assert running.process.returncode == supervise.EXIT_REFUSED


def test_a_killed_child_is_replaced_and_callers_are_told_meanwhile() -> None:
    with serving_process.serving_process(onnx_models.model()) as running:
        running.await_ready()
        first = running.child()

        os.kill(first, signal.SIGKILL)

        status, answer = running.request("GET", "/v2/health/ready")
        assert (status, answer["error"]) == (503, "Crashed"), "a caller is told, not kept waiting"
        running.await_ready()
        assert running.child() != first
        assert running.infer(0, 0, 0)[0] == 200


def test_an_inference_without_end_costs_one_child_and_not_the_server() -> None:
    body = onnx_models.endless_on_request()
    with serving_process.serving_process(body, "--stall-seconds", "2") as running:
        running.await_ready()
        assert running.infer(0, 0, 0)[0] == 200
        first = running.child()

        with pytest.raises(OSError):  # noqa: PT011 - reset, or closed without an answer
            running.infer(1, 0, 0, timeout=8)

        running.await_ready()
        assert running.child() != first
        assert running.infer(0, 0, 0)[0] == 200
        assert "no life" in running.log


def test_a_paused_node_costs_no_child() -> None:
    with serving_process.serving_process(onnx_models.model(), "--stall-seconds", "2") as running:
        running.await_ready()
        child = running.child()
        both = (running.process.pid, child)

        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4)
        for pid in both:
            os.kill(pid, signal.SIGCONT)

        assert running.infer(0, 0, 0)[0] == 200
        time.sleep(1)
        assert running.child() == child


def test_an_inference_that_asks_for_all_memory_is_refused_by_the_limit() -> None:
    with serving_process.serving_process(onnx_models.memory_bomb_on_request()) as running:
        running.await_ready()
        child = running.child()
        status, answer = running.infer(1, 0, 0)
        assert (status, answer["error"]) == (500, "InferenceFailed")
        assert running.infer(0, 0, 0)[0] == 200
        assert running.child() == child


def test_an_answer_that_is_not_a_number_never_leaves() -> None:
    with serving_process.serving_process(onnx_models.not_a_number()) as running:
        running.await_ready()
        status, answer = running.infer(0, 0, 0)
        assert (status, answer["error"]) == (500, "NonFiniteOutput")
        assert running.infer(1, 2, 3)[0] == 200


def test_sigterm_ends_both_processes_and_removes_the_socket() -> None:
    with serving_process.serving_process(onnx_models.model()) as running:
        running.await_ready()
        child = running.child()
        assert running.stop() == 0
        assert not Path(f"/proc/{child}").exists()
        assert not running.socket.exists()
        assert running.termination_log.read_bytes() == b""


def test_a_killed_parent_takes_the_child_along() -> None:
    with serving_process.serving_process(onnx_models.model()) as running:
        running.await_ready()
        running.process.kill()
    # the context manager asserts that no child is left


def test_a_stale_socket_of_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    listening = main.bind(settings.ServingSettings(tmp_path, path))
    with listening, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))


def test_what_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("somebody's data")
    with pytest.raises(OSError, match="in use"):
        main.bind(settings.ServingSettings(tmp_path, path))
    assert path.read_text() == "somebody's data"


def test_many_callers_at_once_are_all_answered(served: serving_process.Serving) -> None:
    answered: list[int] = []

    def ask() -> None:
        answered.extend(served.infer(1, 2, 3)[0] for _ in range(25))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answered == [200] * 200
