"""The command `handbook`: what needs the engine, such as most doors of the Makefile."""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from handbook import bench, cluster, copies, environment, stacks
from handbook.catalog import ROOT, Catalog, Reference, kind_of
from handbook.checks import load, ready
from handbook.findings import Finding, HandbookError
from handbook.site import make, pages
from handbook.site.shown import showable
from handbook.tools import find


def check(files: list[str]) -> int:
    """Run every check of each file, judge the pages that show it, and print what they say and who uses it.

    Returns the exit code: 1 when there is a finding. Raises HandbookError at the end when a check could not run.
    """
    if not files:
        raise HandbookError("no file was named; run `make check FILE=snippets/...`")
    catalog = Catalog()
    findings: set[Finding] = set()
    unable: list[str] = []
    try:
        for path in [_tracked(catalog, name) for name in files]:
            _check_file(catalog, path, findings, unable)
    finally:
        for finding in sorted(findings):
            print(finding, file=sys.stderr)
    if unable:
        raise HandbookError("\n".join(unable))
    return 1 if findings else 0


def _check_file(catalog: Catalog, path: str, findings: set[Finding], unable: list[str]) -> None:
    """Check one file: add to `findings`, and to `unable` the checks that lack what they need.

    Raises HandbookError when no row of the catalog fits, a tool did not do its work, or the site can't be built.
    """
    kind = kind_of(path)
    if kind is None:
        raise HandbookError(f"{path}: no kind matches this path; add a row to KINDS in scripts/handbook/catalog.py")
    showable(kind)
    for check_name in kind.checks:
        module = load(check_name)
        try:
            ready(module.NEEDS)
        except HandbookError as error:
            unable.append(f"{path}: {check_name} can't run: {error}")
            continue
        found = {finding for finding in module.run(ROOT, [path]) if finding.path == path}
        _say(path, f"{check_name} ({module.version()})", len(found))
        findings |= found
    shown = catalog.shown().get(path, [])
    if shown or path.startswith("docs/"):
        judged = {path, *(reference.page for reference in shown)}
        found = {finding for finding in pages.findings(catalog) if finding.path in judged}
        _say(path, "addresses on the pages that show it" if shown else "addresses", len(found))
        findings |= found
        if path.startswith("docs/") and not found:
            # Only the build sees wrong links and macros.
            with TemporaryDirectory() as folder:
                make.build(Path(folder))
    if path.startswith("snippets/"):
        _say_who_uses(catalog, path, shown)


def _say_who_uses(catalog: Catalog, path: str, shown: list[Reference]) -> None:
    """Print each place on a page that shows a snippet, and the stacks that boot with it."""
    for reference in shown:
        print(f"{path}: shown at {reference.page}:{reference.line}: {reference.address}")
    if not shown:
        print(f"{path}: no fence on a page shows it")
    using = []
    for name in stacks.names(catalog):
        try:
            if path in stacks.find(name, catalog).files:
                using.append(name)
        except HandbookError as error:
            print(f"{path}: nobody can say whether stack {name} uses it: {error}")
    print(f"{path}: used by stack {', '.join(using)}" if using else f"{path}: no stack uses it")


def _say(path: str, check_name: str, count: int) -> None:
    print(f"{path}: {check_name}: {count or 'no'} finding{'' if count == 1 else 's'}")


def _tracked(catalog: Catalog, name: str) -> str:
    """Return the path in the repository of the file that a person named from anywhere, or as pages name it."""
    path = Path(name).resolve()
    if not path.exists():
        path = (ROOT / "snippets" / name).resolve()
    if not path.exists():
        raise HandbookError(f"{name}: there is no such file")
    if path.is_dir():
        raise HandbookError(f"{name}: is a folder; name a file in it")
    if not path.is_relative_to(ROOT) or path.relative_to(ROOT).as_posix() not in catalog.files:
        raise HandbookError(f"{name}: not a file that git tracks or would track in this repository")
    return path.relative_to(ROOT).as_posix()


