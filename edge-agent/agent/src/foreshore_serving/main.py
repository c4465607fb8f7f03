"""The command line of the inference server, started by kubelet in an inference pod or by the agent.

Exit codes say what happens next: 0 asked to end; 2 wrong usage; 3 the model is refused until the
ModelVersion changes; 4 it may work the next time. The reason also goes to the container's
termination message, as JSON.
"""

import os
import socket
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
import typer

from foreshore_api import addresses, programs
from foreshore_api.wire import serving
from foreshore_serving import contract as contracts
from foreshore_serving import models, standin, supervise
from foreshore_serving.refusal import Reason, Refused
from foreshore_serving.settings import ServingSettings

EXIT_USAGE: Final = 2
BACKLOG: Final = 128
MAXIMUM_CONFIG_BYTES: Final = 1024 * 1024

application = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)


@application.callback()
def about(
    *,
    version: Annotated[
        bool, typer.Option("--version", **programs.version_option("foreshore-serving"))
    ] = False,
) -> None:
    """Serve ONNX models over the Open Inference Protocol v2."""


def _option(env: str, text: str, *names: str, least: float | None = None) -> Any:
    return typer.Option(*names, envvar=f"FORESHORE_{env}", help=text, min=least)


_ModelConfig = Annotated[Path, _option("MODEL_CONFIG", "model.json: what to serve.")]
_Models = Annotated[
    Path | None,
    _option("MODELS", "Folder of *.onnx, asked by digest before the source.", "--models"),
]
_MemoryMib = Annotated[
    int,
    _option("MEMORY_MIB", "Memory of the child beyond four times the model's size.", least=256),
]
_LoadSeconds = Annotated[
    float,
    _option("LOAD_SECONDS", "Loading and warm-up are killed after so long.", least=0.1),
]
_FetchSeconds = Annotated[
    float, _option("FETCH_SECONDS", "How long a source is asked again.", least=0)
]
_TerminationLog = Annotated[
    Path, _option("TERMINATION_LOG", "File for the reason of a fatal ending, if it exists.")
]


@application.command()
def run(
    model_config: _ModelConfig,
    listen: Annotated[
        str | None, _option("LISTEN", "HOST:PORT to listen on; [::]:PORT: both families.")
    ] = None,
    unix_socket: Annotated[
        Path | None, _option("SOCKET", "Unix socket to listen on instead.", "--socket")
    ] = None,
    models_dir: _Models = None,
    memory_mib: _MemoryMib = ServingSettings.memory_mib,
    load_seconds: _LoadSeconds = ServingSettings.load_seconds,
    fetch_seconds: _FetchSeconds = ServingSettings.fetch_seconds,
    stall_seconds: Annotated[
        float, _option("STALL_SECONDS", "An inference longer than this is killed.", least=2)
    ] = ServingSettings.stall_seconds,
    maximum_body_bytes: Annotated[
        int, _option("MAXIMUM_BODY_BYTES", "Larger requests are refused.", least=1024)
    ] = ServingSettings.maximum_body_bytes,
    termination_log: _TerminationLog = ServingSettings.termination_log,
) -> None:
    """Serve one model version until SIGTERM."""
    try:
        settings = ServingSettings(
            model_config=model_config,
            address=_address(listen, unix_socket),
            models=models_dir,
            memory_mib=memory_mib,
            load_seconds=load_seconds,
            fetch_seconds=fetch_seconds,
            stall_seconds=stall_seconds,
            maximum_body_bytes=maximum_body_bytes,
            termination_log=termination_log,
        )
        config = read(model_config)
        listening = bind(settings)
    except (OSError, ValueError) as error:
        supervise.say(str(error))
        raise typer.Exit(EXIT_USAGE) from error
    raise typer.Exit(serve(config, settings, listening))


@application.command("try")
def try_model(
    model_config: _ModelConfig,
    into: Annotated[Path, _option("INTO", "Folder for the bytes and for what the trial shows.")],
    models_dir: _Models = None,
    memory_mib: _MemoryMib = ServingSettings.memory_mib,
    load_seconds: _LoadSeconds = ServingSettings.load_seconds,
    fetch_seconds: _FetchSeconds = ServingSettings.fetch_seconds,
    termination_log: _TerminationLog = ServingSettings.termination_log,
) -> None:
    """Try one model version in a limited child, for an agent that is to run it itself."""
    try:
        config = read(model_config)
    except (OSError, ValueError) as error:
        supervise.say(str(error))
        raise typer.Exit(EXIT_USAGE) from error
    settings = ServingSettings(
        model_config=model_config,
        address=None,
        models=models_dir,
        memory_mib=memory_mib,
        load_seconds=load_seconds,
        fetch_seconds=fetch_seconds,
        termination_log=termination_log,
    )
    raise typer.Exit(try_out(config, settings, into))


