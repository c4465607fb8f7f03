import functools
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from builders import room
from foreshore_agent import manifests
from foreshore_decision import resources


def manifest(document: dict[str, Any], place: str = "room.yaml#1") -> manifests.Manifest:
    return manifests.Manifest(place, document)


def names(reading: resources.FolderReading) -> set[str]:
    return {f"{one.kind}/{one.name}" for one in reading.resources}


def test_the_smallest_useful_set_has_no_problem() -> None:
    documents = [room.site(), room.profile(), room.device(), room.policy()]
    reading = resources.read([manifest(one, f"a.yaml#{i}") for i, one in enumerate(documents)], {})
    assert reading.problems == ()
    assert len(reading.resources) == 4


def test_a_mistake_names_file_document_and_field_and_keeps_the_last_good_one() -> None:
    good = resources.read([manifest(room.policy())], {})
    bad = room.changed(room.policy(), spec__latencyBudget="soon")
    reading = resources.read([manifest(bad)], good.kept)
    (problem,) = reading.problems
    assert problem.reason == "Invalid"
    assert "room.yaml#1: spec.latencyBudget" in problem.message
    assert problem.message.endswith("; what was right last stays in force")
    assert reading.resources == good.resources
    assert reading.kept == good.kept


def test_a_misspelt_field_is_refused_not_ignored() -> None:
    reading = resources.read([manifest(room.changed(room.policy(), spec__ruels=[]))], {})
    assert "spec.ruels" in reading.problems[0].message
    assert reading.resources == ()


def test_what_is_not_supported_is_named_and_the_last_good_one_stays() -> None:
    good = resources.read([manifest(room.policy())], {})
    edited = room.changed(room.policy(), spec__hazard="High")
    reading = resources.read([manifest(edited)], good.kept)
    assert reading.problems[0].reason == "NotSupported"
    assert "spec.hazard High" in reading.problems[0].message
    assert reading.resources == good.resources


def test_a_file_that_cannot_be_read_keeps_what_stood_in_it() -> None:
    good = resources.read(
        [manifest(room.site(), "site.yaml#1"), manifest(room.policy(), "policy.yaml#1")], {}
    )
    broken = manifests.UnreadableError("policy.yaml: half a list", "policy.yaml")
    reading = resources.read([manifest(room.site(), "site.yaml#1"), broken], good.kept)
    assert names(reading) == {"Site/hq", "DecisionPolicy/ventilate-when-occupied"}
    assert reading.problems[0].kind == "File"
    assert reading.problems[0].message.endswith("what stood in it last stays in force")


def test_what_moved_out_of_an_unreadable_file_is_not_there_twice() -> None:
    good = resources.read([manifest(room.policy(), "policy.yaml#1")], {})
    broken = manifests.UnreadableError("policy.yaml: half a list", "policy.yaml")
    reading = resources.read([broken, manifest(room.policy(), "new.yaml#1")], good.kept)
    assert [problem.kind for problem in reading.problems] == ["File"]
    assert len(reading.resources) == 1


def test_what_another_release_kept_and_this_one_cannot_read_ends_nothing() -> None:
    """It was read without a guard, and the agent ended at the first mistake in the folder."""
    policy = resources.ObjectIdentity("DecisionPolicy", "hq", "ventilate-when-occupied")
    old = {policy: resources.Kept("policy.yaml#1", {"metadata": {}, "spec": {"mode": 7}})}
    bad = room.changed(room.policy(), spec__latencyBudget="soon")
    reading = resources.read([manifest(bad, "policy.yaml#1")], old)
    assert reading.resources == ()
    assert "stays in force" not in reading.problems[0].message
    broken = manifests.UnreadableError("policy.yaml: half a list", "policy.yaml")
    [problem] = resources.read([broken], old).problems
    assert problem.message.endswith("nothing is in force")


