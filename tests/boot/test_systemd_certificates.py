"""certbot gets a certificate by ACME as the page says, renews it, nginx takes it; and what is seen when that fails."""

import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from handbook import go, images, proof
from handbook.catalog import ROOT, Catalog
from handbook.host import BASE, DOCKERFILE, Host
from handbook.stacks import docker_version, engine, image_ids
from handbook.symptoms import headings
from handbook.walkthroughs import steps

from . import acme, symptoms
from .client import wait_for
from .symptoms import Symptom

STACK = "systemd"
SYSTEMD = ROOT / "snippets" / STACK
SCRIPT = f"{STACK}/certificates.sh"
PAGE = ROOT / "docs" / "certificates.md"
NAME = "api.example.com"

# What install.sh puts in place, as far as certificates need it: which file, and where.
INSTALLED = {
    "certificate/deploy.sh": "/usr/local/lib/assistant/certificate-deploy.sh",
    "certificate/expires.sh": "/usr/local/lib/assistant/certificate-expires.sh",
    "units/assistant-certificate.service": "/etc/systemd/system/assistant-certificate.service",
    "units/assistant-certificate.timer": "/etc/systemd/system/assistant-certificate.timer",
    "units/assistant-.service.d/hardening.conf": "/etc/systemd/system/assistant-.service.d/hardening.conf",
    "units/certbot.service.d/assistant.conf": "/etc/systemd/system/certbot.service.d/assistant.conf",
    "nginx/nginx.conf": "/etc/nginx/nginx.conf",
}
# In the place of the alarm, which is another test's: it notes what has failed.
FAILED = """
cat >/etc/systemd/system/assistant-failed@.service <<'END'
[Service]
Type=oneshot
ExecStart=/usr/bin/true
RuntimeDirectory=noted/%i
RuntimeDirectoryPreserve=yes
END
"""
REQUEST = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc"
PRIVATE = f"{REQUEST} -days 365 -subj /CN=assistant -addext subjectAltName=DNS:{NAME}"
TLS = "/etc/assistant/tls"
LINEAGE = "/etc/letsencrypt/live/assistant"
DEPLOY = "/usr/local/lib/assistant/certificate-deploy.sh"
EXPIRES = "/usr/local/lib/assistant/certificate-expires.sh"
INSTALL = SYSTEMD / "install.sh"
# The parts of install.sh that make a pair where there is none, by how their headings begin.
MAKES_A_PAIR = ("Which units read", "refresh MARK", "A certificate of a CA")
TAKES_IT = "refresh nginx.service systemctl reload-or-restart nginx.service"
CERTBOT = """
certbot certonly --non-interactive --agree-tos --register-unsafely-without-email --cert-name other \
  --domain {name} --webroot --webroot-path {folder}
"""
# A POST whose body comes slowly: it is there when the file /root/go is.
SLOW = f"""
import os, socket, ssl, time
raw = socket.create_connection(("127.0.0.1", 443))
tls = ssl.create_default_context().wrap_socket(raw, server_hostname="{NAME}")
tls.sendall(b"POST /v1/answers HTTP/1.1\\r\\nHost: {NAME}\\r\\nContent-Length: 2\\r\\n\\r\\n{{")
open("/root/open", "w").close()
for _ in range(600):
    if os.path.exists("/root/go"):
        break
    time.sleep(0.1)
tls.sendall(b"}}")
print(tls.recv(100).decode().split()[1])
"""
ASK = f"""
for _ in $(seq 2000); do
  curl --silent --output /dev/null --cacert /root.crt --resolve {NAME}:443:$0 --write-out '%{{http_code}}\\n' \
    https://{NAME}/health/live || echo failed
  test ! -e /end || exit 0
done
"""


def files() -> dict[str, str]:
    """The files that run, as paths in the repository, with the digests of their content."""
    shared = [path for path in Catalog().snippets if path.startswith("snippets/nginx/")]
    return proof.digests(ROOT, [f"snippets/{SCRIPT}", *(f"snippets/{STACK}/{name}" for name in INSTALLED), *shared])


def shown() -> list[str]:
    """The addresses of what the page shows."""
    page = PAGE.relative_to(ROOT).as_posix()
    return [reference.address for found in Catalog().pages if found.path == page for reference in found.references]


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    around = engine([here, *(here.parent / name for name in ("acme.py", "client.py", "conftest.py", "symptoms.py"))])
    pinned = proof.digests(ROOT, [INSTALL.relative_to(ROOT).as_posix(), DOCKERFILE, *go.pins("pebble")])
    found = {**files(), **around, **pinned, **image_ids([BASE])}
    parts = [part for item in sorted(found.items()) for part in item]
    return proof.digest(docker_version(), *parts, *headings(PAGE), *shown())


