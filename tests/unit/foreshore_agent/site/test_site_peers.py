"""What one agent of a site says to the others, whatever it holds."""

import asyncio
from typing import Any

import pytest

from foreshore_agent import documents
from foreshore_agent.engine import effects
from foreshore_agent.site import peers
from foreshore_api.wire import beat, document

LONGEST = "n" * 63
LATEST = document.LARGEST


class Site:
    """The exchange, as far as peers use it."""

    def __init__(self) -> None:
        self.beats: list[beat.Beat] = []
        self.asked: list[beat.RenewalRequest] = []

    def announce(self, own: beat.Beat) -> bool:
        self.beats.append(own)
        return True

    def ask(self, request: beat.RenewalRequest) -> bool:
        self.asked.append(request)
        return True


def holding(count: int) -> tuple[beat.Held, ...]:
    return tuple(
        beat.Held(namespace=LONGEST, device=f"{number:063}", epoch=LATEST)
        for number in range(count)
    )


def beat_of(sequence: int) -> beat.Beat:
    return beat.Beat(node="n" * 253, boot_id="b" * 64, sequence=sequence, has_hub=True)


def agent(site: Any, held: tuple[beat.Held, ...], tasks: asyncio.TaskGroup) -> peers.Peers:
    member = peers.Member("n" * 253, "b" * 64, lambda _: None, beat_of, lambda: held)
    return peers.Peers(member, site, None, tasks)


async def sent(held: tuple[beat.Held, ...]) -> list[beat.Beat]:
    site = Site()
    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(agent(site, held, tasks).keep_beating())
        await asyncio.sleep(0)
        beating.cancel()
    return site.beats


async def test_more_devices_than_one_message_may_name_end_no_agent_and_are_all_named() -> None:
    held = holding(2500)
    beats = await sent(held)
    assert tuple(one for each in beats for one in each.held) == held
    assert [each.sequence for each in beats] == list(range(len(beats)))
    for each in beats:
        assert documents.read(each.encode(), beat.Beat) == each


async def test_who_holds_nothing_beats_too() -> None:
    (own,) = await sent(())
    assert own.held == ()


async def test_a_renewal_over_the_broker_fits_what_peers_read_and_so_do_its_answers() -> None:
    site = Site()
    held = holding(1000)
    async with asyncio.TaskGroup() as tasks:
        agent(site, held, tasks).renew(effects.RequestRenewal(7, held))
    assert tuple(one for asked in site.asked for one in asked.held) == held
    for asked in site.asked:
        answers = tuple(
            beat.RenewedDevice(
                namespace=one.namespace,
                device=one.device,
                epoch=one.epoch,
                standing=beat.RenewalStanding.SUPERSEDED,
            )
            for one in asked.held
        )
        renewal = beat.Renewal(node=asked.node, boot_id=asked.boot_id, number=7, devices=answers)
        assert asked.number == 7
        assert documents.read(asked.encode(), beat.RenewalRequest) == asked
        assert documents.read(renewal.encode(), beat.Renewal) == renewal


async def test_whoever_was_silent_longest_is_forgotten_when_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "MAXIMUM_PEERS", 2)
    async with asyncio.TaskGroup() as tasks:
        known = agent(Site(), (), tasks)
        for at, node in enumerate(("a", "b", "a", "c")):
            own = beat_of(0).model_copy(update={"node": node})
            known.remember(effects.RememberPeer(own, float(at)))
    assert [(each.node, each.age_seconds) for each in known.reports(10.0)] == [("a", 8), ("c", 7)]
