"""The hash chain: what breaks it, and what must not."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.journal import chain, retention
from foreshore_api.wire import record


def shipped(bodies: list[str]) -> list[record.ShippedRecord]:
    previous, found = chain.GENESIS, []
    for sequence, body in enumerate(bodies, start=1):
        digest = chain.link(previous, body.encode())
        found.append(
            record.ShippedRecord(sequence=sequence, previous=previous, hash=digest, body=body)
        )
        previous = digest
    return found


def test_a_link_is_sha256_over_the_text_of_the_previous_hash_and_the_exact_body() -> None:
    expected = hashlib.sha256(chain.GENESIS.encode() + b'{"a":1}').hexdigest()
    assert chain.link(chain.GENESIS, b'{"a":1}') == f"sha256:{expected}"


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=8), st.data())
def test_any_changed_body_is_found_at_its_own_number(
    bodies: list[str], data: st.DataObject
) -> None:
    records = shipped(bodies)
    assert chain.check(records) is None
    index = data.draw(st.integers(0, len(records) - 1))
    records[index] = records[index].model_copy(update={"body": records[index].body + "x"})
    assert chain.check(records) == chain.Break(index + 1, "HashMismatch")


def test_a_record_swapped_for_another_with_a_hash_of_its_own_breaks_the_link() -> None:
    records = shipped(["a", "b", "c"])
    forged = chain.link(chain.GENESIS, b"z")
    records[1] = records[1].model_copy(
        update={"body": "z", "previous": chain.GENESIS, "hash": forged}
    )
    assert chain.check(records) == chain.Break(2, "LinkMismatch")


def test_forgotten_records_leave_a_hole_that_is_no_break() -> None:
    records = shipped(["a", "b", "c", "d"])
    assert chain.check([records[0], records[3]]) is None


def test_a_dropped_body_keeps_its_links() -> None:
    records = shipped(["a", "b", "c"])
    records[1] = records[1].model_copy(update={"body": ""})
    assert chain.check(records) is None


def test_a_first_record_that_follows_nothing_known_breaks_the_chain() -> None:
    first = shipped(["a"])[0]
    other = chain.link("sha256:" + "1" * 64, b"a")
    forged = first.model_copy(update={"previous": "sha256:" + "1" * 64, "hash": other})
    assert chain.check([forged]) == chain.Break(1, "LinkMismatch")


@pytest.mark.parametrize(
    ("body", "stamped"),
    [
        (b'{"sequence":"","data":{}}', b'{"sequence":"00000000000000000007","data":{}}'),
        (
            b'{"sequence":"","data":{"m":"\\"sequence\\":\\"\\""}}',
            b'{"sequence":"00000000000000000007","data":{"m":"\\"sequence\\":\\"\\""}}',
        ),
        (b'{"sequence":"x"}', b'{"sequence":"x"}'),
    ],
    ids=["empty attribute is filled in", "text that looks like one is not", "a given one stays"],
)
def test_stamping(body: bytes, stamped: bytes) -> None:
    assert chain.stamp(body, 7) == stamped


def test_dull_records_never_displace_the_interesting_one() -> None:
    kept = retention.Retention()
    kept.admit(1, ("p", "d", "Commanded"), keep=2)
    for sequence in range(2, 100):
        kept.admit(sequence, ("p", "d", "NotTriggered"), keep=2)
    expired = kept.oldest(1000)
    assert 1 not in expired
    assert set(expired) == set(range(2, 98))


def test_an_acknowledgement_repeated_after_a_rolled_back_commit_counts_once() -> None:
    kept = retention.Retention()
    for _ in range(2):
        kept.admit(1, ("p", "d", "v"), keep=1)
    assert kept.oldest(10) == ()


def test_the_buckets_of_devices_that_are_gone_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MAXIMUM_BUCKETS", 2)
    kept = retention.Retention()
    for sequence, device in enumerate(("gone", "a", "b", "a"), start=1):
        kept.admit(sequence, ("p", device, "Commanded"), keep=2)
    assert kept.oldest(10) == (1,)
    assert list(kept.kept) == [("p", "b", "Commanded"), ("p", "a", "Commanded")]


def test_what_could_not_be_removed_stays_expired() -> None:
    kept = retention.Retention()
    for sequence in (1, 2, 3):
        kept.admit(sequence, ("p", "d", "v"), keep=1)
    assert kept.oldest(1) == kept.oldest(1) == (1,)
    kept.forget(1)
    assert kept.oldest(10) == (2,)
