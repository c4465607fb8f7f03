"""`foreshore-agent play`: be a device on real MQTT, without hardware.

Of a folder of resources, from a recording, in the product's own envelope (`--resources --csv`):

    recording ──► telemetry        commands ──► machine ──► acknowledgements, settled values, log

`recording` reads rows of text or Parquet (`sources`), by `columns`, `times`, `cells` and `truth`;
`survey` and `order` look at the whole before, and `echo` shows how it is understood. `machine` is
pure; `stage` finds the device; `device` is it, `player` carries its messages over MQTT; `show` runs
it for a person. `rehearse` uses all but `show`, and the player only with `--live`.

Or a stock device in its maker's dialect (`--profile NAME`): `dialects` are pure, `actor` carries
their messages, `dialogue` runs one for a person.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foreshore_agent import exits, options

if TYPE_CHECKING:
    from foreshore_agent.play import dialogue

_STOCK: Final = "A stock device (--profile)"


def play(
    resources: Annotated[
        Path | None,
        typer.Option(envvar="FORESHORE_RESOURCES", help="Folder of YAML with the device."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(envvar="FORESHORE_DEVICE", help="Name of the Device to be.")
    ] = None,
    csv: Annotated[Path | None, options.RECORDING] = None,
    mapped: options.MappedColumns = None,
    row_names: options.HasRowNames = False,  # noqa: FBT002 - an option of the command line
    rate: Annotated[
        float, typer.Option(envvar="FORESHORE_RATE", min=0.001, help="Rows a second.")
    ] = 1.0,
    credentials: options.CredentialFolder = None,
    credential: Annotated[
        str | None,
        typer.Option(
            envvar="FORESHORE_CREDENTIAL",
            help="The device's own credential.  [default: the Site's]",
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(envvar="FORESHORE_LOG", help="The device's own log, JSON Lines."),
    ] = None,
    loop: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--loop", envvar="FORESHORE_LOOP", help="Begin again at the end.")
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            envvar="FORESHORE_PROFILE",
            help="A stock device instead: zigbee2mqtt-plug, … (--list-profiles).",
            rich_help_panel=_STOCK,
        ),
    ] = None,
    list_profiles: Annotated[  # noqa: FBT002 - an option of the command line
        bool,
        typer.Option("--list-profiles", help="List them.", rich_help_panel=_STOCK),
    ] = False,
    broker: Annotated[
        str,
        typer.Option(
            envvar="FORESHORE_BROKER", help="HOST:PORT of the broker.", rich_help_panel=_STOCK
        ),
    ] = "localhost:1883",
    username: Annotated[
        str | None,
        typer.Option(
            envvar="FORESHORE_USERNAME",
            help="User name to show the broker.",
            rich_help_panel=_STOCK,
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="FORESHORE_PASSWORD_FILE",
            help="File with its password; or --credentials and --credential.",
            rich_help_panel=_STOCK,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            envvar="FORESHORE_NAME",
            help="What the device is called in its dialect.  [default: see --list-profiles]",
            rich_help_panel=_STOCK,
        ),
    ] = None,
    every: Annotated[
        float,
        typer.Option(
            envvar="FORESHORE_EVERY",
            min=0.01,
            max=86400,
            help="Seconds between two measurements.",
            rich_help_panel=_STOCK,
        ),
    ] = 2.0,
    settle: Annotated[
        float | None,
        typer.Option(
            envvar="FORESHORE_SETTLE",
            min=0,
            max=3600,
            help="Seconds from a command to its echo.  [default: as the dialect has it]",
            rich_help_panel=_STOCK,
        ),
    ] = None,
    deaf: Annotated[  # noqa: FBT002 - an option of the command line
        bool,
        typer.Option(
            "--deaf",
            envvar="FORESHORE_DEAF",
            help="Hear commands and follow none.",
            rich_help_panel=_STOCK,
        ),
    ] = False,
    optimistic: Annotated[  # noqa: FBT002 - an option of the command line
        bool,
        typer.Option(
            "--optimistic",
            envvar="FORESHORE_OPTIMISTIC",
            help="Report what was ordered before the device follows, as Zigbee2MQTT may.",
            rich_help_panel=_STOCK,
        ),
    ] = False,
    zone: Annotated[
        str,
        typer.Option(
            envvar="FORESHORE_ZONE",
            help="Time zone of a device that writes local times.",
            rich_help_panel=_STOCK,
        ),
    ] = "Europe/Brussels",
) -> None:
    """Be a device: say what it says, take commands, answer them.

    From a recording, as a Device of --resources, in the product's own envelope; or, with --profile,
    a stock device in its maker's dialect.
    """
    if list_profiles or profile is not None:
        from foreshore_agent.play import dialogue

        if profile is None:
            dialogue.show_dialects()
            return
        _converse(
            dialogue.DialogueRequest(
                dialect=profile,
                name=name,
                broker=broker,
                every=every,
                settling=settle,
                is_deaf=deaf,
                is_optimistic=optimistic,
                zone=zone,
                credentials=credentials,
                credential=credential,
                username=username,
                password=password_file,
            )
        )
        return
    if resources is None or device is None or csv is None:
        message = (
            "play needs --resources, --device and --csv, or a stock device: --profile NAME"
            " (--list-profiles)"
        )
        exits.fail(message, exits.Exit.USAGE)
    from foreshore_agent.play import show

    try:
        show.run(
            show.PlayRequest(
                resources=resources,
                device=device,
                csv=csv,
                mapped=tuple(mapped or ()),
                rate=rate,
                credentials=credentials,
                credential=credential,
                log=log,
                is_looped=loop,
                has_row_names=row_names,
            )
        )
    except show.USAGE_ERRORS as error:
        exits.fail(str(error), exits.Exit.USAGE)
    except (show.UnheardError, OSError) as error:
        exits.fail(str(error), exits.Exit.FAILED)


def _converse(request: "dialogue.DialogueRequest") -> None:
    """Be a stock device."""
    from foreshore_agent.play import dialogue

    try:
        dialogue.run(request)
    except dialogue.USAGE_ERRORS as error:
        exits.fail(str(error), exits.Exit.USAGE)
    except (dialogue.UnheardActorError, OSError) as error:
        exits.fail(str(error), exits.Exit.FAILED)
