"""Drafts are accepted as they are, whatever strangers published; bounds hold."""

import itertools
import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from builders import overheard
from foreshore_agent.discover import compose, observations, render, verb
from foreshore_api import printable
from foreshore_api.v1alpha1 import site as sites
from foreshore_decision import lint, manifests

AROUND = lint.Surroundings(clock=lambda: 0.0)
BROKER = sites.Broker(host="127.0.0.1", port=1883, transport=sites.Transport.PLAIN)


def objects(discovery: compose.Discovery) -> list[compose.DraftObject]:
    drafts = itertools.chain.from_iterable((d.profile, *d.devices) for d in discovery.drafts)
    return [compose.site("hq", "shop", BROKER), *drafts]


def compose_all(*messages: overheard.Message) -> compose.Discovery:
    return compose.compose(overheard.heard(messages), site="hq", namespace="shop")


def lint_text(text: str) -> lint.LintReport:
    return lint.check(manifests.documents("draft.yaml", text.encode()), AROUND)


def test_drafts_of_every_layout_are_taken_by_lint_as_they_are() -> None:
    discovery = compose_all(*overheard.EVERYTHING)
    report = lint_text(render.as_yaml(objects(discovery)))
    assert [finding.message for finding in report.findings] == []
    assert report.resources == 1 + len(discovery.drafts) + sum(
        len(draft.devices) for draft in discovery.drafts
    )
    assert len(discovery.drafts) >= 13


def test_json_is_a_list_that_lint_takes_too() -> None:
    discovery = compose_all(*overheard.EVERYTHING)
    report = lint_text(render.as_json(objects(discovery), discovery))
    assert report.findings == ()
    assert report.resources > 20


def test_one_broker_heard_twice_gives_the_same_drafts() -> None:
    backwards = tuple(reversed(overheard.EVERYTHING))
    assert compose_all(*overheard.EVERYTHING) == compose_all(*backwards)


KEYS = st.text(max_size=12)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
ANNOUNCEMENTS = st.fixed_dictionaries(
    {},
    optional={
        key: st.text(max_size=12) | DOCUMENTS
        for key in ("~", "stat_t", "cmd_t", "val_tpl", "unit_of_meas", "dev", "name", "avty", "min")
    },
)
EXPOSES = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["binary", "numeric", "enum", "switch", "composite"])},
        optional={
            "property": KEYS,
            "access": st.integers() | st.none(),
            "unit": st.text(max_size=5),
            "value_on": DOCUMENTS,
            "value_max": DOCUMENTS,
            "features": DOCUMENTS,
            "values": DOCUMENTS,
        },
    ),
    max_size=4,
)
TOPICS = st.builds(
    "/".join,
    st.lists(
        st.sampled_from(
            ["zigbee2mqtt", "bridge", "devices", "tele", "SENSOR", "STATE", "LWT", "shellies",
             "status", "switch:0", "sensor", "state", "endpoint_0", "v3", "up", "homeassistant",
             "config", "device", "relay", "{x}", "a b", "$x", "#", "+", "\x1b[2J", "\u202e"]
        )
        | st.text(min_size=1, max_size=8).filter(lambda text: "/" not in text),
        min_size=1,
        max_size=6,
    ),
)  # fmt: skip
MESSAGES = st.one_of(
    st.tuples(TOPICS, DOCUMENTS | st.binary(max_size=20), st.booleans()),
    st.tuples(st.just("homeassistant/switch/x/config"), ANNOUNCEMENTS, st.booleans()),
    st.tuples(st.just("homeassistant/device/x/config"), DOCUMENTS, st.booleans()),
    st.tuples(
        st.just("z/bridge/devices"),
        st.lists(
            st.fixed_dictionaries(
                {
                    "friendly_name": KEYS | DOCUMENTS,
                    "definition": DOCUMENTS
                    | st.fixed_dictionaries(
                        {"exposes": EXPOSES},
                        optional={"model": DOCUMENTS, "description": st.text()},
                    ),
                }
            ),
            max_size=3,
        ),
        st.just(value=True),
    ),
)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(messages=st.lists(MESSAGES, max_size=6))
def test_whatever_strangers_publish_the_drafts_are_what_they_seem_and_accepted(
    messages: list[tuple[str, Any, bool]],
) -> None:
    discovery = compose_all(*messages)
    written = objects(discovery)
    text = render.as_yaml(written)
    assert all(printable.is_fit(character) or character == "\n" for character in text)
    assert list(yaml.safe_load_all(text)) == [item.document for item in written]
    assert [f.message for f in lint_text(text).findings if f.severity == "Error"] == []
    rendered = render.as_json(written, discovery)
    assert json.loads(rendered)["items"] == [item.document for item in written]
    assert all(map(printable.is_fit, "".join(render.left(discovery))))


