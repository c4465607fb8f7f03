"""The tables of the record store, as SQLAlchemy sees them; `migrations/` makes them.

A contract test compares both, so that a column added here without a migration fails.
"""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

identity = sa.Table(
    "identity",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("lineage", sa.String(36), nullable=False),
)
"""One row: who this store is. Generations of assignments count within a lineage."""

journals = sa.Table(
    "journals",
    metadata,
    sa.Column("journal", sa.String(64), primary_key=True),
    sa.Column("node", sa.String(253), nullable=False),
    sa.Column("acknowledged", sa.BigInteger, nullable=False),
    sa.Column("head", sa.String(71), nullable=False),
    sa.Column("flaws", sa.Integer, nullable=False, default=0),
    sa.Column("unstated", sa.Integer, nullable=False, server_default="0"),
)
"""One row a journal: whose it is, how far it is committed, the hash of its newest record, how many
records did not fit its chain, and how many came without body that a later record has to state."""

records = sa.Table(
    "records",
    metadata,
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
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
    sa.UniqueConstraint("journal", "sequence"),
    sa.Index(None, "decision"),
    sa.Index(None, "type", "namespace", "time", "id"),
    sa.Index(None, "type", "namespace", "device", "time", "id"),
    sa.Index(None, "type", "time", "id"),
)
"""The exact bytes of every record, and what people look for; `time` is microseconds since 1970."""

reaches = sa.Table(
    "reaches",
    metadata,
    sa.Column("node", sa.String(253), primary_key=True),
    sa.Column("namespace", sa.String(63), primary_key=True),
)
"""The namespaces a node was ever given devices of: it can write records into no other."""

assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("node", sa.String(253), primary_key=True),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
"""The newest assignment of each node: a hub that starts without an API server still serves it."""

renewals = sa.Table(
    "renewals",
    metadata,
    sa.Column("namespace", sa.String(63), primary_key=True),
    sa.Column("device", sa.String(63), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(253), nullable=False),
    sa.Column("lease_seconds", sa.Float, nullable=False),
)
"""Whom the hub renewed last for each device, written before the first renewal of an epoch
leaves."""
