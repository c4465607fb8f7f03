"""What one agent of a site says to the others, whatever it holds."""

import asyncio
from typing import Any

from foreshore_agent.devices.mqtt import payload
from foreshore_agent.engine import effects
from foreshore_agent.runtime import peers
from foreshore_api.wire import beat, document

LONGEST = "n" * 63
LATEST = document.LARGEST


class Site:
    """The broker, as far as peers speak over it."""

    def __init__(self) -> None:
        self.lives: list[beat.Beat] = []
        self.asked: list[beat.RenewalRequest] = []

    def live(self, said: beat.Beat) -> bool:
        self.lives.append(said)
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
    voice = peers.Voice("n" * 253, "b" * 64, lambda _: None, beat_of, lambda: held)
    return peers.Peers(voice, site, None, tasks)


async def spoken(held: tuple[beat.Held, ...]) -> list[beat.Beat]:
    site = Site()
    async with asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(agent(site, held, tasks).speak())
        await asyncio.sleep(0)
        speaking.cancel()
    return site.lives


async def test_more_devices_than_one_message_may_name_end_no_agent_and_are_all_named() -> None:
    held = holding(2500)
    lives = await spoken(held)
    assert tuple(one for said in lives for one in said.held) == held
    assert [said.sequence for said in lives] == list(range(len(lives)))
    for said in lives:
        assert len(said.encode()) <= payload.MAXIMUM_BYTES
        assert beat.Beat.decode(said.encode()) == said


async def test_who_holds_nothing_beats_too() -> None:
    (said,) = await spoken(())
    assert said.held == ()


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
                standing=beat.Standing.SUPERSEDED,
            )
            for one in asked.held
        )
        renewal = beat.Renewal(node=asked.node, boot_id=asked.boot_id, number=7, devices=answers)
        assert asked.number == 7
        assert len(asked.encode()) <= payload.MAXIMUM_BYTES
        assert len(renewal.encode()) <= payload.MAXIMUM_BYTES
