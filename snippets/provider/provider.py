"""A stand-in for a model provider: it speaks the chat part of OpenAI's API, and there is no model behind it.

It keeps a stack complete where no provider is at hand, and fails when it is asked to. The last message of a request
decides what it does:

    be slow 5       the first token comes after 5 seconds
    drip 50         50 tokens, one each 100 milliseconds
    pause 5         5 seconds pass between the first two tokens
    cut             the connection closes in the middle of the answer
    answer 429      this status, with Retry-After where it is 429 or 503
    fail once ID    status 500 the first time that this ID is asked for

Everything else is answered with a sentence that repeats it. Each request is a line of the log, which tells how it
ended: `done`, `cut`, `refused`, or `left` when the client went away.
"""

import json
import re
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from threading import Thread
from typing import Any

TOKEN_SECONDS = 0.02
DRIP_SECONDS = 0.1
LONGEST_BODY = 1024 * 1024
RETRY_AFTER_SECONDS = 1
FAILURES = [status for status in HTTPStatus if status >= 400]

# The IDs that have failed once.
failed: set[str] = set()

# A token, and how long it takes.
Token = tuple[float, str]


class Refused(Exception):
    """The request ends with this status."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Cut(Exception):
    """The connection is to be closed in the middle of the answer."""


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


def tokens(question: str) -> Iterator[Token]:
    """Yield the answer to a question. Raises Refused and Cut where the question asks for it."""
    command, _, argument = question.strip().rpartition(" ")
    number = float(argument) if re.fullmatch(r"\d{1,4}(\.\d+)?", argument) else None
    pace = TOKEN_SECONDS
    answer = f"There is no model here; you said: {question.strip()}"
    if command == "answer" and number in FAILURES:
        raise Refused(HTTPStatus(int(argument)), "This is what the question asks for.")
    if command == "fail once" and argument not in failed:
        failed.add(argument)
        raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "This is what the question asks for, once.")
    if command == "drip" and number is not None:
        pace, answer = DRIP_SECONDS, " ".join(f"drop-{drop}" for drop in range(1, int(number) + 1))

    words = re.findall(r"\S+\s*", answer)
    for index, word in enumerate(words):
        wait = pace
        if number is not None and (command, index) in (("be slow", 0), ("pause", 1)):
            wait = number
        yield wait, word
        if question.strip() == "cut" and index == len(words) // 2:
            raise Cut


class Provider(ThreadingHTTPServer):
    """A thread for each request. Closing it waits for the answers that have begun."""

    daemon_threads = False
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    """One connection, and one request on it: connections that wait for a next one would hold up a stop."""

    server_version = "stand-in"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    # For a client that connects and says nothing, or reads nothing.
    timeout = 10
    # Tokens.
    sent = 0

    def do_GET(self) -> None:
        if self.path == "/health/live":
            self.answer(HTTPStatus.OK, {"state": "up"})
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def do_POST(self) -> None:
        status, outcome = HTTPStatus.OK, "done"
        try:
            request = self.read()
            answer = tokens(request["messages"][-1]["content"])
            # What is refused is refused here, before an answer has begun.
            answer = chain([next(answer)], answer)
            if request.get("stream"):
                self.stream(request["model"], answer)
            else:
                self.complete(request["model"], answer)
        except Refused as refused:
            status, outcome = refused.status, "refused"
            self.refuse(status, str(refused))
        except Cut:
            outcome = "cut"
        except (ClientLeft, OSError):
            outcome = "left"
        asked_by = self.headers.get("X-Client-Request-Id")
        log("request", status=status, outcome=outcome, tokens=self.sent, request_id=asked_by)

    def read(self) -> dict[str, Any]:
        """Return the request. Raises Refused when it is not one."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            raise Refused(HTTPStatus.BAD_REQUEST, f"The body has no length, or more than {LONGEST_BODY} bytes.")
        body = self.rfile.read(int(length))
        if self.path != "/v1/chat/completions":
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if not re.fullmatch(r"Bearer \S+", self.headers.get("Authorization", "")):
            raise Refused(HTTPStatus.UNAUTHORIZED, "A key is missing: Authorization: Bearer ...")
        try:
            request = json.loads(body)
            if isinstance(request["model"], str) and isinstance(request["messages"][-1]["content"], str):
                return request
        except (ValueError, LookupError, TypeError):
            pass
        raise Refused(HTTPStatus.BAD_REQUEST, "The body holds no model, or no messages with a text.")

    def complete(self, model: str, answer: Iterable[Token]) -> None:
        """Send the answer as one."""
        whole = ""
        for seconds, text in answer:
            self.wait(seconds)
            whole += text
            self.sent += 1
        self.answer(HTTPStatus.OK, completion(model, whole))

    def stream(self, model: str, answer: Iterable[Token]) -> None:
        """Send the answer token by token."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        for seconds, text in answer:
            self.wait(seconds)
            self.send_event(json.dumps(chunk(model, {"role": "assistant", "content": text})))
            self.sent += 1
        self.send_event(json.dumps(chunk(model, {}, "stop")))
        self.send_event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def send_event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

    def wait(self, seconds: float) -> None:
        """Let the time pass. Raises ClientLeft as soon as the client closes the connection."""
        # A client that waits for its answer sends nothing: what can be read is the end of the connection.
        if select.select([self.connection], [], [], seconds)[0]:
            raise ClientLeft

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        self.answer(status, {"error": {"message": reason, "type": "stand_in", "code": str(status.value)}})

    def answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            self.send_header("Retry-After", str(RETRY_AFTER_SECONDS))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: health checks would drown the rest, and a request has a line of its own."""


def chunk(model: str, delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    """Return a part of an answer."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "stand-in", "object": "chat.completion.chunk", "created": now(), "model": model, "choices": [choice]}


def completion(model: str, text: str) -> dict[str, Any]:
    """Return a whole answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "stand-in", "object": "chat.completion", "created": now(), "model": model, "choices": [choice]}


def now() -> int:
    return int(time.time())


def log(message: str, **fields: object) -> None:
    line = {"time": datetime.now(UTC).isoformat(), "level": "INFO", "logger": "provider", "message": message, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    provider = Provider((sys.argv[1] if sys.argv[1:] else "0.0.0.0", 9000), Handler)

    def stop(*signal_and_frame: object) -> None:
        # shutdown waits for the loop that this handler interrupts.
        Thread(target=provider.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log("listening at port 9000")
    provider.serve_forever()
    provider.server_close()
    log("stopped")


if __name__ == "__main__":
    main()
