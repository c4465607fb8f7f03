"""The product's two images, built from this tree.

Packages are installed outside, by uv from uv.lock with their hashes checked, and copied in: a build
needs no package index, and an unchanged lock no download. An image carries the key of its inputs;
an unchanged tree builds nothing.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import cache, docker, nodeimage, process, settings, tools

REPOSITORY = tools.HERE.parents[2]
PYTHON = "3.11"  # of the base image


@dataclass(frozen=True)
class Image:
    """One of the product's images: its recipe and the distributions in it, the main one last."""

    name: str
    dockerfile: str
    distributions: Mapping[str, str]  # name → folder
    extras: tuple[str, ...] = ()


SHARED = {"foreshore-api": "crds", "foreshore-decision": "edge-agent/decision"}
CONTROL = Image(
    "foreshore-control:dev",
    "operator/Dockerfile",
    {**SHARED, "foreshore-operator": "operator/control"},
)
EDGE = Image(
    "foreshore-edge:dev",
    "edge-agent/Dockerfile",
    {**SHARED, "foreshore-agent": "edge-agent/agent"},
    extras=("serving",),
)


def build(chosen: settings.Settings) -> Mapping[str, str]:
    """Both images, built where their inputs changed; name → key."""
    return {image.name: ensure(image, chosen) for image in (CONTROL, EDGE)}


def ensure(image: Image, chosen: settings.Settings) -> str:
    """One image, built if the engine has none of this tree's key; the key."""
    with cache.lock(f"image-{image.name}"):
        base = nodeimage.base_image(chosen)
        requirements = export(image)
        wanted = cache.key(
            [
                base,
                nodeimage.base_id(base),
                requirements,
                REPOSITORY / image.dockerfile,
                *sources(image),
            ]
        )
        if docker.image_key(image.name) != wanted:
            with process.step(f"building the image {image.name}"):
                context = stage(image, requirements)
                docker.build(
                    image.name,
                    context,
                    key=wanted,
                    dockerfile=REPOSITORY / image.dockerfile,
                    arguments={"BASE": base},
                )
    return wanted


def sources(image: Image) -> list[Path]:
    """What of this tree goes into an image."""
    folders = [REPOSITORY / folder for folder in image.distributions.values()]
    return [path for folder in folders for path in (folder / "src", folder / "pyproject.toml")]


def export(image: Image) -> str:
    """The locked requirements of an image's main distribution, with hashes."""
    main = list(image.distributions)[-1]
    extras = [f"--extra={extra}" for extra in image.extras]
    return process.run(
        [
            tools.uv(), "export", "--quiet", "--locked", "--package", main, *extras,
            "--no-emit-workspace", "--no-dev", "--no-header", "--format", "requirements-txt",
        ],
        cwd=REPOSITORY,
    )  # fmt: skip


def stage(image: Image, requirements: str) -> Path:
    """The build context: `third/`, others' packages as locked, and `own/`, ours as wheels say."""
    context = cache.work(image.name.replace(":", "-"))
    third, own = context / "third", context / "own"
    lock = context / "requirements.txt"
    if not third.exists() or not lock.exists() or lock.read_text() != requirements:
        shutil.rmtree(third, ignore_errors=True)
        lock.write_text(requirements)
        install(third, "--require-hashes", "--requirement", lock)
        shutil.rmtree(third / "bin", ignore_errors=True)
    shutil.rmtree(own, ignore_errors=True)
    wheels = context / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    for name in image.distributions:
        process.run(
            [tools.uv(), "build", "--quiet", "--wheel", "--package", name, "--out-dir", wheels],
            cwd=REPOSITORY,
            timeout=300,
        )
    install(own, "--no-deps", "--no-index", *sorted(wheels.glob("*.whl")))
    (context / ".dockerignore").write_text("*\n!third\n!own\n")
    return context


def install(target: Path, *what: str | Path) -> None:
    """Install packages for the base image's Python into a folder."""
    process.run(
        [
            tools.uv(), "pip", "install", "--quiet", "--target", target, "--python-version", PYTHON,
            "--only-binary", ":all:", "--link-mode", "copy", *what,
        ],
        cwd=REPOSITORY,
        timeout=900,
    )  # fmt: skip


def tag(name: str, key: str) -> str:
    """A name for one content of an image, so that an upgrade rolls when the content changed."""
    precise = f"{name.partition(':')[0]}:{key}"
    docker.docker("tag", name, precise)
    for old in docker.docker("image", "ls", "--format", "{{.Tag}}", name.partition(":")[0]).split():
        if old not in {key, name.partition(":")[2]}:
            process.succeeds(["docker", "rmi", "--no-prune", f"{name.partition(':')[0]}:{old}"])
    return precise
