"""Whom the hub renews, and that no two holders are renewed within a lease of each other."""

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshore_api.wire import beat
from foreshore_decision import fencing
from foreshore_hub import renewals
from foreshore_hub.renewals import Knowledge, NamedHolder, RenewedHolder

LEASE = 15.0
RENEWED, SUPERSEDED, UNKNOWN = (
    beat.RenewalStanding.RENEWED,
    beat.RenewalStanding.SUPERSEDED,
    beat.RenewalStanding.UNKNOWN,
)


def knows(
    named: tuple[str | None, int] | None,
    last: tuple[str, int, float | None] | None,
    *,
    synced: bool = True,
    started_at: float = 0.0,
    given_back: tuple[tuple[str, int], ...] = (),
) -> Knowledge:
    return Knowledge(
        named=NamedHolder(named[0], named[1], LEASE) if named else None,
        is_synced=synced,
        last=RenewedHolder(last[1], last[0], LEASE, last[2]) if last else None,
        started_at=started_at,
        given_back=frozenset(given_back),
    )


@pytest.mark.parametrize(
    ("holder", "epoch", "knowledge", "expected"),
    [
        ("a", 5, knows(("a", 5), ("a", 5, 90.0)), (RENEWED, 5)),
        ("a", 5, knows(("b", 6), ("a", 5, 90.0)), (SUPERSEDED, 6)),
        ("a", 5, knows((None, 5), ("a", 5, 90.0)), (SUPERSEDED, 5)),
        ("b", 6, knows(("b", 6), ("a", 5, 90.0)), (UNKNOWN, 6)),
        ("b", 6, knows(("b", 6), ("a", 5, 84.1)), (UNKNOWN, 6)),
        ("b", 6, knows(("b", 6), ("a", 5, 84.0)), (RENEWED, 6)),
        ("b", 6, knows(("b", 6), ("a", 5, 99.0), given_back=(("a", 5),)), (RENEWED, 6)),
        ("b", 6, knows(("b", 6), ("a", 5, 99.0), given_back=(("a", 4),)), (UNKNOWN, 6)),
        ("a", 5, knows(("a", 5), ("a", 5, 90.0), given_back=(("a", 5),)), (UNKNOWN, 5)),
        ("a", 6, knows(("a", 6), ("a", 5, 99.0)), (RENEWED, 6)),
        ("a", 7, knows(("a", 6), ("a", 6, 99.0)), (UNKNOWN, 6)),
        ("a", 5, knows(("a", 5), ("b", 6, 10.0)), (SUPERSEDED, 6)),
        ("b", 6, knows(("b", 6), ("a", 5, None), started_at=90.0), (UNKNOWN, 6)),
        ("b", 6, knows(("b", 6), None, started_at=90.0), (UNKNOWN, 6)),
        ("a", 5, knows(None, ("a", 5, None), synced=False, started_at=99.0), (RENEWED, 5)),
        ("a", 5, knows(None, ("a", 5, 90.0)), (UNKNOWN, 5)),
        ("a", 5, knows(None, None), (UNKNOWN, 0)),
    ],
    ids=[
        "the holder that is named",
        "a holder that was replaced",
        "a right that was taken back",
        "the next holder too early",
        "the next holder within the clock margin",
        "the next holder a lease and the margin after the last answer",
        "the next holder at once when the one before gave it back",
        "an older giving back proves nothing",
        "a holder that gave it back is not renewed",
        "a higher epoch of the same holder needs no waiting",
        "an epoch that the hub has not seen yet",
        "an API server that fell back revives nobody",
        "after a restart its start counts as the last renewal",
        "with an empty store its start counts as the last renewal",
        "with the API server absent since the start it believes its ledger",
        "a device that is gone is not renewed",
        "a device that nobody was ever granted",
    ],
)
def test_at_a_hundred_seconds(
    holder: str, epoch: int, knowledge: Knowledge, expected: tuple[beat.RenewalStanding, int]
) -> None:
    answer = renewals.answer(holder, epoch, knowledge, 100.0)
    assert (answer.standing, answer.epoch) == expected


