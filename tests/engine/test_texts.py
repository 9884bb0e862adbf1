"""A page as Markdown says what the page says, and shows the files' own bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown import Markdown

from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.proof import Judge, Proof
from handbook.site import charts, fence, llms, texts
from handbook.site.shown import Snippets
from tests.built_site import Built, fenced

PLACE = "deep/page/"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    files = {
        "tabs.sh": "# Indent with tabs\nif true; then\n\techo  'a  '\t# why \n\n\tfi\n\n",
        "nginx/last.conf": "\n\na 1;  \nb 2;",
        "ticks.sh": "cat <<'END'\n```yaml\na: 1\n````\nEND\n",
        "odd.env": "A=<b> &amp; &lt; \\* _b_ | \u2028 \"c\" 'd'\n",
        "measured/a.json": '{"a": {"title": "What a part takes", "unit": "MB", "date": "2026-11-01", '
        '"machine": "2 cores", "bars": {"one | two": 12, "three": 5}}}',
    }
    for name, text in files.items():
        (root / "snippets" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "snippets" / name).write_bytes(text.encode())
    subprocess.run(["git", "init", "--quiet", root], check=True)
    return root


@pytest.fixture(scope="module")
def html(root: Path) -> Callable[[str], str]:
    """What makes a built page of its source, by the extensions that `mkdocs.yml` names."""
    show = fence.formatter(Snippets(Catalog(root)), fence.bar(Judge(Proof.read(root), root), lambda: PLACE))
    markdown = Markdown(
        extensions=[
            "admonition",
            "attr_list",
            "def_list",
            "md_in_html",
            "tables",
            "toc",
            "pymdownx.details",
            "pymdownx.superfences",
            "pymdownx.tabbed",
        ],
        extension_configs={
            "toc": {"permalink": True},
            "pymdownx.superfences": {
                "preserve_tabs": True,
                "custom_fences": [{"name": "snippet", "class": "highlight", "format": show}],
            },
            "pymdownx.tabbed": {"alternate_style": True},
        },
    )

    def page(source: str) -> str:
        return f"<body><nav>Nav</nav><article>{markdown.reset().convert(source)}</article><footer>Foot</footer></body>"

    return page


@pytest.fixture(scope="module")
def text(html: Callable[[str], str]) -> Callable[[str], str]:
    """What makes Markdown of a page's source."""
    return lambda source: texts.markdown(texts.article(html(source)))


def block(path: str, indent: str = "") -> str:
    return "".join(f"{indent}{line}\n" for line in ("``` snippet", path, "```"))


def test_a_block_is_named_and_fenced_and_nothing_else_of_it_is_left(text: Callable[[str], str]) -> None:
    assert text(block("tabs.sh#indent-with-tabs")) == (
        "[`tabs.sh#indent-with-tabs`](../../files/tabs.sh):\n\n"
        "```bash\nif true; then\n\techo  'a  '\t# why \n\n\tfi\n```\n"
    )


@pytest.mark.parametrize("path", ["tabs.sh", "nginx/last.conf", "ticks.sh", "odd.env"])
@pytest.mark.parametrize(
    "around",
    [
        pytest.param("{}", id="alone"),
        pytest.param("1. One\n\n    More:\n\n{4}\n    Then.\n\n2. Two\n", id="list"),
        pytest.param("- One\n\n    - Two\n\n{8}", id="list in a list"),
        pytest.param("- \n\n{4}\n", id="list alone"),
        pytest.param('!!! note "Title"\n\n{4}', id="admonition"),
        pytest.param('!!! note "Title"\n\n    - One\n\n{8}', id="list in an admonition"),
        pytest.param('??? note "Title"\n\n{4}', id="details"),
        pytest.param('=== "One"\n\n{4}\n=== "Two"\n\n    Text.\n', id="tab"),
        pytest.param("> Quoted:\n>\n> ``` snippet\n> {path}\n> ```\n", id="quote"),
    ],
)
def test_a_block_has_the_files_own_bytes_wherever_it_stands(
    root: Path, html: Callable[[str], str], path: str, around: str
) -> None:
    source = around.replace("{path}", path).replace("{}", block(path))
    for indent in (4, 8):
        source = source.replace(f"{{{indent}}}", block(path, " " * indent))
    content = (root / "snippets" / path).read_bytes().decode()
    page = html(source)
    assert [shown.text for shown in Built(page).blocks] == [content]
    ended = content if content.endswith("\n") else f"{content}\n"
    assert list(fenced(texts.markdown(texts.article(page)))) == [(path, ended)]


