"""The service on this machine without a container of its own, as its page runs it, and the ways to start it."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from handbook import proof, tools
from handbook.catalog import ROOT, Catalog
from handbook.proof import digests
from handbook.pytest_plugin import RESULTS, module_name
from handbook.stacks import Boot, ComposeStack, docker_version, leftovers
from handbook.symptoms import headings
from handbook.walkthroughs import Walkthrough

from . import development, servers, symptoms
from .development import answers_as, edited
from .servers import WAYS, Place
from .symptoms import Symptom

# What has the databases, and the files that a reader copies.
STACK = "compose/development"
pytestmark = pytest.mark.usefixtures("quiet_around")
PAGE = ROOT / "docs" / "local.md"
WALKTHROUGH = "snippets/local/walkthrough.sh"


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    helpers = (path for path in here.parent.glob("*.py") if not path.name.startswith("test_"))
    stack = ComposeStack(STACK, Catalog()).digest([here, *helpers, ROOT / WALKTHROUGH])
    return proof.digest(stack, sys.version, *headings(PAGE), json.dumps(table(PAGE)))


@pytest.fixture(scope="module")
def boot(boot: Boot) -> Boot:
    development.ask_on_loopback(boot)
    return boot


@pytest.fixture(scope="module")
def place(boot: Boot) -> Place:
    """The copied folder of the service. Its settings are those of the page, with the ports that are free here."""
    ports = boot.ports
    environment = {
        **boot.env,
        "SECRETS_DIR": str(boot.folder / "secrets"),
        "DATABASE_PORT": str(ports[5432]),
        "CACHE_URL": f"redis://127.0.0.1:{ports[6379]}/0",
        "BROKER_URL": f"redis://127.0.0.1:{ports[6380]}/0",
        "PROVIDER_URL": f"http://127.0.0.1:{ports[9000]}/v1",
        "GUNICORN_BIND": f"127.0.0.1:{ports[8000]}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    folder = boot.folder.parents[1] / "service"
    return Place(folder, environment, boot, ports[8000], folder / ".venv" / "bin")


@pytest.fixture(scope="module")
def walk(request: pytest.FixtureRequest, boot: Boot, place: Place, docker_services: Any) -> Iterator[Walkthrough]:
    """The page's steps, in the folder of the service. What differs from a reader's machine are the ports."""
    script = boot.folder.parents[1] / "local" / "walkthrough.sh"
    script.parent.mkdir()
    shutil.copy2(ROOT / WALKTHROUGH, script)
    environment = {name: value for name, value in place.environment.items() if name != "SECRETS_DIR"}
    with Walkthrough(script, cwd=place.folder, env=environment, name=WALKTHROUGH) as walkthrough:
        yield walkthrough
        left = [step.name for step in walkthrough.steps if step.name not in walkthrough.results]
        results = request.config.stash[RESULTS]
        whole = results.ran_whole(results.modules[module_name(request.node.nodeid)])
        assert not (left and whole and not request.session.testsfailed), f"{WALKTHROUGH}: no test ran {', '.join(left)}"


@pytest.fixture(scope="module")
def ready(boot: Boot, walk: Walkthrough, boots: Any) -> Boot:
    """The databases run and have their tables; says in the proof what ran."""
    walk.until("make-the-tables")
    files = {**boot.files, **digests(ROOT, [WALKTHROUGH])}
    boots(
        "local",
        tool=f"Python {sys.version.split()[0]}, docker {docker_version()}",
        seconds=sum(result.seconds for result in walk.results.values()),
        digest=boot.stack.digest([ROOT / WALKTHROUGH]),
        files=files,
        images={image.name: str(image) for image in boot.images.values()},
    )
    return boot


@pytest.fixture(scope="module")
def client(ready: Boot, place: Place) -> Iterator[httpx.Client]:
    with place.client() as client:
        yield client


def test_the_environment_has_what_development_needs(walk: Walkthrough, place: Place) -> None:
    walk.until("make-the-environment")
    there = {path.name for path in place.programs.iterdir()}
    assert {"alembic", "celery", "gunicorn", "pytest", "uvicorn", "watchfiles"} <= there


def test_only_what_it_needs_is_in_containers(ready: Boot) -> None:
    services = {c["Config"]["Labels"]["com.docker.compose.service"] for c in ready.containers()}
    assert services == {"broker", "cache", "postgres", "provider"}


@pytest.fixture(scope="module")
def columns(ready: Boot, place: Place) -> dict[str, dict[str, str]]:
    """The ways to start the service, and what is seen of each."""
    return servers.observe(place)


def table(page: Path) -> dict[str, dict[str, str]]:
    """The cells of the page's table of ways, by column and row."""
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {name.strip("`"): {row[0]: row[index] for row in rows} for index, name in enumerate(names) if index}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_does_what_the_table_says(way: str, columns: dict[str, dict[str, str]]) -> None:
    assert table(PAGE)[way] == columns[way]


