"""Requests to one API server: thin over aiohttp, dict bodies, time limits, bounded reads.

Informers, the elector, writers and the hub's token reviews use it. Typed client classes were
measured at two to four times the processor time (decoding 100,000 objects through models is out of
the question), and they put no limit on a request's time. A caller that needs a tighter limit than
the constructor's uses `asyncio.timeout`.

Errors are classed by what happens next: `NotFoundError` and `ConflictError` ask the caller to look
again, `GoneError` to list again, `RejectedError` will not get better by itself, `UnavailableError`
will. Reads are tried again by themselves; writes never, because whoever writes must first know that
it still may.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import orjson

from foreshore_kube import backoff
from foreshore_kube.config import ClusterAccess
from foreshore_kube.kinds import ResourceKind

Json = dict[str, Any]

APPLY = "application/apply-patch+yaml"  # JSON is YAML
WHOLE = "application/json"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
"""Asks for a list without specs and statuses; who does not know it answers with whole objects."""
MAXIMUM_BODY = 64 << 20
MAXIMUM_EVENT = 4 << 20
CHUNK = 500
READ_ATTEMPTS = 4
INACTIVITY = 70.0
"""Seconds without a byte after which a watch is dead: a bookmark comes each minute."""
WATCH_SECONDS = 300


class ApiError(Exception):
    """A request did not succeed; `status` is 0 when no answer came."""

    def __init__(
        self, status: int, message: str, *, reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NotFoundError(ApiError):
    """404: there is no such object (or kind)."""


class ConflictError(ApiError):
    """409: it exists already, or moved on since it was read (`reason` says which)."""


class GoneError(ApiError):
    """410: the version to go on from is no longer kept; list again."""


class RejectedError(ApiError):
    """Any other 4xx: the request itself is wrong or forbidden."""


class UnavailableError(ApiError):
    """429, 5xx, no connection or no answer in time: the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class Page:
    """One chunk of a list; `resource_version` is the same for all chunks."""

    items: tuple[Json, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`."""

    type: str
    object: Json


class KubeApi:
    """One API server, as one account. Use it as an async context manager."""

    def __init__(self, access: ClusterAccess, *, user_agent: str, timeout: float = 10.0) -> None:
        self._access = access
        self._timeout = timeout
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._access.tls, limit=64),
            headers={"User-Agent": self._user_agent},
            read_bufsize=MAXIMUM_EVENT // 2,  # aiohttp refuses lines of twice this size
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, kind: ResourceKind, namespace: str, name: str) -> Json:
        """One object. Raises NotFoundError and the others."""
        return await self.read(kind.path(namespace, name))

    async def pages(
        self,
        kind: ResourceKind,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        accept: str = WHOLE,
    ) -> AsyncIterator[Page]:
        """The objects of a kind in chunks. Raises GoneError when the list took too long."""
        parameters = _selection(label_selector, field_selector) | {"limit": str(CHUNK)}
        while True:
            answer = await self.read(kind.path(namespace), parameters, accept=accept)
            metadata = answer.get("metadata", {})
            yield Page(tuple(answer.get("items") or ()), metadata.get("resourceVersion", ""))
            if not metadata.get("continue"):
                return
            parameters["continue"] = metadata["continue"]

    async def list(
        self,
        kind: ResourceKind,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> tuple[Json, ...]:
        """All objects of a kind at once."""
        objects: list[Json] = []
        async for page in self.pages(
            kind, namespace, label_selector=label_selector, field_selector=field_selector
        ):
            objects.extend(page.items)
        return tuple(objects)

    async def find(self, kind: ResourceKind, namespace: str, name: str) -> Json | None:
        """Return one object if it is there, by a list of what has its name.

        For kinds that the account may list and watch, and has no right to get.
        """
        listed = await self.list(kind, namespace, field_selector=f"metadata.name={name}")
        return next((item for item in listed if item["metadata"]["name"] == name), None)

    async def watch(
        self,
        kind: ResourceKind,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        inactivity: float = INACTIVITY,
    ) -> AsyncIterator[WatchEvent]:
        """What happens after a version, until the API server ends the stream (minutes).

        Raises GoneError when the version is no longer kept, UnavailableError on any other end.
        """
        parameters = _selection(label_selector, field_selector) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=inactivity)
        async with self._send("GET", kind.path(namespace), parameters, limits=limits) as answer:
            while line := await answer.content.readline():
                yield _event(line)

    async def apply(
        self,
        kind: ResourceKind,
        document: Json,
        *,
        manager: str,
        subresource: str = "",
        force: bool = True,
    ) -> Json:
        """Server-side apply: make the object hold exactly what `manager` says in this document.

        With `metadata.resourceVersion` in the document the write fails with ConflictError when the
        object moved on. Leaving out what the manager said before removes it.
        """
        metadata = document["metadata"]
        return await self.write(
            "PATCH",
            kind.path(metadata.get("namespace", ""), metadata["name"], subresource),
            {"apiVersion": kind.api_version, "kind": kind.kind, **document},
            parameters={"fieldManager": manager, "force": "true" if force else "false"},
            content_type=APPLY,
        )

    async def apply_status(self, kind: ResourceKind, document: Json, *, manager: str) -> Json:
        """Server-side apply of the status subresource."""
        return await self.apply(kind, document, manager=manager, subresource="status")

    async def create(self, kind: ResourceKind, document: Json, *, manager: str = "") -> Json:
        """A new object. Raises ConflictError when the name is taken."""
        return await self.write(
            "POST",
            kind.path(document.get("metadata", {}).get("namespace", "")),
            {"apiVersion": kind.api_version, "kind": kind.kind, **document},
            parameters={"fieldManager": manager} if manager else {},
        )

    async def replace(self, kind: ResourceKind, document: Json) -> Json:
        """Compare and swap: the object, if its resourceVersion is still the document's."""
        metadata = document["metadata"]
        return await self.write(
            "PUT",
            kind.path(metadata.get("namespace", ""), metadata["name"]),
            {"apiVersion": kind.api_version, "kind": kind.kind, **document},
        )

    async def delete(
        self,
        kind: ResourceKind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str,
    ) -> None:
        """Delete exactly this object in exactly this version; ConflictError if it moved on."""
        await self.write(
            "DELETE",
            kind.path(namespace, name),
            {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "preconditions": {"uid": uid, "resourceVersion": resource_version},
                "propagationPolicy": "Background",
            },
        )

    async def read(
        self, path: str, parameters: Mapping[str, str] | None = None, *, accept: str = WHOLE
    ) -> Json:
        """A GET, tried again a few times while the API server is unavailable."""
        waits = backoff.delays(0.2, 2.0)
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                async with self._send("GET", path, parameters or {}, accept=accept) as answer:
                    return await _body(answer)
            except UnavailableError as error:
                if attempt == READ_ATTEMPTS:
                    raise
                await asyncio.sleep(max(next(waits), min(error.retry_after or 0.0, 5.0)))
        raise AssertionError("unreachable")

    async def write(
        self,
        method: str,
        path: str,
        document: Json,
        *,
        parameters: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """One write, tried once: whether to try again depends on still being allowed to."""
        async with self._send(
            method,
            path,
            parameters or {},
            body=orjson.dumps(document),
            content_type=content_type,
        ) as answer:
            return await _body(answer)

    @contextlib.asynccontextmanager
    async def _send(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str],
        *,
        body: bytes | None = None,
        content_type: str = "",
        accept: str = WHOLE,
        limits: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send, class what goes wrong, read the token again once after a 401."""
        if self._session is None:
            raise RuntimeError("KubeApi is used outside its context")
        headers = {**await self._access.headers(), "Accept": accept}
        if content_type:
            headers["Content-Type"] = content_type
        try:
            async with self._session.request(
                method,
                self._access.server + path,
                params=parameters,
                data=body,
                headers=headers,
                timeout=limits or aiohttp.ClientTimeout(total=self._timeout),
                proxy=self._access.proxy,
                server_hostname=self._access.server_hostname,
                allow_redirects=False,
            ) as answer:
                if answer.status >= 300:
                    raise await self._failure(answer)
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # ValueError: a line longer than the buffer, or no JSON
            raise UnavailableError(
                0, f"{method} {path}: {str(error) or type(error).__name__}"
            ) from error

    async def _failure(self, answer: aiohttp.ClientResponse) -> ApiError:
        if answer.status == 401:
            await self._access.refresh()
            return UnavailableError(
                401, "the API server refused our credential", reason="Unauthorized"
            )
        try:
            status = await _body(answer)
        except UnavailableError:
            status = {}
        return failure(answer.status, status, answer.headers.get("Retry-After", ""))


def failure(status: int, body: Mapping[str, Any], retry_after: str = "") -> ApiError:
    """The error of a `Status` document (an answer's body, or an ERROR event's object)."""
    classes = {404: NotFoundError, 409: ConflictError, 410: GoneError, 429: UnavailableError}
    fallback = UnavailableError if status >= 500 or status == 0 else RejectedError
    return classes.get(status, fallback)(
        status,
        str(body.get("message", ""))[:2000],
        reason=str(body.get("reason", "")),
        retry_after=float(retry_after) if retry_after.isdigit() else None,
    )


async def _body(answer: aiohttp.ClientResponse) -> Json:
    """The JSON object of an answer, up to a size that nothing legitimate reaches."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > MAXIMUM_BODY:
            raise UnavailableError(0, f"an answer of more than {MAXIMUM_BODY} bytes")
        chunks.append(chunk)
    try:
        document = orjson.loads(b"".join(chunks))
    except orjson.JSONDecodeError as error:
        raise UnavailableError(0, f"an answer that is no JSON: {error}") from error
    return document if isinstance(document, dict) else {}


def _event(line: bytes) -> WatchEvent:
    """One line of a watch; an ERROR event is raised as the error it carries."""
    document = orjson.loads(line)
    kind, body = document.get("type", ""), document.get("object") or {}
    if kind == "ERROR":
        raise failure(int(body.get("code") or 0), body)
    return WatchEvent(kind, body)


def _selection(label_selector: str, field_selector: str) -> dict[str, str]:
    asked = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in asked.items() if value}
