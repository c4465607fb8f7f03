"""The agent under loads of its own: routine decisions, overload, many devices, a rehearsal."""

import datetime
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import figures, latency, pairs, resources, subjects, usage
from harness import mosquitto, process

ROUTINE_OFFERED: Final = 3000
OVERLOAD: Final = 3
"""How many times what it can do is offered."""
FLEET: Final = 1000
MESSAGES: Final = "foreshore_telemetry_messages_total"
DECISIONS: Final = "foreshore_decisions_total"
DECIDED: Final = 0.99
"""Share of the fleet's samples that have to be decided for its cores to count."""
WARM_SECONDS, SECONDS = 2.0, 6.0
ROWS: Final = (500, 4500)
"""Two rehearsals, so that what a start takes cancels out."""


@dataclass(frozen=True, slots=True)
class Window:
    """What an agent did while a load lasted."""

    decisions: float
    """A second, from its own counter."""
    cores: float
    """Processor time over time."""
    threads: Mapping[str, float]
    """Milliseconds of processor time a decision, by thread."""
    beside: float = 0.0
    """Processor time over time of another process that hears the same."""


def routine(folder: Path, isolation: str) -> figures.Section:
    """Decisions that command nothing and of which one in a hundred is kept."""
    name = "routine decisions/s (nothing commanded, 1 % kept)"
    limit = figures.Limit(2500, is_least=True)
    subject = subjects.Agent(isolation, policy=resources.never())
    try:
        with (
            mosquitto.Broker(folder / "broker") as broker,
            subject.run(folder, broker.port) as ours,
        ):
            load = latency.device(
                broker.port, ours.topics, ROUTINE_OFFERED, int(ROUTINE_OFFERED * (SECONDS + 3))
            )
            window = observed(ours, load)
    except subjects.FAILURES as error:
        return alone(figures.Figure(name, limit=limit, cause=figures.one_line(error)))
    profile = f"offered {ROUTINE_OFFERED}/s; {figures.listed(window.threads)} a decision"
    return alone(figures.Figure(name, (window.decisions,), "/s", limit, profile))


def observed(ours: subjects.Running, load: list[str], beside: int | None = None) -> Window:
    """Watch an agent, and maybe a process beside it, while a device loads it in its stride."""
    with latency.running(load) as device:
        time.sleep(WARM_SECONDS)
        count, before = decided(ours), usage.processor(ours.process_id)
        other = usage.processor(beside) if beside is not None else {}
        begun = time.monotonic()
        time.sleep(SECONDS)
        made = decided(ours) - count
        spent = usage.since(before, usage.processor(ours.process_id))
        took = time.monotonic() - begun
        heard = usage.since(other, usage.processor(beside)) if beside is not None else {}
        if device.poll() is not None:
            raise subjects.NotMeasuredError("the device ended before the load was measured")
    threads = {name: value / max(1.0, made) for name, value in spent.items()}
    cores = (sum(part.values()) / 1000 / took for part in (spent, heard))
    return Window(made / took, next(cores), threads, next(cores))


def decided(ours: subjects.Running) -> float:
    """Decisions of a running agent so far."""
    http = ours.metrics_port
    return 0.0 if http is None else sum(subjects.metric(http, DECISIONS).values())


