"""`kubectl foreshore status`: one screen that says whether everything is as it should be.

look (a list a kind, the parts) ─► fleet.StatusReport (pure: are we well?) ─► screen | document

A fleet of ten thousand devices still fits one screen: troubled objects first, the well ones folded
into a count.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import rich.console
import rich.table
import rich.text

from foreshore_api import meta
from foreshore_cli import api, errors, fleet, objects, options, product, terminal

Json = dict[str, Any]
Drawn = Iterator[rich.console.RenderableType]
Line = tuple[str, terminal.Mark, str, fleet.Note | product.ProductPart]
"""What is spoken of, its mark and word, and what holds the reason."""

SHOWN: Final = 20
"""Rows of one kind that a screen has room for; `-o wide` shows all."""
NAME: Final = 40
"""Columns that a name has for itself; a longer one is broken."""
NOTHING: Final = "-"
PERIOD: Final = 2.0
"""Seconds between two looks while waiting."""

MARKS: Final[Mapping[objects.ObjectState, terminal.Mark]] = {
    objects.ObjectState.STALLED: terminal.Mark.BAD,
    objects.ObjectState.UNREADABLE: terminal.Mark.BAD,
    objects.ObjectState.NOT_READY: terminal.Mark.BAD,
    objects.ObjectState.UNKNOWN: terminal.Mark.ODD,
    objects.ObjectState.TERMINATING: terminal.Mark.BUSY,
    objects.ObjectState.PROGRESSING: terminal.Mark.BUSY,
    objects.ObjectState.READY: terminal.Mark.GOOD,
}


def run(
    target: options.Target, output: options.OutputFormat, selector: str | None, wait: str | None
) -> int:
    """Look, or look until all is well; show it; return the exit code."""
    patience = None if wait is None else api.seconds(wait, "--wait-duration")
    server = api.connect(target)
    if patience is None:
        report = look(server, selector)
    else:
        deadline = time.monotonic() + patience
        report = look_until_well(lambda: look(server, selector), deadline)
    if output.is_document:
        terminal.document(written(report), output)
    else:
        _show(report, server.namespace, is_wide=output is options.OutputFormat.WIDE)
    return errors.EXIT_WELL if report.is_well else errors.EXIT_UNWELL


def _show(report: fleet.StatusReport, namespace: str, *, is_wide: bool) -> None:
    is_empty = not any(True for _ in report.every)
    if is_empty:
        place = f"namespace {namespace}" if namespace else "any namespace"
        terminal.say(f"No Foreshore object in {place}.")
    if not is_empty or not report.is_well:
        terminal.show(*screen(report, is_wide=is_wide, on=namespace), is_wide=is_wide)


def look(server: api.Reads, selector: str | None = None) -> fleet.StatusReport:
    """Read every kind and judge it.

    Clusters have no namespace and are seen with all namespaces only; whoever may see namespaces
    and not those (as with the cluster's own role `view`) is told and sees the rest.
    """
    query = {"labelSelector": selector} if selector else {}
    rows: dict[str, tuple[fleet.ObjectRow, ...]] = {}
    for section in fleet.SECTIONS:
        if section.kind.scope == "Cluster" and server.namespace:
            continue
        try:
            documents = server.list(meta.API_VERSION, section.kind.plural, query)
        except errors.ForbiddenError as error:
            if section.kind.scope != "Cluster":
                raise
            terminal.say(f"{section.title} are left out: {error}")
            continue
        rows[section.key] = fleet.judged(section, documents)
    return fleet.StatusReport(rows, product.look(server)).told_once()


def look_until_well(
    observe: Callable[[], fleet.StatusReport],
    deadline: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> fleet.StatusReport:
    """Look again until nothing is left to wait for; each change of an object is said once.

    Raises:
        UnreachableError: there was no answer up to the deadline.
    """
    last_words: dict[tuple[str, str, str], str] = {}
    while True:
        is_last = clock() + PERIOD > deadline
        try:
            report = observe()
        except errors.UnreachableError as error:
            if is_last:
                raise
            terminal.say(f"{error}; trying again")
        else:
            _say_changes(report, last_words)
            if report.is_well or is_last:
                return report
        sleep(PERIOD)


def _say_changes(report: fleet.StatusReport, last_words: dict[tuple[str, str, str], str]) -> None:
    """Say each change once; who is well from the start is not worth a word."""
    for key, words, is_well in _words(report):
        was = last_words.get(key)
        if words != was and not (was is None and is_well):
            terminal.say(words)
        last_words[key] = words


def _words(report: fleet.StatusReport) -> Iterator[tuple[tuple[str, str, str], str, bool]]:
    for part in report.parts:
        yield ("", "", part.name), f"{part.name}: {part.state}, {part.reason}", part.is_well
    for row in report.every:
        troubles = [note for note in row.notes if not note.is_mild]
        if row.standing.is_well and troubles:
            words = f"{troubles[0].what}, {troubles[0].reason}"
        else:
            words = f"{row.standing.state}, {row.standing.reason}"
        key = (row.kind, row.namespace, row.name)
        yield key, f"{row.kind} {row.name}: {words}", row.is_well


def written(report: fleet.StatusReport) -> Json:
    """The report as a document; a fact that is not known is left out."""
    counts = Counter(row.standing.state for row in report.every)
    return {
        "state": "Ready" if report.is_well else "NotReady",
        "product": [
            {
                "name": part.name,
                "state": part.state.value,
                "reason": part.reason,
                "message": part.message,
            }
            for part in report.parts
        ],
        "objects": {state.value: counts[state] for state in objects.ObjectState if counts[state]},
        **{
            section.key: [_written_row(section, row) for row in report.rows[section.key]]
            for section in fleet.SECTIONS
            if section.key in report.rows
        },
    }


def _written_row(section: fleet.Section[Any], row: fleet.ObjectRow) -> Json:
    facts = zip(section.columns, row.facts, strict=True)
    notes = [
        {"what": note.what, "reason": note.reason, "message": note.message} for note in row.notes
    ]
    return {
        **({"namespace": row.namespace} if row.namespace else {}),
        "name": row.name,
        "state": row.standing.state.value,
        "reason": row.standing.reason,
        "message": row.standing.message,
        **{column.key: _plain(fact) for column, fact in facts if fact is not None},
        **({"notes": notes} if notes else {}),
    }


def _plain(fact: fleet.Fact) -> fleet.Fact:
    """Drop the enumeration behind a word: YAML would refuse it."""
    return str(fact) if isinstance(fact, str) else fact


def screen(report: fleet.StatusReport, *, is_wide: bool, on: str) -> Drawn:
    """The product, the tables, what to look at, and one line that sums up.

    `on` is the namespace, if there is one.
    """
    unwell = [part for part in report.parts if not part.is_well]
    if unwell:
        yield terminal.text(("Foreshore itself", "bold"))
        yield _lines((part.name, MARKS[part.state], part.state, part) for part in unwell)
        yield ""
    for section in fleet.SECTIONS:
        rows = report.rows.get(section.key, ())
        if not rows or (section.is_quiet and all(row.standing.is_well for row in rows)):
            continue
        shown = rows if is_wide else rows[:SHOWN]
        yield terminal.text((section.title, "bold"))
        yield _table(section, shown, is_wide=is_wide, has_namespace=not on)
        if len(shown) < len(rows):
            yield terminal.text((f"{_folded(rows[len(shown) :])}; all of them: -o wide", "dim"))
        yield ""
    noted = [row for row in report.every if row.notes]
    if noted:
        yield terminal.text(("Look at", "bold"))
        yield _noted(noted if is_wide else noted[:SHOWN], has_namespace=not on)
        if not is_wide and len(noted) > SHOWN:
            yield terminal.text((f"and {len(noted) - SHOWN} more; all of them: -o wide", "dim"))
        yield ""
    yield _summary(report)


def _table(
    section: fleet.Section[Any],
    rows: Sequence[fleet.ObjectRow],
    *,
    is_wide: bool,
    has_namespace: bool,
) -> rich.table.Table:
    """One kind. Columns are as wide as they must be, so that only a long one is ever broken."""
    table = rich.table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    columns: list[tuple[str, list[rich.text.Text], bool]] = []
    if has_namespace and section.kind.scope != "Cluster":
        columns.append(("NAMESPACE", [terminal.text(row.namespace) for row in rows], False))
    columns.append(("NAME", [terminal.text(row.name) for row in rows], False))
    stands = [row.standing.state for row in rows]
    columns.append(("STATE", [MARKS[state].beside(state) for state in stands], False))
    for place, column in enumerate(section.columns):
        if is_wide or not column.is_wide:
            facts = [row.facts[place] for row in rows]
            columns.append((column.heading, [_cell(fact) for fact in facts], column.is_long))
    for heading, cells, is_long in columns:
        is_number = all(cell.plain == NOTHING or cell.plain.isdigit() for cell in cells)
        table.add_column(
            heading,
            justify="right" if is_number else "left",
            width=None if is_long else min(NAME, max(map(len, (heading, *map(str, cells))))),
            overflow="fold",
        )
    for line in zip(*(cells for _, cells, _ in columns), strict=True):
        table.add_row(*line)
    return table


def _cell(fact: fleet.Fact) -> rich.text.Text:
    if fact is None:
        return terminal.text((NOTHING, "dim"))
    return terminal.text((str(fact), "yellow" if fact == "False" else ""))


def _folded(rows: Sequence[fleet.ObjectRow]) -> str:
    counts = Counter(row.standing.state for row in rows)
    return "and " + ", ".join(
        f"{counts[state]} {state}" for state in objects.ObjectState if counts[state]
    )


def _noted(rows: Iterable[fleet.ObjectRow], *, has_namespace: bool) -> rich.table.Table:
    """One line a note; an object is named once."""

    def lines() -> Iterator[Line]:
        for row in rows:
            place = f"{row.namespace}/" if has_namespace and row.namespace else ""
            called = f"{row.kind} {place}{row.name}"
            for note in row.notes:
                is_state = note.what == row.standing.state
                mark = MARKS[row.standing.state] if is_state else terminal.Mark.ODD
                yield called, mark, note.what, note
                called = ""

    return _lines(lines())


def _lines(lines: Iterable[Line]) -> rich.table.Table:
    grid = rich.table.Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold")
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for called, mark, what, why in lines:
        grid.add_row(
            terminal.text(called),
            mark.beside(what),
            terminal.text((why.reason, "bold"), f": {terminal.clean(why.message)}"),
        )
    return grid


def _summary(report: fleet.StatusReport) -> rich.text.Text:
    """What stands there alone when all is well, and only then."""
    total = sum(1 for _ in report.every)
    if report.is_spotless:
        return terminal.Mark.GOOD.beside(f"all {total} objects are Ready")
    unready = sum(1 for row in report.every if not row.standing.is_well)
    noted = sum(1 for row in report.every if row.standing.is_well and row.notes)
    clauses = [f"{unready} of {total} objects are not Ready"] if unready else []
    if noted:
        clauses.append(f"{noted} {'more' if unready else f'of {total} objects'} to look at")
    clauses += [f"the {part.name}: {part.reason}" for part in report.parts if not part.is_well]
    mark = terminal.Mark.ODD if report.is_well else terminal.Mark.BAD
    return mark.beside("; ".join(clauses))
