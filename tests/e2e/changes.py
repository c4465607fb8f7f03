"""What people change while it works, and what it comes to: for the tests and the failover bench."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from e2e import versions
from e2e import world as worlds
from harness import install

ARGUMENT = "--serving-image="
OPERATOR = ("-n", install.SYSTEM, "deployment/foreshore-operator")
NOWHERE = "foreshore-edge:nobody-has-this"
"""An image that no node can pull."""


def switch(world: worlds.World, version: str) -> None:
    """Ask for a version; returns when both replicas serve it."""
    world.edit_policy(modelRef={"version": version})
    world.until(
        lambda: versions.served(world) == {version} and len(world.replicas()) == 2,
        f"both replicas serve {version}",
        120,
    )


def serving_image(world: worlds.World) -> str:
    """The image that the operator gives to inference pods."""
    return next(one for one in arguments(world) if one.startswith(ARGUMENT)).removeprefix(ARGUMENT)


def arguments(world: worlds.World) -> list[str]:
    """What the operator is started with."""
    found = world.cluster.get("deployment", "foreshore-operator", "-n", install.SYSTEM)
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return [str(one) for one in container["args"]]


def set_serving_image(world: worlds.World, image: str) -> None:
    """As a chart's upgrade would."""
    place = next(at for at, one in enumerate(arguments(world)) if one.startswith(ARGUMENT))
    path = f"/spec/template/spec/containers/0/args/{place}"
    patch = [{"op": "replace", "path": path, "value": ARGUMENT + image}]
    world.cluster.kubectl("patch", *OPERATOR, "--type=json", "-p", json.dumps(patch))
    world.cluster.kubectl("rollout", "status", *OPERATOR, "--timeout=120s", timeout=130)


def restart_agents(world: worlds.World) -> None:
    """As an upgrade of their chart would; returns when every agent is a new one."""
    agents = ("-n", install.AGENTS, "daemonset/foreshore-agent")
    world.cluster.kubectl("rollout", "restart", *agents)
    world.cluster.kubectl("rollout", "status", *agents, "--timeout=240s", timeout=250)


def successors(world: worlds.World) -> list[str]:
    """Why the pods that are to replace others do not serve yet."""
    found = [one.get("successor") for one in world.placement()["replicas"]]
    return [one.get("reason", "") for one in found if one is not None]


def stored_since(world: worlds.World, moment: Any) -> list[dict[str, Any]]:
    """Decisions after a moment, once the hub has all of those that the device obeyed."""
    made = {one.command.split("/")[0] for one in world.commands_since(moment)}
    world.until(
        lambda: made <= {one["metadata"]["name"] for one in world.decisions()},
        "every record has arrived",
    )
    return [one for one in world.decisions() if worlds.time_of(one) > moment]


def errors(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Reason and message of each decision that was none for want of an answer."""
    verdicts = [one["decision"]["verdict"] for one in records]
    return [(one["reason"], one["message"]) for one in verdicts if one["result"] == "Error"]