def test_a_mistake_in_something_new_does_not_say_that_anything_stays() -> None:
    bad = room.changed(room.policy(), spec__latencyBudget="soon")
    assert "in force" not in resources.read([manifest(bad)], {}).problems[0].message


@pytest.mark.parametrize(
    "typo",
    [{"kind": "DecisonPolicy"}, {"metadata__name": "Ventilate_"}, {"metadata__namespace": "h q"}],
    ids=["kind", "name", "namespace"],
)
def test_a_mistake_in_what_says_which_object_it_is_ends_nothing(typo: dict[str, Any]) -> None:
    """The policy counted as deleted, and its device was left alone."""
    documents = [manifest(room.site(), "a.yaml#1"), manifest(room.policy(), "a.yaml#2")]
    good = resources.read(documents, {}, counted())
    wrong = manifest(room.changed(room.policy(), **typo), "a.yaml#2")
    reading = resources.read([documents[0], wrong], good.kept, counted())
    assert reading.resources == good.resources
    (problem,) = reading.problems
    assert problem.message.endswith(
        "; DecisionPolicy ventilate-when-occupied, as it was right last, stays in force"
    )


def test_a_mistake_in_a_new_object_keeps_no_other_that_is_deleted() -> None:
    other = room.changed(room.policy(), metadata__name="another")
    documents = [manifest(room.policy(), "a.yaml#1"), manifest(other, "b.yaml#1")]
    good = resources.read(documents, {})
    wrong = manifest(room.changed(room.profile(), kind="DevicePofile"), "a.yaml#1")
    reading = resources.read([wrong, documents[1]], good.kept)
    assert names(reading) == {"DecisionPolicy/another"}


def test_a_mistake_in_an_object_of_another_name_does_not_keep_the_one_that_it_replaced() -> None:
    good = resources.read([manifest(room.policy())], {})
    renamed = room.changed(room.policy(), metadata__name="another", spec__latencyBudget="soon")
    assert resources.read([manifest(renamed)], good.kept).resources == ()


def test_a_deleted_object_is_gone() -> None:
    good = resources.read([manifest(room.policy())], {})
    assert resources.read([], good.kept).resources == ()


def counted() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"uid-{next(numbers)}"


def test_an_object_has_a_uid_from_when_it_is_first_seen_until_it_is_seen_gone() -> None:
    new_uid = counted()
    first = resources.read([manifest(room.policy())], {}, new_uid)
    edited = [manifest(room.changed(room.policy(), spec__latencyBudget="9ms"), "moved.yaml#3")]
    second = resources.read(edited, first.kept, new_uid)
    gone = resources.read([], second.kept, new_uid)
    anew = resources.read([manifest(room.policy())], gone.kept, new_uid)
    uids = [reading.resources[0].metadata.uid for reading in (first, second, anew)]
    assert uids == ["uid-1", "uid-1", "uid-2"]


@hypothesis.given(
    st.lists(st.sampled_from(["right", "wrong", "unreadable", "gone"]), min_size=1, max_size=12)
)
def test_a_uid_changes_only_over_a_reading_without_the_object(seen: list[str]) -> None:
    bad = room.changed(room.policy(), spec__latencyBudget="soon")
    states: dict[str, list[manifests.Manifest | manifests.UnreadableError]] = {
        "right": [manifest(room.policy())],
        "wrong": [manifest(bad)],
        "unreadable": [manifests.UnreadableError("room.yaml: half a list", "room.yaml")],
        "gone": [],
    }
    kept: Mapping[resources.ObjectIdentity, resources.Kept] = {}
    lives = 0
    for state in seen:
        stays = bool(kept) and state != "gone"
        reading = resources.read(
            states[state], kept, functools.partial("life-{}".format, lives + 1)
        )
        lives += state == "right" and not stays
        is_there = stays or state == "right"
        uids = [one.metadata.uid for one in reading.resources]
        assert uids == [f"life-{lives}"] * is_there
        kept = reading.kept


