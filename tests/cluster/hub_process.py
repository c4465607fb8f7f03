"""A hub as a process of its own against the plain API server, and agents that speak to its door."""

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshore_api import v1alpha1
from foreshore_api.wire import record
from foreshore_decision import record as record_chain
from foreshore_hub import ingest
from harness import apiserver as plain
from harness import certificates, process

SYSTEM = "foreshore-system"
AGENTS = "foreshore-agents"
GROUP = "records.foreshore.dev"
CRDS = Path(__file__).parents[2] / "crds"
KEEP_DAYS = 36_500


@dataclass(frozen=True)
class Answer:
    """What the door said."""

    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class HubProcess:
    """One hub with its own database and certificates; `start` and `stop` keep the ports."""

    def __init__(self, api: plain.ApiServer, folder: Path) -> None:
        self.api = api
        self.folder = folder
        self.authority = certificates.Authority()
        self.door_port, self.records_port, self.metrics_port = (
            process.free_port() for _ in range(3)
        )
        self._child: subprocess.Popen[bytes] | None = None
        self._tokens: dict[str, str] = {}
        self.authority.issue("127.0.0.1", "localhost").write(folder / "door")
        self.authority.issue(f"foreshore-hub.{SYSTEM}.svc").write(folder / "records")

    def prepare(self) -> None:
        """Accounts, their rights and the kinds, as the charts bring them."""
        self.api.apply(*(_namespace(name) for name in (SYSTEM, AGENTS)))
        self.api.apply(*_accounts(), *_rights())
        self.api.apply_crds(CRDS)

    def register(self) -> None:
        """Make the API server pass decisions on to this hub."""
        self.api.extension_service(
            group=GROUP,
            version="v1alpha1",
            service="foreshore-hub",
            namespace=SYSTEM,
            port=self.records_port,
            authority=self.authority.certificate,
        )

    def start(self) -> None:
        """Start the hub and wait until it is ready and its aggregated API is open."""
        account = self.api.kubeconfig_for_account("foreshore-hub", namespace=SYSTEM)
        os.environ["KUBECONFIG"] = str(account)
        try:
            self._child = process.start(self._command(), log=self.log)
        finally:
            del os.environ["KUBECONFIG"]
        process.eventually(self._is_up, what=f"the hub is up, see {self.log}", timeout=60)

    def stop(self, *, kill: bool = False) -> None:
        """Stop the hub; what it stored stays."""
        if self._child is not None:
            process.end(self._child, kill=kill)
            self._child = None

    @property
    def log(self) -> Path:
        return self.folder / "hub.log"

    def call(
        self, method: str, path: str, token: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """One request to the door."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.door_port}{path}", data=body, method=method
        )
        for name, value in {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            **headers,
        }.items():
            request.add_header(name.replace("_", "-"), value)
        context = ssl.create_default_context(cadata=self.authority.certificate.decode())
        try:
            with urllib.request.urlopen(request, timeout=40, context=context) as answer:
                return Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read())

    def metrics(self) -> str:
        """The hub's figures."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    def agent_token(self, node: str) -> str:
        """A token of the agents' account bound to a node, as a projected volume would hold it."""
        if node not in self._tokens:
            self._tokens[node] = self.api.kubectl(
                "create", "token", "foreshore-agent", "-n", AGENTS, "--audience", "foreshore-hub",
                "--bound-object-kind", "Node", "--bound-object-name", node,
            ).strip()  # fmt: skip
        return self._tokens[node]

    def operator_token(self) -> str:
        """A token of the operator's account."""
        return self.api.token("foreshore-operator", namespace=SYSTEM, audience="foreshore-hub")

    def _command(self) -> list[str | Path]:
        return [
            sys.executable, "-m", "foreshore_hub.main", "run",
            "--database", f"sqlite+aiosqlite:///{self.folder / 'hub.db'}",
            "--tls-dir", self.folder / "door", "--records-tls-dir", self.folder / "records",
            "--door-port", str(self.door_port), "--records-port", str(self.records_port),
            "--metrics-port", str(self.metrics_port), "--host", "127.0.0.1",
            # what tests ship is of any age: a look each minute would forget it between two steps
            "--keep-days", str(KEEP_DAYS),
        ]  # fmt: skip

    def _is_up(self) -> bool:
        if self._child is not None and self._child.poll() is not None:
            raise process.HarnessError(f"the hub ended: {process.tail(self.log)}")
        return process.listens("127.0.0.1", self.records_port) and process.succeeds(
            ["curl", "-fsS", f"http://127.0.0.1:{self.metrics_port}/readyz"]
        )


class Journal:
    """An agent's journal, as far as the hub sees it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sequence = 0
        self.head = ingest.GENESIS

    def batch(self, *bodies: str) -> bytes:
        """The next records as a batch."""
        shipped = []
        for body in bodies:
            self.sequence += 1
            hashed = record_chain.link(self.head, body.encode())
            shipped.append(
                record.ShippedRecord(
                    sequence=self.sequence, previous=self.head, hash=hashed, body=body
                )
            )
            self.head = hashed
        return record.Batch(journal=self.name, records=tuple(shipped)).encode()


def decided(
    identity: str,
    *,
    namespace: str,
    device: str = "room-301",
    policy: str = "ventilate",
    verdict: str = "Commanded",
    reason: str = "RoomOccupied",
    at: str | None = None,
) -> str:
    """The body of a decision event."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": identity,
            "source": "/sites/hq/nodes/edge-1/journals/j",
            "type": record.DECISION,
            "time": at or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "data": {
                "decisionId": identity,
                "site": "hq",
                "device": {"namespace": namespace, "name": device},
                "policy": {"namespace": namespace, "name": policy, "mode": "Autonomous"},
                "verdict": {"result": verdict, "reason": reason, "message": "someone is in"},
                "authority": {"holder": "edge-1", "epoch": 7, "standing": "Renewed"},
                "gates": [],
            },
        }
    )


def outcome(identity: str, *, namespace: str, outcome: str = "Confirmed") -> str:
    """The body of an outcome event."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"{identity}-o",
            "source": "/sites/hq/nodes/edge-1/journals/j",
            "type": record.OUTCOME,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "data": {
                "decisionId": identity,
                "device": {"namespace": namespace, "name": "room-301"},
                "outcome": outcome,
                "reason": "ReadBack",
            },
        }
    )


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _accounts() -> list[dict[str, Any]]:
    names = [(SYSTEM, "foreshore-hub"), (SYSTEM, "foreshore-operator"), (AGENTS, "foreshore-agent")]
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        }
        for namespace, name in names
    ]


def _rights() -> list[dict[str, Any]]:
    subject = {"kind": "ServiceAccount", "name": "foreshore-hub", "namespace": SYSTEM}
    read = ["get", "list", "watch"]
    rules = [
        {
            "apiGroups": ["foreshore.dev"],
            "resources": [kind.plural for kind in v1alpha1.KINDS],
            "verbs": read,
        },
        {"apiGroups": [""], "resources": ["nodes"], "verbs": read},
        {
            "apiGroups": ["authentication.k8s.io"],
            "resources": ["tokenreviews"],
            "verbs": ["create"],
        },
    ]
    rbac = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "foreshore-hub"},
            "rules": rules,
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "foreshore-hub"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "foreshore-hub"},
            "subjects": [subject],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "foreshore-hub", "namespace": "kube-system"},
            "roleRef": {
                "apiGroup": rbac,
                "kind": "Role",
                "name": "extension-apiserver-authentication-reader",
            },
            "subjects": [subject],
        },
    ]
