"""`foreshore-agent rehearse`: a policy on a recording, before it goes live; nothing is touched.

    recording ──rows, at their own time──► engine ──► journal, report
                     ▲                       │
                     └── device ◄─ commands ─┘

The engine and its host are those of `run`, the device that of `play`. `plan` reads and checks
everything first; `run` begins and ends it; `driver` plays the rows on a clock that stands while one
is decided, through the carriers of `ports`; `live` plays them over a broker instead; `score` counts
and `view` shows. The Site's broker is never contacted.

A cell that live telemetry would refuse is refused as there, and the row is decided without it; an
empty one says nothing, and the last value keeps ageing.
"""

from pathlib import Path
from typing import Annotated

import typer

from foreshore_agent import exits, options


def rehearse(
    resources: Annotated[
        Path, typer.Option(envvar="FORESHORE_RESOURCES", help="Folder of YAML with the policy.")
    ],
    state: Annotated[
        Path,
        typer.Option(
            envvar="FORESHORE_STATE",
            help="Where records go; what an earlier rehearsal left there is replaced.",
        ),
    ],
    device: Annotated[
        str, typer.Option(envvar="FORESHORE_DEVICE", help="Name of the Device to rehearse with.")
    ],
    csv: Annotated[Path, options.RECORDING],
    time_column: Annotated[
        str | None,
        typer.Option(
            envvar="FORESHORE_TIME_COLUMN",
            help="Column with the time of a row, or DATE+TIME for two.  [default: one named like"
            " it]",
        ),
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option(
            envvar="FORESHORE_TIME_FORMAT",
            metavar="FORMAT",
            help="How times are written: iso, day-first, month-first, unix, unix-ms, unix-us,"
            " unix-ns, excel, or a pattern such as '%d.%m.%Y %H:%M'.  [default: recognised]",
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            envvar="FORESHORE_TIME_ZONE",
            metavar="ZONE",
            help="Zone of times that name none, such as Europe/Brussels or +01:00."
            "  [default: the Site's]",
        ),
    ] = None,
    row_names: options.HasRowNames = False,  # noqa: FBT002 - an option of the command line
    mapped: options.MappedColumns = None,
    truth: Annotated[
        str | None,
        typer.Option(
            envvar="FORESHORE_TRUTH",
            metavar="COLUMN[=VALUE]",
            help="Column that says when acting was right (by default where it is 1 or true).",
        ),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(
            envvar="FORESHORE_SPEED",
            min=0.0,
            help="How many times as fast as the recording; 0: as fast as rows are decided."
            " Without --live it changes no result.",
        ),
    ] = 0.0,
    live: Annotated[  # noqa: FBT002 - an option of the command line
        bool,
        typer.Option(
            "--live",
            envvar="FORESHORE_LIVE",
            help="Over a Mosquitto of its own, in real time: shows what the machine takes, and"
            " differs from run to run.",
        ),
    ] = False,
    latencies: Annotated[  # noqa: FBT002 - an option of the command line
        bool,
        typer.Option(
            "--latencies",
            envvar="FORESHORE_LATENCIES",
            help="Show what the machine took too; without, two runs print the same.",
        ),
    ] = False,
    models: options.ModelFolder = None,
    credentials: Annotated[
        Path | None,
        typer.Option(envvar="FORESHORE_CREDENTIALS", help="For models that are fetched by https."),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The summary as text or json.")
    ] = "text",
) -> None:
    """Try a policy on recorded data: decide every row, count, and compare with the truth.

    Every row is decided at its own time, however long that takes: two runs give the same result.
    """
    from foreshore_agent.rehearse import plan, run

    request = plan.RehearsalRequest(
        resources=resources,
        state=state,
        device=device,
        csv=csv,
        time_column=time_column,
        time_format=time_format,
        time_zone=time_zone,
        has_row_names=row_names,
        mapped=tuple(mapped or ()),
        truth=truth,
        speed=speed,
        models=models,
        credentials=credentials,
        is_json=output == "json",
        is_live=live,
        has_latencies=latencies,
    )
    try:
        if output not in ("text", "json"):
            raise plan.RehearsalError(f"--output is text or json, not {output}")
        run.rehearse(request)
    except run.USAGE_ERRORS as error:
        exits.fail(str(error), exits.Exit.USAGE)
    except run.FAILURES as error:
        exits.fail(str(error), exits.Exit.FAILED)
