"""Looks up what an address on a page stands for: the lines of the snippet, as they are in the file."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from pygments.lexers import get_all_lexers

from handbook import regions
from handbook.catalog import KINDS, Catalog, Kind, Reference, kind_of, parse_address
from handbook.findings import Finding, HandbookError
from handbook.regions import Entry, NoSuchRegion, Region, Unreadable


@dataclass(frozen=True)
class Shown:
    """The part of a snippet that a fence shows.

    `path` is relative to the repository, `text` the lines as they are in the file. `highlighted` are lines of `text`,
    counted from 1.
    """

    path: str
    kind: Kind
    text: str
    highlighted: tuple[int, ...] = ()


class Unresolved(HandbookError):
    """An address can't be shown. `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def showable(kind: Kind) -> None:
    """Return when the finder and the lexer that a row of the catalog names are there.

    Raises HandbookError, with the kind and with what there is, when not.
    """
    mend = "mend its row of KINDS in scripts/handbook/catalog.py"
    if kind.finder not in regions.finders():
        there = ", ".join(regions.finders())
        raise HandbookError(f"kind {kind.name}: there is no finder {kind.finder!r}; there are: {there}; {mend}")
    lexers = [alias for _, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases]
    if kind.lexer not in lexers:
        near = get_close_matches(kind.lexer, lexers) or sorted({other.lexer for other in KINDS} & {*lexers})
        raise HandbookError(
            f"kind {kind.name}: Pygments has no lexer {kind.lexer!r}; there are, among others: {', '.join(near)} "
            f"(`.venv/bin/pygmentize -L lexers` lists all); {mend}"
        )


class Snippets:
    """Reads the snippets of one catalog, each once. It lives as long as one build: an edit shows in the next."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._texts: dict[str, str] = {}
        self._entries: dict[str, dict[str, Entry]] = {}

    def show(self, reference: Reference) -> Shown:
        """Return what `reference` stands for. Raises Unresolved, and HandbookError for a wrong row of the catalog."""
        path, kind, text = self._open(reference)
        if not text:
            raise _unresolved(reference, "empty", f"{path} is empty", "show a file with something in it")
        region = Region(1, text.count("\n") + (not text.endswith("\n")))
        if reference.region:
            region = self._find(reference, path, kind, text, reference.region)
        lines: list[int] = []
        for address in reference.highlights:
            highlight = self._find(reference, path, kind, text, address)
            if highlight.first < region.first or highlight.last > region.last:
                message = f"{address!r} is outside {reference.address}"
                raise _unresolved(reference, "highlight", message, "highlight a part of what is shown")
            lines += range(highlight.first - region.first + 1, highlight.last - region.first + 2)
        return Shown(path, kind, regions.cut(text, region), tuple(lines))

    def addresses(self, path: str) -> list[str]:
        """Return every region of the snippet at `path` (below `snippets/`), in the order of the file.

        Raises Unresolved.
        """
        reference = Reference("", 0, path)
        return list(self._all(reference, *self._open(reference)))

    def value(self, address: str) -> str:
        """Return the one value at `address`, as the file writes it: a number in prose is never typed.

        Raises Unresolved; its finding has no page.
        """
        try:
            path, region, _ = parse_address([address])
        except ValueError as error:
            raise Unresolved(Finding("", 0, "address", str(error))) from None
        reference = Reference("", 0, path, region)
        path, kind, text = self._open(reference)
        self._find(reference, path, kind, text, region or "")
        try:
            return regions.single(self._all(reference, path, kind, text), region or "")
        except ValueError as error:
            hint = "name the key or the constant itself"
            raise _unresolved(reference, "value", f"{path}: {error}", hint) from None

    def _open(self, reference: Reference) -> tuple[str, Kind, str]:
        path = f"snippets/{reference.path}"
        if path not in self.catalog.files:
            there = [file for file in self.catalog.files if file.startswith("snippets/")]
            near = get_close_matches(path, there, n=3, cutoff=0.8)
            near += [file for file in there if file.rpartition("/")[2] == path.rpartition("/")[2] and file not in near]
            names = ", ".join(file.removeprefix("snippets/") for file in near[:4])
            hint = f"did you mean {names}?" if near else "add the file, or name one that git does not ignore"
            raise _unresolved(reference, "address", f"there is no snippet {reference.path!r}", hint)
        kind = kind_of(path)
        if kind is None:
            hint = "add a row to KINDS in scripts/handbook/catalog.py"
            raise _unresolved(reference, "kind", f"{path} is of no kind", hint)
        showable(kind)
        if path not in self._texts:
            try:
                self._texts[path] = (self.catalog.root / path).read_bytes().decode()
            except UnicodeDecodeError:
                raise _unresolved(reference, "text", f"{path} is not UTF-8 text", "show a text file") from None
        return path, kind, self._texts[path]

    def _find(self, reference: Reference, path: str, kind: Kind, text: str, address: str) -> Region:
        try:
            found = self._all(reference, path, kind, text)
            return regions.pick({name: entry.region for name, entry in found.items()}, address)
        except NoSuchRegion as error:
            raise _unresolved(reference, "region", f"{path}: {error}", "name one of these") from None

    def _all(self, reference: Reference, path: str, kind: Kind, text: str) -> dict[str, Entry]:
        if path not in self._entries:
            try:
                self._entries[path] = regions.entries(kind.finder, text)
            except Unreadable as error:
                hint = f"mend the file; {reference.page}:{reference.line} shows it" if reference.page else "mend it"
                raise Unresolved(Finding(path, error.line, "unreadable", error.msg, hint)) from None
        return self._entries[path]


def _unresolved(reference: Reference, rule: str, message: str, hint: str) -> Unresolved:
    return Unresolved(Finding(reference.page, reference.line, rule, message, hint))
