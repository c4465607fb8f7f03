"""What `foreshore-agent run` was told, checked once; everything else is in the assignment."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foreshore_agent.journal.room import MEBIBYTE, Quotas

DEFAULT_PORT: Final = 8081
DEFAULT_MODEL_MEMORY_MIB: Final = 256
"""The runtime and several ordinary models (10 MiB each); a cluster's chart says what it gives."""


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
class AgentSettings:
    """One agent."""

    node: str
    state: Path
    source: HubSettings | FolderSettings
    credentials: Path | None = None
    address: str = "127.0.0.1"
    """Where the port listens, and, but for a wildcard, where peers find it; `::`: both families."""
    port: int | None = DEFAULT_PORT
    """None: no port at all (a rehearsal, a second agent on one machine)."""
    quotas: Quotas = field(default_factory=Quotas)
    model_memory_mib: int = DEFAULT_MODEL_MEMORY_MIB
    """Memory that models may take in the agent's own process (isolation Agent)."""


@dataclass(frozen=True, slots=True)
class HubFlags:
    """Flags of an agent of a cluster, as given."""

    node: str | None
    hub: str | None
    token_file: Path | None
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class FolderFlags:
    """Flags of an agent by itself, as given."""

    resources: Path | None
    models: Path | None
    site: str | None


def source(hub: HubFlags, folder: FolderFlags) -> HubSettings | FolderSettings:
    """Return where the assignment comes from. Raises SettingsError."""
    if folder.resources is not None:
        if hub.hub is not None:
            raise SettingsError("--resources and --hub exclude each other")
        return FolderSettings(folder.resources, folder.models, folder.site)
    if hub.hub is None:
        raise SettingsError("either --resources (a folder) or --hub (a cluster) is needed")
    if hub.node is None or hub.token_file is None:
        raise SettingsError("an agent of a cluster needs --node and --token-file too")
    if not hub.hub.startswith(("https://", "http://127.0.0.1", "http://[::1]", "http://localhost")):
        raise SettingsError(f"--hub must be an https:// URL, not {hub.hub}")
    return HubSettings(hub.hub, hub.token_file, hub.ca_file)


def quotas(critical_mib: int, routine_mib: int) -> Quotas:
    """Return how much room the journal may take."""
    return Quotas(critical=critical_mib * MEBIBYTE, routine=routine_mib * MEBIBYTE)


def default_node() -> str:
    """Return this machine's name, for folder mode."""
    return socket.gethostname().lower() or "localhost"
