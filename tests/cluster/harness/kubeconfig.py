"""Kubeconfig files for the identities a test acts as."""

import base64
from pathlib import Path
from typing import Any

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


def with_token(path: Path, *, origin: Path, token: str) -> Path:
    """Write a kubeconfig for the same server with a bearer token instead of `origin`'s user."""
    document = yaml.safe_load(origin.read_text())
    document["users"] = [
        {"name": user["name"], "user": {"token": token}} for user in document["users"]
    ]
    return save(path, document)


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
    return save(path, document)


def save(path: Path, document: dict[str, Any]) -> Path:
    """Write it for its owner's eyes only; the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def encoded(data: bytes) -> str:
    """Bytes as a kubeconfig carries them."""
    return base64.b64encode(data).decode()
