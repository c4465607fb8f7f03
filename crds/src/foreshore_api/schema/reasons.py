"""REASONS.md: every reason that the product gives, from the tables of `foreshore_api.reasons`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from foreshore_api.reasons import Reason, decision, domains

HEAD: Final = """\
# Reasons

Every code that Foreshore gives as a reason, with what it means and what would change it. Generated
from `src/foreshore_api/reasons` by `make generate`. A rule of a policy may name reasons of its own;
they are not listed here.

Of a decision, the first gate that does not pass says the verdict; words in *italics* are filled in.
"""

TITLES: Final[Mapping[str, str]] = {
    "decision": "Decisions: why a gate passed or not",
    "command": "Commands: what became of one",
    "cap": "Caps: why a mode is lower than the one asked for",
    "telemetry": "Telemetry: what became of a message or a value",
    "inference": "Inference: why a replica gave no answer",
    "serving": "Serving: why a model is not served",
    "agent": "Agents: notices, problems, messages that are not believed",
    "link": "Hub: why an agent's call to it did nothing",
    "journal": "Journals: why a record is missing or cannot be believed",
    "placement": "Placement: why not there, and why it moved",
    "condition": "Conditions of objects",
    "lint": "What `lint` warns of",
}


def render(tables: Mapping[str, Mapping[str, domains.Row]]) -> str:
    """Return the page."""
    return HEAD + "".join(f"\n## {TITLES[name]}\n\n{_table(tables[name])}" for name in tables)


def _table(rows: Mapping[str, domains.Row]) -> str:
    gates = [row for row in rows.values() if isinstance(row, decision.GateReason)]
    if len(gates) == len(rows):
        questions = _lines(
            ("gate", "question"), ((str(gate), gate.question) for gate in _names(gates))
        )
        head = ("gate", "reason", "verdict", "meaning", "remedy")
        return f"{questions}\n{_lines(head, _decisions(gates))}"
    return _lines(
        ("reason", "meaning", "remedy"),
        ((f"`{code}`", row.meaning, _remedy(row)) for code, row in rows.items()),
    )


def _names(rows: Iterable[decision.GateReason]) -> list[decision.GateName]:
    """Return the gates that give these reasons, in the order in which they are asked."""
    return list(dict.fromkeys(gate for row in rows for gate in row.gates[:1]))


def _decisions(rows: Iterable[decision.GateReason]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        gates = ", ".join(row.gates)
        verdict = "" if row.verdict is None else f"`{row.verdict.value}`"
        yield gates, f"`{row}`", verdict, row.meaning, _remedy(row)


def _remedy(row: domains.Row) -> str:
    """Return the remedy with its words marked, as it stands before they are filled in."""
    is_template = isinstance(row, Reason)
    return re.sub(r"\{(\w+)\}", r"*\1*", row.remedy) if is_template else row.remedy


def _lines(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)
