"""Every kind of message with every defect: what becomes of it, and that nothing else does.

The table is generated: a kind renders a value into a message, a defect spoils value or message. The
verdict is what the engine gets (a value, a reason of one property) and what is counted; of what
comes late, twice or out of order, what the engine counts.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import pytest

from builders import room, site_side
from builders.engine_rig import DEVICE, Rig
from builders.site_wire import SITE, Wire
from foreshore_agent.devices.codecs import leaf
from foreshore_agent.engine import effects, events

T = TypeVar("T")


class Kind(NamedTuple):
    """A shape of messages, with the property that is read from it."""

    fields: dict[str, Any]
    render: Callable[[str], str]
    """Puts JSON of a value into a message."""
    is_json: bool = True
    is_alone: bool = True
    time: str | None = "t"
    """Member beside the value that holds the device's time."""

    @property
    def is_state(self) -> bool:
        return "retained" in self.fields

    def message(self, value: str, moment: float) -> bytes:
        """Return a message with the device's own time, where it has room for one."""
        written = self.render(value)
        if self.time is None:
            return written.encode()
        place = written.rindex("}")
        if "pick" in self.fields:
            place = written.index("}", written.index('"a"'))
        return f'{written[:place]}, "t": {moment}{written[place:]}'.encode()


OTHER = {"name": "other"}
STATE = {"retained": "State"}
KINDS = {
    "object": Kind({}, lambda value: f'{{"value": {value}, "more": "m"}}', is_alone=False),
    "own topic": Kind({"topic": "hq/a"}, lambda value: f'{{"value": {value}, "more": "m"}}'),
    "bare": Kind({"topic": "hq/a"}, lambda value: value, time=None),
    "text": Kind({"payload": "Text"}, lambda value: value.strip('"'), is_json=False, time=None),
    "state": Kind(STATE, lambda value: f'{{"value": {value}}}', is_alone=False),
    "state as text": Kind(
        {"payload": "Text", **STATE}, lambda value: value.strip('"'), is_json=False, time=None
    ),
    "pick": Kind(
        {"pick": {"array": "/v", "key": "id", "equals": "a", "value": "v"}},
        lambda value: f'{{"v": [{{"id": "b", "v": 9}}, {{"id": "a", "v": {value}}}]}}',
    ),
    "batch": Kind({}, lambda value: f'[{{"value": {value}}}]'),
}


class Verdict(NamedTuple):
    """What became of a message."""

    values: tuple[Any, ...] = ()
    refused: str | None = None
    counted: str | None = None


def good(value: float = 1.5) -> Verdict:
    return Verdict((value,))


def bad(reason: str) -> Verdict:
    """The property is invalid, and it is counted why."""
    return Verdict(refused=reason, counted=reason)


def wire_of(kind: Kind) -> Wire:
    wire = Wire()
    fields = {"name": "value", **kind.fields}
    if kind.time is not None:
        fields["time"] = {"path": kind.time}
    properties = [fields] + ([] if kind.is_alone else [OTHER])
    wire.devices.assign(SITE, [site_side.speaking("a", *properties)])
    return wire


def verdict(wire: Wire, body: bytes, **flags: bool) -> Verdict:
    wire.arrived.clear()
    wire.counts.clear()
    wire.measure("hq/a", body, **flags)
    samples = [sample for sample in wire.arrived if isinstance(sample, events.Sample)]
    values = tuple(sample.values["value"] for sample in samples if "value" in sample.values)
    reasons = {sample.refused["value"] for sample in samples if "value" in sample.refused}
    assert len(reasons | set(wire.counts)) <= 1
    return Verdict(values, next(iter(reasons), None), next(iter(wire.counts), None))


# A value that is none, in a message that is one.

