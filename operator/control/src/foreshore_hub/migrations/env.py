"""Alembic's entry: `store.migrate` hands over a connection, a developer's shell gives a URL."""

import sqlalchemy as sa
from alembic import context

from foreshore_hub import tables

connection: sa.Connection | None = context.config.attributes.get("connection")
if connection is None:
    engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url") or "sqlite://")
    connection = engine.connect()
context.configure(connection=connection, target_metadata=tables.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