def test_a_mistake_leaves_an_object_its_uid() -> None:
    new_uid = counted()
    first = resources.read([manifest(room.policy())], {}, new_uid)
    bad = room.changed(room.policy(), spec__latencyBudget="soon")
    second = resources.read([manifest(bad)], first.kept, new_uid)
    mended = resources.read([manifest(room.policy())], second.kept, new_uid)
    assert mended == first


def test_the_uid_that_a_file_says_is_taken() -> None:
    exported = room.changed(room.policy(), metadata__uid="of-the-cluster")
    reading = resources.read([manifest(exported)], {}, counted())
    assert reading.resources[0].metadata.uid == "of-the-cluster"


def test_what_a_release_before_kept_has_no_uid_until_it_is_seen_gone() -> None:
    """With a new one, what was in force of it would be a namesake's after an upgrade."""
    before = resources.read([manifest(room.policy())], {})
    reading = resources.read([manifest(room.policy())], before.kept, counted())
    assert reading.resources[0].metadata.uid is None


def test_the_same_object_twice_is_a_problem() -> None:
    reading = resources.read([manifest(room.site(), "a#1"), manifest(room.site(), "b#1")], {})
    assert "first in a#1" in reading.problems[0].message
    assert len(reading.resources) == 1


@pytest.mark.parametrize(
    ("metadata", "where"),
    [
        ({"labels": {"zone": "z" * 64}}, "metadata.labels.zone"),
        ({"labels": {"zone": "one two"}}, "metadata.labels.zone"),
        ({"labels": {"k" * 318: "v"}}, "metadata.labels.kkk"),
        ({"labels": {f"k{n}": "v" for n in range(1025)}}, "metadata.labels: "),
        ({"uid": "u" * 129}, "metadata.uid"),
    ],
    ids=["a value", "a character", "a key", "too many", "a uid"],
)
def test_metadata_that_no_assignment_carries_is_that_object_s_problem(
    metadata: dict[str, Any], where: str
) -> None:
    """It passed, and putting the assignment together ended the agent."""
    device = room.device()
    device["metadata"] |= metadata
    reading = resources.read([manifest(device), manifest(room.site(), "site.yaml#1")], {})
    assert names(reading) == {"Site/hq"}
    assert where in reading.problems[0].message


def test_an_export_from_a_cluster_is_read() -> None:
    exported = room.site() | {"status": {"conditions": []}}
    exported["metadata"] |= {"managedFields": [], "creationTimestamp": None, "uid": "u"}
    assert resources.read([manifest(exported)], {}).problems == ()


def test_objects_of_other_groups_are_no_business_of_ours() -> None:
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hq"}}
    assert resources.read([manifest(other)], {}) == resources.FolderReading((), {}, ())


def test_an_unknown_kind_of_our_group_is_a_problem() -> None:
    odd = room.site() | {"kind": "Sight"}
    assert "no kind" in resources.read([manifest(odd)], {}).problems[0].message


def test_what_is_kept_can_be_written_as_json() -> None:
    kept = resources.read([manifest(room.policy())], {}).kept
    assert json.loads(json.dumps([one.document for one in kept.values()]))


def test_a_typing_error_in_the_group_is_a_problem_and_another_groups_namesake_is_none() -> None:
    for group in ("foreshore.io/v1alpha1", "forshore.dev/v1alpha1", "v1alpha1"):
        (problem,) = resources.read([manifest(room.site() | {"apiVersion": group})], {}).problems
        assert "apiVersion is foreshore.dev/v1alpha1" in problem.message
    other = room.site() | {"apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device"}
    assert resources.read([manifest(other)], {}).problems == ()


def test_a_name_that_nothing_can_say_is_refused_and_told_however_long() -> None:
    bad = room.device()
    bad["metadata"]["name"] = "a" * 300
    reading = resources.read([manifest(bad)], {})
    assert reading.resources == ()
    assert "metadata.name" in reading.problems[0].message
