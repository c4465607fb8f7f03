"""What the operator was started with; `main` builds it once from flags and environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from foreshore_planner import hysteresis


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """One operator process."""

    namespace: str
    """Where the Lease lives."""
    serving_image: str
    """Image of the inference pods."""
    identity: str
    """Name of this replica; a random part is added, since a restarted process is another one."""
    hub_url: str | None = None
    hub_ca: Path | None = None
    hub_token_file: Path | None = None
    """Read again for each request: kubelet rotates it."""
    prometheus_url: str | None = None
    """A Prometheus that scrapes the agents; absent: the hub's evidence is all there is."""
    prometheus_ca: Path | None = None
    prometheus_token_file: Path | None = None
    """Read again for each question."""
    quarantine: bool = True
    """Whether nodes that fall silent again and again get nothing new for a while."""
    stabilization: hysteresis.Stabilization = hysteresis.DEFAULT
    """How steady things have to be before a replica moves though nothing forces it."""
    kubeconfig: Path | None = None
    """Absent: $KUBECONFIG, else the pod's service account."""
    metrics_port: int = 8080
    lease_name: str = "foreshore-operator"
    full_pass_seconds: float = 30.0
    """A pass is due after so long although nothing changed."""
    whole_pass_seconds: float = 300.0
    """The leader compares everything with what is written after so long: the level trigger."""
