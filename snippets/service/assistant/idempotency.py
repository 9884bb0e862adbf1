"""The header with which a client may send a request again without having it done twice."""

from typing import Annotated

from fastapi import Header

# The name that a client gives to one request. Each caller has names of its own.
IdempotencyKey = Annotated[str | None, Header(pattern=r"^[\x21-\x7e]{1,255}$")]

OTHER_CONTENT = "This Idempotency-Key came with other content before."