def test_only_the_first_renewal_of_an_epoch_has_to_be_kept_before_it_leaves() -> None:
    first = renewals.answer("b", 6, knows(("b", 6), ("a", 5, 10.0)), 100.0)
    again = renewals.answer("b", 6, knows(("b", 6), ("b", 6, 100.0)), 103.0)
    assert (first.must_keep, again.must_keep) == (True, False)


def test_a_lease_that_got_shorter_is_waited_for_as_long_as_it_was_when_renewed() -> None:
    last = RenewedHolder(5, "a", 60.0, at=50.0)
    knowledge = dataclasses.replace(knows(("b", 6), None), last=last)
    assert renewals.answer("b", 6, knowledge, 100.0).standing is UNKNOWN
    assert renewals.answer("b", 6, knowledge, 111.0).standing is RENEWED


# One hub, two holders, an operator that writes what it likes, a hub that sees it late.

Action = tuple[str, int]
actions = st.lists(
    st.tuples(
        st.sampled_from(["ask a", "ask b", "grant a", "grant b", "see", "restart", "wait"]),
        st.integers(min_value=0, max_value=6),
    ),
    max_size=60,
)


class History:
    """A hub with its ledger, two holders with their state machines, and delayed messages."""

    def __init__(self) -> None:
        self.now = 0.0
        self.started_at = 0.0
        self.written: tuple[str, int] | None = None
        self.seen: tuple[str, int] | None = None
        self.last: RenewedHolder | None = None
        self.numbers = itertools.count()
        self.holders = {name: fencing.start(name, "boot", 0.0) for name in "ab"}
        for name in "ab":
            self._step(name, fencing.ConnectionChanged(0.0, connected=True))

    def _step(self, name: str, event: fencing.Event) -> None:
        self.holders[name] = fencing.step(self.holders[name], event)

    def do(self, action: str, delay: int) -> None:
        match action.split():
            case ["wait"]:
                self.now += delay * 3.0
            case ["grant", name]:
                self.written = (name, (self.written[1] if self.written else 0) + 1)
            case ["see"]:
                self.seen = self.written
                if self.seen is not None:
                    granted = fencing.Granted(self.now, self.seen[0], self.seen[1], LEASE, 0.0)
                    self._step(self.seen[0], granted)
            case ["restart"]:
                self.started_at = self.now
                self.last = dataclasses.replace(self.last, at=None) if self.last else None
            case ["ask", name]:
                self.ask(name, delay)

    def ask(self, name: str, delay: int) -> None:
        """A request that takes its time to the hub and back."""
        state, number = self.holders[name], next(self.numbers)
        if state.epoch is None:
            return
        self._step(name, fencing.Requested(self.now, number))
        self.now += delay
        knowledge = knows(self.seen, None, started_at=self.started_at)
        knowledge = dataclasses.replace(knowledge, last=self.last)
        answer = renewals.answer(name, state.epoch, knowledge, self.now)
        self.last = answer.changed or self.last
        self.now += delay
        self._step(name, fencing.Answered(self.now, "boot", number, answer.epoch, answer.standing))

    def renewed(self) -> list[str]:
        return [
            name
            for name, state in self.holders.items()
            if fencing.standing(state, self.now) is fencing.Standing.RENEWED
        ]


@settings(max_examples=300)
@given(actions)
def test_two_holders_are_never_both_renewed_by_one_hub(history: list[Action]) -> None:
    world = History()
    for action, delay in history:
        world.do(action, delay)
        assert len(world.renewed()) <= 1


def test_the_property_would_notice_a_hub_that_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the rule a hand-over makes two."""
    monkeypatch.setattr(renewals, "_is_free", lambda *_: True)
    world = History()
    for action in ("grant a", "see", "ask a", "grant b", "see", "ask b"):
        world.do(action, 0)
    assert world.renewed() == ["a", "b"]
