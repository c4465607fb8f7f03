"""`foreshore-agent broker-acl`: who may say what on a site's broker, from the resources themselves.

    Sites, DeviceProfiles, Devices ──► grants (which topics are whose) ──► mosquitto (its file)

Topics stand in DeviceProfiles, so no list of access can be written without reading them. A list is
whole or it is not written: half of one shuts devices out or lets somebody in.
"""

from pathlib import Path
from typing import Annotated

import typer

from foreshore_agent import exits
from foreshore_agent.access import grants


def broker_acl(
    resources: Annotated[
        Path,
        typer.Option(
            envvar="FORESHORE_RESOURCES",
            help="Folder of YAML with the Sites, DeviceProfiles and Devices.",
        ),
    ],
    site: Annotated[
        str | None,
        typer.Option(envvar="FORESHORE_SITE", help="Only this Site.  [default: every Site]"),
    ] = None,
    agent_user: Annotated[
        str, typer.Option(help="Broker's name of a Site's agents; {site} is replaced as well.")
    ] = grants.AGENT_USER,
    device_user: Annotated[
        str, typer.Option(help="Broker's name of a device; {namespace} is replaced as well.")
    ] = grants.DEVICE_USER,
    output: Annotated[
        Path | None, typer.Option(help="File to replace.  [default: standard output]")
    ] = None,
) -> None:
    """Print the access list of a site's Mosquitto: who may publish and read which topics."""
    from foreshore_agent.access import mosquitto

    names = grants.NameTemplates(agent_user, device_user)
    try:
        text = mosquitto.render(grants.find(resources, names, site))
        if output is None:
            print(text, end="")  # noqa: T201 - the list is what was asked for
        else:
            _replace(output, text)
    except grants.AccessError as error:
        for line in error.lines:
            exits.say(line)
        raise typer.Exit(exits.Exit.USAGE) from error
    except OSError as error:
        exits.say(str(error))
        raise typer.Exit(exits.Exit.FAILED) from error


def _replace(path: Path, text: str) -> None:
    """Replace a file at once: a broker that reads it meanwhile sees the old list or the new one."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
