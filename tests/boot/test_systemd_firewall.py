"""The firewall of a VM, by nftables and by ufw: a second machine in the same network says what gets through."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from handbook import proof
from handbook.catalog import ROOT, Catalog
from handbook.host import BASE, DOCKERFILE, Host
from handbook.pytest_plugin import RESULTS, module_name
from handbook.stacks import docker_version, engine, image_ids
from handbook.symptoms import headings
from handbook.walkthroughs import steps

from . import symptoms
from .client import wait_for
from .packets import TOO_BIG, Network
from .symptoms import Symptom

STACK = "systemd"
PAGE = ROOT / "docs" / "firewall.md"
PLACE = "/root/systemd"
RULES = "snippets/systemd/nftables.conf"
SCRIPT = "snippets/systemd/firewall.sh"

OPEN = (22, 80, 443)
CLOSED = (5432, 6379, 8000)
ONE_MORE = 8443
# Nobody listens on it.
EMPTY = 9999
PROGRAMS = [*(f"{port}/tcp" for port in (*OPEN, *CLOSED, ONE_MORE)), "443/udp", "546/udp"]

# Two minutes are long for a test: the timer of the safety net gets less, as an administrator would give it.
SOON = """
mkdir --parents /run/systemd/system/firewall-undo.timer.d
printf '[Timer]\\nOnActiveSec=\\nOnActiveSec=2s\\nAccuracySec=10ms\\n' \
  >/run/systemd/system/firewall-undo.timer.d/soon.conf
"""
NOT_SO_SOON = "rm --recursive /run/systemd/system/firewall-undo.timer.d; systemctl daemon-reload"
# A program of another owner has rules of its own.
OTHERS = "nft add table inet of_another; nft add chain inet of_another theirs"


def shown() -> list[str]:
    """The addresses of what the page shows."""
    page = PAGE.relative_to(ROOT).as_posix()
    return [reference.address for found in Catalog().pages if found.path == page for reference in found.references]


def inputs() -> str:
    """The digest of all that this module's result depends on."""
    here = Path(__file__)
    around = engine([here, *(here.parent / name for name in ("client.py", "conftest.py", "packets.py", "symptoms.py"))])
    found = {**around, **proof.digests(ROOT, [RULES, SCRIPT, DOCKERFILE]), **image_ids([BASE])}
    parts = [part for item in sorted(found.items()) for part in item]
    return proof.digest(docker_version(), *parts, *headings(PAGE), *shown())


class Vm(Network):
    """The machine of the page; `done` are the paragraphs that ran."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, PROGRAMS)
        self.done: set[str] = set()
        self.up()

    def step(self, name: str, *, check: bool = True, pasted: bool = False) -> CompletedProcess[str]:
        """Run a paragraph of the page in the folder of its files.

        A shell that it is `pasted` into goes on after a command that fails.
        """
        text = next(step.text for step in steps(ROOT / SCRIPT) if step.name == name)
        self.done.add(name)
        return self.host.run(f"set +e\n{text}" if pasted else text, cwd=PLACE, check=check)

    def tables(self) -> list[str]:
        return self.host.run("nft list tables").stdout.splitlines()

    def rules(self) -> str:
        """The rules without what they have counted."""
        return self.host.run("nft --stateless list table inet firewall").stdout

    def restart(self) -> None:
        self.host.restart()
        self.up()


@pytest.fixture(scope="module")
def vm(request: pytest.FixtureRequest, boots: Any) -> Iterator[Vm]:
    """A fresh machine without rules, whose programs listen."""
    with Host() as host:
        host.copy([ROOT / RULES, ROOT / SCRIPT], PLACE)
        files = proof.digests(ROOT, [RULES, SCRIPT])
        boots(
            STACK,
            tool=f"docker {docker_version()}",
            seconds=host.seconds,
            digest=proof.digest(*(part for item in sorted(files.items()) for part in item)),
            files=files,
            images={},
        )
        # Its packages are there already; where it can't ask for newer ones it need not try again.
        host.run("echo 'Acquire::Retries \"0\";' >/etc/apt/apt.conf.d/once")
        machine = Vm(host)
        yield machine
        left = [step.name for step in steps(ROOT / SCRIPT) if step.name not in machine.done]
        whole = not request.config.stash[RESULTS].modules[module_name(request.node.nodeid)].left_out
        assert not (left and whole and not request.session.testsfailed), f"no test ran {', '.join(left)}"


def open_ports(vm: Vm, *ports: int) -> set[int]:
    return vm.reach(*ports).open


def hears_itself(vm: Vm) -> bool:
    """Whether a program of the host reaches another, on the loopback and on the host's own addresses."""
    addresses = ["127.0.0.1", "::1", vm.host.address, vm.host.address6]
    ask = "; ".join(f"timeout 0.7 bash -c 'read -r said </dev/tcp/{address}/8000'" for address in addresses)
    return vm.host.run(ask, check=False).returncode == 0


