"""Who stored a document, and under which Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

revision = "idempotency"
down_revision = "documents"


def upgrade() -> None:
    # Both may be empty, so the release before goes on storing documents while this one starts.
    op.add_column("documents", sa.Column("caller", sa.String))
    op.add_column("documents", sa.Column("idempotency_key", sa.String))
    op.create_index(
        "documents_idempotency",
        "documents",
        ["caller", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("documents_idempotency", "documents")
    op.drop_column("documents", "idempotency_key")
    op.drop_column("documents", "caller")
