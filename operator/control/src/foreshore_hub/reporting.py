"""Takes reports that are right past the framework: they are nearly all that agents send.

    a report of the caller's own node, JSON, valid ► the fleet's evidence ──► 204
    anything else ──────────────────────────────────► the route of `door`, which says what is amiss

A thousand agents report every two seconds, and finding the route, its arguments and its answer took
longer than reading and validating the body. `door` puts this in front of its routes. The bounds are
those of `guard`, the model is the route's, and nothing is refused here.
"""

import re
from collections.abc import Callable
from typing import Any, Final, Protocol

import pydantic
from starlette import types

from foreshore_api.wire import report
from foreshore_hub import authn, fleet, guard

PATH: Final = re.compile(r"/v1/agents/([^/]+)/report")
TAKEN: Final = 204
JSON: Final = b"application/json"


class AgentAccounts(Protocol):
    """Which service accounts are agents'."""

    @property
    def agent(self) -> str:
        """Their user name."""


class ReportTaker(Protocol):
    """What `door` works with, as far as a report needs it."""

    @property
    def accounts(self) -> AgentAccounts:
        """Who may report."""

    @property
    def fleet(self) -> fleet.FleetEvidence:
        """What is known of agents."""

    @property
    def clock(self) -> Callable[[], float]:
        """Monotonic seconds."""


class PlainReports:
    """An ASGI application in front of the door's routes."""

    def __init__(self, app: types.ASGIApp, desk: ReportTaker) -> None:
        self._app: Final = app
        self._desk: Final = desk

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Take a report that is right, or pass the request on."""
        node = self._reporting(scope)
        if node is None:
            await self._app(scope, receive, send)
            return
        body = await guard.read(receive, report.MAXIMUM_BYTES)
        facts = readable(body)
        if facts is None or facts.node != node:
            await self._app(scope, guard.replayed(body, receive), send)
            return
        self._desk.fleet.note_report(facts, self._desk.clock())
        await send({"type": "http.response.start", "status": TAKEN, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _reporting(self, scope: types.Scope) -> str | None:
        """Return the node of which its own agent is about to report, in JSON."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        path = PATH.fullmatch(scope["path"])
        if path is None or content_type(scope) != JSON:
            return None
        caller: authn.Caller = scope["state"]["identity"]
        is_own = caller.username == self._desk.accounts.agent and caller.node == path[1]
        return caller.node if is_own else None


def content_type(scope: types.Scope) -> bytes:
    """Return what a request says its body is; nothing where it says so twice."""
    named: list[Any] = [value for name, value in scope["headers"] if name == b"content-type"]
    return named[0] if len(named) == 1 else b""


def readable(body: bytes) -> report.Report | None:
    """Return the report that a body is; None where it is none.

    Pydantic reads the JSON itself: so short texts that it has read lately (namespaces, devices,
    policies, nodes) are one object in all reports, which orjson makes for each line. In a field
    that nobody knows it lets NaN pass, which the route refuses: nothing of such a field is kept.
    """
    try:
        return report.Report.decode(body)
    except pydantic.ValidationError:
        return None