def overload(folder: Path, isolation: str) -> figures.Section:
    """Offered three times the best rate: how much of it is left, and how old what is decided is."""
    name = f"decisions/s, {OVERLOAD} × the best rate offered, over the best rate"
    limit = figures.Limit(0.9, is_least=True)
    try:
        with (
            mosquitto.Broker(folder / "broker") as broker,
            subjects.Agent(isolation).run(folder, broker.port) as ours,
        ):
            offered = (pairs.FULL, 2 * pairs.FULL)
            runs = [latency.trips(broker.port, ours.topics, rate, 4 * rate) for rate in offered]
            best = max(trips.per_second for trips in runs)
            if not best:
                raise subjects.NotMeasuredError("no sample was answered at all")
            before = usage.processor(ours.process_id)
            beyond = latency.trips(broker.port, ours.topics, int(OVERLOAD * best), int(15 * best))
            spent = usage.since(before, usage.processor(ours.process_id))
    except subjects.FAILURES as error:
        return alone(figures.Figure(name, limit=limit, cause=figures.one_line(error)))
    count = max(1, len(beyond.answered))
    profile = figures.listed({thread: value / count for thread, value in spent.items()})
    return alone(
        figures.Figure(name, (beyond.per_second / best,), "×", limit, f"{profile} a decision"),
        f"best rate {best:.0f}/s; at {beyond.rate}/s {beyond.per_second:.0f}/s, and what is"
        " decided is answered"
        f" {figures.plain(beyond.milliseconds(0.5))} ms after its sample at p50,"
        f" {figures.plain(beyond.milliseconds(0.99))} ms at p99",
    )


def fleet(folder: Path, isolation: str) -> figures.Section:
    """A thousand devices, each with one sample a second: all commanded, then none."""
    commanded = subjects.Agent(isolation, devices=FLEET)
    routine = subjects.Agent(isolation, policy=resources.never(), devices=FLEET)
    parts = (
        fleet_of(folder / "commanded", commanded, "each commanded"),
        fleet_of(folder / "routine", routine, "none commanded, 1 % kept"),
    )
    return together(parts, isolation)


def fleet_of(folder: Path, subject: subjects.Agent, what: str) -> figures.Section:
    """What a thousand devices of one kind take."""
    name = f"{FLEET:,} devices, one sample a second, {what}: cores"
    limit = figures.Limit(0.6)
    try:
        with (
            mosquitto.Broker(folder / "broker") as broker,
            subject.run(folder, broker.port) as ours,
        ):
            count = int(FLEET * (WARM_SECONDS + SECONDS + 4))
            window = observed(ours, latency.device(broker.port, ours.topics, FLEET, count, FLEET))
            memory = usage.resident(ours.process_id)
    except subjects.FAILURES as error:
        return alone(figures.Figure(name, limit=limit, cause=figures.one_line(error)))
    # an agent that leaves samples undecided is cheap, and no answer to the question
    cores = window.cores if window.decisions >= DECIDED * FLEET else float("inf")
    profile = f"{figures.listed(window.threads)} a decision"
    return alone(
        figures.Figure(name, (cores,), "", limit, profile),
        f"{what}: {window.decisions:.0f} of {FLEET} samples a second decided by"
        f" {figures.plain(window.cores)} cores; PSS {memory:.0f} MB",
    )


SHADOWS: Final[Mapping[str, Mapping[str, Any]]] = {
    "read, none decided": resources.seldom(),
    "decided, nothing to do, 1 % kept": {**resources.never(), "mode": "Shadow"},
    "decided, each would be commanded and is recorded": resources.shadow(),
}
"""Policies in Shadow, by what is done with a message."""


def reading(folder: Path, isolation: str) -> figures.Section:
    """A thousand devices in Shadow, a message of three properties a second each, beside C.

    The listener in C receives the same messages, reads one number of each and forgets it.

    read        the same work: each message is decoded, dated and kept, and its policy waits for an
                interval of an hour
    nothing     the ordinary work of Shadow, and what its limit is about: the model is asked, the
                gates are run up to the rules, no rule permits, one decision in a hundred is kept
    recorded    the most that Shadow can cost: each message would be commanded, with another value
                than the one before. A record is all that Shadow does, so that each is written

    The limit stands beside all three: the first alone would hide what deciding costs, the last
    alone what reading does.
    """
    return together(
        (
            reading_of(
                folder / str(number),
                subjects.Agent(isolation, policy=policy, devices=FLEET),
                what,
            )
            for number, (what, policy) in enumerate(SHADOWS.items())
        ),
        isolation,
    )


