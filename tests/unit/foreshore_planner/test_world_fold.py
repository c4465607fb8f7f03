"""The fold decides what the reference decides, whatever sequence of changes led there.

Few sequences by default; `FORESHORE_SEQUENCES=5000` tries so many (`make nightly`).
"""

import dataclasses
import os
import types
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import changing
from builders import planning as build
from foreshore_api import meta, scalars, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_planner import health, hysteresis, placing, snapshot, status, succession
from foreshore_planner import plan as planning
from foreshore_planner.placement import case
from foreshore_planner.world import (
    deadlines,
    delta,
    fold,
    hearing,
    keys,
    placements,
    seen,
    verdicts,
)

SEQUENCES = settings(
    max_examples=int(os.environ.get("FORESHORE_SEQUENCES", "15")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

CUT: Final = timedelta(seconds=1)
"""Two looks at the same moment may cut it to different seconds."""

Step = tuple[changing.Change, int, int]
numbers = st.integers(min_value=0, max_value=12)
steps = st.lists(
    st.tuples(
        st.sampled_from(changing.FREQUENT) | st.sampled_from(changing.CHANGES), numbers, numbers
    ),
    min_size=1,
    max_size=12,
)


class Followed:
    """A fold beside the reference, and the statuses as somebody who writes them has them."""

    def __init__(self) -> None:
        self.world = fold.KeptWorld()
        self.before: snapshot.Snapshot | None = None
        self.rows: dict[status.Subject, Any] = {}
        self.planned: dict[Any, case.PlacementPlan] = {}

    def follow(self, seen: snapshot.Snapshot, *, looks_again: bool = False) -> None:
        change = delta.between(self.before, seen)
        made = fold.fold(self.world, dataclasses.replace(change, looks_again=looks_again))
        self.before = seen
        for key, plan in made.placements.items():
            if plan is None:
                self.planned.pop(key, None)
            else:
                self.planned[key] = plan
        rows, _ = self.world.rows(sorted(made.statuses))
        for subject in made.statuses:
            self.rows.pop(subject, None)
        for kind, namespace, name, value in rows:
            self.rows[(kind, (namespace or "", name))] = value
        self.compare(planning.plan(seen), made, is_whole=looks_again)
        self.compare_granted(seen, made)

    def compare(self, wanted: planning.Plan, made: delta.PlanDelta, *, is_whole: bool) -> None:
        assert self.world.health().nodes == wanted.health
        assert shown(self.planned.values(), is_whole) == shown(wanted.placements, is_whole) | kept(
            self.planned, wanted, is_whole
        )
        assert set(made.grants) == set(wanted.grants)
        assert made.removals == wanted.removals
        assert made.retired == wanted.retired
        assert {spoken(kind, at, row) for (kind, at), row in self.rows.items()} == {
            spoken(row.kind, (row.namespace or "", row.name), row.status) for row in wanted.statuses
        }
        ours = quarantined(self.rows)
        theirs = quarantined(
            {(row.kind, (row.namespace or "", row.name)): row.status for row in wanted.statuses}
        )
        assert ours.keys() == theirs.keys()
        assert all(abs(ours[at] - theirs[at]) <= CUT for at in ours)
        if wanted.wake_after is not None:
            assert made.wake_after is not None
            assert made.wake_after <= wanted.wake_after + 1e-6

    def compare_granted(self, seen: snapshot.Snapshot, made: delta.PlanDelta) -> None:
        """What a first grant says of its Device is what the reference says once it is there."""
        first = [grant for grant in made.grants if grant.cause == reasons.FIRST_GRANT]
        granted, defects = self.world.granted(first)
        assert not defects
        after = planning.plan(held(seen, first))
        stated = {(row.namespace or "", row.name): row.status for row in after.statuses}
        for at, status_ in granted.items():
            assert spoken("Device", at, status_) == spoken("Device", at, stated[at])


def held(seen: snapshot.Snapshot, grants: Sequence[succession.GrantUpdate]) -> snapshot.Snapshot:
    """The same with grants that are written, and nothing else."""
    rights = {(grant.namespace, grant.device): grant.authority for grant in grants}
    devices = tuple(
        device.model_copy(
            update={"status": device.status.model_copy(update={"authority": authority})}
        )
        if (authority := rights.get((device.metadata.namespace or "", device.metadata.name)))
        else device
        for device in seen.devices
    )
    return dataclasses.replace(seen, devices=devices)


def shown(plans: Any, is_whole: bool) -> dict[Any, case.PlacementPlan]:
    """Plans by name, without what may be as old as the last look at a settled one."""
    return {(plan.namespace, plan.name): plan if is_whole else decided(plan) for plan in plans}


def kept(
    planned: dict[Any, case.PlacementPlan], wanted: planning.Plan, is_whole: bool
) -> dict[Any, case.PlacementPlan]:
    """Plans that are only shown: the reference gives them to nobody but their status."""
    names = {(plan.namespace, plan.name) for plan in wanted.placements}
    only = [plan for key, plan in planned.items() if key not in names]
    assert all(not plan.pods for plan in only)
    return shown(only, is_whole)


EXPLAINS = {"total": 0, "rejected": (), "chosen": (), "passed": ()}


def decided(plan: case.PlacementPlan) -> case.PlacementPlan:
    delay = plan.findings.delay
    delay = dataclasses.replace(delay, message="") if delay is not None else None
    findings = dataclasses.replace(plan.findings, summary="", nearest=None, delay=delay)
    candidates = plan.candidates.model_copy(update=EXPLAINS)
    moves = tuple(move.model_copy(update={"time": "", "others": ""}) for move in plan.moves)
    proposals = tuple(
        proposal.model_copy(update={"id": "", "since": ""}) for proposal in plan.proposals
    )
    return dataclasses.replace(
        plan, findings=findings, candidates=candidates, moves=moves, proposals=proposals
    )


def quarantined(rows: Mapping[status.Subject, Any]) -> dict[tuple[status.Subject, str], datetime]:
    """Until when nothing new goes to a node, by the status that says so, and the node."""
    return {
        (subject, node.node): scalars.instant(node.quarantined_until)
        for subject, value in rows.items()
        for node in getattr(value, "verdicts", ())
        if node.quarantined_until is not None
    }


def spoken(kind: str, at: Any, value: Any) -> str:
    """A status without the times of its conditions, which are those of the last look."""
    document = value.document()
    for condition in document.get("conditions", ()):
        condition.pop("lastTransitionTime", None)
        if kind == "InferencePlacement":
            condition.pop("message", None)
    for move in document.get("moves", ()):
        move.pop("time")  # of a move that is not written yet: that of the look that decided it
        move.pop("others", None)  # the same
    for proposal in document.get("proposals", ()):
        for key in ("id", "since"):  # likewise
            proposal.pop(key)
    for node in document.get("verdicts", ()):
        node.pop("since")  # of the look that saw it first, until it is written
        node.pop("quarantinedUntil", None)  # likewise, cut to the second: see `quarantined`
    document.pop("heldSince", None)
    document.pop("candidates", None)
    return f"{kind} {at} {document}"


def followed(changes: Sequence[Step]) -> None:
    fold_ = Followed()
    seen = changing.start()
    fold_.follow(seen)
    for change, first, second in changes:
        seen = change(seen, first, second)
        fold_.follow(seen)
    fold_.follow(seen, looks_again=True)


def test_until_when_a_node_rests_is_told_by_when_it_fell_not_by_when_it_was_looked_at() -> None:
    """A site's status is made anew five seconds after its node's flaps were counted."""
    followed([(changing.node_flaps, 0, 8), (changing.wait, 3, 0)])


def test_until_when_a_node_rests_is_told_right_however_late_its_status_is_made() -> None:
    """Of many statuses some are made passes after the change that they tell."""
    world, before = fold.KeptWorld(), None
    seen_ = changing.node_flaps(changing.start(), 0, 8)
    for _ in range(3):
        fold.fold(world, delta.between(before, seen_))
        before, seen_ = seen_, changing.wait(seen_, 3, 0)
    rows, _ = world.rows([("Site", ("hq", "hq"))])
    assert before is not None
    ours = quarantined({(kind, (space or "", name)): value for kind, space, name, value in rows})
    theirs = quarantined(
        {
            (row.kind, (row.namespace or "", row.name)): row.status
            for row in planning.plan(before).statuses
        }
    )
    assert ours
    assert ours.items() <= theirs.items()


@SEQUENCES
@given(steps)
def test_the_fold_of_any_sequence_of_changes_is_the_plan_of_the_world_it_led_to(
    changes: list[Step],
) -> None:
    followed(changes)


def filled(rooms: Sequence[int], sizes: Sequence[int]) -> snapshot.Snapshot:
    """Nodes with so much CPU, and a policy for each size that one replica of it asks for."""
    names = [f"p{number}" for number in range(len(sizes))]
    return build.world(
        nodes=tuple(
            build.edge(
                f"edge-{number}", allocatable=snapshot.ComputeResources(cpu=cpu, memory=4 << 30)
            )
            for number, cpu in enumerate(rooms, start=1)
        ),
        versions=tuple(
            build.version(name, resources={"cpu": f"{cpu}m", "memory": "1Mi"})
            for name, cpu in zip(names, sizes, strict=True)
        ),
        policies=tuple(
            build.policy(
                name,
                modelRef={"version": name},
                placement={"replicas": 1, "standby": 0, "tier": "EdgeOnly"},
            )
            for name in names
        ),
    )


def followed_into_a_full_fleet(
    rooms: Sequence[int], sizes: Sequence[int], settled: int
) -> dict[Any, case.PlacementPlan]:
    """Settle the first policies, then ask for all; the fold is compared at every step."""
    seen = filled(rooms, sizes)
    some = dataclasses.replace(seen, policies=seen.policies[:settled])
    before = build.aged(build.settle(some), 600.0)
    fold_ = Followed()
    fold_.follow(before)
    fold_.follow(before)
    asking = dataclasses.replace(before, policies=seen.policies)
    fold_.follow(asking)
    after = dict(fold_.planned)
    fold_.follow(build.aged(build.applied(asking, planning.plan(asking)), 30.0))
    return after


def test_a_settled_replica_makes_room_in_the_fold_as_in_the_reference() -> None:
    """Regression: the fold planned who asked, and dropped the move of who had asked for nothing."""
    planned = followed_into_a_full_fleet((1000, 300), (300, 1000), settled=1)
    moves = planned[(build.NAMESPACE, "p0.hq")].moves
    assert "MadeRoom" in [move.cause for move in moves]


@SEQUENCES
@given(
    st.lists(st.sampled_from((300, 600, 1000, 1600)), min_size=1, max_size=4),
    st.lists(st.sampled_from((200, 300, 500, 900)), min_size=2, max_size=7),
    numbers,
)
def test_the_fold_fills_a_fleet_as_the_reference_does(
    rooms: list[int], sizes: list[int], settled: int
) -> None:
    followed_into_a_full_fleet(rooms, sizes, settled % len(sizes))


SETTLED = ((changing.carried_out, 1, 0), (changing.wait, 3, 1), (changing.heard, 0, 0))


def all_of(change: changing.Change) -> list[Step]:
    return [(change, first, second) for first in range(3) for second in range(6)]


OVERFLOWED: list[Step] = [
    (changing.node_changes, 0, 7),
    (changing.node_changes, 1, 7),
    (changing.node_changes, 2, 2),
    *SETTLED,
    *SETTLED,
]
"""The replica of `warn` is in the cloud, because the edge is full."""


DEPENDENCIES: dict[str, tuple[str, list[Step]]] = {
    "a pod": ("_of_pod", [*SETTLED, *all_of(changing.pod_changes)]),
    "a node": ("_of_node", [*SETTLED, *all_of(changing.node_changes_site)]),
    "an agent": ("_of_agents", [*SETTLED, *all_of(changing.heard)]),
    "a pod of the product": (
        "_of_product",
        [*SETTLED, (changing.hub_away, 0, 0), *all_of(changing.part_changes)],
    ),
    "a pod that is refused": ("_of_names", all_of(changing.pod_is_refused)),
    "what protects pods that is refused": (
        "_of_names",
        [*SETTLED, *all_of(changing.protection_is_refused)],
    ),
    "an InferencePlacement": ("_of_placement", [*SETTLED, *all_of(changing.placement_goes)]),
    "room that a pod leaves": (
        "_delayed_by",
        [*OVERFLOWED, (changing.policy_goes, 0, 0), (changing.pod_goes, 2, 0)],
    ),
    "a person's word": (
        "_of_placement",
        [
            *SETTLED,
            (changing.policy_changes, 0, 11),
            *SETTLED,
            (changing.node_falls_silent, 0, 1),
            (changing.heard, 0, 0),
            (changing.carried_out, 1, 0),
            (changing.person_confirms, 1, 1),
        ],
    ),
    "a device": ("_of_device", [*SETTLED, *all_of(changing.device_changes)]),
    "a policy": ("_of_policy", [*SETTLED, *all_of(changing.policy_changes)]),
    "another on the node": (
        "_beside",
        [
            *[(changing.node_changes, node, 8) for node in range(7)],
            *SETTLED,
            *SETTLED,
            (changing.policy_goes, 1, 0),
            (changing.pod_goes, 4, 0),  # and its pod leaves another alone on its node
        ],
    ),
    "a plan": ("of_plans", [*SETTLED, *all_of(changing.pod_changes)]),
}


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_a_fold_that_forgets_what_depends_on_something_is_found_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten, changes = DEPENDENCIES[name]
    monkeypatch.setattr(keys.Keys, forgotten, lambda *_: None)
    with pytest.raises(AssertionError):
        followed(changes)


AGES: dict[str, tuple[str, list[Step]]] = {
    "of a Lease": ("LEASE", [*SETTLED, (changing.wait, 5, 0), (changing.wait, 3, 0)]),
    "of a pod": (
        "PHASE",
        [
            *SETTLED,
            *SETTLED,
            (changing.wait, 8, 1),  # whatever else has a limit has passed it
            (changing.pod_changes, 0, 1),
            *[(changing.wait, 7, 1)] * 2,
        ],
    ),
    "of a node that is back": (
        "ready",
        [
            *OVERFLOWED,
            (changing.node_falls_silent, 2, 1),
            (changing.heard, 0, 0),
            (changing.node_returns, 2, 0),
            (changing.node_changes, 2, 3),
            *[(changing.wait, 5, 1), (changing.heard, 0, 0)] * 4,
            (changing.wait, 4, 1),  # whatever else has a limit has passed it
            (changing.wait, 2, 1),
        ],
    ),
    "of a flap": (
        "FLAP",
        [
            *SETTLED,
            (changing.wait, 10, 0),  # whatever else has a limit has passed it
            (changing.node_flaps, 0, 4),
            (changing.wait, 4, 0),
        ],
    ),
    "of a report": ("AGENT", [*SETTLED, (changing.wait, 4, 1), (changing.wait, 5, 1)]),
}


@pytest.mark.parametrize("name", AGES)
def test_a_fold_that_forgets_when_an_age_decides_is_found_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten, changes = AGES[name]
    limits = (0.0,)  # of what is younger than any
    value = (lambda _: limits) if forgotten == "ready" else limits
    monkeypatch.setattr(deadlines, forgotten, value)
    if forgotten == "PHASE":
        monkeypatch.setattr(deadlines, "PATIENCE", ())
    with pytest.raises(AssertionError):
        followed(changes)


BACK_SOON: list[Step] = [
    *OVERFLOWED,
    (changing.stabilization_changes, 0, 0),
    (changing.node_falls_silent, 2, 1),
    (changing.heard, 0, 0),
    (changing.node_returns, 2, 0),
    (changing.node_changes, 2, 3),
    *[(changing.wait, 4, 1), (changing.heard, 0, 0)] * 3,
]
"""A node is back and has room for who is in the cloud; a fleet wants it well for ten seconds."""


def test_what_a_fleet_chose_to_wait_for_is_followed() -> None:
    followed(BACK_SOON)


def test_a_fold_that_forgets_what_a_fleet_chose_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seen.KeptView, "_put_settings", lambda *_: None)
    with pytest.raises(AssertionError):
        followed(BACK_SOON)


def returning() -> None:
    """Of three replicas in the cloud the second returns a window after the first.

    The window, 14 s, ends when nothing else is due: between what a report counts for.
    """
    full = [build.edge(name, requested=build.ROOM) for name in build.EDGES]
    policy = build.policy(placement={"replicas": 1, "standby": 2})
    crowded = build.world(
        nodes=(*full, build.node("cloud-1")),
        policies=(policy,),
        stabilization=hysteresis.Stabilization(window=14.0),
    )
    now = build.aged(build.settle(build.aged(build.settle(crowded), 600.0)), 600.0)
    fold_ = Followed()
    fold_.follow(now)
    now = build.with_nodes(
        now, lambda node: dataclasses.replace(node, requested=snapshot.ComputeResources())
    )
    edge = []
    for step in (3, 3, 2, 2, 2):  # 5, 5, 2, 2, 2 s
        fold_.follow(now)
        made = planning.plan(now)
        after = build.settle(build.applied(now, made))
        if after.replicas != now.replicas:
            now = build.aged(after, 600.0)
            fold_.follow(now)
        edge.append(sum(node != "cloud-1" for node in build.where(made).values()))
        now = changing.wait(now, step, 1)
    assert edge == [1, 1, 1, 1, 2]


def test_the_next_return_comes_when_the_window_ends_though_nothing_else_happens() -> None:
    returning()


def test_a_fold_that_forgets_the_window_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    until = placements._until_time_counts

    longest = hysteresis.Stabilization(window=hysteresis.LONGEST)

    def without_window(kept: seen.KeptView, plan: case.PlacementPlan) -> float | None:
        view = types.SimpleNamespace(age_of=kept.age_of, stabilization=longest)
        return until(cast(seen.KeptView, view), plan)

    monkeypatch.setattr(placements, "_until_time_counts", without_window)
    with pytest.raises(AssertionError):
        returning()


def test_a_fold_that_forgets_who_reports_in_time_until_the_hub_is_silent_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    never = property(lambda _: None, lambda *_: None)
    monkeypatch.setattr(hearing.Hearing, "fresh_until", never, raising=False)
    _, changes = AGES["of a report"]
    with pytest.raises(AssertionError):
        followed(changes)


HELD: list[Step] = [
    *SETTLED,
    *[(changing.node_falls_silent, number, 1) for number in range(3)],
    (changing.heard, 0, 0),
    (changing.carried_out, 1, 0),
    (changing.hold_is_ended, 0, 0),
]
"""A site goes silent, which is written, and a person ends that hold."""


def test_the_end_of_a_hold_is_followed() -> None:
    followed(HELD)


def without_nodes() -> None:
    """A site without nodes is held with all; a person ends that; then the others are back."""
    tier = v1alpha1.Tier.EDGE
    well = tuple(build.node(f"edge-{site}", site=f"s{site}", tier=tier) for site in range(4))
    cut = (
        well[0],
        *(
            dataclasses.replace(node, is_ready=False, silent_age=10.0, lease_age=30.0)
            for node in well[1:]
        ),
    )
    seen = build.world(nodes=well, sites=(build.site_of("bare"),))
    pair = Followed()
    pair.follow(seen)
    pair.follow(dataclasses.replace(seen, nodes=cut))
    status_ = pair.rows[("Site", (build.NAMESPACE, "bare"))]
    assert status_.held_since is not None
    ends = {meta.ANNOTATION_HOLD_ENDED: status_.held_since}
    metadata = seen.sites[0].metadata.model_copy(update={"annotations": ends})
    site = seen.sites[0].model_copy(update={"metadata": metadata, "status": status_})
    pair.follow(dataclasses.replace(seen, nodes=cut, sites=(site,)))
    assert pair.world.health().ended_holds == {"bare"}
    pair.follow(dataclasses.replace(seen, nodes=well, sites=(site,)))
    assert not pair.world.health().ended_holds


def test_the_hold_of_a_site_without_nodes_is_followed() -> None:
    without_nodes()


def test_a_fold_that_judges_only_sites_of_nodes_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "sites_of", lambda seen: seen.index.nodes_of)
    with pytest.raises(AssertionError):
        without_nodes()


