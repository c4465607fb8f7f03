"""`foreshore-serving`: the command line of the inference server. Started by kubelet in an inference pod, or by the agent.

Exit codes say what happens next: 0 asked to end; 2 wrong usage; 3 the model is refused until the ModelVersion changes;
4 it may work the next time. The reason also goes to the container's termination message, as JSON.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import pydantic
import typer
from foreshore_api.wire import serving

from foreshore_serving import limits, models, standin, supervise
from foreshore_serving.refusal import TRANSIENT, Reason, Refused
from foreshore_serving.settings import Settings, address

EXIT_USAGE: Final = 2
EXIT_REFUSED: Final = 3
EXIT_TRANSIENT: Final = 4
MAXIMUM_CONFIG_BYTES: Final = 1024 * 1024

application = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@application.callback()
def about() -> None:
    """Serve ONNX models over the Open Inference Protocol v2."""


@application.command()
def run(
    model_config: Annotated[Path, typer.Option(envvar="FORESHORE_MODEL_CONFIG", help="model.json: name, version, digest, source, inputs, outputs.")],
    listen: Annotated[str | None, typer.Option(envvar="FORESHORE_LISTEN", help="HOST:PORT to listen on.")] = None,
    socket: Annotated[Path | None, typer.Option(envvar="FORESHORE_SOCKET", help="Unix socket to listen on, instead of --listen.")] = None,
    models_dir: Annotated[Path | None, typer.Option("--models", envvar="FORESHORE_MODELS", help="Folder of *.onnx files, asked by digest before the source.")] = None,
    memory_mib: Annotated[int, typer.Option(envvar="FORESHORE_MEMORY_MIB", min=256, help="Address space of the model's process, on top of four times the model's size.")] = Settings.memory_mib,
    load_seconds: Annotated[float, typer.Option(envvar="FORESHORE_LOAD_SECONDS", min=0.1, help="Loading and warm-up are killed after so long.")] = Settings.load_seconds,
    fetch_seconds: Annotated[float, typer.Option(envvar="FORESHORE_FETCH_SECONDS", min=0, help="How long a source is asked again.")] = Settings.fetch_seconds,
    stall_seconds: Annotated[float, typer.Option(envvar="FORESHORE_STALL_SECONDS", min=2, help="An inference longer than this is killed.")] = Settings.stall_seconds,
    maximum_body_bytes: Annotated[int, typer.Option(envvar="FORESHORE_MAXIMUM_BODY_BYTES", min=1024, help="Larger requests are refused.")] = Settings.maximum_body_bytes,
    termination_log: Annotated[Path, typer.Option(envvar="FORESHORE_TERMINATION_LOG", help="Where the reason of a fatal ending goes, if it exists.")] = Settings.termination_log,
    die_with_parent: Annotated[bool, typer.Option("--die-with-parent", help="End when the process that started this one ends.")] = False,
) -> None:
    """Serve one model version until SIGTERM."""
    if die_with_parent:
        limits.follow_parent(os.getppid())
    try:
        settings = Settings(
            model_config, address(listen) if listen else None, socket, models_dir, memory_mib, load_seconds, fetch_seconds, stall_seconds, maximum_body_bytes, termination_log
        )  # fmt: skip
        if (settings.listen is None) == (settings.socket is None):
            message = "exactly one of --listen and --socket must be given"
            raise ValueError(message)
        config = read(model_config)
    except (OSError, ValueError) as error:
        supervise.say(str(error))
        raise typer.Exit(EXIT_USAGE) from error
    raise typer.Exit(serve(config, settings))


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


def serve(config: serving.ModelConfig, settings: Settings) -> int:
    """Fetch, then serve until told to stop; returns the exit code."""
    supervise.stop_on_signals()
    try:
        with supervise.bind(settings) as listening:
            instead = standin.Standin(listening)
            instead.start(Reason.LOADING, f"{config.version} is being loaded")
            model, size = models.obtain(config, settings.models, settings.fetch_seconds)
            supervise.run(listening, instead, model, supervise.contract(config, size, settings))
    except supervise.Stopping:
        return 0
    except Refused as refused:
        return _end(refused, settings.termination_log)
    finally:
        if settings.socket is not None:
            settings.socket.unlink(missing_ok=True)
    return 0


def _end(refused: Refused, termination_log: Path) -> int:
    """Say why, to the log and to whoever reads the container's termination message."""
    supervise.say(f"{refused.reason}: {refused.message}")
    if termination_log.exists():
        ending = serving.Ending(reason=refused.reason, message=refused.message[:3000])
        termination_log.write_bytes(ending.encode())
    return EXIT_TRANSIENT if refused.reason in TRANSIENT else EXIT_REFUSED


def main() -> None:
    """Run the command line."""
    application()


if __name__ == "__main__":
    sys.exit(main())
