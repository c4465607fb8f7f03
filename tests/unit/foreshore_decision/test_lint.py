"""Every kind of finding, where it stands, and what is no finding."""

import textwrap
from typing import Any

import pytest
import yaml

from builders import room
from foreshore_api.reasons import domains
from foreshore_decision import lint, manifests, resources

ALONE = lint.Surroundings(clock=lambda: 0.0)
CLUSTER = lint.Surroundings(clock=lambda: 0.0, in_cluster=True)
FEATURES = room.model()["spec"]["inputs"][0]
"""The tensor that the model takes."""


def check(*documents: dict[str, Any], around: lint.Surroundings = ALONE) -> lint.LintReport:
    body = yaml.safe_dump_all(documents, sort_keys=False).encode()
    return lint.check(manifests.documents("room.yaml", body), around)


def only(report: lint.LintReport) -> lint.Finding:
    (finding,) = report.findings
    return finding


def room_with(kind: str, **paths: Any) -> list[dict[str, Any]]:
    return [
        room.changed(document, **paths) if document["kind"] == kind else document
        for document in room.all_of()
    ]


def test_a_room_that_is_right_has_no_finding() -> None:
    report = check(*room.all_of())
    assert report.findings == ()
    assert (report.documents, report.resources) == (6, 6)
    assert not report.has_failed(is_strict=True)


@pytest.mark.parametrize(
    ("kind", "paths", "expected"),
    [
        pytest.param(
            "DecisionPolicy",
            {"spec__ruels": []},
            ("Error", "spec.ruels", "Invalid", "did you mean rules?"),
            id="a field that there is not",
        ),
        pytest.param(
            "DecisionPolicy",
            {"spec__hazard": "High", "spec__mode": "Shadow"},
            ("Error", "spec.hazard", "NotSupported", "does not act on"),
            id="what this release does not act on",
        ),
        pytest.param(
            "Site",
            {"spec__broker__credential": None},
            ("Error", "spec.broker.credential", "Invalid", "needs a credential"),
            id="a rule over several fields",
        ),
        pytest.param(
            "Device",
            {"spec__profileRef__name": "room-climat"},
            ("Error", "spec.profileRef.name", "ReferenceNotFound", "did you mean room-climate?"),
            id="a profile that is not there",
        ),
        pytest.param(
            "DeviceProfile",
            {"spec__safeState__input": []},
            ("Error", "spec.safeState.input[value]", "Invalid", "none is given"),
            id="a safe state that cannot be applied",
        ),
        pytest.param(
            "Site",
            {"spec__timeZone": "Europe/Brussel"},
            ("Error", "spec.timeZone", "Invalid", "no time zone"),
            id="a time zone that is none",
        ),
        pytest.param(
            "DecisionPolicy",
            {"spec__deviceSelector__matchLabels": {"zone": "wets"}},
            ("Error", "spec.deviceSelector", "NoDevices", "did you mean zone=west?"),
            id="a policy that selects nothing",
        ),
        pytest.param(
            "DecisionPolicy",
            {"spec__modelRef__version": "occupancy-v2"},
            ("Error", "spec.modelRef.version", "ReferenceNotFound", "occupancy-v1"),
            id="a version that is not there",
        ),
        pytest.param(
            "Model",
            {"spec__inputs": [{**FEATURES, "shape": [-1, -1, 3]}]},
            ("Error", "spec.inputs[features].shape", "Invalid", "declare window {steps, every}"),
            id="a model of samples that nobody stated",
        ),
        pytest.param(
            "Model",
            {"spec__preprocessing": [{"name": "co3", "scale": {"mean": 1, "deviation": 2}}]},
            ("Error", "spec.preprocessing[co3].name", "ReferenceNotFound", "did you mean co2?"),
            id="preprocessing of what the model does not take",
        ),
        pytest.param(
            "DecisionPolicy",
            {"spec__trigger__properties": ["co3"]},
            ("Error", "spec.trigger.properties", "ReferenceNotFound", "did you mean co2?"),
            id="a policy that does not compile",
        ),
        pytest.param(
            "DeviceProfile",
            {"spec__guards": {}},
            ("Warning", "spec.mode", "GuardsUnchecked", "Autonomous is capped at Advise"),
            id="a mode that is capped",
        ),
        pytest.param(
            "Device",
            {"metadata__label": {"zone": "west"}},
            ("Warning", "metadata.label", "FieldIgnored", "did you mean labels?"),
            id="metadata that nobody reads",
        ),
        pytest.param(
            "Device",
            {"sepc": {}},
            ("Warning", "sepc", "FieldIgnored", "did you mean spec?"),
            id="a field beside the spec",
        ),
    ],
)
def test_a_mistake_is_found_with_field_reason_and_what_helps(
    kind: str, paths: dict[str, Any], expected: tuple[str, str, str, str]
) -> None:
    severity, path, reason, words = expected
    findings = check(*room_with(kind, **paths)).findings
    finding = next(item for item in findings if item.kind == kind or item.reason == reason)
    assert (finding.severity, finding.path, finding.reason) == (severity, path, reason)
    assert words in finding.message
    assert finding.remedy
    assert finding.place.startswith("room.yaml#")