PROBES: dict[str, Callable[[Vm], bool]] = {
    "the host reaches itself": hears_itself,
    "it reaches others by IPv4": lambda vm: vm.gets_out(vm.host.other_address),
    "it reaches others by IPv6": lambda vm: vm.gets_out(vm.other6),
    "it is told what is too big by IPv4": lambda vm: vm.path(vm.host.other_address) == TOO_BIG,
    "it is told what is too big by IPv6": lambda vm: vm.path(vm.other6) == TOO_BIG,
    "it answers a ping by IPv4": lambda vm: vm.pings(vm.host.address),
    "it answers a ping by IPv6": lambda vm: vm.pings(vm.host.address6),
    "it finds its neighbours": Network.finds_neighbours,
    "it finds its router": Network.learns_a_router,
    "it tells its groups": Network.tells_its_groups,
    "it gets an address by DHCPv6": Network.dhcp,
}


class Guarded:
    """What holds with each of both firewalls, after a restart of the host."""

    def test_only_what_is_meant_to_be_open_is(self, guarded: Vm) -> None:
        found = guarded.reach(*OPEN, *CLOSED, EMPTY)
        assert found.open == set(OPEN)
        assert found.silent == {*CLOSED, EMPTY}

    def test_a_port_is_open_for_tcp_alone(self, guarded: Vm) -> None:
        assert not guarded.datagram(guarded.host.address, 443)

    def test_what_looks_like_dhcp_does_not_open_another_port(self, guarded: Vm) -> None:
        assert not guarded.dhcp(443)

    @pytest.mark.parametrize("probe", PROBES)
    def test_what_a_host_needs(self, guarded: Vm, probe: str) -> None:
        assert PROBES[probe](guarded)


@pytest.mark.negative
def test_without_rules_every_port_answers(vm: Vm) -> None:
    found = vm.reach(*OPEN, *CLOSED, EMPTY)
    assert found.open == {*OPEN, *CLOSED}
    assert found.refused == {EMPTY}
    assert vm.datagram(vm.host.address, 443)
    assert vm.dhcp(443)


@pytest.mark.shows("Error: syntax error")
def test_a_mistake_is_found_before_it_is_loaded(vm: Vm, symptom: Symptom) -> None:
    vm.step("install-nftables")
    vm.host.run("cp nftables.conf right; sed --in-place 's/443 }/443/' nftables.conf", cwd=PLACE)
    wrong = vm.step("check-the-rules", check=False)
    vm.host.run("mv right nftables.conf", cwd=PLACE)
    assert wrong.returncode == 1
    symptom.is_in(wrong.stderr)
    assert vm.step("check-the-rules").stderr == ""
    assert "table inet firewall" not in vm.tables()


def left_alone(vm: Vm, step: str) -> CompletedProcess[str]:
    """Run a paragraph that has a safety net, confirm nothing until it has caught, and try to then."""
    vm.host.run(SOON)
    try:
        ran = vm.step(step)
        wait_for(lambda: not vm.host.run("systemctl list-units --no-legend firewall-undo*").stdout, "the safety net")
    finally:
        vm.host.run(NOT_SO_SOON)
    return ran


