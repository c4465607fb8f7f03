"""The control plane comes and goes; the site does not notice, and no record is lost or doubled."""

from e2e import world as worlds
from harness import install


def test_decisions_go_on_while_the_hub_is_gone_and_every_record_arrives_once(
    world: worlds.World,
) -> None:
    scale = ("-n", install.SYSTEM, "scale", "deployment/foreshore-hub")
    world.cluster.kubectl(*scale, "--replicas=0")
    moment = worlds.now()
    worlds.wait(130)
    made = {one.command.split("/")[0] for one in world.commands_since(moment)}
    assert len(made) > 400, "five a second, without a break that matters"
    world.cluster.kubectl(*scale, "--replicas=1")
    names: list[str] = []

    def arrived() -> bool:
        names[:] = [one["metadata"]["name"] for one in world.decisions()]
        return made <= set(names)

    world.until(arrived, "every record of the time without a hub is there", 120)
    assert len(names) == len(set(names))


def test_a_restarted_api_server_interrupts_no_decision(world: worlds.World) -> None:
    moment = worlds.now()
    world.cluster.restart_api()
    worlds.wait(5)
    gap = worlds.gap(world.taken(), moment)
    assert gap is not None
    assert gap.total_seconds() < 3


def test_a_restarted_broker_interrupts_and_nothing_stale_is_obeyed(world: worlds.World) -> None:
    world.installed.broker.kill()
    killed = worlds.now()
    worlds.wait(5)
    restarted = worlds.now()
    world.installed.broker.start()
    world.until_deciding(60)
    arrived = [one for one in world.arrived() if one.time > restarted]
    assert [one for one in arrived if one.issued < killed] == [], "nothing waits in an outbox"
    assert [one for one in world.taken() if one.time > one.not_after] == []
    assert world.arrived_twice() == set()


def test_a_policy_that_does_not_compile_stalls_and_the_last_good_one_decides_on(
    world: worlds.World,
) -> None:
    rules = world.find("decisionpolicies", worlds.POLICY)["spec"]["rules"]
    try:
        world.edit_policy(rules=[{**rules[0], "expression": "score >= nowhere"}])
        world.until(
            lambda: (
                (world.condition("decisionpolicies", worlds.POLICY, "Stalled") or ("", ""))[0]
                == "True"
            ),
            "the policy is Stalled",
        )
        world.until_deciding(30)
        world.cluster.kubectl("-n", install.AGENTS, "delete", "pod", "--all", "--wait=true")
        world.until_deciding(90)
    finally:
        world.edit_policy(rules=rules)


def test_no_object_that_a_person_wrote_was_changed(world: worlds.World) -> None:
    difference = world.cluster.kubectl(
        "diff", "--server-side", "-f", world.resources / "example.yaml"
    )
    assert difference.strip() == ""
