"""Run gates over facts, and read the verdict off the one that decided. Called by the engine.

facts ──BEFORE_INFERENCE──► passed ──(the model is asked)──► facts ──AFTER_INFERENCE──► verdict
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName, GateReason
from foreshore_api.wire.record import Phase, Verdict
from foreshore_decision.chain import order
from foreshore_decision.chain.facts import Entry, Facts
from foreshore_decision.chain.gate import Gate

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
    for name, ask in gates:
        facts, entry = ask(name, facts)
        entries.append(entry)
        if entry.phase is not Phase.PASS:
            return Evaluation(facts, tuple(entries), entry)
    return Evaluation(facts, tuple(entries), None)


def abandon(facts: Facts, reason: GateReason) -> Evaluation:
    """Decide without asking: what was armed before no longer is."""
    entry = Entry(reasons.ARM, Phase.FAIL, reason)
    return Evaluation(facts, (entry,), entry)


def skipped(
    entries: Sequence[Entry], names: tuple[GateName, ...] = order.NAMES
) -> tuple[GateName, ...]:
    """Return the names of the gates that were not asked."""
    return names[len(entries) :]


def verdict(evaluation: Evaluation) -> Verdict:
    """Read the verdict off the gate that decided.

    A reason says what it leads to. One that the author of a rule wrote leads to what its gate does.
    """
    entry = evaluation.decided_by
    if entry is None:
        return Verdict.COMMANDED
    if entry.phase is Phase.ERROR:
        return Verdict.ERROR
    chosen = entry.reason.verdict if isinstance(entry.reason, GateReason) else None
    return chosen or entry.gate.verdict


def would_command(evaluation: Evaluation) -> bool:
    """Whether only the mode stood between this evaluation and a command."""
    entry = evaluation.decided_by
    return entry is not None and entry.gate == reasons.MODE
