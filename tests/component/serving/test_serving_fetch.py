"""Artefacts behind https: a local server with a certificate authority of its own."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http import server
from pathlib import Path

import pytest
import trustme

from builders import onnx_models
from foreshore_api.wire import serving
from foreshore_serving import models
from foreshore_serving.refusal import Reason, Refused

pytestmark = pytest.mark.component

BODY = onnx_models.model()
Handle = Callable[[server.BaseHTTPRequestHandler], None]


class Repository:
    """An https server that does what a test says."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = folder / "ca.crt"
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.handle: Handle = give(BODY)
        self.asked = 0
        self._http = server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._http.server_address[1]}/m.onnx"

    def config(self, *, ca: bool = True, body: bytes = BODY) -> serving.ModelConfig:
        source = serving.HttpsSource(url=self.url, ca_file=str(self.ca_file) if ca else None)
        config = onnx_models.config(body)
        return config.model_copy(update={"source": serving.Source(https=source)})

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _handler(self) -> type[server.BaseHTTPRequestHandler]:
        repository = self

        class Handler(server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.asked += 1
                repository.handle(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                pass

        return Handler


def give(body: bytes) -> Handle:
    def handle(request: server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return handle


def fail(status: int) -> Handle:
    return lambda request: request.send_error(status)


def redirect(target: str) -> Handle:
    def handle(request: server.BaseHTTPRequestHandler) -> None:
        if request.path == "/elsewhere":
            give(BODY)(request)
            return
        request.send_response(302)
        request.send_header("location", target)
        request.send_header("content-length", "0")
        request.end_headers()

    return handle


def pour(request: server.BaseHTTPRequestHandler) -> None:
    """Give more than anyone asked for, without saying how much."""
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(b"x" * 65536)
    except OSError:
        request.close_connection = True


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    running = Repository(tmp_path)
    yield running
    running.close()


def obtain(config: serving.ModelConfig, seconds: float = 0) -> bytes:
    descriptor, _ = models.obtain(config, None, seconds, sleep=lambda _: None)
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


def refused(config: serving.ModelConfig, seconds: float = 0) -> Refused:
    with pytest.raises(Refused) as caught:
        obtain(config, seconds)
    return caught.value


def test_an_artefact_is_fetched_and_verified(repository: Repository) -> None:
    assert obtain(repository.config()) == BODY


def test_a_server_that_no_authority_vouches_for_is_not_asked(repository: Repository) -> None:
    error = refused(repository.config(ca=False))
    assert error.reason is Reason.FETCH_FAILED
    assert "CERTIFICATE_VERIFY_FAILED" in error.message
    assert repository.asked == 0


def test_other_bytes_than_declared_are_refused_at_once(repository: Repository) -> None:
    error = refused(repository.config(body=b"another"), seconds=60)
    assert error.reason is Reason.DIGEST_MISMATCH
    assert repository.asked == 1


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_a_server_without_the_artefact_is_a_failed_fetch(
    repository: Repository, status: int
) -> None:
    repository.handle = fail(status)
    error = refused(repository.config())
    assert error.reason is Reason.FETCH_FAILED
    assert str(status) in error.message


def test_a_source_that_recovers_is_asked_again(repository: Repository) -> None:
    def recover(request: server.BaseHTTPRequestHandler) -> None:
        (give(BODY) if repository.asked > 2 else fail(503))(request)

    repository.handle = recover
    assert obtain(repository.config(), seconds=60) == BODY
    assert repository.asked == 3


def test_a_redirect_within_https_is_followed(repository: Repository) -> None:
    repository.handle = redirect("/elsewhere")
    assert obtain(repository.config()) == BODY


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1/m.onnx", "file:///etc/passwd", "ftp://127.0.0.1/m.onnx", "data:,x"],
)
def test_a_redirect_to_another_scheme_is_refused(repository: Repository, target: str) -> None:
    repository.handle = redirect(target)
    assert refused(repository.config()).reason is Reason.FETCH_FAILED
    assert repository.asked == 1


def test_redirects_do_not_go_on_for_ever(repository: Repository) -> None:
    repository.handle = redirect(repository.url)
    assert refused(repository.config()).reason is Reason.FETCH_FAILED
    assert repository.asked <= models.MAXIMUM_REDIRECTS + 2


def test_an_artefact_without_end_is_cut_off(repository: Repository) -> None:
    repository.handle = pour
    config = repository.config().model_copy(update={"maximum_bytes": 1_000_000})
    assert refused(config).reason is Reason.TOO_LARGE


def test_nobody_there_is_a_failed_fetch(repository: Repository) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        source = serving.HttpsSource(url=f"https://127.0.0.1:{unused.getsockname()[1]}/m")
        config = repository.config().model_copy(update={"source": serving.Source(https=source)})
        assert refused(config).reason is Reason.FETCH_FAILED


def test_an_authority_that_is_not_there_is_said_before_anything_is_asked(
    repository: Repository,
) -> None:
    repository.ca_file.unlink()
    found = refused(repository.config(), seconds=60)
    assert found.reason is Reason.SECRET_MISSING
    assert "ca.crt" in found.message
    assert repository.asked == 0
