"""The calls of one model on one server, as bytes that only lack a body."""

from typing import Final
from urllib import parse


class ModelCalls:
    """What is written to ask a model, or whether it is ready."""

    def __init__(self, model: str, host: str) -> None:
        path = f"/v2/models/{parse.quote(model, safe='')}"
        head = f"HTTP/1.1\r\nHost: {host}\r\n"
        self.ready: Final = f"GET {path}/ready {head}\r\n".encode()
        self._infer: Final = (
            f"POST {path}/infer {head}Content-Type: application/json\r\nContent-Length: "
        ).encode()

    def infer(self, body: bytes) -> bytes:
        """Return the whole request for one inference."""
        return b"%b%d\r\n\r\n%b" % (self._infer, len(body), body)
