"""Storing documents and finding them by meaning."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, StringConstraints
from sqlalchemy import select

from assistant.deadline import DeadlineRoute
from assistant.embedder import NAME, embed
from assistant.models import Document

router = APIRouter(prefix="/v1", route_class=DeadlineRoute)

# One word at least, as a text without any has no direction; no NUL, which PostgreSQL cannot store.
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000, pattern=r"^[^\x00]*\w[^\x00]*$")]


class NewDocument(BaseModel):
    text: Text


class StoredDocument(BaseModel):
    id: UUID
    embedder: str = NAME


class Match(BaseModel):
    id: UUID
    text: str
    score: float


class Matches(BaseModel):
    embedder: str = NAME
    matches: list[Match]


@router.post("/documents", status_code=201)
async def store(document: NewDocument, request: Request) -> StoredDocument:
    stored = Document(text=document.text, embedding=embed(document.text))
    async with request.app.state.database.sessions.begin() as session:
        session.add(stored)
    return StoredDocument(id=stored.id)


# The index returns no more than this for one query: the default of PostgreSQL's hnsw.ef_search.
MOST_MATCHES = 40


@router.get("/search")
async def search(
    request: Request, q: Annotated[Text, Query()], limit: Annotated[int, Query(ge=1, le=MOST_MATCHES)] = 10
) -> Matches:
    distance = Document.embedding.cosine_distance(embed(q)).label("distance")
    nearest = select(Document.id, Document.text, distance).order_by(distance).limit(limit)
    async with request.app.state.database.sessions() as session:
        rows = await session.execute(nearest)
    return Matches(matches=[Match(id=row.id, text=row.text, score=1 - row.distance) for row in rows])
