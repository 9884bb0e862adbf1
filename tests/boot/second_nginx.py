"""One more nginx beside a stack's own, with other texts in its files: what the probes have to notice."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from handbook import tools
from handbook.stacks import Boot

from . import edge
from .client import Client, wait_for

Changes = Mapping[str, Mapping[str, str]]
"""A file of nginx -> old text -> new text."""

ECHO = ", ".join(f'"{name.lower()}":"$http_{name.lower().replace("-", "_")}"' for name in edge.FORGED)
ECHO_SERVER = f"server {{ listen 127.0.0.1:9000; location / {{ return 200 '{{{ECHO}}}'; }} }}"
"""Answers with the headers that it was sent."""

ECHOING: Changes = {
    "nginx.conf": {
        "location / {": "location = /echo { proxy_pass http://127.0.0.1:9000; }\n        location / {",
        "    # Names that are not ours": f"    {ECHO_SERVER}\n\n    # Names that are not ours",
    }
}
"""Nothing is different but one address, behind which the echo stands."""

HANGS_UP = "server { listen 127.0.0.1:9001; return 444; }"
GONE: Changes = {
    "nginx.conf": {
        "location / {": "location = /hangs-up { proxy_pass http://127.0.0.1:9001; }\n"
        "        location = /refuses { proxy_pass http://127.0.0.1:9002; }\n        location / {",
        "    # Names that are not ours": f"    {HANGS_UP}\n\n    # Names that are not ours",
    }
}
"""At two more addresses stand replicas that have just gone: one hangs up on each request, one lets nobody connect."""

INSISTENT: Changes = {**GONE, "again.conf": {"default 0;": "default 1;"}}
"""The same, and every request is sent again."""

HASTY: Changes = {"timeouts.conf": {"proxy_read_timeout 35s": "proxy_read_timeout 300ms"}}
"""Waits less for the service than the service for the database."""

BROKEN: Changes = {
    "nginx.conf": {
        **ECHOING["nginx.conf"],
        "[[:cntrl:]]": "[[:cntrl:]]{9}",
        "return 444;": "return 200 hello;",
        "ssl_reject_handshake on;": "ssl_certificate /run/tls/tls.crt; ssl_certificate_key /run/tls/tls.key;",
        "return 308 https://api.example.com$request_uri;": "return 302 https://api.example.com/;",
        "location /health {\n            return 404;": "location /health {\n            proxy_pass http://service;",
        "location /metrics {\n            return 404;": "location /metrics {\n            proxy_pass http://service;",
        "location /v1/ {": "location /v1/ {\n            if ($http_authorization !~ ^Bearer.) { return 200; }",
        "http2 on;": "http2 off;",
        "client_max_body_size 1m;": "client_max_body_size 500k;",
        "location = /health/ready {": "location = /health/ready {\n            return 200 up;",
    },
    "gzip.conf": {"gzip on;": "gzip off;"},
    "tls.conf": {"TLSv1.2 TLSv1.3": "TLSv1.1 TLSv1.2", "ssl_ciphers ": "ssl_ciphers ALL:@SECLEVEL=0:"},
    "headers.conf": {" always;": ";"},
    "forwarded.conf": {
        "X-Forwarded-For $remote_addr": "X-Forwarded-For $proxy_add_x_forwarded_for",
        'X-Forwarded-Port "";': "X-Nothing 1;",
    },
}
NOTICED = (
    (edge.live_and_ready_are_green, "/health/ready: up"),
    (edge.deep_health_is_inside_only, "/health/deep answers 200"),
    (edge.metrics_are_inside_only, "/metrics answers 200"),
    (edge.a_key_is_needed, "with no scheme: 200"),
    (edge.long_answers_are_compressed, "/v1/search"),
    (edge.current_tls_is_spoken, "no handshake with TLSv1_3"),
    (edge.old_tls_is_refused, "succeeds with TLS 1.1"),
    (edge.weak_ciphers_are_refused, "succeeds with a CBC cipher"),
    (edge.http2_is_offered, "offers http/1.1"),
    (edge.plain_http_redirects, "GET: 302"),
    (edge.unknown_hosts_get_nothing_on_80, "evil.example gets an answer"),
    (edge.unknown_names_get_no_handshake, "succeeds with the name 'evil.example'"),
    (edge.unknown_hosts_get_nothing_behind_a_handshake, "evil.example gets an answer"),
    (edge.security_headers_are_on_every_answer, "/health/deep"),
    (edge.bodies_are_limited, "413"),
    (edge.control_characters_are_refused, "with %0A: 200"),
    (edge.upstream_gets_nothing_forged, "x-forwarded-port"),
)
"""Each probe with the words by which it has to notice BROKEN."""


@contextmanager
def second_nginx(boot: Boot, client: Client, changes: Changes, tls: Path | None = None) -> Iterator[Client]:
    """Run one more nginx in the stack's networks, with `changes`, and yield a client of it.

    `tls` is a folder with another `tls.crt` and `tls.key`.
    """
    folder = boot.scratch / f"changed-{len(list(boot.scratch.iterdir()))}"
    shutil.copytree(boot.folder.parents[1] / "nginx", folder / "shared")
    shutil.copytree(boot.folder / "proxy", folder / "proxy")
    for name, replacements in changes.items():
        path = folder / ("proxy" if name == "nginx.conf" else "shared") / name
        text = path.read_text()
        for old, new in replacements.items():
            assert old in text, f"{name} has no {old!r} any more; change this test with it"
            text = text.replace(old, new)
        path.write_text(text)
    folder.chmod(0o755)
    pair = tls or boot.folder / "secrets" / "tls"
    mounts = {
        folder / "proxy": "/etc/nginx",
        folder / "shared": "/etc/nginx-shared",
        pair: "/run/tls",
    }
    volumes = [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
    image = boot.containers("nginx")[0]["Config"]["Image"]
    create = ["docker", "create", "--user=101:101", "--network", f"{boot.project}_edge", "--entrypoint=nginx"]
    created = tools.run(
        [*create, "--publish=127.0.0.1::8080", "--publish=127.0.0.1::8443", *volumes, image, "-g", "daemon off;"]
    )
    assert created.returncode == 0, created.stderr
    container = created.stdout.strip()
    try:
        tools.run(["docker", "network", "connect", f"{boot.project}_app", container])
        begun = tools.run(["docker", "start", container])
        assert begun.returncode == 0, begun.stderr
        ports = [tools.run(["docker", "port", container, port]).stdout.rpartition(":")[2] for port in ("8080", "8443")]
        changed = Client(int(ports[0]), int(ports[1]), client.ca, client.key)
        scheme = "http" if tls else "https"
        wait_for(lambda: changed.get("/version", scheme=scheme).status_code < 400, "the second nginx serves", 10)
        yield changed
    finally:
        tools.run(["docker", "rm", "--force", "--volumes", container])
