"""What a client sees of a stack through nginx. Each probe raises AssertionError."""

import socket
import ssl
import warnings
from collections.abc import Callable
from typing import Any

import httpx

from .client import Client, wait_for

FORGED = {
    "X-Forwarded-For": "203.0.113.66",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Protocol": "http",
    "X-Forwarded-Ssl": "off",
    "X-Real-IP": "203.0.113.66",
    "Forwarded": "for=203.0.113.66;proto=http;host=evil.example",
    "X-Request-ID": "forged",
}
UNKNOWN = ("evil.example", "x.api.example.com", "127.0.0.1")


def live_and_ready_are_green(client: Client) -> None:
    for path in ("/health/live", "/health/ready"):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (200, '{"state":"up"}'), f"{path}: {answer.text}"


def deep_health_is_inside_only(client: Client) -> None:
    for path in ("/health/deep", "/health/deep/", "/health/livez", "/health", "/health/live/..;/deep"):
        answer = client.get(path)
        assert answer.status_code == 404, f"{path} answers {answer.status_code}"
        assert "x-request-id" in answer.headers, path
        assert "application/json" not in answer.headers["content-type"], path


def metrics_are_inside_only(client: Client) -> None:
    for path in ("/metrics", "/metrics/", "/metrics/anything"):
        answer = client.get(path)
        assert answer.status_code == 404, f"{path} answers {answer.status_code}"
        assert "application/json" not in answer.headers["content-type"], path


def a_key_is_needed(client: Client) -> None:
    """Neither without one, nor with another one, nor with the right one under another scheme."""
    nobody = Client(client.http, client.https, client.ca)
    for value in ("", "Bearer", f"Bearer {client.key}x", f"Basic {client.key}", client.key):
        answer = nobody.get("/v1/search?q=anything", headers={"Authorization": value} if value else {})
        scheme = value.partition(" ")[0] if " " in value else "no scheme"
        assert answer.status_code == 401, f"with {scheme}: {answer.status_code}"
        assert answer.headers["www-authenticate"].startswith("Bearer"), f"with {scheme}"
        assert client.key not in answer.text


def long_answers_are_compressed(client: Client) -> None:
    """And short ones are not."""
    assert client.store(f"Compressed on the way: {'again and again ' * 100}")
    for path, encoding in (("/v1/search?q=compressed", "gzip"), ("/version", "")):
        answer = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200, path
        assert answer.headers.get("content-encoding", "") == encoding, f"{path}: {answer.headers}"


def certificate_verifies(client: Client) -> None:
    """The private CA and nobody else vouches for the host's certificate."""
    try:
        client.handshake().close()
    except ssl.SSLCertVerificationError as error:
        raise AssertionError(f"does not verify with {client.ca.name}: {error.verify_message}") from None
    try:
        client.handshake(ssl.create_default_context()).close()
    except ssl.SSLCertVerificationError:
        return
    raise AssertionError("verifies without the stack's own CA")


def serial_number(client: Client) -> str:
    """Of the certificate that is shown."""
    with client.handshake() as connection:
        certificate = connection.getpeercert()
    assert certificate
    return str(certificate["serialNumber"])


def current_tls_is_spoken(client: Client) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=str(client.ca))
        context.minimum_version = context.maximum_version = version
        try:
            client.handshake(context).close()
        except ssl.SSLError as error:
            raise AssertionError(f"no handshake with {version.name}: {error.reason}") from None


def old_tls_is_refused(client: Client) -> None:
    old = ssl.create_default_context(cafile=str(client.ca))
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    assert_refused(client, old, "TLS 1.1")


def weak_ciphers_are_refused(client: Client) -> None:
    """TLS 1.2 has ciphers without authenticated encryption (CBC)."""
    weak = ssl.create_default_context(cafile=str(client.ca))
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:AES128-SHA256")
    assert_refused(client, weak, "a CBC cipher")


def assert_refused(client: Client, context: ssl.SSLContext, what: str, name: str | None = None) -> None:
    try:
        client.handshake(context, name).close()
    except (ssl.SSLCertVerificationError, ConnectionRefusedError):
        raise
    except OSError:
        return
    raise AssertionError(f"the handshake succeeds with {what}")


