"""The options that every verb has, as people know them from kubectl; `main` declares them once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class OutputFormat(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"

    @property
    def is_document(self) -> bool:
        """Whether a program reads it."""
        return self in (OutputFormat.JSON, OutputFormat.YAML)


@dataclass(frozen=True, slots=True)
class Target:
    """Which API server is asked, about which namespace, and as whom."""

    namespace: str | None = None
    all_namespaces: bool = False
    context: str | None = None
    kubeconfig: Path | None = None
    as_user: str | None = None
    timeout: str = "10s"


Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="Namespace.  [default: the context's]"),
]
AllNamespaces = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="Look at every namespace.")
]
Selector = Annotated[
    str | None,
    typer.Option("--selector", "-l", metavar="LABELS", help="Only objects with these labels."),
]
OutputAs = Annotated[
    OutputFormat,
    typer.Option("--output", "-o", metavar="FORMAT", help="table, wide, json or yaml."),
]
Context = Annotated[
    str | None,
    typer.Option("--context", metavar="NAME", help="Context of the kubeconfig to use."),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", metavar="FILE", help="Kubeconfig to use.  [env: KUBECONFIG]"),
]
AsUser = Annotated[
    str | None, typer.Option("--as", metavar="USER", help="Ask as this user (impersonation).")
]
Timeout = Annotated[
    str,
    typer.Option(
        "--request-timeout", metavar="DURATION", help="Longest wait for one answer; 0: none."
    ),
]
