"""The agents' door: assignments down, records, reports and renewals up, evidence for the operator.

`main` puts it behind `guard.Guard` on a TLS listener. An agent's token is bound to a node, and that
node's assignment, records and report are all it reaches; a renewal may be asked for on behalf of
any node of the same site, because holders that cannot reach the hub are heard through their peers.
"""

import asyncio
import http
import logging
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import fastapi
import orjson
import pydantic
from fastapi import exceptions, routing
from starlette import exceptions as http_exceptions
from starlette import types

from foreshore_api import conditions
from foreshore_api.wire import assignment, beat, document, record, report
from foreshore_api.wire import evidence as evidence_wire
from foreshore_hub import (
    assigning,
    authn,
    deltas,
    fleet,
    guard,
    ingest,
    measures,
    renewals,
    reporting,
    store,
    world,
)

log = logging.getLogger(__name__)

MAXIMUM_WAIT: Final = 60.0
MAXIMUM_BODIES: Final = {
    "records": record.MAXIMUM_BATCH_BYTES,
    "report": report.MAXIMUM_BYTES,
    "renewals": 256 << 10,
}
"""Largest body by the last part of a path; every other path takes none."""
RATE: Final = guard.Rate(per_second=50.0, burst=200.0)
"""What one node may ask: two-second reports, group-committed records, renewals for a site."""
UNREADABLE: Final = 1_000
"""Devices whose reading failed that are remembered, so that each is logged once."""
COMPILE_SECONDS: Final = 1.0
"""How long records wait for the first assignment of their node to be compiled."""
COALESCE_SECONDS: Final = 0.25
"""Reports that arrive together make one answer to the operator."""
_WAIT: Final = re.compile(r"([0-9]{1,3})s")
_GZIP: Final = re.compile(r"(?:^|,) *gzip *(?:,|$)")
"""In an Accept-Encoding; who takes it under a condition gets plain bytes."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Which service accounts may do what, as `system:serviceaccount:<namespace>:<name>`."""

    agent: str
    operator: str


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes work with."""

    accounts: Accounts
    assigning: assigning.Assigning
    fleet: fleet.FleetEvidence
    store: store.RecordStore
    world: world.World
    measured: measures.Measures
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    unreadable: dict[renewals.Device, str] = field(default_factory=dict)
    """Devices that could not be read, and why: logged once."""


def account(written: str) -> str:
    """Return the user name of a service account given as `namespace/name`."""
    namespace, _, name = written.partition("/")
    return f"system:serviceaccount:{namespace}:{name}"


def build(desk: Desk, authenticator: authn.Authenticator) -> types.ASGIApp:
    """Return the door with its guard."""
    return guard.Guard(
        routes(desk),
        authenticator=authenticator,
        limiter=guard.Limiter(RATE, desk.clock),
        open_paths=frozenset({"/openapi.json"}),
        maximum_bodies=MAXIMUM_BODIES,
        measured=desk.measured,
    )


class RequestRefusal(pydantic.BaseModel):
    """Why a request was refused: a code for programs, a sentence for people."""

    reason: str
    message: str


REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"model": RequestRefusal, "description": description}
    for code, description in (
        (400, "The body is no batch without holes, or nested too deeply."),
        (401, "No token, or one that is not valid here."),
        (403, "The token's account or node may not ask this."),
        (408, "The body did not arrive in time."),
        (409, "The journal holds other bytes under an acknowledged number."),
        (413, "The body is too large."),
        (422, "The body is not of the documented shape."),
        (429, "Too many requests of one node; Retry-After says how long to wait."),
        (503, "Not now: no assignment yet, no store, or a token that nobody can review."),
    )
}
"""Every route's refusals, for the description that the door serves."""

Wait = Annotated[str, fastapi.Query(pattern=r"^[0-9]{1,3}s$", description="How long to wait.")]
Revision = Annotated[int, fastapi.Query(ge=0, le=document.LARGEST, description="What is known.")]
Since = Annotated[
    int | None,
    fastapi.Query(
        ge=0,
        le=document.LARGEST,
        description="Revision after which to say what changed, in lines; 0 for everything.",
    ),
]
Boot = Annotated[
    str, fastapi.Query(max_length=128, description="bootId of the hub that counted the revision.")
]


