"""What the Compose stack for production does under work: streams, jobs, limits; what is lost, what dies, what is slow.

What takes long by itself begins at once and is looked at late.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from handbook import proof, tools
from handbook.catalog import ROOT, Catalog
from handbook.stacks import Boot, ComposeStack
from handbook.symptoms import headings

from . import deaths, edge, hurt, inside, jobs, probes, small, streams
from .bursts import burst
from .client import Client, wait_for
from .containers import Container, execute, said
from .database import held_table, sql, waits_for_the_table
from .inside import Request
from .jobs import Job
from .operate import operate
from .probes import Logs
from .second_nginx import Changes, second_nginx
from .streams import Stream
from .symptoms import Symptom

STACK = "compose/production"
pytestmark = pytest.mark.usefixtures("quiet_around")
PAGE = ROOT / "docs" / "compose" / "troubleshooting.md"


BUFFERING: Changes = {"stream.conf": {"proxy_buffering off": "proxy_buffering on"}}
LIMITS = ("limit_req zone=requests burst=200 nodelay;", "limit_conn connections 50;")
BOTH_LIMITS = "\n            ".join(LIMITS)
# However long the burst takes, it is no more than the stack's own limit would let through in two seconds.
SLOWER: Changes = {"limits.conf": {"rate=100r/s": "rate=1r/s"}}

OTHER_SETTINGS = {
    "WEB_CONCURRENCY": "3",
    "RATE_LIMIT_PER_MINUTE": "100000",
    "CORS_ALLOW_ORIGINS": "https://www.example.com",
    "MAX_BODY_BYTES": "2000000",
    # Nobody listens there.
    "PROVIDER_URL": "http://provider:9/v1",
}


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    helpers = (path for path in here.parent.glob("*.py") if not path.name.startswith("test_"))
    return proof.digest(ComposeStack(STACK, Catalog()).digest([here, *helpers]), *headings(PAGE))


@pytest.fixture(scope="module")
def started(another_key: str, started: Boot) -> Boot:
    return started


@pytest.fixture(scope="module")
def another(client: Client, another_key: str) -> Client:
    """Another client. What it asks for is counted by itself."""
    return replace(client, key=another_key)


@dataclass(frozen=True)
class LostJob:
    """A job whose whole worker was killed while it worked, and when that was."""

    job: Job
    texts: list[str]
    killed: datetime


@dataclass(frozen=True)
class Begun:
    """What goes on beside the tests."""

    lost: LostJob
    small: Future[Boot]
    lonely: Future[tuple[str, str]]
    slow: Future[Stream]
    endless: Future[Stream]
    silent: dict[str, Future[Stream]]


@pytest.fixture(scope="module", autouse=True)
def begun(started: Boot, client: Client) -> Iterator[Begun]:
    with ExitStack() as ends, ThreadPoolExecutor(8) as pool:
        yield Begun(
            lost=lose_the_worker(started, client),
            slow=pool.submit(streams.ask, client, "be slow 40"),
            endless=pool.submit(streams.ask, client, "drip 800"),
            silent={version: pool.submit(streams.ask, client, "be slow 12", version=version) for version in HTTP},
            lonely=pool.submit(hurt.lonely_worker, started),
            small=pool.submit(lambda: ends.enter_context(small.small_stack(started))),
        )


def lose_the_worker(boot: Boot, client: Client) -> LostJob:
    """Kill the container of the worker while a job waits for a table."""
    texts = jobs.texts()
    with held_table(boot):
        job = jobs.hand_in(client, texts)
        wait_for(lambda: waits_for_the_table(boot), "the job waits for the table")
        deaths.kill(boot.containers("worker")[0])
        return LostJob(job, texts, datetime.now().astimezone())


HTTP = ("1.1", "2")


@pytest.mark.parametrize("version", HTTP)
def test_an_answer_comes_token_by_token(client: Client, version: str) -> None:
    streams.comes_token_by_token(client, version)


@pytest.mark.negative
def test_an_answer_that_is_buffered_is_noticed(started: Boot, client: Client) -> None:
    with (
        second_nginx(started, client, BUFFERING) as buffering,
        pytest.raises(AssertionError, match=r"came 0\.\d\d s before the last"),
    ):
        # With HTTP/2 nginx passes on what it has, whatever it is told.
        streams.comes_token_by_token(buffering, "1.1")


@pytest.mark.parametrize(
    ("question", "status"),
    [
        pytest.param("answer 429", 503, marks=pytest.mark.shows("The model provider has too many requests")),
        pytest.param("answer 500", 502, marks=pytest.mark.shows("The model provider failed.")),
        pytest.param("answer 401", 502, marks=pytest.mark.shows("The model provider refused the request.")),
        pytest.param("cut", 502, marks=pytest.mark.shows("The answer of the model provider broke off.")),
    ],
)
def test_a_provider_that_fails(question: str, status: int, client: Client, logs: Logs, symptom: Symptom) -> None:
    """The client is told in order, and the log tells the same under the id that the client was given."""
    problem = streams.ask(client, question).problem()
    assert problem["status"] == status, problem
    symptom.is_in(problem["detail"])
    warned = [line for line in logs("service") if line["request_id"] == problem["request_id"]]
    assert any(line["message"].startswith("provider: ") for line in warned), warned


def test_a_provider_that_fails_once_is_asked_again(client: Client, logs: Logs) -> None:
    before = len(calls(logs))
    streams.ask(client, f"fail once {uuid.uuid4().hex}").is_whole()
    assert len(calls(logs)) == before + 1


def test_retries_stop_when_their_budget_is_spent(client: Client, logs: Logs) -> None:
    """Without a budget each of these would be two more calls of a provider that fails anyway."""
    before, many = len(calls(logs)), 24
    with ThreadPoolExecutor(8) as pool:
        for stream in pool.map(lambda _: streams.ask(client, "answer 500"), range(many)):
            stream.problem()
    retries = len(calls(logs)) - before - many
    # Each of the two replicas has saved up 5 at most and earns one with every fifth call.
    assert 1 <= retries <= 2 * 5 + many / 5, f"{retries} retries of {many} calls"


def calls(logs: Logs) -> list[dict[str, Any]]:
    """The lines of the provider about requests that it answered with 500."""
    return [line for line in logs("provider") if line.get("status") == 500]


@pytest.mark.shows("An API key is needed: Authorization: Bearer KEY")
def test_a_key_is_needed(client: Client, another: Client, symptom: Symptom) -> None:
    refused = replace(client, key="").get("/v1/search", params={"q": "anything"})
    assert refused.status_code == 401, refused.text
    symptom.is_in(refused.text)
    assert another.get("/v1/search", params={"q": "anything"}).status_code == 200


@pytest.mark.shows("Too many requests from this address.")
def test_a_burst_from_one_address(client: Client, tmp_path: Path, symptom: Symptom) -> None:
    """Some are answered, those that are too many are refused in the service's own format, and soon all is well."""
    answers, refusals = burst(client, tmp_path)
    assert set(answers) == {(401, ""), (429, "1")}, answers
    for refusal in refusals:
        problem = json.loads(refusal)
        assert (problem["title"], problem["status"]) == ("Too Many Requests", 429), problem
        symptom.is_in(problem["detail"])
    wait_for(lambda: client.get("/v1/search", params={"q": "anything"}).status_code == 200, "requests pass again", 10)


