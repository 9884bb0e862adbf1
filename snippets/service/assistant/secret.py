"""The types of settings that must be real secrets."""

import re
from hashlib import sha256
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


HASH_LINE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}:[0-9a-f]{64}")

# What `sha256sum` says when the key was an empty variable.
HASHES_OF_NOTHING = {sha256(nothing).hexdigest() for nothing in (b"", b"\n")}


def hash_lines(secret: SecretStr) -> SecretStr:
    """Return lines of "name:hash", where white space of any kind separates two.

    A name may have several keys, so that one can be replaced while clients still use it; a key has one name. Raises a
    validation error, which quotes nothing, for what is not such a list.
    """
    lines = secret.get_secret_value().split()
    for number, line in enumerate(lines, 1):
        if not HASH_LINE.fullmatch(line):
            raise PydanticCustomError(
                "secret",
                "entry {number} is not name:hash, with the SHA-256 of a key as 64 digits",
                {"number": number},
            )
    hashes = [line.partition(":")[2] for line in lines]
    if not hashes or HASHES_OF_NOTHING & set(hashes):
        raise PydanticCustomError("secret", "no key; a line is name:hash, with the SHA-256 of a key as 64 digits")
    if len(set(hashes)) < len(hashes):
        raise PydanticCustomError("secret", "a key stands in it twice")
    return SecretStr("\n".join(lines))


SecretKeyHashes = Annotated[SecretStr, AfterValidator(hash_lines)]