def http2_is_offered(client: Client) -> None:
    context = ssl.create_default_context(cafile=str(client.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with client.handshake(context) as connection:
        assert connection.selected_alpn_protocol() == "h2", f"offers {connection.selected_alpn_protocol()}"


def plain_http_redirects(client: Client) -> None:
    """Port 80 does nothing but send the known host to https, with path, query and method kept."""
    for method in ("GET", "POST"):
        answer = client.request(method, "/v1/search?q=a%20b", scheme="http")
        assert answer.status_code == 308, f"{method}: {answer.status_code}"
        assert answer.headers["location"] == f"https://{client.host}/v1/search?q=a%20b"


def unknown_hosts_get_nothing_on_80(client: Client) -> None:
    for host in UNKNOWN:
        assert raw(socket.create_connection(("127.0.0.1", client.http), timeout=5), host) == b"", (
            f"{host} gets an answer"
        )


def unknown_names_get_no_handshake(client: Client) -> None:
    """Neither a certificate nor a hint whose server this is; so with no name at all."""
    anyone = ssl.create_default_context(cafile=str(client.ca))
    anyone.check_hostname = False
    for name in (*UNKNOWN[:2], ""):
        assert_refused(client, anyone, f"the name {name!r}", name)


def unknown_hosts_get_nothing_behind_a_handshake(client: Client) -> None:
    """Who asks for our name in the handshake and for another one in the request gets no answer either."""
    for host in UNKNOWN:
        assert raw(client.handshake(), host) == b"", f"{host} gets an answer"


def raw(connection: socket.socket, host: str) -> bytes:
    """Send one request by hand and return all that comes back before the connection is closed."""
    with connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        received = b""
        try:
            while part := connection.recv(4096):
                received += part
        except (ConnectionResetError, ssl.SSLError):
            pass
        return received


def security_headers_are_on_every_answer(client: Client) -> None:
    """On good answers, on nginx's own errors and on the service's."""
    for path, status in (("/version", 200), ("/health/deep", 404), ("/nowhere", 404), ("/v1/search", 422)):
        answer = client.get(path)
        assert answer.status_code == status, path
        headers = answer.headers
        assert headers.get("strict-transport-security", "").startswith("max-age=63072000"), f"{path}: no HSTS"
        assert headers.get_list("x-content-type-options") == ["nosniff"], path
        assert headers.get_list("server") == ["nginx"], f"{path}: {headers.get_list('server')}"
        assert len(headers.get_list("x-request-id")) == 1, path


def bodies_are_limited(client: Client) -> None:
    answer = client.request("POST", "/v1/documents", content={"text": "x" * 1_200_000})
    assert answer.status_code == 413, answer.status_code
    answer = client.request("POST", "/v1/documents", content={"text": "x" * 900_000})
    assert answer.status_code == 422, answer.status_code


def control_characters_are_refused(client: Client) -> None:
    """For nginx such a path is another one than without them; the service takes a newline at the end for nothing."""
    for code in ("0A", "0D", "09", "00", "7F"):
        answer = client.request("POST", f"/v1/answers%{code}", content={"question": "drip 1"})
        assert answer.status_code == 400, f"with %{code}: {answer.status_code}"


def is_problem_of_nginx(answer: httpx.Response, status: int) -> None:
    """An error of nginx itself looks like one of the service."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json", answer.headers["content-type"]
    problem = answer.json()
    assert problem["status"] == status, problem
    assert problem["request_id"] == answer.headers["x-request-id"], problem
    assert "strict-transport-security" in answer.headers


# A preface, empty settings, and the beginning of a header block that never ends.
_UNFINISHED = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\1\1\0\0\0\0\1\x82"


def odd_requests_are_logged(client: Client, logs: Callable[[str], list[dict[str, Any]]]) -> None:
    """Bytes that are no UTF-8, and a request that never was complete, have lines like all others."""
    with client.handshake() as connection:
        host = f"Host: {client.host}\r\nConnection: close\r\n\r\n".encode()
        connection.sendall(b"GET /odd/%ff/\xff?q=\xff HTTP/1.1\r\nUser-Agent: odd \xff\r\n" + host)
        connection.recv(4096)
    context = ssl.create_default_context(cafile=str(client.ca))
    context.set_alpn_protocols(["h2"])
    with client.handshake(context) as connection:
        connection.sendall(_UNFINISHED)
        connection.recv(4096)
    raw(socket.create_connection(("127.0.0.1", client.http), timeout=5), "\xff.example")
    answer = client.get("/odd/%C3%BC", params={"q": "cats"})
    at_nginx = line_of(logs, "nginx", answer.headers["x-request-id"])
    assert at_nginx["path"] == "/odd/%C3%BC", at_nginx
    wait_for(lambda: any(line.get("status") is None for line in logs("nginx")), "a line of the unfinished one", 5)


def only_what_is_safe_is_sent_again(gone: Client) -> None:
    """To another replica, which here knows no such path. What was sent and may change something is not sent twice.

    `gone` is a client of an nginx that has GONE's two addresses.
    """
    for method, path, status in (
        ("GET", "/hangs-up", 404),
        ("GET", "/refuses", 404),
        ("POST", "/refuses", 404),
        ("POST", "/hangs-up", 503),
    ):
        answer = gone.request(method, path, content={} if method == "POST" else None)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
    is_problem_of_nginx(answer, 503)
    answer = gone.request("POST", "/hangs-up", content={}, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 404, f"with an Idempotency-Key: {answer.status_code} {answer.text}"


def client_and_scheme_arrive(client: Client, logs: Callable[[str], list[dict[str, Any]]]) -> None:
    """The service sees the address that nginx saw, and https, whatever the client claims about itself.

    `logs` returns the JSON lines that a Compose service has written.
    """
    for headers in ({}, FORGED):
        answer = client.get("/version", headers=headers)
        assert answer.status_code == 200, f"with {list(headers)}: {answer.status_code} {answer.text}"
        identity = answer.headers["x-request-id"]
        assert identity != "forged", "the request id is the client's own"
        at_nginx = line_of(logs, "nginx", identity)
        at_service = line_of(logs, "service", identity)
        assert at_service["scheme"] == "https", f"with {list(headers)}: {at_service}"
        assert at_service["client"] == at_nginx["client"], f"with {list(headers)}: {at_service}"
        nginx_itself = at_nginx["upstream"].rpartition(":")[0]
        assert at_service["client"] not in (nginx_itself, "203.0.113.66"), at_service


def line_of(logs: Callable[[str], list[dict[str, Any]]], service: str, identity: str) -> dict[str, Any]:
    """Return the access line of one request, as soon as it is there."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [line for line in logs(service) if line.get("request_id") == identity and "path" in line]
        return bool(found)

    wait_for(there, f"an access line of {service} for request {identity}", 5)
    return found[-1]


def upstream_gets_nothing_forged(echo: Client) -> None:
    """None of the forged values reaches the upstream. At /echo stands one that answers with what it was sent."""
    headers = echo.get("/echo", headers=FORGED).json()
    assert set(headers) == {name.lower() for name in FORGED}
    forged = {name: value for name, value in headers.items() if value and value in FORGED.values()}
    assert not forged, f"the upstream got {forged}"
    assert (headers["x-forwarded-proto"], headers["x-forwarded-host"]) == ("https", echo.host), headers


THROUGH_NGINX = (
    live_and_ready_are_green,
    deep_health_is_inside_only,
    metrics_are_inside_only,
    a_key_is_needed,
    certificate_verifies,
    current_tls_is_spoken,
    old_tls_is_refused,
    weak_ciphers_are_refused,
    http2_is_offered,
    plain_http_redirects,
    unknown_hosts_get_nothing_on_80,
    unknown_names_get_no_handshake,
    unknown_hosts_get_nothing_behind_a_handshake,
    security_headers_are_on_every_answer,
    bodies_are_limited,
    control_characters_are_refused,
    long_answers_are_compressed,
)
"""What holds for every nginx of the handbook that the service stands behind."""