def test_a_fence_is_longer_than_those_in_the_file(text: Callable[[str], str]) -> None:
    assert text(block("ticks.sh")).endswith("\n`````bash\ncat <<'END'\n```yaml\na: 1\n````\nEND\n`````\n")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("# One\n\n## Two `a`\n", "# One\n\n## Two `a`\n", id="headings without permalinks"),
        pytest.param("One\ntwo\n**three** *four*.\n", "One two **three** *four*.\n", id="a paragraph is a line"),
        pytest.param("One  \ntwo\n", "One  \ntwo\n", id="a break"),
        pytest.param("- a\n- b\n\n    - c\n", "- a\n- b\n\n  - c\n", id="a list"),
        pytest.param('<ol start="3"><li>a</li><li>b</li></ol>', "3. a\n4. b\n", id="a numbered list"),
        pytest.param(
            "| A | B |\n| --- | --- |\n| <code>a &#124; b</code> | c<br>d \\| e |\n",
            "| A | B |\n| --- | --- |\n| `a \\| b` | c<br>d \\| e |\n",
            id="a table",
        ),
        pytest.param("Term\n\n:   Said.\n", "Term\n:   Said.\n", id="a definition"),
        pytest.param("``a ` b`` and `c`", "`` a ` b `` and `c`\n", id="code"),
        pytest.param(
            "a\\*b\\* \\_c\\_ d_e_f &lt;b> \\[x] \\` 1 < 2",
            "a\\*b\\* \\_c\\_ d_e_f \\<b> \\[x\\] \\` 1 < 2\n",
            id="marks",
        ),
        pytest.param("AT&amp;amp;T & &#92;", "AT\\&amp;T & \\\\\n", id="entities"),
        pytest.param("&#35; a", "\\# a\n", id="no heading"),
        pytest.param("1\\. a", "1\\. a\n", id="no number"),
        pytest.param("&#45; a", "\\- a\n", id="no list"),
        pytest.param("&gt; a", "\\> a\n", id="no quote"),
        pytest.param("a  \n&#45;--", "a  \n\\---\n", id="no underline"),
        pytest.param(
            '!!! warning "Mind `this`"\n\n    One.\n\n    Two.\n\nAfter.\n',
            "> **Mind `this`**\n>\n> One.\n>\n> Two.\n\nAfter.\n",
            id="an admonition",
        ),
        pytest.param('??? note "More"\n\n    One.\n', "**More**\n\nOne.\n", id="details"),
        pytest.param(
            '=== "One"\n\n    First.\n\n    === "In it"\n\n        Deep.\n\n=== "Two"\n\n    Second.\n',
            "**One**\n\nFirst.\n\n**In it**\n\nDeep.\n\n**Two**\n\nSecond.\n",
            id="tabs",
        ),
        pytest.param(
            '<div class="drawing"><svg><title>A reaches b.</title><desc>By c</desc><text>a</text></svg></div>',
            "Drawing: A reaches b. By c.\n",
            id="a drawing",
        ),
        pytest.param("<svg><path/></svg>\n\nText.", "Text.\n", id="an icon"),
        pytest.param(
            'Is <span class="proof proof--proven">proven</span>. <span data-search-exclude>Not this</span>',
            "Is **proven**.\n",
            id="a state, and what the search leaves out",
        ),
    ],
)
def test_markdown_says_what_the_page_says(text: Callable[[str], str], source: str, expected: str) -> None:
    assert text(source) == expected


def test_the_numbers_of_a_chart_are_a_table(root: Path, text: Callable[[str], str]) -> None:
    assert text(charts.chart(Catalog(root), "measured/a.json#a")) == (
        "What a part takes. Measured on 2026-11-01, 2 cores.\n\n**The numbers as a table**\n\n"
        "| Of | MB |\n| --- | --- |\n| one \\| two | 12 |\n| three | 5 |\n"
    )


