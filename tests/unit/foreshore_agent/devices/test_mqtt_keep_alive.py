"""When a session asks for a sign of life, and when it gives up."""

from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.devices.mqtt import keep_alive

SECONDS = 5.0


def asked(at: float) -> keep_alive.KeepAlive:
    life = keep_alive.KeepAlive(SECONDS, now=0.0)
    life.ask(at)
    return life


def test_a_busy_session_is_not_asked() -> None:
    life = keep_alive.KeepAlive(SECONDS, now=0.0)
    life.hear(10.0)
    life.speak(10.0)
    assert not life.is_due(12.0)


def test_who_only_listens_must_say_something_or_the_broker_ends_it() -> None:
    life = keep_alive.KeepAlive(SECONDS, now=0.0)
    life.hear(10.0)
    assert life.is_due(10.0)


def test_who_only_speaks_wants_to_know_whether_anybody_is_there() -> None:
    life = keep_alive.KeepAlive(SECONDS, now=0.0)
    life.speak(10.0)
    assert life.is_due(10.0)


def test_a_question_that_is_not_answered_in_time_ends_the_session() -> None:
    life = asked(at=10.0)
    assert not life.is_over(14.9)
    assert life.is_over(15.0)


def test_anything_that_comes_answers_it() -> None:
    life = asked(at=10.0)
    life.hear(14.0)
    assert not life.is_over(100.0)


def test_silence_means_nothing_while_nothing_is_read() -> None:
    life = asked(at=10.0)
    life.look_away(14.0)
    assert not life.is_over(18.0)
    assert life.is_over(19.0)


@given(
    seconds=st.floats(keep_alive.LOOK_SECONDS * 1.5, 60),
    quiet=st.floats(0, 1000),
)
def test_looked_at_every_second_something_is_said_before_the_broker_gives_up(
    seconds: float, quiet: float
) -> None:
    life = keep_alive.KeepAlive(seconds, now=0.0)
    now = quiet
    life.hear(now)
    life.speak(now)
    while not life.is_due(now):
        now += keep_alive.LOOK_SECONDS
    assert now - quiet <= 1.5 * seconds, "MQTT lets a client be silent for one and a half times"
