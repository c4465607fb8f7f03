"""What a rehearsal comes to: counts and decisions against the truth, added up while it runs.

The runner hands every effect to `Score.take` before it is carried out, and says which row is being
decided. Nothing is read back from the journal, which is a ring and forgets, and nothing here grows
with the recording. Precision, recall and F1 as usual: acting is the positive case.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import prometheus_client
from pydantic import alias_generators

from foreshore_agent.engine import effects, events
from foreshore_agent.play import recording, truth
from foreshore_api.reasons import decision as reasons_
from foreshore_api.reasons import telemetry
from foreshore_api.wire import histogram, metrics, record

_UNDECIDED: Final = frozenset({record.Verdict.NOT_APPLICABLE.value, record.Verdict.ERROR.value})
"""Verdicts of passes that ended before anything could be decided."""
_UNARMED: Final = frozenset({reasons_.DISABLED, reasons_.DEVICE_LOCKED, reasons_.POLICY_CHANGED})
"""Reasons of passes that did not begin."""


@dataclass(frozen=True, slots=True)
class TruthComparison:
    """Decisions against the truth of their row; a decision counts if its rules were asked."""

    right_to_act: int = 0
    right_to_rest: int = 0
    wrong_to_act: int = 0
    """Acted, or would have, where it was wrong to."""
    wrong_to_rest: int = 0

    @property
    def decisions(self) -> int:
        """All that were compared."""
        return self.right_to_act + self.right_to_rest + self.wrong_to_act + self.wrong_to_rest

    @property
    def accuracy(self) -> float | None:
        """The share of decisions that were right; None without any."""
        return _share(self.right_to_act + self.right_to_rest, self.decisions)

    @property
    def precision(self) -> float | None:
        """Of the decisions to act, the share that was right; None where it never acted."""
        return _share(self.right_to_act, self.right_to_act + self.wrong_to_act)

    @property
    def recall(self) -> float | None:
        """Of the decisions where acting was right, the share that acted; None without any."""
        return _share(self.right_to_act, self.right_to_act + self.wrong_to_rest)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; None where neither is known."""
        wrong = self.wrong_to_act + self.wrong_to_rest
        return _share(2 * self.right_to_act, 2 * self.right_to_act + wrong)

    @property
    def base_rate(self) -> float | None:
        """The share of decisions where acting was right: what acting always would reach."""
        return _share(self.right_to_act + self.wrong_to_rest, self.decisions)

    def document(self) -> dict[str, Any]:
        """Return it as plain data; what is undefined is null."""
        return {
            "decisions": self.decisions,
            "rightToAct": self.right_to_act,
            "rightToRest": self.right_to_rest,
            "wrongToAct": self.wrong_to_act,
            "wrongToRest": self.wrong_to_rest,
            "accuracy": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "baseRate": self.base_rate,
        }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class MeasuredStage:
    """One stage over all decisions on the real clock, in milliseconds."""

    policy: str
    stage: str
    count: int
    p50: float
    p99: float
    budget: float | None
    """The policy's whole budget; None for a policy that is not known."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the machine took: it differs from run to run, so it stands apart from the rest."""

    seconds: float
    """From the first row to the end of the last."""
    stages: tuple[MeasuredStage, ...]

    def document(self, rows: int) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "seconds": round(self.seconds, 3),
            "rowsPerSecond": round(rows / self.seconds, 1) if self.seconds else None,
            "stages": [
                {name: getattr(stage, name) for name in MeasuredStage.__slots__}
                for stage in self.stages
            ],
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole result; without `measured`, two runs of one rehearsal give the same."""

    rows: int
    recording_seconds: float
    decisions: int
    records: int
    """Written while it ran; the journal keeps the newest."""
    skipped: Mapping[str, int]
    """Rows, cells and messages that led to no decision, by why."""
    verdicts: Mapping[str, int]
    reasons: Mapping[str, int]
    """By `verdict/reason`."""
    outcomes: Mapping[str, int]
    """What became of commands."""
    comparison: TruthComparison | None = None
    measured: Measured | None = None

    def document(self) -> dict[str, Any]:
        """Return it as plain data, its keys in camelCase as on every wire."""
        plain = ("rows", "recording_seconds", "decisions", "records")
        counts = ("skipped", "verdicts", "reasons", "outcomes")
        document = {alias_generators.to_camel(name): getattr(self, name) for name in plain}
        document |= {name: dict(getattr(self, name)) for name in counts}
        document["truth"] = None if self.comparison is None else self.comparison.document()
        if self.measured is not None:
            document["measured"] = self.measured.document(self.rows)
        return document


class Score:
    """The counts of one rehearsal so far."""

    def __init__(
        self, *, has_truth: bool, true_value: str | None = None, is_live: bool = False
    ) -> None:
        """Begin to count.

        Args:
            has_truth: whether rows say when acting was right.
            true_value: the text that says so; by default 1, true, yes.
            is_live: whether the engine's clock measures latencies; a frozen one measures none.
        """
        self.decisions: Final[Counter[tuple[str, str, str]]] = Counter()
        """By policy, verdict and reason."""
        self.outcomes: Final[Counter[str]] = Counter()
        self.records = 0
        self.stages: Final[dict[tuple[str, str], Counter[int]]] = {}
        """Latencies of the real clock, in the buckets of `histogram`, by policy and stage."""
        self.rows = 0
        self.first: datetime | None = None
        """When the first row was played, and the last."""
        self.last: datetime | None = None
        self.refused = 0
        """Cells that are no value of their property."""
        self.silent = 0
        """Cells that say nothing."""
        self.undecided = 0
        """Rows after which no decision came until the next."""
        self._decisions_before = 0
        self._is_live: Final = is_live
        self._rows_began: float | None = None
        self._rows_ended = 0.0
        self._work_began = time.monotonic()
        self._waited = 0.0
        self._has_truth: Final = has_truth
        self._true_value: Final = true_value
        self.untold = 0
        """Rows whose truth could not be read: nothing is held against them."""
        self._is_right_to_act: bool | None = None
        self._compared: Final[Counter[tuple[bool, bool]]] = Counter()
        """By whether it acted and whether that was right."""

    def begin_row(self, row: recording.RecordedRow, moment: datetime) -> None:
        """Count a row that is played now; what is decided from here on is held against it."""
        self.end_row()
        if self._rows_began is None:
            self._rows_began = time.monotonic()
        self.rows += 1
        self.first, self.last = self.first or moment, moment
        self.refused += len(row.refused)
        self.silent += len(row.silent)
        self._decisions_before = self.decisions.total()
        self._is_right_to_act = truth.is_right_to_act(row.truth or "", self._true_value)
        self.untold += self._has_truth and self._is_right_to_act is None

    def end_row(self) -> None:
        """See whether anything was decided since the row was played."""
        self._rows_ended = time.monotonic()
        self.undecided += self.rows > 0 and self.decisions.total() == self._decisions_before

    def take(self, effect: effects.Effect) -> None:
        """Note one effect."""
        match effect:
            case effects.Decided():
                key = (str(effect.policy), effect.verdict.value, effect.reason)
                self.decisions[key] += 1
                self._compare(effect)
                if not self._is_live:
                    self.observe(effect.policy, histogram.Stage.DECIDE, self._worked())
            case effects.Observe() if self._is_live:
                self.observe(effect.policy, effect.stage, effect.seconds)
            case effects.AppendRecords():
                self.records += len(effect.records)
            case effects.Count(metric=metrics.COMMANDS.name, labels=(_, outcome)):
                self.outcomes[outcome] += effect.amount
            case _:
                pass

    def begin_work(self) -> None:
        """Measure from here how long deciding takes, but for what `wait` is told."""
        self._work_began, self._waited = time.monotonic(), 0.0

    @property
    def real_seconds(self) -> float:
        """What playing the rows took."""
        return 0.0 if self._rows_began is None else self._rows_ended - self._rows_began

    def wait(self, seconds: float) -> None:
        """Leave out real seconds in which a model was asked."""
        self._waited += seconds

    def _worked(self) -> float:
        return max(0.0, time.monotonic() - self._work_began - self._waited)

    def observe(self, policy: events.Key, stage: str, seconds: float) -> None:
        """Note one latency of the real clock."""
        series = self.stages.setdefault((str(policy), stage), Counter())
        series[histogram.bucket(seconds)] += 1

    @property
    def comparison(self) -> TruthComparison | None:
        """How decisions compare with the truth, where there is one."""
        if not self._has_truth:
            return None
        return TruthComparison(
            right_to_act=self._compared[True, True],
            right_to_rest=self._compared[False, True],
            wrong_to_act=self._compared[True, False],
            wrong_to_rest=self._compared[False, False],
        )

    def summary(self, skipped: Mapping[str, int], measured: Measured | None) -> Summary:
        """Return the result.

        Args:
            skipped: what led to no decision besides rows and cells, by why.
            measured: what the machine took, if that is asked for.
        """
        played = timedelta() if self.first is None or self.last is None else self.last - self.first
        return Summary(
            rows=self.rows,
            recording_seconds=played.total_seconds(),
            decisions=self.decisions.total(),
            records=self.records,
            skipped={
                "rows without a decision": self.undecided,
                "cells not readable": self.refused,
                "cells empty": self.silent,
                "truths not readable": self.untold,
                **skipped,
            },
            verdicts=verdicts(self.decisions),
            reasons=reasons(self.decisions),
            outcomes=ranked(self.outcomes),
            comparison=self.comparison,
            measured=measured,
        )

    def _compare(self, decided: effects.Decided) -> None:
        """Hold a decision against the row that triggered it; a silence has none."""
        is_asked = decided.rules in (record.Phase.PASS, record.Phase.FAIL)
        right = self._is_right_to_act
        if not (self._has_truth and is_asked and decided.triggered_at is not None) or right is None:
            return
        acts = decided.rules is record.Phase.PASS
        self._compared[acts, acts == right] += 1


def is_undecided(summary: Summary) -> bool:
    """Whether no row came so far that a rule, a limit or a right decided about it."""
    pairs = (reason.partition("/") for reason in summary.reasons)
    return all(verdict in _UNDECIDED or reason in _UNARMED for verdict, _, reason in pairs)


def undecided(summary: Summary) -> str:
    """Say why no row came to a decision."""
    skipped = ", ".join(f"{count} {what}" for what, count in summary.skipped.items() if count)
    if not summary.decisions:
        return f"no row of {summary.rows} led to a decision: {skipped or 'nothing was evaluated'}"
    counts = ", ".join(f"{count} {what}" for what, count in summary.reasons.items())
    more = f"; {skipped}" if skipped else ""
    return f"no row of {summary.rows} came as far as a decision: {counts}{more}"


def verdicts(decisions: Mapping[tuple[str, str, str], int]) -> dict[str, int]:
    """Count decisions by verdict, the most frequent first, equals by name."""
    counts: Counter[str] = Counter()
    for (_, verdict, _), count in decisions.items():
        counts[verdict] += count
    return ranked(counts)


def reasons(decisions: Mapping[tuple[str, str, str], int]) -> dict[str, int]:
    """Count decisions by verdict and reason, the most frequent first, equals by name."""
    counts: Counter[str] = Counter()
    for (_, verdict, reason), count in decisions.items():
        counts[f"{verdict}/{reason}"] += count
    return ranked(counts)


def ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Order counts: the most frequent first, equals by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def refused(registry: prometheus_client.CollectorRegistry) -> dict[str, int]:
    """Count messages that were no samples, by why."""
    return {
        f"messages {sample.labels['result']}": int(sample.value)
        for family in registry.collect()
        for sample in family.samples
        if sample.name == metrics.TELEMETRY.name and sample.labels["result"] != telemetry.ACCEPTED
    }


def latencies(
    stages: Mapping[tuple[str, str], Mapping[int, int]], budgets: Mapping[str, float]
) -> tuple[MeasuredStage, ...]:
    """Sum up every stage, in the order in which time passes.

    Args:
        stages: counts by bucket of `histogram`, by policy and stage.
        budgets: latency budgets in seconds, by policy.
    """
    order = [stage.value for stage in histogram.Stage]
    latencies_: list[MeasuredStage] = []
    for policy, stage in sorted(stages, key=lambda key: (key[0], order.index(key[1]))):
        counts = histogram.Histogram(buckets=dict(stages[policy, stage]))
        p50, p99 = (histogram.quantile(counts, q) or 0.0 for q in (0.5, 0.99))
        budget = budgets.get(policy)
        latencies_.append(
            MeasuredStage(
                policy=policy,
                stage=stage,
                count=counts.count,
                p50=round(1000 * p50, 3),
                p99=round(1000 * p99, 3),
                budget=None if budget is None else 1000 * budget,
            )
        )
    return tuple(latencies_)
