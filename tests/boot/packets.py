"""What the two machines of a `Host` say to each other on the network, so that a test sees which of it gets through.

The host runs programs on many ports; the second machine asks for them. What routers do it does too: it answers with
errors of ICMP, announces itself, and asks who is in which group. All of it is Python that runs in these machines.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from handbook.findings import HandbookError
from handbook.host import Host

from .client import wait_for

TOO_BIG = 1300
"""The size that the second machine calls the largest (IPv6 guarantees 1280)."""

# Each program greets, and says what it is told.
_PROGRAMS = """
import socket, socketserver, sys, threading

class Greet(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"here\\n")
        for line in self.rfile:
            self.wfile.write(line)

class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        said, own = self.request
        own.sendto(said, self.client_address)

class Programs(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads = socket.AF_INET6, True, True

class Datagrams(socketserver.ThreadingUDPServer):
    address_family = socket.AF_INET6

for word in sys.argv[1:]:
    port, protocol = word.split("/")
    kind, says = (Programs, Greet) if protocol == "tcp" else (Datagrams, Echo)
    threading.Thread(target=kind(("::", int(port)), says).serve_forever).start()
"""
# The rules that are there at the moment the programs start are kept. What sets up a network wants that target on other
# machines; here it is masked.
_UNIT = """
[Unit]
After=network.target
Wants=network.target
[Service]
ExecStartPre=sh -c 'nft list ruleset >/run/rules-at-start'
ExecStart=python3 /usr/local/lib/programs.py {words}
[Install]
WantedBy=multi-user.target
"""
# What waits on the second machine: a program, and a router that lets nothing large pass (RFC 1191, RFC 4443).
_WAITING = f"""
import socket, socketserver, struct, threading

class Greet(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"there\\n")

class Programs(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address = socket.AF_INET6, True

def checksum(data):
    total = sum(struct.unpack(f"!{{len(data) // 2}}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF

def too_big(family):
    own = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    own.bind(("", 7777))
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    raw = socket.socket(family, socket.SOCK_RAW, protocol)
    while True:
        said, (name, port, *rest) = own.recvfrom(2000)
        asks = socket.socket(family, socket.SOCK_DGRAM)
        asks.connect((name, port))
        source, target = (socket.inet_pton(family, one) for one in (name, asks.getsockname()[0]))
        udp = struct.pack("!4H", port, 7777, 8 + len(said), 0)
        if family == socket.AF_INET:
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(said), 1, 0x4000, 64, 17, 0) + source + target
            body = struct.pack("!HH", 0, {TOO_BIG}) + ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + udp
            body = struct.pack("!BBH", 3, 4, checksum(bytes([3, 4, 0, 0]) + body)) + body
        else:
            ip = struct.pack("!IHBB", 6 << 28, 8 + len(said), 17, 64) + source + target
            body = struct.pack("!BBHI", 2, 0, 0, {TOO_BIG}) + ip + udp
        raw.sendto(body, (name, 0))

threading.Thread(target=Programs(("::", 7000), Greet).serve_forever).start()
threading.Thread(target=too_big, args=[socket.AF_INET]).start()
too_big(socket.AF_INET6)
"""
_REACH = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def ask(place):
    address, port = place
    try:
        # The kernels alone make it, within the call.
        found = socket.create_connection((address, port), timeout=0.4)
    except OSError as error:
        return str(error)
    found.settimeout(10)
    return found.recv(10).decode().strip()

places = [(address, port) for address in json.loads(sys.argv[1]) for port in json.loads(sys.argv[2])]
with ThreadPoolExecutor(len(places)) as at_once:
    print(json.dumps([[*place, said] for place, said in zip(places, at_once.map(ask, places))]))
"""
# A connection that stays until it is told to speak.
_HELD = """
import pathlib, socket, sys, time
go, said = pathlib.Path("/tmp/go"), pathlib.Path("/tmp/said")
own = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
lines = own.makefile()
said.write_text(lines.readline())
while not go.exists():
    time.sleep(0.02)
own.sendall(b"still here\\n")
said.write_text(lines.readline())
"""
_PING = """
import socket, sys
six = ":" in sys.argv[1]
own = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM,
                    socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
own.settimeout(0.5)
own.sendto(bytes([128 if six else 8, 0, 0, 0, 0, 0, 0, 1]), (sys.argv[1], 0))
print(own.recv(100)[0])
"""
_DATAGRAM = """
import socket, sys
name, port, own_name, own_port = sys.argv[1:]
family, _, _, _, target = socket.getaddrinfo(name, port, type=socket.SOCK_DGRAM)[0]
own = socket.socket(family, socket.SOCK_DGRAM)
own.settimeout(0.6)
own.bind(socket.getaddrinfo(own_name or None, own_port, family, socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)[0][4])
own.sendto(b"echo", target)
print(own.recv(10).decode())
"""
# What the host knows of the path after the answer to a first packet: IP_MTU is 14, IPV6_MTU is 24, "do not fragment" 2.
_PATH = """
import socket, sys, time
six = ":" in sys.argv[1]
level, discover, mtu = (41, 23, 24) if six else (0, 10, 14)
own = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
own.setsockopt(level, discover, 2)
own.connect((sys.argv[1], 7777))
before = own.getsockopt(level, mtu)
own.send(b"packet")
end = time.monotonic() + 0.6
while own.getsockopt(level, mtu) == before and time.monotonic() < end:
    time.sleep(0.02)
print(own.getsockopt(level, mtu))
"""
# RFC 4861: a router is there for half an hour.
_ANNOUNCE = """
import socket, struct
own = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
own.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
"""
# RFC 3810: a switch asks who is in which group, and wants the answers at once; reports go to ff02::16.
_GROUPS = """
import socket, struct, sys, time
index = socket.if_nametoindex("eth0")
own = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
own.setsockopt(41, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, "ff02::16") + struct.pack("@I", index))
own.setsockopt(41, socket.IPV6_MULTICAST_HOPS, 1)
own.setsockopt(41, socket.IPV6_HOPOPTS, bytes([0, 0, 5, 2, 0, 0, 1, 0]))
own.sendto(struct.pack("!BBHHH16sBBH", 130, 0, 0, 1, 0, bytes(16), 2, 0, 0), ("ff02::1", 0, 0, index))
end = time.monotonic() + 0.5
sender, said = "", b"\\0"
while (sender, said[0]) != (sys.argv[1], 143):
    own.settimeout(max(end - time.monotonic(), 0.001))
    said, (sender, *_) = own.recvfrom(2000)
print("told")
"""


_ADDRESSES = ("ip", "-json", "-6", "address", "show", "dev", "eth0", "scope")


@dataclass(frozen=True)
class Answers:
    """What the second machine met on each port of the host, over IPv4 and over IPv6 the same."""

    open: set[int]
    silent: set[int]
    refused: set[int]


class Network:
    """A host with programs on ports such as `22/tcp`, which start with it, and the second machine, which asks."""

    def __init__(self, host: Host, ports: list[str]) -> None:
        self.host = host
        self._servers = itertools.count(1)
        self.other6 = _address(host.from_other(*_ADDRESSES, "global").stdout)
        # With the second machine's name of that link.
        self.link = f"{_address(host.run(' '.join([*_ADDRESSES, 'link'])).stdout)}%eth0"
        unit = _UNIT.format(words=" ".join(ports))
        for path, text in (("/usr/local/lib/programs.py", _PROGRAMS), ("/etc/systemd/system/programs.service", unit)):
            host.run(f"cat >{path} <<'END'\n{text}END")
        host.run("systemctl enable --now --quiet programs.service")
        host.from_other("sh", "-c", 'python3 -c "$1" >/tmp/waiting 2>&1 &', "sh", _WAITING)

    def up(self) -> None:
        """Wait until the programs of both machines listen."""
        for port in (22, 7000):
            ask = f"timeout 1 bash -c '</dev/tcp/{'localhost' if port == 22 else self.host.other_address}/{port}'"
            wait_for(lambda ask=ask: self.host.run(ask, check=False).returncode == 0, f"port {port}")

    def _python(self, script: str, *arguments: str) -> str:
        """What a script on the second machine printed: nothing when no answer came. Raises HandbookError otherwise."""
        result = self.host.from_other("python3", "-c", script, *arguments)
        if result.returncode and "TimeoutError" not in result.stderr:
            raise HandbookError(f"{self.host.other}: {result.stderr.strip()}")
        return result.stdout.strip()

    def reach(self, *ports: int) -> Answers:
        """Let the second machine ask for ports; raises AssertionError when IPv4 and IPv6 differ."""
        addresses = [self.host.address, self.host.address6]
        met: dict[str, dict[str, set[int]]] = {address: {} for address in addresses}
        for address, port, said in json.loads(self._python(_REACH, json.dumps(addresses), json.dumps(ports))):
            met[address].setdefault(said, set()).add(port)
        assert met[addresses[0]] == met[addresses[1]]
        found = met[addresses[0]]
        known = {"here": "open", "timed out": "silent", "[Errno 111] Connection refused": "refused"}
        assert found.keys() <= known.keys()
        return Answers(**{word: found.get(said, set()) for said, word in known.items()})

    @contextlib.contextmanager
    def held(self, port: int) -> Iterator[Callable[[], bool]]:
        """A connection of the second machine, open until the block ends; yields what asks whether it still works."""
        self.host.from_other("rm", "--force", "/tmp/go", "/tmp/said")
        start = 'python3 -c "$@" >/tmp/held 2>&1 &'
        self.host.from_other("sh", "-c", start, "sh", _HELD, self.host.address, str(port))
        wait_for(lambda: self._said() == "here\n", "the connection", seconds=5)

        def answers() -> bool:
            self.host.from_other("touch", "/tmp/go")
            wait_for(lambda: self._said() == "still here\n", "the answer", seconds=5)
            return True

        try:
            yield answers
        finally:
            self.host.from_other("touch", "/tmp/go")

    def _said(self) -> str:
        return self.host.from_other("cat", "/tmp/said").stdout

    def pings(self, address: str) -> bool:
        """Whether the host answers an echo request of the second machine."""
        return self._python(_PING, address) in ("0", "129")

    def datagram(self, address: str, port: int) -> bool:
        """Whether a datagram of the second machine reaches a program, which answers it."""
        return self._python(_DATAGRAM, address, str(port), "", "0") == "echo"

    def dhcp(self, port: int = 546) -> bool:
        """Whether what a DHCPv6 server sends reaches a program of the host at `port`.

        It is another server each time: what the host has answered once is a connection that it knows.
        """
        server = f"fe80::547:{next(self._servers):x}"
        self.host.from_other("ip", "address", "add", f"{server}/64", "dev", "eth0", "nodad")
        return self._python(_DATAGRAM, self.link, str(port), f"{server}%eth0", "547") == "echo"

    def path(self, address: str) -> int:
        """The largest packet that the host knows to pass, after it sent one to the second machine and was told."""
        forget = "ip route flush cache; ip -6 route flush cache"
        return int(self.host.run(f"{forget}; python3 -c '{_PATH}' {address}").stdout)

    def learns_a_router(self) -> bool:
        """Whether the host takes the second machine as a router, when that announces itself."""
        shown = "ip -6 route show default proto ra"
        self.host.run("sysctl --quiet net.ipv6.conf.eth0.accept_ra=2; ip -6 route flush proto ra")
        self._python(_ANNOUNCE)
        found = self.host.run(f"for i in $(seq 25); do {shown} | grep . && break; sleep 0.02; done", check=False)
        return bool(found.stdout)

    def tells_its_groups(self) -> bool:
        """Whether the host answers a switch that asks which groups it is in (RFC 4541 has what happens if not)."""
        return self._python(_GROUPS, self.link.partition("%")[0]) == "told"

    def finds_neighbours(self) -> bool:
        """Whether both machines find each other when they have forgotten the addresses of the link."""
        forget = "ip -6 neigh flush dev eth0"
        self.host.run(forget)
        self.host.from_other(*forget.split())
        if not self.pings(self.host.address6):
            return False
        self.host.run(forget)
        return self.gets_out(self.other6)

    def gets_out(self, address: str) -> bool:
        """Whether a program of the host reaches one of the second machine."""
        said = self.host.run(f"timeout 0.7 bash -c 'cat </dev/tcp/{address}/7000'", check=False)
        return said.stdout == "there\n"


def _address(listing: str) -> str:
    """The first address that `ip -json` lists."""
    return next(found["local"] for link in json.loads(listing) for found in link.get("addr_info", ()) if found)
