"""Postgres: schema, actors, events, deployments, encryption.

The only package that knows SQLAlchemy, psycopg or cryptography. It calls the pure packages, never
the reverse.
"""