class StrictRequest(fastapi.Request):
    """A request whose body is JSON as the standard has it.

    The reader that comes with the framework takes NaN, other encodings and halves of surrogate
    pairs, and none of these can be written again for those who are told of the body.
    """

    async def json(self) -> Any:
        """Return the body's content. Raises orjson.JSONDecodeError."""
        return orjson.loads(await self.body())


class StrictRoute(routing.APIRoute):
    """A route that reads its body strictly."""

    def get_route_handler(
        self,
    ) -> Callable[[fastapi.Request], Coroutine[Any, Any, fastapi.Response]]:
        """Return the handler."""
        handler = super().get_route_handler()

        async def strict(request: fastapi.Request) -> fastapi.Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def routes(desk: Desk) -> fastapi.FastAPI:  # noqa: C901 - one route after the other
    """Return the door's routes; they trust `request.state.identity`."""
    app = fastapi.FastAPI(
        title="Foreshore hub",
        version="v1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=REFUSALS,
    )
    app.add_exception_handler(guard.RefusedError, _on_refused(desk))
    app.add_exception_handler(store.StoreUnavailableError, _on_unavailable(desk))
    app.add_exception_handler(exceptions.RequestValidationError, _on_invalid(desk))
    app.add_exception_handler(http_exceptions.HTTPException, _on_unknown(desk))
    app.router.route_class = StrictRoute
    app.add_middleware(reporting.PlainReports, desk=desk)

    @app.get("/v1/agents/{node}/assignment", response_model=assignment.Assignment)
    async def get_assignment(
        request: fastapi.Request, node: str, wait: Wait = "0s"
    ) -> fastapi.Response:
        """Wait for an assignment other than If-None-Match names; 304 when there is none."""
        _require_agent(desk, request, node)
        etag = request.headers.get("if-none-match", "").strip('"') or None
        assigned = await desk.assigning.wait(node, etag, seconds(wait))
        if assigned is None:
            raise guard.RefusedError(503, "NotCompiled", f"node {node} is not known yet", 2)
        headers = {"etag": f'"{assigned.digest}"', "vary": "accept-encoding"}
        if assigned.digest == etag:
            return fastapi.Response(status_code=304, headers=headers)
        if _GZIP.search(request.headers.get("accept-encoding", "")):
            return _json(assigned.compressed, {**headers, "content-encoding": "gzip"})
        return _json(assigned.json(), headers)

    @app.post("/v1/agents/{node}/records", response_model=record.BatchAnswer)
    async def post_records(
        request: fastapi.Request, node: str, batch: record.Batch
    ) -> fastapi.Response:
        """Commit records; everything up to the acknowledged number may be forgotten."""
        _require_agent(desk, request, node)
        return _json((await commit(desk, node, batch)).encode())

    @app.post("/v1/agents/{node}/report", status_code=204)
    async def post_report(
        request: fastapi.Request, node: str, facts: report.Report
    ) -> fastapi.Response:
        """Take an agent's facts about itself."""
        _require_agent(desk, request, node)
        if facts.node != node:
            raise guard.RefusedError(403, "AnotherNode", "a node reports of itself only")
        desk.fleet.note_report(facts, desk.clock())
        return fastapi.Response(status_code=204)

    @app.post("/v1/renewals", response_model=beat.Renewal)
    async def post_renewals(
        request: fastapi.Request, asked: beat.RenewalRequest
    ) -> fastapi.Response:
        """Say whether a holder may go on; any agent of its site may ask for it."""
        _require_same_site(desk, request, asked.node)
        return _json((await renew(desk, asked)).encode())

    @app.get("/v1/fleet", response_model=report.Fleet)
    async def get_fleet(
        request: fastapi.Request,
        wait: Wait = "0s",
        revision: Revision = 0,
        since: Since = None,
        boot: Boot = "",
    ) -> fastapi.Response:
        """Wait for evidence newer than a revision; for the operator's account only.

        With `since` a FleetDelta and lines of FleetPart, without it a whole Fleet.
        """
        _require_operator(desk, request)
        if since is None:
            return _json((await evidence(desk, revision, seconds(wait))).encode())
        lines = await changed_evidence(desk, since, boot, seconds(wait))
        return fastapi.Response(lines, media_type=evidence_wire.CONTENT_TYPE)

    return app


