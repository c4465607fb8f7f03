"""One rehearsal from beginning to end; the verb calls it.

Plan ──► model's servers, journal ──► driver plays every row ──► summary
   └──────── --live: `live` plays them over a broker ──────────────┘
"""

import asyncio
import contextlib
import hashlib
import logging
import shutil
import signal
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

import orjson
import uvloop
from rich import console

from foreshore_agent import exits, inspection, journal, logs, settings
from foreshore_agent.folder import folder
from foreshore_agent.hosting import children, hosts, marks, models, residents
from foreshore_agent.inference import pool
from foreshore_agent.journal import reader
from foreshore_agent.journal.room import MEBIBYTE, Quotas
from foreshore_agent.play import device as played_device
from foreshore_agent.play import notices, recording, stage
from foreshore_agent.rehearse import clock, driver, live, mosquitto, ports, score, view
from foreshore_agent.rehearse import plan as planning
from foreshore_agent.runtime import process
from foreshore_api import printable, scalars
from foreshore_api.reasons import serving
from foreshore_api.wire import assignment, report
from foreshore_decision import assignment as compiling
from foreshore_decision import explain, fencing

_MARK: Final = "rehearsal"
"""File that says that a state directory is a rehearsal's and may be replaced."""
_QUOTAS: Final = Quotas(ballast=MEBIBYTE, log=0)
_Endpoints = Mapping[compiling.Name, tuple[assignment.Endpoint, ...]]


class NoDecisionError(RuntimeError):
    """It ran, and no row came to a decision; the text says why."""


USAGE_ERRORS: Final = (
    planning.RehearsalError,
    stage.StageError,
    recording.RecordingError,
    mosquitto.NoMosquittoError,
)
FAILURES: Final = (NoDecisionError, ports.UnfinishedError, journal.JournalFull, OSError)


def rehearse(request: planning.RehearsalRequest) -> None:
    """Rehearse, and print the summary. Raises USAGE_ERRORS, FAILURES."""
    logs.configure(logging.WARNING, logs.SHORT)
    process.collect_rarely()
    plan = planning.make(request)
    notices.say(plan.notes)
    notices.echo(plan.rows, plan.played.zone)
    if request.is_live:
        mosquitto.find()
    _clear(request)
    ended: Exception | None = None  # raised below: Python before 3.11.4 wraps what is raised there
    try:
        summary = uvloop.run(_summarise(plan))
    except* (folder.FolderError, planning.RehearsalError, recording.RecordingError) as group:
        ended = planning.RehearsalError(_text(group))
    except* ports.UnfinishedError as group:
        ended = ended or ports.UnfinishedError(_text(group))
    except* asyncio.CancelledError:
        ended = ended or planning.RehearsalError("ended before the recording did")
    if ended is not None:
        raise ended
    if request.is_json:
        document = orjson.dumps(summary.document(), option=orjson.OPT_INDENT_2).decode()
        print(printable.escaped(document))  # noqa: T201
    else:
        view.render(summary, console.Console())
    if score.is_undecided(summary):
        raise NoDecisionError(_why_undecided(plan, summary))


def _text(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_text, error.exceptions))
    return str(error)


def _clear(request: planning.RehearsalRequest) -> None:
    """Make the directory ours: new, empty, or an earlier rehearsal's. Raises RehearsalError."""
    state, mark = request.state, request.state / _MARK
    if state.exists() and any(state.iterdir()):
        if not mark.exists():
            raise planning.RehearsalError(
                f"{state} is not empty and no rehearsal's: choose another directory, so that"
                " records of a real agent are never mixed with rehearsed ones"
            )
        for read in (request.csv, request.resources, request.models, request.credentials):
            if read is not None and read.resolve().is_relative_to(state.resolve()):
                raise planning.RehearsalError(
                    f"{read} lies in {state}, which is emptied before a rehearsal: choose another"
                    " directory for --state"
                )
        shutil.rmtree(state)
    state.mkdir(parents=True, exist_ok=True)
    mark.write_text("This directory holds a rehearsal; the next one replaces it.\n")


async def _summarise(plan: planning.RehearsalPlan) -> score.Summary:
    request, here = plan.request, asyncio.current_task()
    if here is not None:  # asked to end: leave no broker and no server behind
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, here.cancel)
    counts = score.Score(
        has_truth=request.truth is not None, true_value=plan.true_value, is_live=request.is_live
    )
    skipped = await (live.rehearse(plan, counts) if request.is_live else _play(plan, counts))
    measured = None
    if request.is_live or request.has_latencies:
        budgets = {
            f"{policy.namespace}/{policy.name}": scalars.seconds(policy.spec.latency_budget)
            for policy in plan.policies
        }
        measured = score.Measured(counts.real_seconds, score.latencies(counts.stages, budgets))
    return counts.summary(skipped, measured)


async def _play(plan: planning.RehearsalPlan, counts: score.Score) -> dict[str, int]:
    """Rehearse on a clock that stands still; return what led to no decision, by why."""
    bare = _compiled(plan, {})
    for denial in compiling.denials(bare):
        exits.say(denial)
    seed = _seed(plan, bare)
    at = clock.FrozenClock(plan.origin, seed)
    book = await journal.Journal.open(
        plan.request.state,
        quotas=_QUOTAS,
        is_collected=False,
        now=at.now,
        identity=clock.constant(seed, b"journal"),
    )
    log = played_device.DeviceLog(plan.request.state / "device.jsonl")
    try:
        async with _served(plan, bare) as (endpoints, replicas):
            assigned = _compiled(plan, endpoints)
            replicas.assign(assigned.policies)
            questions = ports.Questions(replicas, counts)
            made = driver.Driver(plan.played, at, log, ports.JournalQueue(book), questions, counts)
            if problems := made.begin(assigned):
                raise _refusal(problems)
            await _rows(plan, made, at, counts)
            return score.refused(made.meters.registry)
    finally:
        log.close()
        await book.close()


