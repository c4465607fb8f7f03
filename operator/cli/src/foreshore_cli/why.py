"""`kubectl foreshore why`: one decision in words, from its record.

find (one get, or a list of one) ─► foreshore_decision.explain ─► text | document

The record comes through the aggregated API: whoever may `kubectl get decisions` may ask, and nobody
else. The words are those of `foreshore-agent why`: one explanation, two places to ask.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pydantic
import rich.console
import rich.table
from pydantic import alias_generators

from foreshore_cli import api, errors, options, terminal
from foreshore_decision import explain

Json = dict[str, Any]

PLURAL: Final = "decisions"

VERDICTS: Final[Mapping[str, terminal.Mark]] = {
    "Commanded": terminal.Mark.GOOD,
    "Denied": terminal.Mark.BAD,
    "Error": terminal.Mark.BAD,
}
"""The mark of a verdict; every other one is a good reason to do nothing."""

_LABEL: Final = re.compile(r"  [+x ] \S+ +|\S+ {2,}|[a-z ]+: (?=\S)")
"""What a wrapped line is indented by: a gate with its mark, a name with its padding, a lead-in."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which decision is meant: one by its identity, or the last that fits."""

    identity: str | None = None
    device: str | None = None
    policy: str | None = None
    verdict: str | None = None

    @property
    def words(self) -> str:
        """What is looked for, as a person would say it."""
        named = {"device": self.device, "policy": self.policy, "verdict": self.verdict}
        return ", ".join(f"{kind} {name}" for kind, name in named.items() if name is not None)

    @property
    def selector(self) -> str:
        """The field selector that lists it. Raises UsageError for a name that can be none."""
        named = {
            "metadata.name": self.identity,
            "device": self.device,
            "policy": self.policy,
            "verdict": self.verdict,
        }
        for name in filter(None, named.values()):
            if not re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9.]*", name):
                raise errors.UsageError(f"{name!r} can be no name")
        return ",".join(f"{key}={name}" for key, name in named.items() if name is not None)


def run(target: options.Target, output: options.Output, question: Question) -> int:
    """Find the decision, explain it, show it; return the exit code."""
    server = api.connect(target)
    document = find(server, question)
    explanation = explained(document)
    if output.is_document:
        terminal.document({**document, "explanation": written(explanation)}, output)
    else:
        terminal.show(*worded(explanation, document))
    return errors.EXIT_WELL


def find(server: api.Reads, question: Question) -> Json:
    """The Decision object that is asked for. Raises CommandError."""
    selector = question.selector
    if question.identity is not None and server.namespace:
        return server.get(api.RECORDS, PLURAL, question.identity)
    query = {"fieldSelector": selector} if selector else {}
    found = server.list(api.RECORDS, PLURAL, query, limit=1)  # the newest comes first
    if found:
        return found[0]
    place = f"in namespace {server.namespace}" if server.namespace else "in any namespace"
    what = question.identity or (f"of {question.words}" if question.words else "at all")
    raise errors.CommandError(f"there is no decision {what} {place}")


def explained(document: Mapping[str, Any]) -> explain.Explanation:
    """The explanation of a Decision object. Raises CommandError when a newer hub wrote it."""
    try:
        return explain.of_object(document)
    except (pydantic.ValidationError, KeyError, TypeError) as error:
        name = (document.get("metadata") or {}).get("name", "")
        raise errors.CommandError(
            f"this version of the command cannot read the record"
            f" (kubectl get decision {name} -o yaml shows it): {api.one_line(error)}"
        ) from error


def written(explanation: explain.Explanation) -> Json:
    """The explanation as a document, its names written as everywhere on the wire."""
    return {
        alias_generators.to_camel(field.name): _written(getattr(explanation, field.name))
        for field in dataclasses.fields(explanation)
    }


def _written(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            alias_generators.to_camel(key): each for key, each in dataclasses.asdict(value).items()
        }
    return dict(value) if isinstance(value, Mapping) else value


def worded(
    explanation: explain.Explanation, document: Mapping[str, Any]
) -> Iterator[rich.console.RenderableType]:
    """The explanation for a person: the verdict behind its mark, then line by line."""
    head, *lines = explain.lines(explanation)
    mark = VERDICTS.get(explanation.verdict, terminal.Mark.CALM)
    sign, _, _ = mark.beside("").plain.partition(" ")
    verdict, _, rest = head.partition(": ")
    yield terminal.text((f"{sign} {verdict}", f"bold {mark.style}"), f": {terminal.clean(rest)}")
    yield from map(_line, lines)
    if (document.get("chain") or {}).get("integrity", "Intact") != "Intact":
        yield ""
        yield terminal.text(
            terminal.Mark.BAD.beside(
                "the chain of records is broken here: what was stored is not what was journalled"
            )
        )


def _line(line: str) -> rich.console.RenderableType:
    """One line, wrapped under its text and not under its label."""
    found = _LABEL.match(line)
    if found is None:
        return terminal.text(line)
    style = {"x": terminal.Mark.BAD.style, "+": terminal.Mark.GOOD.style}.get(line[2:3], "")
    if not line.startswith("  "):
        style = "dim"
    grid = rich.table.Table.grid()
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(terminal.text((found[0], style)), terminal.text(line[found.end() :]))
    return grid
