"""`kubectl foreshore why`: one decision in words, from its record.

find (one get, or a list) ─► foreshore_decision.explain ─► text | document

The record comes through the aggregated API: whoever may `kubectl get decisions` may ask, and nobody
else. The words are those of `foreshore-agent why`: one explanation, two places to ask.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pydantic
import rich.console
import rich.table
from pydantic import alias_generators

from foreshore_api.wire import record
from foreshore_cli import api, errors, options, terminal
from foreshore_decision import explain, naming

Json = dict[str, Any]

PLURAL: Final = "decisions"

VERDICTS: Final[Mapping[str, terminal.Mark]] = {
    "Commanded": terminal.Mark.GOOD,
    "Denied": terminal.Mark.BAD,
    "Error": terminal.Mark.BAD,
}
"""The mark of a verdict; every other one is a good reason to do nothing."""

_WHOLE: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A whole identity; anything else may be the beginning of one."""

_LABEL: Final = re.compile(r"  [+x ] \S+ +|\S+ {2,}|[a-z ]+: (?=\S)")
"""What a wrapped line is indented by: a gate with its mark, a name with its padding, a lead-in."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which decision is meant: one by (the beginning of) its identity, or the last that fits."""

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
            "namePrefix": self.identity,
            "device": self.device,
            "policy": self.policy,
            "verdict": _verdict(self.verdict),
        }
        for name in filter(None, named.values()):
            if not re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9.]*", name):
                raise errors.UsageError(f"{name!r} can be no name")
        return ",".join(f"{key}={name}" for key, name in named.items() if name is not None)


def run(target: options.Target, output: options.OutputFormat, question: Question) -> int:
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
    selector, identity = question.selector, question.identity
    if identity is not None and server.namespace and _WHOLE.fullmatch(identity):
        return server.get(api.RECORDS, PLURAL, identity)
    query = {"fieldSelector": selector} if selector else {}
    most = 1 if identity is None else naming.SHOWN + 1
    decisions = server.list(api.RECORDS, PLURAL, query, limit=most)  # the newest comes first
    if identity is not None:
        decisions = _only(identity, decisions)
    if decisions:
        return decisions[0]
    if identity is not None and server.namespace:
        return server.get(api.RECORDS, PLURAL, identity)  # not there: the hub says so
    place = f"in namespace {server.namespace}" if server.namespace else "in any namespace"
    what = question.identity or (f"of {question.words}" if question.words else "at all")
    raise errors.CommandError(f"there is no decision {what} {place}")


def identity(written: str) -> str:
    """The identity, or the beginning of it, in what a person wrote."""
    return naming.identity(written)


def _only(beginning: str, decisions: Sequence[Json]) -> Sequence[Json]:
    """The one decision that is meant. Raises UsageError for a name that does not say which."""
    exact = [decision for decision in decisions if decision["metadata"]["name"] == beginning]
    if exact:
        return exact
    if decisions and naming.is_too_short(beginning):
        raise errors.UsageError(naming.too_short(beginning))
    if len(decisions) > 1:
        raise errors.UsageError(naming.ambiguous(beginning, tuple(map(_candidate, decisions))))
    return decisions


def _candidate(document: Json) -> naming.DecisionCandidate:
    data = document["decision"]
    device = f"{data['device']['namespace']}/{data['device']['name']}"
    verdict = f"{data['verdict']['result']}/{data['verdict']['reason']}"
    details = map(terminal.clean, (document["event"]["time"], device, verdict))
    return naming.DecisionCandidate(document["metadata"]["name"], *details)


def _verdict(written: str | None) -> str | None:
    """The verdict as the records write it. Raises UsageError for one that is none."""
    if written is None:
        return None
    verdicts = {verdict.casefold(): verdict.value for verdict in record.Verdict}
    if written.casefold() not in verdicts:
        words = ", ".join(verdicts.values())
        raise errors.UsageError(f"--verdict is one of {words}, not {written!r}")
    return verdicts[written.casefold()]


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
        return [_written(element) for element in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            alias_generators.to_camel(key): member
            for key, member in dataclasses.asdict(value).items()
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
    label = _LABEL.match(line)
    if label is None:
        return terminal.text(line)
    style = {"x": terminal.Mark.BAD.style, "+": terminal.Mark.GOOD.style}.get(line[2:3], "")
    if not line.startswith("  "):
        style = "dim"
    grid = rich.table.Table.grid()
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(terminal.text((label[0], style)), terminal.text(line[label.end() :]))
    return grid