def test_a_profile_whose_devices_nobody_fences_is_warned_of() -> None:
    documents = room_with("DeviceProfile", spec__guards={"fence": "None"})
    findings = check(*documents).findings
    warned = next(item for item in findings if item.reason == "NoFence")
    assert (warned.severity, warned.path) == ("Warning", "spec.guards.fence")


def test_a_path_that_counts_elements_is_warned_of_until_it_says_that_places_are_fixed() -> None:
    """Regression: /values/0/v is accepted, and every value of a gateway's array is refused."""
    profile = room.profile()
    counting = profile["spec"]["properties"][0]
    counting["path"] = "/values/0/v"
    others = [item for item in room.all_of() if item["kind"] != "DeviceProfile"]
    warned = only(check(profile, *others))
    assert (warned.severity, warned.reason) == ("Warning", "IndexMeetsArray")
    assert warned.path == f"spec.properties[{counting['name']}]"
    assert "pick" in warned.remedy
    assert "Fixed" in warned.remedy
    counting["position"] = "Fixed"
    assert check(profile, *others).findings == ()


def test_an_object_that_stands_twice_is_refused_with_where_the_first_stands() -> None:
    finding = only(check(*room.all_of(), room.device()))
    assert (finding.place, finding.path) == ("room.yaml#7", "metadata.name")
    assert "first in room.yaml#3" in finding.message


def test_two_devices_on_one_command_topic_are_a_conflict() -> None:
    profile = room.changed(room.profile(), spec__mqtt__commandTopic="floor/command")
    others = [item for item in room.all_of() if item["kind"] != "DeviceProfile"]
    finding = only(check(profile, *others, room.device(name="room-302")))
    assert (finding.name, finding.reason) == ("room-302", "EndpointConflict")
    assert "Device hq/room-301 already listens on floor/command" in finding.message


def test_one_broker_that_two_sites_spell_otherwise_is_one_broker() -> None:
    profile = room.changed(room.profile(), spec__mqtt__commandTopic="floor/command")
    first = room.changed(room.site(), spec__broker__host="FD00::7")
    second = room.changed(first, metadata__name="annex", spec__broker__host="fd00:0::7")
    kinds = ("DeviceProfile", "Site")
    others = [item for item in room.all_of() if item["kind"] not in kinds]
    device = room.changed(room.device(name="room-302"), spec__site="annex")
    finding = only(check(profile, first, second, *others, device))
    assert (finding.name, finding.reason) == ("room-302", "EndpointConflict")


def test_a_topic_that_lacks_its_parameter_is_found_at_the_device() -> None:
    topic = "zigbee2mqtt/{parameters.friendlyName}"
    findings = check(*room_with("DeviceProfile", spec__mqtt__telemetryTopic=topic)).findings
    texts = [item.message for item in findings if item.kind == "Device"]
    assert any("friendlyName" in text for text in texts)


