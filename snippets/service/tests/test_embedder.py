import math
import subprocess
import sys
from pathlib import Path

from assistant.embedder import DIMENSIONS, embed


def likeness(one: str, other: str) -> float:
    return sum(a * b for a, b in zip(embed(one), embed(other), strict=True))


def test_every_process_makes_the_same_vector() -> None:
    program = "from assistant.embedder import embed; print(embed('Grüße aus Köln'))"
    service = Path(__file__).parents[1]
    printed = subprocess.run([sys.executable, "-c", program], cwd=service, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == str(embed("Grüße aus Köln"))


def test_a_vector_has_length_one() -> None:
    assert len(embed("a text")) == DIMENSIONS
    assert math.isclose(math.hypot(*embed("a text")), 1)


def test_a_short_text_has_a_direction() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    assert all(any(embed(f"{one} {other}")) for one in letters for other in letters)


def test_shared_words_make_texts_alike() -> None:
    assert likeness("the cat sleeps", "a sleeping cat") > likeness("the cat sleeps", "quarterly revenue")
