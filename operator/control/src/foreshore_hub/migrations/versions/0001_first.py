"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the store forward."""
    op.create_table(
        "identity",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("lineage", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity"),
    )
    op.create_table(
        "journals",
        sa.Column("journal", sa.String(64), nullable=False),
        sa.Column("node", sa.String(253), nullable=False),
        sa.Column("acknowledged", sa.BigInteger, nullable=False),
        sa.Column("head", sa.String(71), nullable=False),
        sa.Column("flaws", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("journal", name="pk_journals"),
    )
    _create_records()
    op.create_table(
        "reaches",
        sa.Column("node", sa.String(253), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.PrimaryKeyConstraint("node", "namespace", name="pk_reaches"),
    )
    op.create_table(
        "assignments",
        sa.Column("node", sa.String(253), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_assignments"),
    )
    op.create_table(
        "renewals",
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("device", sa.String(63), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String(253), nullable=False),
        sa.Column("lease_seconds", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("namespace", "device", name="pk_renewals"),
    )


def _create_records() -> None:
    op.create_table(
        "records",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("journal", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.String(71), nullable=False),
        sa.Column("hash", sa.String(71), nullable=False),
        sa.Column("is_intact", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("decision", sa.String(64)),
        sa.Column("device", sa.String(63)),
        sa.Column("policy", sa.String(63)),
        sa.Column("verdict", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_records"),
        sa.UniqueConstraint("journal", "sequence", name="uq_records_journal_sequence"),
    )
    for columns in (
        ["decision"],
        ["type", "namespace", "time", "id"],
        ["type", "namespace", "device", "time", "id"],
        ["type", "time", "id"],
    ):
        op.create_index(f"ix_records_{'_'.join(columns)}", "records", columns)


def downgrade() -> None:
    """A store never goes back: restore the copy that was made before."""
    raise NotImplementedError
