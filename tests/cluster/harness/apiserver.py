"""A plain kube-apiserver with its etcd on loopback: a real API for tests that need no nodes.

    with apiserver.ApiServer(folder) as api:      ready in a few seconds
        api.kubeconfig                            the administrator's
        with api.namespace("trap") as name: ...   one namespace a test
        api.kubeconfig_for("jane", groups=[...])  anybody else's
        api.restart() / api.pause() / api.resume()
    ApiServer(folder, audited=True).audit     who wrote and listed what, a JSON document a line

There are no controllers: nothing garbage-collects, no namespace goes away by itself (a deleted one
stays Terminating), no service account appears by itself, and no kube-proxy routes a service
address. Aggregated APIs are reached through `extension_service`.
"""

import json
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness import api, certificates, kubeconfig, process, tools

ADDRESS = "127.0.0.1"
FRONT_PROXY = "front-proxy-client"
SERVICE_RANGE = "10.96.0.0/16"


class ApiServer(api.Api):
    """etcd and kube-apiserver as child processes; ports and state stay the same over restarts."""

    def __init__(
        self, folder: Path, *, name: str = "foreshore-apiserver", audited: bool = False
    ) -> None:
        super().__init__(folder / "admin.kubeconfig")
        self.audit = folder / "audit.jsonl" if audited else None
        self.folder = folder
        self.name = name
        self.port = process.free_port()
        self.server = f"https://{ADDRESS}:{self.port}"
        self.authority = certificates.Authority()
        self.front_proxy = certificates.Authority()  # signs what aggregated APIs must trust
        self._etcd_port = process.free_port()
        self._etcd_peer_port = process.free_port()
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._write_keys()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Start what is not running and wait until the API is ready."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        if self._etcd is None:
            self._etcd = process.start(self._etcd_command(), log=self.folder / "etcd.log")
            process.eventually(
                lambda: process.listens(ADDRESS, self._etcd_port), what="etcd listens", timeout=30
            )
        if self._server is None:
            self._server = process.start(self._server_command(), log=self.log)
            process.eventually(self._is_ready, what=f"API server ready, see {self.log}", timeout=90)

    @property
    def log(self) -> Path:
        """The API server's log."""
        return self.folder / "kube-apiserver.log"

    def stop(self, *, kill: bool = False) -> None:
        """Stop the API server alone; etcd keeps its state."""
        if self._server is not None:
            self.resume()
            process.end(self._server, kill=kill)
            self._server = None

    def restart(self, *, kill: bool = False) -> None:
        """Stop the API server and start it again on the same port."""
        self.stop(kill=kill)
        self.start()

    def pause(self) -> None:
        """Hang the API server: connections stay open and nothing answers."""
        if self._server is not None:
            self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused API server go on."""
        if self._server is not None:
            self._server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End both for good."""
        self.stop(kill=True)
        if self._etcd is not None:
            process.end(self._etcd, kill=True)
            self._etcd = None

    def clear(self, namespace: str) -> None:
        """Do what the absent namespace controller would: delete what tests leave behind."""
        listed = self.kubectl(
            "api-resources", "--namespaced", "--verbs=list,delete", "--api-group=foreshore.dev",
            "-o", "name",
        )  # fmt: skip
        kinds = ["pods", "leases", "configmaps", "services", *listed.split()]
        self.kubectl(
            "delete", ",".join(kinds), "--all", "-n", namespace, "--grace-period=0", "--force",
            "--wait=false",
        )  # fmt: skip
        self.kubectl("delete", "namespace", namespace, "--wait=false")

    def kubeconfig_for(self, user: str, *, group: str | None = None) -> Path:
        """A kubeconfig that authenticates as this user (and group, e.g. `system:nodes`)."""
        path = self.folder / "users" / f"{re.sub('[^a-z0-9-]', '_', user)}.kubeconfig"
        identity = self.authority.issue(common_name=user, organization=group or "people")
        return kubeconfig.with_certificate(
            path, name=self.name, server=self.server, identity=identity
        )

    def extension_service(
        self, *, group: str, version: str, service: str, namespace: str, port: int, authority: bytes
    ) -> None:
        """Register an aggregated API that listens on loopback at `port`.

        An ExternalName service stands for the cluster's service, since nothing routes service
        addresses here. The server's certificate must be for `<service>.<namespace>.svc`.
        Returns once the API server reports it Available.
        """
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": service, "namespace": namespace},
                "spec": {"type": "ExternalName", "externalName": "localhost"},
            },
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": f"{version}.{group}"},
                "spec": {
                    "group": group,
                    "version": version,
                    "groupPriorityMinimum": 1000,
                    "versionPriority": 15,
                    "caBundle": kubeconfig.encoded(authority),
                    "service": {"name": service, "namespace": namespace, "port": port},
                },
            },
        )
        self.kubectl(
            "wait", "--for=condition=Available", f"apiservice/{version}.{group}", "--timeout=60s"
        )

    def _is_ready(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            raise process.HarnessError(f"kube-apiserver ended: {process.tail(self.log)}")
        if not process.listens(ADDRESS, self.port):
            return False
        return process.succeeds(
            [tools.binary("kubectl"), "--kubeconfig", self.kubeconfig, "get", "--raw", "/readyz"]
        )

    def _write_keys(self) -> None:
        keys = self.folder / "keys"
        names = (ADDRESS, "localhost", "kubernetes", "kubernetes.default.svc", "10.96.0.1")
        self.authority.issue(*names).write(keys / "serving")
        self.front_proxy.issue(common_name=FRONT_PROXY).write(keys / "front-proxy")
        account = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (keys / "accounts.key").write_bytes(
            account.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        kubeconfig.with_certificate(
            self.kubeconfig,
            name=self.name,
            server=self.server,
            identity=self.authority.issue(
                common_name="harness:admin", organization="system:masters"
            ),
        )

    def _etcd_command(self) -> Sequence[str | Path]:
        client = f"http://{ADDRESS}:{self._etcd_port}"
        peer = f"http://{ADDRESS}:{self._etcd_peer_port}"
        return [
            tools.binary("etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _server_command(self) -> Sequence[str | Path]:
        keys = self.folder / "keys"
        return [
            tools.binary("kube-apiserver"),
            f"--etcd-servers=http://{ADDRESS}:{self._etcd_port}",
            f"--bind-address={ADDRESS}",
            f"--secure-port={self.port}",
            f"--cert-dir={keys}",
            f"--tls-cert-file={keys / 'serving' / 'tls.crt'}",
            f"--tls-private-key-file={keys / 'serving' / 'tls.key'}",
            f"--client-ca-file={keys / 'serving' / 'ca.crt'}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys / 'accounts.key'}",
            f"--service-account-signing-key-file={keys / 'accounts.key'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            # without a controller manager no account or namespace default appears in time
            "--disable-admission-plugins=ServiceAccount",
            f"--requestheader-client-ca-file={keys / 'front-proxy' / 'ca.crt'}",
            f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={keys / 'front-proxy' / 'tls.crt'}",
            f"--proxy-client-key-file={keys / 'front-proxy' / 'tls.key'}",
            "--shutdown-delay-duration=0s",
            "--allow-privileged=true",
            *self._audit_flags(),
        ]

    def _audit_flags(self) -> Sequence[str]:
        if self.audit is None:
            return ()
        policy = self.folder / "audit-policy.json"
        verbs = ["create", "update", "patch", "delete", "deletecollection", "list"]
        rules = [{"level": "Metadata", "verbs": verbs}, {"level": "None"}]
        document = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": rules,
        }
        policy.write_text(json.dumps(document))
        return (f"--audit-policy-file={policy}", f"--audit-log-path={self.audit}")