def try_out(config: serving.ModelConfig, settings: ServingSettings, into: Path) -> int:
    """Fetch the bytes, have a child try them, keep both; returns the exit code."""
    supervise.stop_on_signals()
    try:
        model, size = models.obtain(config, settings.models, settings.fetch_seconds)
        evidence = supervise.try_once(model, contract(config, size, settings))
        name = config.digest.removeprefix("sha256:")
        with open(model, "rb") as file:
            file.seek(0)
            models.keep(into / f"{name}.onnx", file.read())
        models.keep(into / f"{name}.json", evidence)
    except supervise.StopRequested:
        return 0
    except Refused as refused:
        return supervise.end(refused, settings.termination_log)
    except OSError as error:
        failed = Refused(Reason.CANNOT_START, f"{into} cannot be written to: {error}")
        return supervise.end(failed, settings.termination_log)
    return 0


def _address(listen: str | None, unix_socket: Path | None) -> tuple[str, int] | Path:
    if listen is not None and unix_socket is None:
        return addresses.split(listen)
    if listen is None and unix_socket is not None:
        return unix_socket
    raise ValueError("exactly one of --listen and --socket must be given")


def read(path: Path) -> serving.ModelConfig:
    """Read model.json.

    Raises:
        OSError, ValueError: it cannot be read, or says something else.
    """
    with path.open("rb") as file:
        body = file.read(MAXIMUM_CONFIG_BYTES + 1)
    if len(body) > MAXIMUM_CONFIG_BYTES:
        message = f"{path} is larger than {MAXIMUM_CONFIG_BYTES} bytes"
        raise ValueError(message)
    try:
        return serving.ModelConfig.decode(body)
    except pydantic.ValidationError as error:
        message = f"{path}: {error}"
        raise ValueError(message) from error


def serve(config: serving.ModelConfig, settings: ServingSettings, listening: socket.socket) -> int:
    """Fetch, then become the supervisor; returns the exit code where it does not come to that."""
    supervise.stop_on_signals()
    try:
        instead = standin.Standin(listening)
        instead.start(Reason.LOADING, f"{config.version} is being fetched")
        model, size = models.obtain(config, settings.models, settings.fetch_seconds)
        supervise.become(
            supervise.Orders(
                listening.fileno(),
                model,
                contract(config, size, settings),
                str(settings.address) if isinstance(settings.address, Path) else None,
                str(settings.termination_log),
            )
        )
    except supervise.StopRequested:
        return 0
    except Refused as refused:
        return supervise.end(refused, settings.termination_log)
    finally:
        if isinstance(settings.address, Path):
            settings.address.unlink(missing_ok=True)


def bind(settings: ServingSettings) -> socket.socket:
    """Return the listening socket.

    Raises:
        OSError: the address is taken, or the path of the Unix socket is too long or not writable.
    """
    if settings.address is None:
        raise ValueError("a trial listens on nothing")
    if isinstance(settings.address, Path):
        if settings.address.is_socket():
            settings.address.unlink()  # of a process that was killed
        return _at_path(settings.address)
    return _at_address(*settings.address)


def _at_path(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o600)  # before it has a name; bind keeps it
        listening.bind(str(path))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _at_address(host: str, port: int) -> socket.socket:
    host = addresses.bindable(host, has_v6=socket.has_dualstack_ipv6())
    return socket.create_server(
        (host, port),
        family=socket.AF_INET6 if addresses.is_v6(host) else socket.AF_INET,
        backlog=BACKLOG,
        dualstack_ipv6=host == addresses.EVERY,
    )


def contract(
    config: serving.ModelConfig, model_bytes: int, settings: ServingSettings
) -> contracts.Contract:
    """Return what the child is told."""
    return contracts.Contract(
        name=config.name,
        version=config.version,
        digest=config.digest,
        inputs=contracts.specs(config.inputs),
        outputs=contracts.specs(config.outputs),
        model_bytes=model_bytes,
        memory_bytes=settings.memory_bytes(model_bytes),
        load_seconds=settings.load_seconds,
        stall_seconds=settings.stall_seconds,
        maximum_body_bytes=settings.maximum_body_bytes,
        providers=config.providers,
        is_first_required=config.is_first_required,
    )


def main() -> None:
    """Run the command line."""
    application()


if __name__ == "__main__":
    main()
