"""The database URL that people write."""

import pytest

from foreshore_hub import store


@pytest.mark.parametrize(
    ("written", "driver"),
    [
        ("sqlite:////var/lib/foreshore/hub.db", "aiosqlite"),
        ("sqlite+aiosqlite:////var/lib/foreshore/hub.db", "aiosqlite"),
    ],
)
def test_a_plain_sqlite_url_does_not_crash_the_hub_at_start(written: str, driver: str) -> None:
    assert store.RecordStore(written).driver == driver
