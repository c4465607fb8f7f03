"""What a client shows a broker, from a folder of credentials by name.

    <folder>/<name>/  ca.crt              whose certificates a broker of TLS may have
                      tls.crt, tls.key    the client's own certificate, where there is one
                      username, password  of the client, where there are; also without TLS

Read at every connect, because certificates and passwords rotate.
"""

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MAXIMUM_BYTES: Final = 4096
"""Of a user name or a password; MQTT has room for 64 KiB, and no broker asks for so much."""
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")


class CredentialError(ValueError):
    """A credential that is not there or cannot be used; the text never shows its content."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and a password; neither is ever shown."""

    user: str = field(repr=False)
    password: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class BrokerCredential:
    """What one credential holds."""

    tls: ssl.SSLContext | None
    """None for plain TCP."""
    login: Login | None


def read(folder: Path | None, name: str, *, is_tls: bool) -> BrokerCredential:
    """Read a credential. Raises CredentialError.

    For a broker without TLS it must hold a user name: nothing else of it could be shown there.
    """
    if folder is None:
        raise CredentialError(f"credential {name!r} is needed, and no credentials folder is set")
    if not _NAME.fullmatch(name):
        raise CredentialError(f"{name!r} is no name of a credential")
    place = folder / name
    try:
        login = _login(place)
        tls = _context(place) if is_tls else None
    except (OSError, ssl.SSLError) as error:
        raise CredentialError(f"credential {name!r} in {folder} cannot be used: {error}") from error
    except ValueError as error:
        raise CredentialError(f"credential {name!r} in {folder}: {error}") from error
    if not is_tls and login is None:
        raise CredentialError(
            f"credential {name!r} in {folder} holds no username, and a broker with transport Plain"
            " is shown nothing else of a credential: add the files username and password, or"
            " remove the credential from the Site"
        )
    return BrokerCredential(tls, login)


def _context(place: Path) -> ssl.SSLContext:
    """Build the client's TLS context. Raises OSError, SSLError, ValueError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # TLS 1.2 lets a broker ask for new keys at any time: a write would then wait for a read
    made.options |= ssl.OP_NO_RENEGOTIATION
    for needed in ("ca.crt", *(["tls.key"] if (place / "tls.crt").exists() else [])):
        if not (place / needed).exists():  # which one, OpenSSL does not say
            raise ValueError(f"it holds no {needed}, which a broker with transport TLS needs")
    made.load_verify_locations(cafile=place / "ca.crt")
    if (place / "tls.crt").exists():
        made.load_cert_chain(place / "tls.crt", place / "tls.key")
    return made


def _login(place: Path) -> Login | None:
    """Read user name and password, if there are any. Raises OSError, ValueError."""
    user, password = _content(place / "username"), _content(place / "password")
    if user is None:
        if password is not None:
            raise ValueError("it holds a password and no username")
        return None
    try:
        name = user.decode()
    except UnicodeDecodeError:
        raise ValueError("its username is no UTF-8") from None
    if not name or "\0" in name:
        raise ValueError("its username is empty, or holds what MQTT does not allow")
    return Login(name, password)


def _content(file: Path) -> bytes | None:
    """Read a short file without the new line that editors end it with; None: it is not there."""
    if not file.exists():
        return None
    with file.open("rb") as opened:
        content = opened.read(MAXIMUM_BYTES + 2)
    content = content.removesuffix(b"\n")
    if len(content) > MAXIMUM_BYTES:
        raise ValueError(f"its {file.name} is longer than {MAXIMUM_BYTES} bytes")
    return content
