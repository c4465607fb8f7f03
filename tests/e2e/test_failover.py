"""Nodes die, hang and are cut off; decisions go on, and the device never obeys two masters."""

import itertools

from e2e import world as worlds

REFUSALS = 5
"""Commands that a woken holder may still try: a second's worth. It reads its right again on waking,
so none is expected; after the first refusal it has the device's own word."""


def test_decisions_go_on_when_the_node_that_infers_is_killed(world: worlds.World) -> None:
    world.hold_apart()
    infers = world.replicas()["Active"]
    holder = world.authority()
    moment = worlds.now()
    world.cluster.kill(infers)
    world.until_deciding(30)
    world.until_replaced(infers, 60)
    move = world.placement()["moves"][0]
    assert move["from"] == infers
    assert world.authority() == holder, "only inference was lost"
    gap = worlds.gap(world.taken(), moment)
    assert gap is not None
    assert gap.total_seconds() < 5


def test_another_agent_takes_over_when_the_holder_is_killed(world: worlds.World) -> None:
    before = world.authority()
    assert before is not None
    world.cluster.kill(before[0])
    world.until(lambda: (world.authority() or before)[1] > before[1], "the right moves", 90)
    after = world.authority()
    assert after is not None
    assert after[0] != before[0]
    world.until(
        lambda: [one for one in world.taken() if one.epoch == after[1]],
        "the device obeys its new holder",
        30,
    )
    assert_epochs_never_fall(world)
    assert world.arrived_twice() == set()


def test_a_holder_that_hangs_for_ten_seconds_keeps_its_right(world: worlds.World) -> None:
    before = world.authority()
    assert before is not None
    world.cluster.pause(before[0])
    worlds.wait(10)
    world.cluster.resume(before[0])
    world.until_deciding(60)
    assert world.authority() == before
    assert_epochs_never_fall(world)
    assert world.arrived_twice() == set()


def test_a_holder_that_hangs_past_the_bound_is_not_obeyed_again(world: worlds.World) -> None:
    before = world.authority()
    assert before is not None
    world.cluster.pause(before[0])
    world.until(lambda: (world.authority() or before)[1] > before[1], "the right moves", 90)
    world.until_deciding(60)
    after = world.authority()
    assert after is not None
    woken = worlds.now()
    world.cluster.resume(before[0])
    worlds.wait(10)
    late = [one for one in world.arrived() if one.time > woken and one.epoch < after[1]]
    assert [one for one in late if one.result != "Rejected"] == []
    assert len(late) <= REFUSALS, "it stands down by itself, not only because it is refused"
    assert_epochs_never_fall(world)
    assert world.arrived_twice() == set()


def test_a_site_that_is_cut_off_decides_on_and_nothing_is_moved(world: worlds.World) -> None:
    holder, placed = world.authority(), world.replicas()
    known = {one["metadata"]["name"] for one in world.decisions()}
    world.cluster.isolate(world.cluster.edge)
    try:
        world.cluster.wait_not_ready(*world.cluster.edge)
        moment = worlds.now()
        worlds.wait(30)
        assert len(world.commands_since(moment)) > 20
        assert world.authority() == holder
        assert {one["node"] for one in world.placement()["replicas"]} == set(placed.values())
        assert world.condition("sites", "hq", "Held") == ("True", "SiteSilent")
    finally:
        world.cluster.rejoin(world.cluster.edge)
    ended = worlds.now()
    world.cluster.wait_ready(*world.cluster.edge)

    def caught_up() -> bool:
        stored = {one["metadata"]["name"] for one in world.decisions()} - known
        made = {
            one.command.split("/")[0] for one in world.commands_since(moment) if one.time < ended
        }
        return made <= stored

    world.until(caught_up, "every record of the silence has arrived", 120)
    assert world.authority() == holder


def assert_epochs_never_fall(world: worlds.World) -> None:
    taken = [one.epoch for one in world.taken()]
    assert all(earlier <= later for earlier, later in itertools.pairwise(taken))
