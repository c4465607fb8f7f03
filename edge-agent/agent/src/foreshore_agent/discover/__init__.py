"""`foreshore-agent discover`: drafts of resources from what devices say on a broker.

    broker ──listen──► observations ──layouts──► drafts ──compose, lint──► DeviceProfiles, Devices

Whatever it guesses stands in a comment; nothing is ever published. `layouts` has a module for each
way of laying topics out, `compose` gives names and lets alike devices share a profile, `render`
writes it down.
"""

from pathlib import Path
from typing import Annotated

import typer

from foreshore_agent import exits


def discover(
    broker: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="The broker to listen to; [HOST]:PORT for IPv6."),
    ],
    credential_folder: Annotated[
        Path | None,
        typer.Option(
            "--credentials",
            "--credential-folder",
            envvar="FORESHORE_CREDENTIALS",
            help="Folder of credentials by name.",
        ),
    ] = None,
    credential: Annotated[
        str | None,
        typer.Option(help="Credential to show: ca.crt makes it TLS, username a user's name."),
    ] = None,
    username: Annotated[
        str | None, typer.Option(help="User name, in place of a credential.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File with the user's password.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="MQTT version: V5, or V311 for brokers that know no better.")
    ] = "V5",
    listen: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to listen; Ctrl-C ends it early.")
    ] = "30s",
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", metavar="FILTER", help="What to listen to; again.  [default: all]"
        ),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(help="Site of the Devices, which is there.  [default: one is drafted]"),
    ] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the resources.")] = "default",
    output: Annotated[
        str, typer.Option("--output", "-o", help="The drafts as yaml or json.")
    ] = "yaml",
    write: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a file a profile there; none is replaced."),
    ] = None,
) -> None:
    """Listen to a broker and draft DeviceProfiles and Devices from what is heard.

    Recognised are Zigbee2MQTT, Tasmota, Shelly, ESPHome, Z-Wave JS UI, LoRaWAN servers, gateways'
    arrays of tags, Home Assistant discovery, and any other JSON and bare values. Nothing is ever
    published. What was guessed stands in comments; `lint` takes the drafts as they are.
    """
    from foreshore_agent.discover import verb

    request = verb.DiscoverRequest(
        broker=broker,
        credential_folder=credential_folder,
        credential=credential,
        username=username,
        password_file=password_file,
        protocol=protocol,
        listen=listen,
        filters=tuple(filters or ()),
        site=site,
        namespace=namespace,
        output=output,
        write=write,
    )
    try:
        text = verb.discover(request, exits.say)
    except verb.USAGE_ERRORS as error:
        exits.fail(str(error), exits.Exit.USAGE)
    except verb.FAILURES as error:
        exits.fail(str(error), exits.Exit.FAILED)
    print(text, end="")  # noqa: T201 - the drafts are what was asked for
