"""The harness' command line: `uv run python tests/cluster/harness --help`."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness import (
    charts,
    cluster,
    engine,
    images,
    install,
    kind,
    nodeimage,
    process,
    settings,
    toolbox,
    tools,
)

NAME = "foreshore"

app = typer.Typer(
    help="Real Kubernetes on this machine: build what it needs, bring it up, take it down.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Option("--name", help="The cluster's name.")]


DEBIAN = {"mosquitto": "mosquitto", "libmosquitto": "libmosquitto-dev", "cc": "gcc"}
"""What Debian brings, by what it is asked for here."""


@app.command()
def binaries() -> None:
    """Build kube-apiserver, etcd, kubectl: what tests without nodes need."""
    for program in ("kube-apiserver", "etcd", "kubectl"):
        print(tools.binary(program))


@app.command("tools")
def needed(names: Annotated[list[str], typer.Argument(help="Programs, by name.")]) -> None:
    """Bring programs: built from their pins, or from Debian where Debian has them."""
    for name in names:
        if name not in DEBIAN:
            tools.binary(name)
        elif not is_there(name):
            engine.install((DEBIAN[name],))


@app.command("charts")
def check_charts() -> None:
    """Lint and render the charts, and look for what no chart of ours may contain."""
    found = charts.check()
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    if found:
        raise typer.Exit(1)


@app.command("node-image")
def node_image() -> None:
    """Build everything a cluster needs: programs, node image, toolbox image."""
    chosen = settings.read()
    engine.ensure()
    print(nodeimage.ensure(chosen))
    print(toolbox.ensure(chosen))
    for program in ("kind", "helm", "kubectl"):
        tools.binary(program)


@app.command("images")
def product_images() -> None:
    """Build the product's images from this tree; nothing if it did not change."""
    engine.ensure()
    for image, key in images.build(settings.read()).items():
        print(image, key)


@app.command()
def up(name: Name = NAME) -> None:
    """Bring a cluster up (three edge nodes, one cloud node), or find it up."""
    found = cluster.create(name, settings.read())
    for node in found.nodes:
        print(f"{node.name:32} {node.address:16} {node.tier or 'control plane':14} {node.site}")
    print(f"\nexport KUBECONFIG={found.kubeconfig}")


@app.command("install")
def install_product(name: Name = NAME) -> None:
    """Build the product, load it onto a cluster that is up, and install it with Helm."""
    chosen = settings.read()
    product = install.install(cluster.attach(name), chosen)
    print(f"hub {product.hub}, broker {product.broker.address}:{product.broker.port}")
    print(f"model files: put them into {product.models.files}, served at {product.models.url('')}")


@app.command()
def down(name: Name = NAME) -> None:
    """Take a cluster down, with its network and everything beside it."""
    kind.delete(name)


def is_there(name: str) -> bool:
    """Whether the machine has what Debian would bring, from Debian or from elsewhere."""
    if name == "libmosquitto":
        return Path("/usr/include/mosquitto.h").exists()
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None


def main() -> None:
    """Run a command; what the machine lacks is one line, not a trace."""
    try:
        app()
    except process.HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
