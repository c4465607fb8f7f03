"""What is changed while it works: the working replica stays until its successor serves."""

from collections.abc import Iterator

import pytest

from e2e import changes, versions
from e2e import world as worlds

SETTLED = 20.0
"""Seconds that a change which cannot work is left to do harm."""


PATIENT = "400ms"
"""What a call may take here: whether a change costs a decision is asked, not whether a machine that
starts four pods at once ever stands still for the example's 100 ms."""


@pytest.fixture
def patient(world: worlds.World) -> Iterator[worlds.World]:
    """A world that waits longer for its replicas."""
    timeout = world.find("decisionpolicies", worlds.POLICY)["spec"]["inference"]["timeout"]
    world.edit_policy(inference={"timeout": PATIENT})
    world.until_deciding()
    yield world
    world.edit_policy(inference={"timeout": timeout})


@pytest.fixture
def released(patient: worlds.World) -> Iterator[worlds.World]:
    """A world that is back at the first version afterwards, and without what was declared."""
    world = patient
    yield world
    changes.switch(world, versions.FIRST)
    world.cluster.kubectl(
        "delete", "modelversions.foreshore.dev", "-n", worlds.NAMESPACE, versions.SECOND,
        "--ignore-not-found",
    )  # fmt: skip


def test_a_switch_of_the_version_costs_no_decision_and_every_record_names_what_answered(
    released: worlds.World,
) -> None:
    versions.declare(released, versions.SECOND)
    moment = worlds.now()
    changes.switch(released, versions.SECOND)
    worlds.wait(3)
    records = changes.stored_since(released, moment)
    assert changes.errors(records) == []
    asked = versions.answered(records)
    assert [one for one in asked if not versions.names_what_answered(one)] == []
    order = [one["decision"]["model"]["version"] for one in asked]
    assert order == sorted(order), "once the second version is in force, the first is not asked"
    assert set(order) == {versions.FIRST, versions.SECOND}


def test_a_version_whose_bytes_are_others_changes_nothing_and_says_so(
    released: worlds.World,
) -> None:
    versions.declare(released, versions.SECOND, said="sha256:" + "0" * 64)
    moment = worlds.now()
    released.edit_policy(modelRef={"version": versions.SECOND})
    released.until(
        lambda: "DigestMismatch" in changes.successors(released),
        "the placement says DigestMismatch",
        90,
    )
    worlds.wait(SETTLED)
    records = changes.stored_since(released, moment)
    assert len(records) > SETTLED * 3
    assert changes.errors(records) == []
    assert versions.served(released) == {versions.FIRST}
    assert all(versions.names_what_answered(one) for one in versions.answered(records))


def test_a_serving_image_that_cannot_be_pulled_changes_nothing_and_says_so(
    patient: worlds.World,
) -> None:
    world = patient
    wanted = changes.serving_image(world)
    moment = worlds.now()
    before = {one["endpoint"] for one in world.placement()["replicas"]}
    try:
        changes.set_serving_image(world, changes.NOWHERE)
        world.until(
            lambda: "ImagePull" in changes.successors(world), "the placement says ImagePull", 120
        )
        worlds.wait(SETTLED)
        assert {one["endpoint"] for one in world.placement()["replicas"]} == before
        records = changes.stored_since(world, moment)
        assert len(records) > SETTLED * 3
        assert changes.errors(records) == []
    finally:
        changes.set_serving_image(world, wanted)
        world.until(
            lambda: changes.successors(world) == [], "nothing is to replace what serves", 120
        )


def test_a_rolling_restart_of_the_agents_hands_the_device_over(world: worlds.World) -> None:
    moment = worlds.now()
    changes.restart_agents(world)
    world.until_deciding(60)
    gap = worlds.gap(world.taken(), moment)
    assert gap is not None
    assert gap.total_seconds() <= 3
    assert world.arrived_twice() == set()
