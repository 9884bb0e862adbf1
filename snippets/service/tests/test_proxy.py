import httpx
import pytest
from fastapi import FastAPI, Request

from assistant.app import create_app
from assistant.proxy import ClientAddress

LOCAL = "127.0.0.1,::1"


@pytest.mark.parametrize(
    ("trusted", "peer", "hops", "client"),
    [
        pytest.param(LOCAL, "127.0.0.1", "203.0.113.9", "203.0.113.9", id="trusted proxy"),
        pytest.param(LOCAL, "127.0.0.1", "", "127.0.0.1", id="no header"),
        pytest.param(LOCAL, "198.51.100.1", "203.0.113.9", "198.51.100.1", id="forged by an untrusted peer"),
        pytest.param(LOCAL, "127.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9", id="forged before the proxy"),
        pytest.param("10.0.0.0/8", "10.0.0.2", "203.0.113.9, 10.0.0.1", "203.0.113.9", id="two proxies of a network"),
        pytest.param("10.0.0.0/8", "10.0.0.2", "junk, 10.0.0.1", "10.0.0.1", id="not an address"),
        pytest.param("::1, 2001:db8::/32", "2001:db8::1", "2001:db8:1::7, 203.0.113.9", "203.0.113.9", id="IPv6"),
        pytest.param(LOCAL, "::ffff:127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9", id="IPv4 on an IPv6 socket"),
        pytest.param("*", "198.51.100.1", "203.0.113.9", "203.0.113.9", id="everybody trusted"),
        pytest.param(LOCAL, None, "203.0.113.9", "203.0.113.9", id="Unix socket"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_not_trusted(
    trusted: str, peer: str | None, hops: str, client: str
) -> None:
    assert ClientAddress(FastAPI(), trusted).client(peer, hops) == client


@pytest.mark.anyio
@pytest.mark.parametrize(("trusted", "client"), [("192.0.2.0/24", "203.0.113.9"), ("127.0.0.1", "192.0.2.7")])
@pytest.mark.usefixtures("app")
async def test_the_application_trusts_whom_the_setting_names(
    monkeypatch: pytest.MonkeyPatch, trusted: str, client: str
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    app = create_app()

    @app.get("/who")
    async def who(request: Request) -> str:
        return str(request.scope["client"][0])

    transport = httpx.ASGITransport(app, client=("192.0.2.7", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as browser:
        assert (await browser.get("/who", headers={"X-Forwarded-For": "203.0.113.9"})).json() == client
