"""What a rate limit looks at, counted the slow way too."""

from hypothesis import given
from hypothesis import strategies as st

from foreshore_decision.chain import limiter
from foreshore_decision.instant import RESOLUTION, has_passed
from foreshore_decision.policy.compiled import RateLimit

TENTHS = st.integers(0, 400).map(lambda tenths: tenths / 10)
MOMENTS = st.lists(TENTHS | st.floats(0, 40) | TENTHS.map(lambda at: at + RESOLUTION), max_size=40)


@given(MOMENTS, TENTHS | st.floats(0, 50), st.integers(1, 50), TENTHS.filter(bool))
def test_commands_within_the_time_are_counted_as_each_alone_would_be(
    moments: list[float], now: float, burst: int, per: float
) -> None:
    log = tuple(moment for moment in sorted(moments) if moment <= now)
    limit = RateLimit("actuator", 0.0, burst, per)
    recent = sum(not has_passed(moment, per, now) for moment in log)
    spent = limiter.spent(limit, log, now)
    assert spent.recent == min(recent, burst)
    assert (limiter.blocked(limit, spent, now) is not None) == (spent.recent == burst)
