from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.anyio


async def series(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Return what /metrics tells about requests: (name, method, route, status) -> value."""
    text = (await client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    labels = ("method", "route", "status", "le")
    return {
        (sample.name, *(sample.labels.get(name, "") for name in labels)): sample.value
        for sample in samples
        if sample.name.startswith("http_")
    }


def count(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0


async def test_a_thousand_ids_and_paths_make_no_new_series(client: httpx.AsyncClient) -> None:
    anonymous = {"Authorization": "Bearer none"}

    async def ask(times: int) -> None:
        for _ in range(times):
            await client.get(f"/v1/jobs/{uuid4()}", headers=anonymous)
        for _ in range(times // 2):
            await client.get(f"/{uuid4()}/nowhere")
            await client.request(f"X{uuid4().hex}", "/version")

    await series(client)
    await ask(2)
    known = await series(client)
    await ask(500)
    after = await series(client)
    assert after.keys() == known.keys()
    added = {name[1:4]: after[name] - known[name] for name in after if name[0] == "http_requests_total"}
    assert added["GET", "/v1/jobs/{id}", "401"] == 500
    assert added["GET", "other", "404"] == added["other", "/version", "405"] == 250


async def test_refusals_are_counted_under_their_route(app: FastAPI, client: httpx.AsyncClient) -> None:
    before = [count("POST", "/v1/documents", status) for status in (401, 413, 429)]
    await client.post("/v1/documents", headers={"Authorization": "Bearer wrong"})
    await client.post("/v1/documents", content=b"x" * (app.state.settings.max_body_bytes + 1))

    async def full(name: str) -> int:
        return 1

    app.state.limiter.wait = full
    assert (await client.post("/v1/documents")).status_code == 429
    assert [count("POST", "/v1/documents", status) for status in (401, 413, 429)] == [n + 1 for n in before]


async def test_an_exception_is_counted_as_a_500(app: FastAPI, client: httpx.AsyncClient) -> None:
    @app.get("/crash/{number}")
    async def crash(number: int) -> None:
        raise RuntimeError

    before = count("GET", "/crash/{number}", 500)
    await client.get("/crash/1")
    assert count("GET", "/crash/{number}", 500) == before + 1


async def test_what_is_in_progress_is_counted_until_it_ends(app: FastAPI, client: httpx.AsyncClient) -> None:
    seen = []

    @app.get("/now")
    async def now() -> None:
        seen.append(REGISTRY.get_sample_value("http_requests_in_progress"))
        raise RuntimeError

    await client.get("/now")
    assert seen == [1]
    assert REGISTRY.get_sample_value("http_requests_in_progress") == 0


async def test_the_time_until_an_answer_begins_is_measured(client: httpx.AsyncClient) -> None:
    labels = {"method": "GET", "route": "/version"}
    before = REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0
    await client.get("/version")
    assert REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) == before + 1
    assert (REGISTRY.get_sample_value("http_request_duration_seconds_sum", labels) or 0) > 0
