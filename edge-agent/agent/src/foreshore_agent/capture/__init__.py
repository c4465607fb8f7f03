"""`foreshore-agent capture`: a live device as a recording, which `rehearse` and `play` read.

    device ──broker──► connection of an agent ──engine──► rows ──► room.csv ──► rehearse, play

What is written is what a policy would have been given: read as an agent reads it, in the profile's
names and units. Nothing is ever published. `columns` and `intake` are pure, `file` keeps the file,
`listen` runs it, `verb` says how it goes.
"""

from pathlib import Path
from typing import Annotated

import typer

from foreshore_agent import exits, options


def capture(
    resources: Annotated[
        Path,
        typer.Option(
            envvar="FORESHORE_RESOURCES",
            help="Folder of YAML with the Device, such as `discover --write` makes.",
        ),
    ],
    device: Annotated[
        list[str],
        typer.Option(
            envvar="FORESHORE_DEVICE",
            help="Name of the Device; again for others that its policies read, which become"
            " columns DEVICE.PROPERTY.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The recording, CSV; one that is there already is gone on with. -: standard"
            " output.",
        ),
    ],
    duration: Annotated[
        str,
        typer.Option("--for", metavar="DURATION", help="How long; Ctrl-C ends it early."),
    ] = "24h",
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="End when the file has so many rows."),
    ] = None,
    maximum_size: Annotated[
        str, typer.Option(metavar="QUANTITY", help="Bytes that the file may have, at most 1Ti.")
    ] = "1Gi",
    device_times: Annotated[  # noqa: FBT002 - an option of the command line
        bool,
        typer.Option(
            "--device-times",
            help="Date rows by the device's own times, where it says them; the agent, and so a"
            " rehearsal, counts ages from receipt.",
        ),
    ] = False,
    credentials: options.CredentialFolder = None,
) -> None:
    """Record a live device, so that a policy can be rehearsed on today's data.

    One line a sample, in the names and units of the DeviceProfile: the time of receipt in UTC, what
    the sample said, and nothing where it said nothing; `!NonFinite` and the like where the agent
    refuses a value. It listens as an agent does and never publishes. A row is in the file within a
    second; a power cut may cost the last ten. CSV alone, no Parquet.
    """
    from foreshore_agent.capture import verb

    request = verb.CaptureRequest(
        resources=resources,
        devices=tuple(device),
        output=output,
        duration=duration,
        rows=rows,
        maximum_size=maximum_size,
        has_device_times=device_times,
        credentials=credentials,
    )
    try:
        verb.capture(request, exits.say)
    except verb.USAGE_ERRORS as error:
        exits.fail(str(error), exits.Exit.USAGE)
    except verb.FAILURES as error:
        exits.fail(str(error), exits.Exit.FAILED)
