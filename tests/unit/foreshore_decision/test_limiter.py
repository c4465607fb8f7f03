"""What a rate limit looks at, counted the slow way too."""

from hypothesis import given
from hypothesis import strategies as st

from foreshore_decision.chain import limiter
from foreshore_decision.instant import RESOLUTION, has_passed
from foreshore_decision.policy.compiled import RateLimit

TENTHS = st.integers(1, 400).map(lambda tenths: tenths / 10)
AROUND = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]).map(lambda n: n * RESOLUTION)
"""How far a moment is from the edge of what counts."""


@given(
    st.lists(AROUND, max_size=4),
    st.lists(st.floats(0, 40), max_size=20),
    TENTHS | st.floats(1, 50),
    st.integers(1, 20),
    TENTHS,
)
def test_commands_within_the_time_are_counted_as_each_alone_would_be(
    edges: list[float], moments: list[float], now: float, burst: int, per: float
) -> None:
    moments = [*moments, *(now - per + edge for edge in edges)]
    log = tuple(moment for moment in sorted(moments) if moment <= now)
    limit = RateLimit("actuator", 0.0, burst, per)
    recent = sum(not has_passed(moment, per, now) for moment in log)
    spent = limiter.spent(limit, log, now)
    assert spent.recent == min(recent, burst)
    assert (limiter.blocked(limit, spent, now) is not None) == (spent.recent == burst)
