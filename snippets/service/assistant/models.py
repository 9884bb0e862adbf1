"""The tables."""

from datetime import datetime
from uuid import UUID, uuid4

from pgvector.sqlalchemy import Vector
from sqlalchemy import DateTime, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from assistant.embedder import DIMENSIONS


class Base(DeclarativeBase):
    pass


class Document(Base):
    """A text and the vector that it is found by."""

    __tablename__ = "documents"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    text: Mapped[str]
    embedding: Mapped[list[float]] = mapped_column(Vector(DIMENSIONS))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    # Who stored it, and the name that they gave to the request that did.
    caller: Mapped[str | None]
    idempotency_key: Mapped[str | None]

    __table_args__ = (
        Index(
            "documents_idempotency",
            "caller",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index(
            "documents_embedding",
            "embedding",
            postgresql_using="hnsw",
            postgresql_ops={"embedding": "vector_cosine_ops"},
        ),
    )


class Job(Base):
    """Texts that are to be stored in the background, and how far that has come."""

    __tablename__ = "jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    texts: Mapped[list[str]] = mapped_column(JSONB)
    # queued, running, done or failed.
    state: Mapped[str] = mapped_column(default="queued")
    # How many of the texts are stored.
    done: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    # When a job that is not finished by then is sent to the workers again.
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    caller: Mapped[str]
    idempotency_key: Mapped[str | None]

    __table_args__ = (
        Index(
            "jobs_idempotency",
            "caller",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("jobs_due", "due_at", postgresql_where=text("state IN ('queued', 'running')")),
    )
