"""`kubectl foreshore status`: one screen that says whether everything is as it should be.

look (a list a kind) ─► report (pure: rows, notes, are we well?) ─► screen | document

What a table shows and what `-o json` holds comes from the same columns. A fleet of ten thousand
devices still fits one screen: troubled objects first, the well ones folded into a count.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import rich.console
import rich.table
import rich.text

from foreshore_api import conditions, meta, v1alpha1
from foreshore_cli import api, errors, objects, options, terminal

Json = dict[str, Any]
Fact = str | int | None
T = TypeVar("T", bound=meta.Resource)

SHOWN: Final = 20
"""Rows of one kind that a screen has room for; `-o wide` shows all."""
PERIOD: Final = 2.0
"""Seconds between two looks while waiting."""

MARKS: Final[Mapping[objects.State, terminal.Mark]] = {
    objects.State.STALLED: terminal.Mark.BAD,
    objects.State.UNREADABLE: terminal.Mark.BAD,
    objects.State.NOT_READY: terminal.Mark.BAD,
    objects.State.UNKNOWN: terminal.Mark.ODD,
    objects.State.TERMINATING: terminal.Mark.BUSY,
    objects.State.PROGRESSING: terminal.Mark.BUSY,
    objects.State.READY: terminal.Mark.GOOD,
}
RANKS: Final = {state: rank for rank, state in enumerate(objects.State)}

NOTABLE: Final[tuple[tuple[conditions.Type, conditions.Status, frozenset[str]], ...]] = (
    (conditions.Type.HELD, conditions.Status.TRUE, frozenset()),
    (conditions.Type.DEGRADED, conditions.Status.TRUE, frozenset()),
    (conditions.Type.CONNECTED, conditions.Status.FALSE, frozenset()),
    (conditions.Type.PLACED, conditions.Status.FALSE, frozenset()),
    (conditions.Type.BUDGET_MET, conditions.Status.FALSE, frozenset()),
    (conditions.Type.REDUNDANT, conditions.Status.FALSE, frozenset({conditions.Reason.NO_STANDBY})),
)
"""What is worth a line although it is no part of Ready: condition, status, reasons that are as
asked for."""


@dataclass(frozen=True)  # with slots, a parametrised generic cannot be made
class Column(Generic[T]):
    """One fact of a kind: heading of the table, key of the document, where it comes from."""

    heading: str
    key: str
    value: Callable[[T], Fact]
    is_wide: bool = False


@dataclass(frozen=True)  # with slots, a parametrised generic cannot be made
class Section(Generic[T]):
    """One kind on the screen; a quiet one is shown only when something is wrong with it."""

    title: str
    key: str
    kind: type[T]
    columns: tuple[Column[T], ...] = ()
    is_quiet: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should know of an object."""

    what: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """One object."""

    kind: str
    namespace: str
    name: str
    standing: objects.Standing
    facts: tuple[Fact, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Every object that was looked at, by section."""

    rows: Mapping[str, tuple[Row, ...]]

    @property
    def every(self) -> Iterator[Row]:
        """All rows, section by section."""
        for rows in self.rows.values():
            yield from rows

    @property
    def is_well(self) -> bool:
        """Whether nothing is Stalled and everything is Ready."""
        return all(row.standing.is_well for row in self.every)


def _connected(one: objects.Observable) -> Fact:
    return objects.says(one, conditions.Type.CONNECTED)


def _serving(role: v1alpha1.inferenceplacement.Role) -> Callable[[Any], Fact]:
    def count(placement: v1alpha1.InferencePlacement) -> Fact:
        found = [one for one in placement.status.replicas if one.role is role]
        ready = sum(1 for one in found if one.phase is v1alpha1.inferenceplacement.Phase.READY)
        return f"{ready}/{len(found)}"

    return count


def _on(placement: v1alpha1.InferencePlacement) -> Fact:
    nodes = dict.fromkeys(one.node for one in placement.status.replicas)
    return ", ".join(nodes) or None


def _budget(part: str) -> Callable[[Any], Fact]:
    def read(placement: v1alpha1.InferencePlacement) -> Fact:
        found: Fact = getattr(placement.status.budget, part, None)
        return found

    return read


def _authority(part: str) -> Callable[[Any], Fact]:
    def read(device: v1alpha1.Device) -> Fact:
        found: Fact = getattr(device.status.authority, part, None)
        return found

    return read


def _bound(part: str) -> Callable[[Any], Fact]:
    def read(policy: v1alpha1.DecisionPolicy) -> Fact:
        found: Fact = getattr(policy.status.bound, part, None)
        return found

    return read


def _model(policy: v1alpha1.DecisionPolicy) -> Fact:
    return policy.spec.model_ref.version if policy.spec.model_ref is not None else None


SECTIONS: Final[tuple[Section[Any], ...]] = (
    Section[v1alpha1.Site](
        "Sites",
        "sites",
        v1alpha1.Site,
        (
            Column("CONNECTED", "connected", _connected),
            Column("NODES", "nodes", lambda site: site.status.nodes),
            Column("AGENTS", "agents", lambda site: site.status.agents),
            Column("BROKER", "broker", lambda site: site.spec.broker.host, is_wide=True),
        ),
    ),
    Section[v1alpha1.Device](
        "Devices",
        "devices",
        v1alpha1.Device,
        (
            Column("SITE", "site", lambda device: device.spec.site),
            Column("HOLDER", "holder", _authority("holder")),
            Column("EPOCH", "epoch", _authority("epoch")),
            Column("CONNECTED", "connected", _connected),
            Column("LOCK", "lock", lambda device: device.spec.lock, is_wide=True),
            Column("TAKEOVER", "takeoverBound", _authority("takeover_bound"), is_wide=True),
            Column("PROFILE", "profile", lambda device: device.spec.profile_ref.name, is_wide=True),
        ),
    ),
    Section[v1alpha1.DecisionPolicy](
        "Policies",
        "policies",
        v1alpha1.DecisionPolicy,
        (
            Column("MODE", "mode", lambda policy: policy.spec.mode),
            Column("IN FORCE", "effectiveMode", lambda policy: policy.status.effective_mode),
            Column("DEVICES", "devices", _bound("devices")),
            Column("SITES", "sites", _bound("sites")),
            Column("MODEL", "modelVersion", _model, is_wide=True),
            Column("BUDGET", "latencyBudget", lambda one: one.spec.latency_budget, is_wide=True),
        ),
    ),
    Section[v1alpha1.InferencePlacement](
        "Placements",
        "placements",
        v1alpha1.InferencePlacement,
        (
            Column("ACTIVE", "active", _serving(v1alpha1.inferenceplacement.Role.ACTIVE)),
            Column("STANDBY", "standby", _serving(v1alpha1.inferenceplacement.Role.STANDBY)),
            Column("NODES", "nodes", _on),
            Column(
                "BUDGETMET",
                "budgetMet",
                lambda one: objects.says(one, conditions.Type.BUDGET_MET),
            ),
            Column("BUDGET", "limit", _budget("limit")),
            Column("P99", "measured", _budget("measured")),
            Column("PREDICTED", "predicted", _budget("predicted"), is_wide=True),
        ),
    ),
    Section[v1alpha1.Model](
        "Models",
        "models",
        v1alpha1.Model,
        (Column("VERSIONS", "versions", lambda model: model.status.version_count),),
    ),
    Section[v1alpha1.ModelVersion](
        "Model versions",
        "modelVersions",
        v1alpha1.ModelVersion,
        (
            Column("MODEL", "model", lambda version: version.spec.model_ref.name),
            Column("DIGEST", "digest", lambda version: version.spec.digest[7:19]),
        ),
    ),
    Section[v1alpha1.DeviceProfile](
        "Device profiles", "deviceProfiles", v1alpha1.DeviceProfile, is_quiet=True
    ),
    Section[v1alpha1.Cluster](
        "Clusters",
        "clusters",
        v1alpha1.Cluster,
        (Column("NODES", "nodes", lambda cluster: cluster.status.nodes),),
        is_quiet=True,
    ),
)
"""Everything on the screen, in the order in which trouble travels: places, then who decides, then
where it runs, then what it runs."""


def run(
    target: options.Target, output: options.Output, selector: str | None, wait: str | None
) -> int:
    """Look, or look until all is well; show it; return the exit code."""
    server = api.connect(target)
    if wait is None:
        found = look(server, selector)
    else:
        deadline = time.monotonic() + api.seconds(wait, "--wait-duration")
        found = look_until_well(lambda: look(server, selector), deadline)
    if output.is_document:
        terminal.document(written(found), output)
    elif not any(True for _ in found.every):
        place = f"namespace {server.namespace}" if server.namespace else "any namespace"
        terminal.say(f"No Foreshore object in {place}.")
    else:
        terminal.show(*screen(found, is_wide=output is options.Output.WIDE, on=server.namespace))
    return errors.EXIT_WELL if found.is_well else errors.EXIT_UNWELL


def look(server: api.Reads, selector: str | None = None) -> Report:
    """Read every kind and judge it. Clusters have no namespace: seen with all namespaces only."""
    query = {"labelSelector": selector} if selector else {}
    rows: dict[str, tuple[Row, ...]] = {}
    for section in SECTIONS:
        if section.kind.scope == "Cluster" and server.namespace:
            continue
        documents = server.list(meta.API_VERSION, section.kind.plural, query)
        rows[section.key] = judged(section, documents)
    return Report(rows)


def look_until_well(
    observe: Callable[[], Report],
    deadline: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Report:
    """Look again until nothing is left to wait for; each change of an object is said once.

    Raises:
        UnreachableError: there was no answer up to the deadline.
    """
    said: dict[tuple[str, str, str], objects.Standing] = {}
    while True:
        is_last = clock() + PERIOD > deadline
        try:
            found = observe()
        except errors.UnreachableError as error:
            if is_last:
                raise
            terminal.say(f"{error}; trying again")
        else:
            _say_changes(found, said)
            if found.is_well or is_last:
                return found
        sleep(PERIOD)


def _say_changes(found: Report, said: dict[tuple[str, str, str], objects.Standing]) -> None:
    for row in found.every:
        key = (row.kind, row.namespace, row.name)
        was = said.get(key)
        if row.standing != was and not (was is None and row.standing.is_well):
            terminal.say(f"{row.kind} {row.name}: {row.standing.state}, {row.standing.reason}")
        said[key] = row.standing


def judged(section: Section[Any], documents: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    """The rows of a kind: troubled ones first, then by namespace and name."""
    found, strange = objects.read(section.kind, documents)
    kind = section.kind.kind
    rows = [
        Row(
            kind=kind,
            namespace=one.namespace,
            name=one.name,
            standing=objects.standing(one),
            facts=tuple(column.value(one) for column in section.columns),
            notes=notes(one),
        )
        for one in found
    ] + [
        Row(
            kind=kind,
            namespace=one.namespace,
            name=one.name,
            standing=objects.Standing(objects.State.UNREADABLE, "NewerVersion", one.problem),
            facts=(None,) * len(section.columns),
            notes=(Note(objects.State.UNREADABLE, "NewerVersion", one.problem),),
        )
        for one in strange
    ]
    return tuple(sorted(rows, key=lambda row: (RANKS[row.standing.state], row.namespace, row.name)))


def notes(one: Any) -> tuple[Note, ...]:
    """What a person should know of an object, first of all why it is not Ready."""
    found: list[Note] = []
    stands = objects.standing(one)
    if not stands.is_well:
        found.append(Note(stands.state, stands.reason, stands.message))
    for type_, status, expected in NOTABLE:
        condition = conditions.find(one.status.conditions, type_)
        if condition is None or condition.status is not status or condition.reason in expected:
            continue
        if (condition.reason, condition.message) != (stands.reason, stands.message):
            found.append(Note(_word(type_, status), condition.reason, condition.message))
    if isinstance(one, v1alpha1.DecisionPolicy):
        found.extend(_capped(one))
    return tuple(found)


def _word(type_: conditions.Type, status: conditions.Status) -> str:
    return type_.value if status is conditions.Status.TRUE else f"{type_.value}={status.value}"


def _capped(policy: v1alpha1.DecisionPolicy) -> Iterator[Note]:
    force, asked = policy.status.effective_mode, policy.spec.mode
    if force is not None and force is not asked:
        message = f"the policy asks for {asked}, {force} is in force"
        yield Note("Capped", conditions.Reason.MODE_CAPPED, message)


def written(found: Report) -> Json:
    """The report as a document."""
    counts = Counter(row.standing.state.value for row in found.every)
    return {
        "state": "Ready" if found.is_well else "NotReady",
        "objects": {state.value: counts[state.value] for state in objects.State if counts[state]},
        **{
            section.key: [_written_row(section, row) for row in found.rows[section.key]]
            for section in SECTIONS
            if section.key in found.rows
        },
    }


def _written_row(section: Section[Any], row: Row) -> Json:
    facts = zip(section.columns, row.facts, strict=True)
    return {
        **({"namespace": row.namespace} if row.namespace else {}),
        "name": row.name,
        "state": row.standing.state.value,
        "reason": row.standing.reason,
        "message": row.standing.message,
        **{column.key: _plain(fact) for column, fact in facts if fact is not None},
        **(
            {"notes": [{"what": n.what, "reason": n.reason, "message": n.message} for n in kept]}
            if (kept := row.notes)
            else {}
        ),
    }


def _plain(fact: Fact) -> Fact:
    return str(fact) if isinstance(fact, str) else fact


def screen(found: Report, *, is_wide: bool, on: str) -> Iterator[rich.console.RenderableType]:
    """The tables, what to look at, and one line that sums up."""
    for section in SECTIONS:
        rows = found.rows.get(section.key, ())
        if not rows or (section.is_quiet and all(row.standing.is_well for row in rows)):
            continue
        shown = rows if is_wide else rows[:SHOWN]
        yield terminal.text((section.title, "bold"))
        yield _table(section, shown, is_wide=is_wide, has_namespace=not on)
        if len(shown) < len(rows):
            yield terminal.text((f"  {_folded(rows[len(shown) :])}; all of them: -o wide", "dim"))
        yield ""
    noted = [row for row in found.every if row.notes]
    if noted:
        yield terminal.text(("Look at", "bold"))
        yield from _noted(noted if is_wide else noted[:SHOWN], has_namespace=not on)
        if not is_wide and len(noted) > SHOWN:
            yield terminal.text((f"  and {len(noted) - SHOWN} more; all of them: -o wide", "dim"))
        yield ""
    yield _summary(found)


def _table(
    section: Section[Any], rows: Sequence[Row], *, is_wide: bool, has_namespace: bool
) -> rich.table.Table:
    shown = [place for place, column in enumerate(section.columns) if is_wide or not column.is_wide]
    table = rich.table.Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    is_namespaced = has_namespace and section.kind.scope != "Cluster"
    for heading in (*(("NAMESPACE",) if is_namespaced else ()), "NAME", "STATE"):
        table.add_column(heading, overflow="fold")
    for place in shown:
        is_number = all(isinstance(row.facts[place], int | None) for row in rows)
        heading = section.columns[place].heading
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(
            *((terminal.text(row.namespace),) if is_namespaced else ()),
            terminal.text(row.name),
            MARKS[row.standing.state].beside(row.standing.state),
            *(_cell(row.facts[place]) for place in shown),
        )
    return table


def _cell(fact: Fact) -> rich.text.Text:
    if fact is None:
        return terminal.text(("-", "dim"))
    return terminal.text((str(fact), "yellow" if fact == "False" else ""))


def _folded(rows: Sequence[Row]) -> str:
    counts = Counter(row.standing.state for row in rows)
    return "and " + ", ".join(
        f"{counts[state]} {state}" for state in objects.State if counts[state]
    )


def _noted(rows: Iterable[Row], *, has_namespace: bool) -> Iterator[rich.console.RenderableType]:
    grid = rich.table.Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        place = f"{row.namespace}/" if has_namespace and row.namespace else ""
        for note in row.notes:
            is_state = note.what == row.standing.state
            mark = MARKS[row.standing.state] if is_state else terminal.Mark.ODD
            grid.add_row(
                mark.beside(note.what),
                terminal.text(f"{row.kind} {place}{row.name}"),
                terminal.text((note.reason, "bold"), f": {terminal.clean(note.message)}"),
            )
    yield grid


def _summary(found: Report) -> rich.text.Text:
    total = sum(1 for _ in found.every)
    if found.is_well:
        return terminal.text(terminal.Mark.GOOD.beside(f"all {total} objects are Ready"))
    unwell = sum(1 for row in found.every if not row.standing.is_well)
    return terminal.text(terminal.Mark.BAD.beside(f"{unwell} of {total} objects are not Ready"))
