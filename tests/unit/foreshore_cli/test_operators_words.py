"""What the operator's planner writes is what the command line reads: no drift between the two."""

import dataclasses
from typing import Any

import pytest

from builders import planning, recorded
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import report
from foreshore_cli import fleet, placements, status, terminal
from foreshore_planner import plan as planner
from foreshore_planner import snapshot

Json = dict[str, Any]


def listed(seen: snapshot.Snapshot) -> recorded.Server:
    """The objects of a world, with the statuses that a pass over it would write."""
    objects = (
        *seen.sites, *seen.profiles, *seen.devices, *seen.models, *seen.versions, *seen.policies,
        *seen.placements,
    )  # fmt: skip
    documents = {(one.kind, one.name): one.document() for one in objects}
    for row in planner.plan(seen).statuses:
        document = documents.get((row.kind, row.name))
        if document is not None:
            document["status"] = {**document.get("status", {}), **row.status.document()}
    return recorded.Server(planning.NAMESPACE, [*documents.values()])


def answering() -> snapshot.Snapshot:
    """A world whose device answers commands, and is heard by every agent."""
    profile = planning.profile(
        mqtt={
            "telemetryTopic": "{site}/{device}/telemetry",
            "commandTopic": "{site}/{device}/command",
            "acknowledgementTopic": "{site}/{device}/ack",
        }
    )
    heard = report.HeldDevice(namespace=planning.NAMESPACE, device="room-301", connected=True)
    agents = [
        planning.agent(name, probes=planning.FAST, devices=(heard,)) for name in planning.EDGES
    ]
    return planning.world(profiles=(profile,), fleet=planning.fleet(agents))


def test_a_settled_world_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    server = listed(planning.settle(answering()))
    found = status.look(server)
    assert found.is_spotless, status.written(found)
    seen = placements.look(server, placements.Filter())
    assert seen.unreadable == ()
    terminal.show(*(placements.drawn(one, is_wide=False, on="hq") for one in seen.branches))
    tree = capsys.readouterr().out
    assert "✓ Ready  ✓ Placed" in tree
    assert "FirstPlacement" in tree


def test_a_world_that_nothing_was_done_for_yet_is_not_well() -> None:
    found = status.look(listed(planning.world()))
    assert {row.kind for row in found.every} >= {"Site", "Device", "Policy", "Model", "Version"}
    assert all(row.standing.reason for row in found.every)


def test_a_silent_node_shows_where_its_replica_went(capsys: pytest.CaptureFixture[str]) -> None:
    settled = planning.settle(planning.world())
    (replica, *_) = settled.placements[0].status.replicas
    after = planning.settle(planning.silenced(settled, replica.node))
    seen = placements.look(listed(after), placements.Filter())
    terminal.show(*(placements.drawn(one, is_wide=True, on="hq") for one in seen.branches))
    moves = capsys.readouterr().out.partition("last moves")[2]
    assert f"{replica.node} → " in moves


def test_a_version_that_cannot_start_is_shown_beside_the_one_that_serves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settled = planning.settle(planning.world())
    policy = planning.policy(modelRef={"version": "occupancy-v2"})
    versions = (*settled.versions, planning.version("occupancy-v2", digest=f"sha256:{'1' * 64}"))
    edited = dataclasses.replace(settled, policies=(policy,), versions=versions)
    begun = planning.applied(edited, planner.plan(edited), ready=False)
    stuck = dataclasses.replace(
        begun,
        replicas=tuple(
            dataclasses.replace(one, reason="ImagePull", message="no such\x1b[2J image")
            if one.version == "occupancy-v2"
            else one
            for one in begun.replicas
        ),
    )
    server = listed(stuck)
    assert not status.look(server).is_well
    seen = placements.look(server, placements.Filter())
    terminal.show(*(placements.drawn(one, is_wide=False, on="hq") for one in seen.branches))
    tree = capsys.readouterr().out
    (serving,) = [line for line in tree.splitlines() if ":8080" in line]
    (waiting,) = [line for line in tree.splitlines() if "next" in line]
    assert "occupancy-v1" in serving
    assert "occupancy-v2" in waiting
    assert "ImagePull: no such" in waiting
    assert "\x1b[2J" not in tree


def in_agents(*problems: report.Problem) -> recorded.Server:
    """A world whose agents run the model themselves; those of edge-2 report these problems."""
    agents = [
        planning.agent(
            name,
            probes=planning.FAST,
            endpoints=() if name == "edge-2" and problems else (planning.own_endpoint(name),),
            problems=problems if name == "edge-2" else (),
        )
        for name in planning.EDGES
    ]
    seen = planning.world(
        sites=(planning.site(isolation="Agent"),),
        versions=(planning.version(runtime={"isolation": "Agent"}),),
        fleet=planning.fleet(agents),
    )
    return listed(planning.settle(seen))


def tree(server: recorded.Server, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The words of each line of the placements."""
    seen = placements.look(server, placements.Filter())
    terminal.show(*(placements.drawn(one, is_wide=False, on="hq") for one in seen.branches))
    return [line.strip("│├└─ ").split() for line in capsys.readouterr().out.splitlines()]


def test_a_model_in_the_agents_is_a_replica_of_each_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = tree(in_agents(), capsys)
    for node in planning.EDGES:
        words = ["r0", "Agent", node, "✓", "Ready", "occupancy-v1", "in", "the", "agent"]
        assert words in lines


def test_an_agent_that_has_no_room_is_shown_with_its_words_beside_the_pod_that_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    problem = report.Problem(
        kind="ModelVersion",
        namespace="hq",
        name="occupancy-v1",
        reason="NoModelMemory",
        message="128 MiB asked, 64 left",
    )
    server = in_agents(problem)
    lines = tree(server, capsys)
    (failed,) = [line for line in lines if line[:3] == ["r0", "Agent", "edge-2"]]
    assert failed[3:7] == ["✗", "Failed", "occupancy-v1", "NoModelMemory:"]
    (pod,) = [line for line in lines if line[:2] == ["r0", "Active"]]
    assert pod[-1].endswith(":8080")
    found = status.look(server)
    notes = [note for row in found.every for note in row.notes if note.what == "InAgent=False"]
    assert [note.reason for note in notes] == ["NoModelMemory"], "one cause, one line"


def test_every_kind_of_the_group_has_its_section() -> None:
    shown: list[type[meta.Resource]] = [section.kind for section in fleet.SECTIONS]
    assert sorted(kind.kind for kind in shown) == sorted(kind.kind for kind in v1alpha1.KINDS)


def test_what_ails_a_world_stands_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    shared = (planning.policy("cool"), planning.policy("ventilate"))
    seen = dataclasses.replace(answering(), policies=shared, nodes=(), fleet=planning.fleet([]))
    server = listed(planning.settle(seen))
    found = status.look(server)
    assert not found.is_well
    terminal.show(*status.screen(found, is_wide=True, on="hq"), is_wide=True)
    screen = " ".join(capsys.readouterr().out.split())
    for words in (
        "NoNodes: no node carries foreshore.dev/site=hq: kubectl label node NODE",
        "ActuatorShared: commands what others command too: ventilate",
        "ActuatorShared: commands what others command too: cool",
    ):
        assert words in screen
