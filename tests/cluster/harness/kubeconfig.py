"""Kubeconfig files for the identities a test acts as."""

import base64
from pathlib import Path

import yaml

from harness import certificates


def with_certificate(
    path: Path, *, name: str, server: str, identity: certificates.Identity
) -> Path:
    """Write a kubeconfig that authenticates with a client certificate; its path."""
    user = {
        "client-certificate-data": encoded(identity.certificate),
        "client-key-data": encoded(identity.key),
    }
    return write(path, name=name, server=server, authority=identity.authority, user=user)


def with_token(path: Path, *, name: str, server: str, authority: bytes, token: str) -> Path:
    """Write a kubeconfig that authenticates with a bearer token; its path."""
    return write(path, name=name, server=server, authority=authority, user={"token": token})


def write(path: Path, *, name: str, server: str, authority: bytes, user: dict[str, str]) -> Path:
    """Write a kubeconfig with one cluster, one user and one context of the same name."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": server, "certificate-authority-data": encoded(authority)},
            }
        ],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def encoded(data: bytes) -> str:
    """Bytes as a kubeconfig carries them."""
    return base64.b64encode(data).decode()
