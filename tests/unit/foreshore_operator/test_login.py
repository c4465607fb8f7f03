"""Kopf's login: when it pauses, what it reads, what it says."""

import asyncio
import logging
from types import SimpleNamespace
from typing import cast

import kopf
import pytest

from foreshore_kube import backoff, config
from foreshore_operator.handlers import login

pytestmark = pytest.mark.looptime


class RotatedAccess:
    """The operator's access, as far as Kopf's login uses it."""

    server, ca_path, certificate_path, key_path = "https://there", None, None, None
    is_insecure = False

    def __init__(self) -> None:
        self.token = "first"
        self.reads = 0
        self.failure: Exception | None = None
        self._kept = "first"

    async def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._kept}"}

    async def refresh(self) -> None:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        self._kept = self.token


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses as long as their bound."""

    def uniform(_low: float, high: float) -> float:
        return high

    monkeypatch.setattr(backoff, "random", SimpleNamespace(uniform=uniform))


@pytest.fixture
def access() -> RotatedAccess:
    return RotatedAccess()


def login_with(access: RotatedAccess) -> login.KopfLogin:
    return login.KopfLogin(cast(config.ClusterAccess, access), asyncio.get_running_loop())


def now() -> float:
    return asyncio.get_running_loop().time()


async def moments(tries: int, kopf_login: login.KopfLogin) -> list[float]:
    """Seconds until each login, where each is refused at once."""
    began, ends = now(), []
    for _ in range(tries):
        await kopf_login.renew()
        ends.append(now() - began)
    return ends


@pytest.mark.usefixtures("longest")
async def test_a_login_that_does_not_hold_is_followed_by_pauses_that_grow_to_a_bound(
    access: RotatedAccess,
) -> None:
    kopf_login = login_with(access)
    ends = await moments(7, kopf_login)

    assert ends == pytest.approx([0, 1, 3, 7, 12, 17, 22], abs=0.01)


@pytest.mark.usefixtures("longest")
async def test_a_login_that_holds_is_a_success_and_the_next_waits_for_nothing(
    access: RotatedAccess,
) -> None:
    kopf_login = login_with(access)
    await moments(5, kopf_login)
    await asyncio.sleep(login.HOLDING + 0.1)

    assert await moments(3, kopf_login) == pytest.approx([0, 1, 3], abs=0.01)


@pytest.mark.usefixtures("longest")
async def test_a_login_that_does_not_quite_hold_is_none(access: RotatedAccess) -> None:
    kopf_login = login_with(access)
    await moments(4, kopf_login)
    await asyncio.sleep(login.HOLDING - 0.1)

    assert await moments(1, kopf_login) == pytest.approx([5], abs=0.01)


@pytest.mark.usefixtures("longest")
async def test_a_credential_that_is_rotated_during_a_pause_is_handed_over_after_it(
    access: RotatedAccess,
) -> None:
    """The one that is kept is what was refused."""
    kopf_login = login_with(access)
    await moments(6, kopf_login)
    waiting = asyncio.create_task(kopf_login.renew())
    began = now()
    await asyncio.sleep(4.0)
    access.token = "second"
    handed: kopf.ConnectionInfo = await waiting

    assert (handed.scheme, handed.token) == ("Bearer", "second")
    assert now() - began <= login.LONGEST


@pytest.mark.usefixtures("longest")
async def test_a_credential_that_cannot_be_read_is_tried_again_until_it_can(
    access: RotatedAccess, caplog: pytest.LogCaptureFixture
) -> None:
    """Kopf tried again after a minute, with a traceback."""
    kopf_login = login_with(access)
    caplog.set_level(logging.INFO, logger=login.__name__)
    access.failure = OSError("no such file")
    waiting = asyncio.create_task(kopf_login.renew())
    await asyncio.sleep(60.0)
    assert 10 < access.reads < 20
    access.failure, access.token = None, "second"
    began = now()
    handed = await waiting

    assert handed.token == "second"
    assert now() - began <= login.LONGEST
    (warning,) = caplog.records
    assert "OSError: no such file" in warning.getMessage()
    assert "ServiceAccount" in warning.getMessage(), "it says what to look at"


@pytest.mark.usefixtures("longest")
async def test_a_refusal_and_its_end_are_logged_once_each(
    access: RotatedAccess, caplog: pytest.LogCaptureFixture
) -> None:
    kopf_login = login_with(access)
    caplog.set_level(logging.INFO, logger=login.__name__)

    await moments(1, kopf_login)
    await asyncio.sleep(login.HOLDING + 0.1)
    assert caplog.records == [], "nothing was wrong"

    for _ in range(2):
        await moments(9, kopf_login)
        await asyncio.sleep(login.HOLDING + 0.1)
    levels = [entry.levelname for entry in caplog.records]
    assert levels == ["WARNING", "INFO"] * 2
