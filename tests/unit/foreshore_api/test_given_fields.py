"""Documents that were given the same fields share the set that says so, and nothing else."""

from foreshore_api import given_fields, v1alpha1
from foreshore_api.meta import ObjectMeta


def device(name: str, **spec: object) -> bytes:
    read = v1alpha1.Device.read(
        {"metadata": {"name": name}, "spec": {"profileRef": {"name": "p"}, "site": "hq", **spec}}
    )
    return read.model_dump_json(by_alias=True, exclude_none=True).encode()


def test_alike_documents_share_the_sets_of_their_fields_at_every_depth() -> None:
    one, other = (v1alpha1.Device.parse(device(name)) for name in ("a", "b"))
    assert one.model_fields_set is other.model_fields_set
    assert one.metadata.model_fields_set is other.metadata.model_fields_set
    assert one.spec.profile_ref.model_fields_set is other.spec.profile_ref.model_fields_set
    assert one == v1alpha1.Device.model_validate_json(device("a"))


def test_a_copy_with_other_fields_leaves_the_others_theirs() -> None:
    one, other = ObjectMeta(name="a"), ObjectMeta(name="b")
    given_fields.share(one)
    given_fields.share(other)
    before = set(one.model_fields_set)
    changed = one.model_copy(update={"labels": {"a": "b"}})
    assert "labels" in changed.model_fields_set
    assert one.model_fields_set == other.model_fields_set == before


def test_a_later_state_of_an_object_shares_still() -> None:
    """Its copy had a set of its own: all objects have, once their first status is written."""
    first, second = (v1alpha1.Device.parse(device("a")) for _ in range(2))
    later = second.succeeding(first)
    assert later.spec is first.spec
    assert later.model_fields_set is first.model_fields_set
