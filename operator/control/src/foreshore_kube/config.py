"""Where the API server is and who we are: a kubeconfig, or the pod's own service account.

`api.KubeApi` calls it. The loaders are those of the Kubernetes client (contexts, merged files, exec
plugins, OIDC, projected tokens); only their result is kept, since its generated API classes are
slow on large lists.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes.aio import client as kubernetes_client

IN_CLUSTER_PERIOD = 60.0
"""Seconds between two readings of a projected token: kubelet replaces it well before it expires."""
KUBECONFIG_PERIOD = 600.0
"""Seconds between two runs of a kubeconfig's credential plugin, if nothing asks for it earlier."""
FORCED_PERIOD = 1.0
"""Seconds between two reloads that a 401 may force."""

Load = Callable[["kubernetes_client.Configuration"], Awaitable[None]]


class ClusterAccess:
    """Address, TLS context and bearer token of one API server.

    Only the token changes while the process runs; a rotated client certificate or authority takes
    effect with a restart.
    """

    def __init__(self, configuration: Any, load: Load, *, period: float) -> None:
        self.server: str = str(configuration.host).rstrip("/")
        self.tls = tls_context(configuration)
        self.server_hostname: str | None = getattr(configuration, "tls_server_name", None)
        self.proxy: str | None = configuration.proxy
        self.ca_path: str | None = configuration.ssl_ca_cert
        self.certificate_path: str | None = configuration.cert_file
        self.key_path: str | None = configuration.key_file
        self.is_insecure = not configuration.verify_ssl
        self._load = load
        self._period = period
        self._loaded = time.monotonic()
        self._token = bearer(configuration)
        self._lock = asyncio.Lock()

    async def headers(self) -> dict[str, str]:
        """The headers that authenticate a request, from a fresh enough token."""
        if self._token and time.monotonic() - self._loaded > self._period:
            await self._reload(self._period)
        return {"Authorization": self._token} if self._token else {}

    async def refresh(self) -> None:
        """Read the credential again because the API server refused it."""
        await self._reload(FORCED_PERIOD)

    async def _reload(self, period: float) -> None:
        async with self._lock:
            if time.monotonic() - self._loaded <= period:
                return  # somebody else did it meanwhile
            configuration = empty_configuration()
            await self._load(configuration)
            self._token = bearer(configuration)
            self._loaded = time.monotonic()


async def load(kubeconfig: Path | None = None, context: str | None = None) -> ClusterAccess:
    """The access of this process: the file given, else $KUBECONFIG, else the pod's own account.

    Raises:
        kubernetes.aio.config.ConfigException: no usable configuration.
    """
    from kubernetes.aio import config

    named = kubeconfig or os.environ.get("KUBECONFIG")

    async def from_file(configuration: Any) -> None:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(named),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )

    async def from_pod(configuration: Any) -> None:
        config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )

    source, period = (
        (from_file, KUBECONFIG_PERIOD) if named is not None else (from_pod, IN_CLUSTER_PERIOD)
    )
    configuration = empty_configuration()
    await source(configuration)
    return ClusterAccess(configuration, source, period=period)


def empty_configuration() -> Any:
    """A configuration that shares nothing with the client's process-wide default."""
    from kubernetes.aio import client

    return client.Configuration()


def bearer(configuration: Any) -> str:
    """The value of the Authorization header, or nothing with a client certificate."""
    written = str(configuration.api_key.get("BearerToken") or "").strip()
    scheme, _, token = written.rpartition(" ")
    return f"{scheme.capitalize() or 'Bearer'} {token}" if token else ""


def tls_context(configuration: Any) -> ssl.SSLContext:
    """The TLS context that checks the API server and carries our certificate, if we have one."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Kubernetes' own authorities often lack extensions that OpenSSL's strict mode asks for
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
