"""`foreshore-agent lint`: what is wrong with a folder of resources, without doing anything by them.

The checks are `foreshore_decision.lint`, and the sentences those that `rehearse`, `play` and `run`
begin with. Whether artefacts and credentials are there is said by those: a folder that is looked at
may lack them.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from foreshore_agent import exits


def lint(
    resources: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of YAML or JSON with the resources.")
    ],
    strict: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--strict", help="Fail for warnings too.")
    ] = False,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The findings as text or json.")
    ] = "text",
) -> None:
    """Say what is wrong with a folder of resources: where, why, and what helps.

    Errors are what `run` would refuse or not do. Warnings (a mode that is capped, nobody who
    fences, a field that nobody reads) and notes do not fail, unless --strict.
    """
    from foreshore_agent import inspection, manifests
    from foreshore_api import printable
    from foreshore_decision import lint as checks

    if output not in ("text", "json"):
        exits.fail(f"--output is text or json, not {output}", exits.Exit.USAGE)

    def content(file: str) -> bytes:
        return manifests.content(resources / file)

    try:
        documents = tuple(manifests.read(resources))
        if not documents:
            text = f"{resources} holds no document ({inspection.overview(resources)})"
            exits.fail(text, exits.Exit.USAGE)
        report = checks.check(documents, inspection.SURROUNDINGS)
        if output == "json":
            document = json.dumps(report.document(content), indent=2, ensure_ascii=False)
            print(printable.escaped(document))  # noqa: T201 - what was asked for
        else:
            print(report.text(content), end="")  # noqa: T201 - what was asked for
    except manifests.UnreadableError as error:
        exits.fail(str(error), exits.Exit.USAGE)
    if report.has_failed(is_strict=strict):
        raise typer.Exit(exits.Exit.FAILED)
