"""How Alembic runs our revisions: on the connection that the caller hands over."""

from alembic import context

from statekeep.engine.store.schema import SCHEMA, metadata

# Alembic runs this file as a script; whoever merely imports it (pytest, for doctests) has no context.
if hasattr(context, "config"):
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
    )
    with context.begin_transaction():
        context.run_migrations()