VALUES: dict[str, tuple[str, str, str]] = {
    # value as JSON: the reason in a document, the reason of a text
    "wrong type": ('"hot"', "WrongType", "WrongType"),
    "a list": ("[1, 2]", "WrongType", "WrongType"),
    "NaN": ("NaN", "NonFinite", "NonFinite"),
    "Infinity": ("-Infinity", "NonFinite", "NonFinite"),
    "1e999": ("1e999", "NonFinite", "NonFinite"),
    "a huge integer": ("9" * 400, "NonFinite", "NonFinite"),
    "a number as text": ('"1.5"', "WrongType", ""),
    "hostile text": ('"\\u0000\\u001b[2J$(reboot)"', "WrongType", "WrongType"),
    "a lone surrogate": ('"\\ud800"', "WrongType", "WrongType"),
    "too long": ('"' + "x" * 2000 + '"', "WrongType", "TooLong"),
    "a boolean": ("true", "WrongType", "WrongType"),
}


@pytest.mark.parametrize("defect", VALUES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_is_none_is_the_reason_of_its_property(kind: str, defect: str) -> None:
    written, in_document, in_text = VALUES[defect]
    row = KINDS[kind]
    if kind in ("bare", "batch") and defect == "a list":
        pytest.skip("there it is a batch, or a sample that is none")
    reason = in_document if row.is_json else in_text
    expected = bad(reason) if reason else good()
    assert verdict(wire_of(row), row.render(written).encode()) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_null_says_nothing(kind: str) -> None:
    row = KINDS[kind]
    assert verdict(wire_of(row), row.render("null").encode()) == Verdict(counted="Null")


# A message that is none.


def spoilt(row: Kind) -> dict[str, tuple[bytes, str, str]]:
    """By defect: the message, why it is no JSON, and why no text."""
    message = row.render("1.5").encode()
    deep = b"[" * 9 + b"1" + b"]" * 9
    return {
        "truncated": (message[:-1] if len(message) > 3 else b'"1.', "InvalidJSON", "WrongType"),
        "too large": (message + b" " * leaf.MAXIMUM_BYTES, "TooLarge", "TooLarge"),
        "too deep": (b'{"value": ' + deep + b"}", "TooDeep", "WrongType"),
        "very deep": (b"[" * 30_000, "TooDeep", "TooLong"),
        "no UTF-8": (message + b"\xff", "InvalidUTF8", "InvalidUTF8"),
        "a byte order mark": (b"\xef\xbb\xbf" + message, "InvalidJSON", "WrongType"),
        "NUL": (message + b"\x00", "InvalidJSON", "WrongType"),
        "a key twice": (b'{"value": 1, "value": 2}', "DuplicateKey", "WrongType"),
        "many digits": (b"1" * 5000, "InvalidJSON", "TooLong"),
        "UTF-16": ("1.5".encode("utf-16"), "InvalidUTF8", "InvalidUTF8"),
    }


@pytest.mark.parametrize("defect", spoilt(KINDS["object"]))
@pytest.mark.parametrize("kind", KINDS)
def test_a_message_that_is_none_is_refused_as_a_whole(kind: str, defect: str) -> None:
    row = KINDS[kind]
    body, in_json, in_text = spoilt(row)[defect]
    reason = in_json if row.is_json else in_text
    is_its_own = row.is_alone or row.is_state
    expected = bad(reason) if is_its_own else Verdict(counted=reason)
    assert verdict(wire_of(row), body) == expected


@pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if row.is_json])
def test_an_array_of_ten_thousand_elements_is_read_or_refused_at_once(kind: str) -> None:
    body = ("[" + ",".join(["1"] * 10_000) + "]").encode()
    row = KINDS[kind]
    assert verdict(wire_of(row), body) in (
        bad("TooMany"), Verdict(counted="TooMany"), Verdict(counted="NoProperty")
    )  # fmt: skip


