"""Alembic revisions, oldest first; they only go forward, each in one transaction."""