@pytest.mark.shows("Unit firewall-undo.timer not loaded")
def test_what_nobody_confirms_is_taken_away(vm: Vm, symptom: Symptom) -> None:
    left_alone(vm, "load-the-rules-for-two-minutes")
    assert "table inet firewall" not in vm.tables()
    assert open_ports(vm, *CLOSED) == set(CLOSED)
    before = vm.host.run("sha256sum /etc/nftables.conf").stdout
    for pasted in (False, True):
        late = vm.step("keep-the-rules", check=False, pasted=pasted)
        assert late.returncode
        symptom.is_in(late.stderr)
        assert vm.host.run("sha256sum /etc/nftables.conf").stdout == before
        assert vm.host.run("systemctl is-enabled nftables", check=False).stdout.strip() == "disabled"
        assert "table inet firewall" not in vm.tables()


@pytest.mark.shows("Could not process rule: No such file or directory")
def test_a_rule_for_rules_that_are_not_loaded(vm: Vm, symptom: Symptom) -> None:
    symptom.is_in(vm.host.run(f"nft add rule inet firewall input tcp dport {ONE_MORE} accept", check=False).stderr)


@pytest.fixture(scope="module")
def loaded(vm: Vm) -> Vm:
    """The machine with nftables' rules, which nobody has confirmed."""
    vm.step("load-the-rules-for-two-minutes")
    return vm


def test_the_safety_net_waits_for_two_minutes(loaded: Vm) -> None:
    """So the rules are there, and the timer is armed."""
    assert open_ports(loaded, *OPEN, *CLOSED) == set(OPEN)
    said = loaded.host.run("systemctl show firewall-undo.timer --property TimersMonotonic,ActiveState").stdout
    assert "OnActiveUSec=2min " in said
    assert "ActiveState=active" in said


@pytest.mark.shows("Unit firewall-undo.timer was already loaded")
def test_a_second_change_before_the_first_is_confirmed(loaded: Vm, symptom: Symptom) -> None:
    again = loaded.step("load-the-rules-for-two-minutes", check=False)
    assert again.returncode
    symptom.is_in(again.stderr)


@pytest.fixture(scope="module")
def kept(loaded: Vm) -> Vm:
    """The machine with nftables' rules, confirmed, and restarted."""
    loaded.step("keep-the-rules")
    assert not loaded.host.run("systemctl list-units --all --no-legend firewall-undo*").stdout
    loaded.restart()
    return loaded


