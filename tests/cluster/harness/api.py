"""A Kubernetes API and what tests ask of it: of a plain API server and of a cluster alike."""

import contextlib
import json
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import kubeconfig, process, tools


class Api:
    """An API that is reached with the administrator's kubeconfig."""

    def __init__(self, path: Path) -> None:
        self.kubeconfig = path

    def kubectl(self, *args: str | Path, stdin: str | None = None, timeout: float = 60) -> str:
        """Run kubectl as the administrator; its output."""
        return process.run(
            [tools.binary("kubectl"), "--kubeconfig", self.kubeconfig, *args],
            stdin=stdin.encode() if stdin is not None else None,
            timeout=timeout,
        )

    def get(self, *args: str) -> dict[str, Any]:
        """What `kubectl get … -o json` says."""
        answer: dict[str, Any] = json.loads(self.kubectl("get", *args, "-o", "json"))
        return answer

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply objects as the administrator, server-side."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(items)
        )

    def apply_crds(self, folder: Path) -> None:
        """Apply every CRD file of a folder and wait until the API serves them."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", folder)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    @contextlib.contextmanager
    def namespace(self, prefix: str = "test", **labels: str) -> Iterator[str]:
        """A fresh namespace with its default service account, deleted afterwards."""
        name = namespace_name(prefix)
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": name},
            },
        )
        try:
            yield name
        finally:
            self.clear(name)

    def clear(self, namespace: str) -> None:
        """Delete a namespace with all that is in it."""
        self.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")

    def token(self, account: str, *, namespace: str, audience: str | None = None) -> str:
        """A token of a service account, as a projected volume would hold it."""
        asked = ["--audience", audience] if audience else []
        return self.kubectl("create", "token", account, "-n", namespace, *asked).strip()

    def kubeconfig_for_account(self, account: str, *, namespace: str) -> Path:
        """A kubeconfig that authenticates as a service account."""
        return kubeconfig.with_token(
            self.kubeconfig.parent / "users" / f"{namespace}_{account}.kubeconfig",
            origin=self.kubeconfig,
            token=self.token(account, namespace=namespace),
        )


def namespace_name(prefix: str) -> str:
    """A namespace name that no other test has: cleaned prefix, time, four random characters."""
    cleaned = re.sub("[^a-z0-9-]+", "-", prefix.lower()).strip("-")[:40].strip("-") or "test"
    return f"{cleaned}-{int(time.time()) % 100000}-{secrets.token_hex(2)}"
