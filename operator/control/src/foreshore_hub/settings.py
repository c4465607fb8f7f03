"""The hub's settings, read once from flags and FORESHORE_… variables by `main`."""

from dataclasses import dataclass
from pathlib import Path

from foreshore_api import addresses


@dataclass(frozen=True, slots=True)
class HubServerSettings:
    """Everything that a person can set."""

    database: str
    tls_dir: Path
    records_tls_dir: Path
    door_port: int = 8443
    records_port: int = 9443
    metrics_port: int = 8080
    operator_service_account: str = "foreshore-system/foreshore-operator"
    agent_namespace: str = "foreshore-agents"
    agent_service_account: str = "foreshore-agent"
    host: str = addresses.EVERY
    kubeconfig: Path | None = None
    keep_days: int = 30
    """Days for which records are kept."""
    keep_records: int = 400_000
    """Records that are kept at most: about 2 GiB. Routine decisions are forgotten first."""
