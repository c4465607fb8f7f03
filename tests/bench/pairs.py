"""The table of peers: every subject in every round, each beside the echo of the same round.

    round 1: echo, agent, …, Node-RED      round 2: Node-RED, …, agent, echo      round 3: as 1, …

A figure is the median of the rounds' ratios: what disturbs a machine for a minute disturbs a pair.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import figures, latency, resources, subjects, usage
from harness import mosquitto, process

SLOW, STEADY, FULL = 20, 100, 1000
"""Samples a second: of a sensor, of a busy site, of more than most can do."""
LIMIT_START, LIMIT_MEMORY = 3.0, 110.0
ECHO: Final = subjects.Echo()
AGENT: Final = subjects.Agent(resources.AGENT)
CHILD: Final = subjects.Agent(resources.CHILD)
SCRIPT: Final = subjects.Script()
NODE_RED: Final = subjects.NodeRed()
ALL: Final[tuple[subjects.Subject, ...]] = (ECHO, AGENT, CHILD, SCRIPT, NODE_RED)
ON_A_PLAIN_BROKER: Final[tuple[subjects.Subject, ...]] = (ECHO, AGENT, NODE_RED)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    samples: Mapping[int, int]
    """Samples by rate."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one subject gave in one round, by rate."""

    start_seconds: float
    memory: float
    trips: Mapping[int, figures.Trips]
    processor: Mapping[int, Mapping[str, float]]
    """Milliseconds of processor time an answer, by thread."""
    stages: Mapping[int, Mapping[str, float]]


@dataclass(slots=True)
class Measured:
    """Every round of a subject; or why there is none."""

    name: str
    rounds: list[Round] = field(default_factory=list)
    cause: str = ""

    def quantiles(self, q: float, rate: int) -> tuple[float, ...]:
        """A quantile in milliseconds, round by round."""
        return tuple(taken.trips[rate].milliseconds(q) for taken in self.rounds)

    def share_answered(self, rate: int) -> tuple[float, ...]:
        """Percent of the samples that were answered, round by round."""
        return tuple(100 * taken.trips[rate].share_answered for taken in self.rounds)

    def rates(self) -> tuple[float, ...]:
        """Answers a second where the most is offered."""
        return tuple(taken.trips[FULL].per_second for taken in self.rounds)

    def costs(self, rate: int) -> tuple[float, ...]:
        """Processor milliseconds an answer, round by round."""
        return tuple(sum(taken.processor[rate].values()) for taken in self.rounds)

    def profile(self, rate: int) -> str:
        """Where the time went: by thread and by stage, means of the rounds."""
        threads = _means(taken.processor[rate] for taken in self.rounds)
        stages = _means(taken.stages[rate] for taken in self.rounds)
        told = f"processor a decision at {rate}/s: {figures.listed(threads)}"
        return told + (f"; mean stages: {figures.listed(stages)}" if stages else "")


Results = Mapping[str, Measured]


def measure(
    folder: Path, chosen: Sequence[subjects.Subject], plan: Plan, *, nodelay: bool = True
) -> Results:
    """Measure every subject in every round, in turn forwards and backwards."""
    results = {subject.name: Measured(subject.name) for subject in chosen}
    with mosquitto.Broker(folder / "broker", nodelay=nodelay) as broker:
        for number in range(plan.rounds):
            for subject in chosen if number % 2 == 0 else reversed(chosen):
                result = results[subject.name]
                if result.cause:
                    continue
                process.say(f"  round {number + 1} of {plan.rounds}: {subject.name}")
                place = folder / f"{number}-{chosen.index(subject)}"
                place.mkdir(parents=True)
                try:
                    with subject.run(place, broker.port) as running:
                        result.rounds.append(taken(running, broker.port, plan))
                except subjects.FAILURES as error:
                    result.cause = figures.one_line(error)
                    result.rounds.clear()
                    process.say(f"  not measured: {result.cause}")
    return results


