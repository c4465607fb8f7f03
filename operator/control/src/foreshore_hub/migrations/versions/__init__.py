"""Alembic's steps, in order of their number."""
