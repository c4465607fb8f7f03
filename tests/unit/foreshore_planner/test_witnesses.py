"""Who may say that a node's beats have stopped: only who has listened for as long as that takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import planning as build
from foreshore_api.wire import report
from foreshore_planner import health, news

NODE = "edge-1"
PERIOD = 1.0
UP = 900.0


@dataclass(frozen=True)
class Listener:
    """A peer, the session that it has with the broker, and the pause before that one."""

    session: float
    pause: float

    def evidence(self, name: str, dead_for: float | None) -> report.AgentEvidence:
        """What it reports of a node that beats once a second until it dies."""
        newest = PERIOD if dead_for is None else dead_for + PERIOD
        age = newest if newest <= self.session else max(newest, self.session + self.pause)
        peers = (report.ReportedPeer(node=NODE, age_seconds=age, has_hub=True),)
        return build.agent(
            name,
            peers=peers if age < UP else (),
            uptime_seconds=UP,
            listening_seconds=self.session,
        )


SECONDS = st.floats(0.0, 60.0) | st.sampled_from([0.0, 1.0, health.BEAT_FRESH, 600.0])
LISTENERS = st.lists(st.builds(Listener, SECONDS, SECONDS), min_size=1, max_size=4)


def asked(listeners: Sequence[Listener], dead_for: float | None) -> bool | None:
    names = [f"edge-{number}" for number, _ in enumerate(listeners, start=2)]
    pairs = zip(names, listeners, strict=True)
    agents = {name: listener.evidence(name, dead_for) for name, listener in pairs}
    return health.is_beating(NODE, "hq", agents)


@given(LISTENERS)
def test_nobody_says_of_a_node_that_beats_that_it_has_stopped(listeners: list[Listener]) -> None:
    assert asked(listeners, None) is not False


@given(LISTENERS, st.floats(health.BEAT_FRESH + 0.1, 600.0))
def test_whoever_has_listened_since_says_that_a_node_has_stopped(
    listeners: list[Listener], dead_for: float
) -> None:
    have_listened = any(listener.session > health.BEAT_FRESH for listener in listeners)
    assert asked(listeners, dead_for) is (False if have_listened else None)


def test_an_agent_that_does_not_say_has_listened_since_it_started() -> None:
    """An agent of a release without the field, that is: its word counts as it did."""

    def answer(uptime: float) -> bool | None:
        agent = build.agent("edge-2", uptime_seconds=uptime)
        assert agent.report.listening_seconds is None
        return health.is_beating(NODE, "hq", {"edge-2": agent})

    assert (answer(5.0), answer(UP)) == (None, False)


def test_an_agent_that_has_a_session_and_hears_nothing_is_no_witness() -> None:
    """Found in review: a broker whose access list withholds beats made every silent node dead."""
    deaf = build.agent("edge-2", listening_seconds=0.0, uptime_seconds=UP)
    assert deaf.report.broker_connected
    assert health.is_beating(NODE, "hq", {"edge-2": deaf}) is None


def test_a_break_and_its_end_decide_something() -> None:
    def decided(seconds: float) -> news.ReportFacts:
        return news.decided_by(build.agent("edge-2", listening_seconds=seconds).report)

    assert decided(1.0) != decided(90.0)
    assert decided(700.0) == decided(900.0)


MUTANTS: dict[str, Callable[[report.Report], float]] = {
    "since it started": lambda peer: peer.uptime_seconds,
    "while it is connected": lambda peer: UP if peer.broker_connected else 0.0,
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_peer_that_would_have_listened(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mutant is caught by the test of the rule that it breaks."""
    monkeypatch.setattr(health, "listened_for", MUTANTS[name])
    with pytest.raises(AssertionError):
        test_nobody_says_of_a_node_that_beats_that_it_has_stopped()