def taken(running: subjects.Running, port: int, plan: Plan) -> Round:
    """Measure a subject that runs, at each rate."""
    trips: dict[int, figures.Trips] = {}
    processor: dict[int, Mapping[str, float]] = {}
    stages: dict[int, Mapping[str, float]] = {}
    for rate, samples in plan.samples.items():
        before = usage.processor(running.process_id)
        trips[rate] = latency.trips(port, running.topics, rate, samples)
        spent = usage.since(before, usage.processor(running.process_id))
        count = max(1, sum(trip is not None for trip in trips[rate].microseconds))
        processor[rate] = {name: value / count for name, value in spent.items()}
        http = running.metrics_port
        stages[rate] = {} if http is None else subjects.stages(http)
    memory = usage.resident(running.process_id)
    return Round(running.start_seconds, memory, trips, processor, stages)


COLUMNS: Final = (
    "",
    "p50 ms",
    "p99 ms",
    "× echo p50",
    "× echo p99",
    "answered %",
    "p50 ms at 20/s",
    "decisions/s",
    "CPU ms",
    "PSS MB",
    "start s",
)


def section(results: Results, plan: Plan) -> figures.Section:
    """The table and its limits."""
    echo = results[ECHO.name]
    return figures.Section(
        title=f"Sample → command over Mosquitto, QoS 1: at {STEADY}/s; decisions/s where {FULL}/s"
        f" are offered; medians of {plan.rounds} rounds",
        columns=COLUMNS,
        rows=tuple(row(result, echo) for result in results.values()),
        figures=tuple(limits(results)),
        notes=(
            "every round measures every subject, one after the other, forwards and backwards by"
            f" turns; samples a round: {_samples(plan)}",
            "answered: of the samples at 100/s, the others were replaced by newer ones or lost;"
            " quantiles are of the answers",
            "CPU: processor time of all threads and children a decision, at 100/s; start: from the"
            " start of the program to its first command; PSS: after all of it",
        ),
    )


def row(result: Measured, echo: Measured) -> tuple[str, ...]:
    """A subject's line."""
    if result.cause:
        return (result.name, *("–",) * (len(COLUMNS) - 1))
    medians = [
        _median(result.quantiles(0.5, STEADY)),
        _median(result.quantiles(0.99, STEADY)),
        _median(figures.ratios(result.quantiles(0.5, STEADY), echo.quantiles(0.5, STEADY))),
        _median(figures.ratios(result.quantiles(0.99, STEADY), echo.quantiles(0.99, STEADY))),
        _median(result.share_answered(STEADY)),
        _median(result.quantiles(0.5, SLOW)),
        _median(result.rates()),
        _median(result.costs(STEADY)),
        _median(taken.memory for taken in result.rounds),
        _median(taken.start_seconds for taken in result.rounds),
    ]
    return (result.name, *map(figures.plain, medians))


def limits(results: Results) -> Iterable[figures.Figure]:
    """Every figure of the table that has a limit."""
    yield from against_the_echo(results, AGENT, figures.Limit(6, 8), figures.Limit(10))
    yield rate(results, AGENT, figures.Limit(1000, 800, is_least=True))
    yield from against_the_echo(results, CHILD, figures.Limit(9), None)
    yield rate(results, CHILD, figures.Limit(600, is_least=True))
    yield from against_the_script(results)
    yield from against_node_red(results)
    rounds = results[AGENT.name].rounds
    yield own(results, "PSS", [taken.memory for taken in rounds], "MB", LIMIT_MEMORY)
    starts = [taken.start_seconds for taken in rounds]
    yield own(results, "start to the first command", starts, "s", LIMIT_START)


def against_the_echo(
    results: Results,
    subject: subjects.Agent,
    p50: figures.Limit,
    p99: figures.Limit | None,
    where: str = "",
) -> Iterable[figures.Figure]:
    """A subject's quantiles over the echo's."""
    ours, echo = results[subject.name], results[ECHO.name]
    for q, name, limit in ((0.5, "p50", p50), (0.99, "p99", p99)):
        if limit is not None:
            pairs = zip(ours.quantiles(q, STEADY), echo.quantiles(q, STEADY), strict=False)
            yield compared(
                f"{subject.isolation}: {name} over the echo's{where}", ours, pairs, limit
            )


