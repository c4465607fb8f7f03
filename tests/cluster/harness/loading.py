"""Images onto nodes, without a registry: each node is given only the layers it lacks.

A whole image takes half a minute a node on a small machine, and a changed line of ours changes one
small layer. So an image is written as an OCI layout whose manifest names every layer, while the
archive carries those that the node's content store has not.
"""

import concurrent.futures
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness import cache, docker, process

AT_ONCE = 2  # nodes that unpack at the same time: more only fight over the disk
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Blob:
    """A piece of an image: where it stands in the saved archive, what it is and its digest."""

    member: str
    media: str
    digest: str
    size: int

    def descriptor(self) -> dict[str, Any]:
        """The piece as a manifest names it."""
        return {"mediaType": self.media, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Saved:
    """An image as the engine saved it."""

    name: str
    archive: Path
    config: Blob
    layers: tuple[Blob, ...]

    def manifest(self) -> bytes:
        """The OCI manifest."""
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self.config.descriptor(),
                "layers": [layer.descriptor() for layer in self.layers],
            }
        ).encode()


def load(image: str, nodes: Iterable[str]) -> None:
    """Bring an image to each node that lacks this very one."""
    found = docker.inspect("image", image)
    if found is None:
        raise process.MissingRequirementError(
            f"the image {image}", "Build it: uv run python tests/cluster/harness images"
        )
    identity = str(found["Id"])
    lacking = [node for node in nodes if not has(node, image, identity)]
    if not lacking:
        return
    folder = cache.work("load")
    with process.step(f"loading {image} onto {len(lacking)} node(s)"), cache.lock("load"):
        archive = folder / "image.tar"
        docker.docker("save", "-o", archive, image, timeout=600)
        saved = read(image, archive)
        with concurrent.futures.ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            list(pool.map(lambda node: bring(node, saved, folder / f"{node}.tar"), lacking))
        archive.unlink()


def has(node: str, image: str, identity: str) -> bool:
    """Whether a node's containerd has an image of this name and configuration."""
    listed = docker.docker(
        "exec", node, "crictl", "images", "-o", "json", "--no-trunc", f"docker.io/library/{image}"
    )
    return identity.removeprefix("sha256:") in listed


def bring(node: str, saved: Saved, partial: Path) -> None:
    """Import into one node what it lacks of an image."""
    held = set(docker.docker("exec", node, "ctr", "-n", "k8s.io", "content", "ls", "-q").split())
    pack(saved, partial, without=held)
    try:
        docker.docker(
            "exec", "-i", node, "ctr", "-n", "k8s.io", "images", "import", "--all-platforms",
            "--snapshotter=overlayfs", "-", stdin=partial, timeout=600,
        )  # fmt: skip
    finally:
        partial.unlink()


def read(image: str, archive: Path) -> Saved:
    """Find an image's pieces in a saved archive, whichever engine wrote it."""
    with tarfile.open(archive) as tar:
        (entry,) = json.loads(content(tar, "manifest.json"))
        config = content(tar, entry["Config"])
        return Saved(
            image,
            archive,
            Blob(entry["Config"], CONFIG, digest_of(config), len(config)),
            tuple(layer(tar, member) for member in entry["Layers"]),
        )


def layer(tar: tarfile.TarFile, member: str) -> Blob:
    """One layer of a saved image; engines write them plain or compressed."""
    info = tar.getmember(member)
    while info.issym() or info.islnk():
        info = tar.getmember(str(Path(info.name).parent / info.linkname))
    stream = tar.extractfile(info)
    if stream is None:
        raise process.HarnessError(f"{member} is no file in the saved image")
    head = stream.read(2)
    stream.seek(0)
    digest = hashlib.file_digest(cast("io.BufferedReader", stream), "sha256").hexdigest()
    return Blob(
        info.name, f"{LAYER}+gzip" if head == GZIP else LAYER, f"sha256:{digest}", info.size
    )


def pack(saved: Saved, target: Path, *, without: set[str]) -> None:
    """Write an OCI layout of an image that leaves out the pieces already held."""
    manifest = saved.manifest()
    reference = {"io.containerd.image.name": f"docker.io/library/{saved.name}"}
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": MANIFEST,
                "digest": digest_of(manifest),
                "size": len(manifest),
                "annotations": reference,
            }
        ],
    }
    with tarfile.open(saved.archive) as source, tarfile.open(target, "w") as out:
        add(out, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        add(out, "index.json", json.dumps(index).encode())
        add(out, path_of(digest_of(manifest)), manifest)
        add(out, path_of(saved.config.digest), content(source, saved.config.member))
        for piece in {layer.digest: layer for layer in saved.layers}.values():
            if piece.digest not in without:
                info = tarfile.TarInfo(path_of(piece.digest))
                info.size = piece.size
                out.addfile(info, source.extractfile(piece.member))


def add(out: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file of these bytes to an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    out.addfile(info, io.BytesIO(data))


def content(tar: tarfile.TarFile, member: str) -> bytes:
    """The bytes of a small file in an archive."""
    stream = tar.extractfile(member)
    if stream is None:
        raise process.HarnessError(f"the saved image has no {member}")
    return stream.read(1 << 20)


def digest_of(data: bytes) -> str:
    """A digest as images name their pieces."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def path_of(digest: str) -> str:
    """Where a piece stands in an OCI layout."""
    return f"blobs/{digest.replace(':', '/')}"
