"""Debian's Postgres starts with the configuration of a host, and can read every line of its pg_hba.conf."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from handbook.catalog import Catalog
from handbook.checks._docker import engine, must
from handbook.checks._host import ask, machine
from handbook.checks._tool import failed
from handbook.findings import Finding
from handbook.host import DOCKERFILE

NEEDS = "docker"

# The packages wait in the host. Their own scripts take most of the time and are not needed: the files are.
_SET_UP = """
set -e
cd /var/cache/apt/archives
for name in postgresql-17 postgresql-17-pgvector postgresql-client-17 libpq5 'libicu*' 'libxml2*' 'libxslt*' \\
  'libldap*' 'libsasl2*' 'libgssapi*' 'libkrb5*' 'libk5*' 'libkeyutils*' 'libcom-err*'; do
  for package in ${name}_*.deb; do [ ! -e "$package" ] || dpkg-deb --extract "$package" /; done
done
ldconfig
useradd --system --user-group postgres
install --directory --owner=postgres /cluster /run/postgresql
cat >/usr/local/bin/as-postgres <<'END'
#!/bin/sh
PATH=/usr/lib/postgresql/17/bin:$PATH exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
END
chmod +x /usr/local/bin/as-postgres
as-postgres initdb --pgdata=/cluster --no-sync --auth=trust --locale=C.UTF-8 >/dev/null
as-postgres cp /cluster/pg_hba.conf /cluster/trust.conf
echo "include_dir 'conf.d'" >>/cluster/postgresql.conf
openssl req -x509 -newkey rsa:2048 -noenc -subj /CN=check -keyout /pair -out /certificate 2>/dev/null
cat /certificate >>/pair
for name in server.crt server.key; do install --owner=postgres --mode=0600 /pair "/cluster/$name"; done
"""
# What stands in the command counts, so that one can ask. Certificates are made up wherever the file looks for them.
_JUDGE = r"""
rm --recursive --force /cluster/conf.d && mkdir --parents /cluster/conf.d
as-postgres cp /cluster/trust.conf /cluster/judged_hba.conf
place=/cluster/judged_hba.conf
own="-c hba_file=/cluster/judged_hba.conf"
case $1 in
  */pg_hba.conf) own="$own -c ssl=on" ;;
  *)
    place=/cluster/conf.d/judged.conf
    install --mode=0644 "$1" "$place"
    sed --quiet --regexp-extended "s/^ssl_(cert|key|ca)_file *=? *'(.*)'.*/\2/p" "$1" | while read -r name; do
      install -D --owner=postgres --mode=0600 /pair "$name"
    done
    ;;
esac
as-postgres postgres -D /cluster -F -k /tmp -c listen_addresses= $own 2>/tmp/log &
server=$!
ask() { as-postgres psql --host=/tmp --no-align --tuples-only --field-separator='|' --command="$1"; }
until ask 'SELECT 1' >/dev/null 2>&1; do
  kill -0 "$server" 2>/dev/null || { cat /tmp/log >&2; exit 1; }
  sleep 0.05
done
case $1 in
  */pg_hba.conf)
    cp "$1" "$place"
    ask "SELECT 'wrong', line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL"
    ask "SELECT 'read', count(*) FROM pg_hba_file_rules"
    ;;
  *)
    ask "SELECT 'wrong', sourceline, coalesce(error, name || ' is set once more below') FROM pg_file_settings
      WHERE sourcefile = '$place' AND (error IS NOT NULL OR NOT applied)
        AND name NOT IN ('hba_file', 'listen_addresses', 'unix_socket_directories')"
    ask "SELECT 'read', count(*) FROM pg_file_settings WHERE sourcefile = '$place'"
    ;;
esac
kill -INT "$server"
wait "$server"
cat /tmp/log >&2
"""
_SAID = re.compile(r"^[\d-]+ [\d:.]+ \w+ \[\d+\] (?P<level>LOG|WARNING|FATAL|ERROR): +(?P<message>.*)$", re.MULTILINE)
_PLACE = re.compile(r' in file "[^"]*" line (?P<line>\d+)|, near ')
_ABOUT = re.compile(r'(?:parameter|directory|file|library) "(?P<name>[^"]+)"')
_IS_WRONG = re.compile(r"unrecognized|invalid|syntax error|out of range|outside the valid|requires|cannot|could not")
_WRONG = re.compile(r"^wrong\|(?P<line>\d+)\|(?P<message>.*)$", re.MULTILINE)
_READ = re.compile(r"^read\|(?P<count>\d+)$", re.MULTILINE)


def version() -> str:
    return f"Debian's postgres, {engine()}"


def inputs(catalog: Catalog, path: str) -> Iterator[str]:
    yield DOCKERFILE


def run(root: Path, paths: Sequence[str]) -> list[Finding]:
    """Start Postgres with each file as part of its configuration, and ask it what it read.

    It begins to name what is wrong, and does not always say where: then the line is the one that has the name. What it
    finds wrong in a pg_hba.conf stands in a view, and it goes on without.
    """
    findings: list[Finding] = []
    with machine(root, options=["--tmpfs", "/cluster"]) as name:
        must(ask(name, _SET_UP), "the installation of Postgres")
        for path in paths:
            result = ask(name, _JUDGE, f"/{path}", timeout=60)
            text = (root / path).read_text(encoding="utf-8")
            found = [
                Finding(path, int(match["line"]), "postgres", match["message"])
                for match in _WRONG.finditer(result.stdout)
            ]
            if not found:
                found = list(_refused(path, text, result.stderr, started=not result.returncode))
            read = _READ.search(result.stdout)
            if not found and (result.returncode or not read):
                raise failed(result, f"{path}: Postgres neither started nor said why")
            if not found and read and read["count"] == "0":
                found = [Finding(path, 0, "empty", f"{PurePosixPath(path).name} sets nothing", "add a line")]
            findings += found
    return findings


def _refused(path: str, text: str, log: str, *, started: bool) -> Iterator[Finding]:
    """Yield the warnings in a log, and of a server that did not start what it says is wrong."""
    for match in _SAID.finditer(log):
        message = match["message"]
        # While it starts, it tells whoever asks that it does not answer yet.
        if match["level"] != "WARNING" and (started or (match["level"] == "LOG" and not _IS_WRONG.search(message))):
            continue
        place, about = _PLACE.search(message), _ABOUT.search(message)
        line = int(place["line"] or 0) if place else 0
        if not line and about:
            lines = text.splitlines()
            line = next((number for number, one in enumerate(lines, 1) if about["name"] in one), 0)
        if not (match["level"] == "FATAL" and "contains errors" in message):
            yield Finding(path, line, "postgres", message)
