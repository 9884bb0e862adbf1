"""A fresh Debian host becomes one for the stack, by the page's walkthrough; a second machine looks at its ports."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from handbook import images, proof
from handbook.catalog import ROOT, Catalog
from handbook.host import BASE, DOCKERFILE, Host
from handbook.pytest_plugin import RESULTS, module_name
from handbook.stacks import ComposeStack, docker_version, engine, image_ids
from handbook.symptoms import headings
from handbook.walkthroughs import Step, steps

from . import symptoms
from .client import wait_for
from .symptoms import Symptom

STACK = "host"
PAGE = ROOT / "docs" / "host.md"
PLACE = "/root/host"
PRODUCTION = ComposeStack("compose/production", Catalog())
NGINX = "nginx:1.30.6"

# One engine more, with no settings, in a network of its own.
SECOND = "docker --host=unix:///run/second.sock"
START_SECOND = f"""
echo '{{}}' >/run/second.json
places='--pidfile=/run/second.pid --exec-root=/run/second --data-root=/var/lib/docker/second'
unshare --net dockerd --config-file=/run/second.json --host=unix:///run/second.sock $places >/run/second.log 2>&1 &
until {SECOND} info >/run/second.info 2>&1; do sleep 0.1; done
"""
SLOW = """
docker run --detach --name slow --restart unless-stopped --stop-signal QUIT --volume /root/signals:/signals {image} \
  bash -c 'for name in TERM QUIT; do trap "echo $name >>/signals/seen; exit" $name; done; touch /signals/ready
           while :; do sleep 0.1; done'
"""


def step_of(script: str, name: str) -> Step:
    return next(step for step in steps(ROOT / "snippets" / STACK / script) if step.name == name)


def files() -> dict[str, str]:
    """The files of the page, as paths in the repository, with the digests of their content."""
    return proof.digests(ROOT, [path for path in Catalog().snippets if path.startswith(f"snippets/{STACK}/")])


def shown() -> list[str]:
    """The addresses of what the page shows."""
    page = PAGE.relative_to(ROOT).as_posix()
    return [reference.address for found in Catalog().pages if found.path == page for reference in found.references]


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    around = engine([here, *(here.parent / name for name in ("client.py", "conftest.py", "symptoms.py"))])
    found = {**files(), **around, **proof.digests(ROOT, [DOCKERFILE, PRODUCTION.path]), **image_ids([BASE, NGINX])}
    parts = [part for item in sorted(found.items()) for part in item]
    return proof.digest(docker_version(), *parts, *headings(PAGE), *shown())


class Walk:
    """The walkthrough of the page, whose steps run in the host, in the folder of its files, in order."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.steps = steps(ROOT / "snippets" / STACK / "walkthrough.sh")
        self.results: dict[str, CompletedProcess[str]] = {}

    def until(self, name: str) -> CompletedProcess[str]:
        """Run the steps up to and with `name` that have not run yet, and return what that one printed."""
        for step in self.steps[: [step.name for step in self.steps].index(name) + 1]:
            if step.name not in self.results:
                self.results[step.name] = self.host.run(step.text, cwd=PLACE)
        return self.results[name]


@pytest.fixture(scope="module")
def host(boots: Any) -> Iterator[Host]:
    """A fresh host with a copy of the page's files."""
    with Host() as machine:
        copied = files()
        machine.run(f"mkdir {PLACE}")
        machine.copy((ROOT / "snippets" / STACK).iterdir(), PLACE)
        found = images.ensure([BASE, NGINX])
        boots(
            STACK,
            tool=f"docker {docker_version()}",
            seconds=machine.seconds,
            digest=proof.digest(*(part for item in sorted(copied.items()) for part in item)),
            files=copied,
            images={name: str(image) for name, image in found.items()},
        )
        yield machine


@pytest.fixture(scope="module")
def walk(request: pytest.FixtureRequest, host: Host) -> Iterator[Walk]:
    walkthrough = Walk(host)
    yield walkthrough
    left = [step.name for step in walkthrough.steps if step.name not in walkthrough.results]
    whole = not request.config.stash[RESULTS].modules[module_name(request.node.nodeid)].left_out
    assert not (left and whole and not request.session.testsfailed), f"no test ran {', '.join(left)}"


