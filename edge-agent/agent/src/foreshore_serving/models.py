"""Get the bytes of a model version, by digest, into a sealed file in memory.

Called by `main`, once, which may `keep` them for an agent. The digest decides, the source is a
hint: a folder of artefacts is asked first, then the file or https source. The sealed file is what
every child reads and hashes again: nothing can change between the check and the load, and a child
that crashes is replaced without the network. Every read is bounded by size and time.
"""

import fcntl
import hashlib
import math
import os
import ssl
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import client
from pathlib import Path
from typing import IO, Any, Final

from foreshore_api.wire import serving
from foreshore_serving.refusal import Reason, Refused

CHUNK_BYTES: Final = 256 * 1024
MAXIMUM_FILES: Final = 1000
"""Files of a folder that are looked at; more artefacts than this want a registry, not a folder."""

SILENCE_SECONDS: Final = 10.0
ATTEMPT_SECONDS: Final = 600.0
"""The largest artefact by default takes so long over a 4 Mbit/s uplink."""

MAXIMUM_REDIRECTS: Final = 3
FIRST_RETRY_SECONDS: Final = 0.5
LAST_RETRY_SECONDS: Final = 10.0


def obtain(
    config: serving.ModelConfig,
    folder: Path | None,
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, int]:
    """Return a descriptor of a sealed memory file with the artefact, and its size in bytes.

    Raises:
        Refused: DigestMismatch, TooLarge, NotFound or SecretMissing at once; FetchFailed after
            `seconds`.
    """
    path = None if folder is None else find(folder, config.digest, config.maximum_bytes)
    if path is None and config.source.file is not None:
        path = Path(config.source.file.path)
    if path is not None:
        return _seal(_local(path, config.maximum_bytes), config.digest)
    if config.source.https is None:
        raise Refused(Reason.NOT_FOUND, f"no file has the digest {config.digest}")
    return _seal(
        _fetch_patiently(config.source.https, config.maximum_bytes, seconds, sleep), config.digest
    )


def find(folder: Path, digest: str, maximum_bytes: int) -> Path | None:
    """Return the first *.onnx file of a folder, by name, that has the digest."""
    paths = sorted(path for path in folder.glob("*.onnx") if path.is_file())
    for path in paths[:MAXIMUM_FILES]:
        if path.stat().st_size <= maximum_bytes and digest_of(path.read_bytes()) == digest:
            return path
    return None


def digest_of(body: bytes) -> str:
    """Return the digest of bytes as resources write it."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def keep(path: Path, body: bytes) -> None:
    """Write a file whole or not at all, also where the power fails. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.fresh")
    with fresh.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _local(path: Path, maximum_bytes: int) -> bytes:
    try:
        # Not blocking: opening a pipe that nobody writes would never return.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Refused(Reason.NOT_FOUND, f"{path} is no regular file")
            return _bounded(file, maximum_bytes, math.inf)
    except OSError as error:
        raise Refused(Reason.NOT_FOUND, f"{path} cannot be read: {error.strerror}") from error


def _fetch_patiently(
    source: serving.HttpsSource, maximum_bytes: int, seconds: float, sleep: Callable[[float], None]
) -> bytes:
    if source.ca_file is not None and not Path(source.ca_file).is_file():
        message = f"there is no {Path(source.ca_file).name}, which verifies the model's source"
        raise Refused(Reason.SECRET_MISSING, message)
    deadline = time.monotonic() + seconds
    for pause in _pauses():
        try:
            return _fetch(source, maximum_bytes)
        except (OSError, client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection
            if time.monotonic() + pause >= deadline:
                raise Refused(
                    Reason.FETCH_FAILED, f"{source.url} cannot be fetched: {_cause(error)}"
                ) from error
        sleep(pause)
    raise AssertionError("the pauses never end")


def _pauses() -> Iterator[float]:
    pause = FIRST_RETRY_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LAST_RETRY_SECONDS)


def _cause(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)[:500]
    return str(error)[:500] or type(error).__name__


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    max_redirections = MAXIMUM_REDIRECTS

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            fp.close()
            raise Refused(Reason.FETCH_FAILED, f"{req.full_url} redirects away from https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(ca_file: str | None) -> urllib.request.OpenerDirector:
    """Build an opener that knows https only; the default one also opens files and plain HTTP."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    opener = urllib.request.OpenerDirector()
    handlers: tuple[urllib.request.BaseHandler, ...] = (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _HttpsOnly(),
        urllib.request.UnknownHandler(),
    )
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _fetch(source: serving.HttpsSource, maximum_bytes: int) -> bytes:
    request = urllib.request.Request(  # noqa: S310 - the opener below knows https only
        source.url,
        headers={"User-Agent": "foreshore-serving", "Accept": "application/octet-stream, */*"},
    )
    with _opener(source.ca_file).open(request, timeout=SILENCE_SECONDS) as answer:
        return _bounded(answer, maximum_bytes, time.monotonic() + ATTEMPT_SECONDS)


def _bounded(stream: Any, maximum_bytes: int, deadline: float) -> bytes:
    body = bytearray()
    while chunk := stream.read(CHUNK_BYTES):
        body += chunk
        if len(body) > maximum_bytes:
            raise Refused(Reason.TOO_LARGE, f"the artefact is larger than {maximum_bytes} bytes")
        if time.monotonic() > deadline:
            message = "the artefact did not arrive in time"
            raise TimeoutError(message)
    return bytes(body)


def _seal(body: bytes, digest: str) -> tuple[int, int]:
    actual = digest_of(body)
    if actual != digest:
        raise Refused(Reason.DIGEST_MISMATCH, f"the artefact is {actual}, declared {digest}")
    descriptor = os.memfd_create("model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(body)
    fcntl.fcntl(
        descriptor,
        fcntl.F_ADD_SEALS,
        fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL,
    )
    return descriptor, len(body)
