"""Storing documents and finding them by meaning."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import select

from assistant.deadline import DeadlineRoute
from assistant.embedder import NAME, embed, words
from assistant.models import Document

router = APIRouter(prefix="/v1", route_class=DeadlineRoute)


def usable(text: str) -> str:
    """Return the text as it is. Raises a validation error for one that cannot be stored or found."""
    if "\x00" in text:
        raise PydanticCustomError("text", "The text holds a NUL character, which PostgreSQL cannot store")
    if not words(text):
        raise PydanticCustomError("text", "The text holds no word that it could be found by")
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000), AfterValidator(usable)]


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
    stored = Document(text=document.text, embedding=await asyncio.to_thread(embed, document.text))
    async with request.app.state.database.sessions.begin() as session:
        session.add(stored)
    return StoredDocument(id=stored.id)


# The index returns no more than this for one query: the default of PostgreSQL's hnsw.ef_search.
MOST_MATCHES = 40


@router.get("/search")
async def search(
    request: Request, q: Annotated[Text, Query()], limit: Annotated[int, Query(ge=1, le=MOST_MATCHES)] = 10
) -> Matches:
    distance = Document.embedding.cosine_distance(await asyncio.to_thread(embed, q)).label("distance")
    nearest = select(Document.id, Document.text, distance).order_by(distance).limit(limit)
    async with request.app.state.database.sessions() as session:
        rows = await session.execute(nearest)
    return Matches(matches=[Match(id=row.id, text=row.text, score=1 - row.distance) for row in rows])
