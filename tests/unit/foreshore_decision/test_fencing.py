"""What one holder may do, by what it has seen: the trap each test holds shut is in its name."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_api.wire import beat
from foreshore_decision import fencing
from foreshore_decision.fencing import (
    Answered,
    AuthorityState,
    ConnectionChanged,
    EpochSeen,
    Fenced,
    Granted,
    PeerHeard,
    Released,
    Requested,
    Standing,
    Ticked,
    Withdrawn,
)

LEASE = 15.0
OFFLINE = 86400.0
RENEWED = beat.RenewalStanding.RENEWED
UNKNOWN = beat.RenewalStanding.UNKNOWN
SUPERSEDED = beat.RenewalStanding.SUPERSEDED


def run(*events: fencing.Event, state: AuthorityState | None = None) -> AuthorityState:
    current = state or fencing.start("n1", "boot-1", 0.0)
    for event in events:
        current = fencing.step(current, event)
    return current


def grant(at: float = 0.0, epoch: int = 100, holder: str = "n1", **fields: bool) -> Granted:
    return Granted(at, holder, epoch, LEASE, OFFLINE, **fields)


def answer(
    at: float, number: int, epoch: int = 100, standing: beat.RenewalStanding = RENEWED
) -> Answered:
    return Answered(at, "boot-1", number, epoch, standing)


def ticks(start: float, end: float) -> list[fencing.Event]:
    return [Ticked(float(at)) for at in range(int(start), int(end) + 1)]


def renewed_at(sent: float, epoch: int = 100) -> AuthorityState:
    """A holder on the broker whose request sent at `sent` was renewed at once."""
    return run(
        ConnectionChanged(0.0, connected=True),
        grant(epoch=epoch),
        *ticks(0, sent),
        Requested(sent, 1),
        answer(sent, 1, epoch),
    )


def test_a_grant_alone_permits_nothing() -> None:
    assert fencing.standing(run(grant()), 1.0) is Standing.LAPSED


def test_without_a_grant_there_is_no_standing() -> None:
    assert fencing.standing(run(), 1.0) is Standing.NONE


def test_a_renewal_counts_from_when_it_was_asked_for_not_from_when_it_arrived() -> None:
    connected = ConnectionChanged(0.0, connected=True)
    state = run(connected, grant(), Requested(1.0, 1), *ticks(2, 10), answer(10.0, 1))
    assert fencing.standing(state, 15.9) is Standing.RENEWED
    assert fencing.standing(state, 16.0) is not Standing.RENEWED


def test_a_right_released_while_a_peer_has_the_hub_is_given_back_until_a_higher_grant() -> None:
    peer = PeerHeard(2.0, "n2", has_hub=True)
    state = run(peer, Released(3.0), state=renewed_at(1.0))
    assert state.given_back
    assert fencing.standing(state, 3.0) is Standing.LAPSED
    again = run(Requested(4.0, 2), answer(4.0, 2), grant(at=4.0), state=state)
    assert fencing.standing(again, 4.0) is Standing.LAPSED
    assert not run(grant(at=5.0, epoch=101), state=state).given_back


@pytest.mark.parametrize(
    "heard",
    [[], [PeerHeard(2.0, "n2", has_hub=False)], [PeerHeard(2.0, "n2", has_hub=True), Ticked(5.0)]],
    ids=["no peer", "a peer without the hub", "a peer that has fallen silent"],
)
def test_a_right_is_kept_where_no_peer_could_be_granted_it(heard: list[fencing.Event]) -> None:
    state = run(*heard, state=renewed_at(1.0))
    state = run(Released(max(2.0, state.seen_at)), state=state)
    assert not state.given_back
    assert fencing.standing(state, state.seen_at) is Standing.RENEWED


def test_who_grants_himself_gives_nothing_back() -> None:
    peer = PeerHeard(1.0, "n2", has_hub=True)
    state = run(grant(self_granted=True), peer, Released(1.0))
    assert fencing.standing(state, 1.0) is Standing.RENEWED


def test_an_answer_that_nobody_asked_for_is_ignored() -> None:
    assert fencing.standing(run(grant(), answer(1.0, 7)), 1.0) is Standing.LAPSED


def test_an_older_answer_after_a_newer_one_is_ignored() -> None:
    state = run(
        grant(),
        Requested(1.0, 1),
        Requested(4.0, 2),
        answer(5.0, 2, standing=UNKNOWN),
        answer(6.0, 1),
    )
    assert fencing.standing(state, 7.0) is Standing.LAPSED


def test_an_answer_of_another_boot_is_ignored() -> None:
    state = run(grant(), Requested(1.0, 1), Answered(2.0, "boot-0", 1, 100, RENEWED))
    assert fencing.standing(state, 2.0) is Standing.LAPSED


def test_an_answer_asked_for_under_the_last_epoch_renews_nothing_of_the_next() -> None:
    state = run(grant(), Requested(1.0, 1), grant(2.0, epoch=101), answer(3.0, 1, epoch=101))
    assert fencing.standing(state, 3.0) is Standing.LAPSED


@pytest.mark.parametrize(
    "event",
    [
        EpochSeen(5.0, 101),
        grant(5.0, epoch=101, holder="n2"),
        grant(5.0, epoch=100, holder="n2"),
    ],
    ids=["in a beat", "in an assignment", "equal epoch of another holder"],
)
def test_a_higher_epoch_seen_anywhere_ends_it_at_once(event: fencing.Event) -> None:
    assert fencing.standing(run(event, state=renewed_at(4.0)), 5.0) is Standing.SUPERSEDED


def test_the_hub_saying_superseded_ends_it_at_once() -> None:
    state = run(Requested(5.0, 2), answer(5.1, 2, standing=SUPERSEDED), state=renewed_at(4.0))
    assert fencing.standing(state, 5.1) is Standing.SUPERSEDED


def test_only_a_higher_epoch_revives_a_superseded_holder() -> None:
    state = run(grant(5.0, 101, "n2"), grant(6.0), state=renewed_at(4.0))
    assert fencing.standing(state, 6.0) is Standing.SUPERSEDED
    state = run(grant(7.0, epoch=102), Requested(7.0, 9), answer(7.1, 9, 102), state=state)
    assert fencing.standing(state, 7.1) is Standing.RENEWED


def test_unrenewed_and_alone_it_goes_on_until_the_offline_grant_ends() -> None:
    state = run(*ticks(11, 40), state=renewed_at(10.0))
    assert fencing.standing(state, 24.9) is Standing.OFFLINE
    state = state._replace(seen_at=10.0 + OFFLINE - 1)
    assert fencing.standing(state, 10.0 + OFFLINE - 0.1) is Standing.OFFLINE
    assert fencing.standing(state, 10.0 + OFFLINE) is Standing.LAPSED


def test_unrenewed_it_stands_down_while_a_peer_claims_the_hub() -> None:
    state = run(*ticks(11, 30), PeerHeard(30.0, "n2", has_hub=True), state=renewed_at(10.0))
    assert fencing.standing(state, 30.0) is Standing.LAPSED
    gone = run(PeerHeard(31.0, "n2", has_hub=False), state=state)
    assert fencing.standing(gone, 31.0) is Standing.OFFLINE
    silent = run(*ticks(31, 33), state=state)
    assert fencing.standing(silent, 33.0) is Standing.OFFLINE


def test_unrenewed_it_stands_down_while_the_hub_answers_it_without_renewing() -> None:
    state = run(
        *ticks(11, 26),
        Requested(26.0, 2),
        answer(26.1, 2, standing=UNKNOWN),
        state=renewed_at(10.0),
    )
    assert fencing.standing(state, 27.0) is Standing.LAPSED


def test_a_holder_that_knows_that_it_is_deaf_does_not_go_on_offline() -> None:
    deaf = ConnectionChanged(20.0, connected=True, is_deaf=True)
    state = run(*ticks(11, 19), deaf, *ticks(21, 60), state=renewed_at(10.0))
    assert fencing.standing(state, 24.9) is Standing.LAPSED
    assert not state.given_back, "it can be commanded through, and the hub may renew it"
    heard = run(ConnectionChanged(60.5, connected=True), *ticks(61, 64), state=state)
    assert fencing.standing(heard, 64.0) is Standing.OFFLINE


def test_a_deaf_holder_that_the_hub_renews_goes_on_and_keeps_its_right() -> None:
    deaf = ConnectionChanged(10.0, connected=True, is_deaf=True)
    state = run(deaf, *ticks(11, 24), state=renewed_at(10.0))
    assert fencing.standing(state, 24.0) is Standing.RENEWED
    assert not state.given_back


def test_without_the_broker_it_never_goes_on_offline() -> None:
    state = run(*ticks(11, 26), ConnectionChanged(26.0, connected=False), state=renewed_at(10.0))
    assert fencing.standing(state, 26.5) is Standing.LAPSED


def test_after_a_broker_gap_an_unrenewed_holder_listens_three_beats_first() -> None:
    state = run(
        *ticks(11, 26),
        ConnectionChanged(26.0, connected=False),
        ConnectionChanged(28.0, connected=True),
        state=renewed_at(10.0),
    )
    assert fencing.standing(state, 30.9) is Standing.LAPSED
    assert fencing.standing(state, 31.0) is Standing.OFFLINE


def test_after_a_pause_of_its_own_an_unrenewed_holder_listens_three_beats_first() -> None:
    state = run(*ticks(11, 30), state=renewed_at(10.0))
    assert fencing.standing(state, 60.0) is Standing.LAPSED, "even before the machine has run"
    state = run(Ticked(60.0), state=state)
    assert fencing.standing(state, 62.9) is Standing.LAPSED
    assert fencing.standing(run(*ticks(61, 63), state=state), 63.0) is Standing.OFFLINE


def test_a_pause_shorter_than_the_lease_in_which_peers_claims_ended_is_a_pause_too() -> None:
    state = run(Ticked(0.5), PeerHeard(0.5, "n2", has_hub=True), state=renewed_at(0.0))
    assert fencing.standing(state, 14.9) is Standing.RENEWED, "a renewal outlives a pause"
    assert fencing.standing(state, 15.2) is Standing.LAPSED
    state = run(Ticked(15.2), *ticks(16, 18), state=state)
    assert fencing.standing(state, 18.1) is Standing.LAPSED
    assert fencing.standing(state, 18.2) is Standing.OFFLINE


def test_a_stall_of_less_than_three_beats_is_no_pause() -> None:
    state = run(*ticks(11, 30), state=renewed_at(10.0))
    assert fencing.standing(state, 30.0 + fencing.LISTEN_SECONDS) is Standing.OFFLINE


def test_who_ticks_when_due_and_once_a_second_is_never_taken_for_paused() -> None:
    """As the agent sweeps: a tick that is due is only seen up to a second late."""
    state = run(*ticks(11, 30), state=renewed_at(10.0))
    for at in itertools.takewhile(lambda at: at < 60.0, itertools.count(31.04, 1.04)):
        if at >= (fencing.next_due(state) or 0.0):
            state = run(Ticked(at), state=state)
        assert fencing.standing(state, at) is Standing.OFFLINE


def test_a_busy_loop_that_ticks_late_now_and_then_is_not_taken_for_paused() -> None:
    """A sweep once a second, every third of them delayed by another second and a half."""
    state, at = run(*ticks(11, 30), state=renewed_at(10.0)), 31.0
    for number in range(30):
        if at >= (fencing.next_due(state) or 0.0):
            state = run(Ticked(at), state=state)
        assert fencing.standing(state, at) is Standing.OFFLINE
        at += 2.5 if number % 3 == 2 else 1.04


def test_an_answer_that_arrives_after_a_pause_is_already_too_old() -> None:
    state = run(Requested(11.0, 2), state=renewed_at(10.0))
    state = run(answer(40.0, 2), state=state)
    assert fencing.standing(state, 40.0) is Standing.LAPSED


def test_a_holder_that_has_the_hub_but_not_the_broker_gives_its_right_back_for_good() -> None:
    state = run(ConnectionChanged(11.0, connected=False), state=renewed_at(10.0))
    for at in range(12, 30, 3):
        state = run(Requested(at, at), answer(at + 0.1, at), state=state)
    assert state.given_back
    state = run(ConnectionChanged(31.0, connected=True), grant(32.0), Withdrawn(33.0), state=state)
    state = run(grant(34.0), Requested(35.0, 99), answer(35.0, 99), state=state)
    assert fencing.standing(state, 36.0) is Standing.LAPSED


def test_without_the_hub_a_lost_broker_gives_nothing_back() -> None:
    state = run(
        *ticks(11, 26),
        ConnectionChanged(26.0, connected=False),
        *ticks(27, 90),
        state=renewed_at(10.0),
    )
    assert not state.given_back


def test_a_reboot_forgets_renewals_but_not_epochs() -> None:
    state = fencing.recall(renewed_at(10.0), "boot-2", 1.0)
    state = run(ConnectionChanged(1.0, connected=True), *ticks(1, 9), state=state)
    assert fencing.standing(state, 9.0) is Standing.LAPSED
    assert state.epoch == 100


def test_a_restart_in_the_same_boot_keeps_the_renewal() -> None:
    state = fencing.recall(renewed_at(10.0), "boot-1", 12.0)
    assert fencing.standing(state, 13.0) is Standing.RENEWED


def test_a_lone_agent_grants_itself() -> None:
    state = run(grant(self_granted=True))
    assert fencing.standing(state, 1e6) is Standing.RENEWED
    assert fencing.next_due(state) is None


@pytest.mark.parametrize(
    ("last", "now", "expected"), [(0, 1000.9, 1000), (1000, 1000.9, 1001), (5000, 1000.0, 5001)]
)
def test_a_fresh_epoch_lies_above_its_past(last: int, now: float, expected: int) -> None:
    assert fencing.next_epoch(last, now) == expected


def test_a_site_cut_off_together_goes_from_renewed_to_offline_without_a_gap() -> None:
    """The peers' claims end before the lease of the holder whose last renewal was the oldest
    possible."""
    cut = 30.0
    state = renewed_at(cut - LEASE / fencing.RENEWALS_PER_LEASE)
    for at in range(int(cut), 60):
        claims = fencing.has_hub(cut, at, LEASE)
        state = run(PeerHeard(float(at), "n2", has_hub=claims), state=state)
        assert fencing.standing(state, at).is_permitting


instants = st.floats(min_value=0.0, max_value=30.0)
epochs = st.integers(min_value=100, max_value=103)
numbers = st.integers(min_value=0, max_value=6)


def _events(at: float) -> st.SearchStrategy[fencing.Event]:
    return st.one_of(
        st.builds(grant, st.just(at), epochs, st.sampled_from(["n1", "n2"])),
        st.builds(Withdrawn, st.just(at)),
        st.builds(Requested, st.just(at), numbers),
        st.builds(
            Answered,
            st.just(at),
            st.sampled_from(["boot-1", "boot-0"]),
            numbers,
            epochs,
            st.sampled_from(beat.RenewalStanding),
            st.booleans(),
        ),
        st.builds(EpochSeen, st.just(at), epochs),
        st.builds(Fenced, st.just(at)),
        st.builds(PeerHeard, st.just(at), st.sampled_from(["n2", "n3"]), st.booleans()),
        st.builds(ConnectionChanged, st.just(at), st.booleans()),
        st.builds(Ticked, st.just(at)),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[fencing.Event]:
    gaps = draw(st.lists(st.floats(min_value=0.0, max_value=8.0), max_size=30))
    return [draw(_events(at)) for at in itertools.accumulate(gaps)]


@given(histories())
def test_it_permits_only_what_was_renewed_in_this_boot_under_this_epoch(
    history: list[fencing.Event],
) -> None:
    state = fencing.start("n1", "boot-1", 0.0)
    for event in history:
        state = fencing.step(state, event)
        if fencing.standing(state, event.at).is_permitting:
            assert state.renewed_at is not None
            assert state.epoch is not None
            assert state.epoch >= state.highest_seen


@given(histories(), st.floats(min_value=0.0, max_value=40.0))
def test_between_two_dues_the_standing_does_not_change(
    history: list[fencing.Event], later: float
) -> None:
    state = run(*history)
    due = fencing.next_due(state)
    at = state.seen_at + later
    if due is None or at < due:
        assert fencing.standing(state, at) is fencing.standing(state, state.seen_at)


@given(histories())
def test_a_superseded_epoch_never_comes_back(history: list[fencing.Event]) -> None:
    state, barred = fencing.start("n1", "boot-1", 0.0), set[int]()
    for event in history:
        state = fencing.step(state, event)
        if state.is_superseded and state.epoch is not None:
            barred.add(state.epoch)
        permits = fencing.standing(state, event.at).is_permitting
        assert not (permits and state.epoch in barred)


def test_no_event_carries_a_wall_clock_so_that_no_jump_can_matter() -> None:
    """A field named like a wall-clock time on any event would let one in."""
    for event in (
        Granted,
        Withdrawn,
        Requested,
        Answered,
        EpochSeen,
        Fenced,
        PeerHeard,
        ConnectionChanged,
        Ticked,
    ):
        kinds = {field.type for field in dataclasses.fields(event)}
        assert not any("datetime" in str(kind) for kind in kinds)


def test_a_refusal_of_the_device_outlives_the_answer_to_an_earlier_request() -> None:
    state = run(Requested(11.0, 2), Fenced(12.0), answer(12.5, 2), state=renewed_at(10.0))
    assert fencing.standing(state, 13.0) is Standing.LAPSED
    state = run(Requested(13.0, 3), answer(13.1, 3), state=state)
    assert fencing.standing(state, 13.2) is Standing.RENEWED


def test_a_new_grant_ends_what_the_device_refused_under_the_old_one() -> None:
    state = run(Fenced(12.0), grant(13.0, epoch=101), Requested(13.5, 4), state=renewed_at(10.0))
    state = run(answer(13.6, 4, epoch=101), state=state)
    assert fencing.standing(state, 14.0) is Standing.RENEWED


def test_who_grants_himself_is_not_stood_down_for_ever_by_one_refusal() -> None:
    state = run(grant(self_granted=True), Fenced(1.0))
    assert fencing.standing(state, 2.0) is Standing.RENEWED


def test_a_stray_answer_is_dropped_before_its_epoch_is_looked_at() -> None:
    before = renewed_at(4.0)
    for stray in (
        Answered(5.0, "elsewhere", 1, 101, UNKNOWN),
        Answered(5.0, "boot-1", 99, 101, SUPERSEDED),
        Answered(5.0, "boot-1", 1, 101, SUPERSEDED),
    ):
        assert run(stray, state=before) == before._replace(seen_at=5.0)


def test_a_claim_of_a_peer_ends_with_the_lease() -> None:
    state = run(*ticks(11, 30), EpochSeen(30.0, 101), state=renewed_at(10.0))
    assert fencing.standing(state, 30.0) is Standing.SUPERSEDED
    state = run(*ticks(31, 44), state=state)
    assert fencing.standing(state, 44.9) is Standing.SUPERSEDED
    assert fencing.standing(state, 45.0) is Standing.OFFLINE


def test_a_claim_of_a_peer_ends_when_the_hub_renews_what_was_asked_after_it() -> None:
    state = run(Requested(5.0, 2), EpochSeen(5.5, 101), answer(5.6, 2), state=renewed_at(4.0))
    assert fencing.standing(state, 5.6) is Standing.SUPERSEDED, "asked before the claim"
    state = run(Requested(6.0, 3), answer(6.1, 3), state=state)
    assert fencing.standing(state, 6.1) is Standing.RENEWED


def test_a_claim_of_a_peer_does_not_outlive_the_process_or_raise_any_mark() -> None:
    state = run(EpochSeen(5.0, 101), PeerHeard(5.0, "n2", has_hub=True), state=renewed_at(4.0))
    kept = fencing.recall(fencing.keepable(state), "boot-1", 6.0)
    assert (kept.highest_seen, kept.is_superseded, kept.claims) == (100, False, ())
    assert fencing.standing(kept, 6.0) is Standing.RENEWED


def test_a_lone_agent_yields_to_a_claim_for_a_lease_too() -> None:
    state = run(grant(self_granted=True), EpochSeen(1.0, 101))
    assert fencing.standing(state, 15.9) is Standing.SUPERSEDED
    assert fencing.next_due(state) == 16.0
    assert fencing.standing(state, 16.0) is Standing.RENEWED


def test_what_a_relay_says_against_us_is_a_hint_and_what_the_hub_says_holds() -> None:
    relayed = Answered(5.1, "boot-1", 2, 101, SUPERSEDED, relayed=True)
    state = run(Requested(5.0, 2), relayed, state=renewed_at(4.0))
    assert fencing.standing(state, 5.1) is Standing.SUPERSEDED
    assert not state.is_superseded
    state = run(Requested(5.0, 2), answer(5.1, 2, 101, SUPERSEDED), state=renewed_at(4.0))
    assert state.is_superseded


@given(histories())
def test_only_the_hub_raises_a_mark_or_supersedes_for_good(history: list[fencing.Event]) -> None:
    state = fencing.start("n1", "boot-1", 0.0)
    for event in history:
        before = state
        state = fencing.step(state, event)
        is_hubs = isinstance(event, Granted) or (isinstance(event, Answered) and not event.relayed)
        if not is_hubs:
            assert (state.highest_seen, state.is_superseded) == (
                before.highest_seen,
                before.is_superseded,
            )


@given(histories())
def test_a_claim_stands_down_at_once(history: list[fencing.Event]) -> None:
    state = run(*history)
    if state.epoch is not None:
        state = run(EpochSeen(state.seen_at, state.epoch + 1), state=state)
        assert not fencing.standing(state, state.seen_at).is_permitting


@pytest.mark.parametrize(
    ("epoch", "is_believed"),
    [(0, True), (2_000_000_000, True), (1 << 62, False), (-1, False), (10**400, False)],
)
def test_an_epoch_more_than_ten_years_ahead_is_not_believed(epoch: int, is_believed: bool) -> None:
    assert beat.is_believable(epoch, 1_800_000_000.0) is is_believed
