"""Jobs that run in the background."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "jobs"
down_revision = "idempotency"


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("texts", JSONB, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.String),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("caller", sa.String, nullable=False),
        sa.Column("idempotency_key", sa.String),
    )
    op.create_index(
        "jobs_idempotency",
        "jobs",
        ["caller", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index("jobs_due", "jobs", ["due_at"], postgresql_where=sa.text("state IN ('queued', 'running')"))


def downgrade() -> None:
    op.drop_table("jobs")
