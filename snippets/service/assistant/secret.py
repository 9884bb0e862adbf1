"""The type of a setting that must be a real secret."""

import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_core import PydanticCustomError

MINIMUM_LENGTH = 16
MINIMUM_VARIETY = 6

# A value made of nothing but these words, digits and punctuation is a stand-in that somebody meant to replace.
PLACEHOLDER = re.compile(
    r"(?:a|admin|assistant|change|database|db|default|dummy|example|here|in|insert|it|key|long|me|my|new|now|password"
    r"|placeholder|please|postgres|production|random|replace|secret|some|strong|super|test|the|this|to|todo|token|value"
    r"|very|with|your|[\W\d_])+",
    re.IGNORECASE,
)


def usable(secret: SecretStr) -> SecretStr:
    """Return the secret without surrounding white space.

    Raises a validation error, which never quotes the value, for a placeholder and for one that can be guessed.
    """
    value = secret.get_secret_value().strip()
    if PLACEHOLDER.fullmatch(value):
        raise PydanticCustomError(
            "secret", "a placeholder; put a generated secret in its place, for example from: openssl rand -hex 32"
        )
    if len(value) < MINIMUM_LENGTH or len(set(value)) < MINIMUM_VARIETY:
        raise PydanticCustomError(
            "secret",
            "too easy to guess; use {length} characters or more, for example from: openssl rand -hex 32",
            {"length": MINIMUM_LENGTH},
        )
    return SecretStr(value)


Secret = Annotated[SecretStr, AfterValidator(usable)]