def serve(address: str) -> NoReturn:
    """Become the server of the handbook on `address` (host:port). Raises HandbookError when something listens there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_server((host, int(port))):
            pass
    except (OSError, ValueError, OverflowError) as error:
        message = f"{address}: nothing can be served there ({error}); name another address: make serve ADDRESS=..."
        raise HandbookError(message) from None
    os.chdir(ROOT)
    # In the place of this process, so that Ctrl-C reaches the one that ends well on it.
    os.execv(find("mkdocs"), ["mkdocs", "serve", "--dev-addr", address])


def site(folder: str) -> None:
    """Make the site that is published, and say where it is. Raises HandbookError when that can't be done."""
    count = make.site(Path(folder))
    print(f"{count} pages, each as HTML and as Markdown: {folder}")


def keep_cluster(ports: list[int]) -> None:
    """Make a cluster, say how to reach it, and keep it until Ctrl-C. Raises HandbookError when it does not come up."""
    with cluster.Cluster(ports) as made:
        print(f"Kubernetes {cluster.version()} is up after {made.seconds:.0f} s; in another terminal:")
        print(*(f"export {name}={shlex.quote(value)}" for name, value in made.env.items()), sep="\n")
        print(*(f"# port {port} of its nodes is 127.0.0.1:{free}" for port, free in made.ports.items()), sep="\n")
        print("Ctrl-C removes it.", flush=True)
        threading.Event().wait()


def copy(name: str, folder: str) -> None:
    """Copy a stack and say where to go on. Raises HandbookError when that can't be done."""
    count = copies.copy(Catalog(), name, Path(folder))
    print(f"copied {count} files; go on with: cd {shlex.quote(str(Path(folder) / name))}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code. A person's mistake ends in one message on stderr and code 2."""
    parser = argparse.ArgumentParser(prog="handbook", description="The engine of the handbook.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("check", help="run all checks of files, and say who uses them")
    command.add_argument("files", nargs="*", metavar="FILE")
    command.set_defaults(call=lambda options: check(options.files))
    command = commands.add_parser("copy", help="copy the files of a stack into a folder")
    command.add_argument("stack", metavar="STACK", help="such as compose/production")
    command.add_argument("folder", metavar="FOLDER")
    command.set_defaults(call=lambda options: copy(options.stack, options.folder))
    command = commands.add_parser("serve", help="serve the handbook with live reload")
    command.add_argument("address", metavar="HOST:PORT")
    command.set_defaults(call=lambda options: serve(options.address))
    command = commands.add_parser("site", help="make the site that is published, with its pages as Markdown too")
    command.add_argument("folder", nargs="?", default=str(ROOT / "site"), metavar="FOLDER", help="site/ if not given")
    command.set_defaults(call=lambda options: site(options.folder))
    command = commands.add_parser("cluster", help="make a cluster of Kubernetes and keep it until Ctrl-C")
    command.add_argument("ports", nargs="*", type=int, metavar="PORT", help="of a node, to be reached on 127.0.0.1")
    command.set_defaults(call=lambda options: keep_cluster(options.ports))
    command = commands.add_parser("bench", help="measure how long each level takes, and what stacks need and do")
    command.add_argument("names", nargs="*", metavar="NAME", help="levels, memory, or a module of tests/bench")
    command.set_defaults(call=lambda options: bench.measure(options.names))
    command = commands.add_parser("lock", help="lock the requirements again, with hashes")
    command.set_defaults(call=lambda options: environment.lock())
    command = commands.add_parser("lock-images", help="lock the digests of all images, where a registry answers")
    command.set_defaults(call=lambda options: stacks.lock_images(Catalog()))
    command = commands.add_parser("npm-ci", help="install the locked npm tools")
    command.set_defaults(call=lambda options: environment.install_npm_tools())
    command = commands.add_parser("format", help="format Python and shell files in place")
    command.set_defaults(call=lambda options: environment.format_files())

    options = parser.parse_args(arguments)
    try:
        return int(options.call(options) or 0)
    except HandbookError as error:
        print(f"handbook: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("handbook: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
