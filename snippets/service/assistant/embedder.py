"""The built-in embedder: deterministic, without a model or a network.

It counts hashed word and letter groups, so texts that share words are near each other and nothing more. It keeps the
service complete where no model is at hand; a real model takes its place behind the same two names and function.
"""

import math
import re
from hashlib import blake2b

DIMENSIONS = 256
NAME = f"hash-{DIMENSIONS}"


def embed(text: str) -> list[float]:
    """Return the text's unit vector. The same text gives the same vector in every process and on every machine."""
    vector = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.casefold()):
        padded = f"<{word}>"
        for feature in [padded, *(padded[i : i + 3] for i in range(len(padded) - 2))]:
            digest = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest())
            vector[digest % DIMENSIONS] += 1.0 if digest >> 63 else -1.0
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else vector
