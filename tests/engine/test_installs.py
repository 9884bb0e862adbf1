"""What scripts put on a host and remove from it is read with loops and patterns, and with its line."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from handbook.facts import installs, shell
from handbook.facts.installs import Removed

INSTALL = """
    # put notes.txt /etc/notes
    ! put app.conf /etc/app.conf 640 root:app || systemd-sysusers /etc/app.conf
    for name in cache broker; do
      put "../redis/$name.conf" "/etc/redis/redis-${name}.conf"
    done
    while read -r unit; do
      for again in 1 2; do
        echo "$again"
      done
      put "units/$unit" "/etc/systemd/system/$unit"
    done < <(cd units && find . -type f -printf '%P\\n' | sort)
    for file in ../nginx/*.conf; do
      install --mode=644 \\
        "$file" "/etc/nginx-shared/${file##*/}"
    done
    install app.conf /etc/folder/
    cp app.conf gone.conf "$target"
    put gone.conf /etc/gone.conf
    say "it's unbalanced
    """
REMOVE = """
    rm --recursive --force /opt/app /etc/app/{tls,ca} /etc/app.conf*
    [[ -e /etc/x ]] || true && echo rm /etc/not
    while read -r unit; do
      rm --force "/etc/systemd/system/$unit"
    done < <(cd units && find . -type f -printf '%P\\n')
    for name in cache broker; do
      rm "/etc/redis/$name.conf" relative
    done
    """
FILES = (
    "snippets/host/app.conf",
    "snippets/host/units/app.service",
    "snippets/host/units/app.service.d/more.conf",
    "snippets/nginx/tls.conf",
    "snippets/nginx/deep/other.conf",
    "snippets/redis/broker.conf",
    "snippets/redis/cache.conf",
)


def write(root: Path, text: str) -> str:
    (root / "snippets/host").mkdir(parents=True)
    (root / "snippets/host/do.sh").write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return "snippets/host/do.sh"


def test_what_is_put_where(tmp_path: Path) -> None:
    path = write(tmp_path, INSTALL)
    found = installs.puts(tmp_path, path, FILES)
    assert {fact.path for fact in found} == {path}
    assert [(fact.line, fact.value.source.removeprefix("snippets/"), fact.value.target) for fact in found] == [
        (2, "host/app.conf", "/etc/app.conf"),
        (4, "redis/cache.conf", "/etc/redis/redis-cache.conf"),
        (4, "redis/broker.conf", "/etc/redis/redis-broker.conf"),
        (10, "host/units/app.service", "/etc/systemd/system/app.service"),
        (10, "host/units/app.service.d/more.conf", "/etc/systemd/system/app.service.d/more.conf"),
        (13, "nginx/tls.conf", "/etc/nginx-shared/tls.conf"),
        (16, "host/app.conf", "/etc/folder/app.conf"),
    ]


def test_what_is_removed(tmp_path: Path) -> None:
    found = installs.removes(tmp_path, write(tmp_path, REMOVE))
    assert [(fact.line, fact.value.pattern, fact.value.is_whole) for fact in found] == [
        (1, "/opt/app", True),
        (1, "/etc/app/tls", True),
        (1, "/etc/app/ca", True),
        (1, "/etc/app.conf*", True),
        (4, "/etc/systemd/system/*", False),
        (7, "/etc/redis/cache.conf", False),
        (7, "/etc/redis/broker.conf", False),
    ]


@pytest.mark.parametrize(
    ("removed", "path", "covered"),
    [
        (Removed("/opt/app", True), "/opt/app/releases/1", True),
        (Removed("/opt/app", True), "/opt/application", False),
        (Removed("/opt/app", False), "/opt/app/releases", False),
        (Removed("/opt/app", False), "/opt/app", True),
        (Removed("/etc/system/*", False), "/etc/system/a.service.d/b.conf", True),
    ],
)
def test_what_that_covers(removed: Removed, path: str, covered: bool) -> None:
    assert removed.covers(path) is covered


def test_the_words_of_commands(tmp_path: Path) -> None:
    found = installs.words(tmp_path, write(tmp_path, INSTALL))
    assert {"app.conf", "../redis/cache.conf", "root:app"} <= found
    assert not {"notes.txt", "/etc/notes"} & found


def test_secrets_named_by_the_variable_of_their_folder(tmp_path: Path) -> None:
    text = 'a=$(<"$SECRETS_DIR/first")\nread -r b <"${CREDENTIALS_DIRECTORY}/second"\ncat /run/secrets/third $NO/no\n'
    path = write(tmp_path, text)
    named = [(fact.line, fact.value) for fact in shell.secrets(tmp_path, [path], "/here")]
    assert named == [(1, "/here/first"), (2, "/here/second"), (3, "/run/secrets/third")]
    assert shell.secrets(tmp_path, [path])[0].value == "/run/secrets/first"
