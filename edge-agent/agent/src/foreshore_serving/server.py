"""The Open Inference Protocol v2 as one raw ASGI application, run by uvicorn in the child.

Raw ASGI: a framework would add 30 µs to a 14 µs inference. All paths are known when the model is,
so routing is one dictionary. A model that is quick at warm-up runs on the event loop, where it is
done before a thread would have woken; a slow one runs on a single thread, so that health and
metrics keep answering. Either way one inference at a time.

    GET  /v2                                     POST /v2/models/{name}[/versions/{version}]/infer
    GET  /v2/health/live, /v2/health/ready       GET  /v2/models/{name}[/versions/{version}][/ready]
    GET  /metrics
"""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent import futures
from typing import Any, Final

import orjson
import prometheus_client

from foreshore_api import programs
from foreshore_api.wire import metrics
from foreshore_serving import advice, tensors
from foreshore_serving.contract import Contract, TensorSpec
from foreshore_serving.refusal import Fault, Rejected

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Run = Callable[[Sequence[str], Mapping[str, tensors.Array]], Sequence[tensors.Array]]
"""The runtime: names of outputs and arrays by input name in, arrays in that order out."""

INLINE_SECONDS: Final = 0.002
"""Models that take longer at warm-up run on a thread of their own."""

MAXIMUM_WAITING: Final = 64
"""Requests that may wait for the thread; one more is refused: an answer so late helps nobody."""

BODY_SECONDS: Final = 10.0
DISCARDED_BYTES: Final = 16 * 1024 * 1024

JSON: Final = b"application/json"
TEXT: Final = prometheus_client.CONTENT_TYPE_LATEST.encode()

BUCKETS: Final = (
    1e-5,
    2e-5,
    5e-5,
    1e-4,
    2e-4,
    5e-4,
    1e-3,
    2e-3,
    5e-3,
    1e-2,
    2e-2,
    5e-2,
    0.1,
    0.2,
    0.5,
    1.0,
    5.0,
)


@dataclasses.dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One HTTP answer."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    timing: bytes | None = None


class Runner:
    """Runs one inference at a time, and knows since when the present one has been running."""

    def __init__(self, run: Run, usual_seconds: float) -> None:
        self._run = run
        self._thread = (
            futures.ThreadPoolExecutor(1, "infer") if usual_seconds > INLINE_SECONDS else None
        )
        self._waiting = 0
        self._busy_since: float | None = None

    async def infer(self, request: tensors.Request) -> tuple[Sequence[tensors.Array], float]:
        """Return the wanted outputs and the seconds the model took.

        Raises:
            Rejected: too many wait already, or the runtime failed.
        """
        if self._thread is None:
            return self._infer(request)
        if self._waiting >= MAXIMUM_WAITING:
            raise Rejected(Fault.OVERLOADED, f"{MAXIMUM_WAITING} requests wait already")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._infer, request
            )
        finally:
            self._waiting -= 1

    def is_stuck(self, now: float, stall_seconds: float) -> bool:
        """Tell whether the present inference takes too long (`now`: `time.perf_counter`)."""
        since = self._busy_since
        return since is not None and now - since > stall_seconds

    def _infer(self, request: tensors.Request) -> tuple[Sequence[tensors.Array], float]:
        began = self._busy_since = time.perf_counter()
        try:
            arrays = self._run([spec.name for spec in request.wanted], request.feeds)
        except Exception as error:  # they share no base class; counted by status, and answered
            raise advice.rejected(error) from error
        finally:
            self._busy_since = None
        return arrays, time.perf_counter() - began


