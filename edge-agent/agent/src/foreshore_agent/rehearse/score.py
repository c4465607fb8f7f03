"""What a rehearsal came to, purely: counts, latencies against budgets, decisions against truth."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import alias_generators

from foreshore_api.reasons import decision as reasons_
from foreshore_api.wire import histogram, record

_TRUE: Final = ("1", "1.0", "true", "yes", "t")
_UNDECIDED: Final = frozenset({record.Verdict.NOT_APPLICABLE.value, record.Verdict.ERROR.value})
"""Verdicts of passes that ended before anything could be decided."""
_UNARMED: Final = frozenset({reasons_.DISABLED, reasons_.DEVICE_LOCKED, reasons_.POLICY_CHANGED})
"""Reasons of passes that did not begin."""


@dataclass(frozen=True, slots=True)
class Latency:
    """One stage over all decisions, in milliseconds."""

    policy: str
    stage: str
    count: int
    p50: float
    p99: float
    budget: float | None
    """The policy's whole budget; None for a policy that is not known."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Decisions against the truth of their row; a decision counts if its rules were asked."""

    right: int
    wrong_to_act: int
    """Acted, or would have, where it was wrong to."""
    wrong_to_rest: int

    @property
    def share(self) -> float | None:
        """Right ones among all."""
        total = self.right + self.wrong_to_act + self.wrong_to_rest
        return self.right / total if total else None


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole result."""

    rows: int
    recording_seconds: float
    real_seconds: float
    decisions: int
    skipped: Mapping[str, int]
    """Rows, cells and messages that led to no decision, by why."""
    verdicts: Mapping[str, int]
    reasons: Mapping[str, int]
    """By `verdict/reason`."""
    outcomes: Mapping[str, int]
    stages: tuple[Latency, ...]
    accuracy: Accuracy | None
    records: int
    journal: str

    def document(self) -> dict[str, Any]:
        """Return it as plain data, its keys in camelCase as on every wire."""
        found = asdict(self)
        if self.accuracy is not None:
            found["accuracy"]["share"] = self.accuracy.share
            found["accuracy"] = _camel(found["accuracy"])
        found["stages"] = [_camel(each) for each in found["stages"]]
        return _camel(found)


def is_undecided(summary: Summary) -> bool:
    """Whether no row came so far that a rule, a limit or a right decided about it."""
    pairs = (each.partition("/") for each in summary.reasons)
    return all(verdict in _UNDECIDED or reason in _UNARMED for verdict, _, reason in pairs)


def undecided(summary: Summary) -> str:
    """Say why no row came to a decision."""
    skipped = ", ".join(f"{count} {what}" for what, count in summary.skipped.items() if count)
    if not summary.decisions:
        return f"no row of {summary.rows} led to a decision: {skipped or 'nothing was evaluated'}"
    told = ", ".join(f"{count} {what}" for what, count in summary.reasons.items())
    more = f"; {skipped}" if skipped else ""
    return f"no row of {summary.rows} came as far as a decision: {told}{more}"


def _camel(document: Mapping[str, Any]) -> dict[str, Any]:
    return {alias_generators.to_camel(key): value for key, value in document.items()}


def verdicts(decisions: Mapping[tuple[str, str, str], int]) -> dict[str, int]:
    """Count decisions by verdict, the most frequent first."""
    counts: Counter[str] = Counter()
    for (_, verdict, _), count in decisions.items():
        counts[verdict] += count
    return dict(counts.most_common())


def reasons(decisions: Mapping[tuple[str, str, str], int]) -> dict[str, int]:
    """Count decisions by verdict and reason, the most frequent first."""
    counts: Counter[str] = Counter()
    for (_, verdict, reason), count in decisions.items():
        counts[f"{verdict}/{reason}"] += count
    return dict(counts.most_common())


def latencies(
    stages: Mapping[tuple[str, str], Sequence[float]], budgets: Mapping[str, float]
) -> tuple[Latency, ...]:
    """Sum up every stage, in the order in which time passes."""
    order = [stage.value for stage in histogram.Stage]
    return tuple(
        Latency(
            policy,
            stage,
            len(seconds),
            1000 * quantile(seconds, 0.5),
            1000 * quantile(seconds, 0.99),
            None if policy not in budgets else 1000 * budgets[policy],
        )
        for (policy, stage), seconds in sorted(
            stages.items(), key=lambda each: (each[0][0], order.index(each[0][1]))
        )
        if seconds
    )


def quantile(seconds: Sequence[float], q: float) -> float:
    """Return the nearest-rank quantile of at least one value."""
    return sorted(seconds)[max(0, math.ceil(q * len(seconds)) - 1)]


def accuracy(
    events: Iterable[Mapping[str, Any]],
    times: Sequence[datetime],
    truths: Sequence[str],
    true_value: str | None,
) -> Accuracy:
    """Hold each recorded decision against its row.

    Args:
        events: events of the journal.
        times: when each row was published, rising.
        truths: the truth of each row.
        true_value: the text that means that acting was right; by default 1, true, yes.
    """
    counts: Counter[str] = Counter()
    for event in events:
        wants = _wants(event)
        received = event["data"].get("trigger", {}).get("receivedAt")
        if wants is None or received is None:
            continue
        row = bisect_right(times, datetime.fromisoformat(received)) - 1
        if row < 0:
            continue
        weight = int(event.get("sampledrate", 1))
        if wants == is_true(truths[row], true_value):
            counts["right"] += weight
        else:
            counts["act" if wants else "rest"] += weight
    return Accuracy(counts["right"], counts["act"], counts["rest"])


def is_true(text: str, true_value: str | None) -> bool:
    """Whether a cell of the truth's column says that acting was right."""
    text = text.strip().casefold()
    return text in _TRUE if true_value is None else text == true_value.strip().casefold()


def _wants(event: Mapping[str, Any]) -> bool | None:
    """Whether the rules of a decision wanted to act; None where they were not asked."""
    if event["type"] != record.DECISION:
        return None
    for gate in event["data"].get("gates", ()):
        if gate["gate"] == reasons_.RULE:
            if gate["phase"] == record.Phase.PASS:
                return True
            return False if gate["phase"] == record.Phase.FAIL else None
    return None
