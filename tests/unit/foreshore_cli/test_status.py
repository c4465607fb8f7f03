"""The status screen, from recorded objects."""

import copy
import io
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from builders import recorded
from foreshore_api import v1alpha1
from foreshore_cli import errors, fleet, objects, options, status, terminal

Json = dict[str, Any]


def shown(server: recorded.Server, capsys: pytest.CaptureFixture[str], **how: Any) -> str:
    is_wide = how.get("is_wide", False)
    found = status.look(server)
    terminal.show(*status.screen(found, is_wide=is_wide, on=server.namespace), is_wide=is_wide)
    return capsys.readouterr().out


def changed(document: Json, **status_: Any) -> Json:
    fresh = copy.deepcopy(document)
    fresh["status"].update(status_)
    return fresh


def condition(type_: str, value: str, reason: str = "Tried", message: str = "so it is") -> Json:
    return {
        "type": type_,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-03-01T10:00:00Z",
        "observedGeneration": 1,
    }


def device(*conditions: Json, observed: int = 1, **metadata: Any) -> v1alpha1.Device:
    document = recorded.find("well", "Device", "room-301")
    document = changed(document, conditions=list(conditions), observedGeneration=observed)
    document["metadata"].update(metadata)
    return v1alpha1.Device.read(document)


def test_a_site_that_is_well_fits_one_screen(
    capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    assert shown(recorded.server("well"), capsys) == snapshot


def test_what_is_wrong_comes_first_and_says_why(
    capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    assert shown(recorded.server("well", "troubled"), capsys) == snapshot


def test_wide_shows_every_fact_on_lines_that_are_never_broken(
    capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    server = recorded.server("well", "troubled", namespace="")
    assert shown(server, capsys, is_wide=True) == snapshot


@pytest.mark.parametrize(
    ("one", "state"),
    [
        pytest.param(device(condition("Ready", "True")), "Ready", id="ready"),
        pytest.param(device(condition("Ready", "False")), "NotReady", id="not ready"),
        pytest.param(device(condition("Ready", "Unknown")), "Unknown", id="nobody knows"),
        pytest.param(device(observed=-1), "Progressing", id="never looked at"),
        pytest.param(device(), "Progressing", id="looked at, and nothing said"),
        pytest.param(
            device(condition("Ready", "True"), generation=2),
            "Progressing",
            id="ready, but that was said of an older generation",
        ),
        pytest.param(
            device(condition("Ready", "False"), condition("Stalled", "True")),
            "Stalled",
            id="stalled",
        ),
        pytest.param(
            device(condition("Ready", "False"), condition("Stalled", "False")),
            "NotReady",
            id="stalled once, and no longer",
        ),
        pytest.param(
            device(condition("Ready", "True"), condition("Reconciling", "True")),
            "Progressing",
            id="ready while it is being changed",
        ),
        pytest.param(
            device(condition("Ready", "True"), deletionTimestamp="2026-03-01T10:00:00Z"),
            "Terminating",
            id="ready while it goes away",
        ),
    ],
)
def test_only_what_is_ready_for_this_generation_is_well(one: v1alpha1.Device, state: str) -> None:
    standing = objects.standing(one)
    assert standing.state == state
    assert standing.is_well == (state == "Ready")


def with_conditions(kind: str, name: str, *conditions: Json) -> Json:
    return changed(
        recorded.find("well", kind, name), conditions=[condition("Ready", "True"), *conditions]
    )


@pytest.mark.parametrize("reason", ["DeviceSilent", "DeviceOffline"])
def test_a_device_that_is_offline_is_worth_a_note_and_no_failure(
    capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    offline = with_conditions("Device", "room-301", condition("Connected", "False", reason))
    offline["metadata"]["name"] = "room-302"
    server = recorded.server("well", more=[offline])
    found = status.look(server)
    assert found.is_well
    assert [row.name for row in found.every if row.notes] == ["room-302"]
    assert shown(server, capsys).splitlines()[-1] == "! 1 of 8 objects to look at"


SITE = ("Site", "hq")
DEVICE = ("Device", "room-301")
POLICY = ("DecisionPolicy", "ventilate-when-occupied")
PLACEMENT = ("InferencePlacement", "ventilate-when-occupied.hq")


@pytest.mark.parametrize(
    ("one", "type_", "value", "reason"),
    [
        pytest.param(SITE, "Connected", "False", "NoNodes", id="a site without nodes"),
        pytest.param(SITE, "Connected", "False", "AgentSilent", id="a site without agents"),
        pytest.param(SITE, "Connected", "Unknown", "HubUnreachable", id="no hub"),
        pytest.param(SITE, "Degraded", "True", "BrokerUnreachable", id="a wrong credential"),
        pytest.param(SITE, "Held", "True", "SiteSilent", id="a site that is held"),
        pytest.param(DEVICE, "Connected", "Unknown", "AuthorityMoving", id="nobody holds it"),
        pytest.param(DEVICE, "Connected", "False", "BrokerUnreachable", id="no broker"),
        pytest.param(POLICY, "Degraded", "True", "RecorderFull", id="a capped policy"),
        pytest.param(POLICY, "ActuatorShared", "True", "ActuatorShared", id="two on one actuator"),
        pytest.param(PLACEMENT, "Placed", "False", "NoCandidate", id="nowhere to run"),
        pytest.param(PLACEMENT, "BudgetMet", "False", "OverBudget", id="over the budget"),
        pytest.param(PLACEMENT, "Redundant", "False", "SharedDomain", id="one failure domain"),
        pytest.param(PLACEMENT, "Held", "True", "MoveLimit", id="a move that waits"),
    ],
)
def test_what_is_amiss_is_a_line_and_exit_code_one_although_all_is_ready(
    one: tuple[str, str],
    type_: str,
    value: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    odd = with_conditions(*one, condition(type_, value, reason, "cause and remedy"))
    server = recorded.Server("hq", [odd])
    found = status.look(server)
    assert not found.is_well
    screen = shown(server, capsys)
    assert f"{reason}: cause and remedy" in screen
    assert screen.splitlines()[-1] == "✗ 1 of 1 objects to look at"
    (row,) = (row for row in found.every)
    assert [(note.what, note.reason) for note in row.notes] == [
        (type_ if value == "True" else f"{type_}={value}", reason)
    ]
    section = next(one for one in fleet.SECTIONS if one.kind.kind == odd["kind"])
    (written,) = status.written(found)[section.key]
    assert written["notes"][0]["message"] == "cause and remedy"
    assert status.written(found)["state"] == "NotReady"


@pytest.mark.parametrize(
    ("type_", "value", "reason"),
    [
        pytest.param("Redundant", "False", "NoStandby", id="one replica, as asked for"),
        pytest.param("BudgetMet", "Unknown", "NotMeasured", id="nothing measured yet"),
        pytest.param("Placed", "True", "Placed", id="placed"),
    ],
)
def test_what_is_as_asked_for_is_well(type_: str, value: str, reason: str) -> None:
    fine = with_conditions(*PLACEMENT, condition(type_, value, reason))
    assert status.look(recorded.Server("hq", [fine])).is_spotless


def test_a_policy_that_selects_nothing_is_not_ready_with_the_operators_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    message = "the selector zone=wset selects no accepted device; devices there carry zone=west"
    idle = changed(
        recorded.find("well", *POLICY),
        conditions=[condition("Ready", "False", "NoDevices", message)],
    )
    server = recorded.Server("hq", [idle])
    assert not status.look(server).is_well
    assert "NoDevices: the selector zone=wset" in shown(server, capsys)


def test_one_replica_as_asked_for_is_not_worth_a_note() -> None:
    single = changed(
        recorded.find("well", "InferencePlacement", "ventilate-when-occupied.hq"),
        conditions=[condition("Ready", "True"), condition("Redundant", "False", "NoStandby")],
    )
    assert fleet.notes(v1alpha1.InferencePlacement.read(single)) == ()


def test_an_unreachable_hub_is_said_of_the_site_and_not_of_each_device() -> None:
    unknown = [condition("Connected", "Unknown", "HubUnreachable"), condition("Ready", "True")]
    site = changed(recorded.find("well", "Site", "hq"), conditions=unknown)
    room = changed(recorded.find("well", "Device", "room-301"), conditions=unknown)
    found = status.look(recorded.Server("hq", [site, room]))
    assert not found.is_well
    assert [(row.kind, row.notes[0].reason) for row in found.every if row.notes] == [
        ("Site", "HubUnreachable")
    ]


def test_a_device_is_not_shown_as_connected_while_its_site_hears_no_hub() -> None:
    unknown = [condition("Connected", "Unknown", "HubUnreachable"), condition("Ready", "True")]
    site = changed(recorded.find("well", "Site", "hq"), conditions=unknown)
    room = recorded.find("well", "Device", "room-301")
    at = [column.key for column in section("devices").columns].index("connected")
    (heard,) = status.look(recorded.Server("hq", [room])).rows["devices"]
    (unheard,) = status.look(recorded.Server("hq", [site, room])).rows["devices"]
    assert (heard.facts[at], unheard.facts[at]) == ("True", "Unknown")


def section(key: str) -> fleet.Section[Any]:
    return next(section for section in fleet.SECTIONS if section.key == key)


def test_an_unreachable_hub_is_said_of_a_device_whose_site_is_not_looked_at() -> None:
    unknown = [condition("Connected", "Unknown", "HubUnreachable"), condition("Ready", "True")]
    room = changed(recorded.find("well", "Device", "room-301"), conditions=unknown)
    found = status.look(recorded.Server("hq", [room]))
    assert not found.is_well
    assert [row.notes[0].reason for row in found.every] == ["HubUnreachable"]


def unfenced(number: int) -> Json:
    message = "nobody fences it, as guards.fence None says"
    plug = with_conditions("Device", "room-301", condition("Unfenced", "True", "NoFence", message))
    plug["metadata"]["name"] = f"plug-{number}"
    plug["status"]["fence"] = "None"
    return plug


def test_a_device_that_nobody_fences_is_shown_and_no_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = recorded.Server("hq", [unfenced(1)])
    look = status.look(server)
    assert look.is_well
    (row,) = status.written(look)["devices"]
    assert row["fence"] == "None"
    screen = shown(server, capsys)
    assert re.search(r"plug-1 .* None", screen)
    assert "! Unfenced" in screen
    assert "NoFence: nobody fences it" in screen


def test_what_many_unfenced_devices_say_alike_leaves_room_for_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shadowed = with_conditions(*POLICY, condition("Degraded", "True", "ModeCapped", "GuardsUnset"))
    plugs = [unfenced(number) for number in range(30)]
    screen = shown(recorded.Server("hq", [*plugs, shadowed]), capsys)
    assert screen.count("NoFence") == 1
    assert "the same of 29 more devices" in screen
    assert "GuardsUnset" in screen


def test_a_broker_that_refuses_everybody_is_one_line_of_the_site() -> None:
    refused = condition("Degraded", "True", "NotAuthorized", "edge-1: not authorised; a remedy")
    site = changed(
        recorded.find("well", "Site", "hq"),
        conditions=[refused, {**refused, "type": "Ready", "status": "False"}],
    )
    cut = [condition("Connected", "False", "NotAuthorized"), condition("Ready", "True")]
    room = changed(recorded.find("well", "Device", "room-301"), conditions=cut)
    look = status.look(recorded.Server("hq", [site, room]))
    assert not look.is_well
    assert [(row.name, note.what, note.reason) for row in look.every for note in row.notes] == [
        ("hq", "NotReady", "NotAuthorized")
    ]


def test_a_cap_that_the_operator_explains_is_said_once() -> None:
    capped = with_conditions(
        *POLICY, condition("Degraded", "True", "ModeCapped", "GuardsUnchecked")
    )
    capped["status"]["effectiveMode"] = "Advise"
    notes = fleet.notes(v1alpha1.DecisionPolicy.read(capped))
    assert [(note.what, note.message) for note in notes] == [("Degraded", "GuardsUnchecked")]


def test_a_mode_that_is_capped_is_told() -> None:
    capped = changed(
        recorded.find("well", "DecisionPolicy", "ventilate-when-occupied"), effectiveMode="Advise"
    )
    (note,) = fleet.notes(v1alpha1.DecisionPolicy.read(capped))
    assert note.message == "the policy asks for Autonomous, Advise is in force"


def test_an_object_of_a_newer_version_does_not_take_the_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    strange = recorded.find("well", "Device", "room-301")
    strange["metadata"]["name"] = "room-900"
    strange["spec"]["lock"] = "Ajar"
    server = recorded.server("well", more=[strange])
    assert not status.look(server).is_well
    screen = shown(server, capsys)
    assert "✗ Unreadable" in screen
    assert "cannot read spec.lock" in screen
    assert "room-301" in screen


def test_thousands_of_devices_fold_into_one_screen_with_the_troubled_ones_on_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    well = recorded.find("well", "Device", "room-301")
    silent = changed(well, conditions=[condition("Ready", "False", "ReferenceNotFound")])
    fleet_ = [
        {**one, "metadata": {**one["metadata"], "name": f"room-{number:05}"}}
        for number in range(3000)
        for one in [silent if number in (1711, 2001) else well]
    ]
    screen = shown(recorded.Server("hq", fleet_), capsys)
    lines = screen.splitlines()
    assert len(lines) < 40
    assert [line.split()[0] for line in lines[2:5]] == ["room-01711", "room-02001", "room-00000"]
    assert "and 2980 Ready; all of them: -o wide" in screen
    assert "2 of 3000 objects are not Ready" in screen


def test_clusters_are_asked_for_with_all_namespaces_only() -> None:
    for namespace, expected in (("hq", False), ("", True)):
        server = recorded.server("well", namespace=namespace)
        status.look(server)
        assert any(plural == "clusters" for plural, _ in server.asked) == expected


@pytest.mark.parametrize("kind", ["clusters", "devices"])
def test_who_may_see_all_namespaces_and_no_clusters_sees_the_rest(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Guarded(recorded.Server):
        def list(
            self,
            api_version: str,
            plural: str,
            query: Mapping[str, str],
            *,
            limit: int | None = None,
        ) -> Sequence[Json]:
            if plural == kind:
                raise errors.ForbiddenError(f"{kind} is forbidden")
            return super().list(api_version, plural, query, limit=limit)

    server = Guarded("", recorded.documents("well"))
    if kind == "clusters":
        assert status.look(server).is_well
        assert capsys.readouterr().err == "Clusters are left out: clusters is forbidden\n"
    else:
        with pytest.raises(errors.ForbiddenError):
            status.look(server)


def test_a_selector_goes_to_every_list() -> None:
    server = recorded.server("well")
    status.look(server, "zone=west")
    assert {query["labelSelector"] for _, query in server.asked} == {"zone=west"}


def test_profiles_and_clusters_show_up_only_when_something_is_wrong_with_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "Device profiles" not in shown(recorded.server("well"), capsys)
    broken = changed(
        recorded.find("well", "DeviceProfile", "room-climate"),
        conditions=[condition("Ready", "False", "Invalid")],
    )
    assert "Device profiles" in shown(recorded.Server("hq", [broken]), capsys)


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_a_narrow_terminal_loses_nothing(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = shown(recorded.server("well", "troubled", namespace=""), capsys)
    assert "…" not in screen
    for fact in ("1772355600", "ventilate-when-occupied.hq", "✗ Stalled", "2c26b46b68ff", "27ms"):
        assert fact in screen


def test_documents_hold_what_the_tables_show(capsys: pytest.CaptureFixture[str]) -> None:
    written = status.written(status.look(recorded.server("well", "troubled")))
    terminal.document(written, options.OutputFormat.JSON)
    as_json = json.loads(capsys.readouterr().out)
    terminal.document(written, options.OutputFormat.YAML)
    assert yaml.safe_load(capsys.readouterr().out) == as_json
    assert as_json["state"] == "NotReady"
    assert as_json["objects"] == {"Stalled": 1, "Progressing": 3, "Ready": 8}
    assert as_json["devices"][1] == {
        "namespace": "hq",
        "name": "room-301",
        "state": "Ready",
        "reason": "Delivered",
        "message": "an agent of the site holds it",
        "site": "hq",
        "holder": "edge-1",
        "epoch": 1772355600,
        "connected": "True",
        "fence": "Device",
        "lock": "Unlocked",
        "takeoverBound": "22s",
        "profile": "room-climate",
    }


def test_what_an_object_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = changed(
        recorded.find("well", "Device", "room-301"),
        conditions=[
            condition("Ready", "False", "Invalid", "\x1b]0;owned\x07\x1b[2J\x9b31mred\r\nnext")
        ],
    )
    server = recorded.Server("hq", [evil])
    screen = shown(server, capsys)
    terminal.document(status.written(status.look(server)), options.OutputFormat.JSON)
    terminal.document(status.written(status.look(server)), options.OutputFormat.YAML)
    everything = screen + capsys.readouterr().out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", everything)
    assert "red next" in " ".join(screen.split())


def test_a_terminal_without_unicode_gets_the_twins_of_the_signs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    found = status.look(recorded.server("well", "troubled"))
    terminal.show(*status.screen(found, is_wide=False, on="hq"))
    screen = raw.getvalue().decode("ascii")
    assert "+ Ready" in screen
    assert "x Stalled" in screen
    assert "~ Progressing" in screen
    assert "?" not in screen


def test_no_color_leaves_words_and_signs_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = shown(recorded.server("well"), capsys)
    monkeypatch.setenv("NO_COLOR", "1")
    sober = shown(recorded.server("well"), capsys)
    assert "\x1b[32m" in coloured
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", sober)
    assert "✓ Ready" in sober


def ticking(step: float = 2.0) -> Any:
    return itertools.count(0.0, step).__next__


def test_waiting_ends_when_all_is_well_and_says_each_change_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reports = iter(
        [
            status.look(recorded.server("well", "troubled")),
            status.look(recorded.server("well", "troubled")),
            status.look(recorded.server("well")),
        ]
    )
    naps: list[float] = []
    found = status.look_until_well(lambda: next(reports), 100.0, clock=ticking(), sleep=naps.append)
    assert found.is_well
    assert naps == [status.PERIOD] * 2
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "Site north: Held, SiteSilent",
        "Device room-401: Progressing, ReferenceNotFound",
        "Policy cool-servers: Stalled, CompileFailed",
        "Policy night-purge: Progressing, NotSeen",
        "Placement cool-servers.north: Progressing, ReplicaStarting",
    ]


def test_waiting_ends_at_the_deadline_with_what_is_known() -> None:
    troubled = status.look(recorded.server("well", "troubled"))
    naps: list[float] = []
    found = status.look_until_well(lambda: troubled, 10.0, clock=ticking(), sleep=naps.append)
    assert not found.is_well
    assert sum(naps) == 10.0


def test_waiting_outlives_an_api_server_that_is_away_for_a_moment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers: list[Any] = [errors.UnreachableError("away"), status.look(recorded.server("well"))]

    def look() -> fleet.StatusReport:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: fleet.StatusReport = answer
        return found

    assert status.look_until_well(look, 10.0, clock=ticking(), sleep=lambda _: None).is_well
    assert capsys.readouterr().err == "away; trying again\n"


def test_waiting_for_an_api_server_that_stays_away_fails_as_such() -> None:
    def look() -> fleet.StatusReport:
        raise errors.UnreachableError("away")

    with pytest.raises(errors.UnreachableError):
        status.look_until_well(look, 10.0, clock=ticking(), sleep=lambda _: None)