class TestNftables(Guarded):
    @pytest.fixture
    def guarded(self, kept: Vm) -> Vm:
        return kept

    def test_the_rules_were_there_before_the_programs(self, guarded: Vm) -> None:
        assert "tcp dport @open" in guarded.host.run("cat /run/rules-at-start").stdout

    def test_what_is_dropped_is_counted(self, guarded: Vm) -> None:
        def dropped() -> int:
            line = next(line for line in guarded.step("look-at-the-rules").stdout.splitlines() if '"dropped"' in line)
            return int(line.split()[2])

        before = dropped()
        guarded.reach(CLOSED[0])
        assert dropped() > before

    def test_a_second_load_changes_nothing(self, guarded: Vm) -> None:
        before = guarded.rules()
        guarded.host.run("systemctl reload nftables; systemctl reload nftables")
        assert guarded.rules() == before

    @pytest.mark.negative
    def test_a_restart_of_the_unit_takes_the_rules_of_others(self, guarded: Vm) -> None:
        """Which a reload leaves alone."""
        guarded.host.run(f"{OTHERS}; systemctl reload nftables")
        assert "table inet of_another" in guarded.tables()
        guarded.host.run("systemctl restart nftables")
        assert guarded.tables() == ["table inet firewall"]

    def test_a_mistake_in_the_file_leaves_the_old_rules(self, guarded: Vm) -> None:
        before = guarded.rules()
        guarded.host.run("cp /etc/nftables.conf /root/right; sed --in-place 's/443 }/443/' /etc/nftables.conf")
        try:
            assert guarded.host.run("systemctl reload nftables", check=False).returncode
            assert guarded.rules() == before
            assert guarded.host.run("systemctl is-active nftables").stdout.strip() == "active"
        finally:
            guarded.host.run("mv /root/right /etc/nftables.conf")

    @pytest.mark.shows("nftables.service is not active, cannot reload")
    def test_a_restart_with_a_mistake_leaves_no_rules(self, guarded: Vm, symptom: Symptom) -> None:
        guarded.host.run("cp /etc/nftables.conf /root/right; sed --in-place 's/443 }/443/' /etc/nftables.conf")
        try:
            assert guarded.host.run("systemctl restart nftables", check=False).returncode
            assert guarded.tables() == []
            symptom.is_in(guarded.host.run("systemctl reload nftables", check=False).stderr)
        finally:
            guarded.host.run("mv /root/right /etc/nftables.conf; systemctl start nftables")
        assert open_ports(guarded, *OPEN, *CLOSED) == set(OPEN)

    @pytest.mark.shows("Connection timed out")
    def test_a_port_that_no_rule_names(self, guarded: Vm, symptom: Symptom) -> None:
        url = f"http://{guarded.host.address}:{CLOSED[-1]}/"
        curl = ["curl", "--show-error", "--silent", "--connect-timeout", "0.5"]
        symptom.is_in(guarded.host.from_other(*curl, url).stderr)

    def test_a_port_that_nobody_confirms_is_closed_again(self, guarded: Vm) -> None:
        left_alone(guarded, "open-one-more-port-for-two-minutes")
        assert open_ports(guarded, *OPEN, ONE_MORE) == set(OPEN)
        for pasted in (False, True):
            assert guarded.step("keep-the-port-open", check=False, pasted=pasted).returncode
            assert guarded.host.run("cat /etc/nftables.conf").stdout == (ROOT / RULES).read_text(encoding="utf-8")

    def test_one_more_port_opens_and_closes(self, guarded: Vm) -> None:
        before = guarded.rules()
        guarded.step("open-one-more-port-for-two-minutes")
        assert open_ports(guarded, *OPEN, ONE_MORE) == {*OPEN, ONE_MORE}
        guarded.step("keep-the-port-open")
        guarded.host.run("systemctl reload nftables")
        assert open_ports(guarded, *OPEN, ONE_MORE) == {*OPEN, ONE_MORE}
        with guarded.held(ONE_MORE) as answers:
            guarded.step("close-the-port-again")
            assert open_ports(guarded, *OPEN, ONE_MORE) == set(OPEN)
            assert answers()
        assert guarded.rules() == before
        assert guarded.host.run("cat /etc/nftables.conf").stdout == (ROOT / RULES).read_text(encoding="utf-8")


@pytest.fixture(scope="class")
def restored(kept: Vm) -> Iterator[Vm]:
    """The machine, which has its rules back when the class has ended."""
    yield kept
    kept.host.run("systemctl reload nftables")


class TestEachRule:
    """Each rule of nftables is there for something that does not work without it."""

    @pytest.mark.negative
    @pytest.mark.parametrize(
        ("words", "others", "probe"),
        [
            ("iif lo accept", "", "the host reaches itself"),
            ("established,", "", "it reaches others by IPv4"),
            ("established,", "", "it reaches others by IPv6"),
            (",related", "", "it is told what is too big by IPv4"),
            (",related", "", "it is told what is too big by IPv6"),
            ("icmp type echo-request accept", "", "it answers a ping by IPv4"),
            ("{ echo-request, ", "{ ", "it answers a ping by IPv6"),
            ("nd-neighbor-solicit, ", "", "it finds its neighbours"),
            (", nd-neighbor-advert", "", "it finds its neighbours"),
            ("nd-router-advert, ", "", "it finds its router"),
            ("mld-listener-query, ", "", "it tells its groups"),
            ("udp dport 546", "udp dport 547", "it gets an address by DHCPv6"),
        ],
    )
    def test_without_it(self, restored: Vm, words: str, others: str, probe: str) -> None:
        text = (ROOT / RULES).read_text(encoding="utf-8")
        assert text.count(words) == 1
        restored.host.run(f"nft --file - <<'END'\n{text.replace(words, others)}END")
        assert not PROBES[probe](restored)


