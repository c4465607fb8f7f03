"""What the status screen knows of a fleet: a section a kind, a row an object, and what to look at.

`status` reads and draws; everything here is pure. The table and `-o json` come from the same
columns, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from foreshore_api import conditions, meta, v1alpha1
from foreshore_cli import objects, product

Fact = str | int | None
T = TypeVar("T", bound=meta.Resource)

RANKS: Final = {state: rank for rank, state in enumerate(objects.ObjectState)}

TRUE, FALSE, UNKNOWN = conditions.Status.TRUE, conditions.Status.FALSE, conditions.Status.UNKNOWN
EXPECTED: Final = frozenset({conditions.Reason.NO_STANDBY, conditions.Reason.NOT_MEASURED})
"""Reasons that are as asked for, or as it is before there is anything to measure."""
MILD: Final = frozenset(
    {
        conditions.Reason.DEVICE_SILENT,
        conditions.Reason.DEVICE_OFFLINE,
        conditions.Reason.NO_FENCE,
        conditions.Reason.PREDICTED_TOO_LOW,
        conditions.Reason.PREDICTED_TOO_HIGH,
    }
)
"""Reasons for a line that leave the exit code alone: of thousands of devices one is always off, and
who chose that nobody fences one knows it; a prediction that is off says nothing of the budget."""
NOTABLE: Final[tuple[tuple[conditions.Type, frozenset[conditions.Status]], ...]] = (
    (conditions.Type.HELD, frozenset({TRUE})),
    (conditions.Type.DEGRADED, frozenset({TRUE})),
    (conditions.Type.ACTUATOR_SHARED, frozenset({TRUE})),
    (conditions.Type.CONNECTED, frozenset({FALSE, UNKNOWN})),
    (conditions.Type.PLACED, frozenset({FALSE, UNKNOWN})),
    (conditions.Type.BUDGET_MET, frozenset({FALSE, UNKNOWN})),
    (conditions.Type.REDUNDANT, frozenset({FALSE, UNKNOWN})),
    (conditions.Type.IN_AGENT, frozenset({FALSE, UNKNOWN})),
    (conditions.Type.UNFENCED, frozenset({TRUE})),
    (conditions.Type.MODEL_ERROR, frozenset({TRUE})),
)
"""What is worth a line although it is no part of Ready: condition, and the status that is amiss."""


@dataclass(frozen=True)  # with slots, a parametrised generic cannot be made
class Column(Generic[T]):
    """One fact of a kind: heading of the table, key of the document, where it comes from.

    A wide one waits for `-o wide`; a long one may be broken over lines.
    """

    heading: str
    key: str
    value: Callable[[T], Fact]
    is_wide: bool = False
    is_long: bool = False


@dataclass(frozen=True)  # with slots, a parametrised generic cannot be made
class Section(Generic[T]):
    """One kind on the screen; a quiet one is shown only when something is wrong with it."""

    title: str
    noun: str
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
    is_mild: bool = False
    """Whether the object is well all the same."""


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object."""

    kind: str
    namespace: str
    name: str
    standing: objects.ObjectStanding
    facts: tuple[Fact, ...]
    notes: tuple[Note, ...]
    site: str | None = None
    """The site that it is or stands at, where its kind says so."""

    @property
    def is_well(self) -> bool:
        """Whether it is Ready, and nothing else that it says is amiss."""
        return self.standing.is_well and all(note.is_mild for note in self.notes)


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Every object that was looked at, by section, and the product's own parts."""

    rows: Mapping[str, tuple[ObjectRow, ...]]
    parts: tuple[product.ProductPart, ...] = ()

    @property
    def every(self) -> Iterator[ObjectRow]:
        """All rows, section by section."""
        for rows in self.rows.values():
            yield from rows

    @property
    def is_well(self) -> bool:
        """Whether every object is well, and whoever says so is known to be alive."""
        return all(row.is_well for row in self.every) and all(part.is_well for part in self.parts)

    @property
    def is_spotless(self) -> bool:
        """Whether there is not even a mild word about anything."""
        return self.is_well and not any(row.notes for row in self.every)

    def told_once(self) -> StatusReport:
        """Leave out of devices what their site or another device says: one cause, one line."""
        causes = {
            (row.namespace, row.site, note.reason)
            for row in self.rows.get("sites", ())
            for note in row.notes
        }
        devices = _unfenced_once(
            replace(
                _as_heard(row, causes),
                notes=tuple(note for note in row.notes if not _is_of(row, note, causes)),
            )
            for row in self.rows.get("devices", ())
        )
        return replace(self, rows={**self.rows, "devices": devices} if devices else self.rows)


