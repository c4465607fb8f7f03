"""What people change while it works, and what it comes to: for the tests and the failover bench."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
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


def set_arguments(world: worlds.World, chosen: Iterable[str]) -> None:
    """Start the operator with these, as a chart's upgrade would."""
    path = "/spec/template/spec/containers/0/args"
    patch = [{"op": "replace", "path": path, "value": list(chosen)}]
    world.cluster.kubectl("patch", *OPERATOR, "--type=json", "-p", json.dumps(patch))
    world.cluster.kubectl("rollout", "status", *OPERATOR, "--timeout=120s", timeout=130)


def set_serving_image(world: worlds.World, image: str) -> None:
    """The image that the operator gives to inference pods from now on."""
    kept = [one for one in arguments(world) if not one.startswith(ARGUMENT)]
    set_arguments(world, [*kept, ARGUMENT + image])


@contextlib.contextmanager
def options(world: worlds.World, *chosen: str) -> Iterator[None]:
    """The operator has these options too for as long as this lasts; the last of a name counts."""
    before = arguments(world)
    set_arguments(world, [*before, *chosen])
    try:
        yield
    finally:
        set_arguments(world, before)


def restart_agents(world: worlds.World) -> None:
    """As an upgrade of their chart would; returns when every agent is a new one."""
    agents = ("-n", install.AGENTS, "daemonset/foreshore-agent")
    world.cluster.kubectl("rollout", "restart", *agents)
    world.cluster.kubectl("rollout", "status", *agents, "--timeout=240s", timeout=250)


def successors(world: worlds.World) -> list[str]:
    """Why the pods that are to replace others do not serve yet."""
    found = [one.get("successor") for one in world.placement()["replicas"]]
    return [one.get("reason", "") for one in found if one is not None]


def stored_since(
    world: worlds.World, moment: datetime, *, device: str = worlds.DEVICE
) -> list[dict[str, Any]]:
    """Decisions on a device after a moment, once the hub has all of those that it obeyed."""
    made = {one.command.split("/")[0] for one in world.commands_since(moment, device)}
    records: list[dict[str, Any]] = []

    def have_arrived() -> bool:
        records[:] = world.decisions(f"device={device}")
        return made <= {record["metadata"]["name"] for record in records}

    world.until(have_arrived, "every record has arrived")
    return [record for record in records if worlds.time_of(record) > moment]


def errors(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Reason and message of each decision that was none for want of an answer."""
    verdicts = [one["decision"]["verdict"] for one in records]
    return [(one["reason"], one["message"]) for one in verdicts if one["result"] == "Error"]
