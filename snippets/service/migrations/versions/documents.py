"""Documents, and the index that finds them by meaning."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector

revision = "documents"
down_revision = None


def upgrade() -> None:
    # A superuser has to create the extension beforehand, as pgvector is not marked as trusted; then this does nothing.
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "documents",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("embedding", Vector(256), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )
    op.create_index(
        "documents_embedding",
        "documents",
        ["embedding"],
        postgresql_using="hnsw",
        postgresql_ops={"embedding": "vector_cosine_ops"},
    )


def downgrade() -> None:
    op.drop_table("documents")
