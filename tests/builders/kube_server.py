"""A small API server of custom resources for Kopf and the intake: lists, watches, and faults.

It serves discovery, lists (in chunks, whole or metadata alone), single objects and watches of the
kinds that it is given, and notes every request, so that a test can say that nobody wrote. On demand
it forgets what happened (410), sends errors inside streams, is away, and refuses credentials.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from foreshore_api import meta

Json = dict[str, Any]
ROOT = f"/apis/{meta.GROUP}/{meta.VERSION}"


@dataclass
class KubeServer:
    """Objects of some kinds behind HTTP."""

    models: Sequence[type[meta.Resource]]
    token: str = "first"
    is_down: bool = False
    refuses: bool = False
    """Whether every credential is answered with 401."""
    forgets: bool = False
    """Whether a watch from any version is answered with 410."""
    holds: bool = False
    """Whether watches deliver nothing: a dead stream that nobody closed."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""
    _objects: dict[str, dict[tuple[str, str], Json]] = field(default_factory=dict)
    _events: dict[str, list[Json]] = field(default_factory=dict)
    _revisions: Any = field(default_factory=lambda: itertools.count(1))
    _revision: int = 1
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _streams: int = 0
    """Grows when streams are to end."""

    def watches_of(self, plural: str) -> int:
        """How often a watch of a kind was begun."""
        return sum(path == f"{ROOT}/{plural}?watch" for _, path in self.requests)

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Requests that are no reads."""
        return [request for request in self.requests if request[0] != "GET"]

    async def put(self, model: type[meta.Resource], name: str, **more: Any) -> Json:
        """Create or change an object."""
        kept = self._objects.setdefault(model.plural, {})
        namespace = "hq" if model.scope == "Namespaced" else ""
        before = kept.get((namespace, name))
        document = {
            "apiVersion": f"{meta.GROUP}/{meta.VERSION}",
            "kind": model.kind,
            **more,
            "metadata": {
                "name": name,
                **({"namespace": namespace} if namespace else {}),
                "uid": before["metadata"]["uid"] if before else f"{name}-{self._revision + 1}",
                **more.get("metadata", {}),
                "resourceVersion": str(self._next()),
            },
        }
        kept[namespace, name] = document
        await self._tell(model.plural, "MODIFIED" if before else "ADDED", document)
        return document

    async def delete(self, model: type[meta.Resource], name: str) -> None:
        """Delete an object."""
        namespace = "hq" if model.scope == "Namespaced" else ""
        document = self._objects[model.plural].pop((namespace, name))
        metadata = {**document["metadata"], "resourceVersion": str(self._next())}
        await self._tell(model.plural, "DELETED", {**document, "metadata": metadata})

    async def fail_streams(self, code: int) -> None:
        """End every stream with an error inside it."""
        for model in self.models:
            await self.fail_stream(model, code)
        await self.end_streams()

    async def fail_stream(self, model: type[meta.Resource], code: int) -> None:
        """Send an error inside the streams of a kind."""
        status = {"kind": "Status", "code": code, "message": "etcdserver: leader changed"}
        await self._tell(model.plural, "ERROR", status)

    async def end_streams(self) -> None:
        """Close every stream in the ordinary way."""
        async with self._news:
            self._streams += 1
            self._news.notify_all()

    def compact(self) -> None:
        """Forget what happened: only lists tell now."""
        self._events.clear()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The server's address."""
        application = web.Application(middlewares=[self._gate])
        application.router.add_get("/{tail:.*}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            yield self.url
        finally:
            await self.end_streams()
            await runner.cleanup()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        mark = "?watch" if "watch" in request.query else ""
        self.requests.append((request.method, request.path + mark))
        if self.is_down:
            return _status(503, "away")
        if self.refuses or request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "who are you")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if not path.startswith(f"{ROOT}/"):
            return self._discovery(path)
        parts = path.removeprefix(f"{ROOT}/").split("/")
        namespace = parts[1] if parts[0] == "namespaces" else ""
        parts = parts[2:] if namespace else parts
        if len(parts) == 2:
            document = self._objects.get(parts[0], {}).get((namespace, parts[1]))
            return web.json_response(document) if document else _status(404, path)
        if "watch" in request.query:
            return await self._watch(request, parts[0])
        return self._list(request, parts[0])

    def _discovery(self, path: str) -> web.Response:
        ours = [
            _resource(model.plural, model.kind, namespaced=model.scope == "Namespaced")
            for model in self.models
        ]
        crds = _resource("customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
        served = {
            ROOT: ours,
            "/apis/apiextensions.k8s.io/v1": [crds],
            "/api/v1": [_resource("namespaces", "Namespace", namespaced=False)],
        }
        groups = [_group(meta.GROUP, meta.VERSION), _group("apiextensions.k8s.io", "v1")]
        answers: Json = {"/api": {"versions": ["v1"]}, "/apis": {"groups": groups}}
        answers |= {place: {"resources": resources} for place, resources in served.items()}
        return web.json_response(answers[path]) if path in answers else _status(404, path)

    def _list(self, request: web.Request, plural: str) -> web.Response:
        first = int(request.query.get("continue") or 0)
        limit = int(request.query.get("limit") or 0) or 10**9
        every = list(self._objects.get(plural, {}).values())
        items = every[first : first + limit]
        if "PartialObjectMetadata" in request.headers.get("Accept", ""):
            items = [{"metadata": item["metadata"]} for item in items]
        rest = str(first + limit) if len(every) > first + limit else ""
        metadata = {"resourceVersion": str(self._revision), "continue": rest}
        return web.json_response({"kind": "List", "metadata": metadata, "items": items})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion") or 0)
        answer = web.StreamResponse()
        await answer.prepare(request)
        if self.forgets:
            gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
            await answer.write(_line("ERROR", gone))
            return answer
        generation = self._streams
        with contextlib.suppress(ConnectionError):
            while self._streams == generation:
                async with self._news:
                    fresh = [] if self.holds else self._after(plural, since)
                    if not fresh:
                        await self._news.wait()
                        continue
                for event in fresh:
                    since = event["at"]
                    await answer.write(_line(event["type"], event["object"]))
            for event in [] if self.holds else self._after(plural, since):
                await answer.write(_line(event["type"], event["object"]))
        return answer

    def _after(self, plural: str, since: int) -> list[Json]:
        return [event for event in self._events.get(plural, []) if event["at"] > since]

    def _next(self) -> int:
        self._revision += 1
        return self._revision

    async def _tell(self, plural: str, type_: str, document: Json) -> None:
        at = self._revision if type_ != "ERROR" else self._next()
        event = {"at": at, "type": type_, "object": document}
        self._events.setdefault(plural, []).append(event)
        async with self._news:
            self._news.notify_all()


def _resource(plural: str, kind: str, *, namespaced: bool) -> Json:
    names = {"name": plural, "singularName": kind.lower(), "kind": kind}
    return {**names, "namespaced": namespaced, "verbs": ["get", "list", "watch"]}


def _group(name: str, version: str) -> Json:
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def _line(type_: str, document: Json) -> bytes:
    return json.dumps({"type": type_, "object": document}).encode() + b"\n"


def _status(code: int, message: str) -> web.Response:
    document = {"kind": "Status", "code": code, "message": message}
    return web.json_response(document, status=code)