async def _rows(
    plan: planning.RehearsalPlan, made: driver.Driver, at: clock.FrozenClock, counts: score.Score
) -> None:
    """Play every row; `--speed` makes the machine wait between two, and changes nothing else."""
    speed, began = plan.request.speed, time.monotonic()
    try:
        with view.RehearsalView(plan, counts, made.device) as shown:
            for row in plan.rows:
                if speed and row.time is not None:
                    due = began + (row.time - plan.origin).total_seconds() / speed
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                await made.row(row)
                shown.show(at.now())
            await made.finish()
    except ports.UnfinishedError as error:
        raise ports.UnfinishedError(f"row {counts.rows} of {plan.rows.rows}: {error}") from error


def _compiled(plan: planning.RehearsalPlan, endpoints: _Endpoints) -> assignment.Assignment:
    """Compile what the agent of a folder would be assigned. Raises RehearsalError."""
    device = plan.played.device
    epoch = fencing.next_epoch(0, plan.origin.timestamp())
    grants = {(device.namespace, device.name): (driver.NODE, epoch)}
    made = compiling.compile(
        plan.resources,
        driver.NODE,
        site=plan.played.site.name,
        given=compiling.LocalStatuses(endpoints=endpoints, grants=grants),
    )
    if made.problems:
        raise _refusal(made.problems)
    return made.assignment


def _seed(plan: planning.RehearsalPlan, bare: assignment.Assignment) -> bytes:
    """Return what every identity of this rehearsal follows from: resources and recording."""
    drawn = hashlib.sha256(compiling.digest_of(bare).encode())
    with plan.request.csv.open("rb") as file:
        drawn.update(hashlib.file_digest(file, "sha256").digest())
    return drawn.digest()


@contextlib.asynccontextmanager
async def _served(
    plan: planning.RehearsalPlan, assigned: assignment.Assignment
) -> AsyncIterator[tuple[_Endpoints, pool.Pool]]:
    """Serve every model as the agent would, here or in a child; say where, and who asks.

    Raises RehearsalError.
    """
    request = plan.request
    stores = models.Stores(request.resources, request.credentials)
    wanted = {
        (policy.namespace, policy.name): stores.wanted(policy.model)
        for policy in assigned.policies
        if policy.model is not None
    }
    folder_of_models = request.models or request.resources
    here = residents.prepared(
        request.state, folder_of_models, settings.DEFAULT_MODEL_MEMORY_MIB, _unmarked()
    )
    replicas = pool.Pool(here.runner)
    async with asyncio.TaskGroup() as tasks:
        hosted = hosts.Hosts(here, children.Children(request.state, folder_of_models), tasks)
        try:
            running = hosted.start(dict.fromkeys(wanted.values()))
            await _loaded(hosted, running)
            yield {name: (_endpoint(running[model]),) for name, model in wanted.items()}, replicas
        finally:
            replicas.close()
            hosted.stop()


def _unmarked() -> marks.UncleanEnds:
    """Return marks that are not kept: a rehearsal that ends is begun anew by a person."""

    async def forget(_key: str, _value: bytes) -> None: ...

    return marks.UncleanEnds(forget, "", {})


async def _loaded(
    hosted: hosts.Hosts, running: Mapping[hosts.WantedModel, hosts.HostedModel]
) -> None:
    """Wait until every model is served. Raises RehearsalError."""
    until = time.monotonic() + planning.LOAD_SECONDS
    while True:
        await hosted.settle(running, planning.WAIT_SECONDS)
        waiting = [
            f"{host.config.version}: {_trouble(host)}"
            for host in running.values()
            if not host.has_served
        ]
        if not waiting:
            return
        if any(map(_is_refused, running.values())):
            raise planning.RehearsalError("\n  ".join(("a model cannot be served:", *waiting)))
        if time.monotonic() > until:
            raise planning.RehearsalError(
                "\n  ".join(
                    (f"a model is not served after {planning.LOAD_SECONDS:.0f} s:", *waiting)
                )
            )
        exits.say(f"waiting for {'; '.join(waiting)}")


def _is_refused(host: hosts.HostedModel) -> bool:
    """Whether a model will not be served here, however long a rehearsal waits."""
    is_elsewhere = host.trouble is not None and host.trouble.reason in serving.OF_THE_NODE
    return is_elsewhere or host.phase is children.ChildPhase.REFUSED


def _trouble(host: hosts.HostedModel) -> str:
    if host.trouble is None:
        return "it is still loading"
    return str(host.trouble)


def _endpoint(host: hosts.HostedModel) -> assignment.Endpoint:
    return assignment.Endpoint(
        slot="a0",
        role=assignment.Role.ACTIVE,
        node=driver.NODE,
        url=host.url,
        version=host.config.version,
        digest=host.config.digest,
    )


def _refusal(problems: tuple[report.Problem, ...]) -> planning.RehearsalError:
    lines = ("it cannot begin:", *map(inspection.line, problems))
    return planning.RehearsalError("\n  ".join(lines))


def _why_undecided(plan: planning.RehearsalPlan, summary: score.Summary) -> str:
    """Say why no row came to a decision, with the newest record that there is."""
    cause = score.undecided(summary)
    with reader.open_reader(plan.request.state) as records:
        newest = records.last_decision(reader.Filters())
        if newest is None:
            return cause
        explained = explain.of_events(records.about(newest), newest)
    return f"{cause}\n  the newest: " + "\n  ".join(explain.summary(explained))
