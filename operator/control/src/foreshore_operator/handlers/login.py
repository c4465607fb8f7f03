"""Kopf's login: the operator's own access, with pauses where the API server refuses it.

Kopf asks for it at its start, when the last one expires, and after each 401 at once: a credential
that stays refused would have every watch repeat its request without a pause. The supervisor makes
one for each life of Kopf.

    asked ─► the last one held? ── yes ─────────────► read the credential anew ─► handed to Kopf
                  └─ no ─► pause (backoff, full jitter) ──┘      │
                             └──────────── cannot be read ◄──────┘
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from typing import Any, Final

import kopf

from foreshore_kube import backoff, config

log = logging.getLogger(__name__)

FIRST: Final = 1.0
LONGEST: Final = 5.0
"""Seconds that bound the pauses from the first to the last: a rotated credential is in use within
the longer."""
HOLDING: Final = 10.0
"""Seconds after which a login that is still in use counts as a success."""
VALIDITY: Final = datetime.timedelta(seconds=300)
"""After this time Kopf asks anew: tokens are replaced well before they expire."""


class KopfLogin:
    """Kopf's login handler, for one life of Kopf."""

    def __init__(self, access: config.ClusterAccess, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` is the operator's, in which `access` is used."""
        self._access = access
        self._loop = loop
        self._waits = backoff.delays(FIRST, LONGEST)
        self._success: asyncio.TimerHandle | None = None
        """Pending while the last login has not yet held for long enough."""
        self._is_reported = False

    async def renew(self, **_: Any) -> kopf.ConnectionInfo:
        """The access in Kopf's words, at once if the last one held, else after a pause.

        The credential is read after the pause: the one that is kept is what was refused.
        """
        if self._success is not None:
            self._success.cancel()
            await self._pause("the API server refuses it (401) or closes its connections")
        while True:
            read = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
            try:
                headers = await asyncio.wrap_future(read)
                break
            except Exception as error:  # a credential plugin may raise anything
                log.debug("the credential cannot be read", exc_info=True)
                await self._pause(f"it cannot be read: {type(error).__name__}: {error}"[:500])
        self._success = asyncio.get_running_loop().call_later(HOLDING, self._begin_anew)
        return self._connection(headers)

    async def _read(self) -> dict[str, str]:
        await self._access.refresh()
        return await self._access.headers()

    async def _pause(self, cause: str) -> None:
        if not self._is_reported:
            self._is_reported = True
            log.warning(
                "kopf cannot log in with the operator's credential: %s. It is read anew and tried"
                " again at least every %.0f s; if this lasts, see that the operator's"
                " ServiceAccount and token, or the user of its kubeconfig, are valid",
                cause,
                LONGEST,
            )
        await asyncio.sleep(next(self._waits))

    def _begin_anew(self) -> None:
        """Take the login for a success."""
        self._success = None
        self._waits = backoff.delays(FIRST, LONGEST)
        if self._is_reported:
            self._is_reported = False
            log.info("kopf is logged in again: its login has held for %.0f s", HOLDING)

    def _connection(self, headers: dict[str, str]) -> kopf.ConnectionInfo:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        renewal = datetime.datetime.now(datetime.UTC) + VALIDITY
        return kopf.ConnectionInfo(
            server=self._access.server,
            ca_path=self._access.ca_path,
            insecure=self._access.is_insecure,
            scheme=scheme or None,
            token=token or None,
            certificate_path=self._access.certificate_path,
            private_key_path=self._access.key_path,
            expiration=renewal if token else None,
        )
