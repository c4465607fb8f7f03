"""The door's OpenAPI description as a file: `python -m foreshore_hub.openapi` writes it.

The running hub serves the same at `/openapi.json`; the committed copy makes a change of the door
visible in review, and a contract test keeps it current.
"""

import json
from pathlib import Path
from typing import Any, cast

import typer

from foreshore_hub import door

FILE = Path("operator/control/openapi.json")


def render() -> str:
    """Return the description as it is committed."""
    # the description is of routes and shapes: nothing asks the desk before a request comes
    app = door.routes(cast(Any, None))
    return json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the description into the repository that is the working directory."""
    FILE.write_text(render())
    typer.echo(f"wrote {FILE}")


if __name__ == "__main__":
    main()
