"""The hashes that tie the records of a journal together. Called by the journal and by the hub."""

import hashlib


def link(previous: str, body: bytes) -> str:
    """Return the hash of a record that follows `previous`: over both, exactly as they travel."""
    return "sha256:" + hashlib.sha256(previous.encode() + body).hexdigest()
