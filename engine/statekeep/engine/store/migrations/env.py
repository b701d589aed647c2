"""How Alembic runs our revisions: on the connection that the caller hands over."""

from alembic import context

from statekeep.engine.store.schema import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
)

with context.begin_transaction():
    context.run_migrations()
