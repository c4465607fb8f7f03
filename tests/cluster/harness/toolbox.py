"""The image of everything that stands beside a cluster: broker, model files, shaper."""

import shutil
from pathlib import Path

from harness import cache, docker, nodeimage, process, settings, tools

IMAGE = "foreshore-toolbox:local"
RECIPE = tools.HERE / "toolbox"


def ensure(chosen: settings.Settings) -> str:
    """The name of the toolbox image, built now if the engine has none of this key."""
    with cache.lock("toolbox-image"):
        base = nodeimage.base_image(chosen)
        wanted = cache.key([RECIPE, nodeimage.base_id(base)])
        if docker.image_key(IMAGE) != wanted:
            context = cache.work("toolbox")
            shutil.rmtree(context)
            shutil.copytree(RECIPE, context)
            with process.step(f"building the image {IMAGE}"):
                fetch(context)
                docker.build(IMAGE, context, key=wanted, arguments={"BASE": base})
    return IMAGE


def fetch(context: Path) -> None:
    """Fetch the source archive that the image compiles, checked against its hash."""
    process.run(
        [
            tools.uv(), "run", "--no-project", "--with", "pip", "--",
            "python", "-m", "pip", "download", "--quiet", "--no-deps",
            "--no-binary", "netfilterqueue", "--require-hashes",
            "--requirement", RECIPE / "requirements.txt", "--dest", context,
        ],
        timeout=300,
    )  # fmt: skip
