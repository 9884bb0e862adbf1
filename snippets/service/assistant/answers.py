"""Answers to questions, from what the documents say, as a stream of server-sent events.

    event: sources    {"sources": [{"id": ..., "score": ...}, ...]}
    event: token      {"text": ...}
    event: done       {"finish_reason": "stop"}
    event: error      a problem, as other routes answer with it

A stream ends with `done` or `error`; one that ends without was cut off on its way.
"""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.sse import format_sse_event
from openai.types.chat import ChatCompletionMessageParam
from prometheus_client import Counter
from pydantic import BaseModel
from starlette.datastructures import State

from assistant.deadline import DeadlineRoute
from assistant.documents import Match, Matches, Text, search
from assistant.keys import known_caller
from assistant.problems import problem
from assistant.provider import ProviderError
from assistant.stream import HEARTBEAT, EventStream, paced

SOURCES = 3

ANSWERS = Counter("assistant_answers", "Answers by how they ended", ["outcome"])

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1", route_class=DeadlineRoute, dependencies=[Depends(known_caller)])


class Question(BaseModel):
    question: Text


@router.post("/answers")
async def answer(question: Question, request: Request) -> EventStream:
    """Answer a question. What goes wrong before the stream begins has a status of its own, as for other routes."""
    found = await search(request, question.question, SOURCES)
    sources = Matches.model_validate_json(bytes(found.body)).matches
    return EventStream(events(request.app.state, question.question, sources))


async def events(state: State, question: str, sources: list[Match]) -> AsyncGenerator[bytes]:
    """Yield the events of an answer, and a heartbeat where none comes for long."""
    settings = state.settings
    finish_reason = None
    # The one that stays when nobody takes the next event.
    outcome = "left"
    try:
        yield event("sources", {"sources": [{"id": str(match.id), "score": match.score} for match in sources]})
        pieces = state.provider.stream(prompt(question, sources))
        async with aclosing(paced(pieces, settings.heartbeat_seconds, settings.answer_timeout_seconds)) as steady:
            async for piece in steady:
                if piece is None:
                    yield HEARTBEAT
                    continue
                finish_reason = piece.finish_reason
                if piece.text:
                    yield event("token", {"text": piece.text})
        outcome = "done"
        yield event("done", {"finish_reason": finish_reason})
    except ProviderError as error:
        logger.warning("provider: %s: %s", error.kind, error.for_log())
        outcome = error.kind
        yield failure(error.status, str(error))
    except TimeoutError as error:
        logger.warning("answer given up: %s", error)
        outcome = "timeout"
        yield failure(HTTPStatus.GATEWAY_TIMEOUT, "The answer took too long.")
    except Exception:
        logger.exception("answer failed")
        outcome = "failed"
        yield failure(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed. The log has the request id.")
    finally:
        ANSWERS.labels(outcome).inc()


def prompt(question: str, sources: list[Match]) -> list[ChatCompletionMessageParam]:
    """Return what the model is asked."""
    texts = "\n\n".join(f"[{number}] {source.text}" for number, source in enumerate(sources, 1))
    return [
        {"role": "system", "content": f"Answer from these sources, and say so when they do not tell.\n\n{texts}"},
        {"role": "user", "content": question},
    ]


def event(name: str, data: dict[str, Any]) -> bytes:
    return format_sse_event(event=name, data_str=json.dumps(data))


def failure(status: HTTPStatus, detail: str) -> bytes:
    return format_sse_event(event="error", data_str=bytes(problem(status, detail).body).decode())
