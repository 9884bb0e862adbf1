import httpx
import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/openapi.json", 404), ("DELETE", "/version", 405)],
)
async def test_what_the_framework_refuses_is_a_problem_too(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert (answer.headers.get("Allow") == "GET") == (status == 405)


async def test_a_body_that_is_not_json_is_told_where(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/documents", content="{'a': 1}", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body: not valid JSON at character 1: ")