def test_another_device_that_an_input_reads_must_be_there() -> None:
    policy = room.policy()
    policy["spec"]["inputs"][0]["deviceRef"] = {"name": "valve-1"}
    findings = check(*room.all_of()[:-1], policy).findings
    missing = [item for item in findings if item.path == "spec.inputs[light].deviceRef.name"]
    assert [item.reason for item in missing] == ["ReferenceNotFound"]


@pytest.mark.parametrize(
    ("around", "severity", "reason"),
    [(ALONE, "Error", "ReferenceNotFound"), (CLUSTER, "Note", "NotInTheseFiles")],
)
def test_another_device_that_a_parameter_names_may_be_in_the_cluster_alone(
    around: lint.Surroundings, severity: str, reason: str
) -> None:
    policy = room.policy()
    policy["spec"]["inputs"][0]["deviceRef"] = {"parameter": "valve"}
    device = room.changed(room.device(), spec__parameters=[{"name": "valve", "value": "valve-1"}])
    others = [item for item in room.all_of() if item["kind"] not in ("Device", "DecisionPolicy")]
    findings = check(*others, device, policy, around=around).findings
    (missing,) = (item for item in findings if item.path.endswith("deviceRef.parameter"))
    assert (missing.severity, missing.reason) == (severity, reason)
    assert "valve-1" in missing.message


def test_for_a_cluster_what_the_files_do_not_hold_is_a_note() -> None:
    report = check(room.device(), room.policy(), around=CLUSTER)
    assert {item.severity for item in report.findings} == {lint.Severity.NOTE}
    assert {item.path for item in report.findings} == {
        "spec.profileRef.name",
        "spec.site",
        "spec.modelRef.version",
    }
    assert not report.has_failed(is_strict=True)


def test_a_policy_without_its_devices_is_checked_against_the_one_profile_there_is() -> None:
    policy = room.changed(room.policy(), spec__trigger__properties=["co3"])
    findings = check(room.profile(), policy, around=CLUSTER).findings
    assert [item.path for item in findings if item.severity is lint.Severity.ERROR] == [
        "spec.trigger.properties"
    ]


def test_a_model_that_nobody_asks_is_warned_of() -> None:
    alone = room.changed(room.model(name="spare"), spec__inputs=[{**FEATURES, "shape": [8, 3]}])
    finding = only(check(*room.all_of(), alone))
    assert (finding.severity, finding.path) == ("Warning", "spec.inputs[features].shape")
    assert "no batch of one" in finding.message


@pytest.mark.parametrize(
    ("expression", "is_error"),
    [
        ("score == 'occupied'", False),
        ("score > 0.5", False),
        ("score == 'occupied' && score > 0.5", True),
    ],
)
def test_an_output_of_a_model_that_the_cluster_has_is_of_the_type_that_it_is_read_as(
    expression: str, is_error: bool
) -> None:
    rules = [{"name": "o", "effect": "Permit", "expression": expression, "reason": "Occupied"}]
    policy = room.changed(room.policy(), spec__rules=rules)
    findings = check(room.site(), room.profile(), room.device(), policy, around=CLUSTER).findings
    found = any(item.severity is lint.Severity.ERROR for item in findings)
    assert found is is_error


def test_a_document_of_another_kind_is_a_note() -> None:
    finding = only(check({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}))
    assert (finding.severity, finding.reason) == ("Note", "KindOfOthers")


def test_a_file_that_is_no_yaml_is_an_error_of_the_file() -> None:
    error = manifests.UnreadableError("a.yaml: line 2: 'x' appears twice", "a.yaml")
    finding = only(lint.check([error], ALONE))
    assert (finding.kind, finding.file, finding.message) == (
        resources.FILE,
        "a.yaml",
        "line 2: 'x' appears twice",
    )