def _as_heard(row: ObjectRow, causes: set[tuple[str, str | None, str]]) -> ObjectRow:
    """Show no device as connected while its site says that nobody hears its agents.

    The Device keeps what was last known of it; that the hub is away is one condition of the Site.
    """
    if (row.namespace, row.site, conditions.Reason.HUB_UNREACHABLE.value) not in causes:
        return row
    columns = next(section.columns for section in SECTIONS if section.key == "devices")
    facts = (
        UNKNOWN.value if column.value is _connected and fact is not None else fact
        for column, fact in zip(columns, row.facts, strict=True)
    )
    return replace(row, facts=tuple(facts))


def _is_of(row: ObjectRow, note: Note, causes: set[tuple[str, str | None, str]]) -> bool:
    is_connection = note.what.startswith(conditions.Type.CONNECTED.value)
    return is_connection and (row.namespace, row.site, note.reason) in causes


def _unfenced_once(rows: Iterable[ObjectRow]) -> tuple[ObjectRow, ...]:
    """Say at one device of many that nobody fences them: all say the same."""
    every = tuple(rows)
    unfenced = [row for row in every if any(map(_is_unfenced, row.notes))]
    others = len(unfenced) - 1
    if others < 1:
        return every
    noun = "device" if others == 1 else "devices"

    def folded(row: ObjectRow) -> Iterator[Note]:
        for note in row.notes:
            if not _is_unfenced(note):
                yield note
            elif row is unfenced[0]:
                yield replace(note, message=f"the same of {others} more {noun}; {note.message}")

    return tuple(replace(row, notes=tuple(folded(row))) for row in every)


def _is_unfenced(note: Note) -> bool:
    return note.what == conditions.Type.UNFENCED.value


def _connected(resource: objects.Observable) -> Fact:
    return objects.says(resource, conditions.Type.CONNECTED)


def _serving(role: v1alpha1.inferenceplacement.Role) -> Callable[[Any], Fact]:
    """Count replicas of a role; agents that run the model themselves are active."""

    def count(placement: v1alpha1.InferencePlacement) -> Fact:
        phases = [replica.phase for replica in placement.status.replicas if replica.role is role]
        if role is v1alpha1.inferenceplacement.Role.ACTIVE:
            phases += [replica.phase for replica in placement.status.agents]
        ready = phases.count(v1alpha1.inferenceplacement.ReplicaPhase.READY)
        return f"{ready}/{len(phases)}"

    return count


def _at(path: str) -> Callable[[Any], Fact]:
    """Read what stands at the end of a path of attributes; None where a part of it is absent."""

    def read(value: Any) -> Fact:
        for part in path.split("."):
            value = getattr(value, part, None)
        fact: Fact = value
        return fact

    return read


def _on(placement: v1alpha1.InferencePlacement) -> Fact:
    nodes = [replica.node for replica in placement.status.replicas]
    nodes += [replica.node for replica in placement.status.agents]
    return ", ".join(dict.fromkeys(nodes)) or None


SECTIONS: Final[tuple[Section[Any], ...]] = (
    Section[v1alpha1.Site](
        "Sites",
        "Site",
        "sites",
        v1alpha1.Site,
        (
            Column("CONNECTED", "connected", _connected),
            Column("NODES", "nodes", _at("status.nodes")),
            Column("AGENTS", "agents", _at("status.agents")),
            Column("BROKER", "broker", _at("spec.broker.host"), is_wide=True),
        ),
    ),
    Section[v1alpha1.Device](
        "Devices",
        "Device",
        "devices",
        v1alpha1.Device,
        (
            Column("SITE", "site", _at("spec.site")),
            Column("HOLDER", "holder", _at("status.authority.holder")),
            Column("EPOCH", "epoch", _at("status.authority.epoch")),
            Column("CONNECTED", "connected", _connected),
            Column("FENCE", "fence", _at("status.fence")),
            Column("LOCK", "lock", _at("spec.lock"), is_wide=True),
            Column(
                "TAKEOVER", "takeoverBound", _at("status.authority.takeover_bound"), is_wide=True
            ),
            Column("PROFILE", "profile", _at("spec.profile_ref.name"), is_wide=True),
        ),
    ),
    Section[v1alpha1.DecisionPolicy](
        "Policies",
        "Policy",
        "policies",
        v1alpha1.DecisionPolicy,
        (
            Column("MODE", "mode", _at("spec.mode")),
            Column("IN FORCE", "effectiveMode", _at("status.effective_mode")),
            Column("DEVICES", "devices", _at("status.bound.devices")),
            Column("SITES", "sites", _at("status.bound.sites")),
            Column("MODEL", "modelVersion", _at("spec.model_ref.version"), is_wide=True),
            Column("BUDGET", "latencyBudget", _at("spec.latency_budget"), is_wide=True),
        ),
    ),
    Section[v1alpha1.InferencePlacement](
        "Placements",
        "Placement",
        "placements",
        v1alpha1.InferencePlacement,
        (
            Column("ACTIVE", "active", _serving(v1alpha1.inferenceplacement.Role.ACTIVE)),
            Column("STANDBY", "standby", _serving(v1alpha1.inferenceplacement.Role.STANDBY)),
            Column(
                "BUDGETMET",
                "budgetMet",
                lambda placement: objects.says(placement, conditions.Type.BUDGET_MET),
            ),
            Column("BUDGET", "limit", _at("status.budget.limit")),
            Column("P99", "measured", _at("status.budget.measured")),
            Column("PREDICTED", "predicted", _at("status.budget.predicted"), is_wide=True),
            Column("NODES", "nodes", _on, is_long=True),
        ),
    ),
    Section[v1alpha1.Model](
        "Models",
        "Model",
        "models",
        v1alpha1.Model,
        (Column("VERSIONS", "versions", _at("status.version_count")),),
    ),
    Section[v1alpha1.ModelVersion](
        "Model versions",
        "Version",
        "modelVersions",
        v1alpha1.ModelVersion,
        (
            Column("MODEL", "model", _at("spec.model_ref.name")),
            Column("DIGEST", "digest", lambda version: version.spec.digest[7:19]),
        ),
    ),
    Section[v1alpha1.DeviceProfile](
        "Device profiles", "Profile", "deviceProfiles", v1alpha1.DeviceProfile, is_quiet=True
    ),
    Section[v1alpha1.Cluster](
        "Clusters",
        "Cluster",
        "clusters",
        v1alpha1.Cluster,
        (Column("NODES", "nodes", _at("status.nodes")),),
        is_quiet=True,
    ),
)
"""Everything on the screen, in the order in which trouble travels: places, then who decides, then
where it runs, then what it runs."""


