"""The built-in embedder: deterministic, without a model or a network.

It counts hashed word and letter groups, so texts that share words are near each other and nothing more. It keeps the
service complete where no model is at hand; a real model takes its place behind the same names and functions.
"""

import math
import re
from hashlib import blake2b

DIMENSIONS = 256
NAME = f"hash-{DIMENSIONS}"


def words(text: str) -> list[str]:
    """Return what the vector is made of. A text without words has no direction, and none is found by it."""
    return re.findall(r"\w+", text.casefold())


def embed(text: str) -> list[float]:
    """Return the text's unit vector. The same text gives the same vector in every process and on every machine.

    It computes for long: call it in a thread. asyncio.to_thread has four more of them than there are cores, 32 at most,
    and further calls wait. Python code only takes turns with other requests; a model's native code runs beside them.
    """
    vector = [0.0] * DIMENSIONS
    for word in words(text):
        padded = f"<{word}>"
        for feature in [padded, *(padded[i : i + 3] for i in range(len(padded) - 2))]:
            digest = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest())
            # Between -1 and 1: with two values only, the groups of a short text could cancel each other out.
            vector[digest % DIMENSIONS] += digest / 2**63 - 1
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else vector
