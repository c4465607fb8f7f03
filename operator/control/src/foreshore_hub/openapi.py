"""The door's routes as a file: `python -m foreshore_hub.openapi` writes it.

The running hub serves the whole description at `/openapi.json`. The committed copy holds what is
the door's own (routes, parameters, refusals), so that a change of the door shows in review; the
shapes of documents are generated elsewhere (`crds/wire/`), once.
"""

import json
from pathlib import Path
from typing import Any, cast

import typer

from foreshore_hub import door

OWN = (door.RequestRefusal.__name__,)
"""Shapes that are not wire documents."""
FILE = Path("operator/control/openapi.json")


def render() -> str:
    """Return the description as it is committed."""
    # the description is of routes and shapes: nothing asks the desk before a request comes
    described = door.routes(cast(Any, None)).openapi()
    own = {name: described["components"]["schemas"][name] for name in OWN}
    shown = {**described, "components": {"schemas": own}}
    return json.dumps(shown, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the description into the repository that is the working directory."""
    FILE.write_text(render())
    typer.echo(f"wrote {FILE}")


if __name__ == "__main__":
    main()
