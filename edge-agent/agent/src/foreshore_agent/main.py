"""`foreshore-agent`: the command line of the edge agent. Verbs import what they need when they run.

Started by kubelet or systemd (`run --node … --hub …`), or by a person in a folder of resources.
How every verb ends is in `exits`.
"""

from pathlib import Path
from typing import Annotated

import typer

from foreshore_agent import (
    access,
    capture,
    discover,
    exits,
    lint,
    model,
    options,
    play,
    records,
    rehearse,
)
from foreshore_api import programs

application = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, epilog=exits.TABLE
)


@application.callback()
def about(
    *,
    version: Annotated[
        bool, typer.Option("--version", **programs.version_option("foreshore-agent"))
    ] = False,
) -> None:
    """Decide at the edge: samples in, gated and recorded commands out."""


@application.command(epilog=exits.TABLE)
def run(
    state: Annotated[
        Path, typer.Option(envvar="FORESHORE_STATE", help="State directory: journal and values.")
    ],
    resources: Annotated[
        Path | None,
        typer.Option(envvar="FORESHORE_RESOURCES", help="Folder of YAML; no cluster needed."),
    ] = None,
    models: options.ModelFolder = None,
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
    credentials: options.CredentialFolder = None,
    address: Annotated[
        str,
        typer.Option(
            envvar="FORESHORE_ADDRESS",
            help="Where the agent's port listens; ::, every address, v4 too.",
        ),
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
    model_memory: Annotated[
        int,
        typer.Option(
            envvar="FORESHORE_MODEL_MEMORY",
            min=0,
            help="MiB for models in the agent's own process (isolation Agent); 0: none.",
        ),
    ] = 256,
    log_level: Annotated[
        programs.LogLevel,
        typer.Option(
            envvar="FORESHORE_LOG_LEVEL", case_sensitive=False, help="How much the log says."
        ),
    ] = programs.LogLevel.INFO,
) -> None:
    """Run the agent until SIGTERM, for a hub or from a folder of resources."""
    from foreshore_agent import settings

    try:
        source = settings.source(
            settings.HubFlags(node, hub, token_file, hub_ca),
            settings.FolderFlags(resources, models, site),
        )
    except settings.SettingsError as error:
        exits.fail(str(error), exits.Exit.USAGE)
    agent_settings = settings.AgentSettings(
        node=node or settings.default_node(),
        state=state,
        source=source,
        credentials=credentials,
        address=address,
        port=port or None,
        quotas=settings.quotas(critical_mib, routine_mib),
        model_memory_mib=model_memory,
    )
    from foreshore_agent.runtime import process

    raise typer.Exit(process.run(agent_settings, log_level))


for _verb in (
    discover.discover,
    capture.capture,
    lint.lint,
    play.play,
    rehearse.rehearse,
    records.records,
    records.why,
    records.verify,
    access.broker_acl,
):
    application.command(epilog=exits.TABLE)(_verb)

application.add_typer(model.application, name="model", epilog=exits.TABLE)


def main() -> None:
    """Run the command line."""
    application()


if __name__ == "__main__":
    main()
