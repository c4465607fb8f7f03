"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the store forward."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """A store never goes back: restore the copy that was made before."""
    raise NotImplementedError