@pytest.mark.parametrize("limit", LIMITS, ids=["requests", "connections"])
def test_each_limit_of_nginx_holds_alone(limit: str, started: Boot, client: Client, tmp_path: Path) -> None:
    with second_nginx(started, client, {**SLOWER, "nginx.conf": {BOTH_LIMITS: limit}}) as nginx:
        assert burst(nginx, tmp_path)[0][429, "1"]


@pytest.mark.negative
def test_without_limits_a_burst_passes(started: Boot, client: Client, tmp_path: Path) -> None:
    with second_nginx(started, client, {**SLOWER, "nginx.conf": {BOTH_LIMITS: ""}}) as nginx:
        assert set(burst(nginx, tmp_path)[0]) == {(401, "")}


@pytest.mark.shows("This key may ask")
def test_a_key_has_one_limit_over_all_replicas(
    started: Boot, client: Client, another: Client, symptom: Symptom
) -> None:
    """Asked directly, for nginx would not let that many through at a time. Other keys are not concerned."""
    limit = int(execute(started, "service", "printenv", "RATE_LIMIT_PER_MINUTE"))
    request = Request("GET", "/v1/nowhere", {"Authorization": f"Bearer {another.key}"})
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(inside.ask_until, c, request, 429, 2 * limit) for c in started.containers("service")]
        passed = [asked.result() for asked in asking]
    minutes = (time.monotonic() - began) / 60
    # A few were asked for before; and the window slides, so that what was counted at first is forgotten bit by bit.
    assert limit - 10 <= sum(passed) <= limit * (1 + minutes) + 10, passed
    assert all(passed), passed
    refused = another.get("/v1/search", params={"q": "anything"})
    assert refused.status_code == 429, refused.status_code
    assert 0 < int(refused.headers["retry-after"]) <= 60, refused.headers
    symptom.is_in(refused.text)
    assert client.get("/v1/search", params={"q": "anything"}).status_code == 200


