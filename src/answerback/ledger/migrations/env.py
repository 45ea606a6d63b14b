"""Alembic's way in: the caller's connection, in the caller's transaction."""

from alembic import context

from answerback.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table="schema_revision"
)
with context.begin_transaction():
    context.run_migrations()
