"""What becomes of publications that wait for the broker's word."""

import asyncio

import pytest

from foreshore_agent.devices.mqtt import channel, denials, outstanding

REFUSED = 0x87
TAKEN = 0x00


def publication(
    answer: "asyncio.Future[None] | None" = None, refused: channel.Refused | None = None
) -> outstanding.Publication:
    return outstanding.Publication("hq/room/command", answer, refused)


async def test_a_refusal_is_told_in_a_later_turn_and_denied() -> None:
    told: list[str] = []
    denied = denials.Denials()
    waiting = outstanding.Outstanding(denied, told.append)
    waiting.add(1, publication(refused=told.append))
    waiting.settle(1, REFUSED)
    assert told == [], "whoever reads the socket is not called back from within"
    await asyncio.sleep(0)
    assert told == ["NotAuthorized"]
    assert denied.sentences() == ("does not let us publish on hq/room/command (Not authorized)",)
    waiting.add(2, publication(refused=told.append))
    waiting.settle(2, TAKEN)
    await asyncio.sleep(0)
    assert (told, denied.sentences()) == (["NotAuthorized"], ())


@pytest.mark.parametrize("code", [TAKEN, REFUSED], ids=["taken", "refused"])
async def test_who_waits_for_the_brokers_word_waits_no_longer(code: int) -> None:
    waiting = outstanding.Outstanding(denials.Denials(), lambda _: None)
    answer = asyncio.get_running_loop().create_future()
    waiting.add(1, publication(answer))
    waiting.settle(1, code)
    assert answer.done()
    assert waiting.is_empty


@pytest.mark.parametrize("code", [TAKEN, REFUSED], ids=["taken", "refused"])
async def test_only_what_stays_unanswered_is_overdue(code: int) -> None:
    overdue: list[str] = []
    waiting = outstanding.Outstanding(denials.Denials(), overdue.append)
    for number in (1, 2):
        waiting.add(number, publication())
        waiting.expect(number, 0.01)
    waiting.settle(1, code)
    await asyncio.sleep(0.05)
    assert overdue == ["a command was not acknowledged in time"]


@pytest.mark.looptime
@pytest.mark.parametrize("within", [(5.0, 1.0), (1.0, 5.0)], ids=["later first", "sooner first"])
@pytest.mark.parametrize("unanswered", [1, 2])
async def test_each_has_its_own_moment_whichever_was_sent_first(
    within: tuple[float, float], unanswered: int
) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    overdue: list[float] = []
    waiting = outstanding.Outstanding(
        denials.Denials(), lambda _: overdue.append(loop.time() - start)
    )
    for number in (1, 2):
        waiting.add(number, publication())
        waiting.expect(number, within[number - 1])
    waiting.settle(3 - unanswered, TAKEN)
    await asyncio.sleep(10)
    assert overdue == [pytest.approx(within[unanswered - 1])]


async def test_nothing_is_overdue_once_the_session_is_over() -> None:
    overdue: list[str] = []
    waiting = outstanding.Outstanding(denials.Denials(), overdue.append)
    waiting.add(1, publication())
    waiting.expect(1, 0.01)
    waiting.close()
    await asyncio.sleep(0.05)
    assert overdue == []


async def test_a_broker_may_ask_for_fewer_at_a_time() -> None:
    waiting = outstanding.Outstanding(denials.Denials(), lambda _: None)
    waiting.limit = 1
    assert not waiting.is_full
    waiting.add(1, publication())
    assert waiting.is_full
    waiting.settle(7, TAKEN)  # a packet that nobody sent
    assert waiting.is_full
