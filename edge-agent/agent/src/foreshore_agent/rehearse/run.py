"""One rehearsal from beginning to end; the verb calls it."""

import asyncio
import contextlib
import logging
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import orjson
import uvloop
from rich import console

from foreshore_agent import manifests, resources, settings
from foreshore_agent.devices.mqtt import connection
from foreshore_agent.engine import step
from foreshore_agent.journal import reader
from foreshore_agent.link import folder
from foreshore_agent.play import player, recording, stage
from foreshore_agent.rehearse import clock, mosquitto, score, view, watch
from foreshore_agent.runtime import agent
from foreshore_api import scalars, v1alpha1
from foreshore_api.wire import metrics

READY_SECONDS: Final = 60.0
"""For the model's server to load and warm up."""
_MARGIN: Final = timedelta(milliseconds=1)
"""After a moment, so that it has surely passed."""
_MARK: Final = "rehearsal"
"""File that says that a state directory is a rehearsal's and may be replaced."""


class RehearsalError(RuntimeError):
    """It cannot be rehearsed as asked; the text says what would help."""


USAGE_ERRORS: Final = (
    RehearsalError,
    stage.StageError,
    recording.RecordingError,
    mosquitto.NoMosquittoError,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What the person asked for."""

    resources: Path
    state: Path
    device: str
    csv: Path
    time_column: str | None
    mapped: tuple[str, ...]
    truth: str | None
    speed: float
    models: Path | None
    credentials: Path | None
    is_json: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that is known before anything runs."""

    request: Request
    played: stage.Stage
    rows: recording.Recording
    policies: tuple[v1alpha1.DecisionPolicy, ...]
    origin: datetime
    true_value: str | None


@dataclass(slots=True)
class _Run:
    """What happened, row by row."""

    times: list[datetime]
    truths: list[str]
    unread: int = 0
    unsent: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    started: float = 0.0


def rehearse(request: Request) -> None:
    """Rehearse, and print the summary. Raises USAGE_ERRORS, OSError."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    plan = _plan(request)
    mosquitto.find()
    _clear(request.state)
    try:
        summary = uvloop.run(_rehearse(plan))
    except* folder.FolderError as group:
        raise RehearsalError("; ".join(str(each) for each in group.exceptions)) from group
    except* asyncio.CancelledError:
        raise RehearsalError("ended before the recording did") from None
    if request.is_json:
        print(orjson.dumps(summary.document(), option=orjson.OPT_INDENT_2).decode())  # noqa: T201
    else:
        view.render(summary, console.Console())


def _plan(request: Request) -> _Plan:
    played = stage.find(request.resources, request.device)
    column, _, value = (request.truth or "").partition("=")
    wanted = recording.Wanted(
        mapped=recording.mapping(request.mapped),
        time_column=request.time_column,
        needs_time=True,
        truth_column=column or None,
    )
    rows = recording.read(request.csv, played.profile.properties, wanted, played.zone)
    first = next(iter(rows))
    if first.time is None:
        raise RehearsalError("the recording has no times")
    policies = _policies(request.resources, played)
    return _Plan(request, played, rows, policies, first.time, value or None)


def _policies(folder_: Path, played: stage.Stage) -> tuple[v1alpha1.DecisionPolicy, ...]:
    reading = resources.read(manifests.read(folder_), {})
    return tuple(
        each
        for each in reading.resources
        if isinstance(each, v1alpha1.DecisionPolicy) and each.namespace == played.device.namespace
    )


def _clear(state: Path) -> None:
    """Make the directory ours: new, empty, or an earlier rehearsal's. Raises RehearsalError."""
    mark = state / _MARK
    if state.exists() and any(state.iterdir()):
        if not mark.exists():
            raise RehearsalError(
                f"{state} is not empty and no rehearsal's: choose another directory, so that"
                " records of a real agent are never mixed with rehearsed ones"
            )
        shutil.rmtree(state)
    state.mkdir(parents=True, exist_ok=True)
    mark.write_text("This directory holds a rehearsal; the next one replaces it.\n")


async def _rehearse(plan: _Plan) -> score.Summary:
    request, here = plan.request, asyncio.current_task()
    if here is not None:  # asked to end: leave no broker and no server behind
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, here.cancel)
    ours = clock.RehearsalClock(plan.origin, _speed(plan))
    seen = watch.Watch(is_confirmed=plan.played.profile.confirmation is not None)
    async with mosquitto.running(plan.played.site.spec.broker.protocol) as broker:
        host = agent.Agent(
            settings.Settings(
                node="rehearsal",
                state=request.state,
                source=settings.FolderSettings(
                    request.resources, request.models, plan.played.site.name
                ),
                credentials=request.credentials,
                port=None,
            ),
            ours,
            instead=broker,
            tap=seen.tap,
        )
        address = connection.Address.of(broker, None)
        log = player.DeviceLog(request.state / "device.jsonl")
        device = player.Player(plan.played, ours, address, log)
        try:
            async with _both(host, device):
                await _ready(host, device)
                run = await _play(plan, ours, seen, host, device)
                run.refused = _refused(host)
        finally:
            log.close()
    return _summarise(plan, run, seen)


