"""The hash chain over a journal's exact bytes: how a record is numbered and linked.

`hash = SHA-256(previous hash ‖ body)`, both in the text form `sha256:<hex>` that travels, encoded
as ASCII, so that a person can check one link with `printf '%s' "$previous$body" | sha256sum`. The
first record follows `GENESIS`.
"""

from typing import Final

from foreshore_decision.record import link

__all__ = ["GENESIS", "NUMBER_LENGTH", "link", "stamp"]

GENESIS: Final = "sha256:" + "0" * 64
"""What the first record of a journal names as its predecessor."""

NUMBER_LENGTH: Final = 20
"""Digits of a sequence number in a body: text order is number order."""

_UNSTAMPED: Final = b'"sequence":""'


def stamp(body: bytes, sequence: int) -> bytes:
    """Fill in the CloudEvents attribute `sequence` where the writer of the body left it empty.

    Only the journal knows the number, and only at the moment of writing. A string inside the body
    cannot match: JSON escapes its quotes.
    """
    return body.replace(_UNSTAMPED, b'"sequence":"%020d"' % sequence, 1)