@pytest.mark.parametrize("end", ["\n", "\r", "\x85", "\u2028", "\u2029"])
def test_a_line_end_in_what_was_announced_does_not_end_a_comment(end: str) -> None:
    forged = f"plug{end}kind: Device{end}---{end}"
    definition = {**overheard.PLUG, "description": forged}
    listed = [overheard.listed(f"Fan{end}Plug", definition)]
    discovery = compose_all(("zigbee2mqtt/bridge/devices", listed, True))
    text = render.as_yaml(objects(discovery))
    kinds = [document["kind"] for document in yaml.safe_load_all(text)]
    assert kinds in (["Site"], ["Site", "DeviceProfile", "Device"])


def test_of_very_many_topics_so_many_are_kept_and_the_rest_counted() -> None:
    heard = observations.Observations()
    for at in range(observations.MAXIMUM_TOPICS + 7):
        heard.take(f"t/{at}", b"1", is_retained=False)
    assert len(heard) == observations.MAXIMUM_TOPICS
    assert heard.left == 7


def test_very_large_messages_are_not_kept_beyond_the_bound() -> None:
    heard = observations.Observations()
    for at in range(400):
        heard.take(f"t/{at}", b"x" * 160_000, is_retained=False)
    assert len(heard) * 160_000 <= observations.MAXIMUM_BYTES
    assert heard.left > 0
    heard.take("t/0", b"1", is_retained=False)
    kept = heard.find("t/0")
    assert kept is not None
    assert kept.payload == b"1"


def test_a_device_with_more_than_a_profile_holds_says_what_is_left_out() -> None:
    document = {f"p{at}": at for at in range(70)}
    (draft,) = compose_all(("meter", document, False)).drafts
    assert len(draft.profile.document["spec"]["properties"]) == 64
    assert any("left out" in line and "p69" in line for line in draft.profile.comments)


def test_very_many_devices_are_bounded_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compose, "MAXIMUM_DEVICES", 3)
    discovery = compose_all(*((f"d/{at}/x", {"v": at}, False) for at in range(5)))
    assert sum(len(draft.devices) for draft in discovery.drafts) == 3
    assert any(reason.startswith("beyond the first 3") for reason in discovery.left)


def request(**changes: Any) -> verb.DiscoverRequest:
    usual: dict[str, Any] = {
        "broker": "127.0.0.1:1883",
        "credential_folder": None,
        "credential": None,
        "username": None,
        "password_file": None,
        "protocol": "V5",
        "listen": "1s",
        "filters": (),
        "site": None,
        "namespace": "shop",
        "output": "yaml",
        "write": None,
    }
    return verb.DiscoverRequest(**{**usual, **changes})


def test_a_users_name_is_a_credential_for_as_long_as_it_is_listened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p w\n")
    asked = request(username="reader", password_file=tmp_path / "secret")
    with verb._credentials(asked) as (folder, name):
        assert folder is not None
        assert name is not None
        files = {path.name: path.read_text() for path in (folder / name).iterdir()}
    assert files == {"username": "reader", "password": "p w"}
    assert not folder.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"broker": "nowhere"}, "HOST:PORT"),
        ({"broker": "nowhere:x"}, "HOST:PORT"),
        ({"broker": "nowhere:99999"}, "HOST:PORT"),
        ({"listen": "soon"}, "--listen"),
        ({"listen": "0s"}, "above 0s"),
        ({"listen": "2h"}, "at most 1h"),
        ({"output": "xml"}, "yaml or json"),
        ({"protocol": "V4"}, "V5 or V311"),
        ({"site": "The Site"}, "no name"),
        ({"username": "u", "credential": "c"}, "give one"),
        ({"credential": "../c"}, "no name of a credential"),
        ({"filters": ("a/#/b",)}, "whole level"),
        ({"filters": ("a+/b",)}, "whole level"),
        ({"filters": ("",)}, "whole level"),
        ({"filters": ("a/+/#", "a\nb")}, "whole level"),
        ({"filters": ("#",) * 33}, "more than 32"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_opened(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(verb.DiscoverUsageError, match=words):
        verb.discover(request(**changes), lambda _: None)