@pytest.fixture(scope="module")
def host(boots: Any) -> Iterator[Host]:
    """A host with nginx and a private certificate, as install.sh leaves it."""
    with Host() as machine:
        copied = files()
        machine.run("apt-get install --yes --no-install-recommends nginx openssl")
        machine.copy((ROOT / "snippets" / "nginx").iterdir(), "/etc/nginx-shared")
        machine.run(f"mkdir --parents {TLS} /var/lib/assistant-acme /var/log/assistant")
        machine.run(f"umask 077; {PRIVATE} -keyout {TLS}/tls.key -out {TLS}/tls.crt")
        for name, target in INSTALLED.items():
            machine.copy([SYSTEMD / name], "/root/snippet")
            machine.run(f"install -D --mode=755 /root/snippet/{Path(name).name} {target}; rm -r /root/snippet")
        machine.run(FAILED)
        machine.run("systemctl daemon-reload; systemctl restart nginx")
        machine.run("systemctl enable --now assistant-certificate.timer")
        boots(
            STACK,
            tool=f"docker {docker_version()}",
            seconds=machine.seconds,
            digest=proof.digest(*(part for item in sorted(copied.items()) for part in item)),
            files=copied,
            images={name: str(image) for name, image in images.ensure([BASE]).items()},
        )
        yield machine