def _speed(plan: _Plan) -> float:
    """Return the pace between rows: as asked, else as fast as the engine's ticks see silence."""
    if plan.request.speed > 0:
        return plan.request.speed
    silences = [
        scalars.seconds(each.spec.trigger.after_silence)
        for each in plan.policies
        if each.spec.trigger.after_silence is not None
    ]
    return min([clock.FASTEST, *(each / (4 * step.TICK_SECONDS) for each in silences)])


@contextlib.asynccontextmanager
async def _both(host: agent.Agent, device: player.Player) -> AsyncIterator[None]:
    """Run agent and device; what ends one ends the rehearsal."""
    stop = asyncio.Event()
    here = asyncio.current_task()
    living = asyncio.create_task(host.run(stop), name="agent")
    keeping = asyncio.create_task(device.run(), name="device")

    def ended(task: asyncio.Task[None]) -> None:
        if not stop.is_set() and here is not None:
            here.cancel()

    living.add_done_callback(ended)
    try:
        yield
    except asyncio.CancelledError:
        if living.done() and not living.cancelled() and (error := living.exception()):
            raise error from None
        raise
    finally:
        stop.set()
        keeping.cancel()
        await asyncio.gather(living, keeping, return_exceptions=True)


async def _ready(host: agent.Agent, device: player.Player) -> None:
    """Wait for the model's server and both connections. Raises RehearsalError."""
    deadline = time.monotonic() + READY_SECONDS
    while missing := (*host.missing(), *(() if device.is_connected else ("the device waits",))):
        if time.monotonic() > deadline:
            raise RehearsalError(f"the agent does not become ready: {'; '.join(missing)}")
        await asyncio.sleep(0.05)


async def _play(
    plan: _Plan,
    ours: clock.RehearsalClock,
    seen: watch.Watch,
    host: agent.Agent,
    device: player.Player,
) -> _Run:
    run = _Run([], [], started=time.monotonic())
    what = f"rehearsing {plan.request.device} on {plan.rows.rows} rows of {plan.request.csv.name}"
    with view.View(plan.rows.rows, what, plan.played.zone) as shown:
        for row, following in _ahead(plan.rows):
            to = row.time or ours.now()
            await _evaluate_waiting(to, ours, seen, host)
            await ours.forward(to, following, seen.woken)
            run.times.append(ours.now())
            run.truths.append(row.truth or "")
            run.unread += len(row.unread)
            await device.room()
            if device.say(row.values):
                await seen.decided(lambda: host.due() is not None)
            else:
                run.unsent += 1
            shown.show(row.number, ours, seen, device)
        while (last := ours.latest_sleeper) is not None:
            await ours.forward(last + _MARGIN, None, seen.woken)
    return run


async def _evaluate_waiting(
    to: datetime, ours: clock.RehearsalClock, seen: watch.Watch, host: agent.Agent
) -> None:
    """Stop before the next row wherever a trigger that waits for minimumInterval becomes due.

    Ticks come in real time, and fast-forward would pass such a moment between two of them.
    """
    before = None
    while (due := host.due()) is not None and due != before:
        moment = datetime.fromtimestamp(due, UTC) + _MARGIN
        if moment >= to:
            return
        await ours.forward(moment, to, seen.woken)
        await (seen.evaluated() if host.due() == due else seen.settled())
        before = due


def _ahead(rows: Iterable[recording.Row]) -> Iterator[tuple[recording.Row, datetime | None]]:
    """Yield each row with the time of the next one, where that is later."""
    here: recording.Row | None = None
    for row in rows:
        if here is not None:
            is_later = row.time is not None and here.time is not None and row.time > here.time
            yield here, row.time if is_later else None
        here = row
    if here is not None:
        yield here, None


def _refused(host: agent.Agent) -> dict[str, int]:
    """Count messages that were no samples, by why."""
    counts: dict[str, int] = {}
    for family in host.meters.registry.collect():
        for sample in family.samples:
            if sample.name == metrics.TELEMETRY.name and sample.labels["result"] != "Accepted":
                counts[f"messages {sample.labels['result']}"] = int(sample.value)
    return counts


def _summarise(plan: _Plan, run: _Run, seen: watch.Watch) -> score.Summary:
    with reader.open_reader(plan.request.state) as found:
        verified = found.verify()
        accuracy = None
        if plan.request.truth is not None:
            events = (event for _, event in found.events(reader.Filters()))
            accuracy = score.accuracy(events, run.times, run.truths, plan.true_value)
    budgets = {
        f"{each.namespace}/{each.name}": scalars.seconds(each.spec.latency_budget)
        for each in plan.policies
    }
    return score.Summary(
        rows=len(run.times),
        recording_seconds=(run.times[-1] - run.times[0]).total_seconds() if run.times else 0.0,
        real_seconds=time.monotonic() - run.started,
        decisions=sum(seen.decisions.values()),
        skipped={
            "rows without a decision": seen.undecided,
            "rows not published": run.unsent,
            "cells not readable": run.unread,
            **run.refused,
        },
        verdicts=score.verdicts(seen.decisions),
        reasons=score.reasons(seen.decisions),
        outcomes=dict(seen.outcomes.most_common()),
        stages=score.latencies(seen.stages, budgets),
        accuracy=accuracy,
        records=verified.records,
        journal=verified.journal,
    )
