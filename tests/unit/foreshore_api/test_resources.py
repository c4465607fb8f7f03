"""Documents become resources: strictly where a person wrote them, leniently from an API server."""

from typing import Any

import pytest

from builders import refusals, room
from foreshore_api import resources, support, v1alpha1

DOCUMENTS = [*room.all_of(), refusals.cluster(), refusals.placement()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
def test_a_resource_comes_back_as_it_went(document: dict[str, Any]) -> None:
    read = resources.parse(document, strict=True)
    assert resources.parse(read.document(), strict=True) == read
    assert (read.document()["kind"], read.name) == (document["kind"], document["metadata"]["name"])


def test_a_misspelt_field_is_named_in_a_file_and_ignored_from_a_newer_api_server() -> None:
    document = room.changed(room.policy(), spec__latencyBugdet="1s")
    with pytest.raises(resources.InvalidError, match=r"^spec\.latencyBugdet: Extra inputs"):
        resources.parse(document, strict=True)
    assert resources.parse(document).name == "ventilate-when-occupied"


def test_the_field_that_was_meant_is_proposed_also_within_lists() -> None:
    document = room.changed(room.policy(), spec__latencyBugdet="1s")
    document["spec"]["inputs"][0]["maxAge"] = "1s"
    with pytest.raises(resources.InvalidError) as raised:
        resources.parse(document, strict=True)
    assert "spec.latencyBugdet: Extra inputs" in str(raised.value)
    assert "did you mean latencyBudget?" in str(raised.value)
    assert "spec.inputs[0].maxAge" in str(raised.value)
    assert "did you mean maximumAge?" in str(raised.value)


def test_an_export_from_a_cluster_is_read_strictly_all_the_same() -> None:
    document = room.device()
    document["metadata"] |= {"managedFields": [], "selfLink": "/x", "generateName": "room-"}
    assert resources.parse(document, strict=True).name == "room-301"


@pytest.mark.parametrize("name", ["a" * 53, "a/b", "Room 301\x1b[2J", "a.b", "a\n", ""])
def test_a_name_that_the_api_server_refuses_is_refused_in_a_file(name: str) -> None:
    document = room.device()
    document["metadata"]["name"] = name
    with pytest.raises(resources.InvalidError, match=r"^metadata\.name: ") as raised:
        resources.parse(document, strict=True)
    assert str(raised.value).isprintable()
    assert resources.parse(document).name == name, "what was admitted is read all the same"


def test_a_namespace_that_is_none_and_a_long_site_are_refused_in_a_file() -> None:
    document = room.device()
    document["metadata"]["namespace"] = "a/b"
    with pytest.raises(resources.InvalidError, match=r"^metadata\.namespace: "):
        resources.parse(document, strict=True)
    site = room.site()
    site["metadata"]["name"] = "a" * 33
    with pytest.raises(resources.InvalidError, match="at most 32 characters"):
        resources.parse(site, strict=True)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kind": "Site", "apiVersion": "v1"},
        {"kind": "Pod", "apiVersion": "foreshore.dev/v1alpha1"},
    ],
    ids=["nothing", "another group", "another kind"],
)
def test_what_is_no_kind_of_ours_is_said_so(document: dict[str, Any]) -> None:
    with pytest.raises(resources.InvalidError, match="is no kind of this release"):
        resources.parse(document)


def test_a_problem_names_its_place_as_people_write_it() -> None:
    rules = [{"name": "a", "effect": "Allow", "expression": "true", "reason": "A"}]
    document = room.changed(room.policy(), spec__rules=rules)
    with pytest.raises(resources.InvalidError, match=r"^spec\.rules\[0\]\.effect: "):
        resources.parse(document)


def test_many_problems_are_cut_short() -> None:
    rules = [{"name": f"r{n}"} for n in range(20)]
    document = room.changed(room.policy(), spec__rules=rules)
    with pytest.raises(resources.InvalidError, match=r"and \d+ more$"):
        resources.parse(document)


def test_a_name_that_stands_twice_in_a_list_is_refused_as_the_api_server_does() -> None:
    twice = [{"name": "co2"}, {"name": "co2"}]
    document = room.changed(room.profile(), spec__properties=twice)
    with pytest.raises(resources.InvalidError, match=r"spec\.properties: .*co2 appears twice"):
        resources.parse(document)


def test_lookups_by_name() -> None:
    profile = resources.parse(room.profile())
    assert isinstance(profile, v1alpha1.DeviceProfile)
    action = profile.spec.find_action("setAirflow")
    assert action is not None
    assert action.find_input("value") is not None
    assert profile.spec.find_property("fan") is None


def test_bytes_from_a_folder_are_for_folder_mode_only() -> None:
    version = resources.parse(
        room.changed(room.version(), spec__source={"file": {"path": "m.onnx"}})
    )
    assert [each.path for each in support.unsupported(version)] == ["spec.source.file"]
    assert support.unsupported(version, in_cluster=False) == ()


def test_what_is_not_supported_is_told_with_its_place_and_value() -> None:
    policy = resources.parse(
        room.changed(room.policy(), spec__mode="Supervised", spec__action__priority=9)
    )
    found = support.unsupported(policy)
    assert [(each.path, each.value) for each in found] == [
        ("spec.mode", "Supervised"),
        ("spec.action.priority", "9"),
    ]


def test_a_unit_as_people_write_it_is_told_how_ucum_does() -> None:
    document = room.profile()
    document["spec"]["properties"][0]["unit"] = "°C"
    with pytest.raises(resources.InvalidError, match="UCUM code, such as Cel for °C"):
        resources.parse(document, strict=True)
