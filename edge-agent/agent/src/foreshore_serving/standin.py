"""What answers while no child serves: 503 with the reason, on the same listening socket.

Without it a caller would sit in the backlog of the socket until its own timeout; with it the agent
turns to its next endpoint within a millisecond, and a readiness probe says why. Rarely used and
never quick: the standard library's server on one thread is enough.
"""

import json
import socket
import threading
from http import server
from typing import Any, Final

from foreshore_serving.refusal import Reason

CLIENT_SECONDS: Final = 0.5
POLL_SECONDS: Final = 0.02


class Standin:
    """Answers in the parent's name between `start` and `stop`."""

    def __init__(self, listening: socket.socket) -> None:
        self._http = _Server(("", 0), _Handler, bind_and_activate=False)
        self._http.socket.close()
        self._http.socket = listening
        self._thread: threading.Thread | None = None

    def start(self, reason: Reason, message: str) -> None:
        """Answer with this reason from now on."""
        _Handler.body = json.dumps({"ready": False, "error": reason, "message": message}).encode()
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._http.serve_forever, args=(POLL_SECONDS,), name="standin", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Leave the socket to the child."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None


class _Server(server.HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Forget a caller that hung up; there is nothing to serve it with anyway."""


class _Handler(server.BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    wbufsize = -1  # one write an answer: callers that read only the head would break the second
    body = b"{}"

    def do_GET(self) -> None:
        if self.path == "/v2/health/live":
            self._answer(200, b'{"live":true}')
        else:
            self._answer(503, self.body)

    def do_POST(self) -> None:
        self._answer(503, self.body)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Say nothing: probes would fill the log."""
