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

from foreshore_agent import exits, inspection, logs, settings
from foreshore_agent.devices.mqtt import connection
from foreshore_agent.engine import step
from foreshore_agent.folder import folder
from foreshore_agent.journal import reader
from foreshore_agent.play import notices, player, recording, stage
from foreshore_agent.rehearse import clock, mosquitto, score, view, watch
from foreshore_agent.rehearse import plan as planning
from foreshore_agent.runtime import agent
from foreshore_api import printable, scalars
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.wire import metrics
from foreshore_decision import explain

READY_SECONDS: Final = 90.0
"""For the model's server to load and warm up; it gives up fetching before that, and says why."""
_WAIT_SECONDS: Final = 5.0
"""Between two lines that say what is waited for."""
_MARGIN: Final = timedelta(milliseconds=1)
"""After a moment, so that it has surely passed."""
_MARK: Final = "rehearsal"
"""File that says that a state directory is a rehearsal's and may be replaced."""


class NoDecisionError(RuntimeError):
    """It ran, and no row came to a decision; the text says why."""


USAGE_ERRORS: Final = (
    planning.RehearsalError,
    stage.StageError,
    recording.RecordingError,
    mosquitto.NoMosquittoError,
)


@dataclass(slots=True)
class _Run:
    """What happened, row by row."""

    times: list[datetime]
    truths: list[str]
    unread: int = 0
    unsent: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    started: float = 0.0


def rehearse(request: planning.Request) -> None:
    """Rehearse, and print the summary. Raises USAGE_ERRORS, NoDecisionError, OSError."""
    logs.configure(logging.WARNING, logs.SHORT)
    plan = planning.make(request)
    notices.say(plan.notes)
    mosquitto.find()
    _clear(request.state)
    try:
        summary = uvloop.run(_rehearse(plan))
    except* folder.FolderError as group:
        raise planning.RehearsalError("; ".join(str(each) for each in group.exceptions)) from group
    except* asyncio.CancelledError:
        raise planning.RehearsalError("ended before the recording did") from None
    if request.is_json:
        document = orjson.dumps(summary.document(), option=orjson.OPT_INDENT_2).decode()
        print(printable.escaped(document))  # noqa: T201
    else:
        view.render(summary, console.Console())
    if score.is_undecided(summary):
        raise NoDecisionError(_why_undecided(plan, summary))


def _clear(state: Path) -> None:
    """Make the directory ours: new, empty, or an earlier rehearsal's. Raises RehearsalError."""
    mark = state / _MARK
    if state.exists() and any(state.iterdir()):
        if not mark.exists():
            raise planning.RehearsalError(
                f"{state} is not empty and no rehearsal's: choose another directory, so that"
                " records of a real agent are never mixed with rehearsed ones"
            )
        shutil.rmtree(state)
    state.mkdir(parents=True, exist_ok=True)
    mark.write_text("This directory holds a rehearsal; the next one replaces it.\n")


async def _rehearse(plan: planning.Plan) -> score.Summary:
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


def _speed(plan: planning.Plan) -> float:
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
    started = said = time.monotonic()
    while missing := (*host.pending(), *(() if device.is_connected else ("the device waits",))):
        now = time.monotonic()
        if problems := host.problems():
            lines = ("it cannot begin:", *map(inspection.line, problems))
            raise planning.RehearsalError("\n  ".join(lines))
        if now - started > READY_SECONDS:
            raise planning.RehearsalError(f"the agent does not become ready: {'; '.join(missing)}")
        if now - said > _WAIT_SECONDS:
            said = now
            exits.say(f"waiting: {'; '.join(missing)}")
        await asyncio.sleep(0.05)


async def _play(
    plan: planning.Plan,
    ours: clock.RehearsalClock,
    seen: watch.Watch,
    host: agent.Agent,
    device: player.Player,
) -> _Run:
    run = _Run([], [], started=time.monotonic())
    zone, (begin, end) = plan.played.zone, plan.rows.span or (plan.origin, plan.origin)
    span = f"{begin.astimezone(zone):%Y-%m-%d %H:%M} to {end.astimezone(zone):%Y-%m-%d %H:%M}"
    what = (
        f"rehearsing {plan.request.device} on {plan.rows.rows} rows of {plan.request.csv.name},"
        f" {span}"
    )
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
            if (
                sample.name == metrics.TELEMETRY.name
                and sample.labels["result"] != reasons.ACCEPTED
            ):
                counts[f"messages {sample.labels['result']}"] = int(sample.value)
    return counts


def _summarise(plan: planning.Plan, run: _Run, seen: watch.Watch) -> score.Summary:
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


def _why_undecided(plan: planning.Plan, summary: score.Summary) -> str:
    """Say why no row came to a decision, with the newest record that there is."""
    told = score.undecided(summary)
    with reader.open_reader(plan.request.state) as found:
        newest = found.last_decision(reader.Filters())
        if newest is None:
            return told
        explained = explain.of_events(found.about(newest), newest)
    return f"{told}\n  the newest: " + "\n  ".join(explain.summary(explained))
