"""`foreshore-agent`: the command line of the edge agent. Verbs import what they need when they run.

Started by kubelet or systemd (`run --node … --hub …`), or by a person in a folder of resources.
Exit codes: 0 asked to end; 1 a defect or a state directory that cannot be used, worth another
start; 2 wrong usage or a folder that cannot be worked from.
"""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from foreshore_agent import access, play, records, rehearse

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

application = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)


@application.callback()
def about() -> None:
    """Decide at the edge: samples in, gated and recorded commands out."""


@application.command()
def run(
    state: Annotated[
        Path, typer.Option(envvar="FORESHORE_STATE", help="State directory: journal and values.")
    ],
    resources: Annotated[
        Path | None,
        typer.Option(envvar="FORESHORE_RESOURCES", help="Folder of YAML; no cluster needed."),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(envvar="FORESHORE_MODELS", help="Folder of *.onnx, found by digest."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(envvar="FORESHORE_SITE", help="With --resources: which Site, if several."),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(envvar="FORESHORE_NODE", help="Name of this node.  [default: host name]"),
    ] = None,
    hub: Annotated[
        str | None, typer.Option(envvar="FORESHORE_HUB", help="URL of the hub's door.")
    ] = None,
    hub_ca: Annotated[
        Path | None, typer.Option(envvar="FORESHORE_HUB_CA", help="CA of the hub, PEM.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(envvar="FORESHORE_TOKEN_FILE", help="Service-account token for the hub."),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            envvar="FORESHORE_CREDENTIALS", help="Folder of <name>/{ca.crt,tls.crt,tls.key}."
        ),
    ] = None,
    address: Annotated[
        str, typer.Option(envvar="FORESHORE_ADDRESS", help="Where the agent's port listens.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            envvar="FORESHORE_PORT", min=0, max=65535, help="For /metrics, /readyz, /echo; 0: none."
        ),
    ] = 8081,
    critical_mib: Annotated[
        int,
        typer.Option(
            envvar="FORESHORE_CRITICAL_MIB", min=1, help="Room for records that must not be lost."
        ),
    ] = 256,
    routine_mib: Annotated[
        int,
        typer.Option(
            envvar="FORESHORE_ROUTINE_MIB", min=1, help="Room for routine records; a ring."
        ),
    ] = 1024,
    log_level: Annotated[
        str, typer.Option(envvar="FORESHORE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Run the agent until SIGTERM, for a hub or from a folder of resources."""
    from foreshore_agent import settings

    try:
        source = settings.source(
            settings.HubFlags(node, hub, token_file, hub_ca),
            settings.FolderFlags(resources, models, site),
        )
    except settings.SettingsError as error:
        _say(str(error))
        raise typer.Exit(EXIT_USAGE) from error
    told = settings.Settings(
        node=node or settings.default_node(),
        state=state,
        source=source,
        credentials=credentials,
        address=address,
        port=port or None,
        quotas=settings.quotas(critical_mib, routine_mib),
    )
    from foreshore_agent.runtime import process

    raise typer.Exit(process.run(told, log_level))


application.command()(play.play)
application.command()(rehearse.rehearse)
application.command()(records.records)
application.command()(records.why)
application.command()(records.verify)
application.command()(access.broker_acl)


def _say(message: str) -> None:
    print(f"foreshore-agent: {message}", file=sys.stderr)  # noqa: T201 - a command line speaks


def main() -> None:
    """Run the command line."""
    application()


if __name__ == "__main__":
    main()