async def commit(desk: Desk, node: str, batch: record.Batch) -> record.BatchAnswer:
    """Commit a batch of a node's journal.

    A hub whose store is new takes none before it knows where the node's records belong: what was
    stored before would be shown to nobody, and the agent keeps what is not acknowledged.

    Raises:
        guard.RefusedError: nothing was committed.
    """
    if await desk.assigning.wait(node, None, COMPILE_SECONDS) is None:
        message = f"where the records of node {node} belong is not known yet"
        raise guard.RefusedError(503, "NotCompiled", message, 2)
    try:
        acknowledged, added, flaws = await desk.store.append(node, batch)
    except store.ForeignJournalError as error:
        raise guard.RefusedError(403, "ForeignJournal", str(error)) from error
    except ingest.ForkedError as error:
        raise guard.RefusedError(409, "JournalForked", str(error)) from error
    except ValueError as error:
        raise guard.RefusedError(400, "NotContiguous", str(error)) from error
    desk.measured.committed(added)
    if flaws:
        desk.measured.refused("ChainBroken")
        log.warning("journal %s of %s: %d records do not fit its chain, or their bodies are gone"
                    " and no record says why", batch.journal, node, flaws)  # fmt: skip
    return record.BatchAnswer(journal=batch.journal, acknowledged=acknowledged)


async def renew(desk: Desk, asked: beat.RenewalRequest) -> beat.Renewal:
    """Answer a renewal request; what the ledger must keep is kept before the answer leaves."""
    now = desk.clock()
    answers: list[beat.RenewedDevice] = []
    changed: dict[renewals.Device, renewals.RenewedHolder] = {}
    must_keep: dict[renewals.Device, renewals.RenewedHolder] = {}
    for held in asked.held:
        device = (held.namespace, held.device)
        answer = answered(desk, asked.node, held, now)
        if answer.changed is not None:
            changed[device] = answer.changed
            must_keep |= {device: answer.changed} if answer.must_keep else {}
        answers.append(
            beat.RenewedDevice(
                namespace=held.namespace,
                device=held.device,
                epoch=answer.epoch,
                standing=answer.standing,
            )
        )
    desk.fleet.note_renewals(changed)
    await desk.store.renew(must_keep)
    return beat.Renewal(
        node=asked.node, boot_id=asked.boot_id, number=asked.number, devices=tuple(answers)
    )


def answered(desk: Desk, holder: str, held: beat.Held, now: float) -> renewals.RenewalAnswer:
    """Answer for one device; one that cannot be read is renewed to nobody, and stops no other."""
    device = (held.namespace, held.device)
    try:
        return renewals.answer(holder, held.epoch, knowledge(desk, device), now)
    except Exception as error:
        desk.measured.refused("DeviceUnreadable")
        why = type(error).__name__
        if desk.unreadable.get(device) != why:
            log.exception("device %s/%s is renewed to nobody", *device)
        while len(desk.unreadable) >= UNREADABLE:
            desk.unreadable.pop(next(iter(desk.unreadable)))
        desk.unreadable[device] = why
        return renewals.RenewalAnswer(beat.RenewalStanding.UNKNOWN, 0)


def knowledge(desk: Desk, device: renewals.Device) -> renewals.Knowledge:
    """Gather what the hub knows of a device; an epoch that nobody can have granted is nothing."""
    now = desk.wall_clock()
    last = desk.fleet.last_renewal(device)
    named = desk.world.named(device, last)
    return renewals.Knowledge(
        named=named if named is not None and beat.is_believable(named.epoch, now) else None,
        is_synced=desk.world.is_synced,
        last=last if last is not None and beat.is_believable(last.epoch, now) else None,
        started_at=desk.fleet.started_at,
        given_back=desk.fleet.given_back(device),
    )


async def evidence(desk: Desk, revision: int, wait: float) -> report.Fleet:
    """Return the fleet once it is newer than a revision, or when time is up."""
    try:
        async with asyncio.timeout(wait):
            while desk.fleet.revision == revision:
                await desk.fleet.changed.wait()
            await asyncio.sleep(COALESCE_SECONDS if revision else 0)
    except TimeoutError:
        pass
    desk.fleet.note_problems(desk.assigning.problems())
    return desk.fleet.evidence(desk.clock())