def test_pages_of_others_may_not_call(client: Client) -> None:
    preflight = client.request("OPTIONS", "/v1/search", headers=preflight_of("https://www.example.com"))
    assert not [name for name in preflight.headers if name.startswith("access-control-")], preflight.headers


def preflight_of(origin: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}


def test_a_job_is_accepted_and_done(started: Boot, client: Client) -> None:
    texts = jobs.texts()
    assert not [text for text in texts if text in client.get("/v1/search", params={"q": texts[0]}).text]
    job = jobs.wait_until_done(client, jobs.hand_in(client, texts))
    assert (job["total"], job["attempts"]) == (3, 1), job
    jobs.are_stored_once(started, texts)
    # What was searched for before the job was done is not answered from the cache.
    assert texts[0] in client.get("/v1/search", params={"q": texts[0]}).text


@pytest.mark.shows("This Idempotency-Key came with other content before.")
def test_the_same_key_is_the_same_job(started: Boot, client: Client, symptom: Symptom) -> None:
    key, texts = uuid.uuid4().hex, jobs.texts()
    first = jobs.hand_in(client, texts, key)
    jobs.wait_until_done(client, first)
    assert jobs.hand_in(client, texts, key)["id"] == first["id"]
    jobs.are_stored_once(started, texts)
    other = client.request("POST", "/v1/jobs", content={"texts": ["other"]}, headers={"Idempotency-Key": key})
    assert other.status_code == 422, other.text
    symptom.is_in(other.text)


def test_nobody_else_sees_a_job(client: Client, another: Client, begun: Begun) -> None:
    assert another.get(f"/v1/jobs/{begun.lost.job['id']}").status_code in (404, 429)


@pytest.mark.shows("Worker exited prematurely: signal 9 (SIGKILL)")
def test_a_job_whose_process_is_killed_is_done_at_once(started: Boot, client: Client, symptom: Symptom) -> None:
    texts = jobs.texts()
    worker = started.containers("worker")[0]
    with held_table(started):
        job = jobs.hand_in(client, texts)
        kill_its_process(started, client, job, attempt=1)
        begins(client, job, attempt=2)
    jobs.wait_until_done(client, job)
    jobs.are_stored_once(started, texts)
    symptom.is_in(said(worker))
    assert started.containers("worker")[0]["Id"] == worker["Id"]


@pytest.mark.shows("Given up after 3 attempts.")
def test_a_job_that_kills_its_process_each_time_is_given_up(started: Boot, client: Client, symptom: Symptom) -> None:
    with held_table(started):
        job = jobs.hand_in(client, jobs.texts())
        for attempt in (1, 2, 3):
            kill_its_process(started, client, job, attempt)
        ended = jobs.wait_until(client, job, lambda job: job["state"] == "failed", "is given up")
    symptom.is_in(ended["error"])


def begins(client: Client, job: Job, attempt: int) -> None:
    # Well below the visibility timeout: the worker gives it back by itself.
    jobs.wait_until(client, job, lambda job: job["attempts"] == attempt, f"has attempt {attempt}", 20)


def kill_its_process(boot: Boot, client: Client, job: Job, attempt: int) -> None:
    begins(client, job, attempt)
    deaths.kill_processes(boot.containers("worker")[0])


def test_an_answer_is_kept_until_something_is_stored(started: Boot, client: Client) -> None:
    """In Redis, for both replicas; an answer that is altered there comes altered."""
    question = f"kept {uuid.uuid4().hex}"
    first = search(client, question)
    assert {search(client, question) for _ in range(6)} == {(first[0], "hit")}
    generation = inside.redis(started, "cache", "GET", "search:generation")
    keys = inside.redis(started, "cache", "--scan", "--pattern", f"search:{generation}:*").splitlines()
    [key] = [key for key in keys if inside.redis(started, "cache", "GET", key) == first[0]]
    inside.redis(started, "cache", "SET", key, '{"matches": "from the cache"}', "KEEPTTL")
    assert 0 < int(inside.redis(started, "cache", "TTL", key)) <= 3600
    assert search(client, question) == ('{"matches": "from the cache"}', "hit")
    stored = client.store(question)
    body, cache = search(client, question)
    assert (json.loads(body)["matches"][0]["id"], cache) == (stored, "fwd=miss")