class Page:
    """The paragraphs of the page, which run in the host; `root` is the certificate of the authority there."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.texts = {step.name: step.text for step in steps(ROOT / "snippets" / SCRIPT)}
        self.root = ""

    def do(self, name: str, **options: Any) -> CompletedProcess[str]:
        return self.host.run(self.texts[name], **options)


@pytest.fixture(scope="module")
def page(host: Host) -> Page:
    """The host when certbot is there, and an authority that it asks."""
    page = Page(host)
    page.do("install-certbot", timeout=300)
    page.root = acme.start(host, NAME)
    host.run(f"echo 'server = {acme.DIRECTORY}' >>/etc/letsencrypt/cli.ini")
    host.from_other("sh", "-c", f"cat >/root.crt <<'END'\n{page.root}END")
    return page


@pytest.fixture(scope="module")
def obtained(page: Page) -> CompletedProcess[str]:
    """What certbot said when it got the first certificate."""
    return page.do("obtain-the-certificate")


@pytest.fixture
def served(page: Page, obtained: CompletedProcess[str]) -> Iterator[Page]:
    """The page, when nginx serves the newest certificate of certbot; it does so afterwards as well."""
    yield page
    page.host.run("rm -rf /run/noted; systemctl reset-failed")
    page.do("hand-it-to-nginx-again")


def serial(host: Host) -> str:
    """The serial number of the certificate that nginx serves."""
    client = f"openssl s_client -connect 127.0.0.1:443 -servername {NAME} </dev/null 2>/dev/null"
    return host.run(f"{client} | openssl x509 -noout -serial").stdout


def newest(host: Host) -> str:
    """The serial number of the certificate that certbot has."""
    return host.run(f"openssl x509 -in {LINEAGE}/fullchain.pem -noout -serial").stdout


def ask(host: Host, trusted: str = "/root.crt") -> CompletedProcess[str]:
    """Let the second machine ask over TLS, by the name, when it trusts the certificates in a file."""
    to = ["--resolve", f"{NAME}:443:{host.address}", f"https://{NAME}/health/live"]
    return host.from_other("curl", "--silent", "--show-error", "--output", "/dev/null", "--cacert", trusted, *to)


def takes(host: Host, expected: str) -> None:
    """Wait until nginx serves the certificate with a serial number: a reload goes on after its command has ended."""
    # Processes of before take connections beside the new ones for a moment.
    wait_for(lambda: {serial(host) for _ in range(3)} == {expected}, f"nginx serves {expected}", seconds=20)


def failed(host: Host) -> list[str]:
    """The units for which the alarm was raised."""
    return host.run("ls /run/noted 2>/dev/null || true").stdout.split()


def test_before_it_is_a_certificate_that_nobody_else_knows(page: Page) -> None:
    refused = ask(page.host)
    assert refused.returncode == 60, refused.stderr


def test_a_try_stores_nothing(page: Page) -> None:
    command = page.texts["obtain-the-certificate"].rstrip()
    before = page.host.run(f"sha256sum {TLS}/*").stdout
    tried = page.host.run(f"{command} --dry-run")
    assert "The dry run was successful." in tried.stdout
    assert page.host.run(f"sha256sum {TLS}/*").stdout == before
    assert page.host.run(f"test -e {LINEAGE}", check=False).returncode


def test_it_is_obtained_and_served(page: Page, obtained: CompletedProcess[str]) -> None:
    assert "Successfully received certificate." in obtained.stdout
    assert f"nginx takes the certificate of {NAME}" in obtained.stdout + obtained.stderr
    takes(page.host, newest(page.host))
    accepted = ask(page.host)
    assert accepted.returncode == 0, accepted.stderr


def test_who_trusts_another_authority_refuses_it(page: Page, obtained: CompletedProcess[str]) -> None:
    assert ask(page.host, "/etc/ssl/certs/ca-certificates.crt").returncode == 60


def test_root_alone_may_read_the_key(served: Page) -> None:
    found = served.host.run(f"stat --format='%n %a %U:%G' {TLS}/* && ls --almost-all {TLS}").stdout.splitlines()
    assert found == [f"{TLS}/tls.crt 444 root:root", f"{TLS}/tls.key 400 root:root", "tls.crt", "tls.key"]


def test_what_nginx_serves_can_be_looked_at(served: Page) -> None:
    looked = served.do("look-at-what-nginx-serves").stdout
    assert "Pebble Intermediate CA" in looked
    assert f"DNS:{NAME}" in looked
    assert newest(served.host) in looked
    listed = served.do("look-at-what-certbot-has").stdout
    assert re.search(r"Certificate Name: assistant\n.*VALID: 89 days", listed, re.DOTALL), listed


def test_a_try_renews_nothing_and_runs_the_hook(served: Page) -> None:
    before = newest(served.host)
    tried = served.do("try-the-renewal")
    assert "all simulated renewals succeeded" in tried.stdout
    assert "nginx takes the certificate" in tried.stdout
    assert newest(served.host) == serial(served.host) == before


def test_both_timers_wait(served: Page) -> None:
    listed = served.do("look-at-the-timers").stdout
    assert {"certbot.timer", "assistant-certificate.timer"} <= set(listed.split())
    assert served.host.run("systemctl is-enabled certbot.timer assistant-certificate.timer").stdout.split() == [
        "enabled",
        "enabled",
    ]


def make_due(host: Host, days: int) -> None:
    """Let certbot renew what has less than so many days left."""
    file = "/etc/letsencrypt/renewal/assistant.conf"
    host.run(f"sed --in-place -e '1i renew_before_expiry = {days} days' -e /renew_before_expiry/d {file}")


def test_what_is_not_due_is_not_renewed(served: Page) -> None:
    before = newest(served.host)
    served.host.run("systemctl start certbot.service")
    assert newest(served.host) == before


def test_the_timers_service_renews_it_and_no_request_fails(served: Page) -> None:
    host = served.host
    before = serial(host)
    pid = host.run("systemctl show --property=MainPID nginx").stdout
    make_due(host, acme.DAYS + 1)
    host.run("rm -f /root/go /root/open")
    host.from_other("rm", "-f", "/end")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(host.run, f"python3 - <<'END'{SLOW}END", check=False)
        many = pool.submit(host.from_other, "sh", "-c", ASK, host.address)
        try:
            wait_for(lambda: host.run("test -e /root/open", check=False).returncode == 0, "the slow request", 20)
            host.run("systemctl start certbot.service")
            takes(host, newest(host))
        finally:
            make_due(host, 30)
            host.run("touch /root/go")
            host.from_other("touch", "/end")
        codes = many.result().stdout.split()
    assert serial(host) != before
    assert host.run("systemctl show --property=MainPID nginx").stdout == pid
    # The service does not run: nginx says so, to each.
    assert len(codes) > 10
    assert set(codes) <= {"502", "503"}
    assert slow.result().stdout.strip() in {"502", "503"}, slow.result().stderr


def test_it_can_be_renewed_now(served: Page) -> None:
    before = serial(served.host)
    served.do("renew-it-now")
    takes(served.host, newest(served.host))
    assert serial(served.host) != before


@pytest.fixture(scope="module")
def authorities(page: Page) -> None:
    """Two more authorities in the host: it trusts the one in /root/known, and not the one in /root/strange."""
    for folder in ("known", "strange"):
        page.host.run(
            f"mkdir --parents /root/{folder}/pair; cd /root/{folder}; {REQUEST} -days 99 -subj /CN={folder}"
            " -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.crt"
        )
    page.host.run("cp /root/known/ca.crt /usr/local/share/ca-certificates/known.crt; update-ca-certificates")


@pytest.fixture
def pair(served: Page, authorities: None) -> Callable[..., str]:
    """Makes a folder with a pair, as certbot would; returns its name."""

    def make(begins: str = "-1 day", ends: str = "89 days 1 hour", name: str = NAME, by: str = "known") -> str:
        days = {"not_before": begins, "not_after": ends}
        dates = " ".join(f"-{key} $(date --utc --date='{day}' +%Y%m%d%H%M%SZ)" for key, day in days.items())
        served.host.run(
            f"cd /root/{by}; {REQUEST} {dates} -subj /CN=it -addext subjectAltName=DNS:{name}"
            " -CA ca.crt -CAkey ca.key -addext basicConstraints=critical,CA:FALSE"
            " -keyout pair/privkey.pem -out pair/fullchain.pem"
        )
        return f"/root/{by}/pair"

    return make


def deploy(host: Host, lineage: str) -> CompletedProcess[str]:
    return host.run(f"RENEWED_LINEAGE={lineage} {DEPLOY}", check=False)


def stays(host: Host, lineage: str) -> str:
    """Hand a pair to nginx that is refused, and return what was said. What was there is there, and is served."""
    before = serial(host), host.run(f"sha256sum {TLS}/*").stdout
    refused = deploy(host, lineage)
    assert refused.returncode == 1
    # Also by an nginx that reads its files again.
    host.run("nginx -q -t && systemctl reload nginx; sleep 0.5")
    assert (serial(host), host.run(f"sha256sum {TLS}/*").stdout) == before
    assert host.run(f"ls --almost-all {TLS}").stdout.split() == ["tls.crt", "tls.key"]
    return refused.stderr


def test_another_pair_that_is_right_is_taken(served: Page, pair: Callable[..., str]) -> None:
    taken = deploy(served.host, pair())
    assert taken.returncode == 0, taken.stderr
    takes(served.host, served.host.run("openssl x509 -in /root/known/pair/fullchain.pem -noout -serial").stdout)


@pytest.mark.shows("is not that of the certificate")
def test_a_key_that_does_not_fit(served: Page, pair: Callable[..., str], symptom: Symptom) -> None:
    made = pair()
    served.host.run(f"openssl ecparam -name prime256v1 -genkey -noout -out {made}/privkey.pem")
    symptom.is_in(stays(served.host, made))


@pytest.mark.shows("would refuse it")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "aps.example.com"}, "hostname mismatch"),
        ({"ends": "-1 hour"}, "certificate has expired"),
        ({"by": "strange"}, "unable to get local issuer certificate"),
    ],
)
def test_what_clients_would_refuse(
    served: Page, pair: Callable[..., str], symptom: Symptom, options: dict[str, str], reason: str
) -> None:
    said = stays(served.host, pair(**options))
    symptom.is_in(said)
    assert reason in said


@pytest.mark.parametrize("harm", ["", f"rm {TLS}/tls.crt"], ids=["there was one", "a file is missing"])
def test_what_nginx_refuses_is_taken_back(served: Page, pair: Callable[..., str], harm: str) -> None:
    """What was there is there again, and nothing where nothing was."""
    made = pair()
    served.host.run(f"{harm}\ncp /etc/nginx/nginx.conf /root/kept; echo 'wrong on;' >>/etc/nginx/nginx.conf")
    before = served.host.run(f"sha256sum {TLS}/*").stdout
    try:
        refused = deploy(served.host, made)
    finally:
        served.host.run("mv /root/kept /etc/nginx/nginx.conf")
    assert refused.returncode == 1
    assert 'unknown directive "wrong"' in refused.stderr
    assert served.host.run(f"sha256sum {TLS}/*").stdout == before


@pytest.mark.parametrize(
    "harm",
    [
        f"rm {TLS}/tls.crt {TLS}/tls.key",
        f"rm --force {TLS}/tls.key",
        f"echo broken >{TLS}/tls.new; mv --force {TLS}/tls.new {TLS}/tls.crt",
        f"openssl ecparam -name prime256v1 -genkey -noout -out {TLS}/tls.new; mv --force {TLS}/tls.new {TLS}/tls.key",
    ],
    ids=["both are missing", "the key is missing", "no certificate", "another key"],
)
def test_an_nginx_that_cannot_start_gets_the_pair_of_certbot(served: Page, harm: str) -> None:
    host = served.host
    host.run(f"systemctl stop nginx; {harm}")
    assert host.run("systemctl start nginx", check=False).returncode
    # A unit that was started too often would be refused for that alone.
    host.run("systemctl reset-failed nginx")
    served.do("hand-it-to-nginx-again")
    takes(host, newest(host))
    assert host.run(f"ls --almost-all {TLS}").stdout.split() == ["tls.crt", "tls.key"]


def test_a_good_pair_stays_when_nginx_cannot_start_for_another_reason(served: Page, pair: Callable[..., str]) -> None:
    host, made = served.host, pair()
    host.run("systemctl stop nginx; systemd-run --quiet --unit=other python3 -m http.server 443")
    host.run("until (exec 3<>/dev/tcp/127.0.0.1/443) 2>/dev/null; do sleep 0.05; done")
    try:
        refused = deploy(host, made)
    finally:
        host.run("systemctl stop other.service")
    assert refused.returncode == 1
    assert "the new pair is in its place" in refused.stderr
    assert host.run(f"cmp {made}/fullchain.pem {TLS}/tls.crt; cmp {made}/privkey.pem {TLS}/tls.key").stdout == ""


def test_nginx_takes_a_pair_that_install_has_made(served: Page) -> None:
    paragraphs = {step.title: step.text for step in steps(INSTALL)}
    parts = [text for title, text in paragraphs.items() if title.startswith(MAKES_A_PAIR)]
    assert len(parts) == len(MAKES_A_PAIR)
    assert TAKES_IT in INSTALL.read_text(encoding="utf-8").splitlines()
    before = serial(served.host)
    served.host.run(f"rm {TLS}/tls.crt {TLS}/tls.key")
    said = served.host.run("\n".join([f"host={NAME}", *parts, TAKES_IT])).stdout
    assert f"made  {TLS}\n" in said
    made = served.host.run(f"openssl x509 -in {TLS}/tls.crt -noout -serial").stdout
    assert made != before
    takes(served.host, made)


def test_a_hook_that_fails_at_night_raises_the_alarm(served: Page) -> None:
    """certbot itself ends with 0 then, and says nothing."""
    host = served.host
    # Not what a connection says: after the test before, one may still be answered by an nginx of before its reload.
    before = host.run(f"openssl x509 -in {TLS}/tls.crt -noout -serial").stdout
    make_due(host, acme.DAYS + 1)
    # nginx has not read it, and answers to the right name: so the challenge is found.
    host.run("cp /etc/nginx/nginx.conf /root/kept; sed --in-place 's/_name api/_name aps/' /etc/nginx/nginx.conf")
    try:
        host.run("systemctl start certbot.service")
    finally:
        make_due(host, 30)
        host.run("mv /root/kept /etc/nginx/nginx.conf")
    assert host.run("systemctl show --property=Result --value certbot.service").stdout.strip() == "success"
    assert serial(host) == before != newest(host)
    wait_for(lambda: failed(host) == ["certbot.service"], "the alarm", seconds=10)
    assert "clients of aps.example.com would refuse it" in host.run("journalctl --unit=certbot.service").stdout


def test_a_renewal_that_fails_at_night_raises_the_alarm(served: Page) -> None:
    host = served.host
    make_due(host, acme.DAYS + 1)
    host.run("systemctl stop nginx")
    try:
        assert host.run("systemctl start certbot.service", check=False).returncode
    finally:
        host.run("systemctl start nginx")
        make_due(host, 30)
    wait_for(lambda: failed(host) == ["certbot.service"], "the alarm", seconds=10)


@pytest.mark.shows("Hook 'deploy-hook' reported error code 1")
def test_a_hook_that_fails(served: Page, symptom: Symptom) -> None:
    host = served.host
    host.run("cp /etc/nginx/nginx.conf /root/kept; echo 'wrong on;' >>/etc/nginx/nginx.conf")
    try:
        ran = served.do("try-the-renewal", check=False)
    finally:
        host.run("mv /root/kept /etc/nginx/nginx.conf")
    symptom.is_in(ran.stdout + ran.stderr)
    assert ran.returncode == 0


class TestAChallenge:
    @pytest.mark.shows("Certbot failed to authenticate some domains")
    def test_nothing_listens(self, served: Page, symptom: Symptom) -> None:
        served.host.run("systemctl stop nginx")
        try:
            refused = served.host.run(CERTBOT.format(name=NAME, folder="/var/lib/assistant-acme"), check=False)
        finally:
            served.host.run("systemctl start nginx")
        assert refused.returncode == 1
        symptom.is_in(refused.stdout + refused.stderr)
        assert "Type:   connection" in refused.stdout + refused.stderr

    def test_it_lies_elsewhere(self, served: Page) -> None:
        refused = served.host.run(CERTBOT.format(name=NAME, folder="/srv"), check=False)
        assert refused.returncode == 1
        assert "Type:   unauthorized" in refused.stdout + refused.stderr
        assert "404" in refused.stdout + refused.stderr


def put(host: Host, lineage: str, *, reload: bool = True) -> None:
    """Put a pair into its place without any question, as somebody might by hand."""
    host.run(f"cp {lineage}/fullchain.pem {TLS}/tls.crt; cp {lineage}/privkey.pem {TLS}/tls.key")
    if reload:
        host.run("systemctl reload nginx")
        takes(host, host.run(f"openssl x509 -in {TLS}/tls.crt -noout -serial").stdout)


class TestTheAlarm:
    def test_it_is_quiet_while_there_is_time(self, served: Page) -> None:
        said = served.do("look-when-it-ends").stdout.splitlines()
        assert [re.sub(r"\d{4}-\d\d-\d\d", "DAY", line) for line in said] == [
            "the certificate in /etc/assistant/tls ends in 89 days, on DAY",
            f"the certificate that nginx serves for {NAME} ends in 89 days, on DAY",
        ]
        served.host.run("systemctl start assistant-certificate.service")
        assert failed(served.host) == []

    @pytest.mark.shows("ends in 5 days")
    def test_of_five_days(self, served: Page, pair: Callable[..., str], symptom: Symptom) -> None:
        put(served.host, pair(begins="-85 days", ends="5 days 1 hour"))
        assert served.host.run("systemctl start assistant-certificate.service", check=False).returncode == 1
        said = served.host.run("journalctl --unit=assistant-certificate.service --output=cat").stdout
        symptom.is_in(said)
        assert f"nginx serves for {NAME} ends in 5 days" in said
        wait_for(lambda: failed(served.host) == ["assistant-certificate.service"], "the alarm", seconds=10)

    def test_of_the_file_alone(self, served: Page, pair: Callable[..., str]) -> None:
        put(served.host, pair(begins="-85 days", ends="5 days 1 hour"), reload=False)
        looked = served.host.run(EXPIRES, check=False)
        assert looked.returncode == 1
        assert "/etc/assistant/tls ends in 5 days" in looked.stderr
        assert "nginx serves" not in looked.stderr

    def test_of_an_nginx_that_has_not_read_the_file(self, served: Page, pair: Callable[..., str]) -> None:
        put(served.host, pair(begins="-85 days", ends="5 days 1 hour"))
        put(served.host, pair(), reload=False)
        looked = served.host.run(EXPIRES, check=False)
        assert looked.returncode == 1
        assert "/etc/assistant/tls" not in looked.stderr
        assert f"nginx serves for {NAME} ends in 5 days" in looked.stderr

    @pytest.mark.parametrize(
        ("begins", "ends", "code"),
        [
            ("-68 days", "22 days", 0),
            ("-70 days", "20 days", 1),
            # Certificates of six days, which certbot renews when three are left.
            ("-4 days", "2 days", 0),
            ("-5 days", "1 day", 1),
        ],
    )
    def test_when_it_begins(self, served: Page, pair: Callable[..., str], begins: str, ends: str, code: int) -> None:
        put(served.host, pair(begins=begins, ends=ends))
        assert served.host.run(EXPIRES, check=False).returncode == code

    def test_without_an_answer(self, served: Page) -> None:
        served.host.run("systemctl stop nginx")
        try:
            looked = served.host.run(EXPIRES, check=False)
        finally:
            served.host.run("systemctl start nginx")
        assert looked.returncode == 1
        assert f"the certificate that nginx serves for {NAME}: there is none" in looked.stderr


def test_the_page_shows_every_paragraph() -> None:
    every = [f"{SCRIPT}#{step.name}" for step in steps(ROOT / "snippets" / SCRIPT)]
    assert [address for address in shown() if address.startswith(SCRIPT)] == every


def test_the_page_names_the_symptoms_that_are_shown() -> None:
    symptoms.all_are_shown(PAGE, sys.modules[__name__])
