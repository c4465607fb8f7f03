"""`rehearse --live`: the agent that `run` runs, over a Mosquitto of our own, in real time.

    recording ──rows──► player ──► Mosquitto ──► agent ──► journal
                          ▲                        │
                          └────────commands ◄──────┘

It shows what the machine takes (latencies, late answers), and two runs differ by that: `driver` is
the rehearsal whose result can be repeated. The Site's broker is never contacted.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from foreshore_agent import exits, inspection, settings
from foreshore_agent.devices.mqtt import connection
from foreshore_agent.engine import effects, step
from foreshore_agent.play import device as played_device
from foreshore_agent.play import player, recording
from foreshore_agent.rehearse import clock, driver, mosquitto, score, view
from foreshore_agent.rehearse import plan as planning
from foreshore_agent.runtime import agent
from foreshore_api import scalars
from foreshore_api.reasons import decision as reasons
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import metrics
from foreshore_api.wire.record import Outcome

_MARGIN: Final = timedelta(milliseconds=1)
"""After a moment, so that it has surely passed."""
_FIRST: Final = (
    Outcome.ACKNOWLEDGED,
    Outcome.REJECTED,
    Outcome.NOT_SENT,
    Outcome.UNKNOWN,
    Outcome.UNACKNOWLEDGED,
)
"""The first thing that is learnt about a command: it has left, or it will not."""
_PATIENCE: Final = 1.0
"""Seconds to wait for a row's first sign of a decision, until it is known how long that takes."""
_LONGEST: Final = 5.0
"""Seconds after which a row is left behind, whatever is still open."""
_QUIET: Final = 0.003
_LOOK: Final = 0.005
"""Seconds between two looks at whether a row waits."""


class Watch:
    """What is under way, seen at the agent's effects; whether it is done with a row."""

    def __init__(self, counts: score.Score, *, is_confirmed: bool, is_echoed: bool = False) -> None:
        """Begin to watch.

        `is_confirmed` says whether commands are read back, `is_echoed` whether nothing but that
        answers them.
        """
        self._counts: Final = counts
        self._is_confirmed: Final = is_confirmed
        self._is_echoed: Final = is_echoed
        self._confirming = 0
        self._signs = 0
        """Questions and decisions so far."""
        self._asking = 0
        self._unanswered = 0
        """Intents that are being written, sent or carried out."""
        self._active = time.monotonic()
        self._news: Final = asyncio.Event()
        self._slowest = 0.0

    def tap(self, effect: effects.Effect) -> None:
        """Note one effect."""
        self._counts.take(effect)
        match effect:
            case effects.Infer():
                self._signs += 1
                self._asking += 1
            case effects.AppendRecords(intent=effects.IntentKey()):
                self._unanswered += 1
            case effects.SendCommand() if self._is_echoed:
                self._unanswered = max(0, self._unanswered - 1)
                self._confirming += 1
            case effects.Decided():
                self._decide(effect.reason)
            case effects.Count(metric=metrics.COMMANDS.name, labels=(_, outcome)):
                self._learn(outcome)
            case _:
                pass
        self._active = time.monotonic()
        self._news.set()

    def _decide(self, reason: str) -> None:
        self._signs += 1
        self._asking = max(0, self._asking - 1)
        if reason == reasons.RECORDER_FULL:
            self._unanswered = max(0, self._unanswered - 1)

    def _learn(self, outcome: str) -> None:
        if outcome in _FIRST:
            self._unanswered = max(0, self._unanswered - 1)
        if outcome == Outcome.ACKNOWLEDGED:
            self._confirming += self._is_confirmed
        elif self._is_echoed or outcome not in (Outcome.REJECTED, Outcome.NOT_SENT):
            self._confirming = max(0, self._confirming - 1)

    async def decided(self, is_waiting: Callable[[], bool]) -> None:
        """Wait until the row that was just published has been decided, and its command answered.

        A row that has to wait for its trigger's interval does not tell how long deciding takes.
        """
        started, before = time.monotonic(), self._signs
        patience, has_waited = self._patience(), False
        while self._signs == before:
            if time.monotonic() - started > patience:
                return
            await self._wait(min(patience, _LOOK))
            has_waited = has_waited or is_waiting()
        if not has_waited:
            self._slowest = max(0.98 * self._slowest, time.monotonic() - started)
        await self.settled()

    async def evaluated(self) -> None:
        """Wait until what has become due between rows has been decided."""
        started, before = time.monotonic(), self._signs
        while self._signs == before and time.monotonic() - started < _PATIENCE:
            await self._wait(_PATIENCE)
        await self.settled()

    async def woken(self) -> None:
        """Wait until what just woke up on the clock (a settled value) has been read back."""
        started, patience = time.monotonic(), self._patience()
        while self._confirming and time.monotonic() - started < patience:
            await self._wait(patience)
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is on its way."""
        started = time.monotonic()
        while time.monotonic() - started < _LONGEST:
            if (
                not self._asking
                and not self._unanswered
                and time.monotonic() - self._active > _QUIET
            ):
                return
            await self._wait(_QUIET)
        self._asking = self._unanswered = 0

    def _patience(self) -> float:
        return min(_PATIENCE, 0.02 + 10 * self._slowest) if self._slowest else _PATIENCE

    async def _wait(self, seconds: float) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return


async def rehearse(plan: planning.RehearsalPlan, counts: score.Score) -> dict[str, int]:
    """Rehearse over a broker; return what led to no decision, by why."""
    request = plan.request
    ours = clock.PacedClock(plan.origin, _speed(plan))
    profile = plan.played.profile
    watch = Watch(
        counts,
        is_confirmed=profile.confirmation is not None,
        is_echoed=any(_is_echoed(action) for action in profile.actions),
    )
    async with mosquitto.running(plan.played.site.spec.broker.protocol) as broker:
        host = agent.Agent(
            settings.AgentSettings(
                node=driver.NODE,
                state=request.state,
                source=settings.FolderSettings(
                    request.resources, request.models, plan.played.site.name
                ),
                credentials=request.credentials,
                port=None,
            ),
            ours,
            instead=broker,
            tap=watch.tap,
        )
        address = connection.Address.of(broker, None)
        log = played_device.DeviceLog(request.state / "device.jsonl")
        device = player.Player(plan.played, ours, address, log)
        try:
            async with _both(host, device):
                await _ready(host, device)
                await _play(plan, ours, watch, counts, host, device)
        finally:
            log.close()
    return {
        "rows not published": device.played.tally.unsent,
        **score.refused(host.meters.registry),
    }


def _speed(plan: planning.RehearsalPlan) -> float:
    """Return the pace between rows: as asked, else as fast as the engine's ticks see silence."""
    if plan.request.speed > 0:
        return plan.request.speed
    silences = [
        scalars.seconds(policy.spec.trigger.after_silence)
        for policy in plan.policies
        if policy.spec.trigger.after_silence is not None
    ]
    return min([clock.FASTEST, *(silence / (4 * step.TICK_SECONDS) for silence in silences)])


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
    started = shown_at = time.monotonic()
    while missing := (*host.pending(), *(() if device.is_connected else ("the device waits",))):
        now = time.monotonic()
        if problems := host.problems():
            lines = ("it cannot begin:", *map(inspection.line, problems))
            raise planning.RehearsalError("\n  ".join(lines))
        if now - started > planning.LOAD_SECONDS:
            raise planning.RehearsalError(f"the agent does not become ready: {'; '.join(missing)}")
        if now - shown_at > planning.WAIT_SECONDS:
            shown_at = now
            exits.say(f"waiting: {'; '.join(missing)}")
        await asyncio.sleep(0.05)


