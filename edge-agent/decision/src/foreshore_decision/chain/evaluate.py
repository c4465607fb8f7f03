"""Run gates over facts, and read the verdict off the one that decided. Called by the engine.

facts ──BEFORE_INFERENCE──► passed ──(the model is asked)──► facts ──AFTER_INFERENCE──► verdict
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire import record
from foreshore_decision.chain import order, reasons
from foreshore_decision.chain.facts import Entry, Facts
from foreshore_decision.chain.gates import Gate

Verdict = record.Verdict

BY_GATE: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        "Arm": Verdict.NOT_TRIGGERED,
        "Validity": Verdict.NOT_APPLICABLE,
        "Context": Verdict.NOT_APPLICABLE,
        "Inference": Verdict.ERROR,
        "Rule": Verdict.DENIED,
        "Limits": Verdict.DENIED,
        "RateLimit": Verdict.SUPPRESSED,
        "Mode": Verdict.SHADOWED,
        "Authority": Verdict.DENIED,
    }
)
"""The verdict of the first gate that fails; `verdict` knows the exceptions."""

ROUTINE: Final = frozenset({Verdict.NOT_TRIGGERED, Verdict.NOT_APPLICABLE, Verdict.SUPPRESSED})
"""Nothing was to be done: these are sampled."""


class Evaluation(NamedTuple):
    """What the gates made of the facts; `decided_by` is None when all of them passed."""

    facts: Facts
    entries: tuple[Entry, ...]
    decided_by: Entry | None


def evaluate(gates: Sequence[Gate], facts: Facts, earlier: tuple[Entry, ...] = ()) -> Evaluation:
    """Ask the gates in order; the first that does not pass decides."""
    entries = list(earlier)
    for gate in gates:
        facts, entry = gate(facts)
        entries.append(entry)
        if entry.phase is not record.Phase.PASS:
            return Evaluation(facts, tuple(entries), entry)
    return Evaluation(facts, tuple(entries), None)


def abandon(facts: Facts, reason: str) -> Evaluation:
    """Decide without asking: what was armed before no longer is."""
    entry = Entry("Arm", record.Phase.FAIL, reason)
    return Evaluation(facts, (entry,), entry)


def skipped(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the names of the gates that were not asked."""
    return order.NAMES[len(entries) :]


def verdict(evaluation: Evaluation) -> Verdict:
    """Read the verdict off the gate that decided."""
    entry = evaluation.decided_by
    if entry is None:
        return Verdict.COMMANDED
    if entry.phase is record.Phase.ERROR:
        return Verdict.ERROR
    if entry.gate == "Rule" and entry.reason == reasons.NO_RULE_PERMITS:
        return Verdict.NOT_TRIGGERED
    if entry.gate == "Mode" and evaluation.facts.given.mode is Mode.ADVISE:
        return Verdict.ADVISED
    return BY_GATE[entry.gate]


def would_command(evaluation: Evaluation) -> bool:
    """Whether only the mode stood between this evaluation and a command."""
    entry = evaluation.decided_by
    return entry is not None and entry.gate == "Mode"


def rules(evaluation: Evaluation) -> record.Phase:
    """Return what the rules came to, whatever decided; Skipped where they were not asked."""
    asked = (entry.phase for entry in evaluation.entries if entry.gate == "Rule")
    return next(asked, record.Phase.SKIPPED)
