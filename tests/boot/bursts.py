"""Sends more requests at a time than a stack takes from one address."""

from collections import Counter
from pathlib import Path

from handbook import tools

from .client import Client

# curl's own most.
AT_A_TIME = 300
MANY = 500


def burst(client: Client, folder: Path) -> tuple[Counter[tuple[int, str]], list[str]]:
    """Send requests without a key, as many at a time as curl can.

    Returns how many had which status and Retry-After, and what those that were too many were answered with.
    """
    options = ["--disable", "--silent", "--cacert", str(client.ca), "--noproxy", "*", "--max-time", "60"]
    options += ["--resolve", f"{client.host}:{client.https}:127.0.0.1", "--parallel", "--parallel-max", str(AT_A_TIME)]
    options += ["--output", f"{folder}/#1", "--write-out", "%{http_code} %header{retry-after}\n"]
    sent = tools.run(["curl", *options, f"https://{client.host}:{client.https}/v1/nowhere?number=[1-{MANY}]"])
    lines = [line.partition(" ") for line in sent.stdout.splitlines()]
    answers = Counter((int(status), retry_after) for status, _, retry_after in lines)
    assert answers.total() == MANY, f"{answers}: {sent.stderr}"
    texts = [path.read_text() for path in folder.iterdir()]
    return answers, [text for text in texts if '"status":429' in text]