def test_the_table_has_the_ways_that_are_tried() -> None:
    assert list(table(PAGE)) == list(WAYS)


def test_walkthrough_runs_it(walk: Walkthrough, ready: Boot, client: httpx.Client, place: Place) -> None:
    assert json.loads(walk.until("run-it").stdout) == {"state": "up"}
    with edited(place.folder / "assistant" / "__init__.py", "1.0.0", "1.0.1"):
        answers_as(client, "1.0.1")
    answers_as(client, "1.0.0")


def test_walkthrough_checks_it(walk: Walkthrough, ready: Boot) -> None:
    """The database, both Redis and the provider are asked."""
    lines = walk.until("check-it").stdout.splitlines()
    assert json.loads(lines[0])["embedder"]
    assert "event: done" in lines


def test_walkthrough_imports_in_the_background(walk: Walkthrough, ready: Boot) -> None:
    assert json.loads(walk.until("import-documents-in-the-background").stdout)["state"] == "done"


def test_walkthrough_runs_the_tests(walk: Walkthrough, ready: Boot) -> None:
    assert " passed in " in walk.until("run-the-tests").stdout.splitlines()[-1]


def test_walkthrough_runs_it_as_production_does(walk: Walkthrough, ready: Boot, client: httpx.Client) -> None:
    assert json.loads(walk.until("run-it-as-production-does").stdout) == {"state": "up"}
    answers_as(client, "1.0.0")


def test_the_page_names_the_symptoms_that_are_shown() -> None:
    symptoms.all_are_shown(PAGE, sys.modules[__name__])


@pytest.mark.shows("uvicorn is not installed")
def test_the_wrong_requirements(ready: Boot, place: Place, symptom: Symptom) -> None:
    """Those of production have no uvicorn: here it is hidden."""
    program = "import runpy, sys; sys.modules['uvicorn'] = None; runpy.run_module('assistant', run_name='__main__')"
    ended = _python(place, "-c", program)
    symptom.is_in(ended.stderr)
    assert "Traceback" not in ended.stderr


@pytest.mark.shows("No module named assistant")
def test_another_folder(ready: Boot, place: Place, symptom: Symptom) -> None:
    symptom.is_in(_python(place, "-m", "assistant", cwd=place.folder.parent).stderr)


@pytest.mark.shows("ModuleNotFoundError: No module named 'assistant'")
def test_a_file_instead_of_a_module(ready: Boot, place: Place, symptom: Symptom) -> None:
    """Python looks beside the file then, and not in the folder that one stands in."""
    symptom.is_in(_python(place, "assistant/app.py").stderr)


@pytest.mark.shows("DATABASE_PASSWORD: missing")
def test_no_secrets(ready: Boot, place: Place, symptom: Symptom) -> None:
    symptom.is_in(_python(place, "-m", "assistant", SECRETS_DIR="").stdout)


@pytest.mark.shows("address already in use")
def test_a_port_that_is_taken(
    walk: Walkthrough, ready: Boot, client: httpx.Client, place: Place, symptom: Symptom
) -> None:
    """The walkthrough's gunicorn has it."""
    walk.until("run-it-as-production-does")
    ended = _python(place, "-m", "assistant")
    symptom.is_in(ended.stdout + ended.stderr)


def _python(place: Place, *arguments: str, cwd: Path | None = None, **settings: str) -> Any:
    """Run Python with arguments that it has to fail with."""
    program = str(place.programs / "python")
    ended = tools.run([program, *arguments], cwd=cwd or place.folder, env={**place.environment, **settings}, timeout=60)
    assert ended.returncode, ended.stdout
    return ended


@pytest.mark.removes
def test_walkthrough_stops_it(walk: Walkthrough, ready: Boot, place: Place) -> None:
    walk.until("stop-it")
    assert not development.is_open("127.0.0.1", place.port)
    walk.until("stop-what-it-needed")
    assert not ready.containers()
    assert [item for item in leftovers(ready.project) if "volume" not in item] == []
