"""Throw-away certificate authorities and the identities they issue, to brokers, doors, clients.

An identity is written the way every part of the product reads one: a folder with `ca.crt`,
`tls.crt` and `tls.key`, which is also what a mounted Secret looks like.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme

VALID = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Identity:
    """A certificate chain and its private key in PEM, with the authority that vouches for it."""

    certificate: bytes
    key: bytes
    authority: bytes

    def write(self, folder: Path) -> Path:
        """Write `ca.crt`, `tls.crt` and `tls.key` (mode 0600) into a folder; the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_bytes(self.authority)
        (folder / "tls.crt").write_bytes(self.certificate)
        key = folder / "tls.key"
        key.touch(mode=0o600)
        key.write_bytes(self.key)
        return folder


class Authority:
    """A certificate authority that lives as long as the test that made it, or as its folder."""

    def __init__(self, ca: trustme.CA | None = None) -> None:
        self._ca = ca or trustme.CA(organization_name="Foreshore harness")

    @classmethod
    def at(cls, folder: Path) -> "Authority":
        """The authority kept in a folder (`ca.crt`, `ca.key`), made there the first time."""
        certificate, key = folder / "ca.crt", folder / "ca.key"
        if certificate.exists() and key.exists():
            return cls(trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes()))
        authority = cls()
        folder.mkdir(parents=True, exist_ok=True)
        key.touch(mode=0o600)
        key.write_bytes(authority._ca.private_key_pem.bytes())
        certificate.write_bytes(authority.certificate)
        return authority

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate in PEM: what a peer must trust."""
        return self._ca.cert_pem.bytes()

    def issue(
        self,
        *names: str,
        common_name: str | None = None,
        organization: str | None = None,
        valid: datetime.timedelta = VALID,
    ) -> Identity:
        """An identity for these DNS names and addresses, good for servers and clients alike.

        A client needs no name, but an empty list of alternative names is one that Go refuses.
        """
        leaf = self._ca.issue_cert(
            *(names or ("client.invalid",)),
            common_name=common_name,
            organization_name=organization,
            not_after=datetime.datetime.now(datetime.UTC) + valid,
        )
        chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        return Identity(chain, leaf.private_key_pem.bytes(), self.certificate)
