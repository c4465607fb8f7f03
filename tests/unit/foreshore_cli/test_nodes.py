"""How each node is judged, as a person reads it, and how a person ends a hold."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from builders import recorded
from foreshore_api import meta
from foreshore_cli import api, errors, holds, nodes, options, terminal

SINCE = "2026-03-01T10:00:00Z"


def node(name: str, site: str | None = "hq", ready: str = "True") -> dict[str, Any]:
    labels = {} if site is None else {meta.LABEL_SITE: site, meta.LABEL_TIER: "Edge"}
    ready_condition = {"type": "Ready", "status": ready}
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"conditions": [ready_condition]},
    }


def judged(name: str, verdict: str, **more: Any) -> dict[str, Any]:
    return {"node": name, "verdict": verdict, "since": SINCE, "evidence": "it is so", **more}


def site(name: str = "hq", *, held: str | None = None, **status: Any) -> dict[str, Any]:
    said = [("Ready", "True", "Accepted"), ("Connected", "True", "AgentConnected")]
    if held is not None:
        said.append(("Held", held, "SiteSilent" if held == "True" else "HoldEnded"))
        status["heldSince"] = SINCE
    return {
        "apiVersion": meta.API_VERSION,
        "kind": "Site",
        "metadata": {"name": name, "namespace": "hq", "generation": 1, "uid": "u"},
        "spec": {"broker": {"host": "b", "port": 1883, "transport": "Plain"}},
        "status": {
            "observedGeneration": 1,
            "conditions": [
                {"type": kind, "status": state, "reason": reason, "message": f"{reason}.",
                 "lastTransitionTime": SINCE, "observedGeneration": 1}
                for kind, state, reason in said
            ],
            **status,
        },
    }  # fmt: skip


class Written(recorded.Server):
    """A stand-in that remembers what was annotated."""

    def annotate(self, resource: meta.Resource, annotations: Mapping[str, str]) -> None:
        self.annotated = (resource.name, dict(annotations))


def server(
    *objects: dict[str, Any], listed: Any = (), namespace: str = "hq", **more: Any
) -> Written:
    pages = listed if isinstance(listed, Exception) else {"items": list(listed)}
    return Written(namespace, list(objects), {nodes.NODES: pages, **more})


def rows(read: Written, chosen: nodes.NodeFilter | None = None) -> dict[str, nodes.NodeRow]:
    return {row.name: row for row in nodes.look(read, chosen or nodes.NodeFilter())[0]}


def test_a_node_that_no_status_lists_is_well_and_its_agent_reports() -> None:
    row = rows(server(site(), listed=[node("edge-1")]))["edge-1"]
    assert (row.verdict, row.agent, row.flaps) == ("Healthy", "reports", 0)


def test_a_verdict_is_the_operators_with_its_evidence() -> None:
    entry = judged("edge-2", "NodeDead", flaps=2, quarantinedUntil="2026-03-01T10:50:00Z")
    read = server(
        site(verdicts=[entry]),
        listed=[node("edge-1"), node("edge-2", ready="Unknown")],
    )
    row = rows(read)["edge-2"]
    assert (row.verdict, row.evidence, row.since) == ("NodeDead", "it is so", SINCE)
    assert (row.flaps, row.quarantined_until, row.agent) == (2, "2026-03-01T10:50:00Z", None)


@pytest.mark.parametrize(
    ("about", "document", "words"),
    [
        (site(moreVerdicts=3), node("edge-9"), "not among the 64"),
        (site(observedGeneration=0), node("edge-9"), "not judged yet"),
        (site(), node("edge-9", ready="Unknown"), "not judged yet"),
        (site("annex"), node("edge-9"), "no Site named hq is seen"),
    ],
)
def test_where_nobody_says_no_verdict_is_made_up(
    about: dict[str, Any], document: dict[str, Any], words: str
) -> None:
    read = server(about, listed=[document], namespace="")
    row = rows(read)["edge-9"]
    assert row.verdict is None
    assert words in row.evidence


def unaccepted(namespace: str = "hq") -> dict[str, Any]:
    """A Site whose name another one had first: the operator judges no node for it."""
    younger = site()
    younger["metadata"]["namespace"] = namespace
    younger["status"]["conditions"] = [
        {"type": kind, "status": state, "reason": "SiteConflict", "message": "an older Site",
         "lastTransitionTime": SINCE, "observedGeneration": 1}
        for kind, state in (("Ready", "False"), ("Stalled", "True"))
    ]  # fmt: skip
    return younger


def test_a_site_that_is_not_accepted_calls_no_node_healthy() -> None:
    row = rows(server(unaccepted(), listed=[node("edge-1")]))["edge-1"]
    assert (row.verdict, row.evidence) == (None, "Site hq is not accepted, an older Site")


def test_of_two_sites_of_one_name_the_accepted_one_speaks() -> None:
    accepted = site(verdicts=[judged("edge-1", "NodeDead")])
    read = server(accepted, unaccepted("zz"), listed=[node("edge-1")], namespace="")
    assert rows(read)["edge-1"].verdict == "NodeDead"


def test_without_the_hub_nobody_is_called_healthy() -> None:
    away = site()
    away["status"]["conditions"][1] |= {"status": "Unknown", "reason": "HubUnreachable"}
    row = rows(server(away, listed=[node("edge-1")]))["edge-1"]
    assert row.verdict is None
    assert row.agent is None


def test_a_namespace_shows_nodes_of_its_sites_and_all_namespaces_those_of_none_too() -> None:
    listed = [node("edge-1"), node("annex-1", site="annex"), node("cloud-1", site=None)]
    assert set(rows(server(site(), listed=listed))) == {"edge-1"}
    everywhere = server(site(), site("annex"), listed=listed, namespace="")
    assert set(rows(everywhere)) == {"edge-1", "annex-1", "cloud-1"}
    assert set(rows(everywhere, nodes.NodeFilter(site="annex"))) == {"annex-1"}
    assert set(rows(everywhere, nodes.NodeFilter(node="cloud-1"))) == {"cloud-1"}


@pytest.mark.parametrize(
    "chosen", [nodes.NodeFilter(node="edge-9"), nodes.NodeFilter(site="nowhere")]
)
def test_what_is_named_and_not_there_is_an_error(chosen: nodes.NodeFilter) -> None:
    with pytest.raises(errors.CommandError, match="in namespace hq"):
        rows(server(site(), listed=[node("edge-1")]), chosen)


def test_who_may_not_read_nodes_sees_those_that_statuses_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    read = server(
        site(verdicts=[judged("edge-2", "LinkCut")]),
        listed=errors.ForbiddenError("nodes is forbidden"),
    )
    assert set(rows(read)) == {"edge-2"}
    assert "only nodes that statuses name are shown" in capsys.readouterr().err


def test_of_a_node_whose_site_is_not_there_the_cluster_speaks() -> None:
    local = {
        "apiVersion": meta.API_VERSION,
        "kind": "Cluster",
        "metadata": {"name": "local", "generation": 1},
        "spec": {"connection": {"type": "InCluster"}},
        "status": {"observedGeneration": 1, "verdicts": [judged("edge-9", "SiteCut")]},
    }
    read = server(site(), local, listed=[node("edge-9", site="hqq")], namespace="")
    assert rows(read)["edge-9"].verdict == "SiteCut"


def test_nodes_are_read_page_by_page() -> None:
    read = server(site())
    first = {"items": [node("edge-1")], "metadata": {"continue": "more"}}
    read.found[nodes.NODES] = [first, {"items": [node("edge-2")]}]
    assert set(rows(read)) == {"edge-1", "edge-2"}


def test_replicas_and_rights_are_counted_by_node() -> None:
    listed = [node("edge-1"), node("edge-2"), node("edge-3")]
    recording = [one for one in recorded.documents("well") if one["kind"] != "Site"]
    found = rows(server(site(), *recording, listed=listed))
    placed = recorded.find("well", "InferencePlacement", "ventilate-when-occupied.hq")
    on = [replica["node"] for replica in placed["status"]["replicas"]]
    assert all(found[name].replicas >= on.count(name) for name in found)
    assert sum(row.devices for row in found.values()) > 0


def test_the_table_fits_and_says_until_when_nothing_new_goes_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    entry = judged("edge-2", "Healthy", flaps=3, quarantinedUntil="2026-03-01T10:50:00Z")
    read = server(site(verdicts=[entry]), listed=[node("edge-1"), node("edge-2")])
    found, held = nodes.look(read, nodes.NodeFilter())
    terminal.show(nodes.table(found, is_wide=False))
    drawn = capsys.readouterr().out
    assert held == ()
    assert "nothing new goes there before" in " ".join(drawn.split())
    assert max(map(len, drawn.splitlines())) <= 100
    assert drawn.splitlines()[0].split() == [
        "SITE", "NODE", "VERDICT", "FLAPS", "REPLICAS", "DEVICES", "AGENT", "SINCE", "EVIDENCE",
    ]  # fmt: skip


def test_a_document_leaves_out_what_is_not_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = server(site(held="True"), listed=[node("edge-1")])
    monkeypatch.setattr(api, "connect", lambda _: read)
    nodes.run(options.Target(), options.OutputFormat.JSON, nodes.NodeFilter())
    assert json.loads(capsys.readouterr().out) == {
        "nodes": [
            {"name": "edge-1", "site": "hq", "tier": "Edge", "verdict": "Healthy", "flaps": 0,
             "replicas": 0, "devices": 0, "agent": "reports"}
        ]
    }  # fmt: skip


def test_a_site_that_is_held_is_said_to_be_since_when() -> None:
    _, held = nodes.look(server(site(held="True"), listed=[node("edge-1")]), nodes.NodeFilter())
    assert held == (f"site hq, since {SINCE}: SiteSilent: SiteSilent.",)


def test_a_hold_is_ended_by_naming_it_once_a_person_agrees() -> None:
    read = server(site(held="True", verdicts=[judged("edge-1", "SiteCut")]))
    asked: list[str] = []

    def agrees(question: str) -> bool:
        asked.append(question)
        return True

    assert holds.end(read, ["hq"], agrees) == errors.EXIT_WELL
    assert read.annotated == ("hq", {meta.ANNOTATION_HOLD_ENDED: SINCE})
    assert f"held since {SINCE}: SiteSilent; 1 silent nodes (edge-1)" in asked[0]


def test_a_no_changes_nothing() -> None:
    read = server(site(held="True"))
    assert holds.end(read, ["hq"], lambda _: False) == errors.EXIT_UNWELL
    assert not hasattr(read, "annotated")


@pytest.mark.parametrize(
    ("about", "words"), [(site(), "hq is not held"), (site("annex"), "no Site 'hq' in namespace")]
)
def test_what_is_not_held_cannot_be_ended(about: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.CommandError, match=words):
        holds.end(server(about), ["hq"], lambda _: True)


def test_a_site_that_this_version_cannot_read_is_said_where_a_hold_is_to_be_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    strange = site(held="True")
    strange["spec"] = {}
    with pytest.raises(errors.CommandError, match="no Site 'hq' in namespace"):
        holds.end(server(strange), ["hq"], lambda _: True)
    assert "hq: this version of the command cannot read" in capsys.readouterr().err


def test_a_hold_that_was_ended_is_not_asked_about_again() -> None:
    ended = site(held="False")
    ended["metadata"]["annotations"] = {meta.ANNOTATION_HOLD_ENDED: SINCE}
    read = server(ended)
    assert holds.end(read, ["hq"], lambda _: pytest.fail("asked")) == errors.EXIT_WELL
    assert not hasattr(read, "annotated")