def test_errors_fail_and_warnings_fail_only_strictly() -> None:
    warned = check(*room_with("Device", sepc={}))
    assert not warned.has_failed(is_strict=False)
    assert warned.has_failed(is_strict=True)
    assert check(*room_with("DecisionPolicy", spec__ruels=[])).has_failed(is_strict=False)


FILE = textwrap.dedent("""\
    # a room
    apiVersion: foreshore.dev/v1alpha1
    kind: Device
    metadata:
      name: room-301
    spec:
      site: hq
    ---
    kind: List
    items:
    - kind: DecisionPolicy
      spec:
        inputs:
        - name: light
        - name: co2
          maximumAge: 90s
        rules:
        - name: occupied
          expression: "true"
    """)


@pytest.mark.parametrize(
    ("place", "path", "line"),
    [
        ("a.yaml#1", "spec.site", 7),
        ("a.yaml#1", "spec.profileRef.name", 6),
        ("a.yaml#1", "", 2),
        ("a.yaml#2.1", "spec.inputs[co2].maximumAge", 16),
        ("a.yaml#2.1", "spec.inputs[1].maximumAge", 16),
        ("a.yaml#2.1", "spec.rules[occupied].expression", 19),
        ("a.yaml#2.1", "spec.rules[nobody].expression", 17),
        ("a.yaml#9", "spec", 1),
    ],
)
def test_a_field_is_found_in_its_file_by_its_line(place: str, path: str, line: int) -> None:
    assert manifests.lines_of(FILE.encode(), [(place, path)]) == (line,)


def test_the_report_for_a_person() -> None:
    body = yaml.safe_dump_all(
        room_with("DecisionPolicy", spec__trigger__properties=["co3"]), sort_keys=False
    ).encode()
    report = lint.check(manifests.documents("room.yaml", body), ALONE)
    assert body.splitlines()[131].strip() == b"properties:"
    assert report.text(lambda _: body).splitlines() == [
        "error: room.yaml#6: spec.trigger.properties: the profile has no property co3; did you mean"
        " co2? Known: airflow, co2, light, temperature"
        " (DecisionPolicy hq/ventilate-when-occupied, ReferenceNotFound)",
        "  room.yaml:132; remedy: create the object, or correct its name",
        "6 resources in 6 documents: 1 error, 0 warnings, 0 notes",
    ]


def test_the_report_for_a_program() -> None:
    body = yaml.safe_dump(room.changed(room.site(), spec__brokr={}), sort_keys=False).encode()
    report = lint.check(manifests.documents("room.yaml", body), ALONE)
    document = report.document(lambda _: body)
    assert document["counts"] == {"Error": 1, "Warning": 0, "Note": 0}
    assert document["left"] == 0
    (finding,) = document["findings"]
    assert {key: finding[key] for key in ("severity", "file", "document", "path", "kind")} == {
        "severity": "Error",
        "file": "room.yaml",
        "document": "room.yaml#1",
        "path": "spec.brokr",
        "kind": "Site",
    }


def test_a_report_of_very_many_findings_is_bounded_and_says_so() -> None:
    documents = [room.changed(room.device(name=f"d{at}"), sepc={}) for at in range(1100)]
    report = check(*documents, around=CLUSTER)
    body = yaml.safe_dump_all(documents, sort_keys=False).encode()
    document = report.document(lambda _: body)
    assert len(document["findings"]) == 1000
    assert document["left"] == len(report.findings) - 1000 > 0


def test_hostile_texts_do_not_reach_the_terminal() -> None:
    report = check({"apiVersion": "v1", "kind": "\x1b[2Jgone", "metadata": {"name": "a\nb"}})
    assert "\x1b" not in report.text(lambda _: b"kind: x")


def test_every_reason_of_a_finding_has_a_row() -> None:
    reasons = {row for table in ("condition", "cap", "lint") for row in domains.TABLES[table]}
    for kind in ("Site", "Device", "DecisionPolicy"):
        for finding in check(*room_with(kind, spec__nothing={})).findings:
            assert finding.reason in reasons