def against_the_script(results: Results) -> Iterable[figures.Figure]:
    """The agent with its model in process beside what people would write."""
    ours, script = results[AGENT.name], results[SCRIPT.name]
    p50 = zip(ours.quantiles(0.5, STEADY), script.quantiles(0.5, STEADY), strict=False)
    yield compared("Agent: p50 over the script's", ours, p50, figures.Limit(1.5), script)
    rates = zip(ours.rates(), script.rates(), strict=False)
    least = figures.Limit(1, is_least=True)
    yield compared("Agent: decisions/s over the script's", ours, rates, least, script, FULL)
    costs = zip(ours.costs(STEADY), script.costs(STEADY), strict=False)
    yield compared(
        "Agent: CPU a decision over the script's", ours, costs, figures.Limit(1.5), script
    )


def against_node_red(results: Results) -> Iterable[figures.Figure]:
    """The same beside Node-RED."""
    ours, node_red = results[AGENT.name], results[NODE_RED.name]
    p50 = zip(ours.quantiles(0.5, SLOW), node_red.quantiles(0.5, SLOW), strict=False)
    limit = figures.Limit(0.2)
    yield compared("Agent: p50 over Node-RED's at 20/s", ours, p50, limit, node_red, SLOW)
    costs = zip(ours.costs(STEADY), node_red.costs(STEADY), strict=False)
    yield compared(
        "Agent: CPU a decision over Node-RED's", ours, costs, figures.Limit(1.2), node_red
    )


def compared(
    name: str,
    ours: Measured,
    pairs: Iterable[tuple[float, float]],
    limit: figures.Limit,
    other: Measured | None = None,
    at: int = STEADY,
) -> figures.Figure:
    """A figure over two subjects, or why there is none."""
    cause = ours.cause or ("" if other is None else other.cause)
    if cause:
        return figures.Figure(name, limit=limit, cause=cause)
    return figures.compared(name, pairs, limit, ours.profile(at))


def rate(results: Results, subject: subjects.Agent, limit: figures.Limit) -> figures.Figure:
    """Decisions a second where the most is offered."""
    ours = results[subject.name]
    name = f"{subject.isolation}: decisions/s at {FULL}/s offered"
    if ours.cause:
        return figures.Figure(name, limit=limit, cause=ours.cause)
    return figures.Figure(name, ours.rates(), "/s", limit, ours.profile(FULL))


def own(
    results: Results, name: str, values: Sequence[float], unit: str, bound: float
) -> figures.Figure:
    """A figure of the agent alone, with its model in process."""
    cause = results[AGENT.name].cause
    return figures.Figure(f"Agent: {name}", tuple(values), unit, figures.Limit(bound), cause=cause)


def on_a_plain_broker(results: Results, plan: Plan) -> figures.Section:
    """What Nagle's algorithm costs: the same over a broker as it is without a configuration."""
    rows = [
        (
            result.name,
            *(
                figures.plain(None if result.cause else _median(result.quantiles(q, at)))
                for at in (SLOW, STEADY)
                for q in (0.5, 0.99)
            ),
        )
        for result in results.values()
    ]
    return figures.Section(
        title=f"The same over Mosquitto without a configuration (Nagle's algorithm on); medians of"
        f" {plan.rounds} rounds",
        columns=("", "p50 ms at 20/s", "p99 ms at 20/s", "p50 ms at 100/s", "p99 ms at 100/s"),
        rows=tuple(rows),
        figures=tuple(
            against_the_echo(results, AGENT, figures.Limit(6, 8), figures.Limit(10), PLAIN)
        ),
        notes=(
            f"samples a round: {_samples(plan)}",
            "the broker holds back what it sends to whoever has not confirmed the last segment: the"
            " device waits for its answers as the agent does for its samples",
        ),
    )


PLAIN: Final = ", default broker"


def _samples(plan: Plan) -> str:
    return ", ".join(f"{count} at {rate}/s" for rate, count in plan.samples.items())


def _median(values: Iterable[float]) -> float | None:
    listed = list(values)
    return statistics.median(listed) if listed else None


def _means(rounds: Iterable[Mapping[str, float]]) -> dict[str, float]:
    listed = list(rounds)
    names = {name for values in listed for name in values}
    return {name: statistics.fmean(v.get(name, 0.0) for v in listed) for name in names}
