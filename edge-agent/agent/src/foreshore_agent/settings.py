"""What `foreshore-agent run` was told, checked once; everything else is in the assignment."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_PORT: Final = 8081


class SettingsError(ValueError):
    """What was asked for does not go together; the text says what would."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """An agent of a cluster."""

    url: str
    token_file: Path
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """An agent by itself."""

    resources: Path
    models: Path | None
    site: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """One agent."""

    node: str
    state: Path
    source: HubSettings | FolderSettings
    credentials: Path | None = None
    address: str = "127.0.0.1"
    """Where the port listens, and, but for a wildcard, where peers find it."""
    port: int | None = DEFAULT_PORT
    """None: no port at all (a rehearsal, a second agent on one machine)."""
    journal_mebibytes: int | None = None


def hub_settings(
    *, hub: str | None, token_file: Path | None, ca_file: Path | None, node: str | None
) -> HubSettings:
    """Check what an agent of a cluster needs. Raises SettingsError."""
    missing = [
        flag
        for flag, value in (("--node", node), ("--hub", hub), ("--token-file", token_file))
        if value is None
    ]
    if missing or hub is None or token_file is None:
        raise SettingsError(
            f"an agent of a cluster needs {', '.join(missing)} too; without a cluster: --resources"
        )
    if not hub.startswith(("https://", "http://127.0.0.1", "http://[::1]", "http://localhost")):
        raise SettingsError(f"--hub must be an https:// URL, not {hub}")
    return HubSettings(hub, token_file, ca_file)


def default_node() -> str:
    """Return this machine's name, for folder mode."""
    return socket.gethostname().lower() or "localhost"
