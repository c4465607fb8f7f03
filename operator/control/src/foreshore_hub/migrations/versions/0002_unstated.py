"""Bodies that are gone and not stated yet, counted a journal."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the store forward."""
    op.add_column("journals", sa.Column("unstated", sa.Integer, nullable=False, server_default="0"))
