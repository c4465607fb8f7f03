"""The container engine: images by key, and containers and networks with the harness' label.

Everything made here carries LABEL, so that it is found again after a crash and nothing else is
touched.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import cache, process

LABEL = "dev.foreshore.harness"  # on every container and network; its value is the cluster's name


def docker(
    *args: str | Path,
    timeout: float = 60,
    stdin: bytes | Path | None = None,
    cwd: Path | None = None,
) -> str:
    """Run the docker client; its output."""
    return process.run(
        ["docker", *args], timeout=timeout, stdin=stdin, env=builder(), cwd=cwd
    ).strip()


@functools.cache
def builder() -> Mapping[str, str]:
    """Docker's classic builder where the newer one is not installed."""
    return {} if process.succeeds(["docker", "buildx", "version"]) else {"DOCKER_BUILDKIT": "0"}


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """What the engine knows of a container, image or network of that name; None if it has none."""
    try:
        found: list[dict[str, Any]] = json.loads(docker(kind, "inspect", name))
    except process.CommandError:
        return None
    return found[0] if found else None


def image_key(name: str) -> str | None:
    """The key an image was built from; empty if it has none, None if there is no such image."""
    image = inspect("image", name)
    if image is None:
        return None
    labels = (image.get("Config") or {}).get("Labels") or {}
    return str(labels.get(cache.LABEL, ""))


def build(
    name: str,
    context: Path,
    *,
    key: str,
    dockerfile: Path | None = None,
    arguments: Mapping[str, str] | None = None,
    timeout: float = 1200,
) -> None:
    """Build an image from a context folder and label it with its key."""
    options: list[str | Path] = [f"--build-arg={k}={v}" for k, v in (arguments or {}).items()]
    if dockerfile is not None:
        options += ["--file", dockerfile]
    docker(
        "build", "--network=host", "--label", f"{cache.LABEL}={key}", "--tag", name, *options,
        context, timeout=timeout,
    )  # fmt: skip


def run(
    name: str,
    image: str,
    *command: str | Path,
    owner: str,
    options: Sequence[str | Path] = (),
) -> None:
    """Start a container in the background, in place of one of the same name."""
    remove(name)
    docker("run", "-d", "--name", name, "--label", f"{LABEL}={owner}", *options, image, *command)


def remove(name: str) -> None:
    """Remove a container with its volumes, whatever it does; nothing if there is none."""
    if inspect("container", name) is not None:
        docker("rm", "-f", "-v", name)


def pause(name: str) -> None:
    """Freeze all that a container runs.

    With cgroups of version 1 the runtime gives up when processes start while it freezes, thaws
    what it froze, and leaves it to its caller to ask again.
    """

    def is_frozen() -> bool:
        try:
            docker("pause", name)
        except process.CommandError as error:
            if "unable to freeze" not in error.output:
                raise
            process.say(f"{name} could not be frozen in one go: again")
            return False
        return True

    process.eventually(is_frozen, what=f"{name} is frozen", timeout=10)


def is_running(name: str) -> bool:
    """Whether a container of that name runs (a paused one does)."""
    container = inspect("container", name)
    return container is not None and bool(container["State"]["Running"])


def labelled(kind: str, owner: str) -> list[str]:
    """Names of the containers or networks that belong to a cluster of the harness."""
    listing = {"container": ["ps", "-a", "--format", "{{.Names}}"]}.get(
        kind, ["network", "ls", "--format", "{{.Name}}"]
    )
    return docker(*listing, "--filter", f"label={LABEL}={owner}").split()