async def _play(
    plan: planning.RehearsalPlan,
    ours: clock.PacedClock,
    watch: Watch,
    counts: score.Score,
    host: agent.Agent,
    device: player.Player,
) -> None:
    with view.RehearsalView(plan, counts, device.played) as shown:
        for row, following in _ahead(plan.rows):
            to = row.time or ours.now()
            await _evaluate_waiting(to, ours, watch, host)
            await ours.forward(to, following, watch.woken)
            counts.begin_row(row, ours.now())
            await device.room()
            if device.say(row.message):
                await watch.decided(lambda: host.due() is not None)
            shown.show(ours.now())
        while (last := ours.latest_sleeper) is not None:
            await ours.forward(last + _MARGIN, None, watch.woken)
        counts.end_row()


async def _evaluate_waiting(
    to: datetime, ours: clock.PacedClock, watch: Watch, host: agent.Agent
) -> None:
    """Stop before the next row wherever a trigger that waits for minimumInterval becomes due.

    Ticks come in real time, and fast-forward would pass such a moment between two of them.
    """
    before = None
    while (due := host.due()) is not None and due != before:
        moment = datetime.fromtimestamp(due, UTC) + _MARGIN
        if moment >= to:
            return
        await ours.forward(moment, to, watch.woken)
        await (watch.evaluated() if host.due() == due else watch.settled())
        before = due


def _ahead(
    rows: Iterable[recording.RecordedRow],
) -> Iterator[tuple[recording.RecordedRow, datetime | None]]:
    """Yield each row with the time of the next one, where that is later."""
    here: recording.RecordedRow | None = None
    for row in rows:
        if here is not None:
            is_later = row.time is not None and here.time is not None and row.time > here.time
            yield here, row.time if is_later else None
        here = row
    if here is not None:
        yield here, None


def _is_echoed(action: deviceprofile.Action) -> bool:
    """Whether a device's own report is all that answers an action."""
    return action.acknowledgement is not None and action.acknowledgement.echo is not None
