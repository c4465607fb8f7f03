"""Two operator processes on a real API server: a leader paused, killed, and asked to end.

`make bench ARGS="--only takeover"` does the same many times over, with figures.
"""

import random
import signal
import time
from collections.abc import Iterator

import pytest

import operator_pair
from foreshore_api import meta
from harness import process

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

BOUND = 8.0
"""Seconds from a leader's death to the next write."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[operator_pair.Pair]:
    with operator_pair.raised(tmp_path_factory.mktemp("pair")) as made:
        yield made


def test_both_are_ready_while_one_leads(pair: operator_pair.Pair) -> None:
    leader = pair.leader()
    assert leader.is_ready
    assert pair.other(leader).is_ready
    assert not pair.other(leader).leads


def test_who_follows_writes_nothing(pair: operator_pair.Pair) -> None:
    leader = pair.leader()
    began = time.time()
    time.sleep(2)
    assert pair.writes(leader.name, began)
    assert not pair.writes(pair.other(leader).name, began)


@pytest.mark.parametrize("turn", range(2))
def test_a_leader_that_was_paused_writes_nothing_when_it_wakes(
    pair: operator_pair.Pair, turn: int
) -> None:
    takeover = operator_pair.paused(pair, after=random.Random(turn).random())
    assert takeover.late == 0
    assert pair.leader().is_ready


def test_a_killed_leaders_heir_writes_in_time_and_lists_nothing_first(
    pair: operator_pair.Pair,
) -> None:
    """What the follower holds in memory is all that it needs."""
    takeover = operator_pair.killed(pair)
    assert takeover.listed == ()
    assert takeover.led <= BOUND


def test_a_leader_that_is_asked_to_end_gives_the_lease_back(pair: operator_pair.Pair) -> None:
    leader = pair.leader()
    heir = pair.other(leader)
    moment = time.time()
    leader.signal(signal.SIGTERM)
    assert leader.child.wait(20) == 0
    ended = time.time()
    first = pair.first_write(heir.name, moment)
    assert first.answered - ended < 5
    assert not pair.writes(leader.name, first.received)
    pair.start(leader.name)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("delete", id="deleted"),
        pytest.param("1" + "0" * 400, id="an epoch of four hundred digits"),
        pytest.param("soon", id="an epoch that is no number"),
        pytest.param(str(1 << 53), id="an epoch millions of years ahead"),
    ],
)
def test_whatever_happens_to_the_lease_somebody_leads_and_writes(
    pair: operator_pair.Pair, change: str
) -> None:
    before = pair.epoch()
    lease = ("lease", operator_pair.LEASE, "-n", pair.namespace)
    if change == "delete":
        pair.server.kubectl("delete", *lease)
    else:
        annotation = f"{meta.ANNOTATION_EPOCH}={change}"
        pair.server.kubectl("annotate", *lease, annotation, "--overwrite")
    moment = time.time()
    process.eventually(
        lambda: before < pair.epoch() <= time.time() + 60, what="a sane epoch", timeout=30
    )
    leader = pair.leader()
    pair.first_write(leader.name, max(moment, time.time()))


def test_no_write_of_a_term_in_force_was_refused(pair: operator_pair.Pair) -> None:
    """After all that: the policies were in force, and stood in no leader's way."""
    assert pair.writes(pair.leader().name, 0.0)
    for name in operator_pair.NAMES:
        for late in pair.refused(name, 0.0):
            assert is_over(pair, name, late.received), late


def is_over(pair: operator_pair.Pair, name: str, at: float) -> bool:
    """Whether another had written since an operator wrote last: it was paused while it wrote."""

    def latest(of: str) -> float:
        written = (write for write in pair.writes(of, 0.0, at) if write.code < 400)
        return max((write.received for write in written), default=0.0)

    return max(latest(other) for other in operator_pair.NAMES if other != name) > latest(name)