# A message that is well formed and comes as it should not.


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_broker_kept_says_nothing_about_now(kind: str) -> None:
    row = KINDS[kind]
    body = row.render("1.5").encode()
    expected = good() if row.is_state else Verdict(counted="Retained")
    assert verdict(wire_of(row), body, retained=True) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_that_is_sent_again_is_marked_for_the_engine(kind: str) -> None:
    wire = wire_of(KINDS[kind])
    wire.measure("hq/a", KINDS[kind].render("1.5").encode(), redelivered=True)
    [sample] = wire.arrived
    assert isinstance(sample, events.Sample)
    assert sample.redelivered


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_message_is_read_as_if_nothing_had_been(kind: str) -> None:
    row = KINDS[kind]
    wire = wire_of(row)
    for body, _, _ in spoilt(row).values():
        verdict(wire, body)
    assert verdict(wire, row.render("1.5").encode()) == good()
    assert wire.counts == []


class Came(NamedTuple):
    """A message: when the device says that it was, what it says, and how it came."""

    moment: float
    """Seconds after the first."""
    value: float = 1.5
    is_redelivered: bool = False


START = 1767225600.0
UNREADABLE = -2 * START
ORDERS: dict[str, tuple[list[Came], list[str], list[str]]] = {
    # messages: what is counted of them with a device's time, and without
    "one after the other": ([Came(0), Came(1, 2.0)], ["Accepted"] * 2, ["Accepted"] * 2),
    "duplicate": ([Came(0), Came(0)], ["Accepted", "Duplicate"], ["Accepted"] * 2),
    "late": ([Came(0), Came(-30)], ["Accepted", "Late"], ["Accepted"] * 2),
    "late and another": ([Came(0), Came(-30, 2.0)], ["Accepted", "Late"], ["Accepted"] * 2),
    "reordered": (
        [Came(0), Came(2), Came(1), Came(3)],
        ["Accepted", "Accepted", "Late", "Accepted"],
        ["Accepted"] * 4,
    ),
    "replayed": (
        [Came(0), Came(0, is_redelivered=True)],
        ["Accepted", "Duplicate"],
        ["Accepted", "Duplicate"],
    ),
    "replayed long after": (
        [Came(0), Came(1, 2.0), Came(0, is_redelivered=True)],
        ["Accepted", "Accepted", "Late"],
        ["Accepted"] * 3,
    ),
    "from the future": (
        [Came(0), Came(9e6), Came(2), Came(9e6)],
        ["Accepted"] * 4,
        ["Accepted"] * 4,
    ),
    "without a time that can be read": (
        [Came(UNREADABLE), Came(UNREADABLE)], ["InvalidTimestamp", "Accepted"] * 2, ["Accepted"] * 2
    ),
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_late_twice_or_out_of_order_is_counted_as_such(kind: str, order: str) -> None:
    row, (messages, timed, untimed) = KINDS[kind], ORDERS[order]
    wire, rig, counted = wire_of(row), engine_of(row), []
    for came in messages:
        wire.arrived.clear()
        wire.counts.clear()
        body = row.message(str(came.value), START + came.moment)
        wire.measure("hq/a", body, redelivered=came.is_redelivered)
        counted += wire.counts
        counted += counts_of(rig, wire)
    assert counted == (untimed if row.time is None else timed)


def engine_of(kind: Kind) -> Rig:
    profile = room.profile()
    if kind.is_state:
        profile["spec"]["properties"][2].update(STATE)
    return Rig((profile, room.policy()))


def renamed(named: Mapping[str, T]) -> dict[str, T]:
    """Return what is said of the property under the name that the engine's room has for it."""
    return {"temperature": named["value"]} if "value" in named else {}


def counts_of(rig: Rig, wire: Wire) -> list[str]:
    """Let an engine take what arrived, a second after what was before."""
    rig.seconds += 1
    before = len(rig.seen)
    for sample in wire.arrived:
        assert isinstance(sample, events.Sample)
        rig.feed(
            events.Sample,
            device=DEVICE,
            values=renamed(sample.values),
            sampled_at=renamed(sample.sampled_at),
            redelivered=sample.redelivered,
        )
    return [
        effect.labels[0]
        for effect in rig.seen[before:]
        if isinstance(effect, effects.Count)
        and effect.metric == "foreshore_telemetry_messages_total"
    ]


# Whether a device is there.

WORDS: dict[str, tuple[bytes, bytes]] = {
    # what a message is that says one word alone, and one with the word in a document
    "online": (b"online", b'{"state": "online"}'),
    "offline": (b" offline\n", b'{"state": "offline", "more": [1]}'),
    "wrong type": (b"1", b'{"state": ["online"]}'),
    "another word": (b"asleep", b'{"state": "asleep"}'),
    "another case": (b"Online", b'{"state": "ONLINE"}'),
    "null": (b"null", b'{"state": null}'),
    "nothing": (b"", b"{}"),
    "not finite": (b"nan", b'{"state": NaN}'),
    "truncated": (b"onlin", b'{"state": "online"'),
    "too long": (b"online" + b" " * 4096, b'{"state": "online"}' + b" " * 4096),
    "too deep": (b"[" * 4000, b'{"state": "online", "x": ' + b"[" * 9 + b"]" * 9 + b"}"),
    "a key twice": (b"online offline", b'{"state": "online", "state": "offline"}'),
    "no UTF-8": (b"online\xff", b'{"state": "online\xff"}'),
    "a byte order mark": (b"\xef\xbb\xbfonline", b'\xef\xbb\xbf{"state": "online"}'),
    "UTF-16": ("online".encode("utf-16"), '{"state": "online"}'.encode("utf-16")),
    "NUL": (b"online\x00", b'{"state": "online\x00"}'),
    "a lone surrogate": (b"online\\ud800", b'{"state": "online\\ud800"}'),
    "hostile": (b"\x1b[2Jonline", b'{"state": {"toString": "online"}}'),
}
ONLINE = {"online": True, "offline": False}


@pytest.mark.parametrize("is_document", [False, True])
@pytest.mark.parametrize("defect", WORDS)
def test_what_is_no_word_of_availability_is_counted(defect: str, is_document: bool) -> None:
    wire = watching(is_document=is_document)
    wire.measure("hq/lwt", WORDS[defect][is_document])
    seen = [event.is_online for event in wire.arrived if isinstance(event, events.Availability)]
    assert (seen, wire.counts) == (
        ([ONLINE[defect]], []) if defect in ONLINE else ([], ["UnknownWord"])
    )


def watching(*, is_document: bool) -> Wire:
    wire = Wire()
    path = {"path": "state"} if is_document else {}
    device = site_side.speaking("a", OTHER, availability={"topic": "hq/lwt", **path})
    wire.devices.assign(SITE, [device])
    return wire


@pytest.mark.parametrize(
    ("words", "counted", "is_there"),
    [
        pytest.param([True, True], ["Accepted"] * 2, True, id="duplicate"),
        pytest.param([False, True], ["Accepted"] * 2, True, id="back"),
        pytest.param([True, False], ["Accepted"] * 2, False, id="gone"),
        pytest.param([True, None, True], ["Accepted", "Late"], None, id="late, after a gap"),
    ],
)
@pytest.mark.parametrize("retained", [False, True])
def test_words_of_availability_count_in_order(
    words: list[bool | None], counted: list[str], is_there: bool | None, retained: bool
) -> None:
    profile = room.profile()
    profile["spec"]["mqtt"]["availability"] = {"topic": "{site}/lwt"}
    rig = Rig((profile, room.policy()))
    before = len(rig.seen)
    for is_online in words:
        if is_online is None:
            rig.feed(events.TelemetryChanged, connected=False)
            continue
        rig.feed(events.Availability, device=DEVICE, is_online=is_online, retained=retained)
    results = [each.labels[0] for each in rig.seen[before:] if isinstance(each, effects.Count)]
    assert results == counted
    presence = rig.state.devices[DEVICE].presence
    assert (None if presence is None else presence.is_online) is is_there