@pytest.fixture(scope="module")
def installed(walk: Walk) -> Host:
    """The host when its engine runs with our settings, and holds the image of nginx."""
    walk.until("look-at-the-engine")
    walk.host.load(images.ensure([NGINX])[NGINX])
    return walk.host


@pytest.fixture(scope="module")
def published(installed: Host, walk: Walk) -> Host:
    """The host behind ufw, with a container on port 8000, one on 127.0.0.1:8001, and a program on port 9000."""
    walk.until("close-the-host")
    installed.run(f"docker run --detach --name open --publish 8000:80 {NGINX}")
    installed.run(f"docker run --detach --name loopback --publish 127.0.0.1:8001:80 {NGINX}")
    installed.run("systemd-run --quiet python3 -m http.server 9000 --bind ::")
    for port in (8000, 8001, 9000):
        installed.run(
            f"curl --silent --output /dev/null --retry 50 --retry-delay 0 --retry-all-errors localhost:{port}"
        )
    return installed


@pytest.fixture(scope="module")
def closed(published: Host, walk: Walk) -> Host:
    """The same host with the rules for containers."""
    walk.until("close-what-containers-publish")
    return published


@pytest.fixture(scope="module")
def finished(closed: Host, walk: Walk) -> Host:
    """The host at the end of its page's installation; the container `hello` has port 80."""
    walk.until("run-a-container")
    return closed


def ask(host: Host, port: int, address: str = "", seconds: int = 10) -> CompletedProcess[str]:
    """Let the second machine ask for a page; what could not be had is an exit code other than 0."""
    url = f"http://{address or host.address}:{port}/"
    curl = ["curl", "--globoff", "--fail", "--silent", "--show-error", "--output", "/dev/null"]
    return host.from_other(*curl, "--connect-timeout", str(seconds), url)


def is_open(host: Host, port: int, address: str = "") -> bool:
    return ask(host, port, address).returncode == 0


def is_closed(host: Host, port: int, address: str = "") -> bool:
    """Whether no connection comes about; what ufw or our rules drop is not answered at all."""
    could_not_connect, took_too_long = 7, 28
    return ask(host, port, address, seconds=1).returncode in (could_not_connect, took_too_long)


def container_address(host: Host, name: str) -> str:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return host.run(f"docker inspect --format '{form}' {name}").stdout.strip()


def test_the_distributions_packages_are_enough_for_the_stack(walk: Walk) -> None:
    looked = walk.until("look-at-the-engine")
    assert "configuration OK" in looked.stdout + looked.stderr
    engine_line, compose, settings = looked.stdout.strip().splitlines()[-3:]
    # What the page of the stack asks for.
    assert int(engine_line.removeprefix("engine ").partition(".")[0]) >= 25
    assert tuple(map(int, compose.partition("-")[0].split("."))) >= (2, 26)
    assert settings == "logs: local, live restore: true"


def test_docker_and_its_networks_take_addresses_from_the_pool(installed: Host) -> None:
    installed.run("docker network create one")
    form = "{{range .IPAM.Config}}{{.Subnet}}{{end}}"
    found = installed.run(f"docker network inspect --format '{form}' bridge one").stdout.split()
    assert found == ["172.29.0.0/24", "172.29.1.0/24"]
    installed.run("docker network rm one")


@pytest.mark.shows("could not find an available, non-overlapping IPv4 address pool")
def test_an_engine_without_settings(installed: Host, symptom: Symptom) -> None:
    installed.run(START_SECOND)
    try:
        assert installed.run(f"{SECOND} info --format '{{{{.LoggingDriver}}}}'").stdout.strip() == "json-file"
        made = installed.run(f"for i in $(seq 40); do {SECOND} network create n$i || break; done")
        symptom.is_in(made.stderr)
        assert len(made.stdout.split()) == 30
    finally:
        installed.run("kill $(cat /run/second.pid)")


@pytest.mark.shows("the following directives don't match any configuration option")
def test_a_setting_that_is_misspelled(installed: Host, symptom: Symptom) -> None:
    script = "sed s/live-restore/live-resotre/ daemon.json >/tmp/it; dockerd --validate --config-file=/tmp/it"
    wrong = installed.run(script, cwd=PLACE, check=False)
    assert wrong.returncode == 1
    symptom.is_in(wrong.stderr)