@pytest.fixture(scope="module")
def without_nftables(kept: Vm) -> Vm:
    """The machine as it was in the beginning."""
    kept.host.run(OTHERS)
    kept.step("go-without-nftables")
    left = kept.tables()
    assert "table inet firewall" not in left
    assert "table inet of_another" in left
    kept.host.run("nft delete table inet of_another")
    assert open_ports(kept, *CLOSED) == set(CLOSED)
    return kept


@pytest.fixture(scope="module")
def ufw(without_nftables: Vm) -> Vm:
    """The machine behind ufw, confirmed, and restarted."""
    vm = without_nftables
    added = vm.step("install-ufw").stdout.splitlines()[-len(OPEN) :]
    assert added == [f"ufw allow {port}/tcp" for port in OPEN]
    assert open_ports(vm, *CLOSED) == set(CLOSED)
    left_alone(vm, "enable-ufw-for-two-minutes")
    assert open_ports(vm, *CLOSED) == set(CLOSED)
    assert vm.step("keep-ufw", check=False).returncode
    vm.step("enable-ufw-for-two-minutes")
    assert "OnActiveUSec=2min " in vm.host.run("systemctl show firewall-undo.timer --property TimersMonotonic").stdout
    vm.step("keep-ufw")
    vm.restart()
    return vm


class TestUfw(Guarded):
    @pytest.fixture
    def guarded(self, ufw: Vm) -> Vm:
        return ufw

    def test_the_rules_were_there_before_the_programs(self, guarded: Vm) -> None:
        at_start = guarded.host.run("cat /run/rules-at-start").stdout
        assert "table inet firewall" not in at_start
        assert at_start.count("tcp dport 443 ") == 2

    def test_it_says_what_is_open(self, guarded: Vm) -> None:
        said = guarded.step("look-at-ufw").stdout
        assert said.startswith("Status: active\n")
        assert "Default: deny (incoming), allow (outgoing)" in said
        assert [line.split()[0] for line in said.splitlines() if line.endswith("Anywhere                  ")] == [
            f"{port}/tcp" for port in OPEN
        ]
        assert "Logging: on (low)" in said
        assert [word for word in said.split() if word.startswith("dpt:")] == [f"dpt:{port}" for port in OPEN]

    @pytest.mark.shows("Could not delete non-existent rule")
    def test_one_more_port_opens_and_closes(self, guarded: Vm, symptom: Symptom) -> None:
        guarded.step("open-one-more-port-in-ufw")
        assert open_ports(guarded, *OPEN, ONE_MORE) == {*OPEN, ONE_MORE}
        with guarded.held(ONE_MORE) as answers:
            guarded.step("close-the-port-in-ufw")
            assert open_ports(guarded, *OPEN, ONE_MORE) == set(OPEN)
            assert answers()
        symptom.is_in(guarded.step("close-the-port-in-ufw").stdout)

    @pytest.mark.negative
    def test_with_both_a_port_has_to_be_open_in_both(self, guarded: Vm) -> None:
        guarded.step("open-one-more-port-in-ufw")
        guarded.host.run("nft --file nftables.conf", cwd=PLACE)
        assert open_ports(guarded, *OPEN, ONE_MORE) == set(OPEN)
        guarded.host.run("nft destroy table inet firewall")
        assert open_ports(guarded, *OPEN, ONE_MORE) == {*OPEN, ONE_MORE}

    def test_without_it_every_port_answers(self, guarded: Vm) -> None:
        guarded.step("go-without-ufw")
        assert open_ports(guarded, *CLOSED) == set(CLOSED)


def test_the_page_shows_every_paragraph() -> None:
    every = [f"systemd/firewall.sh#{step.name}" for step in steps(ROOT / SCRIPT)]
    assert sorted(address for address in shown() if address.startswith("systemd/firewall.sh")) == sorted(every)


def test_the_page_names_the_symptoms_that_are_shown() -> None:
    symptoms.all_are_shown(PAGE, sys.modules[__name__])
