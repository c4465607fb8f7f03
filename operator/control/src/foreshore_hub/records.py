"""The aggregated API `records.foreshore.dev/v1alpha1`: decisions, for `kubectl get decisions`.

kube-apiserver authenticates and authorises people, then passes their request on over TLS with its
front-proxy certificate; the listener takes no connection without one (`front_proxy`), so
X-Remote-User is believed here and nowhere else. A request's path names the namespace, and RBAC was
checked against that path: so every answer holds that namespace only.

Verbs are get and list. Lists come newest first, at most 500 at once.
"""

import datetime
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from starlette import applications, requests, responses, routing

from foreshore_hub import selecting, store, views

log = logging.getLogger(__name__)

_ROOT: Final = f"/apis/{views.API_VERSION}"
_READ: Final = ["GET"]

RESOURCES: Final = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": views.API_VERSION,
    "resources": [
        {
            "name": views.PLURAL,
            "singularName": "decision",
            "namespaced": True,
            "kind": views.KIND,
            "verbs": ["get", "list"],
            "shortNames": ["fsdec"],
            "categories": [],
        }
    ],
}
_SERVED: Final = {"groupVersion": views.API_VERSION, "version": views.VERSION}
API_GROUP: Final = {
    "kind": "APIGroup",
    "apiVersion": "v1",
    "name": views.GROUP,
    "versions": [_SERVED],
    "preferredVersion": _SERVED,
}
API_GROUPS: Final = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [API_GROUP]}

Handler = Callable[[requests.Request], Awaitable[responses.Response]]


class RecordRoutes:
    """The routes over a record store."""

    def __init__(
        self,
        kept: store.RecordStore,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._store: Final = kept
        self._now: Final = now

    async def get(self, request: requests.Request) -> responses.Response:
        """One decision of a namespace."""
        namespace, name = request.path_params["namespace"], request.path_params["name"]
        decisions = await self._store.find(
            store.Selection(namespace=namespace, decision=name), limit=1
        )
        if not decisions:
            details = {"name": name, "group": views.GROUP, "kind": views.PLURAL}
            message = f'{views.PLURAL}.{views.GROUP} "{name}" not found'
            return _answer(views.failure(404, "NotFound", message, details), 404)
        shown = views.decision(decisions[0])
        if (include := _wanted_table(request)) is not None:
            metadata = {"resourceVersion": shown["metadata"]["resourceVersion"]}
            return _answer(views.table([shown], self._now(), include=include, metadata=metadata))
        return _answer(shown)

    async def list(self, request: requests.Request) -> responses.Response:
        """Decisions of a namespace, or of all."""
        asked = request.query_params
        if asked.get("watch") in ("true", "1"):
            message = "decisions cannot be watched: list them with a since"
            return _answer(views.failure(405, "MethodNotAllowed", message), 405)
        if asked.get("labelSelector"):
            message = "decisions carry no labels: use a field selector"
            return _answer(views.failure(400, "BadRequest", message), 400)
        try:
            decisions, following = await self._find(request)
        except selecting.BadSelectorError as error:
            return _answer(views.failure(400, "BadRequest", str(error)), 400)
        shown = [views.decision(decision) for decision in decisions]
        newest = str(max((decision.id for decision in decisions), default=0))
        if (include := _wanted_table(request)) is not None:
            metadata = views.list_metadata(newest, following)
            return _answer(views.table(shown, self._now(), include=include, metadata=metadata))
        return _answer(views.listing(shown, newest, following))

    async def _find(
        self, request: requests.Request
    ) -> tuple[tuple[store.StoredDecision, ...], str]:
        asked = request.query_params
        chosen = selecting.selection(
            asked.get("fieldSelector", ""), request.path_params.get("namespace")
        )
        size = selecting.page(asked.get("limit", ""))
        before = selecting.place(asked.get("continue", ""))
        if chosen is None:
            return (), ""
        decisions = await self._store.find(chosen, limit=size + 1, before=before)
        if len(decisions) <= size:
            return decisions, ""
        return decisions[:size], selecting.token(decisions[size - 1])


def build(kept: store.RecordStore) -> applications.Starlette:
    """Return the aggregated API as an ASGI application."""
    served = RecordRoutes(kept)
    return applications.Starlette(
        routes=[
            routing.Route("/apis", _trusted(_constant(API_GROUPS)), methods=_READ),
            routing.Route(f"/apis/{views.GROUP}", _trusted(_constant(API_GROUP)), methods=_READ),
            routing.Route(_ROOT, _trusted(_constant(RESOURCES)), methods=_READ),
            routing.Route(f"{_ROOT}/{views.PLURAL}", _trusted(served.list), methods=_READ),
            routing.Route(
                f"{_ROOT}/namespaces/{{namespace}}/{views.PLURAL}",
                _trusted(served.list),
                methods=_READ,
            ),
            routing.Route(
                f"{_ROOT}/namespaces/{{namespace}}/{views.PLURAL}/{{name}}",
                _trusted(served.get),
                methods=_READ,
            ),
        ],
        exception_handlers={404: _unknown, 405: _unknown},
    )


def _trusted(handler: Handler) -> Handler:
    """Answer only what came through kube-apiserver with a user that it vouches for."""

    async def checked(request: requests.Request) -> responses.Response:
        if not request.scope.get("state", {}).get("is_front_proxy", False):
            message = "only the API server's front proxy is answered"
            return _answer(views.failure(401, "Unauthorized", message), 401)
        user = request.headers.get("x-remote-user", "")
        if not user:
            message = "the request names no user"
            return _answer(views.failure(401, "Unauthorized", message), 401)
        log.debug("%s %s for %s", request.method, request.url.path, user)
        return await handler(request)

    return checked


def _constant(document: dict[str, Any]) -> Handler:
    async def answer(_: requests.Request) -> responses.Response:
        return _answer(document)

    return answer


async def _unknown(request: requests.Request, _: Exception) -> responses.Response:
    return _answer(views.failure(404, "NotFound", f"{request.url.path} is not served here"), 404)


def _wanted_table(request: requests.Request) -> str | None:
    """Return which objects a Table is to include, or None when no Table is wanted."""
    for part in request.headers.get("accept", "").split(","):
        words = [word.strip() for word in part.split(";")]
        if "as=Table" in words and "g=meta.k8s.io" in words and "v=v1" in words:
            return request.query_params.get("includeObject", "Metadata")
        if words[0] == "application/json" and not any(word.startswith("as=") for word in words):
            return None
    return None


def _answer(document: dict[str, Any], status: int = 200) -> responses.Response:
    return responses.Response(orjson.dumps(document), status, media_type="application/json")