def test_the_kernel_is_set_up(walk: Walk) -> None:
    walk.until("set-up-the-kernel")
    assert walk.host.run("cat /proc/sys/vm/overcommit_memory").stdout.strip() == "1"


def test_settings_of_the_network_do_not_reach_containers(installed: Host) -> None:
    installed.run("sysctl --quiet net.core.somaxconn=8192")
    inside = installed.run(f"docker run --rm {NGINX} cat /proc/sys/net/core/somaxconn").stdout.strip()
    assert inside == "4096"


def test_who_may_use_docker_is_root(installed: Host, walk: Walk) -> None:
    walk.until("make-a-user-who-deploys")
    shadow = "cat /etc/shadow"
    assert installed.run(shadow, user="deploy", cwd="/srv/assistant", check=False).returncode
    by_docker = installed.run(f"docker run --rm --volume /etc:/host {NGINX} cat /host/shadow", user="deploy")
    assert by_docker.stdout == installed.run(shadow).stdout


@pytest.mark.shows("permission denied while trying to connect to the Docker daemon socket")
def test_a_user_without_the_group(installed: Host, symptom: Symptom) -> None:
    refused = installed.run("docker ps", user="nobody", cwd="/", check=False)
    assert refused.returncode
    symptom.is_in(refused.stderr)


class TestBehindUfwAlone:
    """Before the rules for containers are there."""

    def test_a_program_of_the_host_is_closed(self, published: Host) -> None:
        published.run("curl --fail --silent --output /dev/null localhost:9000")
        assert is_closed(published, 9000)
        assert is_closed(published, 9000, f"[{published.address6}]")

    def test_what_a_container_publishes_is_open(self, published: Host) -> None:
        assert "8000" not in published.run("ufw status").stdout
        assert is_open(published, 8000)

    def test_over_ipv6_ufw_counts(self, published: Host) -> None:
        """Docker's own program takes the connection there, as any other program would."""
        published.run(f"curl --fail --silent --output /dev/null 'http://[{published.address6}]:8000'")
        assert is_closed(published, 8000, f"[{published.address6}]")

    def test_what_is_published_on_127_0_0_1_is_closed(self, published: Host) -> None:
        published.run("curl --fail --silent --output /dev/null localhost:8001")
        assert is_closed(published, 8001)

    def test_a_neighbour_reaches_it_all_the_same(self, published: Host) -> None:
        """Engines before 28 let in what is addressed to the container itself."""
        pool = json.loads((ROOT / "snippets" / STACK / "daemon.json").read_text())["default-address-pools"][0]["base"]
        routed = published.from_other("ip", "route", "add", pool, "via", published.address)
        assert routed.returncode == 0, routed.stderr
        assert is_open(published, 80, container_address(published, "loopback"))


class TestWithTheRules:
    def test_only_the_listed_ports_are_open(self, finished: Host) -> None:
        assert is_open(finished, 80)
        assert is_open(finished, 80, f"[{finished.address6}]")
        assert is_closed(finished, 8000)

    def test_a_neighbour_reaches_no_container(self, finished: Host) -> None:
        assert is_closed(finished, 80, container_address(finished, "loopback"))
        assert is_closed(finished, 80, container_address(finished, "hello"))

    def test_a_reload_puts_the_rules_back(self, finished: Host) -> None:
        finished.run("iptables --flush DOCKER-USER")
        assert is_open(finished, 8000)
        finished.run("systemctl reload docker-user")
        assert is_closed(finished, 8000)

    def test_containers_reach_what_is_outside_and_one_another(self, finished: Host) -> None:
        finished.from_other("sh", "-c", "python3 -m http.server 7000 >/dev/null 2>&1 &")
        for url in (f"http://{finished.other_address}:7000", f"http://{container_address(finished, 'open')}"):
            curl = f"curl --fail --silent --retry 9 --retry-connrefused --max-time 5 --output /dev/null {url}"
            finished.run(f"docker exec hello {curl}")


@pytest.mark.shows("Connection timed out")
def test_a_port_that_the_rules_do_not_list(finished: Host, symptom: Symptom) -> None:
    finished.run("curl --fail --silent --output /dev/null localhost:8000")
    symptom.is_in(ask(finished, 8000, seconds=1).stderr)


