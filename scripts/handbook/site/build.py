"""What happens at the start of every build of the site: the pages are judged, the fence and the macros are set up."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import TemplateSyntaxError
from mkdocs.exceptions import Abort, PluginError

from handbook import catalog as catalogs
from handbook import contracts, schemas, versions
from handbook.catalog import Catalog
from handbook.findings import Finding, HandbookError
from handbook.proof import Judge, Proof
from handbook.site import charts, dates, downloads, drawings, fence, pages, proof_page, proofs_json, tables
from handbook.site.links import place, upwards
from handbook.site.shown import Snippets, Unresolved


class Stop(Abort):
    """Ends a build, not a server, with its message alone, on stderr."""

    def show(self, *args: Any, **kwargs: Any) -> None:
        print(self.format_message(), file=sys.stderr)


class Sources(NamedTuple):
    """What a build is made of, judged: nothing is wrong with it."""

    catalog: Catalog
    snippets: Snippets
    judge: Judge
    changed: Mapping[str, str]


@functools.cache
def sources(root: Path) -> Sources:
    """Read and judge what the site of the checkout at `root` is made of, and write what a reader takes along.

    Once: `macros` forgets this module when a file has changed. Stops the build with one message that lists what is
    wrong with the pages.
    """
    catalog = Catalog(root)
    snippets = Snippets(catalog)
    try:
        found = [*pages.findings(catalog, snippets), *drawings.findings(catalog, snippets)]
        judge = Judge(Proof.read(root), root)
    except HandbookError as error:
        raise Stop(str(error)) from None
    if found:
        raise Stop("\n".join([*map(str, found), f"{len(found)} to mend before the site can be built"]))
    try:
        downloads.write(catalog)
        proofs_json.write(catalog, judge)
    except HandbookError as error:
        raise Stop(str(error)) from None
    return Sources(catalog, snippets, judge, dates.changed(catalog))


def define(env: Any) -> None:
    """Set up a build. `env` is what mkdocs-macros gives to `define_env`.

    Stops the build with one message that lists what is wrong with the pages.
    """
    catalog, snippets, judge, changed = sources(Path(env.project_dir))

    fence.use(fence.formatter(snippets, fence.bar(judge, lambda: place(env.page))))
    env.render = _renderer(env, catalog, changed)

    env.macro(snippets.value, "value")
    env.macro(_counter(catalog), "count")
    env.macro(lambda name: f'<div class="drawing">{drawings.inline(catalog, name)}</div>', "drawing")
    env.macro(lambda address: charts.chart(catalog, address), "chart")
    env.macro(lambda: tables.kinds(catalog), "kinds_table")
    env.macro(tables.contract_rules, "contracts_table")
    env.macro(lambda: tables.service_settings(catalog), "settings_table")
    env.macro(lambda: tables.gunicorn_settings(catalog), "gunicorn_table")
    env.macro(lambda: tables.supported(catalog), "versions_table")
    env.macro(lambda: versions.AHEAD.days, "days_ahead")
    env.macro(lambda: f"{', '.join(schemas.MINORS[:-1])} or {schemas.MINORS[-1]}", "kubernetes_minors")
    env.macro(lambda name, folder: downloads.take_along(catalog, name, folder, upwards(place(env.page))), "take_along")
    env.macro(lambda name: downloads.tree(catalog, name, upwards(place(env.page))), "archive_files")
    env.macro(lambda: tables.errors(catalog, upwards(place(env.page))), "errors_list")
    env.macro(lambda: proof_page.summary(catalog, judge), "proof_summary")
    env.macro(lambda folder, *others: proof_page.acted(judge, folder, *others), "acted")
    env.macro(proof_page.filter_bar, "proof_filter")
    env.macro(lambda: proof_page.stacks(judge), "proof_stacks")
    env.macro(lambda: proof_page.snippets(catalog, judge), "proof_snippets")
    env.macro(lambda: proof_page.contracts(judge), "proof_contracts")
    env.macro(lambda: proof_page.checks(catalog, judge), "proof_checks")
    env.macro(lambda: proof_page.unproven(catalog, judge), "proof_limits")
    env.macro(lambda: proofs_json.link(upwards(place(env.page))), "proofs_link")


def _counter(catalog: Catalog) -> Callable[[str], int]:
    counts: dict[str, Callable[[], int]] = {
        "checks": lambda: len(catalogs.checks()),
        "contracts": lambda: len(contracts.names()),
        "pages": lambda: len(catalog.pages),
        "regions": lambda: len({r.address for shown in catalog.shown().values() for r in shown if r.region}),
        "snippets": lambda: len(catalog.snippets),
    }

    def count(what: str) -> int:
        """Return how many there are: snippets, regions shown on pages, pages, checks, contracts."""
        if what not in counts:
            raise ValueError(f"nothing counts {what!r}; there are: {', '.join(counts)}")
        return counts[what]()

    return count


def _renderer(env: Any, catalog: Catalog, changed: Mapping[str, str]) -> Callable[..., str]:
    """Return a replacement for the plugin's own way to render a page.

    That one answers a mistake in a page with a traceback and `exit(100)`, which also ends `mkdocs serve`. This one
    stops the build with the page and the line, and the server goes on. `changed` has the date of each page, which the
    theme shows at its end.
    """

    def render(markdown: str, force_rendering: bool = False) -> str:
        if date := changed.get(f"docs/{env.page.file.src_path}"):
            env.page.meta.setdefault("revision_date", f"Changed on {date}")
        try:
            return str(env.env.from_string(markdown).render({**env.variables, **env.page.meta}))
        except Exception as error:
            path = f"docs/{env.page.file.src_path}"
            line = _template_line(error)
            if line:
                # The front matter is cut off before macros are rendered.
                text = (catalog.root / path).read_text(encoding="utf-8-sig")
                line += text[: max(text.find(markdown[:200]), 0)].count("\n")
            finding = Finding(path, line, "macro", str(error))
            if isinstance(error, Unresolved):
                finding = error.finding if error.finding.path else replace(error.finding, path=path, line=line)
            raise PluginError(str(finding)) from None

    return render


def _template_line(error: Exception) -> int:
    """Return the line of the page's text in which `error` arose, 0 if nothing tells."""
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    line = 0
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
