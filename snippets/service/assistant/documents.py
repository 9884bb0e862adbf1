"""Storing documents and finding them by meaning."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import AfterValidator, BaseModel, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from assistant.cache import lifetime
from assistant.deadline import DeadlineRoute
from assistant.embedder import NAME, embed, words
from assistant.idempotency import OTHER_CONTENT, IdempotencyKey
from assistant.keys import CurrentCaller, known_caller
from assistant.metrics import SEARCHES
from assistant.models import Document

router = APIRouter(prefix="/v1", route_class=DeadlineRoute, dependencies=[Depends(known_caller)])


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
async def store(
    document: NewDocument,
    request: Request,
    response: Response,
    caller: CurrentCaller,
    idempotency_key: IdempotencyKey = None,
) -> StoredDocument:
    """Store a document. With an Idempotency-Key that stored one before, return that one's id, with status 200."""
    new = insert(Document).values(
        text=document.text,
        embedding=await asyncio.to_thread(embed, document.text),
        caller=caller.name,
        idempotency_key=idempotency_key,
    )
    new = new.on_conflict_do_nothing(
        index_elements=[Document.caller, Document.idempotency_key],
        index_where=Document.idempotency_key.is_not(None),
    ).returning(Document.id)
    named = select(Document.id, Document.text).filter_by(caller=caller.name, idempotency_key=idempotency_key)
    may_be_stored = False
    try:
        async with request.app.state.database.sessions.begin() as session:
            id = await session.scalar(new)
            may_be_stored = True
            if id is None:
                # Another statement sees what was committed since the first began.
                earlier = (await session.execute(named)).one()
                if earlier.text != document.text:
                    raise HTTPException(422, OTHER_CONTENT)
                id = earlier.id
                response.status_code = 200
    finally:
        # Whether or not anybody learns that it was stored; a client that asks again may be the one who does.
        if may_be_stored:
            await request.app.state.cache.forget()
    return StoredDocument(id=id)


# The index returns no more than this for one query: the default of PostgreSQL's hnsw.ef_search.
MOST_MATCHES = 40


@router.get("/search")
async def search(
    request: Request,
    q: Annotated[Text, Query()],
    limit: Annotated[int, Query(ge=1, le=MOST_MATCHES)] = 10,
) -> Response:
    """Return the nearest documents as Matches; Cache-Status tells whether they were asked for before."""
    cache = request.app.state.cache
    place = await cache.place(q, limit)
    kept = await cache.get(place) if place else None
    if kept is not None:
        SEARCHES.labels("hit").inc()
        return answer(kept, "hit")
    distance = Document.embedding.cosine_distance(await asyncio.to_thread(embed, q)).label("distance")
    nearest = select(Document.id, Document.text, distance).order_by(distance).limit(limit)
    async with request.app.state.database.sessions() as session:
        rows = await session.execute(nearest)
    matches = [Match(id=row.id, text=row.text, score=1 - row.distance) for row in rows]
    found = Matches(matches=matches).model_dump_json().encode()
    if place is None:
        SEARCHES.labels("away").inc()
        return answer(found, "fwd=bypass")
    best = matches[0].score if matches else None
    await cache.put(place, found, lifetime(request.app.state.settings.cache_ttl_seconds, q, best))
    SEARCHES.labels("miss").inc()
    return answer(found, "fwd=miss")


def answer(matches: bytes, cache_status: str) -> Response:
    """Return the matches, with the header of RFC 9211."""
    return Response(matches, media_type="application/json", headers={"Cache-Status": f"assistant; {cache_status}"})
