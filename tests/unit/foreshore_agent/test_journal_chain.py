"""How a record is numbered and linked, and which records are forgotten."""

import hashlib

import pytest

from foreshore_agent.journal import chain, retention


def test_a_link_is_sha256_over_the_text_of_the_previous_hash_and_the_exact_body() -> None:
    expected = hashlib.sha256(chain.GENESIS.encode() + b'{"a":1}').hexdigest()
    assert chain.link(chain.GENESIS, b'{"a":1}') == f"sha256:{expected}"


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
