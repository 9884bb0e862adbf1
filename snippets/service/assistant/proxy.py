"""The address of the client behind trusted proxies."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send


class ClientAddress:
    """Puts the client's address from X-Forwarded-For into the scope.

    gunicorn's asgi worker takes the scheme from X-Forwarded-Proto of peers in FORWARDED_ALLOW_IPS, and leaves the
    address. This follows the same list and the same rules: "*" trusts every peer, and so does a Unix socket.
    """

    def __init__(self, app: ASGIApp, trusted: str) -> None:
        self.app = app
        self.trust_all = "*" in trusted
        self.networks = [] if self.trust_all else [ip_network(part.strip()) for part in trusted.split(",")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            peer = scope["client"][0] if scope["client"] else None
            hops = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
            client = self.client(peer, hops)
            if client != peer:
                scope = {**scope, "client": (client, 0)}
        await self.app(scope, receive, send)

    def client(self, peer: str | None, hops: str) -> str | None:
        """Return the nearest address that is not a trusted proxy's.

        Each proxy appends the address it saw, so the list is read from its end, and only as far as those who wrote it
        are trusted: what stands further left is the client's own claim.
        """
        client = peer
        for hop in reversed(hops.split(",")):
            if not self.trusts(client):
                break
            try:
                client = str(plain(hop.strip()))
            except ValueError:
                break
        return client

    def trusts(self, peer: str | None) -> bool:
        if self.trust_all or peer is None:
            return True
        try:
            return any(plain(peer) in network for network in self.networks)
        except ValueError:
            return False


def plain(text: str) -> IPv4Address | IPv6Address:
    """Read an address; a socket that listens on IPv6 shows an IPv4 peer as ::ffff:192.0.2.1, and this is 192.0.2.1."""
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address
