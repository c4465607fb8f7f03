"""Every sentence of the chain: the template of its reason, filled in. Called by `record`.

For people; programs read the reason. A rule that has a messageExpression speaks for itself.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from foreshore_api import printable
from foreshore_api.reasons import Reason
from foreshore_api.reasons import decision as reasons
from foreshore_decision import expr
from foreshore_decision.chain.facts import Entry, Facts

COMMANDED: Final = "commands {action}"
UNKNOWN: Final = "unknown"


def render(entry: Entry | None, facts: Facts) -> str:
    """Return the sentence for the gate that decided; None decided: the command itself."""
    if entry is None:
        return COMMANDED.format(action=_action(facts))
    if entry.gate == reasons.RULE and facts.message:
        return printable.line(facts.message)
    template = entry.reason.message if isinstance(entry.reason, Reason) else ""
    if not template:
        return printable.line(f"{entry.reason}: {entry.expression}{_operands(entry.operands)}")
    operands = {key: plain(value) for key, value in entry.operands.items()}
    return printable.line(template.format_map(_EntryWords(entry, facts, operands)))


def standing(reason: Reason, epoch: int | None) -> str:
    """Return the sentence for a change of an agent's right, by its reason of the Authority gate."""
    return reason.message.format(epoch=plain(epoch))


class _EntryWords(dict[str, str]):
    """The words of a template: operands first, then what the entry and the facts say."""

    def __init__(self, entry: Entry, facts: Facts, operands: Mapping[str, str]) -> None:
        super().__init__(operands)
        for name in self.keys() & _WORDS:  # an operand may be called as an author likes
            del self[name]
        self._entry: Final = entry
        self._facts: Final = facts
        self._operands: Final = operands

    def __missing__(self, key: str) -> str:
        """Make a word when its template asks for it: most have one or two of them."""
        make = _WORDS.get(key)
        return UNKNOWN if make is None else make(self._entry, self._facts, self._operands)


def _listened(operands: Mapping[str, expr.Value | None], words: Mapping[str, str]) -> str:
    """Say how far a window has come: one of samples, one of a feature, or none."""
    if "steps" in operands:
        gap = "; begun anew after {gap} s without one, where {longest} s may pass"
        return (
            "{samples} of {steps} samples every {every} s are there; full in {seconds} s"
            + (gap if "gap" in operands else "")
        ).format_map(words)
    if "coverage" in operands:
        return (
            "{coverage} of its window was listened to ({minimumCoverage} is needed, in {seconds}"
            " s), values in it: {values}"
        ).format_map(words)
    return "it has no value"


def _action(facts: Facts) -> str:
    values = facts.limited or facts.recommendation or {}
    given = ", ".join(f"{name} {plain(value)}" for name, value in values.items())
    name = facts.given.policy.action.name
    return f"{name} ({given})" if given else name


def _capped(facts: Facts) -> str:
    caps = ", ".join(cap.reason for cap in facts.given.caps)
    return f" (capped: {caps})" if caps else ""


def _operands(operands: Mapping[str, expr.Value | None]) -> str:
    if not operands:
        return ""
    return " with " + ", ".join(f"{name} = {plain(value)}" for name, value in operands.items())


def plain(value: expr.Value | None) -> str:
    """Return a value as people read it: six digits are enough, and none is unknown."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


_WORDS: Final[Mapping[str, Callable[[Entry, Facts, Mapping[str, str]], str]]] = MappingProxyType(
    {
        "name": lambda entry, _facts, _words: entry.name or "it",
        "expression": lambda entry, _facts, _words: entry.expression or "",
        "operands": lambda entry, _facts, _words: _operands(entry.operands),
        "action": lambda _entry, facts, _words: _action(facts),
        "listened": lambda entry, _facts, words: _listened(entry.operands, words),
        "capped": lambda _entry, facts, _words: _capped(facts),
    }
)
"""What the entry and the facts say, by its name in a template."""
