"""Records: sampled the same everywhere, chained by their exact bytes."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from foreshore_api.wire import record as wire
from foreshore_decision import record
from foreshore_decision.record import render


def test_sampling_draws_the_same_for_the_same_decision_and_about_the_rate() -> None:
    ids = [f"decision-{index}" for index in range(5000)]
    drawn = [record.is_sampled(each, 0.1) for each in ids]
    assert drawn == [record.is_sampled(each, 0.1) for each in ids]
    assert 400 <= sum(drawn) <= 600


@given(st.text())
def test_everything_and_nothing_are_rates_too(identity: str) -> None:
    assert record.is_sampled(identity, 1.0)
    assert not record.is_sampled(identity, 0.0)


def test_a_link_covers_the_exact_bytes_and_the_link_before() -> None:
    first = record.link("sha256:" + "0" * 64, b'{"a":1}')
    expected = hashlib.sha256(("sha256:" + "0" * 64).encode() + b'{"a":1}').hexdigest()
    assert first == f"sha256:{expected}"
    assert record.link(first, b'{"a":1}') != first
    assert record.link("sha256:" + "0" * 64, b'{"a": 1}') != first


def test_times_are_utc_with_microseconds() -> None:
    moment = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
    assert record.stamp(moment) == "2026-03-01T10:00:00.000000Z"
    elsewhere = moment.astimezone(timezone(timedelta(hours=5)))
    assert record.stamp(elsewhere) == record.stamp(moment)


CODES = st.from_regex(r"[A-Z][a-z]{1,8}", fullmatch=True)
MODELS = st.builds(
    wire.RecordedModel,
    name=CODES.map(str.lower),
    version=CODES.map(str.lower),
    digest=st.just("sha256:" + "ab" * 32),
)


@given(
    st.builds(
        wire.Attempt,
        slot=st.just("r0"),
        node=st.just("edge-1"),
        result=CODES,
        reason=st.none() | CODES,
        seconds=st.none() | st.floats(0, 10),
        answered=st.none() | MODELS,
    )
)
def test_an_attempt_is_written_as_its_wire_document_is(attempt: wire.Attempt) -> None:
    rendered = render._attempt(attempt)
    assert rendered == attempt.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert set(wire.Attempt.model_fields) <= {*rendered, "reason", "seconds", "answered"}
