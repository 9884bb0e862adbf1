"""Jobs that run in the background: handing them in, and asking how far they are.

A job is a row of the database. What is sent to the workers is only its id, so a message that is lost loses nothing, and
one that comes twice does nothing twice.
"""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID

from celery import Celery
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from kombu.exceptions import OperationalError
from pydantic import BaseModel, Field
from redis.exceptions import RedisError
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from assistant.deadline import DeadlineRoute
from assistant.documents import Text
from assistant.idempotency import OTHER_CONTENT, IdempotencyKey
from assistant.keys import CurrentCaller, known_caller
from assistant.models import Job
from assistant.queue import JOB, resend_after

MOST_TEXTS = 100

# A client waits for no broker longer than that.
SEND_SECONDS = 2
REST_SECONDS = 3

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/jobs", route_class=DeadlineRoute, dependencies=[Depends(known_caller)])


class NewJob(BaseModel):
    texts: Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]


class JobStatus(BaseModel):
    id: UUID
    state: Literal["queued", "running", "done", "failed"]
    total: int
    done: int
    attempts: int
    error: str | None


class Sender:
    """Sends jobs to the workers. Making one connects to nothing."""

    def __init__(self, queue: Celery) -> None:
        self._queue = queue
        # Of its own: sends that wait must not take the threads that compute.
        self._threads = ThreadPoolExecutor(max_workers=2)
        self._rest_until = 0.0

    async def send(self, job: UUID) -> bool:
        """Send a job. Returns False when the broker does not take it; then it is not asked for some seconds."""
        if time.monotonic() < self._rest_until:
            return False
        sending = asyncio.get_running_loop().run_in_executor(self._threads, self._queue.send_task, JOB, [str(job)])
        try:
            await asyncio.wait_for(sending, SEND_SECONDS)
        except (OperationalError, RedisError, TimeoutError) as error:
            self._rest_until = time.monotonic() + REST_SECONDS
            reason = str(error) or f"not done within {SEND_SECONDS} seconds"
            logger.warning("broker: not sent, the sweep will send what is queued now: %s", reason)
            return False
        return True


@router.post("", status_code=HTTPStatus.ACCEPTED)
async def queue(
    job: NewJob,
    request: Request,
    response: Response,
    caller: CurrentCaller,
    idempotency_key: IdempotencyKey = None,
) -> JobStatus:
    """Store a job and send it to the workers. With an Idempotency-Key that came before, return the job of then."""
    sessions = request.app.state.database.sessions
    new = insert(Job).values(
        texts=job.texts,
        caller=caller.name,
        idempotency_key=idempotency_key,
        due_at=func.now() + resend_after(request.app.state.settings),
    )
    new = new.on_conflict_do_nothing(
        index_elements=[Job.caller, Job.idempotency_key], index_where=Job.idempotency_key.is_not(None)
    )
    named = select(Job.id, Job.texts).filter_by(caller=caller.name, idempotency_key=idempotency_key)
    async with sessions.begin() as session:
        id = await session.scalar(new.returning(Job.id))
        is_new = id is not None
        if not is_new:
            # Another statement sees what was committed since the first began.
            earlier = (await session.execute(named)).one()
            if earlier.texts != job.texts:
                raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, OTHER_CONTENT)
            id = earlier.id
    if is_new and not await request.app.state.sender.send(id):
        async with sessions.begin() as session:
            await session.execute(update(Job).filter_by(id=id, state="queued").values(due_at=func.now()))
    response.headers["Location"] = f"{router.prefix}/{id}"
    return await status(id, request, caller)


@router.get("/{id}")
async def status(id: UUID, request: Request, caller: CurrentCaller) -> JobStatus:
    """Tell how far a job is. Nobody but its caller can see it."""
    total = func.jsonb_array_length(Job.texts).label("total")
    wanted = select(Job.id, Job.state, total, Job.done, Job.attempts, Job.error)
    async with request.app.state.database.sessions() as session:
        job = (await session.execute(wanted.where(Job.id == id, Job.caller == caller.name))).one_or_none()
    if job is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such job.")
    return JobStatus.model_validate(job, from_attributes=True)
