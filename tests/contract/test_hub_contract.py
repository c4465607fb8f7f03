"""The hub's own contract: its description is committed, its migrations make its tables."""

from pathlib import Path

import sqlalchemy as sa
from alembic import autogenerate
from alembic.runtime import migration

from foreshore_hub import openapi, store, tables

ROOT = Path(__file__).parents[2]


def test_the_committed_description_of_the_door_is_current() -> None:
    committed = (ROOT / openapi.FILE).read_text()
    assert committed == openapi.render(), "run `uv run python -m foreshore_hub.openapi`"


def test_migrations_make_exactly_the_tables_that_the_store_uses(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    with engine.begin() as connection:
        store.migrate(connection)
        context = migration.MigrationContext.configure(connection, opts={"compare_type": True})
        differences = autogenerate.compare_metadata(context, tables.metadata)
    engine.dispose()
    assert differences == []


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    with engine.begin() as connection:
        store.migrate(connection)
        store.migrate(connection)
        assert connection.scalar(sa.text("select count(*) from alembic_version")) == 1
    engine.dispose()
