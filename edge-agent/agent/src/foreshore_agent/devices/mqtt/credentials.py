"""TLS from a folder of credentials by name: `<folder>/<name>/{ca.crt,tls.crt,tls.key}`.

Read at every connect, because certificates rotate. A folder without tls.crt gives a connection
without a client certificate; a folder without ca.crt gives none at all.
"""

import re
import ssl
from pathlib import Path

_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")


class CredentialError(ValueError):
    """A credential that is not there or cannot be used; the text never shows its content."""


def context(folder: Path | None, name: str) -> ssl.SSLContext:
    """Build the client's TLS context. Raises CredentialError."""
    if folder is None:
        raise CredentialError(f"credential {name!r} is needed, and no credentials folder is set")
    if not _NAME.fullmatch(name):
        raise CredentialError(f"{name!r} is no name of a credential")
    place = folder / name
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # TLS 1.2 lets a broker ask for new keys at any time: a write would then wait for a read
    made.options |= ssl.OP_NO_RENEGOTIATION
    try:
        made.load_verify_locations(cafile=place / "ca.crt")
        if (place / "tls.crt").exists():
            made.load_cert_chain(place / "tls.crt", place / "tls.key")
    except (OSError, ssl.SSLError) as error:
        raise CredentialError(f"credential {name!r} in {folder} cannot be used: {error}") from error
    return made
