"""What is measured is kept whole, drawn with its numbers in words, and refused when it is no measurement."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from handbook import bench, measured, memory
from handbook.catalog import Catalog
from handbook.findings import HandbookError
from handbook.site import charts

FILE = "snippets/measured/compose-demo.json"
MEMORY = {"nginx": 12 * 2**20, "a<b": 300 * 2**20}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A checkout with one chart and one section of other numbers."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    measured.keep(
        "compose/demo", "memory", MEMORY, date="2026-01-02", title="Memory", unit=measured.BYTES, root=tmp_path
    )
    measured.keep("compose/demo", "release", {"requests": 10000, "failed": 0}, date="2026-01-03", root=tmp_path)
    return tmp_path


def test_sections_are_kept_beside_one_another(kept: Path) -> None:
    assert measured.path("compose/demo") == FILE
    whole = json.loads((kept / FILE).read_text())
    assert list(whole) == ["memory", "release"]
    assert whole["memory"]["bars"] == MEMORY
    assert whole["release"]["requests"] == 10000
    assert whole["release"]["machine"] == measured.machine()
    sections = measured.read(kept, FILE)
    assert (sections["memory"].title, sections["memory"].numbers, sections["memory"].date) == (
        "Memory",
        MEMORY,
        "2026-01-02",
    )
    measured.keep("compose/demo", "release", {"requests": 5}, date="2026-01-04", root=kept)
    assert measured.read(kept, FILE)["release"].numbers == {"requests": 5}
    assert measured.read(kept, FILE)["memory"] == sections["memory"]


def test_nothing_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(HandbookError, match=r"compose-demo\.json#memory: .*numbers; run `make bench`"):
        measured.keep("compose/demo", "memory", {}, date="2026-01-02", root=tmp_path)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{", "not JSON"),
        ("3", "not a measurement"),
        ('{"a": 1, "machine": "x"}', "says no date"),
        ('{"title": "t", "bars": {"a": 1}, "machine": "x", "date": "d"}', "says no unit"),
        ('{"title": "t", "unit": "s", "machine": "x", "date": "d"}', "a chart has bars"),
        ('{"title": "t", "unit": "s", "bars": {"a": 1}, "b": 2, "machine": "x", "date": "d"}', "and nothing else"),
        ('{"a": "1", "machine": "x", "date": "d"}', "no number of 0 or more: a"),
        ('{"a": -1, "machine": "x", "date": "d"}', "no number of 0 or more: a"),
    ],
)
def test_what_is_no_measurement_is_refused(tmp_path: Path, section: str, message: str) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(f'{{"some": {section}}}')
    with pytest.raises(HandbookError, match=f"compose-demo.json.*{message}"):
        measured.read(tmp_path, FILE)


def test_a_chart_is_drawn_with_its_numbers(kept: Path) -> None:
    drawn = charts.chart(Catalog(kept), "measured/compose-demo.json#memory")
    figure = ElementTree.fromstring(drawn)
    svg = figure.find("svg")
    assert svg is not None
    named = [svg.find(f"*[@id='{identity}']") for identity in svg.attrib["aria-labelledby"].split()]
    assert [node.text for node in named if node is not None] == ["Memory", "In MB: nginx: 12; a<b: 300"]
    widths = [float(bar.attrib["width"]) for bar in svg.iter("rect")]
    assert widths[0] / widths[1] == pytest.approx(12 / 300, abs=0.01)
    assert [cell.text for cell in figure.iter("td")] == ["nginx", "12", "a<b", "300"]
    caption = "".join(figure.find("figcaption").itertext())  # type: ignore[union-attr]
    assert f"Memory. Measured on 2026-01-02, {measured.machine()}." in caption
    assert "currentColor" in drawn


@pytest.mark.parametrize("address", ["measured/compose-demo.json#speed", "measured/gone.json#memory", "x"])
def test_a_chart_that_is_not_there_lists_those_that_are(kept: Path, address: str) -> None:
    with pytest.raises(HandbookError, match=f"no chart '{address}'; there are: measured/compose-demo.json#memory$"):
        charts.chart(Catalog(kept), address)


def test_a_section_without_a_title_is_no_chart(kept: Path) -> None:
    with pytest.raises(HandbookError, match="no chart"):
        charts.chart(Catalog(kept), "measured/compose-demo.json#release")


@pytest.mark.parametrize(
    ("files", "needed"),
    [
        ({"memory.usage_in_bytes": "100\n", "memory.stat": "inactive_file 1\ntotal_inactive_file 30\n"}, 70),
        ({"memory.current": "100\n", "memory.stat": "anon 5\ninactive_file 30\nactive_file 20\n"}, 50),
        ({"memory.current": "10\n", "memory.stat": "inactive_file 30\n"}, 0),
        ({}, 0),
    ],
)
def test_what_the_kernel_would_give_up_is_not_needed(tmp_path: Path, files: dict[str, str], needed: int) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert memory.needed(tmp_path) == needed


def test_the_most_that_a_service_needed_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {"1" * 64: 5, "2" * 64: 9, "3" * 64: 99}
    services = {"1" * 64: "web", "2" * 64: "web"}
    for container in needs:
        (tmp_path / f"docker-{container}.scope").mkdir()
    (tmp_path / "ssh.service").mkdir()
    monkeypatch.setattr(memory, "_PLACES", ((str(tmp_path / "gone"), "{}"), (str(tmp_path), "docker-{}.scope")))
    asked: list[str] = []

    def of_project(containers: list[str], project: str) -> dict[str, str]:
        asked.extend(containers)
        return {container: services[container] for container in containers if container in services}

    monkeypatch.setattr(memory, "_services", of_project)
    monkeypatch.setattr(memory, "needed", lambda folder: needs[folder.name[7:-6]])
    watch = memory.Watch("project")
    watch.look()
    assert watch.peaks == {"web": 9}
    needs["1" * 64], needs["2" * 64] = 7, 8
    watch.look()
    assert watch.peaks == {"web": 9}
    assert len(asked) == 3, "each container is asked for once"


def test_nothing_is_seen_while_it_looks_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SECONDS", 0.001)
    looked = threading.Event()
    monkeypatch.setattr(memory.Watch, "look", lambda watch: looked.set())
    with memory.Watch("project") as watch:
        assert looked.wait(5)
        with watch.looking_away():
            looked.clear()
            assert not looked.wait(0.1)
        assert looked.wait(5)


def test_an_unknown_benchmark_lists_those_there_are() -> None:
    with pytest.raises(HandbookError, match="no benchmark 'speed'; there are: levels, memory"):
        bench.measure(["speed"])
