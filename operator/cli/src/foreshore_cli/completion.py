"""`kubectl_complete-foreshore`: what kubectl runs when Tab is pressed behind `kubectl foreshore`.

kubectl passes the words so far, the last of which is being written, and reads one proposal a line
with a directive behind them. The proposals are typer's own; nothing but the parser is imported.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from typing import Final

from foreshore_cli import main as program

PROGRAM: Final = "kubectl-foreshore"
NO_FILES: Final = ":4"
"""Cobra's ShellCompDirectiveNoFileComp: where nothing is proposed, files are none either."""


def main() -> None:
    """Propose words for the command line in the arguments."""
    words = [PROGRAM, *sys.argv[1:]]
    os.environ["_KUBECTL_FORESHORE_COMPLETE"] = "complete_bash"  # the plainest form: word by line
    os.environ["COMP_WORDS"] = shlex.join(words)
    os.environ["COMP_CWORD"] = str(len(words) - 1)
    proposed = io.StringIO()
    with contextlib.redirect_stdout(proposed), contextlib.suppress(SystemExit):
        program.application(prog_name=PROGRAM)
    words = [line for line in proposed.getvalue().splitlines() if line]
    print(*words, NO_FILES, sep="\n")  # noqa: T201 - kubectl reads it


if __name__ == "__main__":
    main()
