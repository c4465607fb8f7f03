"""A session of `requests` whose answers have an end: in bytes, in time, and without detours.

`prometheus_api_client` reads what comes, follows redirects and takes proxies and passwords from the
environment. It takes a session of ours instead. The raw answer is kept for its warnings, which the
client drops.
"""

from __future__ import annotations

import io
import time
from typing import Any, Final

import requests

MAXIMUM_BYTES: Final = 64 << 20
SECONDS: Final = 15.0
CHUNK: Final = 1 << 16


class AnswerTooLargeError(requests.RequestException):
    """An answer was larger, or took longer, than it may."""


class BoundedSession(requests.Session):
    """For one caller at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = 0
        self.last = b""
        """The body of the last answer."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request and read its answer within bounds."""
        self.last = b""
        until = time.monotonic() + SECONDS
        response = super().request(*args, **{**kwargs, "stream": True})
        body = bytearray()
        with response.raw:
            for chunk in response.iter_content(CHUNK):
                body += chunk
                if len(body) > MAXIMUM_BYTES:
                    raise AnswerTooLargeError(f"more than {MAXIMUM_BYTES >> 20} MiB")
                if time.monotonic() > until:
                    raise AnswerTooLargeError(f"not whole within {SECONDS:g} s")
        self.last = bytes(body)
        whole = requests.Response()
        whole.status_code, whole.headers, whole.url = (
            response.status_code, response.headers, response.url,
        )  # fmt: skip
        whole.raw = io.BytesIO(self.last)
        return whole
