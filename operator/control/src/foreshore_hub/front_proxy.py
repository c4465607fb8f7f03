"""Which certificates kube-apiserver shows when it passes requests on.

It publishes them itself in `kube-system/extension-apiserver-authentication`. `main` reads them at
start and every minute; when they change, the aggregated API's listener is opened anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from foreshore_kube import api, kinds

NAMESPACE: Final = "kube-system"
NAME: Final = "extension-apiserver-authentication"
PERIOD_SECONDS: Final = 60.0


class NotPublishedError(Exception):
    """The API server says nothing of a front proxy: aggregation is not set up."""


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """The authority that must have signed the client certificate, and the names it may have."""

    authority: str
    names: frozenset[str]

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a verified certificate (as `getpeercert` gives it) is the proxy's."""
        if not certificate:
            return False
        if not self.names:
            return True
        subject = (pair for part in certificate.get("subject", ()) for pair in part)
        return any(key == "commonName" and value in self.names for key, value in subject)


def parse(document: Mapping[str, Any]) -> FrontProxy:
    """Return what the ConfigMap says. Raises NotPublishedError."""
    data = document.get("data") or {}
    authority = data.get("requestheader-client-ca-file", "")
    if not authority:
        raise NotPublishedError("the API server publishes no requestheader CA")
    names = orjson.loads(data.get("requestheader-allowed-names") or "[]")
    return FrontProxy(authority, frozenset(str(name) for name in names))


async def fetch(kube: api.KubeApi) -> FrontProxy:
    """Ask the API server. Raises api.ApiError, NotPublishedError."""
    return parse(await kube.get(kinds.CONFIG_MAPS, NAMESPACE, NAME))
