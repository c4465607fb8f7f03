"""Options that several verbs of the command line take, each said once."""

from pathlib import Path
from typing import Annotated, Final

import typer

RECORDING: Final = typer.Option(
    envvar="FORESHORE_CSV",
    help="The recording: CSV with `,`, `;` or tabs and a header, or Parquet.",
)
"""Of a `Path` where a verb cannot do without one, else of a `Path | None`."""

MappedColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="COLUMN=PROPERTY", help="Which column is which property; repeatable."
    ),
]
HasRowNames = Annotated[
    bool,
    typer.Option(
        "--row-names",
        envvar="FORESHORE_ROW_NAMES",
        help="The first column has no name in the header and holds row names, as R writes.",
    ),
]
ModelFolder = Annotated[
    Path | None,
    typer.Option(envvar="FORESHORE_MODELS", help="Folder of *.onnx, found by digest."),
]
CredentialFolder = Annotated[
    Path | None,
    typer.Option(
        envvar="FORESHORE_CREDENTIALS",
        help="Folder of <name>/{ca.crt,tls.crt,tls.key,username,password}.",
    ),
]
