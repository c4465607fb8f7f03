import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import pytest

from foreshore_api.wire import metrics, oip
from foreshore_serving import server, tensors
from foreshore_serving.contract import Contract, TensorSpec

CONTRACT = Contract(
    name="occupancy",
    version="occupancy-v1",
    digest="sha256:" + "0" * 64,
    inputs=(TensorSpec("features", "FP32", (-1, 3)),),
    outputs=(TensorSpec("probabilities", "FP32", (-1, 2)),),
    model_bytes=0,
    memory_bytes=0,
    load_seconds=1,
    stall_seconds=1,
    maximum_body_bytes=1000,
)

INFER = "/v2/models/occupancy/infer"
BODY = json.dumps(
    {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
).encode()

Run = Callable[[Sequence[str], Mapping[str, tensors.Array]], Sequence[tensors.Array]]


def halves(names: Sequence[str], feeds: Mapping[str, tensors.Array]) -> Sequence[tensors.Array]:
    return [np.full((len(feeds["features"]), 2), 0.5, np.float32) for _ in names]


def application(run: Run = halves, usual_seconds: float = 0.0) -> server.Application:
    return server.Application(CONTRACT, server.Runner(run, usual_seconds))


class Reply:
    def __init__(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.status: int = events[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in events[0]["headers"]}
        self.body: bytes = events[1]["body"]

    @property
    def error(self) -> str:
        return oip.Failure.model_validate_json(self.body).error


async def call(app: server.Application, method: str, path: str, *chunks: bytes) -> Reply:
    waiting = list(chunks or [b""])
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(event: MutableMapping[str, Any]) -> None:
        sent.append(event)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    await app(scope, receive, send)
    return Reply(sent)


@pytest.mark.parametrize("path", [INFER, "/v2/models/occupancy/versions/occupancy-v1/infer"])
async def test_an_inference_says_what_it_took(path: str) -> None:
    reply = await call(application(), "POST", path, BODY)

    assert reply.status == 200
    message = oip.InferResponse.model_validate_json(reply.body)
    assert message.outputs[0].data == (0.5, 0.5)
    queue, infer = reply.headers[oip.SERVER_TIMING].split(", ")
    assert queue.startswith("queue;dur=")
    assert infer.startswith("infer;dur=")


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        pytest.param("GET", INFER, 405, "MethodNotAllowed", id="inference by GET"),
        pytest.param("POST", "/v2", 405, "MethodNotAllowed", id="metadata by POST"),
        pytest.param("GET", "/", 404, "NoSuchPath", id="no such path"),
        pytest.param("GET", "/v2/models/other", 404, "UnknownModel", id="another model"),
        pytest.param("POST", "/v2/models/other/infer", 404, "UnknownModel", id="infer another"),
        pytest.param(
            "POST",
            "/v2/models/occupancy/versions/occupancy-v2/infer",
            404,
            "UnknownModel",
            id="another version",
        ),
        pytest.param("POST", INFER, 400, "Malformed", id="no body"),
    ],
)
async def test_what_is_not_served(method: str, path: str, status: int, error: str) -> None:
    reply = await call(application(), method, path)
    assert (reply.status, reply.error) == (status, error)


async def test_metadata_are_the_protocols() -> None:
    app = application()
    about = await call(app, "GET", "/v2")
    model = await call(app, "GET", "/v2/models/occupancy")

    assert oip.ServerMetadata.model_validate_json(about.body).name == "foreshore-serving"
    metadata = oip.ModelMetadata.model_validate_json(model.body)
    assert metadata.versions == ("occupancy-v1",)
    assert metadata.inputs[0].shape == (-1, 3)
    assert metadata.digest == CONTRACT.digest


@pytest.mark.parametrize(
    "path",
    [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/occupancy/ready",
        "/v2/models/occupancy/versions/occupancy-v1/ready",
    ],
)
async def test_health(path: str) -> None:
    assert (await call(application(), "GET", path)).status == 200
    head = await call(application(), "HEAD", path)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([b"x" * 1001], id="in one piece"),
        pytest.param([b"x" * 400] * 3, id="in pieces that never say how many"),
    ],
)
async def test_an_oversized_body_is_refused(chunks: list[bytes]) -> None:
    reply = await call(application(), "POST", INFER, *chunks)
    assert (reply.status, reply.error) == (413, "BodyTooLarge")
    assert reply.headers["connection"] == "close"


async def test_a_body_without_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DISCARDED_BYTES", 5000)
    chunks = [b"x" * 1000] * 100
    reply = await call(application(), "POST", INFER, *chunks)
    assert reply.status == 413
    assert reply.headers["connection"] == "close"


async def test_a_body_in_pieces_is_put_together() -> None:
    reply = await call(application(), "POST", INFER, BODY[:10], BODY[10:20], BODY[20:])
    assert reply.status == 200


async def test_a_runtime_that_fails_is_an_answer_and_not_an_end() -> None:
    def fail(_names: Sequence[str], _feeds: Mapping[str, tensors.Array]) -> Sequence[tensors.Array]:
        raise RuntimeError("no such kernel")

    app = application(fail)
    reply = await call(app, "POST", INFER, BODY)
    assert (reply.status, reply.error) == (500, "InferenceFailed")
    assert (await call(app, "GET", "/v2/health/ready")).status == 200


async def test_requests_are_counted_by_status() -> None:
    app = application()
    await call(app, "POST", INFER, BODY)
    await call(app, "POST", INFER, b"x")

    text = (await call(app, "GET", "/metrics")).body.decode()

    assert f'{metrics.SERVING_REQUESTS.name}{{code="200"}} 1.0' in text
    assert f'{metrics.SERVING_REQUESTS.name}{{code="400"}} 1.0' in text
    assert f"{metrics.INFER_SECONDS.name}_count 1.0" in text


class Held:
    """A runtime whose inferences wait until they are let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.released = threading.Event()

    def __call__(
        self, names: Sequence[str], feeds: Mapping[str, tensors.Array]
    ) -> Sequence[tensors.Array]:
        self.begun.set()
        assert self.released.wait(10)
        return halves(names, feeds)


async def begin(held: Held, infer: Callable[[], Awaitable[Reply]]) -> "asyncio.Task[Reply]":
    task = asyncio.ensure_future(infer())
    await asyncio.to_thread(held.begun.wait, 10)
    return task


async def test_a_slow_model_leaves_health_answering_and_is_known_to_be_stuck() -> None:
    held = Held()
    runner = server.Runner(held, usual_seconds=1.0)
    app = server.Application(CONTRACT, runner)
    task = await begin(held, lambda: call(app, "POST", INFER, BODY))

    assert (await call(app, "GET", "/v2/health/live")).status == 200
    assert runner.is_stuck(now=1e12, stall_seconds=10)

    held.released.set()
    assert (await task).status == 200
    assert not runner.is_stuck(now=1e12, stall_seconds=10)


async def test_more_than_may_wait_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAXIMUM_WAITING", 1)
    held = Held()
    app = application(held, usual_seconds=1.0)
    task = await begin(held, lambda: call(app, "POST", INFER, BODY))

    reply = await call(app, "POST", INFER, BODY)

    assert (reply.status, reply.error) == (503, "Overloaded")
    held.released.set()
    assert (await task).status == 200
