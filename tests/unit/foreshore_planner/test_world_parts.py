"""The parts of a world that is kept: groups, deadlines, rounds, facts."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api.wire import report
from foreshore_planner import named, news
from foreshore_planner.world import deadlines, groups, hearing, rounds
from foreshore_planner.world.changes import Changes

Member = tuple[str, frozenset[int]]
members = st.dictionaries(
    st.sampled_from("abcdef"), st.none() | st.frozensets(st.integers(0, 3)), max_size=6
)


@given(st.lists(members, max_size=6))
def test_groups_that_were_changed_are_those_of_everything_at_once(
    changes: list[dict[str, frozenset[int] | None]],
) -> None:
    kept: groups.Groups[int, str, Member] = groups.Groups(lambda member: member[1], lambda m: m[0])
    present: dict[str, Member] = {}
    for change in changes:
        for name, numbers in change.items():
            present.pop(name, None)
            if numbers is not None:
                present[name] = (name, numbers)
            kept.put(name, present.get(name))
            for group in (0, 1, 2, 3):
                kept.get(group, ())
    whole = named.grouped(sorted(present.values(), key=lambda m: m[0]), lambda m: m[1])
    assert dict(kept) == whole
    assert len(kept) == len(whole)


moments = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.floats(min_value=0, max_value=100)),
    max_size=30,
)


@given(moments, st.floats(min_value=0, max_value=100))
def test_what_is_due_is_what_was_put_last(
    entries: list[tuple[str, float | None]], now: float
) -> None:
    queue = deadlines.Deadlines()
    for key, at in entries:
        queue.put(key, at)
    last = dict(entries)
    assert set(queue.due(now)) == {key for key, at in last.items() if at is not None and at <= now}
    left = [at for at in last.values() if at is not None and at > now]
    assert queue.next() == min(left, default=None)
    assert queue.due(now) == ()


def test_a_moment_that_is_put_off_for_ever_takes_no_more_room() -> None:
    queue = deadlines.Deadlines()
    for second in range(10_000):
        queue.put("agent", float(second))
    assert len(queue._heap) < 100


def test_every_placement_has_its_turn_and_new_figures_come_first() -> None:
    every = [("hq", f"p{number}", "hq") for number in range(300)]
    turns = rounds.Rounds()
    assert turns.take(every, 0.0) == set()
    turns.press(every[:50])
    taken = [turns.take(every, float(second)) for second in range(1, 320)]
    assert max(map(len, taken)) <= rounds.A_SECOND
    assert set().union(*taken[:3]) >= set(every[:50])
    assert set().union(*taken) == set(every)


def test_a_long_pause_is_no_reason_to_look_at_all_at_once() -> None:
    every = [("hq", f"p{number}", "hq") for number in range(30_000)]
    turns = rounds.Rounds()
    turns.take(every, 0.0)
    turns.press(every)
    assert len(turns.take(every, 3600.0)) <= rounds.A_SECOND * rounds.LONGEST


def _facts(**changes: Any) -> news.ReportFacts:
    return news.decided_by(build.agent("edge-1", **changes).report)


def test_figures_and_beats_that_go_on_are_no_facts() -> None:
    usual = _facts(uptime_seconds=700.0, probes=build.probes(edge_2=1))
    assert _facts(uptime_seconds=900.0, probes=build.probes(edge_2=9)) == usual
    beats = [
        _facts(peers=(report.ReportedPeer(node="edge-2", age_seconds=age, has_hub=True),))
        for age in (0.2, 0.9, 7.0)
    ]
    assert beats[0] == beats[1] != beats[2]


def test_how_many_calls_went_well_is_no_fact_but_that_none_does_is() -> None:
    lines = (
        build.endpoint("r0", "edge-2", good=10),
        build.endpoint("r0", "edge-2", good=11),
        build.endpoint("r0", "edge-2", bad_for_seconds=4.0, failed=9),
    )
    said = [_facts(endpoints=(line,)) for line in lines]
    assert said[0] == said[1] != said[2]


def heard(at: float, *received: report.Fleet) -> tuple[hearing.Hearing, Changes]:
    """A world that heard these one second after the other, and what the last one changed."""
    listening, changes = hearing.Hearing(deadlines.Deadlines()), Changes()
    for later, fleet in enumerate(received):
        changes = Changes()
        listening.receive(fleet, 0.0, at + later, changes)
    return listening, changes


def test_agents_that_report_in_time_wait_for_one_moment_that_each_answer_puts_off() -> None:
    in_time = build.fleet(agents=[build.agent("edge-1"), build.agent("edge-2")])
    first, _ = heard(100.0, in_time)
    second, changes = heard(100.0, in_time, in_time.model_copy(update={"revision": 2}))
    assert first.fresh_until is not None
    assert second.fresh_until == first.fresh_until + 1.0
    assert not changes.agents
    second.look_at_all(second.fresh_until + 0.001, changes)
    assert changes.freshness == {"edge-1", "edge-2"}, "late, and heard as before"
    assert not changes.agents, "no placement is planned for that"


def test_renewals_that_only_go_on_are_not_looked_at_and_the_next_other_one_is() -> None:
    first = build.fleet(renewals=[build.renewal(5, 0.0)])
    again = first.model_copy(update={"revision": 2})
    assert again.renewals is first.renewals
    _, changes = heard(100.0, first, again)
    assert not changes.rights
    stopped = build.fleet(renewals=[build.renewal(5, 1.8)])
    _, changes = heard(100.0, first, again, stopped)
    assert changes.rights, "it was renewed after that already"


def test_evidence_that_came_earlier_than_was_thought_is_looked_at() -> None:
    fleet = build.fleet(renewals=[build.renewal(5, 0.0)])
    listening, _ = heard(100.0, fleet)
    changes = Changes()
    listening.receive(fleet.model_copy(update={"revision": 2}), 10.0, 101.0, changes)
    assert changes.rights