@pytest.mark.shows("cache: Redis does not answer")
def test_the_cache_lost_and_back(
    started: Boot, client: Client, deep: Callable[[], tuple[int, dict[str, Any]]], symptom: Symptom
) -> None:
    """Searches find the same without it, and use it again when it is back."""
    question = f"lost {uuid.uuid4().hex}"
    whole = search(client, question)[0]
    started.compose("stop", "cache")
    try:
        assert {search(client, question) for _ in range(6)} == {(whole, "fwd=bypass")}
        assert client.store(question) in client.find(question)
        status, state = deep()
        assert (status, state["state"], state["dependencies"]["cache"]["state"]) == (200, "degraded", "down"), state
        symptom.is_in("".join(map(said, started.containers("service"))))
    finally:
        started.compose("start", "cache")
    wait_for(lambda: search(client, question)[1] == "hit", "the cache is used again", 10)
    wait_for(lambda: deep()[1]["state"] == "up", "all is up", 10)


def search(client: Client, question: str) -> tuple[str, str]:
    """The body of the answer, and what the cache had to do with it."""
    answer = client.get("/v1/search", params={"q": question})
    assert answer.status_code == 200, answer.text
    return answer.text, answer.headers["cache-status"].removeprefix("assistant; ")


@pytest.fixture(scope="class")
def other(started: Boot) -> Iterator[Container]:
    with inside.one_off(started, OTHER_SETTINGS) as container:
        yield container


class TestOtherSettings:
    def test_metrics_are_right_over_all_processes(self, other: Container) -> None:
        """Whichever of them is asked tells of all requests, and no request is counted twice."""
        before = counted(other)
        inside.ask(other, *[Request("GET", "/version")] * 60)
        assert {counted(other) - before for _ in range(10)} == {60.0}

    def test_ids_make_no_new_series(self, other: Container, another_key: str) -> None:
        key = {"Authorization": f"Bearer {another_key}"}

        def requests() -> list[Request]:
            one, two = uuid.uuid4(), uuid.uuid4()
            known = Request("GET", f"/v1/jobs/{one}", key)
            return [
                known,
                Request("GET", f"/v1/jobs/{two}"),
                Request("GET", f"/{one}/{two}"),
                Request("PURGE", f"/{two}"),
            ]

        inside.ask(other, *requests())
        before = series(other)
        assert {"/v1/jobs/{id}", "other"} <= {dict(labels).get("route") for _, labels in before}
        inside.ask(other, *(request for _ in range(250) for request in requests()))
        assert series(other) == before

    @pytest.mark.shows("Disallowed CORS origin")
    def test_pages_of_one_origin_may_call(self, other: Container, symptom: Symptom) -> None:
        origins = ("https://www.example.com", "https://evil.example")
        good, bad = inside.ask(other, *(Request("OPTIONS", "/v1/search", preflight_of(origin)) for origin in origins))
        assert (good.status, good.headers["access-control-allow-origin"]) == (200, origins[0]), good
        assert "access-control-allow-credentials" not in good.headers
        assert (bad.status, "access-control-allow-origin" in bad.headers) == (400, False), bad
        symptom.is_in(bad.text)

    def test_a_body_may_be_larger(self, other: Container, another_key: str) -> None:
        assert [post(other, another_key, size).status for size in (1_200_000, 2_200_000)] == [422, 413]

    @pytest.mark.shows("The model provider cannot be reached.")
    def test_no_provider(self, other: Container, another_key: str, symptom: Symptom) -> None:
        headers = {"Authorization": f"Bearer {another_key}", "Content-Type": "application/json"}
        [answer] = inside.ask(other, Request("POST", "/v1/answers", headers, '{"question": "anything"}'))
        assert answer.status == 200, answer
        assert "event: error" in answer.text
        symptom.is_in(answer.text)


def post(container: Container, key: str, size: int) -> inside.Answer:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return inside.ask(container, Request("POST", "/v1/documents", headers, json.dumps({"text": "x" * size})))[0]


def samples(container: Container) -> list[Any]:
    """All samples of the metrics, as Prometheus reads them."""
    families = text_string_to_metric_families(inside.get(container, "/metrics").text)
    return [sample for family in families for sample in family.samples]


def counted(container: Container) -> float:
    """How many requests for /version were counted."""
    wanted = {"method": "GET", "route": "/version", "status": "200"}
    return sum(s.value for s in samples(container) if s.name == "http_requests_total" and s.labels == wanted)