class Application:
    """The ASGI application of one loaded model."""

    def __init__(self, contract: Contract, runner: Runner, provider: str | None = None) -> None:
        """Prepare; `provider` is the execution provider that computes the model."""
        self._contract = contract
        self._runner = runner
        self._provider = provider
        self._registry = prometheus_client.CollectorRegistry()
        self._infer_seconds = prometheus_client.Histogram(
            metrics.INFER_SECONDS.name,
            metrics.INFER_SECONDS.help,
            registry=self._registry,
            buckets=BUCKETS,
        )
        self._requests = prometheus_client.Counter(
            metrics.SERVING_REQUESTS.name,
            metrics.SERVING_REQUESTS.help,
            metrics.SERVING_REQUESTS.labels,
            registry=self._registry,
        )
        self._succeeded = self._requests.labels(code="200")
        if provider is not None:
            prometheus_client.Gauge(
                metrics.SERVING_PROVIDER.name,
                metrics.SERVING_PROVIDER.help,
                metrics.SERVING_PROVIDER.labels,
                registry=self._registry,
            ).labels(provider=provider).set(1)
        self._fixed, self._infer_paths = _paths(contract, provider)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive, began)
        except Rejected as rejected:
            answer = HttpAnswer(_failure(rejected), rejected.status)
        if scope["path"] in self._infer_paths:
            (
                self._succeeded
                if answer.status == 200
                else self._requests.labels(code=str(answer.status))
            ).inc()
        await _send(answer, scope["method"], send)

    async def _answer(self, scope: Scope, receive: Receive, began: float) -> HttpAnswer:
        path, method = scope["path"], scope["method"]
        if path in self._infer_paths:
            if method != "POST":
                raise Rejected(Fault.METHOD_NOT_ALLOWED, "inference is a POST")
            return await self._infer(receive, began)
        if path == "/metrics" or path in self._fixed:
            if method not in ("GET", "HEAD"):
                raise Rejected(Fault.METHOD_NOT_ALLOWED, f"{path} is a GET")
            if path == "/metrics":
                return HttpAnswer(
                    prometheus_client.generate_latest(self._registry), content_type=TEXT
                )
            return self._fixed[path]
        if path.startswith("/v2/models/"):
            served = f"{self._contract.name}, version {self._contract.version}"
            raise Rejected(Fault.UNKNOWN_MODEL, f"this server serves {served}, and nothing else")
        raise Rejected(Fault.NO_SUCH_PATH, "no such path; see GET /v2")

    async def _infer(self, receive: Receive, began: float) -> HttpAnswer:
        body = await _body(receive, self._contract.maximum_body_bytes)
        request = tensors.decode(body, self._contract)
        arrays, seconds = await self._runner.infer(request)
        self._infer_seconds.observe(seconds)
        rendered = tensors.encode(self._contract, request, arrays, self._provider)
        # What is not the model is queue: waiting, JSON. The rest of the round trip is network.
        queue = time.perf_counter() - began - seconds
        return HttpAnswer(
            rendered, timing=b"queue;dur=%.3f, infer;dur=%.3f" % (queue * 1e3, seconds * 1e3)
        )


def _paths(
    contract: Contract, provider: str | None
) -> tuple[dict[str, HttpAnswer], frozenset[str]]:
    """Return the answers that never change by path, and the paths that infer."""
    models = (
        f"/v2/models/{contract.name}",
        f"/v2/models/{contract.name}/versions/{contract.version}",
    )
    described = _json(
        {
            "name": contract.name,
            "versions": [contract.version],
            "platform": "onnx_onnxruntime",
            "inputs": [_described(spec) for spec in contract.inputs],
            "outputs": [_described(spec) for spec in contract.outputs],
            "digest": contract.digest,
            "provider": provider,
        }
    )
    parameters = {"digest": contract.digest, "provider": provider}
    ready = _json({"name": contract.name, "ready": True, "parameters": parameters})
    fixed = {
        "/v2": _json(
            {
                "name": "foreshore-serving",
                "version": programs.version(),
                "extensions": [],
            }
        ),
        "/v2/health/live": _json({"live": True}),
        "/v2/health/ready": _json({"ready": True}),
        **dict.fromkeys(models, described),
        **dict.fromkeys((f"{model}/ready" for model in models), ready),
    }
    return fixed, frozenset(f"{model}/infer" for model in models)


def _described(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": spec.data_type, "shape": list(spec.shape)}


def _json(document: Mapping[str, object]) -> HttpAnswer:
    return HttpAnswer(orjson.dumps(document))


def _failure(rejected: Rejected) -> bytes:
    return orjson.dumps({"error": str(rejected.fault), "message": rejected.message})


async def _body(receive: Receive, maximum: int) -> bytes:
    """Read a body of at most `maximum` bytes.

    What is larger is still read for a while, but not kept: a caller that is cut off while it
    sends never sees why.
    """
    kept = bytearray()
    size, is_whole = 0, False
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while not is_whole and size <= maximum + DISCARDED_BYTES:
                event = await receive()
                chunk = event.get("body", b"")
                is_whole = not event.get("more_body")
                size += len(chunk)
                if is_whole and size == len(chunk) <= maximum:
                    return bytes(chunk)  # the usual case: one piece, nothing to put together
                if size <= maximum:
                    kept += chunk
    except TimeoutError as error:
        message = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise Rejected(Fault.BODY_TIMEOUT, message) from error
    if size > maximum:
        raise Rejected(Fault.BODY_TOO_LARGE, f"the body is larger than {maximum} bytes")
    return bytes(kept)


async def _send(answer: HttpAnswer, method: str, send: Send) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
    ]
    if answer.timing is not None:
        headers.append((b"server-timing", answer.timing))
    if answer.status in (408, 413):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})
