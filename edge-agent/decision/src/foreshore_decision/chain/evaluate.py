"""Run gates over facts, and read the verdict off the one that decided. Called by the engine.

facts ──BEFORE_INFERENCE──► passed ──(the model is asked)──► facts ──AFTER_INFERENCE──► verdict
"""

from collections.abc import Sequence
from typing import Final

from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateName, GateReason
from foreshore_api.wire.record import Phase, Verdict
from foreshore_decision.chain import order
from foreshore_decision.chain.facts import Answer, Entry, Facts, Given
from foreshore_decision.chain.gate import Chain, Gate
from foreshore_decision.frozen import Frozen
from foreshore_decision.gates import people

PASS, ERROR, SKIPPED = Phase.PASS, Phase.ERROR, Phase.SKIPPED
"""Here, as in the gates, by a name of the module: to take a member of its class goes through the
class of the class, and costs as much as a call."""
ROUTINE: Final = frozenset({Verdict.NOT_TRIGGERED, Verdict.NOT_APPLICABLE, Verdict.SUPPRESSED})
"""Nothing was to be done: these are sampled."""


class Evaluation(Frozen, frozen=True):
    """What the gates made of the facts; `decided_by` is None when all of them passed."""

    facts: Facts
    entries: tuple[Entry, ...]
    decided_by: Entry | None


def evaluate(gates: Sequence[Gate], facts: Facts, earlier: tuple[Entry, ...] = ()) -> Evaluation:
    """Ask the gates in order; the first that does not pass decides."""
    entries = list(earlier)
    for name, ask in gates:
        step = ask(name, facts)
        facts, entry = step.facts, step.entry
        entries.append(entry)
        if entry.phase is not PASS:
            return Evaluation(facts, tuple(entries), entry)
    return Evaluation(facts, tuple(entries), None)


def proceed(
    earlier: Evaluation,
    answer: Answer | None = None,
    given: Given | None = None,
    chain: Chain = order.CHAIN,
) -> Evaluation:
    """Go on with an evaluation that nothing has decided yet, once it is known what the model says.

    `given` is what was gathered anew, where time has passed while the model was being asked: a
    device that was locked meanwhile, or a policy that was disabled, no longer decides anything.
    """
    facts = earlier.facts
    if given is None:
        return evaluate(chain.after, facts._replace(answer=answer), earlier.entries)
    facts = facts._replace(given=given, before=facts.given, answer=answer)
    disarmed = people.disarmed(given)
    if disarmed is not None:
        return abandon(facts, disarmed)
    return evaluate(chain.after, facts, earlier.entries)


def abandon(facts: Facts, reason: GateReason) -> Evaluation:
    """Decide without asking: what was armed before no longer is."""
    entry = Entry(reasons.ARM, Phase.FAIL, reason)
    return Evaluation(facts, (entry,), entry)


def unwritten(evaluation: Evaluation, cause: str) -> Evaluation:
    """End what every gate let pass: its intent could not be written. No record, no act."""
    entry = Entry(reasons.RECORD, Phase.ERROR, reasons.RECORDER_FULL, operands={"cause": cause})
    return Evaluation(evaluation.facts, (*evaluation.entries, entry), entry)


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
    if entry.phase is ERROR:
        return Verdict.ERROR
    chosen = entry.reason.verdict if isinstance(entry.reason, GateReason) else None
    return chosen or entry.gate.verdict


def would_command(evaluation: Evaluation) -> bool:
    """Whether only the mode stood between this evaluation and a command."""
    entry = evaluation.decided_by
    return entry is not None and entry.gate == reasons.MODE


def rules(evaluation: Evaluation) -> Phase:
    """Return what the rules came to, whatever decided; Skipped where they were not asked."""
    asked = (entry.phase for entry in evaluation.entries if entry.gate == reasons.RULE)
    return next(asked, SKIPPED)
