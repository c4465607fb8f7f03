"""The real control plane of a fleet that is played: API server, scheduler, controllers, kwok.

What the product's operator writes is in the API server's audit log, with the moment of every write:
`writes` reads it.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from harness import apiserver, process, tools
from scale import writes

STAGES: Final = Path(__file__).with_name("kwok.yaml")
CONTROLLERS: Final = ("node-lifecycle-controller", "garbage-collector-controller")
QUICK: Final = ("--kube-api-qps=400", "--kube-api-burst=800", "--leader-elect=false")


class ControlPlane(apiserver.ApiServer):
    """An API server with an audit log, and what makes nodes and pods live."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="foreshore-scale")
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "audit.json").write_text(json.dumps(writes.POLICY))

    @property
    def audit_log(self) -> Path:
        """What the operator wrote, one event a line."""
        return self.folder / "audit.log"

    @property
    def process_id(self) -> int:
        """The API server's own."""
        if self._server is None:
            raise process.HarnessError("the API server does not run")
        return self._server.pid

    def run_nodes(self) -> None:
        """Start scheduler, controllers and kwok."""
        self.run_scheduler()
        self._run(
            "controllers",
            [
                tools.binary("kube-controller-manager"),
                *self._own("controllers"),
                *QUICK,
                f"--controllers={','.join(CONTROLLERS)}",
            ],
        )
        self._run(
            "kwok",
            [tools.binary("kwok"), f"--kubeconfig={self.kubeconfig}", f"--config={STAGES}"],
        )

    def run_scheduler(self) -> None:
        """Start the scheduler alone: nodes and pods then stay what they were made as."""
        self._run(
            "scheduler",
            [tools.binary("kube-scheduler"), *self._own("scheduler"), *QUICK],
        )

    def close(self) -> None:
        """End everything."""
        for child in self._children.values():
            process.end(child, kill=True)
        self._children.clear()
        super().close()

    def ended(self) -> Iterator[str]:
        """Say which of the programs has ended by itself."""
        for name, child in self._children.items():
            if child.poll() is not None:
                yield f"{name} ended: {process.tail(self.folder / f'{name}.log')}"

    def _own(self, name: str) -> Sequence[str]:
        return (
            f"--kubeconfig={self.kubeconfig}",
            f"--cert-dir={self.folder / name}",
            f"--bind-address={apiserver.ADDRESS}",
            f"--secure-port={process.free_port()}",
        )

    def _run(self, name: str, command: Sequence[str | Path]) -> None:
        self._children[name] = process.start(command, log=self.folder / f"{name}.log")

    def _server_command(self) -> Sequence[str | Path]:
        return [
            *super()._server_command(),
            f"--audit-policy-file={self.folder / 'audit.json'}",
            f"--audit-log-path={self.audit_log}",
        ]


def silenced(lease: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A node's Lease as nobody renews it any more: kwok leaves alone what another one holds."""
    spec = {
        **lease["spec"],
        "holderIdentity": "nobody",
        "leaseDurationSeconds": 86_400,
        "renewTime": now.isoformat().replace("+00:00", "Z"),
    }
    return {**lease, "spec": spec}


def released(lease: dict[str, Any]) -> dict[str, Any]:
    """The same Lease, so that kwok takes it up again."""
    return {**lease, "spec": {**lease["spec"], "leaseDurationSeconds": 1}}