def series(container: Container) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    return {(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples(container)}


@pytest.fixture(scope="module")
def small_boot(begun: Begun) -> Boot:
    return begun.small.result()


@pytest.fixture(scope="module")
def of_small(small_boot: Boot, client: Client) -> Client:
    return small.client_of(small_boot, client)


@pytest.mark.shows("No space left on device")
def test_a_full_disk(small_boot: Boot, of_small: Client, symptom: Symptom) -> None:
    """What is there can be read, what cannot be written is refused, and with room again all is well by itself."""
    kept = of_small.store("Stored while there was room.")
    long = " ".join(uuid.uuid4().hex for _ in range(500))
    small.fill_the_disk(small_boot)
    try:
        refused = of_small.request("POST", "/v1/documents", content={"text": long})
        assert refused.status_code == 503, refused.text
        assert int(refused.headers["retry-after"]) > 0
        assert of_small.find("Stored while there was room.") == [kept]
        symptom.is_in(said(small_boot.containers("postgres")[0]))
        assert "100%" in operate(small_boot, "see-what-takes-the-disk")
    finally:
        small.empty_the_disk(small_boot)
    wait_for(lambda: of_small.store(long), "documents are stored again", 10)
    assert small_boot.containers("postgres")[0]["RestartCount"] == 0


@pytest.mark.shows("canceling statement due to lock timeout")
def test_a_migration_that_waits_for_a_table(small_boot: Boot, symptom: Symptom) -> None:
    """It gives up instead of keeping every request waiting behind it. Once who holds the table is ended, it is done."""
    assert small.migrate(small_boot, "alembic", "downgrade", "documents")[0] == 0
    with held_table(small_boot), ThreadPoolExecutor() as pool:
        migrating = pool.submit(small.migrate, small_boot)
        wait_for(lambda: waits_for_the_table(small_boot), "the migration waits for the table")
        seen = operate(small_boot, "see-who-keeps-others-waiting")
        code, printed = migrating.result()
        assert code == 1, printed
        symptom.is_in(printed)
        assert "LOCK TABLE documents" in seen
        [holder] = [line.split()[0] for line in seen.splitlines() if "LOCK TABLE documents" in line]
        assert sql(small_boot, f"SELECT pg_terminate_backend({holder})") == "t"
        code, printed = small.migrate(small_boot)
        assert code == 0, printed


@pytest.mark.shows("The request took too long.")
def test_a_database_that_hangs(small_boot: Boot, of_small: Client, symptom: Symptom) -> None:
    assert of_small.find("Stored while there was room.")
    with small.hanging_database(small_boot):
        answer = of_small.get("/v1/search", params={"q": "something that nobody has asked"})
    assert answer.status_code == 504, answer.text
    symptom.is_in(answer.text)
    wait_for(lambda: of_small.find("something that nobody has asked") is not None, "searches find again", 10)


@pytest.fixture(scope="module")
def slow_request(started: Boot, client: Client, logs: Logs) -> dict[str, Any]:
    """The line that nginx logs of a request which the database kept waiting for more than a second."""
    with held_table(started) as release, ThreadPoolExecutor() as pool:
        storing = pool.submit(client.request, "POST", "/v1/documents", content={"text": "Stored slowly."})
        wait_for(lambda: waits_for_the_table(started), "the request waits for the table")
        time.sleep(1.2)
        release()
        answer = storing.result()
    assert answer.status_code == 201, answer.text
    return edge.line_of(logs, "nginx", answer.headers["x-request-id"])


@pytest.mark.shows("upstream_seconds")
def test_a_slow_answer_is_seen_at_nginx(slow_request: dict[str, Any], symptom: Symptom) -> None:
    symptom.is_in(json.dumps(slow_request))
    assert float(slow_request["upstream_seconds"]) > 1, slow_request
    assert float(slow_request["upstream_connect_seconds"]) < float(slow_request["upstream_seconds"]), slow_request


@pytest.mark.shows("duration:")
def test_a_slow_statement_is_seen_at_the_database(
    started: Boot, slow_request: dict[str, Any], symptom: Symptom
) -> None:
    symptom.is_in(said(started.containers("postgres")[0]))


def test_a_statement_that_waits_too_long_is_given_up(started: Boot, client: Client, logs: Logs) -> None:
    """By the database, before the service does it, and before nginx."""
    with held_table(started):
        answer = client.request("POST", "/v1/documents", content={"text": "Never stored."})
    assert answer.status_code == 503, answer.text
    assert answer.json()["detail"] == "The database does not answer at the moment."
    lines = [line for line in logs("service") if line["request_id"] == answer.headers["x-request-id"]]
    assert any("canceling statement due to lock timeout" in line["message"] for line in lines), lines


@pytest.mark.parametrize("version", HTTP)
def test_a_long_silence_has_heartbeats(begun: Begun, version: str) -> None:
    stream = begun.silent[version].result()
    stream.is_whole()
    assert stream.version == version
    [heartbeat] = stream.named(": heartbeat")
    assert stream.events[0].at < heartbeat.at < stream.named("token")[0].at


@pytest.mark.shows("The model provider did not answer in time.")
def test_a_provider_that_is_silent_for_too_long(begun: Begun, symptom: Symptom) -> None:
    stream = begun.slow.result()
    problem = stream.problem()
    assert problem["status"] == 504, problem
    symptom.is_in(problem["detail"])
    assert set(stream.names) == {"sources", ": heartbeat", "error"}, stream.names


@pytest.mark.shows("The answer took too long.")
def test_an_answer_that_does_not_end(begun: Begun, symptom: Symptom) -> None:
    stream = begun.endless.result()
    problem = stream.problem()
    assert problem["status"] == 504, problem
    assert len(stream.named("token")) > 100
    symptom.is_in(problem["detail"])


def test_a_job_whose_worker_is_killed_is_done_after_the_visibility_timeout(
    started: Boot, client: Client, logs: Logs, begun: Begun
) -> None:
    """By the broker, and not by the sweep that would send it even later."""
    visibility = int(execute(started, "service", "printenv", "VISIBILITY_TIMEOUT_SECONDS"))
    job = jobs.wait_until_done(client, begun.lost.job, visibility + 30)
    assert job["attempts"] == 2, job
    jobs.are_stored_once(started, begun.lost.texts)
    killed = begun.lost.killed.timestamp()
    lines = [line for line in logs("worker") if datetime.fromisoformat(line["time"]).timestamp() > killed]
    done = next(number for number, line in enumerate(lines) if line["message"] == f"job {job['id']} done")
    assert not [line for line in lines[:done] if line["message"].startswith("sent again")], lines[:done]
    assert datetime.fromisoformat(lines[done]["time"]).timestamp() > killed + visibility / 2, lines[done]


@pytest.fixture(scope="module")
def alone(begun: Begun) -> None:
    """What began beside the tests has come to its end; what the machine does is what the test does."""
    for beside in (begun.small, begun.lonely, begun.slow, begun.endless, *begun.silent.values()):
        beside.result()


Replicas = dict[str, Container]
"""The replicas by their address in the network of the database."""


def replicas(boot: Boot) -> Replicas:
    return {address(replica): replica for replica in boot.containers("service")}


def address(replica: Container) -> str:
    networks = replica["NetworkSettings"]["Networks"]
    found: str = next(network["IPAddress"] for name, network in networks.items() if name.endswith("_data"))
    return found


def waiting(boot: Boot, known: Replicas) -> list[Container]:
    """The replicas whose requests wait for the table."""
    rows = sql(boot, "SELECT client_addr FROM pg_stat_activity WHERE wait_event_type = 'Lock'").splitlines()
    return [known[row] for row in {*rows} & known.keys()]


def kill_who_waits(boot: Boot, known: Replicas) -> None:
    """Kill the process of the one replica whose request waits for the table, before the database gives that up."""
    seen: list[Container] = []
    wait_for(lambda: seen.extend(waiting(boot, known)) or seen, "the request waits for the table")
    [replica] = seen
    deaths.kill_processes(replica)


def test_a_process_killed_in_a_get_is_not_noticed(started: Boot, client: Client, alone: None) -> None:
    question = f"asked twice {uuid.uuid4().hex}"
    answer = killed_and_asked_again(started, lambda: client.get("/v1/search", params={"q": question}))
    assert answer.status_code == 200, answer.text


def test_a_process_killed_in_a_post_with_a_key_is_not_noticed(started: Boot, client: Client, alone: None) -> None:
    """The key says that it may be sent twice, so nginx does it; the document is there once."""
    text, headers = f"sent twice {uuid.uuid4().hex}", {"Idempotency-Key": uuid.uuid4().hex}
    answer = killed_and_asked_again(
        started, lambda: client.request("POST", "/v1/documents", content={"text": text}, headers=headers)
    )
    assert answer.status_code == 201, answer.text
    jobs.are_stored_once(started, [text])


def killed_and_asked_again(boot: Boot, ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Kill the process that a request waits in, see the other replica being asked, and return the answer."""
    known = replicas(boot)
    with held_table(boot, against_readers=True) as release, ThreadPoolExecutor() as pool:
        asking = pool.submit(ask)
        kill_who_waits(boot, known)
        wait_for(lambda: len(waiting(boot, known)) == 2, "the other replica is asked")
        release()
        answer = asking.result()
    wait_for(lambda: all_replicas_are_ready(boot), "both replicas are ready")
    return answer


def test_a_process_killed_in_a_post_is_one_error(started: Boot, client: Client, logs: Logs, alone: None) -> None:
    """Without a key nobody may send it again but who knows what it does; nothing was stored, and all goes on."""
    text, known = f"sent once {uuid.uuid4().hex}", replicas(started)
    with held_table(started), ThreadPoolExecutor() as pool:
        storing = pool.submit(client.request, "POST", "/v1/documents", content={"text": text})
        kill_who_waits(started, known)
        failed = storing.result()
    assert (failed.status_code, failed.json()["detail"]) == (503, "The service does not answer."), failed.text
    assert "retry-after" not in failed.headers
    client.store(text)
    jobs.are_stored_once(started, [text])
    wait_for(lambda: all_replicas_are_ready(started), "both replicas are ready")
    probes.all_replicas_answer(client, logs, started.containers("service"))


def all_replicas_are_ready(boot: Boot) -> bool:
    return all(inside.get(replica, "/health/ready").status == 200 for replica in boot.containers("service"))


def restart(boot: Boot) -> None:
    tools.run(["docker", "restart", boot.containers("broker")[0]["Id"]])


def kill(boot: Boot) -> None:
    deaths.kill(boot.containers("broker")[0])


def stop_and_start(boot: Boot) -> None:
    boot.compose("stop", "broker")
    time.sleep(3)
    boot.compose("start", "broker")


def test_what_is_written_together_outlives_the_broker(started: Boot) -> None:
    """Redis reads its file as the user default, and leaves out a transaction that this user may not do."""
    together = "for _, key in ipairs(KEYS) do redis.call('set', key, 1) end"
    inside.redis(started, "broker", "eval", together, "2", "a", "b")
    restart(started)
    wait_for(lambda: started.containers("broker")[0]["State"]["Health"]["Status"] == "healthy", "the broker is back")
    assert inside.redis(started, "broker", "del", "a", "b") == "2"


@pytest.fixture(scope="module")
def accepted() -> list[tuple[Job, list[str]]]:
    """The jobs that were accepted while the broker went, with their texts."""
    return []


@pytest.mark.parametrize("act", [restart, kill, stop_and_start], ids=lambda act: act.__name__)
def test_the_broker_goes_and_jobs_go_on(
    act: Callable[[Boot], None], started: Boot, client: Client, alone: None, accepted: list[tuple[Job, list[str]]]
) -> None:
    """Jobs are handed in all the time. Each is accepted, and new ones are done soon after the broker is back."""
    before = len(accepted)
    with ThreadPoolExecutor() as pool:
        acting = pool.submit(act, started)
        while not acting.done() or len(accepted) < before + 10:
            texts = jobs.texts(1)
            accepted.append((jobs.hand_in(client, texts), texts))
            time.sleep(0.1)
        acting.result()
    jobs.wait_until_done(client, jobs.hand_in(client, jobs.texts()), 60)


@pytest.mark.shows("broker: not sent")
def test_the_broker_is_away(
    started: Boot, client: Client, deep: Callable[[], tuple[int, dict[str, Any]]], alone: None, symptom: Symptom
) -> None:
    started.compose("stop", "broker")
    try:
        job = jobs.hand_in(client, jobs.texts())
        assert jobs.now(client, job)["state"] == "queued"
        status, state = deep()
        assert (status, state["state"], state["dependencies"]["broker"]["state"]) == (200, "degraded", "down"), state
        symptom.is_in("".join(map(said, started.containers("service"))))
    finally:
        started.compose("start", "broker")
    jobs.wait_until_done(client, job, 60)
    wait_for(lambda: deep()[1]["state"] == "up", "all is up", 10)


def test_see_what_it_uses(started: Boot) -> None:
    lines = operate(started, "see-what-it-uses").splitlines()
    assert {line.split()[0] for line in lines} == {c["Name"].lstrip("/") for c in started.containers() if runs(c)}


def runs(container: Container) -> bool:
    return bool(container["State"]["Running"])


def test_see_until_when_the_certificate_is_valid(started: Boot, client: Client) -> None:
    said = operate(started, "see-until-when-the-certificate-is-valid").strip()
    with client.handshake() as connection:
        certificate = connection.getpeercert()
    assert certificate
    assert said == f"notAfter={certificate['notAfter']}"


def test_see_its_metrics(started: Boot) -> None:
    names = {family.name for family in text_string_to_metric_families(operate(started, "see-its-metrics"))}
    assert {"http_requests", "assistant_first_token_seconds", "assistant_searches"} <= names


def test_add_a_worker(started: Boot, client: Client) -> None:
    operate(started, "add-a-worker")
    workers = started.containers("worker")
    assert len(workers) == 2
    with held_table(started):
        # Each of them works at two.
        several = [jobs.hand_in(client, jobs.texts(1)) for _ in range(4)]
        for job in several:
            jobs.wait_until(client, job, lambda job: job["state"] == "running", "runs", 15)
    for job in several:
        jobs.wait_until_done(client, job)


def test_add_a_replica(started: Boot, client: Client, logs: Logs) -> None:
    operate(started, "add-a-replica")
    replicas = started.containers("service")
    assert len(replicas) == 3
    wait_for(lambda: probes.all_replicas_answer(client, logs, replicas) is None, "the third replica serves", 10)


def test_restart_the_replicas_one_after_another(started: Boot, client: Client) -> None:
    begun_before = {replica["State"]["StartedAt"] for replica in started.containers("service")}
    statuses: Counter[int] = Counter()
    with ThreadPoolExecutor() as pool:
        restarting = pool.submit(operate, started, "restart-the-replicas-one-after-another")
        while not restarting.done():
            statuses[client.get("/version").status_code] += 1
            time.sleep(0.02)
        restarting.result()
    assert statuses.keys() == {200}, statuses
    assert not begun_before & {replica["State"]["StartedAt"] for replica in started.containers("service")}


@pytest.mark.shows("The body is longer than")
def test_use_a_changed_nginx_conf(started: Boot, client: Client, symptom: Symptom) -> None:
    """A limit that is raised at nginx alone: then it is the service that refuses. No stream is cut."""
    conf, before = started.folder / "proxy" / "nginx.conf", started.containers("nginx")
    # As editors and git do: another file takes the place of the one that was there.
    changed = conf.with_suffix(".new")
    changed.write_text(conf.read_text().replace("client_max_body_size 1m;", "client_max_body_size 2m;"))
    changed.replace(conf)
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(streams.ask, client, "drip 50")
        time.sleep(1)
        operate(started, "use-a-changed-nginx-conf")
        # For a moment more the nginx of before may answer.
        said = ""

        def the_service_refuses() -> bool:
            nonlocal said
            said = too_large(client)
            return symptom.text in said

        wait_for(the_service_refuses, "the service refuses", 10)
        symptom.is_in(said)
        asking.result().is_whole()
    assert [c["Id"] for c in started.containers("nginx")] == [c["Id"] for c in before]


def too_large(client: Client) -> str:
    """What a body that is larger than nginx allowed is answered, over a connection of its own."""
    answer = replace(client).request("POST", "/v1/documents", content={"text": "x" * 1_200_000})
    assert answer.status_code == 413, answer.status_code
    return answer.text


def test_a_wrong_nginx_conf_is_not_used(started: Boot, client: Client) -> None:
    conf = started.folder / "proxy" / "nginx.conf"
    text = conf.read_text()
    conf.write_text(text.replace("server_tokens off;", "server_tokens maybe;"))
    try:
        with pytest.raises(AssertionError, match="invalid value"):
            operate(started, "use-a-changed-nginx-conf")
    finally:
        conf.write_text(text)
    assert replace(client).get("/version").status_code == 200


def test_what_was_done_to_it_stays(started: Boot) -> None:
    """Whoever starts the stack again finds nothing changed: only the replicas above the number in the file go."""
    before = {container["Id"] for container in started.containers()}
    started.compose("up", "--detach", "--wait", "--wait-timeout", "120")
    assert {container["Id"] for container in started.containers()} <= before
    assert len(started.containers("service")) == 2


def test_the_health_checks_are_seen(started: Boot) -> None:
    lines = operate(started, "see-what-the-health-checks-say").splitlines()
    healthy = {line.split()[0].removeprefix("/") for line in lines if " healthy" in line}
    assert healthy == {c["Name"].lstrip("/") for c in started.containers() if runs(c)}


def test_nothing_that_was_accepted_is_lost(
    started: Boot, client: Client, accepted: list[tuple[Job, list[str]]]
) -> None:
    """Of a job that was under way the broker knows only after the visibility timeout that nobody works at it."""
    assert len(accepted) >= 30
    deadline = time.monotonic() + 90
    for job, _ in accepted:
        jobs.wait_until_done(client, job, max(1.0, deadline - time.monotonic()))
    jobs.are_stored_once(started, [text for _, texts in accepted for text in texts])


@pytest.mark.shows("is unhealthy")
def test_a_container_that_is_unhealthy(begun: Begun, symptom: Symptom) -> None:
    symptom.is_in(begun.lonely.result()[0])


@pytest.mark.shows("no sign of life")
def test_a_worker_without_a_broker(begun: Begun, symptom: Symptom) -> None:
    symptom.is_in(begun.lonely.result()[1])
