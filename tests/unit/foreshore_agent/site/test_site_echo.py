"""For how long an agent has heard its site: by its own beats, and never for longer than it has."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.site import echo

GAPS = st.lists(
    st.tuples(st.floats(0.0, 10.0) | st.sampled_from([1.0, echo.BREAK_SECONDS]), st.booleans()),
    max_size=20,
)
"""Seconds until the next beat comes back, and whether another session begins just before it."""


def played(gaps: Sequence[tuple[float, bool]]) -> tuple[echo.Echo, list[float]]:
    """An agent's echo, and when its beats came back since the last break."""
    heard, times = echo.Echo(), [0.0]
    heard.returned(0.0)
    for gap, is_anew in gaps:
        at = times[-1] + gap
        if is_anew:
            heard.restart()
        heard.returned(at)
        times = [at] if is_anew or at - times[-1] > echo.BREAK_SECONDS else [*times, at]
    return heard, times


@given(GAPS, st.floats(0.0, 10.0))
def test_it_has_listened_since_the_first_beat_after_the_last_break(
    gaps: list[tuple[float, bool]], since: float
) -> None:
    heard, times = played(gaps)
    now = times[-1] + since
    is_broken = now - times[-1] > echo.BREAK_SECONDS
    assert heard.heard_for(now) == pytest.approx(0.0 if is_broken else now - times[0])
    assert all(b - a <= echo.BREAK_SECONDS for a, b in itertools.pairwise(times))


def test_a_process_that_was_stopped_has_heard_nothing_meanwhile() -> None:
    """Its session is still there, and what peers said waits to be read."""
    heard, times = played([(1.0, False)] * 60)
    assert heard.heard_for(times[-1] + 1.0) == 61.0
    assert heard.heard_for(times[-1] + 30.0) == 0.0
    heard.returned(times[-1] + 30.0)
    assert heard.heard_for(times[-1] + 32.0) == 2.0


def test_before_anything_came_back_it_has_heard_nothing() -> None:
    heard = echo.Echo()
    heard.left("foreshore/v1/hq/beat/edge-1", 1.0)
    assert heard.heard_for(2.0) == 0.0