@pytest.mark.parametrize(
    ("href", "beside", "of_all"),
    [
        ("../../other/#part", "../../other/index.md#part", "other/index.md#part"),
        ("../", "../index.md", "deep/index.md"),
        ("../..", "../../index.md", "index.md"),
        ("./", "index.md", "deep/page/index.md"),
        ("#part", "#part", "deep/page/index.md#part"),
        ("../../files/a/b.yaml", "../../files/a/b.yaml", "files/a/b.yaml"),
        ("https://example.com/a/", "https://example.com/a/", "https://example.com/a/"),
        ("mailto:a@example.com", "mailto:a@example.com", "mailto:a@example.com"),
    ],
)
def test_a_link_leads_to_the_markdown_of_a_page(href: str, beside: str, of_all: str) -> None:
    article = texts.article(f'<article><p>To <a href="{href}">a [b]</a>.</p></article>')
    assert texts.markdown(article) == f"To [a \\[b\\]]({beside}).\n"
    assert texts.markdown(article, PLACE) == f"To [a \\[b\\]]({of_all}).\n"
    if ":" not in href:
        of_site = texts.markdown(article, f"https://docs.example.com/x/{PLACE}")
        assert of_site == f"To [a \\[b\\]](https://docs.example.com/x/{of_all}).\n"


@pytest.mark.parametrize(
    ("source", "title", "description"),
    [
        ("# One `a`\n\nSaid [here](b.md),\nfirst.\n\nThen.\n\n## Two\n", "One `a`", "Said here, first."),
        ("# One\n\n## Two\n\nNot this.\n", "One", ""),
        ("Text.\n", "", ""),
    ],
)
def test_a_page_says_what_it_is(html: Callable[[str], str], source: str, title: str, description: str) -> None:
    article = texts.article(html(source))
    assert texts.title(article) == title.replace("`", "")
    assert texts.description(article) == description


def test_a_page_without_an_article_is_none() -> None:
    with pytest.raises(HandbookError, match="the page has no <article>"):
        texts.article("<main>Text</main>")


@pytest.fixture
def pages(html: Callable[[str], str]) -> list[llms.Page]:
    sources = {
        "": "# Home\n\nAll of it. [Deep](deep/page/#part)\n",
        PLACE: f"# Deep\n\nSaid.\n\n## Part\n\n{block('nginx/last.conf')}",
        "proof/": "# Proof\n",
    }
    groups = {"": "", PLACE: "Parts", "proof/": "Parts"}
    return [
        llms.Page(groups[place], f"Page {number}", place, texts.article(html(source)))
        for number, (place, source) in enumerate(sources.items())
    ]


@pytest.mark.parametrize("url", ["", "https://docs.example.com/x/"])
def test_models_get_a_list_of_the_pages(pages: list[llms.Page], url: str) -> None:
    assert llms.index("Site", "What it is.", pages, url) == (
        "# Site\n\n> What it is.\n\nEach page is here as Markdown, with its snippets in full. "
        f"[One file]({url}llms-full.txt) holds all of them, except what the last test run saw.\n\n"
        f"## Start here\n\n- [Page 0]({url}index.md): All of it. Deep\n\n"
        f"## Parts\n\n- [Page 1]({url}deep/page/index.md): Said.\n- [Page 2]({url}proof/index.md)\n"
    )


@pytest.mark.parametrize("url", ["", "https://docs.example.com/x/"])
def test_models_get_all_pages_but_the_proof_in_one_text(pages: list[llms.Page], url: str) -> None:
    assert llms.full(pages, url) == (
        f"---\n\n[Page 0]({url}index.md):\n\n# Home\n\nAll of it. [Deep]({url}deep/page/index.md#part)\n\n"
        f"---\n\n[Page 1]({url}deep/page/index.md):\n\n# Deep\n\nSaid.\n\n## Part\n\n"
        f"[`nginx/last.conf`]({url}files/nginx/last.conf):\n\n```nginx\n\n\na 1;  \nb 2;\n```\n"
    )
