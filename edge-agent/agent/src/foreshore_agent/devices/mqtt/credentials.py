"""TLS from a folder of credentials by name: `<folder>/<name>/{ca.crt,tls.crt,tls.key}`.

Read at every connect, because certificates rotate. A folder without tls.crt gives a connection
without a client certificate; a folder without ca.crt gives none at all.
"""

import re
import socket
import ssl
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")


class CredentialError(ValueError):
    """A credential that is not there or cannot be used; the text never shows its content."""


class _Socket(ssl.SSLSocket):
    """A socket that does not outlive a failed handshake; the client library forgets it there."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is called
        """Shake hands, or close."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class _Context(ssl.SSLContext):
    """A context that checks the certificate against a name that is not the address."""

    sslsocket_class = _Socket
    server_name: str | None = None

    def wrap_socket(  # type: ignore[override]
        self, sock: socket.socket, server_hostname: str | None = None, **options: Any
    ) -> ssl.SSLSocket:
        """Wrap a socket, with the name to check."""
        name = self.server_name or server_hostname
        return super().wrap_socket(sock, server_hostname=name, **options)


def context(folder: Path | None, name: str, server_name: str | None) -> ssl.SSLContext:
    """Build the client's TLS context. Raises CredentialError."""
    if folder is None:
        raise CredentialError(f"credential {name!r} is needed, and no credentials folder is set")
    if not _NAME.fullmatch(name):
        raise CredentialError(f"{name!r} is no name of a credential")
    place = folder / name
    made = _Context(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.server_name = server_name
    try:
        made.load_verify_locations(cafile=place / "ca.crt")
        if (place / "tls.crt").exists():
            made.load_cert_chain(place / "tls.crt", place / "tls.key")
    except (OSError, ssl.SSLError) as error:
        raise CredentialError(f"credential {name!r} in {folder} cannot be used: {error}") from error
    return made