async def changed_evidence(desk: Desk, since: int, boot_id: str, wait: float) -> bytes:
    """Return what changed of the fleet since a revision, at once where everything is due."""
    base = deltas.base(desk.fleet, since, boot_id)
    if base:
        await deltas.news(desk.fleet, base, wait)
    desk.fleet.note_problems(desk.assigning.problems())
    return deltas.answer(desk.fleet, deltas.base(desk.fleet, base, boot_id), desk.clock())


def seconds(wait: str) -> float:
    """Return the seconds of `30s`, at most a minute."""
    match = _WAIT.fullmatch(wait)
    return min(float(match[1]), MAXIMUM_WAIT) if match else 0.0


def _require_agent(desk: Desk, request: fastapi.Request, node: str) -> None:
    identity: authn.Caller = request.state.identity
    if identity.username != desk.accounts.agent or identity.node is None:
        raise guard.RefusedError(403, "NotAnAgent", "this token is not an agent's")
    if identity.node != node:
        raise guard.RefusedError(403, "AnotherNode", "this token belongs to another node")


def _require_same_site(desk: Desk, request: fastapi.Request, holder: str) -> None:
    identity: authn.Caller = request.state.identity
    if identity.username != desk.accounts.agent or identity.node is None:
        raise guard.RefusedError(403, "NotAnAgent", "this token is not an agent's")
    if identity.node == holder:
        return
    own = site_of(desk, identity.node)
    if own is None or own != site_of(desk, holder):
        raise guard.RefusedError(403, "AnotherSite", "the holder is of another site")


def _require_operator(desk: Desk, request: fastapi.Request) -> None:
    identity: authn.Caller = request.state.identity
    if identity.username != desk.accounts.operator:
        raise guard.RefusedError(403, "NotTheOperator", "the fleet is the operator's to read")


def site_of(desk: Desk, node: str) -> str | None:
    """Return the site of a node: its label, or what it was last assigned."""
    if (seen := desk.world.node(node)) is not None:
        return seen.site
    assigned = desk.assigning.current(node)
    return assigned.site.site if assigned is not None and assigned.site is not None else None


def _json(body: bytes, headers: dict[str, str] | None = None) -> fastapi.Response:
    return fastapi.Response(body, media_type="application/json", headers=headers)


def _on_refused(desk: Desk) -> Any:
    async def answer(_: fastapi.Request, error: guard.RefusedError) -> fastapi.Response:
        desk.measured.refused(error.reason)
        headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
        content = {"reason": error.reason, "message": error.message}
        return fastapi.responses.JSONResponse(content, error.status, headers)

    return answer


def _on_unknown(desk: Desk) -> Any:
    """Say in our own form what the framework refuses: no such path or method, a body of no kind."""

    async def answer(_: fastapi.Request, error: http_exceptions.HTTPException) -> fastapi.Response:
        reason = "".join(http.HTTPStatus(error.status_code).phrase.title().split())
        desk.measured.refused(reason)
        content = {"reason": reason, "message": str(error.detail)}
        return fastapi.responses.JSONResponse(content, error.status_code, error.headers)

    return answer


def _on_unavailable(desk: Desk) -> Any:
    """Nothing was committed: the agent keeps what it has and tries again."""

    async def answer(_: fastapi.Request, error: store.StoreUnavailableError) -> fastapi.Response:
        desk.measured.refused(conditions.Reason.STORE_UNAVAILABLE)
        log.error("the store cannot be written: %s", error.__cause__)
        content = {
            "reason": conditions.Reason.STORE_UNAVAILABLE,
            "message": "the store cannot be written",
        }
        return fastapi.responses.JSONResponse(content, 503, {"retry-after": "5"})

    return answer


def _on_invalid(desk: Desk) -> Any:
    """Say where a body is wrong without sending it back."""

    async def answer(
        _: fastapi.Request, error: exceptions.RequestValidationError
    ) -> fastapi.Response:
        desk.measured.refused(conditions.Reason.INVALID)
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'])[:200]}: {fault['msg'][:200]}"
            for fault in error.errors()[:5]
        ]
        content = {"reason": conditions.Reason.INVALID, "message": "; ".join(faults)}
        return fastapi.responses.JSONResponse(content, 422)

    return answer