def test_a_fold_that_does_not_look_at_annotations_of_sites_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touched = verdicts._touched
    monkeypatch.setattr(
        verdicts,
        "_touched",
        lambda kept, changes: touched(kept, dataclasses.replace(changes, objects={})),
    )
    with pytest.raises(AssertionError):
        followed(HELD)


IN_AGENTS: list[Step] = [
    (changing.version_changes, 0, 3),
    (changing.site_changes, 0, 2),
    *SETTLED,
    (changing.node_changes, 0, 5),
    *[(changing.device_changes, number, 6) for number in range(3)],
]
"""Agents run the model; then devices are reached from one node alone."""


def test_which_nodes_reach_a_device_is_followed_where_agents_serve() -> None:
    followed(IN_AGENTS)


def test_a_placement_is_not_planned_again_for_the_right_to_its_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a thousand new Devices the placements were planned twice: once more for the grants."""
    seen = build.settle(build.world())
    fold_ = Followed()
    fold_.follow(seen)
    fold_.follow(seen)
    device = build.device(authority={"holder": "edge-2", "epoch": 7, "lastIssued": 7})
    asked: list[int] = []
    place = placing.place

    def counted(stock: Any, cases: Sequence[Any]) -> Any:
        asked.append(len(cases))
        return place(stock, cases)

    change = delta.between(seen, dataclasses.replace(seen, devices=(device,)))
    monkeypatch.setattr(placing, "place", counted)
    made = fold.fold(fold_.world, change)
    assert ("Device", device.metadata.namespace) in {(kind, at[0]) for kind, at in made.statuses}
    assert sum(asked) == 0


def test_a_site_that_comes_and_goes_leaves_its_nodes_to_the_cluster() -> None:
    silent = changing.node_falls_silent(changing.start(), 0, 0)
    troubled = changing.hub_has_problems(silent, 0, 0)
    pair = Followed()
    for world in (troubled, dataclasses.replace(troubled, sites=()), troubled):
        pair.follow(world)


@pytest.mark.parametrize("change", changing.CHANGES, ids=lambda change: change.__name__)
def test_each_change_by_itself_is_followed_from_a_settled_world(change: changing.Change) -> None:
    for first in range(3):
        then = [(change, first, second) for second in range(8)]
        followed([*SETTLED, *SETTLED, *then])
