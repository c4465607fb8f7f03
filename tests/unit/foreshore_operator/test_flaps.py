"""What is remembered of nodes that fall silent, and what two of them in turn can cost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import flapping
from foreshore_operator import flaps
from foreshore_planner import quarantine


class Observed:
    """Nodes a, b and c of one site, a clock, and what is remembered of them."""

    def __init__(self, *nodes: str, site: str | None = "hq") -> None:
        self.now, self.site = 1000.0, site
        self.flaps = flaps.NodeFlaps(lambda: self.now)
        for node in nodes or ("a", "b", "c"):
            self.flaps.heard(node, site)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.now += 1.0
            self.flaps.settle()

    def fell(self, *nodes: str, after: float = 0.0) -> None:
        self.wait(after)
        for node in nodes:
            self.flaps.fell(node, self.site)

    def heard(self, *nodes: str, after: float = 0.0) -> None:
        self.wait(after)
        for node in nodes:
            self.flaps.heard(node, self.site)


def test_a_silence_counts_once_however_often_it_is_seen_and_for_an_hour() -> None:
    seen = Observed()
    seen.fell("a")
    seen.fell("a", after=30)
    assert seen.flaps.ages("a") == (30.0,)
    seen.heard("a", after=5)
    seen.fell("a", after=5)
    assert seen.flaps.ages("a") == (0.0, 40.0)
    seen.wait(quarantine.WINDOW - 40)
    assert seen.flaps.ages("a") == (quarantine.WINDOW - 40,)


def test_a_node_that_joins_and_is_not_ready_yet_fell_never_silent() -> None:
    seen = Observed()
    seen.fell("new")
    assert seen.flaps.ages("new") == ()
    seen.heard("new", after=20)
    seen.fell("new", after=20)
    assert seen.flaps.ages("new") == (0.0,)


def test_gone_and_back_under_the_same_name_is_one_silence() -> None:
    seen = Observed()
    seen.flaps.gone("a")
    seen.fell("a", after=10)  # it is back, and not Ready yet
    seen.heard("a", after=10)
    assert seen.flaps.ages("a") == (20.0,)


def test_a_node_that_was_silent_when_it_went_is_not_counted_twice() -> None:
    seen = Observed()
    seen.fell("a")
    seen.flaps.gone("a")
    seen.heard("a", after=10)
    assert seen.flaps.ages("a") == (10.0,)


@pytest.mark.parametrize("site", ["hq", None], ids=["of a site", "of none"])
def test_nodes_that_go_dark_together_count_for_none_of_them(site: str | None) -> None:
    """Each Lease runs out by itself, within ten seconds, and they come back as they went.

    Of a site its uplink is cut; of nodes of no site, the API server was away.
    """
    seen = Observed(site=site)
    for node in "abc":
        seen.fell(node, after=4)
    assert seen.flaps.ages("a") != ()
    seen.wait(30)
    for node in "abc":
        seen.heard(node, after=4)
    seen.wait(60)
    assert [seen.flaps.ages(node) for node in "abc"] == [(), (), ()]


def test_who_stays_away_when_its_site_is_back_is_counted_since_then() -> None:
    seen = Observed()
    seen.fell("a", "b", "c")
    seen.wait(60)
    seen.heard("b", "c")
    seen.wait(flaps.ALONE_AFTER + 8)
    assert seen.flaps.ages("a") == (flaps.ALONE_AFTER + 8,)


def test_who_fell_long_before_its_site_went_dark_did_so_alone() -> None:
    seen = Observed()
    seen.fell("a")
    seen.fell("b", "c", after=flaps.SPREAD + 5)
    seen.wait(60)
    assert len(seen.flaps.ages("a")) == 1
    assert seen.flaps.ages("b") == ()


def test_two_that_seem_silent_together_for_a_moment_both_count() -> None:
    seen = Observed("a", "b")
    seen.fell("a")
    seen.fell("b", after=10)
    seen.heard("a", after=flaps.DARK_AFTER - 2)
    seen.wait(30)
    assert [len(seen.flaps.ages(node)) for node in "ab"] == [1, 1]


def test_what_time_changes_is_reported() -> None:
    seen = Observed()
    seen.fell("a", "b", "c")
    seen.now += flaps.DARK_AFTER
    assert seen.flaps.settle() == {"a", "b", "c"}
    assert seen.flaps.settle() == frozenset()


def test_memory_is_bounded_by_nodes_and_by_nodes_that_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flaps, "GONE_KEPT", 100)
    seen = Observed()
    for number in range(1000):
        seen.flaps.heard(f"n{number}", f"s{number % 7}")
        seen.flaps.gone(f"n{number}")
    for _ in range(50):
        seen.fell("a")
        seen.heard("a", after=1)
    kept = seen.flaps
    assert len(kept._gone) == 100
    assert len(kept._moments) == 101
    assert len(kept.ages("a")) == flaps.KEPT
    seen.wait(quarantine.WINDOW + flaps.PRUNED_EVERY)
    assert (kept._gone, kept._moments, kept._silent) == ({}, {}, {})
    assert set(kept._nodes_of) == {"hq"}


@pytest.mark.parametrize("period", [20, 34, 90, 240, 600])
def test_two_nodes_in_turn_for_an_hour_cost_one_move_and_one_grant_a_node(period: int) -> None:
    site = flapping.FlappingSite(flapping.in_turn(period, overlap=0.0))
    site.run(min(3600, 40 * period), planned_every=min(15.0, period / 6))
    moves, grants = site.most()
    assert moves <= 1
    assert grants <= 1
    assert site.moves, "a first loss is still replaced"
    assert site.longest >= quarantine.LIMIT


@settings(max_examples=5, deadline=None)
@given(
    st.integers(min_value=24, max_value=600),
    st.sampled_from([0.3, 0.4, 0.5, 0.6]),
    st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]),
)
def test_however_two_nodes_take_turns_it_costs_one_move_and_one_grant_a_node(
    period: int, phase: float, overlap: float
) -> None:
    site = flapping.FlappingSite(flapping.in_turn(period, overlap, phase))
    site.run(2400, planned_every=20.0)
    assert max(site.most()) <= 1


@pytest.mark.parametrize("lax", ["LIMIT", "WINDOW"])
def test_without_the_count_of_flaps_the_work_would_follow_each_turn(
    lax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, lax, {"LIMIT": 99, "WINDOW": 20.0}[lax])
    site = flapping.FlappingSite(flapping.in_turn(90, overlap=0.0))
    site.run(900, planned_every=15.0)
    assert min(site.most()) > 2
