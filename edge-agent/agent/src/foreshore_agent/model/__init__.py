"""`foreshore-agent model`: what a model file is, what works, and the resources that declare it.

    file ──limited child──► examine ──► suitability ──► view, document
                                            └──► draft: Model, ModelVersion
    recording ──► recorded ──► examine (asked with its rows)

Nothing of the file is parsed in this process: `foreshore_serving.inspector` does it within the
limits of a child that serves.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from foreshore_agent import exits

application = typer.Typer(
    no_args_is_help=True, help="Look into model files before they are declared.", epilog=exits.TABLE
)


@application.callback()
def model() -> None:
    """Look into model files before they are declared."""


@application.command(epilog=exits.TABLE)
def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.onnx…", help="Models to look into.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="What is said, as text, json or yaml.")
    ] = "text",
    write: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Write Model and ModelVersion there; -: print them."),
    ] = None,
    force: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--force", help="With --write: replace what is there.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="Name of the Model.  [default: the file's]")
    ] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the resources.")] = "default",
    source: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="https address of the bytes.  [default: the file in the folder]"
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="a,b,c", help="Features in the order of training.  [default: guessed]"
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="STEPS/EVERY", help="Samples of a window, and their distance: 30/1s."),
    ] = None,
    try_csv: Annotated[
        Path | None,
        typer.Option("--try", metavar="CSV", help="Ask the model with the rows of a recording."),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="COLUMN=FEATURE", help="Which column is which feature; repeatable."
        ),
    ] = None,
    row_names: Annotated[  # noqa: FBT002 - an option of the command line
        bool,
        typer.Option(
            "--row-names",
            help="The first column of CSV has no name in the header and holds row names.",
        ),
    ] = False,
    rows: Annotated[
        int, typer.Option(min=0, max=100, help="With --try: rows whose answers are shown.")
    ] = 5,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="With --try: rows that are asked at most.")
    ] = 10_000,
    load_seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="CPU time for loading, running and rows.")
    ] = 60.0,
) -> None:
    """Say what a model takes and gives, whether it works here, and what to change if not.

    It is loaded and run once, in a process with the limits of one that serves. With --write its
    Model and ModelVersion are drafted; what was guessed stands in comments, and lint takes them.
    """
    from foreshore_agent.model import verb

    request = verb.InspectRequest(
        files=tuple(files),
        output=output,
        write=write,
        is_forced=force,
        name=name,
        namespace=namespace,
        source=source,
        features=tuple(word.strip() for word in features.split(",")) if features else (),
        window=window,
        csv=try_csv,
        mapped=tuple(mapped or ()),
        has_row_names=row_names,
        rows=rows,
        limit=limit,
        seconds=load_seconds,
        is_terminal=sys.stdout.isatty(),
    )
    try:
        result = verb.inspect(request, exits.say)
    except verb.USAGE_ERRORS as error:
        exits.fail(str(error), exits.Exit.USAGE)
    print(result.text, end="")  # noqa: T201 - what was asked for
    if not result.is_complete:
        raise typer.Exit(exits.Exit.USAGE)
    if not result.is_supported:
        raise typer.Exit(exits.Exit.FAILED)
