"""The harness' command line: `uv run python tests/cluster/harness --help`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness import (
    charts,
    cluster,
    debian,
    engine,
    fresh,
    images,
    install,
    kind,
    nodeimage,
    process,
    programs,
    services,
    settings,
    toolbox,
    tools,
)

NAME = "foreshore"
QUICK = "Unit and contract tests, and of component tests those that start every fixture, only."

app = typer.Typer(
    help="Real Kubernetes on this machine: build what it needs, bring it up, take it down.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Option("--name", help="The cluster's name.")]


@app.command("tools")
def bring(
    targets: Annotated[list[programs.Target], typer.Argument(help="Make targets, by name.")],
) -> None:
    """Bring the programs that targets need: from Debian, or built from their pins."""
    for target in targets:
        for program in programs.wanted(target):
            match program.source:
                case programs.Debian() | programs.SharedLibrary():
                    debian.bring(program)
                case programs.Pinned():
                    tools.binary(program.name)
                case programs.Base() | programs.Workspace() | programs.Brought():
                    pass


@app.command("charts")
def check_charts() -> None:
    """Lint and render the charts, and look for what no chart of ours may contain."""
    found = charts.check()
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    if found:
        raise typer.Exit(1)


@app.command("fresh-check")
def fresh_check(
    *,
    quick: Annotated[bool, typer.Option(help=QUICK)] = False,
) -> None:
    """Run README.md's two commands on a bare Debian made for that and removed afterwards.

    It sees nothing of this machine but Go, read-only; one cache, read-only: the modules that Go
    downloaded before (they are checked against go.sum); and how to reach the registries. `make
    demo` goes as far as its container engine and must say that none starts. As root, on Debian.
    """
    fresh.check(fresh.QUICK if quick else fresh.FULL)


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
    print(f"the broker lets in whom your resources name: harness grant FOLDER --name {name}")
    print(f"model files: put them into {product.models.files}, served at {product.models.url('')}")


@app.command()
def grant(
    resources: Annotated[Path, typer.Argument(help="Folder of YAML, the Site and its devices.")],
    name: Name = NAME,
) -> None:
    """Let the agents and devices of a folder of resources do what is theirs at the broker."""
    found = cluster.attach(name)
    services.Broker(found.name, found.network, found.folder / "broker").grant(resources)


@app.command()
def down(name: Name = NAME) -> None:
    """Take a cluster down, with its network and everything beside it."""
    kind.delete(name)


def main() -> None:
    """Run a command; what the machine lacks is one line, not a trace."""
    try:
        app()
    except process.HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
