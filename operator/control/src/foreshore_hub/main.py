"""`foreshore-hub run`: read the settings, serve until SIGTERM."""

import asyncio
import logging
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from foreshore_api import addresses, programs
from foreshore_hub import hub, settings
from foreshore_kube import heap, logs, turns

application = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)


@application.callback()
def about(
    *,
    version: Annotated[
        bool, typer.Option("--version", **programs.version_option("foreshore-hub"))
    ] = False,
) -> None:
    """Carry assignments down to the agents, keep their records, and serve these to people."""


def _variable(name: str) -> str:
    return f"FORESHORE_{name}"


@application.command()
def run(
    database: Annotated[
        str, typer.Option(envvar=_variable("DATABASE"), help="SQLAlchemy URL of the record store.")
    ],
    tls_dir: Annotated[
        Path, typer.Option(envvar=_variable("TLS_DIR"), help="tls.crt and tls.key of the door.")
    ],
    records_tls_dir: Annotated[
        Path,
        typer.Option(
            envvar=_variable("RECORDS_TLS_DIR"), help="tls.crt and tls.key of the aggregated API."
        ),
    ],
    door_port: Annotated[int, typer.Option(envvar=_variable("DOOR_PORT"))] = 8443,
    records_port: Annotated[int, typer.Option(envvar=_variable("RECORDS_PORT"))] = 9443,
    metrics_port: Annotated[int, typer.Option(envvar=_variable("METRICS_PORT"))] = 8080,
    operator_service_account: Annotated[
        str,
        typer.Option(
            envvar=_variable("OPERATOR_SERVICE_ACCOUNT"), help="namespace/name; may read the fleet."
        ),
    ] = "foreshore-system/foreshore-operator",
    agent_namespace: Annotated[
        str, typer.Option(envvar=_variable("AGENT_NAMESPACE"))
    ] = "foreshore-agents",
    agent_service_account: Annotated[
        str, typer.Option(envvar=_variable("AGENT_SERVICE_ACCOUNT"))
    ] = "foreshore-agent",
    host: Annotated[
        str,
        typer.Option(envvar=_variable("HOST"), help="Address to listen on; ::, every one, v4 too."),
    ] = addresses.EVERY,
    keep_days: Annotated[
        int, typer.Option(envvar=_variable("KEEP_DAYS"), min=1, help="Days to keep records for.")
    ] = 30,
    keep_records: Annotated[
        int,
        typer.Option(
            envvar=_variable("KEEP_RECORDS"),
            min=1000,
            help="Records to keep at most, about 5 KiB each; routine ones are forgotten first.",
        ),
    ] = 400_000,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(envvar="KUBECONFIG", help="Outside a cluster: how to reach it."),
    ] = None,
    log_level: Annotated[
        programs.LogLevel,
        typer.Option(
            envvar=_variable("LOG_LEVEL"), case_sensitive=False, help="How much the log says."
        ),
    ] = programs.LogLevel.INFO,
) -> None:
    """Serve agents, the operator and `kubectl get decisions`."""
    logs.configure(log_level.number)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    chosen = settings.HubServerSettings(
        database=database,
        tls_dir=tls_dir,
        records_tls_dir=records_tls_dir,
        door_port=door_port,
        records_port=records_port,
        metrics_port=metrics_port,
        operator_service_account=operator_service_account,
        agent_namespace=agent_namespace,
        agent_service_account=agent_service_account,
        host=host,
        kubeconfig=kubeconfig,
        keep_days=keep_days,
        keep_records=keep_records,
    )
    heap.share_arena()
    turns.shorten()
    uvloop.run(_serve(chosen))


async def _serve(chosen: settings.HubServerSettings) -> None:
    async with hub.opened(chosen) as running:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.stop)
        await running.run()


def main() -> None:
    """Run the command line."""
    application()


if __name__ == "__main__":
    main()