def judged(section: Section[Any], documents: Iterable[Mapping[str, Any]]) -> tuple[ObjectRow, ...]:
    """The rows of a kind: troubled ones first, then by namespace and name."""
    readable, strange = objects.read(section.kind, documents)
    rows = [
        ObjectRow(
            kind=section.noun,
            namespace=resource.namespace,
            name=resource.name,
            standing=objects.standing(resource),
            facts=tuple(column.value(resource) for column in section.columns),
            notes=notes(resource),
            site=_site_of(resource),
        )
        for resource in readable
    ] + [
        ObjectRow(
            kind=section.noun,
            namespace=unreadable.namespace,
            name=unreadable.name,
            standing=objects.ObjectStanding(
                objects.ObjectState.UNREADABLE, "NewerVersion", unreadable.problem
            ),
            facts=(None,) * len(section.columns),
            notes=(Note(objects.ObjectState.UNREADABLE.value, "NewerVersion", unreadable.problem),),
        )
        for unreadable in strange
    ]
    return tuple(sorted(rows, key=lambda row: (RANKS[row.standing.state], row.namespace, row.name)))


def _site_of(resource: meta.Resource) -> str | None:
    match resource:
        case v1alpha1.Site():
            return resource.name
        case v1alpha1.Device():
            return resource.spec.site
        case _:
            return None


def notes(resource: Any) -> tuple[Note, ...]:
    """What a person should know of an object, first of all why it is not Ready."""
    noted: list[Note] = []
    stands = objects.standing(resource)
    if not stands.is_well:
        noted.append(Note(stands.state.value, stands.reason, stands.message))
    for type_, amiss in NOTABLE:
        condition = conditions.find(resource.status.conditions, type_)
        if condition is None or condition.status not in amiss or condition.reason in EXPECTED:
            continue
        if type_ is conditions.Type.IN_AGENT and not isinstance(
            resource, v1alpha1.InferencePlacement
        ):
            continue  # policies and versions say what their placements say
        if (condition.reason, condition.message) != (stands.reason, stands.message):
            is_mild = condition.reason in MILD
            what = _word(type_, condition.status)
            noted.append(Note(what, condition.reason, condition.message, is_mild))
    if isinstance(resource, v1alpha1.DecisionPolicy):
        noted.extend(_capped(resource))
    return tuple(noted)


def _word(type_: conditions.Type, status: conditions.Status) -> str:
    return type_.value if status is conditions.Status.TRUE else f"{type_.value}={status.value}"


def _capped(policy: v1alpha1.DecisionPolicy) -> Iterator[Note]:
    """Say so where the operator gives no cause itself; its Degraded names it."""
    force, asked = policy.status.effective_mode, policy.spec.mode
    is_explained = conditions.is_true(policy.status.conditions, conditions.Type.DEGRADED)
    if force is not None and force is not asked and not is_explained:
        message = f"the policy asks for {asked}, {force} is in force"
        yield Note("Capped", conditions.Reason.MODE_CAPPED.value, message)
