"""Regions of nginx configuration: paths of directives, `http.server.location /health/live`.

A directive is addressed by its name, and by its name with its first argument (a block: with all of them), as long as no
directive beside it has the same: `proxy_set_header Host`. A server can also be told by its name, `server
api.example.com`, and by name and port, `server api.example.com:443`. What still shares its name is counted from 0:
`server[0]`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import crossplane
from crossplane.errors import NgxParserSyntaxError

from handbook.regions import Entry, Region, Unreadable
from handbook.regions._text import addresses, split, with_comments

Token = tuple[str, int, bool]


def regions(text: str) -> dict[str, Region]:
    """Map every directive in `text` to its lines. Raises Unreadable when a brace or a semicolon is missing."""
    return addresses(entries(text))


def entries(text: str) -> list[Entry]:
    """Return the directives of `text` as a tree. Raises Unreadable when a brace or a semicolon is missing."""
    # The lexer is public for files only. It drops a comment that no newline ends.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "nginx.conf")
        path.write_text(f"{text}\n", encoding="utf-8")
        try:
            tokens = [token for token in crossplane.lex(str(path)) if not _is_comment(token)]
        except NgxParserSyntaxError as error:
            raise Unreadable(str(error.strerror), error.lineno) from None
    found, _ = _block(iter(tokens), split(text))
    return found


def _is_comment(token: Token) -> bool:
    text, _, quoted = token
    return text.startswith("#") and not quoted


def _block(tokens: Iterator[Token], lines: list[str]) -> tuple[list[Entry], int]:
    """Read directives up to the brace that closes the block; return them and the line of that brace."""
    found: list[Entry] = []
    words: list[str] = []
    first = line = 0
    for text, line, quoted in tokens:
        if quoted or text not in ("{", "}", ";"):
            first = first if words else line
            words.append(text)
            continue
        if text == "}":
            if words:
                raise Unreadable(f"{words[0]!r} has no semicolon", first)
            return found, line
        if not words:
            raise Unreadable(f"unexpected {text!r}", line)
        if text == ";":
            start = with_comments(lines, first)
            names = [words[0], " ".join(words[:2])]
            found.append(Entry(names, Region(start, line), value=" ".join(words[1:]) or None))
        else:
            children, line = _block(tokens, lines)
            start = with_comments(lines, first)
            found.append(Entry(_block_names(words, children), Region(start, line), children))
        words = []
    if words:
        raise Unreadable(f"{words[0]!r} has no semicolon", first)
    return found, line


def _block_names(words: list[str], children: list[Entry]) -> list[str]:
    names = [words[0], " ".join(words)]
    if words == ["server"]:
        servers = str(_argument(children, "server_name") or "").split()
        # The last part of an address is its port: 443, 127.0.0.1:443, [::]:443.
        port = str(_argument(children, "listen") or "80").split()[0].rpartition(":")[2]
        names += [f"server {name}" for name in servers]
        names += [f"server {name}:{port}" for name in servers]
    return names


def _argument(children: list[Entry], name: str) -> object:
    return next((child.value for child in children if child.names[0] == name), None)
