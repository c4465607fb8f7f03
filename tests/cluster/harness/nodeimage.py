"""The image kind's nodes run from: a stock one if that is set, else one built here.

The one built here needs no image registry: Debian's base bootstrapped by debootstrap, systemd,
containerd, the Kubernetes programs from pinned Go modules, and the control plane's images in
containerd's own store. What it is built from makes its key; the same key is never built twice.
"""

import functools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from harness import cache, debian, docker, engine, process, settings, tools

NODE = f"foreshore-node:v{tools.KUBERNETES}"
BARE = "foreshore-node:bare"
BASE = "foreshore-base:bookworm"
BASE_PACKAGES = ("ca-certificates", "python3", "iproute2")
SHED = (
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/lib/apt/lists/*",
    "usr/share/doc/*",
    "usr/share/locale/*",
    "usr/share/man/*",
)
PAUSE = "registry.k8s.io/pause:3.10.2"
ETCD = "registry.k8s.io/etcd:3.6.8-0"
COREDNS = "registry.k8s.io/coredns/coredns:v1.14.2"
PROXY = f"registry.k8s.io/kube-proxy:v{tools.KUBERNETES}"
STATIC: Mapping[str, str] = {
    **{
        name: f"registry.k8s.io/{name}:v{tools.KUBERNETES}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    },
    "etcd": ETCD,
    "coredns": COREDNS,
}
RECIPES = {"kube-proxy": "Dockerfile.proxy", "coredns": "Dockerfile.coredns"}
INSIDE = ("kubelet", "kubeadm", "kubectl", "crictl", "runc-trim")


def ensure(chosen: settings.Settings) -> str:
    """The name of the node image, built now if the engine has none of this key."""
    if chosen.node_image:
        return chosen.node_image
    with cache.lock("node-image"):
        base = base_image(chosen)
        wanted = key(base)
        if docker.image_key(NODE) != wanted:
            with process.step(f"building the node image {NODE}"):
                images(base)
                bare(base)
                preload(wanted)
    return NODE


def key(base: str) -> str:
    """The key of everything the node image is made of."""
    programs = [*STATIC, "kube-proxy", *INSIDE, "pause"]
    folders = [tools.HERE / "node", tools.HERE / "images"]
    return cache.key([base_id(base), *(tools.key(name) for name in programs), *folders])


@functools.cache
def base_id(base: str) -> str:
    """The base image's identity, whatever its name."""
    image = docker.inspect("image", base)
    return str(image["Id"]) if image else base


def base_image(chosen: settings.Settings) -> str:
    """What images are built on: the one that is set, else a bootstrapped Debian."""
    if chosen.base_image:
        if docker.inspect("image", chosen.base_image) is None:
            with process.step(f"pulling {chosen.base_image}"):
                docker.docker("pull", chosen.base_image, timeout=900)
        return chosen.base_image
    with cache.lock("base-image"):
        wanted = cache.key([",".join(BASE_PACKAGES), *SHED])
        if docker.image_key(BASE) != wanted:
            bootstrap(wanted)
    return BASE


def bootstrap(wanted: str) -> None:
    """Make the Debian base image from the distribution's packages."""
    if os.geteuid() != 0:
        raise process.MissingRequirementError(
            f"the image {BASE}",
            "Run this as root (debootstrap needs it), or name a base image that your registry has: "
            "FORESHORE_BASE_IMAGE=debian:bookworm-slim",
        )
    rootfs = cache.work("base") / "rootfs"
    shutil.rmtree(rootfs, ignore_errors=True)
    with process.step(f"bootstrapping {BASE}"):
        debian.bootstrap(rootfs, BASE_PACKAGES)
        shed(rootfs)
        archive = rootfs.with_suffix(".tar")
        process.run(["tar", "-C", rootfs, "-cf", archive, "."], timeout=300)
        label = f'LABEL {cache.LABEL}="{wanted}"'
        docker.docker("import", "--change", label, archive, BASE, timeout=300)
        archive.unlink()
    shutil.rmtree(rootfs, ignore_errors=True)


def shed(rootfs: Path) -> None:
    """Take out of a bootstrapped system what no container reads: half of its size."""
    for pattern in SHED:
        for path in rootfs.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def images(base: str) -> None:
    """Build the control plane's images, each around one program."""
    engine.grants_privilege()  # makes the pause image
    docker.docker("tag", engine.PAUSE, PAUSE)
    recipes = tools.HERE / "images"
    for program, name in {**STATIC, "kube-proxy": PROXY}.items():
        recipe = RECIPES.get(program, "Dockerfile.static")
        wanted = cache.key([tools.key(program), recipes, base_id(base)])
        if docker.image_key(name) == wanted:
            continue
        context = cache.work(f"image-{program}")
        shutil.copytree(recipes, context, dirs_exist_ok=True)
        link(tools.binary(program), context / program)
        docker.build(
            name,
            context,
            key=wanted,
            dockerfile=context / recipe,
            arguments={"BIN": program, "BASE": base},
        )


def bare(base: str) -> None:
    """Build the node image without the control plane's images in it."""
    context = cache.work("node")
    shutil.rmtree(context)
    shutil.copytree(tools.HERE / "node", context)
    (context / "bin").mkdir()
    for name in INSIDE:
        link(tools.binary(name), context / "bin" / name)
    docker.build(
        BARE, context, key="", arguments={"BASE": base, "KUBERNETES": f"v{tools.KUBERNETES}"}
    )


def preload(wanted: str) -> None:
    """Put the images into the bare image's own containerd and commit that as the node image."""
    builder = "foreshore-node-build"
    archive = cache.work("node") / "images.tar"
    docker.docker("save", "-o", archive, *STATIC.values(), PROXY, PAUSE, timeout=300)
    docker.run(
        builder, BARE, "3600",
        owner="",
        options=["--privileged", "--entrypoint", "sleep", "-v", f"{archive}:/images.tar:ro"],
    )  # fmt: skip
    try:
        inside = ("exec", "--privileged", builder)
        docker.docker("exec", "-d", "--privileged", builder, "containerd", "--log-level", "error")
        process.eventually(
            lambda: process.succeeds(["docker", *inside, "ctr", "version"]),
            what="containerd answers in the node image",
            timeout=30,
        )
        # not unpacked: a snapshot inside an image layer would be an overlay on an overlay
        docker.docker(
            *inside, "ctr", "-n", "k8s.io", "images", "import", "--all-platforms", "--no-unpack",
            "/images.tar", timeout=300,
        )  # fmt: skip
        docker.docker(*inside, "pkill", "-x", "containerd")
        process.eventually(
            lambda: not process.succeeds(["docker", *inside, "pgrep", "-x", "containerd"]),
            what="containerd ended",
            timeout=30,
        )
        docker.docker(*inside, "rm", "-rf", "/run/containerd")
        docker.docker(
            "commit", "--change", 'ENTRYPOINT ["/usr/local/bin/entrypoint"]', "--change", "CMD []",
            "--change", f'LABEL {cache.LABEL}="{wanted}"', builder, NODE, timeout=300,
        )  # fmt: skip
    finally:
        docker.remove(builder)
        archive.unlink()


def link(source: Path, target: Path) -> None:
    """A hard link where the cache allows it, else a copy."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