def test_the_log_driver_rotates(finished: Host) -> None:
    form = "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Config}}"
    said = finished.run(f"docker inspect --format '{form}' hello").stdout.strip()
    assert said == "local map[max-file:5 max-size:20m]"


def started(host: Host, name: str) -> str:
    return host.run(f"docker inspect --format '{{{{.State.Pid}}}} {{{{.State.StartedAt}}}}' {name}").stdout


@pytest.fixture
def rested(finished: Host) -> Host:
    """The host when systemd has forgotten how often the engine was started: it allows three starts a minute."""
    finished.run("systemctl reset-failed docker")
    return finished


@pytest.mark.usefixtures("rested")
def test_containers_serve_while_the_engine_is_away(finished: Host) -> None:
    before = started(finished, "hello")
    finished.run("systemctl stop docker.socket docker.service")
    try:
        assert is_open(finished, 80)
        # Docker's own program went with the engine.
        assert finished.run("curl --silent --output /dev/null localhost:80", check=False).returncode
        assert is_closed(finished, 80, f"[{finished.address6}]")
    finally:
        finished.run("systemctl start docker.service")
    assert is_open(finished, 80, f"[{finished.address6}]")
    assert started(finished, "hello") == before


@pytest.mark.usefixtures("rested")
def test_an_upgrade_leaves_containers_alone(finished: Host, walk: Walk) -> None:
    before = started(finished, "hello")
    daemon = finished.run("pidof dockerd").stdout
    finished.run("apt-get install --yes --reinstall containerd docker.io runc")
    # Debian's package goes on with the engine that runs.
    assert finished.run("pidof dockerd").stdout == daemon
    assert walk.until("upgrade-the-engine").stdout.splitlines()[-1].startswith(("hello Up", "open Up", "loopback Up"))
    assert finished.run("pidof dockerd").stdout != daemon
    assert is_open(finished, 80)
    assert started(finished, "hello") == before
    finished.run("docker exec hello true")


@pytest.mark.usefixtures("rested")
@pytest.mark.shows("failed to start daemon")
def test_a_value_that_is_wrong(finished: Host, symptom: Symptom) -> None:
    """The validation lets it pass, and the engine does not start; containers go on."""
    wrong = "sed s/max-file/max-files/ daemon.json >/etc/docker/daemon.json"
    said = finished.run(f"{wrong}; dockerd --validate --config-file=/etc/docker/daemon.json", cwd=PLACE)
    assert "configuration OK" in said.stdout + said.stderr
    try:
        assert finished.run("systemctl restart docker", check=False).returncode
        symptom.is_in(finished.run("journalctl --unit docker --lines 20 --no-pager").stdout)
        assert is_open(finished, 80)
    finally:
        finished.run("cp daemon.json /etc/docker/; systemctl reset-failed docker; systemctl restart docker", cwd=PLACE)
    assert is_open(finished, 80)


def test_the_system_upgrades_itself_and_keeps_time(walk: Walk) -> None:
    *_, upgrades, enabled, synchronized = walk.until("keep-it-current-and-on-time").stdout.splitlines()
    assert upgrades == 'APT::Periodic::Unattended-Upgrade "1";'
    assert enabled == "enabled"
    assert re.fullmatch("NTPSynchronized=(yes|no)", synchronized)


def test_a_new_kernel_asks_for_a_restart(finished: Host) -> None:
    finished.run("test ! -e /run/reboot-required")
    finished.run("/etc/kernel/postinst.d/unattended-upgrades")
    finished.run("test -e /run/reboot-required")


@pytest.fixture(scope="module")
def restarted(finished: Host) -> Host:
    """The host after it was shut down and started again, with a container that notes the signal that it gets."""
    finished.run(SLOW.format(image=NGINX))
    wait_for(lambda: finished.run("test -e /root/signals/ready", check=False).returncode == 0, "the container")
    finished.restart()
    wait_for(lambda: is_open(finished, 80), "the container hello")
    return finished


