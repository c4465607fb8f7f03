"""A template filled in is one topic of one device, whatever its parameters say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import stock
from foreshore_api import resources, v1alpha1
from foreshore_decision import topics

TEMPLATES = st.sampled_from(
    ["{parameters.name}", "{parameters.name}/set", "a/{parameters.name}/b", "{site}/{device}/x"]
)


@given(TEMPLATES, st.text(max_size=80))
def test_a_topic_has_no_wildcard_and_is_nobody_elses(template: str, value: str) -> None:
    try:
        topic = topics.render(template, site="hq", device="d", parameters={"name": value})
    except topics.TopicError:
        return
    assert topic
    assert not set(topic) & set("+#\x00")
    assert not topic.startswith("foreshore/")
    assert not topic.startswith("$") or topic.startswith(topics.SHADOWS)
    assert len(topic) <= topics.LONGEST
    topic.encode()


@given(
    st.text(st.characters(codec="ascii", exclude_characters="+#$", min_codepoint=32), min_size=1)
)
def test_a_name_stands_in_its_topic_as_it_is(value: str) -> None:
    if "\x7f" in value or len(value) > 200:
        return
    own = {"name": value}
    assert topics.render("a/{parameters.name}/b", site="s", device="d", parameters=own) == (
        f"a/{value}/b"
    )


def test_a_value_that_looks_like_a_place_is_not_filled_in_once_more() -> None:
    own = {"name": "{device}"}
    topic = topics.render("{parameters.name}/{site}", site="hq", device="d", parameters=own)
    assert topic == "{device}/hq"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("$SYS/x", "the broker's own"),
        ("$share/a/b", "the broker's own"),
        ("{site}/x", "agents speak"),
        ("a\x85", "brokers refuse"),
        ("a" * 257, "257 characters"),
    ],
)
def test_what_is_no_topic_of_a_device(template: str, why: str) -> None:
    with pytest.raises(topics.TopicError, match=why):
        topics.render(template, site="foreshore", device="d")


def test_where_a_plug_speaks_and_is_spoken_to() -> None:
    profile = resources.parse(stock.plug(), strict=True)
    assert isinstance(profile, v1alpha1.DeviceProfile)
    assert topics.spoken(profile.spec) == (stock.STATE, f"{stock.STATE}/availability")
    assert topics.heard(profile.spec) == topics.commanded(profile.spec) == (stock.SET,)
    assert topics.named(topics.heard(profile.spec)) == {"friendlyName"}
