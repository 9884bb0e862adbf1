import httpx
import pytest
from fastapi import FastAPI

from assistant.app import create_app

pytestmark = pytest.mark.anyio

OURS = "https://www.example.com"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}
ALLOWED = "Access-Control-Allow-Origin"


@pytest.fixture
def app(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The application, which pages of two origins may call."""
    monkeypatch.setenv("CORS_ALLOW_ORIGINS", f"{OURS}, https://example.com:8443")
    app = create_app()

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError

    return app


@pytest.mark.parametrize("origin", [OURS, "https://example.com:8443"])
async def test_a_page_of_ours_may_ask_with_a_key(client: httpx.AsyncClient, origin: str) -> None:
    answer = await client.options("/v1/documents", headers=PREFLIGHT | {"Origin": origin})
    assert (answer.status_code, answer.headers[ALLOWED]) == (200, origin)
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert answer.headers["X-Request-ID"]


async def test_another_page_may_not(client: httpx.AsyncClient) -> None:
    headers = {"Origin": "https://www.example.org"}
    assert (await client.options("/v1/documents", headers=PREFLIGHT | headers)).status_code == 400
    assert ALLOWED not in (await client.get("/version", headers=headers)).headers


@pytest.mark.parametrize(("path", "status"), [("/v1/search", 401), ("/nowhere", 404), ("/crash", 500)])
async def test_a_page_can_read_an_error(client: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await client.get(path, headers={"Origin": OURS, "Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.headers[ALLOWED]) == (status, OURS)
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.usefixtures("required_settings")
async def test_by_default_no_page_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORS_ALLOW_ORIGINS", raising=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app()), base_url="http://test") as client:
        answer = await client.get("/version", headers={"Origin": OURS})
        assert not [name for name in answer.headers if name.startswith("access-control")]