class TestAfterARestart:
    def test_containers_come_back(self, restarted: Host) -> None:
        assert sorted(restarted.run("docker ps --format '{{.Names}}'").stdout.split()) == ["hello", "slow"]

    def test_the_rules_are_there(self, restarted: Host) -> None:
        restarted.run("docker start open")
        restarted.run("curl --fail --silent --retry 9 --retry-all-errors --output /dev/null localhost:8000")
        assert is_closed(restarted, 8000)
        assert restarted.run("ufw status").stdout.startswith("Status: active")

    def test_containers_were_asked_to_stop_by_another_signal_than_their_own(self, restarted: Host) -> None:
        assert restarted.run("cat /root/signals/seen").stdout.split() == ["TERM"]


DOCKERS = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
# What gpg says of the key that Docker gives out; the key itself is not here.
SAID = f"""\
pub:-:4096:1:{DOCKERS[-16:]}:1487788586:::-:::scESA::::::23::0:
fpr:::::::::{DOCKERS}:
uid:-::::1487792064::A:::Docker Release (CE deb) <docker@docker.com>::::::::::0:
sub:-:4096:1:7EA0A9C3F273FCD8:1487788586::::::s::::::23:
fpr:::::::::D3306A018370199E527AE7997EA0A9C3F273FCD8:
"""
COMPARE = step_of("docker-repository.sh", "compare-its-fingerprint").text
DOWNLOADED = "/etc/apt/keyrings/docker.asc"


@pytest.fixture
def debians_key(host: Host) -> str:
    """What gpg says of another key, which the host has got in the place of Docker's."""
    host.run(f"install -D $(ls /usr/share/keyrings/debian-archive-*-stable.* | tail --lines=1) {DOWNLOADED}")
    return host.run(f"gpg --show-keys --with-colons {DOWNLOADED}").stdout


def gpg_says(text: str) -> str:
    """The beginning of a script in which gpg says `text`."""
    return f"gpg() {{\ncat <<'END'\n{text}END\n}}\n"


@pytest.mark.usefixtures("debians_key")
def test_dockers_key_is_taken(host: Host) -> None:
    host.run(gpg_says(SAID) + COMPARE)
    host.run(f"test -e {DOWNLOADED}")


@pytest.mark.usefixtures("debians_key")
@pytest.mark.shows("not Docker's key")
def test_another_key_is_refused(host: Host, symptom: Symptom) -> None:
    refused = host.run(COMPARE, check=False)
    assert refused.returncode == 1
    symptom.is_in(refused.stderr)
    host.run(f"test ! -e {DOWNLOADED}")


def test_another_key_beside_dockers_is_refused(host: Host, debians_key: str) -> None:
    assert host.run(gpg_says(SAID + debians_key) + COMPARE, check=False).returncode == 1
    host.run(f"test ! -e {DOWNLOADED}")


def test_apt_takes_the_beginning_of_a_version(host: Host) -> None:
    """As the step that installs one version has it."""
    assert "version='5:29.7.2-*'" in step_of("docker-repository.sh", "install-one-version").text
    version = host.run("dpkg-query --show --showformat '${Version}' apt").stdout
    host.run(f"apt-get install --simulate 'apt={version[:3]}*'")


def test_the_open_ports_are_those_of_the_stack() -> None:
    of_stack = {port.published for ports in PRODUCTION.ports.values() for port in ports}
    rules = (ROOT / "snippets" / STACK / "docker-user.rules").read_text(encoding="utf-8")
    assert {int(port) for port in re.findall(r"--ctorigdstport (\d+)", rules)} == of_stack
    allowed = re.findall(r"ufw allow (\d+)/tcp", step_of("walkthrough.sh", "close-the-host").text)
    assert {int(port) for port in allowed} - {22} == of_stack


def test_the_container_is_of_the_stacks_image() -> None:
    assert NGINX in PRODUCTION.references
    assert NGINX in step_of("walkthrough.sh", "run-a-container").text


@pytest.mark.parametrize("script", ["walkthrough.sh", "docker-repository.sh"])
def test_the_page_shows_every_step(script: str) -> None:
    every = [f"{STACK}/{script}#{step.name}" for step in steps(ROOT / "snippets" / STACK / script)]
    assert [address for address in shown() if address.startswith(f"{STACK}/{script}")] == every


def test_the_page_names_the_symptoms_that_are_shown() -> None:
    symptoms.all_are_shown(PAGE, sys.modules[__name__])
