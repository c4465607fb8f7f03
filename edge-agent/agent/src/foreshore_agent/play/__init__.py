"""`foreshore-agent play`: be a device of a folder of resources, on real MQTT, from a recording.

    recording ──► telemetry        commands ──► machine ──► acknowledgements, settled values, log

`recording` and `machine` are pure; `stage` finds the device; `device` is it, `player` carries its
messages over MQTT; `show` runs it for a person. `rehearse` uses all but `show`, and the player only
with `--live`.
"""

from pathlib import Path
from typing import Annotated

import typer

from foreshore_agent import exits


def play(
    resources: Annotated[
        Path, typer.Option(envvar="FORESHORE_RESOURCES", help="Folder of YAML with the device.")
    ],
    device: Annotated[
        str, typer.Option(envvar="FORESHORE_DEVICE", help="Name of the Device to be.")
    ],
    csv: Annotated[
        Path, typer.Option(envvar="FORESHORE_CSV", help="The recording: `,` or `;`, with a header.")
    ],
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="COLUMN=PROPERTY", help="Which column is which property; repeatable."
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option(envvar="FORESHORE_RATE", min=0.001, help="Rows a second.")
    ] = 1.0,
    credentials: Annotated[
        Path | None,
        typer.Option(
            envvar="FORESHORE_CREDENTIALS",
            help="Folder of <name>/{ca.crt,tls.crt,tls.key,username,password}.",
        ),
    ] = None,
    credential: Annotated[
        str | None,
        typer.Option(
            envvar="FORESHORE_CREDENTIAL",
            help="The device's own credential.  [default: the Site's]",
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(envvar="FORESHORE_LOG", help="The device's own log, JSON Lines."),
    ] = None,
    loop: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--loop", envvar="FORESHORE_LOOP", help="Begin again at the end.")
    ] = False,
) -> None:
    """Be a device: publish a recording as telemetry, take commands, acknowledge them."""
    from foreshore_agent.play import show

    try:
        show.run(
            show.PlayRequest(
                resources=resources,
                device=device,
                csv=csv,
                mapped=tuple(mapped or ()),
                rate=rate,
                credentials=credentials,
                credential=credential,
                log=log,
                is_looped=loop,
            )
        )
    except show.USAGE_ERRORS as error:
        exits.fail(str(error), exits.Exit.USAGE)
    except (show.UnheardError, OSError) as error:
        exits.fail(str(error), exits.Exit.FAILED)