def reading_of(folder: Path, subject: subjects.Agent, what: str) -> figures.Section:
    """What an agent takes over what a listener in C takes of the same messages."""
    name = f"{FLEET:,} devices in Shadow, {what}: processor over a listener's in C"
    limit = figures.Limit(12)
    try:
        with (
            mosquitto.Broker(folder / "broker") as broker,
            latency.listener(broker.port, f"{resources.SITE}/+/telemetry") as listener,
            subject.run(folder, broker.port) as ours,
        ):
            count = int(FLEET * (WARM_SECONDS + SECONDS + 4))
            load = latency.device(broker.port, ours.topics, FLEET, count, FLEET)
            window = observed(ours, load, listener.pid)
            http = ours.metrics_port
            results = {} if http is None else subjects.metric(http, MESSAGES)
    except subjects.FAILURES as error:
        return alone(figures.Figure(name, limit=limit, cause=figures.one_line(error)))
    taken = sum(number for labels, number in results.items() if "Accepted" in labels)
    share = taken / max(1.0, sum(results.values()))
    # an agent that leaves samples unread is cheap, and no answer to the question
    ratio = window.cores / window.beside if share >= DECIDED else float("inf")
    return alone(
        figures.Figure(name, (ratio,), "×", limit, f"{100 * share:.0f} % of the samples taken"),
        f"{what}: {figures.plain(window.cores)} cores for {FLEET} samples a second, of which"
        f" {100 * share:.0f} % were taken and {window.decisions:.0f} decided; a listener in C takes"
        f" {1000 * window.beside:.1f} ms a second",
    )


def rehearsal(folder: Path, isolation: str) -> figures.Section:
    """Rows a second of a rehearsal, beyond what its start takes."""
    name = "rehearsed rows/s"
    limit = figures.Limit(1000, is_least=True)
    home = subjects.Agent(isolation).written(folder, 1883)
    try:
        took = [rehearsed(folder, home, rows) for rows in ROWS]
    except subjects.FAILURES as error:
        return alone(figures.Figure(name, limit=limit, cause=figures.one_line(error)))
    rate = (ROWS[1] - ROWS[0]) / max(1e-9, took[1] - took[0])
    return alone(figures.Figure(name, (rate,), "/s", limit, f"{ROWS[1]} rows in {took[1]:.1f} s"))


def rehearsed(folder: Path, home: Path, rows: int) -> float:
    """Seconds of a rehearsal of so many rows."""
    recording = folder / f"{rows}.csv"
    begin = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    lines = ["time,co2,light,temperature"]
    for row in range(rows):
        moment = (begin + datetime.timedelta(seconds=row)).strftime("%Y-%m-%d %H:%M:%S")
        lines.append(f"{moment},{row},450.5,21.25")
    recording.write_text("\n".join(lines) + "\n")
    program = Path(sys.executable).with_name("foreshore-agent")
    names = ("co2", "light", "temperature")
    mapped = [word for name in names for word in ("--map", f"{name}={name}")]
    places = ["--resources", str(home), "--state", str(folder / f"state-{rows}")]
    begun = time.monotonic()
    process.run(
        [program, "rehearse", *places, "--device", resources.DEVICE, "--csv", str(recording),
         "--time-column", "time", *mapped],
        timeout=300,
    )  # fmt: skip
    return time.monotonic() - begun


def alone(figure: figures.Figure, *notes: str) -> figures.Section:
    """One figure as a section."""
    return figures.Section("", figures=(figure,), notes=notes)


def together(sections: Iterable[figures.Section], isolation: str) -> figures.Section:
    """The figures of several loads as one section."""
    parts = list(sections)
    return figures.Section(
        f"The agent alone under loads of their own, isolation {isolation}",
        figures=tuple(figure for part in parts for figure in part.figures),
        notes=tuple(note for part in parts for note in part.notes),
    )
